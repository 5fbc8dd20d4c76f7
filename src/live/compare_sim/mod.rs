//! The simulation of a live run, and how far it is from what was measured.
//!
//! Simulated is the same workload with the same seeds, as the workers see it (`as_server`), on a cluster
//! of the sizes that the servers tell, with the latency of a probe. Nothing of the live run goes into the
//! simulation: what it says is a prediction.

mod cluster;
mod rest;

pub use cluster::{Cluster, Taken};
pub use rest::rest;

use super::arms::Arm;
use super::as_server::AsServer;
use super::conversation::has_system_prompt;
use super::probe::Probed;
use super::recorder::LiveOutput;
use super::server_tokens::ServerTokens;
use super::summary::LiveRun;
use crate::compare;
use crate::error::Result;
use crate::metrics::recorder::RunOutput;
use crate::metrics::summary::{Distribution, RunSummary};
use crate::router::ROUTERS;
use crate::scenario::Scenario;
use crate::sim::{self, Control, NoSink, Setup};
use serde::Serialize;

/// What `summary.json` says of the simulation of its runs.
#[derive(Clone, Debug, Serialize)]
pub struct CompareSim {
    /// Latency preset or file.
    pub latency: String,
    /// How the preset was fitted; absent where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Requests of the probe.
    pub probe_requests: u64,
    /// Seconds that it took.
    pub probe_s: f64,
    /// TTFT of prompts that all endpoints get at once, over that of prompts alone.
    pub slowdown_together: Option<f64>,
    /// How the server counts our prompts.
    pub tokens: ServerTokens,
    /// The cluster that was simulated, and where its sizes come from.
    pub cluster: Cluster,
    /// One per live run that was simulated, in their order.
    pub runs: Vec<Compared>,
    /// Arms that were not, and why.
    pub not_simulated: Vec<NotSimulated>,
    /// Where the errors come from, as far as it was measured.
    pub notes: Vec<String>,
}

/// A fit of the probe's rows. Errors are medians of relative errors, of rows that the fit had not seen where
/// some were held out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Calibration {
    /// Rows of measurements.
    pub rows: usize,
    /// Rows beside those that were far off all others, as stalls of the machine are.
    pub left_out: usize,
    /// Share of their variance that is explained.
    pub r2: f64,
    /// Error of steps with prefill; `None` without any.
    pub prefill_error: Option<f64>,
    /// Error of steps without.
    pub decode_error: Option<f64>,
    /// Most prefill tokens of a step.
    pub prefill_tokens: u64,
    /// Most cached tokens of a request.
    pub context: u64,
    /// Longest prompt of the workload by our count, tokens.
    pub longest_prompt: u32,
    /// Largest decoding batch.
    pub batch: u64,
    /// Milliseconds that pass outside the engine.
    pub front_ms: f64,
}

/// A live run and its simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Router mode or arm.
    pub router: String,
    /// Mode that was simulated.
    pub mode: String,
    /// Seed of both.
    pub seed: u64,
    /// Number by number.
    pub metrics: Vec<Metric>,
    /// The simulated run.
    pub simulated: RunSummary,
    /// TTFT of its completed requests, milliseconds.
    #[serde(skip)]
    pub ttft_ms: Vec<f64>,
    /// The live run's place among all.
    #[serde(skip)]
    pub place: usize,
}

/// A number of both runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// What; as in `summary.json`.
    pub metric: &'static str,
    /// What tables call it.
    #[serde(skip)]
    pub title: &'static str,
    /// Unit of both.
    pub unit: &'static str,
    /// Measured.
    pub live: f64,
    /// Simulated.
    pub simulated: f64,
    /// Simulated against measured: percentage points of shares, else percent of what was measured.
    pub error: f64,
    /// `points` or `percent`.
    pub error_unit: &'static str,
}

/// An arm without a simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotSimulated {
    /// The arm.
    pub router: String,
    /// Why not, and what would help.
    pub why: String,
}

/// The mode and the number of workers that an arm stands for, or why it cannot be simulated.
///
/// # Errors
/// The reason, as a sentence with its cure.
pub fn stands_for(arm: &Arm, workers: u32) -> std::result::Result<(String, u32), String> {
    let endpoints = arm.targets.len() as u32;
    if let Some(mode) = &arm.router {
        return Ok((mode.clone(), endpoints));
    }
    let known = ROUTERS.iter().any(|entry| entry.name == arm.label);
    match (known && !arm.label.starts_with("oracle-"), arm.label == "live") {
        (true, _) if endpoints == 1 => Ok((arm.label.clone(), workers)),
        // Endpoints are taken in turn.
        (_, true) if endpoints > 1 => Ok(("round-robin".into(), endpoints)),
        (_, true) if workers == 1 => Ok(("round-robin".into(), 1)),
        (_, true) => Err(format!(
            "the server routes among its {workers} workers and does not say how; name its mode, for \
             example --arm kv=URL, or give --workers 1"
        )),
        (true, _) => Err(format!(
            "its {endpoints} endpoints route each by itself; give one endpoint, or the workers' own with \
             --worker"
        )),
        _ => Err(format!(
            "no router of ours is called that; the known ones are {}",
            ROUTERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Simulates one live run: `mode` over `cluster` with the step times of `latency`, under the workload
/// and `seed` of `scenario` as the server counts them. `events`: the router hears KV events.
///
/// # Errors
/// Where the scenario cannot be simulated.
pub fn simulate(
    scenario: &Scenario,
    (mode, seed, events): (&str, u64, bool),
    (cluster, workers): (&Cluster, u32),
    latency: &str,
    tokens: &ServerTokens,
    control: &Control,
) -> Result<RunOutput> {
    let mut scenario = scenario.clone();
    cluster.apply(&mut scenario.cluster);
    scenario.cluster.workers = workers;
    scenario.cluster.latency = latency.into();
    scenario.router.kv.events &= events;
    let setup = Setup::new(&scenario, mode, seed)?;
    let source = compare::open_workload(&scenario, seed)?;
    let system = has_system_prompt(&scenario.workload);
    let source = Box::new(AsServer::new(source, tokens.clone(), system));
    sim::run(&setup, source, &mut NoSink, control)
}

/// The longest prompt among the first of the workload, tokens.
///
/// # Errors
/// Where the workload cannot be read.
pub fn longest_prompt(scenario: &Scenario) -> Result<u32> {
    const LOOK_AT: u32 = 300;
    let mut source = compare::open_workload(scenario, scenario.seed)?;
    let mut longest = 1;
    for _ in 0..LOOK_AT {
        let Some(at) = source.next_arrival()? else { break };
        let request = source.take()?;
        longest = longest.max(request.prompt_tokens);
        source.on_complete(request.id, at);
    }
    Ok(longest)
}

impl Compared {
    /// `live`, run number `place`, and its simulation under `mode`.
    pub fn new(place: usize, live: &LiveOutput, mode: &str, simulated: RunOutput) -> Compared {
        let run = &live.run;
        Compared {
            router: run.label.clone(),
            mode: mode.into(),
            seed: run.seed,
            metrics: metrics(run, &simulated.summary),
            simulated: simulated.summary,
            ttft_ms: simulated.ttft_ms,
            place,
        }
    }

    /// Error of a metric, in its own unit.
    pub fn error(&self, metric: &str) -> Option<f64> {
        self.metrics.iter().find(|one| one.metric == metric).map(|one| one.error)
    }
}

impl CompareSim {
    /// What the probe found, without any run yet.
    pub fn new(
        latency: String,
        calibration: Option<Calibration>,
        probed: &Probed,
        cluster: Cluster,
    ) -> CompareSim {
        CompareSim {
            latency,
            calibration,
            probe_requests: probed.requests,
            probe_s: (probed.took.as_secs_f64() * 10.0).round() / 10.0,
            slowdown_together: probed.slowdown,
            tokens: probed.tokens.clone(),
            cluster,
            runs: Vec::new(),
            not_simulated: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// What both runs have a value for.
fn metrics(live: &LiveRun, simulated: &RunSummary) -> Vec<Metric> {
    let share = |metric, title, live: Option<f64>, simulated: f64| {
        let live = live?;
        let error = 100.0 * (simulated - live);
        Some(Metric { metric, title, unit: "share", live, simulated, error, error_unit: "points" })
    };
    let number = |metric, title, unit, live: Option<f64>, simulated: Option<f64>| {
        let (live, simulated) = (live.filter(|live| *live > 0.0)?, simulated?);
        let error = 100.0 * (simulated / live - 1.0);
        Some(Metric { metric, title, unit, live, simulated, error, error_unit: "percent" })
    };
    let ms = |metric, title, of: Times, at: fn(&Distribution) -> f64| {
        let known = |times: &Distribution| (times.count > 0).then(|| at(times));
        number(metric, title, "ms", known(of.0), known(of.1))
    };
    let completed = simulated.requests.completed > 0 && live.requests.completed > 0;
    let (ttft, itl) = (
        (&live.time_to_first_token, &simulated.time_to_first_token),
        (&live.inter_token_latency, &simulated.inter_token_latency),
    );
    let e2e = (&live.request_latency, &simulated.request_latency);
    let cache = (&live.prefix_cache, &simulated.prefix_cache);
    let expected = completed.then_some(cache.0.expected_hit_rate);
    let rate = |of: f64| Some(of);
    let all = [
        share("hit_rate", "hit rate", cache.0.hit_rate.filter(|_| completed), cache.1.hit_rate),
        share("expected_hit_rate", "expected hits", expected, cache.1.ceiling_hit_rate),
        ms("time_to_first_token_p50", "TTFT p50 (ms)", ttft, |times| times.p50),
        ms("time_to_first_token_p90", "TTFT p90 (ms)", ttft, |times| times.p90),
        ms("time_to_first_token_p99", "TTFT p99 (ms)", ttft, |times| times.p99),
        ms("inter_token_latency_p50", "ITL p50 (ms)", itl, |times| times.p50),
        ms("request_latency_p50", "E2E p50 (ms)", e2e, |times| times.p50),
        number(
            "request_throughput",
            "requests/s",
            "requests/s",
            rate(live.request_throughput.avg),
            rate(simulated.request_throughput.avg),
        ),
        number(
            "output_token_throughput",
            "output tok/s",
            "tokens/s",
            rate(live.output_token_throughput.avg),
            rate(simulated.output_token_throughput.avg),
        ),
    ];
    all.into_iter().flatten().collect()
}

/// The same latency of the live run and of the simulated one.
type Times<'a> = (&'a Distribution, &'a Distribution);

#[cfg(test)]
mod tests {
    use super::super::client::Target;
    use super::*;

    fn arm(label: &str, router: Option<&str>, endpoints: usize) -> Arm {
        let target = Target::parse("http://127.0.0.1:8000", "chat/completions", None).unwrap();
        Arm {
            label: label.into(),
            targets: vec![target; endpoints],
            router: router.map(String::from),
        }
    }

    #[test]
    fn an_arm_stands_for_its_mode_or_says_why_not() {
        let stands = |arm: &Arm, workers| stands_for(arm, workers);
        assert_eq!(stands(&arm("kv", Some("kv"), 3), 8), Ok(("kv".into(), 3)));
        assert_eq!(stands(&arm("kv", None, 1), 8), Ok(("kv".into(), 8)));
        assert_eq!(stands(&arm("live", None, 3), 8), Ok(("round-robin".into(), 3)));
        assert_eq!(stands(&arm("live", None, 1), 1), Ok(("round-robin".into(), 1)));
        for (arm, words) in [
            (arm("live", None, 1), "--workers 1"),
            (arm("kv", None, 2), "--worker"),
            (arm("mine", None, 1), "round-robin"),
            (arm("oracle-shared-cache", None, 1), "no router"),
        ] {
            let why = stands(&arm, 8).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn shares_differ_by_points_and_all_else_by_percent() {
        let mut live = LiveRun::default();
        let mut simulated = RunSummary::default();
        live.requests.completed = 2;
        simulated.requests.completed = 2;
        (live.prefix_cache.hit_rate, simulated.prefix_cache.hit_rate) = (Some(0.5), 0.53);
        let times = |p50| Distribution { p50, count: 2, ..Distribution::default() };
        live.time_to_first_token = times(100.0);
        simulated.time_to_first_token = times(80.0);
        let found = metrics(&live, &simulated);
        let error = |name| found.iter().find(|one| one.metric == name).map(|one| one.error);
        assert!((error("hit_rate").unwrap() - 3.0).abs() < 1e-9);
        assert!((error("time_to_first_token_p50").unwrap() + 20.0).abs() < 1e-9);
        assert_eq!(error("inter_token_latency_p50"), None, "nobody measured any");
        live.prefix_cache.hit_rate = None;
        assert!(metrics(&live, &simulated).iter().all(|one| one.metric != "hit_rate"));
    }
}
