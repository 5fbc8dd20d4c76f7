//! What `summary.json` says about one live run. Keys that a simulated run has too mean the same.

use super::compare_sim::CompareSim;
use super::server::ServerMetrics;
use crate::metrics::summary::{Distribution, Rate, RequestCounts};
use crate::scenario::Scenario;
use serde::Serialize;
use std::collections::BTreeMap;

/// The whole of a live run's `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct LiveSummary {
    /// Version of this format.
    pub schema_version: &'static str,
    /// The resolved scenario.
    pub scenario: Scenario,
    /// Where the load went and how; no secrets.
    pub live: LiveTarget,
    /// One per arm or router mode, and run.
    pub runs: Vec<LiveRun>,
    /// The same runs simulated; only where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_sim: Option<CompareSim>,
}

/// What was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct LiveTarget {
    /// Endpoints, in order; a request's worker is its number here, from 1.
    pub urls: Vec<String>,
    /// Model asked for.
    pub model: String,
    /// `chat` or `completions`.
    pub endpoint_type: String,
    /// Whether answers were streamed.
    pub streaming: bool,
    /// Name of the tokenizer.
    pub tokenizer: String,
    /// Who chose the workers: `kvroute`, or `server`.
    pub routed_by: &'static str,
}

/// One live run, over the requests sent after the warm-up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveRun {
    /// Router mode or arm; `live` where there is only one.
    pub router: String,
    /// What plots and tables call it.
    pub label: String,
    /// Seed of the workload.
    pub seed: u64,
    /// How requests ended; `arrived` is the number sent.
    pub requests: RequestCounts,
    /// Failed requests by reason.
    pub failures: BTreeMap<String, u64>,
    /// First send to last end, seconds.
    pub duration_s: f64,
    /// Requests that ended in the warm-up, sent and not measured.
    pub warm_up_requests: u64,
    /// Ended early by Ctrl-C or `--duration`'s grace period.
    pub interrupted: bool,
    /// From the actual send, milliseconds, completed requests.
    pub time_to_first_token: Distribution,
    /// The same from the intended send.
    pub scheduled_time_to_first_token: Distribution,
    /// First token that is no reasoning, from the actual send; only where there was reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_output_token: Option<Distribution>,
    /// Gaps between chunks, milliseconds, all requests pooled; chunks read together share theirs.
    pub inter_token_latency: Distribution,
    /// Milliseconds, per request of two output tokens or more.
    pub time_per_output_token: Distribution,
    /// Last token, from the actual send, milliseconds.
    pub request_latency: Distribution,
    /// The same from the intended send.
    pub scheduled_request_latency: Distribution,
    /// Completed requests per second.
    pub request_throughput: Rate,
    /// Prompt tokens of completed requests per second.
    pub input_token_throughput: Rate,
    /// Output tokens of completed requests per second.
    pub output_token_throughput: Rate,
    /// Completed requests per second that met every SLO; only where SLOs are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Rate>,
    /// Cache hits, expected and observed.
    pub prefix_cache: LiveCache,
    /// Lengths, planned and found.
    pub lengths: LiveLengths,
    /// Requests per endpoint, in order.
    pub load: LiveLoad,
    /// Whether our own clocks can be trusted.
    pub client: ClientHealth,
    /// What the servers' own metrics said; absent where they were not asked or gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerMetrics>,
}

/// Cache hits over completed requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveCache {
    /// Prompt tokens, the server's count where it gave one.
    pub prompt_tokens: u64,
    /// Of these, cached by the servers' `usage`; `None` where no response ever said.
    pub hit_tokens: Option<u64>,
    /// `hit_tokens / prompt_tokens`.
    pub hit_rate: Option<f64>,
    /// What one infinite cache would have held.
    pub expected_hit_tokens: u64,
    /// `expected_hit_tokens` over our own count of prompt tokens.
    pub expected_hit_rate: f64,
    /// What our own router believed cached where it sent requests; `None` where it keeps no index, or the
    /// server routes.
    pub predicted_hit_tokens: Option<u64>,
    /// `predicted_hit_tokens / prompt_tokens`.
    pub predicted_hit_rate: Option<f64>,
    /// Hit rate by the servers' counters over the run; `None` where they are not known.
    pub server_hit_rate: Option<f64>,
}

/// Lengths over completed requests, tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveLengths {
    /// Prompt tokens by our own count, mean.
    pub planned_prompt_avg: f64,
    /// By the server's count, mean; `None` where it gave none.
    pub server_prompt_avg: Option<f64>,
    /// The server's count against ours, where it gave one: 0.1 is a tenth more.
    pub prompt_difference: Option<f64>,
    /// Output tokens asked for, mean.
    pub planned_output_avg: f64,
    /// Output tokens that came, mean.
    pub output_avg: f64,
    /// Output tokens that came, all of them.
    pub output_tokens: u64,
    /// Of these, reasoning, by the server's count; 0 where it gave none.
    pub reasoning_tokens: u64,
}

/// Balance between endpoints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveLoad {
    /// Per endpoint: requests that went or should have gone there.
    pub requests_per_worker: Vec<u64>,
    /// Per endpoint: prompt and output tokens of completed requests.
    pub tokens_per_worker: Vec<u64>,
}

/// Whether the client, not the server, was the bottleneck.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientHealth {
    /// Actual − intended send, milliseconds.
    pub send_lag: Distribution,
    /// Time that response bytes lay in the socket unread, milliseconds; the latencies do not contain
    /// it where `kernel_timestamps`.
    pub read_lag: Distribution,
    /// How late a timer of the event loop fired, milliseconds.
    pub loop_delay: Distribution,
    /// User and system time of this process during the run, seconds.
    pub cpu_s: f64,
    /// The same per request, milliseconds.
    pub cpu_per_request_ms: f64,
    /// CPU time / (duration × threads that drive requests).
    pub cpu_fraction: f64,
    /// Most requests in flight at a time.
    pub max_in_flight: u64,
    /// Connections opened.
    pub connections: u64,
    /// Chunks with content.
    pub chunks: u64,
    /// Of these, read together with an earlier one.
    pub coalesced_chunks: u64,
    /// Arrival times are the kernel's, not those of our reads.
    pub kernel_timestamps: bool,
    /// What to distrust, in plain words.
    pub warnings: Vec<String>,
}
