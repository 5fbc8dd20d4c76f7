//! `kvroute sweep`: many settings, each under several seeds; `kvroute sweep merge` joins shards.

use super::machine::Stopwatch;
use super::progress;
use super::sweep_options::SweptOptions;
use clap::{ArgAction, Args, Subcommand};
use kvroute::compare;
use kvroute::error::{Error, Result};
use kvroute::report::run_dir::RunDir;
use kvroute::report::sweep::journal::{self, Head, Journal};
use kvroute::report::sweep::{self as files, merge};
use kvroute::scenario::value_of;
use kvroute::sim::Control;
use kvroute::sweep::metric::find;
use kvroute::sweep::run::{Options, Rows, pending_requests};
use kvroute::sweep::{self, Better, METRICS, Row, Shard, Spec, Sweep, Table};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SweepArgs {
    #[command(subcommand)]
    command: Option<SweepCommand>,

    /// Sweep file (*.toml), or a workload to sweep by options: bundled name, scenario file, trace
    #[arg(value_name = "SWEEP.toml|WORKLOAD")]
    sweep: Option<String>,

    #[command(flatten)]
    options: SweptOptions,

    /// Sweep or set any scenario key (repeatable): --set cluster.workers=2,4,8
    #[arg(long, value_name = "KEY=LIST", action = ArgAction::Append, help_heading = "Sweep")]
    set: Vec<String>,
    /// Replicates: every point sees seeds SEED, SEED + 1, ... [default: the sweep's own, or 1]
    #[arg(long, value_name = "N", help_heading = "Sweep")]
    seeds: Option<u32>,
    /// First seed [default: the workload's own]
    #[arg(long, value_name = "N", help_heading = "Sweep")]
    seed: Option<u64>,
    /// Trace to replay, for a sweep file that names no workload
    #[arg(long, value_name = "FILE", help_heading = "Sweep")]
    trace: Option<String>,
    /// Settings of the point that others are compared with (repeatable) [default: the first point]
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, help_heading = "Sweep")]
    baseline: Vec<String>,
    /// What the table ranks by, a column of points.csv [default: ttft_p99_ms]
    #[arg(long, value_name = "NAME", help_heading = "Sweep")]
    metric: Option<String>,
    /// The same for a metric of which more is better: --maximize goodput (needs --slo)
    #[arg(long, value_name = "NAME", conflicts_with = "metric", help_heading = "Sweep")]
    maximize: Option<String>,
    /// No more seeds for a cell once the 95 % interval of the metric is this narrow, like 2%
    #[arg(long, value_name = "WIDTH", help_heading = "Sweep")]
    stop_when_within: Option<String>,

    /// Go on with an interrupted sweep: run only what its folder does not have
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// Run every N-th point, beginning with number I; `kvroute sweep merge` joins the shards
    #[arg(long, value_name = "I/N", help_heading = "Run")]
    shard: Option<String>,
    /// Threads at most; results do not depend on it [default: one per core]
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Run"
    )]
    threads: usize,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args)]
struct OutputArgs {
    /// Folder for the results [default: out/NAME]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Draw no plots
    #[arg(long, help_heading = "Output")]
    no_plots: bool,
    /// Print summary.json instead of the table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Print nothing to stderr but errors
    #[arg(long, help_heading = "Output")]
    quiet: bool,
}

#[derive(Subcommand)]
enum SweepCommand {
    /// Put the shards of one sweep together: the files of a run without shards, byte for byte
    Merge(MergeArgs),
}

#[derive(Args)]
struct MergeArgs {
    /// Folders of all shards
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

impl SweepArgs {
    /// The sweep asked for: the file, with what the options say on top.
    fn spec(&self) -> Result<Spec> {
        let mut spec = self.file_or_workload()?;
        if self.trace.is_some() {
            spec.workload.clone_from(&self.trace);
        }
        for (key, text) in self.options.given() {
            spec.put(key, SweptOptions::values(key, text)?)?;
        }
        for assignment in &self.set {
            let (key, text) = split(assignment, "--set cluster.workers=2,4,8")?;
            spec.put(key, SweptOptions::values(key, text)?)?;
        }
        spec.seeds = self.seeds.unwrap_or(spec.seeds);
        spec.seed = self.seed.or(spec.seed);
        spec.metric = self.ranks_by()?.unwrap_or(spec.metric);
        spec.stop_when_within = self.stop_when_within.clone().or(spec.stop_when_within);
        for assignment in &self.baseline {
            let (key, text) = split(assignment, "--baseline router.kv.temperature=0")?;
            spec.baseline.insert(key.into(), value_of(text));
        }
        Ok(spec)
    }

    /// The metric that --metric or --maximize names.
    fn ranks_by(&self) -> Result<Option<String>> {
        if let Some(name) = &self.maximize
            && METRICS[find(name)?].better != Better::Higher
        {
            return Err(Error::input(format!(
                "--maximize {name}: more of it is not better; rank by it with --metric {name}"
            )));
        }
        Ok(self.metric.clone().or(self.maximize.clone()))
    }

    fn file_or_workload(&self) -> Result<Spec> {
        let name = match (&self.sweep, &self.trace) {
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => {
                return Err(Error::input(
                    "no sweep given; name a sweep file, or a workload with options to sweep, for \
                     example kvroute sweep multi-turn --router-temperature 0,0.1,0.5",
                ));
            }
        };
        if !name.ends_with(".toml") {
            return Ok(Spec::of_workload(name));
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, why))?;
        if Spec::is_sweep(&text) { Spec::parse(&text, name) } else { Ok(Spec::of_workload(name)) }
    }

    fn out(&self) -> PathBuf {
        let name = self.sweep.as_ref().or(self.trace.as_ref()).map_or("sweep", String::as_str);
        let stem = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or("sweep");
        let stem = format!("sweep-{}", stem.split('.').next().unwrap_or(stem));
        self.output.out.clone().unwrap_or_else(|| Path::new("out").join(stem))
    }

    /// Refuses what would lose results.
    fn rows_of_before(&self, out: &Path, head: &Head) -> Result<Option<journal::Found>> {
        let Some(found) = journal::read(out)? else { return Ok(None) };
        let place = out.join(journal::NAME);
        let place = place.display();
        if !self.resume {
            return Err(Error::input(format!(
                "{place} holds {} rows of an earlier sweep; go on with --resume, or choose another \
                 --out",
                found.rows.len()
            )));
        }
        if found.head != *head {
            return Err(Error::input(format!(
                "{place} belongs to another sweep, shard or version of kvroute, or its workload has \
                 changed; choose another --out, or repeat the sweep as it was"
            )));
        }
        Ok(Some(found))
    }
}

fn split<'a>(assignment: &'a str, example: &str) -> Result<(&'a str, &'a str)> {
    let parts = assignment.split_once('=').map(|(key, text)| (key.trim(), text));
    parts.ok_or_else(|| {
        Error::input(format!("{assignment}: write key=value, for example {example}"))
    })
}

pub fn exec(args: &SweepArgs) -> anyhow::Result<()> {
    match &args.command {
        Some(SweepCommand::Merge(args)) => merge(args),
        None => run(args),
    }
}

fn merge(args: &MergeArgs) -> anyhow::Result<()> {
    let clock = Stopwatch::start();
    let out = args.output.out.clone().unwrap_or_else(|| Path::new("out").join("merged"));
    let (head, table) = merge::read(&args.folders)?;
    if journal::read(&out)?.is_some() {
        return Err(Error::input(format!(
            "{} holds a sweep already; choose another --out",
            out.display()
        ))
        .into());
    }
    let dir = RunDir::create_for(&out, files::RESULTS)?;
    finish(&dir, &head, &table, &args.output, &clock, 1)
}

fn run(args: &SweepArgs) -> anyhow::Result<()> {
    let clock = Stopwatch::start();
    let shard = args.shard.as_deref().map_or(Ok(Shard::WHOLE), Shard::parse)?;
    let sweep = sweep::prepare::prepare(args.spec()?)?;
    let head = Head::new(&sweep.definition, shard);
    let found = args.rows_of_before(&args.out(), &head)?;
    let dir = RunDir::create_for(&args.out(), files::RESULTS)?;
    let journal = Journal::open(&dir, &head, found.as_ref())?;
    if !args.output.quiet {
        sweep.notes.iter().for_each(|note| eprintln!("kvroute: {note}"));
    }
    let done = found.map(|found| found.rows).unwrap_or_default();
    let threads = compare::threads(args.threads);
    let (rows, interrupted) = work(args, &sweep, &journal, done, (shard, threads))?;
    drop(journal);
    if interrupted {
        anyhow::bail!("interrupted; what is done is kept, go on with --resume");
    }
    let table = Table::new(sweep.plan, rows);
    finish(&dir, &head, &table, &args.output, &clock, threads)
}

/// Runs what is not done, under a progress bar; also says whether it was interrupted.
fn work(
    args: &SweepArgs,
    sweep: &Sweep,
    journal: &Journal,
    done: Rows,
    (shard, threads): (Shard, usize),
) -> anyhow::Result<(Rows, bool)> {
    let control = Arc::new(Control::default());
    progress::stop_on_ctrl_c(&control)?;
    let on_row = |row: &Row| journal.add(row, &sweep.plan);
    let options = Options { shard, threads, control: &control, on_row: &on_row };
    let total = pending_requests(sweep, shard, &done);
    let rows = progress::with_bar(total, args.output.quiet, &control, || {
        sweep::run(sweep, done, options)
    })?;
    Ok((rows, control.stop.load(Ordering::Relaxed)))
}

fn finish(
    dir: &RunDir,
    head: &Head,
    table: &Table,
    output: &OutputArgs,
    clock: &Stopwatch,
    threads: usize,
) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(|| files::write(dir, head, table, !output.no_plots))?;
    let timing = clock.timing(threads);
    dir.write("timing.json", &serde_json::to_vec_pretty(&timing)?)?;
    if output.json {
        super::print(&std::fs::read_to_string(dir.path("summary.json"))?)?;
    } else {
        super::print(&files::render(table, head)?)?;
    }
    if !output.quiet {
        eprintln!("kvroute: wrote {} in {}", dir.path("").display(), timing.line());
    }
    let failed = (0..table.cells().len()).filter(|cell| table.failure(*cell).is_some()).count();
    if failed > 0 {
        anyhow::bail!(
            "{failed} of {} cells failed; points.csv has the reasons",
            table.cells().len()
        );
    }
    Ok(())
}
