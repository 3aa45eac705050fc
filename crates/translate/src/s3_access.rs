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

    /// The store that a URI belongs to.
    pub(crate) fn of(&self, uri: &str) -> Option<&S3Prefix> {
        self.0.iter().find(|store| {
            let rest = uri.strip_prefix(store.prefix.as_str());
            rest.is_some_and(|rest| store.prefix.ends_with('/') || rest.starts_with('/'))
        })
    }
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
}
