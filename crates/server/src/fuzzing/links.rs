//! Properties of a caller's URL that would be fetched: it leads to the host it names, and not into the
//! internal network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::media::{MediaSettings, Way, loose, way};

/// Checks a URL under the default settings, and under looser ones.
pub(super) fn judge(url: &str) {
    if let Some(way) = judged(url, &MediaSettings::default()) {
        assert_eq!(way.uri.scheme_str(), Some("https"), "{way:?}");
        assert_eq!(way.port, 443, "{way:?}");
        assert!(way.name.as_ref().is_none_or(|name| name.contains('.')), "{way:?}");
        assert!(way.address.is_none_or(|address| !is_inner(address)), "{way:?}");
    }
    let settings = loose();
    if let Some(way) = judged(url, &settings) {
        assert!(matches!(way.uri.scheme_str(), Some("https" | "http")), "{way:?}");
        assert!(matches!(way.port, 80 | 443 | 8080), "{way:?}");
        let allowed = |address| matches!(address, IpAddr::V4(v4) if v4.octets()[..2] == [10, 1]);
        let sound = |address| allowed(address) || !is_inner(address);
        assert!(way.address.is_none_or(sound), "{way:?}");
    }
}

/// The destination of the URL, after checks that apply under all settings.
fn judged(url: &str, settings: &MediaSettings) -> Option<Way> {
    let found = way(url, settings)?;
    // The checked URL is the one that is requested.
    let written = found.uri.to_string();
    assert_eq!(way(&written, settings).as_ref(), Some(&found), "{url:?} is {written:?}");
    let host = found.uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    assert_ne!(found.name.is_some(), found.address.is_some(), "{url:?} leads to one place");
    if let Some(address) = found.address {
        assert_eq!(bare.parse(), Ok(address), "{url:?}");
    }
    if let Some(name) = &found.name {
        assert_eq!(bare, name, "{url:?}");
        sound_name(url, name);
    }
    let authority = found.uri.authority().map_or("", http::uri::Authority::as_str);
    assert!(!authority.contains('@'), "{url:?} keeps a user");
    assert!(authority.starts_with(host) && found.authority.starts_with(host), "{url:?}");
    let sound = |c: char| c.is_ascii_graphic();
    assert!(found.authority.chars().all(sound), "{url:?} would break the header");
    Some(found)
}

fn sound_name(url: &str, name: &str) {
    assert!(name.parse::<IpAddr>().is_err(), "{url:?} hides an address");
    // Numeric forms that resolvers accept as IPv4: `2130706433`, `0x7f.1`, `0177.0.0.1`.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.strip_prefix("0x").unwrap_or(last);
    let numeric = !last.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    assert!(!numeric, "{url:?} ends in a number");
    let plain = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase();
    assert!(name.chars().all(plain) && !name.ends_with('.'), "{url:?}");
}

/// Whether an address is not global unicast, by the registries of special-purpose addresses (IANA, read
/// 2026).
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inner_v4(v4),
        IpAddr::V6(v6) => is_inner_v6(v6),
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    // Only an eighth of the IPv6 space is assigned; it includes Teredo and its neighbours, 6to4, and
    // documentation addresses.
    let [first, second, ..] = address.segments();
    let is_given_out = first & 0xe000 == 0x2000;
    !is_given_out
        || (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000)
}
