//! Flags of a gateway. LiteLLM's are taken with their meaning there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// YAML configuration file, the same as --config.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// YAML configuration file, in Outcrop's shape or LiteLLM's [env: OUTCROP_CONFIG]. Without one:
    /// ./outcrop.yaml, ~/.config/outcrop/outcrop.yaml, /etc/outcrop/outcrop.yaml, the first that is there.
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one. [default: 127.0.0.1:4000]
    #[arg(long, short, value_name = "HOST:PORT", env = "OUTCROP_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Host to listen on, in place of that of --listen or of the file.
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(crate) host: Option<IpAddr>,
    /// Port to listen on, in place of that of --listen or of the file.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Threads that serve; one per core when left out.
    #[arg(long, visible_alias = "num_workers", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Logs more, unless RUST_LOG says what to log.
    #[arg(long, visible_alias = "detailed_debug")]
    pub(crate) debug: bool,
    /// Answers from the built-in emulator instead of AWS.
    #[cfg(feature = "demo")]
    #[arg(long)]
    pub(crate) demo: bool,
    /// Serves beyond loopback although no key is configured: anybody who can connect can spend.
    #[arg(long, env = "OUTCROP_ALLOW_ANONYMOUS", value_parser = BoolishValueParser::new(), num_args = 0)]
    pub(crate) allow_anonymous: bool,
}

impl ServeArgs {
    /// The configuration file that the command line names.
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.file.as_deref().or(self.config.as_deref())
    }

    /// The only argument, where it may be a misspelled command.
    pub(crate) fn word(&self) -> Option<&str> {
        self.file.as_deref().filter(|path| !path.exists())?.to_str()
    }
}

/// An address, or a name that has one; `localhost` is IPv4's.
fn host(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let found = (text, 0).to_socket_addrs().map_err(|error| error.to_string())?.next();
    found.map(|address| address.ip()).ok_or_else(|| "the name has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("::", Some("::")),
            ("[::1]", Some("::1")),
            ("LocalHost", Some("127.0.0.1")),
            ("", None),
            ("127.0.0.1:80", None),
        ] {
            let found = host(text).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
