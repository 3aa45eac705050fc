//! A PostgreSQL server of the test's own: Debian's package, in a temporary folder, on a free port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Folder;

/// The account that runs it where the tests run as root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";

pub(crate) struct Server {
    binaries: PathBuf,
    folder: Folder,
    port: u16,
}

impl Server {
    /// Starts a server. Absent where none is installed; that is a failure in CI.
    pub(crate) fn start() -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "PostgreSQL is not installed");
            eprintln!(
                "note: PostgreSQL is not installed (apt-get install postgresql), its store is not tested"
            );
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { binaries, folder: Folder::new(), port };
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(&server.folder.0));
        }
        let data = server.folder.0.join("data");
        let encoding =
            ["--auth=trust", "--username=outcrop", "--encoding=UTF8", "--locale=C", "--no-sync"];
        run(server.command("initdb").arg("-D").arg(&data).args(encoding));
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={} -c fsync=off",
            server.folder.0.display()
        );
        let log = server.folder.0.join("log");
        run(server
            .command("pg_ctl")
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(log)
            .args(["-w", "-o", &options, "start"]));
        Some(server)
    }

    /// Makes a database and returns its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        let Self { port, .. } = self;
        let port_text = port.to_string();
        run(self.command("createdb").args([
            "-h",
            "127.0.0.1",
            "-p",
            &port_text,
            "-U",
            "outcrop",
            name,
        ]));
        format!("postgres://outcrop@127.0.0.1:{port}/{name}?sslmode=disable")
    }

    fn command(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", ACCOUNT, "--"]).arg(program);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.0.join("data");
        let mut stop = self.command("pg_ctl");
        // A server that has stopped by itself is stopped all the same.
        let _ = stop
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "stop"])
            .stdout(Stdio::null())
            .status();
    }
}

/// The newest installed version's programs.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found
        .into_iter()
        .rev()
        .find(|path| path.join("initdb").exists() && path.join("createdb").exists())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(output.success(), "{command:?}: {output}");
}
