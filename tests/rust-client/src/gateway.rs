//! Starts the `outcrop` binary on a free port and ends it when it is dropped.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_openai::{Client, config::OpenAIConfig};

const START: Duration = Duration::from_secs(30);

/// A running demo gateway.
pub struct Gateway {
    child: Child,
    reader: Option<JoinHandle<String>>,
    url: String,
    folder: PathBuf,
}

impl Gateway {
    /// Starts the binary that `OUTCROP_BINARY` names and waits until it listens.
    pub fn start() -> Self {
        let binary = std::env::var("OUTCROP_BINARY")
            .expect("OUTCROP_BINARY names no binary: start the suites through ./tests/run");
        let folder = own_folder();
        let mut child = Command::new(binary)
            .args(["--demo", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("HOME", &folder)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary does not start");
        let log = child.stderr.take().expect("stderr is piped");
        let (lines, received) = channel();
        let reader = std::thread::spawn(move || {
            let mut whole = String::new();
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                whole.push_str(&line);
                whole.push('\n');
                // Nobody listens any more once the address is known.
                let _ = lines.send(line);
            }
            whole
        });
        let mut gateway = Self { child, reader: Some(reader), url: String::new(), folder };
        gateway.url = address(&received);
        gateway
    }

    /// A client of this gateway.
    pub fn client(&self) -> Client<OpenAIConfig> {
        let config =
            OpenAIConfig::new().with_api_base(format!("{}/v1", self.url)).with_api_key("any");
        Client::with_config(config)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let lived = matches!(self.child.try_wait(), Ok(None));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
        let log = self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        if std::thread::panicking() || !lived {
            eprintln!("the gateway's log:\n{log}");
        }
        assert!(lived || std::thread::panicking(), "the gateway died during the test");
    }
}

/// A folder that no other gateway has.
fn own_folder() -> PathBuf {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder =
        std::env::temp_dir().join(format!("outcrop-rust-client-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    folder
}

/// The address in the first log line that names one.
fn address(lines: &Receiver<String>) -> String {
    let deadline = Instant::now() + START;
    let mut seen = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some((_, url)) = line.split_once("listening on http") {
                    // More about the start follows behind a comma.
                    let url = url.split(',').next().unwrap_or_default();
                    return format!("http{}", url.trim());
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => panic!("not listening after {START:?}:\n{seen}"),
            Err(RecvTimeoutError::Disconnected) => panic!("ended at start:\n{seen}"),
        }
    }
}
