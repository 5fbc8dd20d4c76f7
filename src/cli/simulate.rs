//! `kvroute simulate`: one workload, one or more routers, a comparison table.

use super::machine::Stopwatch;
use super::progress;
use super::scenario_args::{ScenarioArgs, stem};
use clap::Args;
use kvroute::compare::{self, Prepared};
use kvroute::metrics::summary::Summary;
use kvroute::report::run_dir::RunDir;
use kvroute::report::run_files::{self, RunRows};
use kvroute::report::table;
use kvroute::scenario::Scenario;
use kvroute::sim::Control;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use toml::Value;

#[derive(Args)]
pub struct SimulateArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,

    /// Folder for the results [default: out/WORKLOAD]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Draw no plots
    #[arg(long, help_heading = "Output")]
    no_plots: bool,
    /// Write decisions.jsonl, what `kvroute explain` reads
    #[arg(long, help_heading = "Output")]
    decisions: bool,
    /// Print summary.json instead of the table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing to stderr but errors
    #[arg(long, help_heading = "Output")]
    quiet: bool,
    /// Log every routing decision to stderr
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,
    /// Threads at most; results do not depend on it [default: one per core]
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Output"
    )]
    threads: usize,
}

impl SimulateArgs {
    fn prepare(&self) -> kvroute::error::Result<Prepared> {
        let mut draft = self.scenario.draft()?;
        if self.no_plots {
            draft.set("output.plots", Value::Boolean(false))?;
        }
        if self.decisions {
            draft.set("output.decisions", Value::Boolean(true))?;
        }
        compare::prepare(draft.finish()?)
    }

    fn out(&self, scenario: &Scenario) -> PathBuf {
        let named =
            scenario.trace_path().map_or(Path::new(&self.scenario.workload), PathBuf::as_path);
        self.out.clone().unwrap_or_else(|| Path::new("out").join(stem(named)))
    }
}

pub fn exec(args: &SimulateArgs) -> anyhow::Result<()> {
    let clock = Stopwatch::start();
    let Prepared { scenario, requests, note } = args.prepare()?;
    let setups = compare::setups(&scenario)?;
    let dir = RunDir::create(&args.out(&scenario))?;
    note.iter().filter(|_| !args.quiet).for_each(|note| eprintln!("kvroute: {note}"));

    let control = Arc::new(Control::default());
    progress::stop_on_ctrl_c(&control)?;
    // A log of several runs at once could not be read.
    let threads = if args.verbose { 1 } else { compare::threads(args.threads) };
    let total = requests * setups.len() as u64;
    let outputs = progress::with_bar(total, args.quiet, &control, || {
        let sink = |place, setup: &_| {
            Ok(Box::new(RunRows::create(&dir, place, setup, args.verbose)?) as _)
        };
        compare::run_all(&setups, threads, &sink, &control)
    })?;

    let runs = outputs.iter().map(|output| output.summary.clone()).collect();
    let summary = Summary { schema_version: "1", scenario, runs };
    run_files::write(&dir, &summary, &outputs)?;
    let timing = clock.timing(threads);
    dir.write("timing.json", &serde_json::to_vec_pretty(&timing)?)?;
    if args.json {
        super::print(&serde_json::to_string_pretty(&summary)?)?;
    } else {
        super::print(&table::render(&summary))?;
    }
    if !args.quiet {
        eprintln!("kvroute: wrote {} in {}", dir.path("").display(), timing.line());
    }
    if control.stop.load(Ordering::Relaxed) {
        anyhow::bail!("interrupted; requests under way are counted as unfinished");
    }
    Ok(())
}
