//! `--demo` and `emulate`: the only place of the gateway that knows the emulator.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use emulator::{Options, Running};

use super::{BAD_CONFIG, RUNTIME_FAILURE, complain, finish};
use crate::bedrock::{AccountKeys, AccountSecret, Setup};
use crate::config::{Config, Sources};
use crate::{log, serve, shutdown};

/// How to emulate.
#[derive(Debug, Args)]
pub(super) struct EmulateArgs {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, short, value_name = "HOST:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Milliseconds between the deltas of a stream.
    #[arg(long, value_name = "MS", default_value_t = 15)]
    pace: u64,
    /// Listens beyond loopback: anybody who can connect may call it, and read what others sent.
    #[arg(long, env = "OUTCROP_ALLOW_ANONYMOUS", value_parser = BoolishValueParser::new(), num_args = 0)]
    allow_anonymous: bool,
}

/// Runs the emulator until a signal comes.
pub(super) fn emulate(args: &EmulateArgs) -> ExitCode {
    log::init();
    if !args.listen.ip().is_loopback() && !args.allow_anonymous {
        complain(&format!(
            "outcrop: {} can be reached from outside, and an emulator asks for no keys: listen on 127.0.0.1, or pass --allow-anonymous if the network itself keeps strangers out",
            args.listen
        ));
        return ExitCode::from(BAD_CONFIG);
    }
    actix_rt::System::new().block_on(async {
        match emulator::start(options(args.listen, Duration::from_millis(args.pace))).await {
            Ok(running) => {
                ::log::info!("emulated Bedrock listening on {}", running.url());
                shutdown::signal().await;
                running.stop().await;
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&format!("outcrop: cannot listen on {}: {error}", args.listen));
                ExitCode::from(RUNTIME_FAILURE)
            }
        }
    })
}

/// Serves from an emulator of its own, on a free loopback port.
pub(super) async fn demonstrate(config: Config, sources: Sources) -> ExitCode {
    let defaults = Options::default();
    let running = match emulator::start(options(defaults.listen, defaults.pace)).await {
        Ok(running) => running,
        Err(error) => {
            complain(&format!("outcrop: cannot start the emulator: {error}"));
            return ExitCode::from(RUNTIME_FAILURE);
        }
    };
    let demo = serve::Demo { setup: setup(&running), greet: Box::new(greet) };
    let code = finish(serve::until_stopped(config, sources, Some(demo)).await);
    running.stop().await;
    code
}

fn options(listen: SocketAddr, pace: Duration) -> Options {
    Options { listen, pace, ..Options::default() }
}

fn setup(running: &Running) -> Setup {
    Setup {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(running.url()),
        keys: Some(AccountKeys::Static {
            access_key_id: "AKIDDEMO".to_owned(),
            secret_access_key: AccountSecret::new("demo"),
            session_token: None,
        }),
        ..Setup::default()
    }
}

/// Something to paste, on stdout: the log goes to stderr.
fn greet(address: SocketAddr) {
    let text = format!(
        r#"
Outcrop answers from its built-in emulator. Try it:

  curl http://{address}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model": "us.amazon.nova-lite-v1:0", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="http://{address}/v1", api_key="unused")
  for chunk in client.chat.completions.create(
      model="us.amazon.nova-lite-v1:0", stream=True,
      messages=[{{"role": "user", "content": "Hello"}}]):
      print(chunk.choices[0].delta.content or "", end="")

"#
    );
    // A closed stdout is no reason not to serve.
    let _ = io::stdout().write_all(text.as_bytes());
}
