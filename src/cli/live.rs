//! `kvroute live`: a workload against real endpoints.

use super::live_doctor::{self, DoctorArgs};
use super::live_runs::Runs;
use super::live_server::ServerArgs;
use super::live_sim::{Planned, SimArgs};
use super::live_view::Ui;
use super::machine::{Stopwatch, Timing};
use super::progress;
use super::scenario_args::{ScenarioArgs, nanos, stem};
use clap::{Args, Subcommand, ValueEnum};
use kvroute::compare;
use kvroute::error::{Error, Result};
use kvroute::live::arms::{self, Arm};
use kvroute::live::client::{Reuse, Target};
use kvroute::live::connect;
use kvroute::live::options::LiveOptions;
use kvroute::live::plan;
use kvroute::live::summary::{LiveSummary, LiveTarget};
use kvroute::live::text::Texts;
use kvroute::report::live::{self as report, ExportHead};
use kvroute::report::run_dir::RunDir;
use kvroute::scenario::Scenario;
use kvroute::sim::Control;
use kvroute::units::Nanos;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::Value;

/// Other tools' files to write besides our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// profile_export.jsonl, profile_export_aiperf.json and .csv
    Aiperf,
    /// vllm.json: the flat JSON of `vllm bench serve`
    Vllm,
}

#[derive(Subcommand)]
enum LiveCommand {
    /// Find out what is wrong with the set-up: usage details, prefix caching, tokenizer, KV events,
    /// metrics, spread, clocks; each with its cure
    ///
    /// Takes the options of `kvroute live` that say where and how, sends some dozens of short requests and
    /// prints a line for each check. Exit code 0 where nothing failed, 1 where something did. The servers
    /// should be idle.
    Doctor(Box<DoctorArgs>),
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct LiveArgs {
    #[command(subcommand)]
    command: Option<LiveCommand>,
    #[command(flatten)]
    pub(super) scenario: ScenarioArgs,
    #[command(flatten)]
    pub(super) sim: SimArgs,
    #[command(flatten)]
    pub(super) server: ServerArgs,

    /// Endpoint, for example http://127.0.0.1:8000 (repeatable: requests are dealt out in turn)
    #[arg(
        long,
        short,
        required_unless_present_any = ["arm", "worker"],
        value_name = "URL",
        visible_alias = "base-url",
        help_heading = "Endpoint"
    )]
    pub(super) url: Vec<String>,
    /// A way to route that the server offers: its name and endpoint (repeatable); the arms are compared
    #[arg(long, value_name = "NAME=URL", conflicts_with_all = ["url", "worker"], help_heading = "Comparison")]
    pub(super) arm: Vec<String>,
    /// Endpoint of a worker (repeatable); kvroute itself routes, by each of --router-mode in turn
    #[arg(long, value_name = "URL", conflicts_with = "url", help_heading = "Comparison")]
    pub(super) worker: Vec<String>,
    /// Shell command that switches the router behind the only --url to mode {mode}; each of --router-mode is
    /// an arm then
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["arm", "worker"], help_heading = "Comparison")]
    pub(super) switch_command: Option<String>,
    /// Runs of each arm, under seeds SEED, SEED + 1, ... and in balanced order [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "seeds", help_heading = "Comparison")]
    runs: Option<u32>,
    /// How the servers' caches are emptied before each run: vllm, sglang, none, or a URL to POST to
    #[arg(long, value_name = "HOW", default_value = "none", help_heading = "Comparison")]
    pub(super) reset_kv_cache: String,

    /// Ask for whole answers instead of streams; there is no TTFT then
    #[arg(long, help_heading = "Endpoint")]
    no_streaming: bool,
    /// Header that carries the number of the session, for session-aware routers
    #[arg(long, value_name = "NAME", help_heading = "Endpoint")]
    session_header: Option<String>,
    /// Which connection a request takes
    #[arg(
        long,
        value_name = "STRATEGY",
        default_value = "pooled",
        visible_alias = "connection-reuse-strategy",
        help_heading = "Endpoint"
    )]
    connection: Reuse,

    /// A request fails when nothing arrives for so long
    #[arg(long, value_name = "TIME", default_value = "300s", help_heading = "Live")]
    request_timeout: String,
    /// After --duration or Ctrl-C, requests in flight have so long to end
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Live")]
    grace_period: String,
    /// Send a request again, at most so often, when the server answers 429 or 503 with Retry-After
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Live")]
    retries: u32,
    /// Exit with code 1 where a greater share of the requests failed, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, help_heading = "Live")]
    max_error_rate: f64,
    /// Time between two looks at the servers' metrics
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Live")]
    metrics_interval: String,
    /// Threads that drive requests; one is enough for some thousand requests a second
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Live")]
    threads: usize,

    /// Folder for the results [default: out/live-WORKLOAD]
    #[arg(
        long,
        value_name = "DIR",
        visible_alias = "output-artifact-dir",
        help_heading = "Output"
    )]
    out: Option<PathBuf>,
    /// Write other tools' files too
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Output")]
    pub(super) format: Vec<Format>,
    /// Draw no plots
    #[arg(long, help_heading = "Output")]
    no_plots: bool,
    /// Write decisions.jsonl, what `kvroute explain` reads; with --worker, where kvroute itself routes
    #[arg(long, help_heading = "Output")]
    decisions: bool,
    /// Print summary.json instead of the table
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// What to show while it runs [default: live on a terminal, else none]
    #[arg(long, help_heading = "Output")]
    pub(super) ui: Option<Ui>,
    /// Print nothing to stderr but errors
    #[arg(long, help_heading = "Output")]
    pub(super) quiet: bool,
}

impl LiveArgs {
    fn scenario(&self) -> Result<compare::Prepared> {
        let mut draft = self.scenario.draft()?;
        if self.no_plots {
            draft.set("output.plots", Value::Boolean(false))?;
        }
        if self.decisions {
            draft.set("output.decisions", Value::Boolean(true))?;
        }
        if let Some(runs) = self.runs {
            draft.set("seeds", Value::Integer(runs.into()))?;
        }
        let scenario = draft.finish()?;
        if scenario.output.decisions && self.worker.is_empty() {
            return Err(Error::input(
                "--decisions records kvroute's own decisions, and behind --url and --arm the server \
                 chooses; give the workers' own endpoints with --worker",
            ));
        }
        compare::prepare(scenario)
    }

    /// Where and how; the endpoints are those of all arms, each once.
    fn options(&self, arms: &[Arm], scenario: &Scenario) -> Result<LiveOptions> {
        let mut targets: Vec<Target> = Vec::new();
        for target in arms.iter().flat_map(|arm| &arm.targets) {
            if !targets.iter().any(|known| known.url == target.url) {
                targets.push(target.clone());
            }
        }
        let mut options = LiveOptions {
            metrics: self.server.metrics(&targets)?,
            targets,
            scrape_every: self.scrape_every(scenario)?,
            body: self.server.body(!self.no_streaming)?,
            api_key: self.server.api_key(),
            headers: self.server.headers()?,
            session_header: self.session_header.clone(),
            reuse: self.connection,
            cacert: self.server.cacert.clone(),
            insecure: self.server.insecure,
            request_timeout: time("request-timeout", &self.request_timeout)?,
            grace: time("grace-period", &self.grace_period)?,
            retries: self.retries,
            keep_gaps: self.format.contains(&Format::Aiperf),
            threads: self.threads.max(1),
            caches_emptied: false,
            tokenizer: self.server.tokenizer.clone(),
        };
        if self.server.model.is_none() {
            options.body.model = plan::first_model(&options)?;
        }
        Ok(options)
    }

    /// A router that goes by metrics sets the pace.
    fn scrape_every(&self, scenario: &Scenario) -> Result<Duration> {
        match scenario.router.metrics_interval {
            Some(interval) => Ok(Duration::from_nanos(interval.0)),
            None => time("metrics-interval", &self.metrics_interval),
        }
    }

    /// Which other tools' files to write.
    pub(super) fn formats(&self, head: ExportHead) -> ExportHead {
        let aiperf = self.format.contains(&Format::Aiperf);
        ExportHead { aiperf, vllm: self.format.contains(&Format::Vllm), ..head }
    }

    pub(super) fn out(&self) -> PathBuf {
        let stem = stem(Path::new(&self.scenario.workload));
        self.out.clone().unwrap_or_else(|| Path::new("out").join(format!("live-{stem}")))
    }
}

/// A time longer than 0, given to option `--name`.
fn time(name: &str, text: &str) -> Result<Duration> {
    let time = nanos(name, text)?;
    if time == Nanos::ZERO {
        return Err(Error::input(format!("--{name} must be longer than 0")));
    }
    Ok(Duration::from_nanos(time.0))
}

pub fn exec(args: &LiveArgs) -> anyhow::Result<()> {
    if let Some(LiveCommand::Doctor(args)) = &args.command {
        return live_doctor::exec(args);
    }
    let clock = Stopwatch::start();
    let compare::Prepared { scenario, requests, note } = args.scenario()?;
    let arms = args.arms(&scenario)?;
    let options = args.options(&arms, &scenario)?;
    let texts = Texts::load(options.tokenizer.as_deref())?;
    let feeds = args.feeds()?;
    // What cannot run shall not be found out after the first run.
    for arm in &arms {
        arms::choosing(arm, &scenario, scenario.seed, (&options, &texts), &feeds)?;
    }
    // A single arm finds out by itself, over the connections that it then uses.
    if arms.len() > 1 && args.switch_command.is_none() {
        connect::reach(&options)?;
    }
    note.iter().filter(|_| !args.quiet).for_each(|note| eprintln!("kvroute: {note}"));

    let control = Arc::new(Control::default());
    progress::stop_on_ctrl_c(&control)?;
    let planned = Planned::make(args, (&scenario, &arms), (&options, &texts), &control)?;
    let runs = Runs {
        args,
        scenario: &scenario,
        requests,
        options: &options,
        texts: &texts,
        arms: &arms,
        feeds: &feeds,
        dir: OnceCell::new(),
        control: &control,
    };
    let outputs = runs.all()?;
    let dir = runs.dir()?.clone();
    let events = !feeds.is_empty();
    let compare_sim = planned
        .map(|planned| planned.compare((&scenario, &arms), events, &outputs, &dir, &control))
        .transpose()?;
    let summary = LiveSummary {
        schema_version: "1",
        scenario,
        live: LiveTarget {
            routed_by: if args.worker.is_empty() { "server" } else { "kvroute" },
            ..plan::target(&options, &texts)
        },
        runs: outputs.iter().map(|output| output.run.clone()).collect(),
        compare_sim: compare_sim.flatten(),
    };
    report::write(&dir, &summary, &outputs)?;
    tell(args, &summary, &dir, &clock.timing(options.threads))?;
    verdict(&summary, args.max_error_rate)
}

/// Prints what came out, and where it lies.
fn tell(
    args: &LiveArgs,
    summary: &LiveSummary,
    dir: &RunDir,
    timing: &Timing,
) -> anyhow::Result<()> {
    dir.write("timing.json", &serde_json::to_vec_pretty(timing)?)?;
    if args.json {
        super::print(&serde_json::to_string_pretty(summary)?)?;
    } else {
        super::print(&report::table::render(summary))?;
    }
    if !args.quiet {
        eprintln!("kvroute: wrote {} in {}", dir.path("").display(), timing.line());
    }
    Ok(())
}

/// Exit code 1 where it was interrupted or too many requests failed.
fn verdict(summary: &LiveSummary, max_error_rate: f64) -> anyhow::Result<()> {
    for run in &summary.runs {
        let (failed, sent) = (run.requests.failed, run.requests.arrived);
        if run.interrupted {
            anyhow::bail!("interrupted; requests given up are counted as cancelled");
        }
        if failed as f64 > max_error_rate * sent as f64 {
            let reasons: Vec<String> =
                run.failures.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            anyhow::bail!(
                "{failed} of {sent} requests failed ({}), more than --max-error-rate {max_error_rate} \
                 allows",
                reasons.join(", ")
            );
        }
    }
    Ok(())
}
