//! A Redis server of the test's own: Debian's package, or Valkey, on a free port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than a server takes to start on a busy machine.
const START: Duration = Duration::from_secs(120);

pub(crate) struct RedisServer {
    program: String,
    port: u16,
    pub(crate) process: Option<Child>,
}

impl RedisServer {
    /// Starts a server. Absent where none is installed; that is a failure in CI.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = program() else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "Redis is not installed");
            eprintln!(
                "note: Redis is not installed (apt-get install redis-server), shared rate limits are not tested"
            );
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { program, port, process: None };
        server.go();
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/1", self.port)
    }

    /// Starts the server, again after [`RedisServer::halt`]; it forgets all then.
    pub(crate) fn go(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + START;
        while !self.answers() {
            assert!(Instant::now() < deadline, "Redis does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server.
    pub(crate) fn halt(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn answers(&self) -> bool {
        let ping = || -> std::io::Result<bool> {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.set_read_timeout(Some(START))?;
            socket.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            socket.read_exact(&mut answer)?;
            Ok(&answer == b"+PONG")
        };
        ping().unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The program that `tests/run` found, or an installed one.
fn program() -> Option<String> {
    let named = std::env::var("OUTCROP_REDIS_SERVER").ok();
    let installed = ["redis-server", "valkey-server"].map(ToOwned::to_owned);
    named.into_iter().chain(installed).find(|program| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}
