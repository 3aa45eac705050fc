//! Two programs for `run.py`, each on one thread so that they leave the machine to what is measured:
//! `load upstream` answers as Bedrock does, from canned bytes; `load drive` sends requests and reports waits.

mod args;
mod canned;
mod drive;
mod frames;
mod http;
mod upstream;

use args::Args;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_default();
    let args = Args::read(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    match program.as_str() {
        "upstream" => local.block_on(&runtime, upstream::run(&args)),
        "drive" => local.block_on(&runtime, drive::run(&args)),
        other => Err(format!("no program {other:?}; there are: upstream, drive").into()),
    }
}
