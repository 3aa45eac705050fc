//! The `outcrop` binary: reads the command line, runs the command, and exits with its code.
// As in the library, whose futures end up here.
#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    outcrop::drop_blank_variables();
    outcrop::run(outcrop::Cli::parse())
}
