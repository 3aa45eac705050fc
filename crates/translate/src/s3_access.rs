//! S3 objects that a caller may have the model read. Bedrock fetches them with the gateway's own
//! permissions, so the operator lists them; by default none are allowed.

/// The operator's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Access(Vec<S3Prefix>);

/// All objects under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Prefix {
    /// Such as `s3://bucket/uploads/`. Names that merely begin with the last part of the prefix do
    /// not match.
    pub prefix: String,
    /// The account of the bucket, if it is another one.
    pub bucket_owner: Option<String>,
}

impl S3Access {
    /// A list of stores; the first matching prefix wins.
    pub fn new(stores: Vec<S3Prefix>) -> Self {
        Self(stores)
    }

    /// The stores of the list.
    pub fn iter(&self) -> impl Iterator<Item = &S3Prefix> {
        self.0.iter()
    }

    /// Returns whether the list covers an object.
    pub fn admits(&self, uri: &str) -> bool {
        self.of(uri).is_some()
    }

    /// The places that are in this list and below one of these prefixes.
    #[must_use]
    pub fn within(&self, prefixes: &[String]) -> Self {
        let keyed = Self::of_prefixes(prefixes);
        let own = self.0.iter().filter(|store| keyed.covers(&store.prefix)).cloned();
        let narrower = keyed.0.iter().filter_map(|S3Prefix { prefix, .. }| {
            let store = self.0.iter().find(|store| is_below(prefix, &store.prefix))?;
            Some(S3Prefix { prefix: prefix.clone(), bucket_owner: store.bucket_owner.clone() })
        });
        Self(own.chain(narrower).collect())
    }

    /// The list of these prefixes.
    pub fn of_prefixes(prefixes: &[String]) -> Self {
        let store = |prefix: &String| S3Prefix { prefix: prefix.clone(), bucket_owner: None };
        Self(prefixes.iter().map(store).collect())
    }

    fn covers(&self, prefix: &str) -> bool {
        self.0.iter().any(|store| is_below(prefix, &store.prefix))
    }

    /// The store that a URI belongs to.
    pub(crate) fn of(&self, uri: &str) -> Option<&S3Prefix> {
        self.0.iter().find(|store| uri != store.prefix && is_below(uri, &store.prefix))
    }
}

/// Whether a URI is a prefix or below it. Names that merely begin with the last part of a prefix are not.
fn is_below(uri: &str, prefix: &str) -> bool {
    let rest = uri.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let store = |prefix: &str| S3Prefix { prefix: prefix.to_owned(), bucket_owner: None };
        let stores = S3Access::new(vec![store("s3://a"), store("s3://b/in/")]);
        for (uri, admitted) in [
            ("s3://a/x.png", true),
            ("s3://b/in/x.png", true),
            ("s3://a-private/x.png", false),
            ("s3://b/input.png", false),
            ("s3://b/in", false),
            ("s3://c/x.png", false),
        ] {
            assert_eq!(stores.of(uri).is_some(), admitted, "{uri}");
        }
        assert!(S3Access::default().of("s3://a/x.png").is_none());
    }

    #[test]
    fn both_lists_must_admit_an_object() {
        let store = |prefix: &str, owner: Option<&str>| S3Prefix {
            prefix: prefix.to_owned(),
            bucket_owner: owner.map(str::to_owned),
        };
        let stores = S3Access::new(vec![store("s3://a/in/", Some("1")), store("s3://b", None)]);
        let keyed = stores.within(&["s3://a".into(), "s3://b/x/".into(), "s3://c/".into()]);
        for (uri, owner) in [
            ("s3://a/in/1.png", Some(Some("1"))),
            ("s3://a/out/1.png", None),
            ("s3://b/x/1.png", Some(None)),
            ("s3://b/1.png", None),
            ("s3://c/1.png", None),
        ] {
            let found = keyed.of(uri).map(|store| store.bucket_owner.as_deref());
            assert_eq!(found, owner, "{uri}");
        }
        assert!(!stores.within(&[]).admits("s3://b/1.png"));
    }
}
