//! Errors in every spelling used by AWS and by proxies in front of it.

use super::*;

fn service(failure: Failure) -> ServiceError {
    match failure {
        Failure::Service(error) => *error,
        other => panic!("expected a service error, got {other:?}"),
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
}

#[test]
fn the_table_reads_every_spelling_of_every_name() {
    for (exception, name, status) in Exception::TABLE {
        let camel = name[..1].to_lowercase() + &name[1..];
        let suffixed = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        for spelling in [*name, &camel, &suffixed, &format!("com.amazon.bedrock#{name}")] {
            assert_eq!(&Exception::from_name(spelling), exception, "{spelling}");
        }
        assert_eq!((exception.name(), exception.status()), (*name, Some(*status)));
    }
    let expected = [
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
        ("ValidationException", 400),
        ("ServiceQuotaExceededException", 400),
        ("ConflictException", 400),
        ("ModelTimeoutException", 408),
        ("ModelErrorException", 424),
        ("ModelStreamErrorException", 424),
        ("ModelNotReadyException", 429),
        ("ThrottlingException", 429),
        ("InternalServerException", 500),
        ("ServiceUnavailableException", 503),
        ("UnrecognizedClientException", 403),
    ];
    for (name, status) in expected {
        assert_eq!(Exception::from_name(name).status(), Some(status), "{name}");
    }
    assert_eq!(
        Exception::from_name("brandNewException"),
        Exception::Unknown("BrandNewException".into())
    );
}

#[test]
fn an_error_answer_keeps_name_message_id_and_retry_after() {
    let headers = headers(&[
        ("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/coral/x/"),
        ("x-amzn-requestid", "abc"),
        ("retry-after", "7"),
    ]);
    let error = service(ServiceError::read(
        429,
        headers,
        Bytes::from_static(b"{\"Message\":\"Too many requests\"}"),
    ));
    assert_eq!(error.exception, Exception::Throttling);
    assert_eq!(error.message, "Too many requests");
    assert_eq!(error.request_id.as_deref(), Some("abc"));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn the_body_names_the_exception_if_the_header_does_not() {
    let body = br#"{"__type":"com.amazon#ValidationException","message":"bad"}"#;
    let error = service(ServiceError::read(400, HeaderMap::new(), Bytes::from_static(body)));
    assert_eq!((error.exception, error.message.as_str()), (Exception::Validation, "bad"));
    let body = br#"{"code":"ExpiredTokenException","message":"m"}"#;
    let error = service(ServiceError::read(403, HeaderMap::new(), Bytes::from_static(body)));
    assert_eq!(error.exception, Exception::ExpiredToken);
    let body = br#"{"message":"Forbidden","code":17}"#;
    let error = service(ServiceError::read(403, HeaderMap::new(), Bytes::from_static(body)));
    assert_eq!(error.exception, Exception::Unknown(String::new()));
}

#[test]
fn a_page_of_a_proxy_is_not_a_service_error() {
    let page = format!("<html>{}</html>", "é".repeat(400));
    match ServiceError::read(502, headers(&[("retry-after", "2")]), page.into()) {
        Failure::Protocol(ProtocolError::ErrorPage { status, excerpt, retry_after }) => {
            assert_eq!((status, excerpt.chars().count()), (502, 200));
            assert_eq!(retry_after, Some(Duration::from_secs(2)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_body_with_the_type_header_is_a_service_error() {
    let headers = headers(&[("x-amzn-errortype", "ServiceUnavailableException")]);
    let error = service(ServiceError::read(503, headers, Bytes::new()));
    assert_eq!(error.exception, Exception::ServiceUnavailable);
}

#[test]
fn an_in_stream_exception_gets_its_status_from_the_table() {
    let payload = Bytes::from_static(
        br#"{"message":"boom","originalStatusCode":529,"originalMessage":"overloaded"}"#,
    );
    let error = ServiceError::from_event("modelStreamErrorException", &payload);
    assert_eq!((error.status, error.original_status), (424, Some(529)));
    assert_eq!(error.message, "boom");
    assert_eq!(ServiceError::from_event("newException", &Bytes::new()).status, 500);
}

#[test]
fn retry_after_is_read_in_seconds_or_as_a_date() {
    let date = ("date", "Fri, 27 Nov 2026 10:00:00 GMT");
    let aws = ("x-amz-retry-after", "1500");
    for (told, wait) in [
        (vec![("retry-after", "7")], Some(7000)),
        (vec![("retry-after", " 0.5 ")], Some(500)),
        (vec![("retry-after", "-3")], Some(0)),
        (vec![("retry-after", "Fri, 27 Nov 2026 10:00:09 GMT"), date], Some(9000)),
        (vec![("retry-after", "Fri, 27 Nov 2026 09:59:59 GMT"), date], Some(0)),
        (vec![("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")], Some(0)),
        (vec![("retry-after", "soon")], None),
        (vec![("retry-after", "soon"), aws], Some(1500)),
        (vec![("retry-after", "inf")], None),
        (vec![("retry-after", "nan")], Some(0)),
        (vec![aws], Some(1500)),
        (vec![], None),
    ] {
        let found = retry_after(&headers(&told));
        assert_eq!(found.map(|wait| wait.as_millis()), wait, "{told:?}");
    }
}

#[test]
fn errors_in_the_envelope_of_other_apis_are_the_services() {
    let read = |status, body: &'static str| {
        ServiceError::read(status, HeaderMap::new(), Bytes::from_static(body.as_bytes()))
    };
    let openai = r#"{"error":{"message":"The model 'x' does not exist","type":"invalid_request_error","code":"model_not_found","param":null}}"#;
    let anthropic = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    for (status, body, exception, message) in [
        (404, openai, Exception::ResourceNotFound, "The model 'x' does not exist"),
        (400, openai, Exception::Validation, "The model 'x' does not exist"),
        (429, anthropic, Exception::Throttling, "slow down"),
    ] {
        let error = service(read(status, body));
        assert_eq!(
            (error.status, &error.exception, &*error.message),
            (status, &exception, message)
        );
    }
    for page in [r#"{"error":"bad gateway"}"#, r#"{"error":{"status":502}}"#] {
        let page = read(502, page);
        assert!(matches!(page, Failure::Protocol(ProtocolError::ErrorPage { .. })), "{page:?}");
    }
}
