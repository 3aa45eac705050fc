//! Endpoints that are this gateway: calls to one would come back for ever. It is known by its address and by
//! every name that leads there from this machine; one behind a load balancer or a container's published port is
//! not, and the mark on outgoing calls ends such a circle.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use bedrock::{Account, Service};

/// Longest wait for the addresses of one name.
const LOOKUP: Duration = Duration::from_secs(2);
/// An address of documentation's, which no machine has.
const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The first endpoint of `accounts` that is the gateway which listens at `listen`.
pub(crate) async fn find(accounts: &[Account], listen: SocketAddr) -> Option<String> {
    let mut judged = HashSet::new();
    for account in accounts {
        for service in Service::ALL {
            let endpoint = account.endpoint(service);
            let (host, port) = endpoint.host_and_port();
            let is_elsewhere = port != listen.port() || endpoint.is_aws();
            if !is_elsewhere && judged.insert(host.to_owned()) && is_own(host, listen).await {
                return Some(endpoint.to_string());
            }
        }
    }
    None
}

async fn is_own(host: &str, listen: SocketAddr) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    if let Ok(address) = bare.parse() {
        return is_own_address(address, listen.ip());
    }
    let name = bare.to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return is_own_address(Ipv4Addr::LOCALHOST.into(), listen.ip());
    }
    // A name without an address is nowhere, which the first call tells.
    match timeout(LOOKUP, lookup_host((bare, listen.port()))).await {
        Ok(Ok(mut found)) => found.any(|found| is_own_address(found.ip(), listen.ip())),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Whether a connection to `address` from this machine comes to a listener at `listen`.
fn is_own_address(address: IpAddr, listen: IpAddr) -> bool {
    let (address, listen) = (address.to_canonical(), listen.to_canonical());
    // Connecting to the unspecified address is connecting to loopback.
    let is_local = address.is_loopback() || address.is_unspecified();
    if address == listen || is_local && (listen.is_loopback() || listen.is_unspecified()) {
        return true;
    }
    listen.is_unspecified()
        && (listen.is_ipv6() || address.is_ipv4())
        && is_of_this_machine(address)
}

/// Whether an interface has the address: others cannot be bound, unless the system allows all of them.
fn is_of_this_machine(address: IpAddr) -> bool {
    let can_bind = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    can_bind(address) && !can_bind(FOREIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn the_gateway_knows_its_own_addresses_and_names() {
        for (host, listen, own) in [
            ("127.0.0.1", "127.0.0.1:4000", true),
            ("127.0.0.1", "0.0.0.0:4000", true),
            ("0.0.0.0", "127.0.0.1:4000", true),
            ("[::]", "[::]:4000", true),
            ("127.0.0.2", "0.0.0.0:4000", true),
            ("[::ffff:127.0.0.1]", "127.0.0.1:4000", true),
            ("[::ffff:10.0.0.5]", "10.0.0.5:4000", true),
            ("localhost", "[::1]:4000", true),
            ("LOCALHOST.", "127.0.0.1:4000", true),
            ("gateway.localhost", "127.0.0.1:4000", true),
            ("[::1]", "127.0.0.1:4000", true),
            ("10.0.0.5", "10.0.0.5:4000", true),
            ("10.0.0.1", "127.0.0.1:4000", false),
            ("127.0.0.1", "10.0.0.1:4000", false),
            ("192.0.2.7", "0.0.0.0:4000", false),
            ("no-such-name.invalid", "0.0.0.0:4000", false),
        ] {
            assert_eq!(is_own(host, listen.parse().unwrap()).await, own, "{host} {listen}");
        }
    }

    #[test]
    fn addresses_of_interfaces_are_this_machines() {
        // Routing picks the address that this machine would be seen by; no packet is sent.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let seen_by = socket.local_addr().unwrap().ip();
            assert!(is_own_address(seen_by, "0.0.0.0".parse().unwrap()));
            assert!(is_own_address(seen_by, "::".parse().unwrap()));
            assert!(
                !is_own_address(seen_by, "127.0.0.1".parse().unwrap()) || seen_by.is_loopback()
            );
        }
    }
}
