//! `summary.json` as types: one [`RunSummary`] per router and seed.

use serde::Serialize;

/// The whole of `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Version of this format.
    pub schema_version: &'static str,
    /// The resolved scenario.
    pub scenario: crate::scenario::Scenario,
    /// One per router and seed: routers in the order of `router.mode`, seeds ascending within.
    pub runs: Vec<RunSummary>,
}

/// A distribution, in the shape of AIPerf's metric objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the standard ones")]
pub struct Distribution {
    pub unit: &'static str,
    pub avg: f64,
    pub min: f64,
    pub p1: f64,
    pub p5: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub std: f64,
    pub count: u64,
}

/// A single value with its unit, AIPerf's shape for rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Unit of `avg`.
    pub unit: &'static str,
    /// The value.
    pub avg: f64,
}

/// One router, one seed.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// Router mode.
    pub router: String,
    /// What plots and tables call it.
    pub label: String,
    /// Seed of this run.
    pub seed: u64,
    /// How requests ended.
    pub requests: RequestCounts,
    /// First arrival to last event, seconds.
    pub duration_s: f64,
    /// The queue grew without bound: latencies say nothing. See `metrics::overload`.
    pub overloaded: bool,
    /// Milliseconds, over completed requests.
    pub time_to_first_token: Distribution,
    /// Milliseconds, every gap of every request pooled.
    pub inter_token_latency: Distribution,
    /// Milliseconds, per request, requests of two output tokens or more.
    pub time_per_output_token: Distribution,
    /// Milliseconds, over completed requests.
    pub request_latency: Distribution,
    /// Milliseconds, over completed requests.
    pub queue_time: Distribution,
    /// Completed requests per second.
    pub request_throughput: Rate,
    /// Prompt tokens of completed requests per second.
    pub input_token_throughput: Rate,
    /// Output tokens of completed requests per second.
    pub output_token_throughput: Rate,
    /// Completed requests per second that met every SLO; only where SLOs are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Rate>,
    /// Cache hits.
    pub prefix_cache: PrefixCacheSummary,
    /// Balance between workers.
    pub load: LoadSummary,
    /// Quality of decisions.
    pub routing: RoutingSummary,
}

/// How requests ended; `arrived` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the contract's words")]
pub struct RequestCounts {
    pub arrived: u64,
    pub completed: u64,
    pub failed: u64,
    pub rejected: u64,
    pub cancelled: u64,
    pub unfinished: u64,
}

/// Cache hits over completed requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PrefixCacheSummary {
    /// Prompt tokens of completed requests.
    pub prompt_tokens: u64,
    /// Of these, reused at first admission.
    pub hit_tokens: u64,
    /// `hit_tokens / prompt_tokens`; 0 where nothing completed.
    pub hit_rate: f64,
    /// `hit_tokens` in blocks.
    pub hit_blocks: u64,
    /// What the router believed at the decisions; `None` where it keeps no index.
    pub predicted_hit_tokens: Option<u64>,
    /// Cached blocks reused for something else, all workers.
    pub evicted_blocks: u64,
    /// Hit rate of one infinite cache shared by all workers.
    pub ceiling_hit_rate: f64,
}

/// Balance between workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadSummary {
    /// Mean over workers of the share of time spent executing steps.
    pub busy_fraction_mean: f64,
    /// Its maximum − minimum over workers.
    pub busy_fraction_spread: f64,
    /// Its standard deviation / mean over workers; 0 where the mean is 0.
    pub busy_fraction_cv: f64,
    /// Per worker: requests routed to it.
    pub requests_per_worker: Vec<u64>,
    /// Per worker: prompt tokens and output tokens of completed requests.
    pub tokens_per_worker: Vec<u64>,
    /// Preemptions, all workers.
    pub preemptions: u64,
}

/// Quality of decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoutingSummary {
    /// Mean over decisions of best overlap anywhere − overlap of the chosen worker, blocks.
    pub regret_blocks_avg: f64,
    /// Share of decisions that took a worker with the best overlap.
    pub best_overlap_share: f64,
    /// Number of decisions.
    pub decisions: u64,
}
