//! `--demo` and `emulate`: the only module of the gateway that uses the emulator.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::BoolishValueParser;
use emulator::{Options, Running};

use super::demo_accounts::{DemoAccounts, DemoError};
use super::{BAD_CONFIG, RUNTIME_FAILURE, complain, finish};
use crate::config::{Config, Sources};
use crate::state::DemoKeys;
use crate::{log, serve, shutdown};
use bedrock::{AccountKeys, AccountSecret, Settings};

/// Arguments of `outcrop emulate`.
#[derive(Debug, Args)]
pub(super) struct EmulateArgs {
    /// Address to listen on; port 0 selects a free one.
    #[arg(long, short, value_name = "HOST:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Milliseconds between the deltas of a stream.
    #[arg(long, value_name = "MS", default_value_t = 15)]
    pace: u64,
    /// Listens beyond loopback: anyone who can connect may call it, and read what others sent.
    #[arg(long, env = "OUTCROP_ALLOW_ANONYMOUS", value_parser = BoolishValueParser::new(), num_args = 0)]
    allow_anonymous: bool,
}

/// Runs the emulator until a signal comes.
pub(super) fn emulate(args: &EmulateArgs) -> ExitCode {
    log::init("info");
    if !args.listen.ip().is_loopback() && !args.allow_anonymous {
        complain(&format!(
            "outcrop: {} can be reached from outside, and an emulator asks for no keys: listen on 127.0.0.1, or pass --allow-anonymous if the network itself restricts access",
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
                ::log::info!("stopped");
                ExitCode::SUCCESS
            }
            Err(error) => {
                complain(&format!("outcrop: cannot listen on {}: {error}", args.listen));
                ExitCode::from(RUNTIME_FAILURE)
            }
        }
    })
}

/// Serves with an emulator of its own, on a free loopback port.
pub(super) async fn demonstrate(config: Config, sources: Sources, started: Instant) -> ExitCode {
    let defaults = Options::default();
    let running = match emulator::start(options(defaults.listen, defaults.pace)).await {
        Ok(running) => running,
        Err(error) => {
            complain(&format!("outcrop: cannot start the emulator: {error}"));
            return ExitCode::from(RUNTIME_FAILURE);
        }
    };
    let key = config.master_key.as_ref().map_or("unused", |_| "YOUR_MASTER_KEY");
    let accounts = match accounts(&config).await {
        Ok(accounts) => accounts,
        Err(error) => {
            complain(&format!("outcrop: the accounts of the demo: {error}"));
            return ExitCode::from(RUNTIME_FAILURE);
        }
    };
    let console = accounts.as_ref().map(|one| ConsoleKeys {
        master: one.master.reveal().to_owned(),
        key: one.key.reveal().to_owned(),
    });
    let keys =
        accounts.map(|DemoAccounts { accounts, master, key: _ }| DemoKeys { accounts, master });
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let greet = move |address: SocketAddr, admin: Option<SocketAddr>| {
        let url = format!("{scheme}://{address}");
        greet(&greeting(&url, key));
        if let (Some(admin), Some(keys)) = (admin, console) {
            greet(&console_greeting(&format!("http://{admin}"), &keys));
        }
    };
    let demo = serve::Demo { setup: setup(&running), keys, greet: Box::new(greet) };
    let code = finish(serve::until_stopped(config, sources, started, Some(demo)).await);
    running.stop().await;
    code
}

fn options(listen: SocketAddr, pace: Duration) -> Options {
    Options { listen, pace, ..Options::default() }
}

fn setup(running: &Running) -> Settings {
    Settings {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(running.url()),
        keys: Some(AccountKeys::Static {
            access_key_id: "AKIDDEMO".to_owned(),
            secret_access_key: AccountSecret::new("demo"),
            session_token: None,
        }),
        ..Settings::default()
    }
}

/// Keys that the greeting names.
struct ConsoleKeys {
    master: String,
    key: String,
}

/// Accounts of the demo's own, where the operator has configured none and strangers cannot reach it.
async fn accounts(config: &Config) -> Result<Option<DemoAccounts>, DemoError> {
    if config.master_key.is_some() || config.is_reachable() || !cfg!(feature = "console") {
        return Ok(None);
    }
    DemoAccounts::open().await.map(Some)
}

/// Writes lines to paste to stdout: the log goes to stderr.
fn greet(text: &str) {
    // A closed stdout is no reason not to serve.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn console_greeting(url: &str, keys: &ConsoleKeys) -> String {
    let ConsoleKeys { master, key } = keys;
    format!(
        r#"  The console, with two weeks of invented calls (they are gone when the demo ends):

  {url}/console/      sign in with {master}

  Calls with this key are counted there; those without any key are not:  {key}

"#
    )
}

fn greeting(url: &str, key: &str) -> String {
    // Without a key the header is of no use, and a short line is easier to read.
    let header =
        if key == "unused" { String::new() } else { format!(" -H 'authorization: Bearer {key}'") };
    let bedrock = match key {
        "unused" => "CLAUDE_CODE_SKIP_BEDROCK_AUTH=1".to_owned(),
        key => format!("AWS_BEARER_TOKEN_BEDROCK={key}"),
    };
    format!(
        r#"
Outcrop answers from its built-in emulator. Try it:

  {url}/                        in a browser

  curl {url}/v1/chat/completions{header} -H 'content-type: application/json' \
    -d '{{"model": "nova-lite", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  A question that calls a tool (the emulator calls those that the question names):

  curl {url}/v1/chat/completions{header} -H 'content-type: application/json' \
    -d '{{"model": "nova-lite", "messages": [{{"role": "user", "content": "Call get_weather for Oslo"}}],
         "tools": [{{"type": "function", "function": {{"name": "get_weather", "parameters":
           {{"type": "object", "properties": {{"city": {{"type": "string"}}}}, "required": ["city"]}}}}}}]}}'

  OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}   for any program that speaks OpenAI's API

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="{key}")
  for chunk in client.chat.completions.create(
      model="nova-lite", stream=True,
      messages=[{{"role": "user", "content": "Hello"}}]):
      print(chunk.choices[0].delta.content or "", end="")

  Claude Code, by Anthropic's API or by Bedrock's:

  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key} claude
  CLAUDE_CODE_USE_BEDROCK=1 {bedrock} AWS_REGION=us-east-1 ANTHROPIC_BEDROCK_BASE_URL={url}/bedrock claude

"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_has_the_key_where_one_is_asked_for() {
        let open = greeting("http://127.0.0.1:4000", "unused");
        for line in [
            "OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=unused ",
            "ANTHROPIC_BASE_URL=http://127.0.0.1:4000 ANTHROPIC_AUTH_TOKEN=unused claude\n",
            "CLAUDE_CODE_USE_BEDROCK=1 CLAUDE_CODE_SKIP_BEDROCK_AUTH=1 AWS_REGION=us-east-1 ANTHROPIC_BEDROCK_BASE_URL=http://127.0.0.1:4000/bedrock claude\n",
            "\"content\": \"Call get_weather for Oslo\"",
            "  http://127.0.0.1:4000/ ",
        ] {
            assert!(open.contains(line), "{line} in {open}");
        }
        assert!(!open.contains("authorization"));
        let closed = greeting("https://127.0.0.1:4000", "KEY");
        assert_eq!(closed.matches("authorization: Bearer KEY").count(), 2);
        assert!(closed.contains("AWS_BEARER_TOKEN_BEDROCK=KEY AWS_REGION"));
        assert!(closed.contains("ANTHROPIC_AUTH_TOKEN=KEY claude"));
    }
}
