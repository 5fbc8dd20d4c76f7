//! Options that override scenario keys: shared by every command that runs a scenario.

use super::load_args::LoadArgs;
use clap::{ArgAction, Args, ValueEnum};
use kvroute::error::{Error, Result};
use kvroute::scenario::{Draft, Engine, EvictionKind, TraceFormat};
use kvroute::units::Nanos;
use std::path::Path;
use toml::Value;

#[derive(Args)]
pub struct ScenarioArgs {
    /// Bundled workload (shared-prefix, multi-turn, similar, diverse, agentic, mixed), scenario
    /// file (*.toml) or trace file (*.jsonl, *.csv, *.json, .gz accepted)
    #[arg(default_value = "shared-prefix")]
    pub workload: String,

    /// Seed of every random stream [default: 42]
    #[arg(long, value_name = "N", visible_alias = "random-seed", help_heading = "Run")]
    seed: Option<u64>,
    /// Replicates with seeds SEED, SEED + 1, ...; the table then shows paired differences with 95 %
    /// intervals [default: 1]
    #[arg(long, value_name = "N", help_heading = "Run")]
    seeds: Option<u32>,
    /// Limits for goodput in ms, any of "ttft:500 itl:50 e2e:5000"
    #[arg(long, value_name = "LIMITS", help_heading = "Run")]
    slo: Option<String>,
    /// Run and do not measure what arrives first: a share of the requests (of --duration where given;
    /// 10%), a number ("500 requests") or a time (30s) [default: measure everything]
    #[arg(long, value_name = "WARM_UP", help_heading = "Run")]
    warm_up: Option<String>,
    /// Override any scenario key (repeatable), for example --set cluster.host_ms=1
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, help_heading = "Run")]
    set: Vec<String>,

    /// Workers [default: 4]
    #[arg(long, value_name = "N", help_heading = "Cluster")]
    workers: Option<u32>,
    /// Tokens per KV block [default: 16]
    #[arg(long, value_name = "N", help_heading = "Cluster")]
    pub(super) block_tokens: Option<u32>,
    /// KV blocks per worker [default: what the preset's GPU holds]
    #[arg(long, value_name = "N", visible_alias = "num-gpu-blocks", help_heading = "Cluster")]
    kv_blocks: Option<u32>,
    /// Token budget of a scheduler step [default: 8192]
    #[arg(
        long,
        value_name = "N",
        visible_alias = "max-num-batched-tokens",
        help_heading = "Cluster"
    )]
    max_batched_tokens: Option<u32>,
    /// Running requests per worker at most [default: 256]
    #[arg(long, value_name = "N", visible_alias = "max-num-seqs", help_heading = "Cluster")]
    max_seqs: Option<u32>,
    /// Whose scheduler rules [default: vllm]
    #[arg(long, help_heading = "Cluster")]
    engine: Option<Engine>,
    /// Latency preset (see `kvroute presets`) or file [default: llama-3.1-8b-h100]
    #[arg(long, value_name = "PRESET|FILE", help_heading = "Cluster")]
    latency: Option<String>,
    /// Which free cached block is reused first [default: lru]
    #[arg(long, help_heading = "Cluster")]
    eviction: Option<EvictionKind>,

    /// Routers to compare, comma separated: kv, kv-linear, round-robin, random, least-loaded,
    /// power-of-two, oracle-shared-cache [default: kv,round-robin,random]
    #[arg(long, value_name = "A[,B...]", help_heading = "Router")]
    router_mode: Option<String>,
    /// Overlap weight of kv and kv-linear [default: 1.0]
    #[arg(
        long,
        value_name = "W",
        visible_alias = "router-prefill-load-scale",
        help_heading = "Router"
    )]
    kv_overlap_score_weight: Option<f64>,
    /// Softmax temperature of kv and kv-linear; 0 takes the best [default: 0.0]
    #[arg(long, value_name = "T", help_heading = "Router")]
    router_temperature: Option<f64>,
    /// Index from workers' KV events, or (false) from the router's own decisions [default: true]
    #[arg(long, value_name = "BOOL", visible_alias = "use-kv-events", help_heading = "Router")]
    kv_events: Option<bool>,
    /// Routers see loads as polled from the workers' metrics every so often (50ms) [default: as counted
    /// by the router itself]
    #[arg(long, value_name = "TIME", help_heading = "Router")]
    router_metrics_interval: Option<String>,

    #[command(flatten)]
    load: LoadArgs,

    /// Replay a trace so many times faster [default: 1]
    #[arg(long, value_name = "X", visible_alias = "replay-speedup", help_heading = "Trace")]
    speedup: Option<f64>,
    /// Format of the trace [default: detected]
    #[arg(long, help_heading = "Trace")]
    trace_format: Option<TraceFormat>,
    /// Skip what arrives earlier than this after the trace's first arrival (600s, 10m)
    #[arg(long, value_name = "T", help_heading = "Trace")]
    start: Option<String>,
    /// At most so many requests of the trace
    #[arg(long, value_name = "N", help_heading = "Trace")]
    limit: Option<u64>,
    /// Accept a trace whose timestamps go back, and sort it
    #[arg(long, help_heading = "Trace")]
    sort_arrivals: bool,
    /// Count and report malformed trace lines instead of refusing them
    #[arg(long, help_heading = "Trace")]
    skip_bad_lines: bool,
}

impl ScenarioArgs {
    /// The scenario named, with every option applied.
    pub fn draft(&self) -> Result<Draft> {
        let mut draft = Draft::load(&self.workload)?;
        for (key, value) in self.plain()? {
            if let Some(value) = value {
                draft.set(key, value)?;
            }
        }
        self.load.apply(&mut draft)?;
        for assignment in &self.set {
            draft.set_text(assignment)?;
        }
        Ok(draft)
    }

    /// Whether an option names the latency: what a scenario says may be its default.
    #[cfg(feature = "live")]
    pub fn names_latency(&self) -> bool {
        let set = |assignment: &String| assignment.trim_start().starts_with("cluster.latency");
        self.latency.is_some() || self.set.iter().any(set)
    }

    /// Options that stand for one key each.
    fn plain(&self) -> Result<Vec<(&'static str, Option<Value>)>> {
        let start = self.start.as_deref().map(|text| time("start", text)).transpose()?;
        let polled = self.router_metrics_interval.as_deref();
        let polled = polled.map(|text| time("router-metrics-interval", text)).transpose()?;
        Ok(vec![
            ("seed", self.seed.map(whole)),
            ("seeds", self.seeds.map(whole)),
            ("slo", self.slo.clone().map(Value::String)),
            ("metrics.warm_up", self.warm_up.clone().map(Value::String)),
            ("cluster.workers", self.workers.map(whole)),
            ("cluster.block_tokens", self.block_tokens.map(whole)),
            ("cluster.kv_blocks", self.kv_blocks.map(whole)),
            ("cluster.max_batched_tokens", self.max_batched_tokens.map(whole)),
            ("cluster.max_seqs", self.max_seqs.map(whole)),
            ("cluster.engine", self.engine.and_then(name)),
            ("cluster.latency", self.latency.clone().map(Value::String)),
            ("cluster.eviction", self.eviction.and_then(name)),
            ("router.mode", self.router_mode.clone().map(Value::String)),
            ("router.kv.overlap_weight", self.kv_overlap_score_weight.map(Value::Float)),
            ("router.kv.temperature", self.router_temperature.map(Value::Float)),
            ("router.kv.events", self.kv_events.map(Value::Boolean)),
            ("router.metrics_interval", polled),
            ("workload.speedup", self.speedup.map(Value::Float)),
            ("workload.trace_format", self.trace_format.and_then(name)),
            ("workload.start", start),
            ("workload.limit", self.limit.map(whole)),
            ("workload.sort_arrivals", self.sort_arrivals.then_some(Value::Boolean(true))),
            ("workload.skip_bad_lines", self.skip_bad_lines.then_some(Value::Boolean(true))),
        ])
    }
}

/// Numbers beyond TOML's range (seeds of 64 bits) are cut to it by the scenario's own check.
pub(super) fn whole(number: impl Into<u64>) -> Value {
    Value::Integer(i64::try_from(number.into()).unwrap_or(i64::MAX))
}

fn name(value: impl ValueEnum) -> Option<Value> {
    value.to_possible_value().map(|name| Value::String(name.get_name().into()))
}

/// A time given to option `--name`; a bare number is seconds.
pub(super) fn time(name: &str, text: &str) -> Result<Value> {
    nanos(name, text).map(|time| Value::String(time.to_string()))
}

/// The same as a number.
pub(super) fn nanos(name: &str, text: &str) -> Result<Nanos> {
    let seconds = text.parse::<f64>().is_ok();
    let time = Nanos::parse(&if seconds { format!("{text}s") } else { text.into() });
    time.map_err(|why| Error::input(format!("--{name}: {why}")))
}

/// What the results of a workload are called: its name, or that of its file up to the first dot.
pub(super) fn stem(workload: &Path) -> &str {
    let name = workload.file_name().and_then(|name| name.to_str()).unwrap_or("run");
    name.split('.').next().unwrap_or(name)
}
