//! Inference profiles available to a region: those of its own geography first, the widest last. A profile
//! keeps calls inside the geography of its prefix, so the order ensures data residency.

/// Prefixes of inference profile ids.
pub(super) const PREFIXES: [&str; 11] =
    ["us-gov", "us", "eu", "apac", "jp", "au", "ca", "in", "sa", "amer", "global"];

/// Region name prefixes, and the profile prefixes to try there. The first match counts, so narrower rows
/// precede wider ones. Source: AWS's list of inference profiles, 2026-11-21.
const TABLE: &[(&str, &[&str])] = &[
    ("us-gov-", &["us-gov"]),
    ("us-iso", &[]),
    ("eu-iso", &[]),
    ("cn-", &[]),
    ("eusc-", &[]),
    ("us-", &["us", "global"]),
    ("ca-", &["ca", "us", "global"]),
    ("eu-", &["eu", "global"]),
    ("ap-northeast-1", &["jp", "apac", "global"]),
    ("ap-northeast-3", &["jp", "apac", "global"]),
    ("ap-southeast-2", &["au", "apac", "global"]),
    ("ap-southeast-4", &["au", "apac", "global"]),
    ("ap-south-", &["in", "apac", "global"]),
    ("ap-", &["apac", "global"]),
    ("sa-", &["sa", "global"]),
];

/// The prefixes available to a caller in `region`, best first.
pub(super) fn prefixes(region: &str) -> &'static [&'static str] {
    let row = TABLE.iter().find(|(beginning, _)| region.starts_with(beginning));
    row.map_or(&["global"], |(_, prefixes)| prefixes)
}

/// A geography, and those that it lies in.
pub(super) fn within(prefix: &str) -> Vec<String> {
    let mut all = vec![prefix.to_owned()];
    let wider = match prefix {
        "jp" | "au" | "in" => Some("apac"),
        _ => None,
    };
    all.extend(wider.map(ToOwned::to_owned));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_stays_in_its_geography() {
        for (region, expected) in [
            ("us-west-2", "us"),
            ("us-gov-west-1", "us-gov"),
            ("eu-central-1", "eu"),
            ("ap-northeast-3", "jp"),
            ("ap-southeast-4", "au"),
            ("ap-south-1", "in"),
            ("ap-northeast-2", "apac"),
            ("ca-central-1", "ca"),
            ("me-south-1", "global"),
        ] {
            assert_eq!(prefixes(region)[0], expected, "{region}");
        }
        assert!(prefixes("cn-north-1").is_empty() && prefixes("us-iso-east-1").is_empty());
        assert_eq!(prefixes("us-gov-east-1").len(), 1, "nothing leaves the government's regions");
        assert!(TABLE.iter().flat_map(|(_, list)| *list).all(|prefix| PREFIXES.contains(prefix)));
    }
}
