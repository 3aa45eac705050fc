//! The little XML that S3 speaks.

use crate::{delivery::Reply, sigv4::timestamp};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document with this root.
pub(super) fn reply(status: u16, root: &str, content: &str) -> Reply {
    let namespace = match root {
        "Error" => String::new(),
        _ => format!(" xmlns=\"{NAMESPACE}\""),
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}{namespace}>{content}</{root}>"
    );
    Reply::bytes(status, "application/xml", text.into())
}

/// Elements with texts, one after another.
pub(super) fn members(members: &[(&str, &str)]) -> String {
    members.iter().map(|(name, text)| format!("<{name}>{}</{name}>", escaped(text))).collect()
}

/// The contents of all elements of a name that are not within each other.
pub(super) fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (content, after) = after.split_once(&close)?;
        rest = after;
        Some(content)
    })
}

/// The text of the first element of a name.
pub(super) fn text(text: &str, name: &str) -> Option<String> {
    let content = elements(text, name).next()?;
    let plain = content.replace("&quot;", "\"").replace("&#34;", "\"").replace("&lt;", "<");
    Some(plain.replace("&gt;", ">").replace("&amp;", "&"))
}

/// `2026-11-21T12:00:00.000Z`.
pub(in crate::routes) fn iso_date(seconds: i64) -> String {
    let basic = timestamp(seconds);
    let part = |range: std::ops::Range<usize>| basic.get(range).unwrap_or("00").to_owned();
    let (year, month, day) = (part(0..4), part(4..6), part(6..8));
    let (hour, minute, second) = (part(9..11), part(11..13), part(13..15));
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}.000Z")
}

/// The date of a header.
pub(super) fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let weekday = usize::try_from(seconds.div_euclid(86_400).rem_euclid(7)).unwrap_or_default();
    let date = iso_date(seconds);
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().unwrap_or(1).clamp(1, 12) - 1;
    let (year, day, time) = (part(0..4), part(8..10), part(11..19));
    format!("{}, {day} {} {year} {time} GMT", DAYS[weekday], MONTHS[month])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_both_forms() {
        assert_eq!(iso_date(1_795_262_400), "2026-11-21T12:00:00.000Z");
        assert_eq!(http_date(1_795_262_400), "Sat, 21 Nov 2026 12:00:00 GMT");
    }

    #[test]
    fn elements_are_found_and_texts_unescaped() {
        let parts = "<C><Part><ETag>&quot;a&amp;b&quot;</ETag></Part><Part></Part></C>";
        assert_eq!(elements(parts, "Part").count(), 2);
        assert_eq!(text(parts, "ETag").as_deref(), Some("\"a&b\""));
        assert_eq!(members(&[("K", "a<b>&\"")]), "<K>a&lt;b&gt;&amp;&quot;</K>");
    }
}
