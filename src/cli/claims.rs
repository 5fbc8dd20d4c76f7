//! `kvroute claims`: what is promised of KV-aware routing, measured.

use super::machine::Stopwatch;
use super::progress;
use clap::Args;
use kvroute::claims::{self, Effort};
use kvroute::compare;
use kvroute::report::claims as report;
use kvroute::report::run_dir::RunDir;
use kvroute::sim::Control;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub struct ClaimsArgs {
    /// Seeds, 2 or more
    #[arg(long, value_name = "N", default_value_t = 5)]
    seeds: u32,
    /// Requests of every run [default: each scenario's own]
    #[arg(long, value_name = "N")]
    num_requests: Option<u64>,
    /// Print the table as Markdown, as it stands in the README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Folder for summary.json and claims.md
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
    /// Print nothing to stderr but errors
    #[arg(long)]
    quiet: bool,
    /// Threads at most; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
}

pub fn exec(args: &ClaimsArgs) -> anyhow::Result<()> {
    let clock = Stopwatch::start();
    let dir = args.out.as_deref().map(RunDir::create).transpose()?;
    let control = Arc::new(Control::default());
    progress::stop_on_ctrl_c(&control)?;
    let threads = compare::threads(args.threads);
    let effort = Effort { seeds: args.seeds, requests: args.num_requests };
    let measured = compare::pool(threads)?.install(|| claims::run(effort, &control))?;

    let summary = serde_json::to_string_pretty(&report::summary(&measured, args.seeds))?;
    let table = report::render_markdown(&measured, args.seeds);
    let timing = clock.timing(threads);
    if let Some(dir) = &dir {
        dir.write("summary.json", summary.as_bytes())?;
        dir.write("claims.md", table.as_bytes())?;
        dir.write("timing.json", &serde_json::to_vec_pretty(&timing)?)?;
    }
    super::print(&match (args.json, args.markdown) {
        (true, _) => summary,
        (_, true) => table,
        _ => report::render(&measured, args.seeds),
    })?;
    if !args.quiet {
        eprintln!("kvroute: {}", timing.line());
    }
    Ok(())
}
