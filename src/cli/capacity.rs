//! `kvroute capacity`: the highest rate at which a goal holds, per router.

use super::machine::Stopwatch;
use super::progress;
use super::scenario_args::ScenarioArgs;
use clap::Args;
use kvroute::compare::{self, Prepared};
use kvroute::error::Error;
use kvroute::report::capacity as report;
use kvroute::report::run_dir::RunDir;
use kvroute::search::trial::{Seeds, Trial};
use kvroute::search::{Capacities, Goal, Search, load};
use kvroute::sim::Control;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub struct CapacityArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,

    /// What is held against the limits of --slo: mean, a percentile (p50, p99, p99.9), or goodput
    /// [default: p99]
    #[arg(long, value_name = "METRIC", help_heading = "Search")]
    metric: Option<String>,
    /// With --metric goodput: share of requests that must meet all limits
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, help_heading = "Search")]
    share: f64,
    /// Resolution of the rate
    #[arg(long, value_name = "SHARE", default_value_t = 0.03, help_heading = "Search")]
    tolerance: f64,
    /// Seeds per rate at most; --seeds is how many at first [default there: 3]
    #[arg(long, value_name = "N", default_value_t = 9, help_heading = "Search")]
    max_seeds: u32,

    /// Folder for summary.json, every rate tried in it
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Print summary.json instead of the table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing to stderr but errors
    #[arg(long, help_heading = "Output")]
    quiet: bool,
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

pub fn exec(args: &CapacityArgs) -> anyhow::Result<()> {
    let clock = Stopwatch::start();
    let Prepared { scenario, .. } = compare::prepare(args.scenario.draft()?.finish()?)?;
    let goal = Goal::parse(scenario.slo(), args.metric.as_deref(), args.share)?;
    let first = if scenario.seeds > 1 { scenario.seeds } else { 3 };
    let seeds = Seeds { first, most: args.max_seeds.max(first) };
    let search = Search { scenario: &scenario, goal, tolerance: args.tolerance, seeds };
    let dir = args.out.as_deref().map(RunDir::create).transpose()?;

    let found = run(args, &search)?;
    let summary = serde_json::to_string_pretty(&report::summary(&scenario, &goal, &found))?;
    let timing = clock.timing(compare::threads(args.threads));
    if let Some(dir) = &dir {
        dir.write("scenario.toml", scenario.to_toml().as_bytes())?;
        dir.write("summary.json", summary.as_bytes())?;
        dir.write("timing.json", &serde_json::to_vec_pretty(&timing)?)?;
    }
    let text = if args.json { summary } else { report::render(&scenario, &goal, &found) };
    super::print(&text)?;
    if !args.quiet {
        eprintln!("kvroute: {}", timing.line());
    }
    Ok(())
}

fn run(args: &CapacityArgs, search: &Search) -> anyhow::Result<Capacities> {
    let control = Arc::new(Control::default());
    progress::stop_on_ctrl_c(&control)?;
    let suffix = load::rate(search.scenario)?.1.suffix();
    let watch = |router: &str, trial: &Trial| {
        if !args.quiet {
            eprintln!("kvroute: {}", report::trial_line(&search.goal, suffix, router, trial));
        }
    };
    let pool = compare::pool(compare::threads(args.threads))?;
    let modes = &search.scenario.router.mode;
    let found: Result<Capacities, Error> = pool.install(|| search.run(modes, &control, &watch));
    Ok(found?)
}
