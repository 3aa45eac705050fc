//! The most that a key is given, by the configuration. A field above its bound is refused, and one that is left out or
//! cleared gets the bound, so that no key has more. What a change leaves as it was is left.

use access::{KeyInput, KeyRecord, Limits, Nanodollars, Set, TeamRecord, WrittenSpan};
use serde_json::Number;

use super::error::AdminRefusal;
use super::key_access::{self, KeyGrant};
use super::request::AdminRequest;
use crate::config::KeyBounds;

/// The limits of a key as they are to be and as they were, and those of its budget row and its team.
struct LimitsOfKey<'k> {
    after: &'k KeyRecord,
    before: Option<&'k KeyRecord>,
    row: &'k Limits,
    team: Option<&'k TeamRecord>,
}

/// Holds the fields of a new or changed key to the bounds.
///
/// # Errors
/// A field is above its bound.
pub(super) async fn hold(
    request: &AdminRequest,
    grant: KeyGrant<'_>,
    fields: &mut KeyInput,
) -> Result<(), AdminRefusal> {
    let bounds = &request.settings().key_bounds;
    if *bounds == KeyBounds::default() {
        return Ok(());
    }
    let KeyGrant { after, before, .. } = grant;
    hold_expiry(bounds, before.is_none(), fields)?;
    let row = request.accounts.with_row(&Limits::default(), after.budget_id.as_deref()).await?;
    let team = key_access::team_of(request, after.team_id.as_deref()).await?;
    let key = LimitsOfKey { after, before, row: &row, team: team.as_ref() };
    hold_budget(bounds, &key, fields)?;
    let held = |param, bound: Option<u64>, field: fn(&Limits) -> Option<u64>| {
        key.held(bound, field).map_err(|(own, most)| above(param, own, most))
    };
    let parallel = held("max_parallel_requests", bounds.max_parallel_requests, |limits| {
        limits.max_parallel_requests
    })?;
    let tokens = held("tpm_limit", bounds.tpm_limit, |limits| limits.tpm_limit)?;
    let requests = held("rpm_limit", bounds.rpm_limit, |limits| limits.rpm_limit)?;
    let input = &mut fields.limits;
    for (held, field) in [
        (parallel, &mut input.max_parallel_requests),
        (tokens, &mut input.tpm_limit),
        (requests, &mut input.rpm_limit),
    ] {
        if let Some(held) = held {
            *field = Set::To(held.into());
        }
    }
    Ok(())
}

fn hold_budget(
    bounds: &KeyBounds,
    key: &LimitsOfKey<'_>,
    fields: &mut KeyInput,
) -> Result<(), AdminRefusal> {
    let held = key.held(bounds.max_budget, |limits| limits.max_budget);
    let held = held.map_err(|(own, most)| above("max_budget", own, most))?;
    if let Some(held) = held {
        fields.limits.max_budget = Set::To(number(held));
    }
    let LimitsOfKey { after, before, row, .. } = *key;
    let increase = after.temp_budget_increase;
    let is_same = before.is_some_and(|before| {
        before.temp_budget_increase == increase
            && before.limits.max_budget == after.limits.max_budget
    });
    let increased = held.or(after.limits.max_budget).zip(increase);
    let increased = increased.filter(|_| !is_same).map(|(own, more)| own.plus(more));
    if let (Some(own), Some(most)) = (increased, bounds.max_budget)
        && own > most
    {
        return Err(above("temp_budget_increase", own, most));
    }
    let Some(longest) = &bounds.budget_duration else { return Ok(()) };
    match &after.limits.budget_duration {
        own if key.keeps(own, |limits| limits.budget_duration.clone()) => Ok(()),
        Some(own) if own.exceeds(longest) => Err(above("budget_duration", own, longest)),
        Some(_) => Ok(()),
        None if row.budget_duration.as_ref().is_some_and(|row| !row.exceeds(longest)) => Ok(()),
        None => {
            fields.limits.budget_duration = Set::To(longest.to_string());
            Ok(())
        }
    }
}

fn hold_expiry(
    bounds: &KeyBounds,
    is_new: bool,
    fields: &mut KeyInput,
) -> Result<(), AdminRefusal> {
    let Some(longest) = &bounds.duration else { return Ok(()) };
    let own = match &fields.duration {
        Set::Keep if !is_new => return Ok(()),
        Set::Keep | Set::Clear => None,
        Set::To(text) => WrittenSpan::parse(text),
    };
    match own {
        Some(own) if own.exceeds(longest) => Err(above("duration", &own, longest)),
        Some(_) => Ok(()),
        None => {
            fields.duration = Set::To(longest.to_string());
            Ok(())
        }
    }
}

impl LimitsOfKey<'_> {
    /// The value that the key gets in the place of its own, if it gets another.
    ///
    /// # Errors
    /// Its own value, and the bound that it is above.
    fn held<T: PartialOrd + Copy>(
        &self,
        bound: Option<T>,
        field: fn(&Limits) -> Option<T>,
    ) -> Result<Option<T>, (T, T)> {
        let own = field(&self.after.limits);
        let Some(bound) = bound.filter(|_| !self.keeps(&own, field)) else { return Ok(None) };
        match (own, field(self.row)) {
            (Some(own), _) if own > bound => Err((own, bound)),
            (Some(_), _) => Ok(None),
            (None, Some(row)) if row <= bound => Ok(None),
            (None, _) => {
                // What a key is given stays within its team's, as if its maker had asked for it.
                let team = self.team.and_then(|team| field(&team.limits));
                Ok(Some(team.filter(|team| *team < bound).unwrap_or(bound)))
            }
        }
    }

    /// Whether a change leaves a field as it was: a null one, which a budget row may fill, with the same row.
    fn keeps<T: PartialEq>(&self, own: &Option<T>, field: fn(&Limits) -> Option<T>) -> bool {
        self.before.is_some_and(|before| {
            let has_same_row = before.budget_id == self.after.budget_id;
            field(&before.limits) == *own && (own.is_some() || has_same_row)
        })
    }
}

/// The refusal of a field above its bound, in LiteLLM's words.
fn above(
    param: &'static str,
    own: impl std::fmt::Display,
    most: impl std::fmt::Display,
) -> AdminRefusal {
    let message =
        format!("{param} is over max limit set in config - user_value={own}; max_value={most}");
    AdminRefusal::bad(message).param(param)
}

/// An amount as the number of a request.
fn number(amount: Nanodollars) -> Number {
    let text = amount.to_string();
    // The text of an amount is a number.
    text.parse().unwrap_or_else(|_| Number::from(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(limit: Option<u64>, row: Option<&str>) -> KeyRecord {
        let mut key = KeyRecord { budget_id: row.map(Into::into), ..KeyRecord::default() };
        key.limits.rpm_limit = limit;
        key
    }

    #[test]
    fn a_limit_is_held_where_it_is_new_or_changed() {
        let rpm = |limit| Limits { rpm_limit: limit, ..Limits::default() };
        let held = |after: &KeyRecord, before: Option<&KeyRecord>, row, team: Option<u64>| {
            let team = TeamRecord { limits: rpm(team), ..TeamRecord::default() };
            let key = LimitsOfKey { after, before, row: &rpm(row), team: Some(&team) };
            key.held(Some(10), |limits| limits.rpm_limit)
        };
        let (none, low, high) = (key(None, None), key(Some(3), None), key(Some(11), None));
        assert_eq!(held(&high, None, None, None), Err((11, 10)));
        assert_eq!(held(&high, Some(&high), None, None), Ok(None), "as it was");
        assert_eq!(held(&key(Some(11), Some("r")), Some(&high), None, None), Ok(None));
        assert_eq!(held(&key(Some(10), None), None, None, None), Ok(None));
        assert_eq!(held(&none, None, None, None), Ok(Some(10)));
        assert_eq!(held(&none, Some(&none), None, None), Ok(None), "as it was");
        assert_eq!(held(&none, Some(&low), None, None), Ok(Some(10)), "cleared");
        let with_row = key(None, Some("r"));
        assert_eq!(held(&with_row, None, Some(5), None), Ok(None), "its budget row says less");
        assert_eq!(held(&with_row, None, Some(11), None), Ok(Some(10)));
        assert_eq!(held(&none, Some(&with_row), None, None), Ok(Some(10)), "without its row");
        assert_eq!(held(&none, None, None, Some(4)), Ok(Some(4)), "its team has less");
    }
}
