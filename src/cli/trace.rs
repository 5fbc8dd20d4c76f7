//! `kvroute trace`: what a trace holds, and writing a workload out as one.

use super::scenario_args::ScenarioArgs;
use anyhow::Result;
use clap::Args;
use kvroute::compare;
use kvroute::inspect::{self, Options, TouchOrder};
use kvroute::scenario::TraceFormat;
use kvroute::units::Nanos;
use kvroute::workload::trace;
use std::path::PathBuf;

/// What a trace holds: requests, lengths, arrivals, and how much of it caches could reuse.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Trace file (.jsonl, .csv, .json; .gz accepted).
    file: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// LRU capacities in blocks [default: 1 to 100 percent of the different blocks].
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    capacities: Vec<u64>,
    /// Order in which LRU caches touch the blocks of a request: last first, first first.
    #[arg(long, value_name = "ORDER", value_delimiter = ',', default_value = "rev,fwd")]
    touch_order: Vec<TouchOrder>,
    /// Numbers of workers for round robin over endless caches.
    #[arg(long, value_name = "N,M", value_delimiter = ',', default_value = "4,8",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    round_robin: Vec<u32>,
    /// Tokens in a block [default: the trace's own; 16 where it has none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    block_tokens: Option<u32>,
    /// Format of the trace; detected when absent.
    #[arg(long, value_name = "FORMAT")]
    trace_format: Option<TraceFormat>,
    /// Count malformed lines and leave them out.
    #[arg(long)]
    skip_bad_lines: bool,
    /// Sort requests whose timestamps go back.
    #[arg(long)]
    sort_arrivals: bool,
    /// Skip what arrives earlier than this after the first arrival, for example 10m.
    #[arg(long, value_name = "T", value_parser = Nanos::parse)]
    start: Option<Nanos>,
    /// At most this many requests.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Runs `kvroute trace inspect`.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let mut spec = trace::spec(&args.file);
    spec.trace_format = args.trace_format;
    spec.skip_bad_lines = args.skip_bad_lines;
    spec.sort_arrivals = args.sort_arrivals;
    spec.start = args.start;
    spec.limit = args.limit;
    let options = Options {
        block_tokens: args.block_tokens,
        capacities: args.capacities.clone(),
        orders: args.touch_order.clone(),
        round_robin: args.round_robin.clone(),
    };
    let report = inspect::inspect(&spec, &options)?;
    let text =
        if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    super::print(&text)
}

/// A workload to write out, and where.
#[derive(Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// File to write
    #[arg(long, value_name = "F.jsonl")]
    out: PathBuf,
}

/// Runs `kvroute trace generate`. Nothing is simulated: every request ends as soon as it arrives, so
/// the next turn of a session follows after its think time alone.
pub fn generate(args: &GenerateArgs) -> Result<()> {
    let scenario = compare::prepare(args.scenario.draft()?.finish()?)?.scenario;
    let mut source = compare::open_workload(&scenario, scenario.seed)?;
    let requests = trace::write_source(&args.out, source.as_mut())?;
    eprintln!("kvroute: wrote {requests} requests to {}", args.out.display());
    Ok(())
}
