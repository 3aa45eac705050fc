//! The `outcrop` binary: read the command line, run, exit with a code that says how it went.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    outcrop::drop_blank_variables();
    outcrop::run(outcrop::Cli::parse())
}
