//! Betas of a request in the model's own body. A beta and the members that need it are sent together or
//! not at all; which ones a model accepts is data.

use std::collections::BTreeSet;

use schema::anthropic::BETA_HEADER;
use serde_json::value::RawValue;

use crate::parts::betas::{BETAS, asked_names};
use crate::profile::{NativeBeta, Profile};
use crate::{Invalid, Report};

/// The features that a request uses, among those of the model.
#[derive(Debug)]
pub(super) struct Features<'p> {
    profile: &'p Profile,
    used: BTreeSet<String>,
}

impl<'p> Features<'p> {
    pub(super) fn new(profile: &'p Profile) -> Self {
        Self { profile, used: BTreeSet::new() }
    }

    /// The model's profile.
    pub(super) fn profile(&self) -> &'p Profile {
        self.profile
    }

    /// Returns whether the model has a feature.
    pub(super) fn has(&self, feature: &str) -> bool {
        let is_it = |name: &String| name == feature;
        if self.profile.native_without.iter().any(is_it) {
            return false;
        }
        self.profile.native_features.iter().any(is_it)
            || self.profile.native_betas.iter().any(|beta| beta.with.iter().any(is_it))
    }

    /// Uses a feature, if the model has it. Returns whether it does.
    pub(super) fn take(&mut self, feature: &str) -> bool {
        let has = self.has(feature);
        if has && !self.used.contains(feature) {
            self.used.insert(feature.to_owned());
        }
        has
    }

    /// The betas to send: those of the features in use, and those that the caller requests and that need
    /// no feature. The others of the caller's are reported, by the name of the place that requested them.
    ///
    /// # Errors
    /// The body's list of betas holds no names.
    pub(super) fn betas(
        &self,
        in_body: Option<&RawValue>,
        in_header: &[String],
        report: &mut Report,
    ) -> Result<Vec<String>, Invalid> {
        let of_body = asked_names(in_body)?;
        let asked = || {
            let header = in_header.iter().map(|name| (BETA_HEADER, name.as_str()));
            of_body.iter().map(|name| (BETAS, name.as_str())).chain(header)
        };
        let is_asked = |beta: &NativeBeta| {
            asked()
                .any(|(_, name)| name == beta.name || beta.named.iter().any(|other| other == name))
        };
        let is_sent = |beta: &&NativeBeta| match beta.with.is_empty() {
            true => is_asked(beta),
            false => beta.with.iter().any(|feature| self.used.contains(feature)),
        };
        let known = &self.profile.native_betas;
        let mut sent: Vec<String> =
            known.iter().filter(is_sent).map(|beta| beta.name.clone()).collect();
        for (place, name) in asked() {
            let is_known = |beta: &NativeBeta| {
                beta.name == name || beta.named.iter().any(|other| other == name)
            };
            let own = self.profile.native_own_betas.iter().chain(&self.profile.tool_stream_beta);
            if own.into_iter().any(|own| own == name) {
                if !sent.iter().any(|known| known == name) {
                    sent.push(name.to_owned());
                }
            } else if !known.iter().any(is_known) {
                report.ignore(&format!("{place}.{name}"));
            }
        }
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_and_its_feature_are_sent_together_or_not_at_all() {
        let beta = |name: &str, with: &[&str], named: &[&str]| NativeBeta {
            name: name.to_owned(),
            with: with.iter().map(|one| (*one).to_owned()).collect(),
            named: named.iter().map(|one| (*one).to_owned()).collect(),
        };
        let profile = Profile {
            native_betas: vec![
                beta("search", &["tools.defer_loading"], &["advanced"]),
                beta("edit", &["edits"], &[]),
                beta("free", &[], &["liberty"]),
            ],
            native_own_betas: vec!["own".to_owned()],
            ..Profile::default()
        };
        let asked = ["advanced", "liberty", "own", "nobody"].map(ToOwned::to_owned);
        let mut features = Features::new(&profile);
        let mut report = Report::default();
        let sent = features.betas(None, &asked, &mut report).unwrap();
        assert_eq!(sent, ["free", "own"], "no tool is deferred");
        assert_eq!(report.ignored(), ["anthropic-beta.nobody"]);
        assert!(features.take("tools.defer_loading") && !features.take("other"));
        let sent = features.betas(None, &[], &mut report).unwrap();
        assert_eq!(sent, ["search"], "the feature brings its beta");
        let body = RawValue::from_string(r#""free, own""#.to_owned()).unwrap();
        assert_eq!(
            features.betas(Some(&body), &[], &mut report).unwrap(),
            ["search", "free", "own"]
        );
        let body = RawValue::from_string("{}".to_owned()).unwrap();
        assert!(features.betas(Some(&body), &[], &mut report).is_err());
    }
}
