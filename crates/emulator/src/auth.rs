//! Authentication: signed requests and bearer keys, refused the way the AWS front end refuses them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    error::Refusal,
    options::Options,
    sigv4::{self, Authorization, Signed},
};

const TOLERANCE: i64 = 5 * 60;

/// An authenticated caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Region of the credential scope; unknown with a bearer key.
    pub(crate) region: Option<String>,
    /// Service of the credential scope; unknown with a bearer key.
    pub(crate) service: Option<String>,
    /// Account of the key, as far as the key contains it; otherwise the key itself.
    pub(crate) account: String,
}

/// Checks `request` against the credentials in `options`.
pub(crate) fn authenticate(options: &Options, request: &mut Signed<'_>) -> Result<Caller, Refusal> {
    let headers = request.headers;
    let header = |wanted: &str| {
        headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let Some(value) = header("authorization") else {
        return Err(Refusal::front(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    if let Some(key) = value.strip_prefix("Bearer ") {
        return bearer(options, key.trim());
    }
    let Some(parameters) = value.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return Err(incomplete("Authorization header requires 'Credential' parameter."));
    };
    let authorization = Authorization::parse(parameters)
        .map_err(|part| incomplete(&format!("Authorization header requires {part} parameter.")))?;
    request.timestamp = header("x-amz-date").ok_or_else(|| {
        incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    })?;
    if !authorization.signed_headers.contains(&"host") {
        return Err(invalid("'Host' must be a 'SignedHeader' in the AWS Authorization."));
    }
    if !authorization.signed_headers.contains(&"x-amz-date") {
        return Err(invalid("'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let services = request.services;
    if !services.contains(&authorization.service) {
        let service = services.first().unwrap_or(&"bedrock");
        let message = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(invalid(&message));
    }
    if !request.timestamp.starts_with(authorization.date) {
        return Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ));
    }
    fresh(request.timestamp)?;
    signed_by_known(options, &authorization, request, header("x-amz-security-token"))?;
    Ok(Caller {
        region: Some(authorization.region.to_owned()),
        service: Some(authorization.service.to_owned()),
        account: account(authorization.access_key_id),
    })
}

fn bearer(options: &Options, key: &str) -> Result<Caller, Refusal> {
    let known = options.bearer_key.as_deref().is_none_or(|expected| expected == key);
    if key.is_empty() || !known {
        return Err(Refusal::new(
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
        ));
    }
    Ok(Caller { region: None, service: None, account: key.to_owned() })
}

/// The account number that AWS writes into its access key ids, in base32 after the first four letters.
fn account(access_key_id: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digits = access_key_id.strip_prefix("AKIA").or(access_key_id.strip_prefix("ASIA"));
    let value = digits.filter(|digits| digits.len() == 16).and_then(|digits| {
        digits.bytes().take(10).try_fold(0_u64, |value, digit| {
            let position = ALPHABET.iter().position(|own| *own == digit)?;
            Some(value << 5 | u64::try_from(position).ok()?)
        })
    });
    match value {
        // Of the fifty bits, the first is a flag and the last nine belong to the key.
        Some(value) => format!("{:012}", (value & 0x1_ffff_ffff_fe00) >> 9),
        None => access_key_id.to_owned(),
    }
}

fn fresh(timestamp: &str) -> Result<(), Refusal> {
    let Some(signed) = sigv4::seconds(timestamp) else {
        return Err(incomplete("Date must be in ISO-8601 'basic format'."));
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
    let at = sigv4::timestamp(now);
    if signed < now - TOLERANCE {
        let earliest = sigv4::timestamp(now - TOLERANCE);
        return Err(invalid(&format!(
            "Signature expired: {timestamp} is now earlier than {earliest} ({at} - 5 min.)"
        )));
    }
    if signed > now + TOLERANCE {
        let latest = sigv4::timestamp(now + TOLERANCE);
        return Err(invalid(&format!(
            "Signature not yet current: {timestamp} is still later than {latest} ({at} + 5 min.)"
        )));
    }
    Ok(())
}

fn signed_by_known(
    options: &Options,
    authorization: &Authorization<'_>,
    request: &Signed<'_>,
    token: Option<&str>,
) -> Result<(), Refusal> {
    let Some(known) = &options.credentials else { return Ok(()) };
    if authorization.access_key_id != known.access_key_id || token != known.session_token.as_deref()
    {
        return Err(Refusal::front(
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    if !authorization.verify(&known.secret_access_key, request) {
        return Err(invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    Ok(())
}

fn incomplete(message: &str) -> Refusal {
    Refusal::front(403, "IncompleteSignatureException", message)
}

fn invalid(message: &str) -> Refusal {
    Refusal::front(403, "InvalidSignatureException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_account_contain_its_number() {
        assert_eq!(account("ASIAQNZGKIQY56JQ7WML"), "029608264753");
        assert_eq!(account("AKIAQNZGKIQYAAAAAAAA"), account("ASIAQNZGKIQYBBBBBBBB"));
        assert_ne!(account("AKIAQNZGKIQYAAAAAAAA"), account("AKIAY34FZKBOAAAAAAAA"));
        assert_eq!(account("AKIDEXAMPLE"), "AKIDEXAMPLE");
    }
}
