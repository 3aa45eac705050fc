//! The Unix socket.

use super::super::*;
use super::Directory;

fn problems(yaml: &str, variable: Option<(&str, &str)>) -> String {
    let directory = Directory::new("socket");
    let mut sources = directory.sources(yaml);
    sources.environment.extend(variable.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Config::load(&sources).unwrap_err().to_string()
}

#[test]
fn wrong_sockets_are_named() {
    for (yaml, expected) in [
        ("socket: { path: outcrop.sock }", "an absolute path of at most 95 bytes"),
        ("socket: { only: true }", "socket.only is true, and no socket is named"),
        ("socket: { path: /run/o.sock, mode: 660 }", "octal digits in quotes"),
        ("socket: { path: /run/o.sock, mode: \"0980\" }", "octal digits in quotes"),
        ("socket: { path: /run/o.sock, mode: \"7777\" }", "octal digits in quotes"),
    ] {
        let told = problems(yaml, None);
        assert!(told.contains(expected), "{yaml}: {told}");
    }
    let long = format!("/{}", "s".repeat(95));
    assert!(problems("", Some(("OUTCROP_SOCKET", &long))).contains("OUTCROP_SOCKET"));
}

#[test]
fn the_variable_comes_before_the_file() {
    let directory = Directory::new("socket-env");
    let mut sources =
        directory.sources("socket: { path: /run/file.sock, mode: \"0600\", only: true }\n");
    sources.environment.insert("OUTCROP_SOCKET".to_owned(), "/run/told.sock".to_owned());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.socket.instead_of_port(), Some(Path::new("/run/told.sock")));
    assert_eq!(config.socket.mode.0, 0o600);
}

#[test]
fn a_socket_in_place_of_the_port_is_no_address_to_protect() {
    let directory = Directory::new("socket-only");
    let open = "listen: 0.0.0.0:4000\n";
    let load = |yaml: &str| Config::load(&directory.sources(yaml));
    assert!(load(open).unwrap_err().to_string().contains("can be reached from outside"));
    let config = load(&format!("{open}socket: {{ path: /run/o.sock, only: true }}\n")).unwrap();
    assert!(config.serves_admin_beside_models());
    assert_eq!(config.shutdown.delay, Duration::ZERO, "no load balancer has to notice");
    assert!(load(&format!("{open}socket: {{ path: /run/o.sock }}\n")).is_err());
    let told = load("shutdown: { delay: 2 }\n").unwrap();
    assert_eq!(told.shutdown.delay, Duration::from_secs(2), "a proxy of this machine may have to");
}
