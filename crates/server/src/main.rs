//! The `outcrop` binary: reads the command line, runs the command, and exits with its code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    outcrop::drop_blank_variables();
    outcrop::run(outcrop::Cli::parse())
}
