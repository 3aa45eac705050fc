//! Tags of a request, and the targets of a name that they leave, by LiteLLM's rules: a request with tags goes to
//! targets that have one of them (or all), else to those tagged `default`; a request without tags to those tagged
//! `default`, else to any. `!tag` excludes targets, `&tag` is required of them.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;
use translate::dialect::TagFields;

use super::settings::TagFilter;

/// Member of a request, and of its metadata, that lists tags.
const MEMBER: &str = "tags";
/// Tag of the targets for requests without tags, or with tags that are not known.
const DEFAULT: &str = "default";
/// Most tags of a request that are read.
const MOST: usize = 64;

/// The tags of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    listed: Vec<String>,
    /// Whether some of them are the body's.
    of_body: bool,
}

/// The tags of a request by what they ask of a target.
struct SelectionInput<'a> {
    wanted: Vec<&'a str>,
    required: Vec<&'a str>,
    excluded: Vec<&'a str>,
}

impl Tags {
    /// Those of header values, with commas between.
    pub fn of_headers<'h>(values: impl Iterator<Item = &'h str>) -> Self {
        let mut tags = Self::default();
        tags.add(values.flat_map(|value| value.split(',')));
        tags
    }

    /// Those of a request's body.
    pub fn of_body(fields: TagFields<'_>) -> Self {
        let mut tags = Self::of_member(fields.tags);
        let metadata = fields.metadata.and_then(|metadata| metadata.get(MEMBER));
        if let Some(Value::Array(listed)) = metadata {
            tags.add(listed.iter().filter_map(Value::as_str));
            tags.of_body |= !listed.is_empty();
        }
        tags
    }

    /// Each tag, without the sign that says how it selects targets.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(|tag| tag.trim_start_matches(['&', '!']))
    }

    /// These, and those that stand elsewhere in the request.
    pub fn and(mut self, other: &Self) -> Self {
        self.add(other.listed.iter().map(String::as_str));
        self.of_body |= other.of_body;
        self
    }

    /// Those of a member `tags`: a list, or one tag.
    pub fn of_member(raw: Option<&RawValue>) -> Self {
        let mut read = Self::default();
        match raw.map(|raw| serde_json::from_str(raw.get())) {
            Some(Ok(Value::Array(tags))) => read.add(tags.iter().filter_map(Value::as_str)),
            Some(Ok(Value::String(tag))) => read.add(std::iter::once(tag.as_str())),
            Some(_) | None => {}
        }
        read.of_body = !read.listed.is_empty();
        read
    }

    /// Whether the body of the request gives some of them.
    pub(super) fn are_of_body(&self) -> bool {
        self.of_body
    }

    fn add<'t>(&mut self, tags: impl Iterator<Item = &'t str>) {
        for tag in tags.map(str::trim).filter(|tag| !tag.is_empty()) {
            if self.listed.len() < MOST && self.listed.iter().all(|known| known != tag) {
                self.listed.push(tag.to_owned());
            }
        }
    }

    fn asked(&self) -> SelectionInput<'_> {
        let mut asked = SelectionInput { wanted: vec![], required: vec![], excluded: vec![] };
        for tag in &self.listed {
            match (tag.strip_prefix('&'), tag.strip_prefix('!')) {
                (Some(""), _) | (_, Some("")) => {}
                (Some(tag), _) => asked.required.push(tag),
                (_, Some(tag)) => asked.excluded.push(tag),
                (None, None) => asked.wanted.push(tag),
            }
        }
        asked
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.listed.join(", "))
    }
}

/// Which of the targets with these tags a request may go to.
pub(super) fn left(filter: TagFilter, targets: &[&[String]], tags: &Tags) -> Vec<bool> {
    let asked = tags.asked();
    let has = |own: &[String], tag: &str| own.iter().any(|own| own == tag);
    let is_admitted = |own: &[String]| {
        !asked.excluded.iter().any(|tag| has(own, tag))
            && asked.required.iter().all(|tag| has(own, tag))
    };
    let fits = |own: &[String]| match filter {
        TagFilter::Off | TagFilter::Any => asked.wanted.iter().any(|tag| has(own, tag)),
        TagFilter::All => asked.wanted.iter().all(|tag| has(own, tag)),
    };
    let by = |holds: &dyn Fn(&[String]) -> bool| -> Vec<bool> {
        targets.iter().map(|own| holds(own)).collect()
    };
    let defaults = by(&|own| has(own, DEFAULT));
    let has_defaults = defaults.contains(&true);
    if filter == TagFilter::Off {
        return by(&|_| true);
    }
    if asked.wanted.is_empty() {
        return match (has_defaults, asked.required.is_empty()) {
            (true, true) => by(&|own| has(own, DEFAULT) && is_admitted(own)),
            (false, _) | (true, false) => by(&is_admitted),
        };
    }
    let fitting = by(&|own| is_admitted(own) && fits(own));
    let is_known = targets.iter().any(|own| asked.wanted.iter().any(|tag| has(own, tag)));
    // Tags that are known here and match no target are a choice that cannot be kept.
    if fitting.contains(&true) || is_known {
        return fitting;
    }
    by(&|own| is_admitted(own) && has(own, DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(filter: TagFilter, targets: &[&[&str]], told: &str) -> String {
        let targets: Vec<Vec<String>> =
            targets.iter().map(|own| own.iter().map(ToString::to_string).collect()).collect();
        let targets: Vec<&[String]> = targets.iter().map(Vec::as_slice).collect();
        let tags = Tags::of_headers([told].into_iter());
        let left = super::left(filter, &targets, &tags);
        left.iter().map(|is_left| if *is_left { 'x' } else { '.' }).collect()
    }

    #[test]
    fn any_of_the_tags_then_the_default_then_none() {
        let targets: [&[&str]; 4] = [&["free"], &["paid", "eu"], &["default"], &[]];
        for (told, expected) in [
            ("free", "x..."),
            ("eu", ".x.."),
            ("free,paid", "xx.."),
            (" free , other", "x..."),
            ("other", "..x."),
            ("", "..x."),
            ("!free", "..x."),
            ("!default", "...."),
            ("&eu", ".x.."),
            ("&eu,&paid", ".x.."),
            ("&eu,free", "...."),
            ("paid,!eu", "...."),
        ] {
            assert_eq!(left(TagFilter::Any, &targets, told), expected, "{told}");
        }
        assert_eq!(left(TagFilter::Off, &targets, "free"), "xxxx");
    }

    #[test]
    fn without_a_default_untagged_requests_go_anywhere_and_unknown_tags_nowhere() {
        let targets: [&[&str]; 3] = [&["a"], &["b"], &[]];
        assert_eq!(left(TagFilter::Any, &targets, ""), "xxx");
        assert_eq!(left(TagFilter::Any, &targets, "c"), "...");
        assert_eq!(left(TagFilter::Any, &[&[], &[]], "c"), "..");
    }

    #[test]
    fn all_of_the_tags_where_the_operator_wants_that() {
        let targets: [&[&str]; 3] = [&["a", "b"], &["a"], &["default"]];
        for (told, expected) in [("a,b", "x.."), ("a", "xx."), ("a,c", "..."), ("c", "..x")] {
            assert_eq!(left(TagFilter::All, &targets, told), expected, "{told}");
        }
    }
}
