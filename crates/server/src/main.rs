//! The `outcrop` binary: read the command line, run, exit with a code that says how it went.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    outcrop::run(outcrop::Cli::parse())
}
