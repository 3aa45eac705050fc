//! The direct signer against AWS's own: the same headers, or none.

use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::HOST;
use proptest::prelude::*;

use super::*;
use crate::sign::by_aws;

const REGION: &str = "eu-central-1";

fn request(method: &str, path: &str, headers: &[(String, String)]) -> Request<Bytes> {
    let uri = format!("https://bedrock-runtime.eu-central-1.amazonaws.com{path}");
    let mut request = Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap();
    request.headers_mut().insert(HOST, HeaderValue::from_static("bedrock.example:8443"));
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

fn keys(token: Option<&str>) -> Credentials {
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token.map(str::to_owned), None, "test")
}

/// The headers of AWS's signer, in the order of [`Authorisation`].
fn expected(
    request: &Request<Bytes>,
    body: &BodyHash,
    keys: &Credentials,
    now: SystemTime,
) -> [Option<HeaderValue>; 3] {
    let mut signed = request.clone();
    by_aws(&mut signed, body, &keys.clone().into(), scope(REGION, now)).unwrap();
    [&DATE, &TOKEN, &AUTHORIZATION].map(|name| signed.headers().get(name).cloned())
}

fn scope(region: &str, now: SystemTime) -> SigningScope<'_> {
    SigningScope { service: Service::Runtime, region, now }
}

proptest! {
    #[test]
    fn a_signature_is_the_one_of_awss_signer(
        (method, path) in (
            prop_oneof![Just("POST"), Just("GET"), Just("DELETE")],
            "/(model/)?[a-zA-Z0-9.:~_%-]{1,24}(/[a-zA-Z0-9.%,@!]{1,9}){0,3}",
        ),
        headers in proptest::collection::btree_map("x-[a-z0-9-]{1,9}", "[!-~]{1,12}( [!-~]{1,9}){0,2}", 0..6),
        token in proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
        body in proptest::collection::vec(any::<u8>(), 0..40),
        seconds in 0_u64..4_000_000_000,
    ) {
        let headers: Vec<_> = headers.into_iter().collect();
        let request = request(method, &path, &headers);
        let (keys, body) = (keys(token.as_deref()), BodyHash::hash(&body));
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let expected = expected(&request, &body, &keys, now);
        let derived = DerivedKeys::default();
        // The second one takes the derived key that the first one left.
        for _ in 0..2 {
            match authorisation(&request, &body, (&keys, &derived), scope(REGION, now)) {
                Some(Authorisation { date, token, authorization }) => {
                    prop_assert_eq!(&[Some(date), token, Some(authorization)], &expected);
                }
                None => prop_assert!(!is_normal(&path)),
            }
        }
    }
}

#[test]
fn a_key_is_derived_again_for_another_day_region_and_service() {
    let (keys, body, derived) = (keys(None), BodyHash::hash(b"{}"), DerivedKeys::default());
    let request = request("POST", "/model/m/converse", &[]);
    let day = Duration::from_hours(24);
    let (runtime, mantle) = (Service::Runtime, Service::Mantle);
    for (region, service, days) in [
        ("us-east-1", runtime, 20_000),
        ("us-east-1", runtime, 20_001),
        ("us-west-2", runtime, 20_001),
        ("us-west-2", mantle, 20_001),
        ("us-west-2", runtime, 20_001),
    ] {
        let now = UNIX_EPOCH + day * days;
        let ours = authorisation(
            &request,
            &body,
            (&keys, &derived),
            SigningScope { service, region, now },
        )
        .unwrap();
        let mut signed = request.clone();
        by_aws(&mut signed, &body, &keys.clone().into(), SigningScope { service, region, now })
            .unwrap();
        assert_eq!(Some(&ours.authorization), signed.headers().get(AUTHORIZATION));
    }
}

#[test]
fn what_is_not_its_own_canonical_form_is_left_to_awss_signer() {
    let (keys, body, derived) = (keys(None), BodyHash::hash(b""), DerivedKeys::default());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let unusual = [
        request("GET", "/guardrails?maxResults=5", &[]),
        request("POST", "/model/../converse", &[]),
        request("POST", "/model//converse", &[]),
        request("POST", "/model/m/converse", &[pair("x-a", "two  spaces")]),
        request("POST", "/model/m/converse", &[pair("x-a", "1"), pair("x-a", "2")]),
    ];
    for request in unusual {
        let signed = authorisation(&request, &body, (&keys, &derived), scope(REGION, UNIX_EPOCH));
        assert!(signed.is_none(), "{request:?}");
    }
}
