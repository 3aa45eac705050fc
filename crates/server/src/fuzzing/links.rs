//! What must hold of a caller's URL that would be fetched: it leads where it seems to, and not inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::media::{MediaSettings, Way, loose, way};

/// Judges a URL under the default settings, and under looser ones.
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

/// Where the URL leads, having held whatever the settings are.
fn judged(url: &str, settings: &MediaSettings) -> Option<Way> {
    let found = way(url, settings)?;
    // What is sent is what was judged.
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
    // What resolvers take for IPv4 in numbers: `2130706433`, `0x7f.1`, `0177.0.0.1`.
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.strip_prefix("0x").unwrap_or(last);
    let numeric = !last.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    assert!(!numeric, "{url:?} ends in a number");
    let plain = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase();
    assert!(name.chars().all(plain) && !name.ends_with('.'), "{url:?}");
}

/// Addresses that nobody outside can mean, as the standard library knows them.
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inner_v4(v4),
        IpAddr::V6(v6) => is_inner_v6(v6),
    }
}

fn is_inner_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || address.is_unspecified()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
}

fn is_inner_v6(address: Ipv6Addr) -> bool {
    // What stands for an IPv4 address: mapped, compatible, NAT64, 6to4.
    let embedded = matches!(
        address.segments(),
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, ..] | [0x2002, ..]
    );
    embedded
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}
