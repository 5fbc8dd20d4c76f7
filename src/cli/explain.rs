//! `kvroute explain`: why a request went where it went.

use clap::Args;
use kvroute::report::explain::{self, Query};
use std::io;
use std::path::PathBuf;

#[derive(Args)]
pub struct ExplainArgs {
    /// Folder of a run made with --decisions, simulated or live
    run_dir: PathBuf,
    /// Request to explain; without it, the ten costliest decisions
    #[arg(long, value_name = "ID")]
    request: Option<u64>,
    /// Only this router
    #[arg(long, value_name = "MODE")]
    router: Option<String>,
    /// Only this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub fn exec(args: &ExplainArgs) -> anyhow::Result<()> {
    let query = Query { request: args.request, router: args.router.clone(), seed: args.seed };
    explain::explain(&mut io::stdout().lock(), &args.run_dir, &query)?;
    Ok(())
}
