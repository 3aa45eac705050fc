//! Addresses that may be connected to for a caller's URL: the public unicast internet, unless the operator
//! allows more. An allow list, because a deny list would miss the metadata service of some environment.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses of one prefix, as in `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    network: IpAddr,
    bits: u8,
}

impl Range {
    const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Self {
        Self { network: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
    }

    const fn v6(a: u16, b: u16, bits: u8) -> Self {
        Self { network: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), bits }
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Range {
    type Err = ();

    /// Parses a prefix, or a single address.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (network, bits) =
            text.split_once('/').map_or((text, None), |(network, bits)| (network, Some(bits)));
        let network: IpAddr = network.parse().map_err(|_| ())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| ())?;
        if bits > most { Err(()) } else { Ok(Self { network, bits }) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

/// Ranges of IPv4 that are not public.
const PRIVATE_V4: [Range; 15] = [
    Range::v4(0, 0, 0, 8),
    Range::v4(10, 0, 0, 8),
    Range::v4(100, 64, 0, 10),
    Range::v4(127, 0, 0, 8),
    Range::v4(169, 254, 0, 16),
    Range::v4(172, 16, 0, 12),
    Range::v4(192, 0, 0, 24),
    Range::v4(192, 0, 2, 24),
    Range::v4(192, 88, 99, 24),
    Range::v4(192, 168, 0, 16),
    Range::v4(198, 18, 0, 15),
    Range::v4(198, 51, 100, 24),
    Range::v4(203, 0, 113, 24),
    Range::v4(224, 0, 0, 4),
    Range::v4(240, 0, 0, 4),
];

/// The allocated part of IPv6; addresses that map IPv4 ones (mapped, NAT64) are outside of it.
const GLOBAL_V6: Range = Range::v6(0x2000, 0, 3);

/// Ranges within it that are not public: Teredo and its neighbours, documentation, 6to4.
const PRIVATE_V6: [Range; 4] = [
    Range::v6(0x2001, 0, 23),
    Range::v6(0x2001, 0xdb8, 32),
    Range::v6(0x2002, 0, 16),
    Range::v6(0x3fff, 0, 20),
];

pub(super) fn is_public(address: IpAddr) -> bool {
    let within = |ranges: &[Range]| ranges.iter().any(|range| range.holds(address));
    match address {
        IpAddr::V4(_) => !within(&PRIVATE_V4),
        IpAddr::V6(_) => GLOBAL_V6.holds(address) && !within(&PRIVATE_V6),
    }
}

#[cfg(test)]
mod tests {
    use super::super::MediaSettings;
    use super::*;

    #[test]
    fn ranges_are_parsed_and_contain_their_addresses() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::/0", "2a00::1", "1.1.1.1"),
        ] {
            let range: Range = range.parse().unwrap();
            assert!(range.holds(inside.parse().unwrap()), "{range} {inside}");
            assert!(!range.holds(outside.parse().unwrap()), "{range} {outside}");
        }
        for wrong in ["10.0.0.0/33", "::/129", "10/8", "a", "", "10.0.0.0/", "1.2.3.4/-1"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_limits_of_public_ranges() {
        let settings = MediaSettings::default();
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.0.0.1",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.0.1",
            "192.169.0.0",
            "198.17.0.0",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::8888",
            "2001:200::1",
        ] {
            assert!(settings.admits(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn the_operator_widens_and_narrows() {
        let settings = MediaSettings {
            allow_private: vec!["10.1.0.0/16".parse().unwrap()],
            deny: vec!["10.1.2.0/24".parse().unwrap(), "52.0.0.0/8".parse().unwrap()],
            ..MediaSettings::default()
        };
        for (address, admitted) in
            [("10.1.1.1", true), ("10.1.2.1", false), ("10.2.0.1", false), ("52.1.1.1", false)]
        {
            assert_eq!(settings.admits(address.parse().unwrap()), admitted, "{address}");
        }
    }
}
