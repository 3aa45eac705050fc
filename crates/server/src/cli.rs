//! The command line: commands of the binary, and its exit codes. 0 is success, 1 a failure while
//! running, 2 a configuration that cannot be used.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::{self, Config};
use crate::{log, serve, startup};
use routing::suggestions::nearest;

mod accounts;
mod check;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "demo")]
mod demo_accounts;
mod environment;
mod import_litellm;
mod keys;
mod progress;
mod spend;
mod table;

use crate::config::flags::ServeArgs;
pub use environment::drop_blank_variables;

const RUNTIME_FAILURE: u8 = 1;
const BAD_CONFIG: u8 = 2;

/// An OpenAI-compatible gateway on AWS Bedrock.
///
/// Without a file it works from the AWS environment alone: AWS_REGION and any of AWS's ways to
/// authenticate are enough.
#[derive(Debug, Parser)]
#[command(name = "outcrop", version, about, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

const EXAMPLES: &str = "Examples:
  outcrop --demo                          try it: no AWS account needed
  AWS_REGION=us-east-1 outcrop            serve every model the role may call
  outcrop outcrop.yaml --port 8080        names of your own; LiteLLM's config.yaml too
  outcrop check outcrop.yaml              what it means, and where each value comes from
  outcrop keys create --alias ana         a key, limited and counted: outcrop keys create --help
  outcrop spend --by team                 the spend of this month
  outcrop emulate --listen 127.0.0.1:4566 an offline Bedrock for your own tests";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves; the same as without a command.
    Serve(ServeArgs),
    /// Runs the offline Bedrock alone, for other programs' tests.
    #[cfg(feature = "demo")]
    Emulate(demo::EmulateArgs),
    /// Shows the effective configuration, the source of each value, and ignored keys; exits 0, or 2 if
    /// it cannot be used.
    Check(check::CheckArgs),
    /// Makes, lists, blocks and revokes keys, beside a gateway that may run.
    Keys(keys::KeysArgs),
    /// Shows requests, tokens and spend by key, team, user, customer, tag, model or day.
    Spend(spend::SpendArgs),
    /// Takes over keys, teams, users, customers, tags and budgets of a LiteLLM database, with their spend. Keys work
    /// on, and a repetition changes nothing that is here.
    ImportLitellm(import_litellm::ImportArgs),
    /// Writes the JSON Schema of the configuration file.
    Schema,
    /// Asks a running gateway whether it is ready; exits 0 if so, 1 if not.
    Healthcheck(HealthcheckArgs),
}

#[derive(Debug, Args)]
struct HealthcheckArgs {
    /// Address of the gateway.
    #[arg(
        long,
        short,
        value_name = "HOST:PORT",
        env = "OUTCROP_LISTEN",
        default_value = "127.0.0.1:4000"
    )]
    listen: SocketAddr,
}

/// Runs the command; the exit code is the process's.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        None => run_gateway(&cli.serve),
        Some(Command::Serve(args)) => run_gateway(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Keys(args)) => keys::keys(&args),
        Some(Command::Spend(args)) => spend::spend(&args),
        Some(Command::ImportLitellm(args)) => import_litellm::import(&args),
        Some(Command::Schema) => check::schema(),
        Some(Command::Healthcheck(args)) => healthcheck(args.listen),
        #[cfg(feature = "demo")]
        Some(Command::Emulate(args)) => demo::emulate(&args),
    }
}

fn run_gateway(args: &ServeArgs) -> ExitCode {
    let started = Instant::now();
    if let Some(meant) = args.word().and_then(meant_command) {
        complain(&format!(
            "outcrop: there is no such command or file; did you mean outcrop {meant}?"
        ));
        return ExitCode::from(BAD_CONFIG);
    }
    log::init(if args.debug { "debug" } else { "info" });
    let sources = config::Sources::of_process(args);
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems.to_string());
            return ExitCode::from(BAD_CONFIG);
        }
    };
    log::set_format(config.log.format);
    let runner = actix_rt::System::new();
    let code = runner.block_on(async {
        #[cfg(feature = "demo")]
        if args.demo {
            return demo::demonstrate(config, sources, started).await;
        }
        finish(serve::until_stopped(config, sources, started, None).await)
    });
    // Dropping a runtime waits for its blocking tasks, and a file or a look-up may block for ever.
    std::mem::forget(runner);
    code
}

/// The command that was meant by a word that names no file.
fn meant_command(word: &str) -> Option<String> {
    let command = Cli::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    nearest(word, names).map(ToOwned::to_owned)
}

/// The exit code of a gateway that has stopped.
fn finish(result: Result<(), startup::ServeError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("outcrop: {error}"));
            ExitCode::from(if error.is_configuration() { BAD_CONFIG } else { RUNTIME_FAILURE })
        }
    }
}

/// Implements HTTP by hand, because the probe of a container without a shell should not start a
/// runtime.
fn healthcheck(listen: SocketAddr) -> ExitCode {
    match is_ready(reachable(listen)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            complain(&format!("outcrop at {listen} is not ready"));
            ExitCode::from(RUNTIME_FAILURE)
        }
        Err(error) => {
            complain(&format!("outcrop does not answer at {listen}: {error}"));
            ExitCode::from(RUNTIME_FAILURE)
        }
    }
}

/// Replaces a wildcard address, which can be listened on but not connected to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn is_ready(address: SocketAddr) -> io::Result<bool> {
    const LIMIT: Duration = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}

/// Final errors go to stderr directly, because they must be visible under every log filter.
fn complain(text: &str) {
    // There is no other place to report a failure to.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wildcards_are_probed_on_loopback() {
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()), "127.0.0.1:1".parse().unwrap());
        assert_eq!(reachable("[::]:1".parse().unwrap()), "[::1]:1".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
