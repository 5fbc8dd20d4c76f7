//! `[workload]`: what is asked of the cluster, and when.

use super::ArrivalSpec;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[workload]`: generated sessions or a trace, and when they arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Which generator, a mix of generators, or `trace`.
    pub kind: WorkloadKind,
    /// Number of requests; the last sessions are cut. Generators require it or `duration`; a trace
    /// without it is replayed whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Nothing arrives this long after the run's start or later, not even later turns of sessions
    /// that run; what has arrived is served to its end. With `requests`: whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Nanos>,
    /// When sessions (single requests are sessions of one turn) start. Generators require it; a
    /// trace without it keeps its own timestamps, or, where it has none, starts one a second
    /// (Poisson).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival: Option<ArrivalSpec>,
    /// Every prompt (of a session: its first; see `workload::generate::exact`) has exactly so many
    /// tokens, 1 to 2^31 − 1, whatever the laws below say. Generators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
    /// Every output has exactly so many tokens, 1 to 2^31 − 1, whatever the laws below say.
    /// Generators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u32>,
    /// Trace times (starts, offsets, recorded pauses) are divided by this; finite, > 0. Traces only.
    #[serde(default = "one")]
    pub speedup: f64,
    /// Trace file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
    /// Format of the trace; detected when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_format: Option<TraceFormat>,
    /// SHA-256 of the trace file; written into resolved scenarios and checked when they are run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_sha256: Option<String>,
    /// Window of a trace: skip what arrives earlier than this after its first arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Nanos>,
    /// Window of a trace: at most this many requests (from `start` on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Accept traces whose timestamps go back, and sort them.
    #[serde(default)]
    pub sort_arrivals: bool,
    /// Count and report malformed trace lines instead of refusing them.
    #[serde(default)]
    pub skip_bad_lines: bool,
    /// Settings of kind `shared-prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_prefix: Option<SharedPrefixSpec>,
    /// Settings of kind `multi-turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_turn: Option<MultiTurnSpec>,
    /// Settings of kind `similar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<SimilarSpec>,
    /// Settings of kind `diverse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverse: Option<DiverseSpec>,
    /// Settings of kind `agentic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agentic: Option<AgenticSpec>,
    /// Parts of kind `mix`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mix: Vec<MixPart>,
}

fn one() -> f64 {
    1.0
}

/// Where requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadKind {
    /// Single requests, each a popular system prompt followed by a text of its own.
    SharedPrefix,
    /// Conversations whose prompts contain all earlier prompts and outputs.
    MultiTurn,
    /// Families of near-duplicate prompts that differ at a chosen place.
    Similar,
    /// Nothing in common: the control.
    Diverse,
    /// Tool loops with growing context and sub-agents that branch from a shared prefix.
    Agentic,
    /// A weighted mix of the above.
    Mix,
    /// Replay of a trace file.
    Trace,
}

/// Format of a trace file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TraceFormat {
    /// Mooncake JSONL: timestamp (ms), input_length, output_length, hash_ids of 512 tokens.
    Mooncake,
    /// Azure LLM inference CSV: TIMESTAMP, ContextTokens, GeneratedTokens.
    Azure,
    /// BurstGPT CSV.
    Burstgpt,
    /// Qwen-Bailian JSONL.
    Bailian,
    /// WEKA agentic JSONL: one conversation a line.
    Weka,
    /// ShareGPT JSON: conversations as text.
    Sharegpt,
    /// Recordings as JSONL: prompt_ids, output_ids, and arrival (s), timestamp (ms) or neither.
    Tokens,
}

/// A law for lengths in tokens (at least 1) or, where stated, for times or counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Law {
    /// Always the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Every whole number from `low` to `high`, both included, equally likely; times: every value.
    Uniform {
        /// Least.
        low: f64,
        /// Greatest.
        high: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean, > 0.
        mean: f64,
    },
    /// Normal, cut at the least admissible value.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, ≥ 0.
        std: f64,
    },
    /// Lognormal by its own mean and coefficient of variation (not those of the logarithm).
    Lognormal {
        /// Mean, > 0.
        mean: f64,
        /// Standard deviation / mean, ≥ 0.
        cv: f64,
        /// Values above are cut to this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// Draws from a list of values, equally likely or by `weights`.
    Empirical {
        /// The values.
        values: Vec<f64>,
        /// One weight per value, ≥ 0, not all 0; equal when absent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weights: Vec<f64>,
    },
}

/// Settings of kind `shared-prefix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPrefixSpec {
    /// Number of different system prompts, ≥ 1.
    pub prefixes: u32,
    /// Zipf exponent of their popularity, 0 to 100; 0 = all equally popular.
    pub zipf: f64,
    /// Length of a system prompt, tokens (drawn once per prompt).
    pub prefix: Law,
    /// Length of the text of its own, tokens.
    pub question: Law,
    /// Output length, tokens.
    pub output: Law,
}

/// Settings of kind `multi-turn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiTurnSpec {
    /// Number of different system prompts that sessions begin with; 0 = none.
    #[serde(default)]
    pub prefixes: u32,
    /// Zipf exponent of their popularity, 0 to 100; 0 = all equally popular.
    #[serde(default)]
    pub zipf: f64,
    /// Length of a system prompt, tokens (ignored when `prefixes` = 0).
    pub prefix: Law,
    /// Turns in a session, 1 to 1,000 (cut to that).
    pub turns: Law,
    /// New user text in the first turn, tokens.
    pub first: Law,
    /// New user text in each later turn, tokens.
    pub follow_up: Law,
    /// Output length, tokens.
    pub output: Law,
    /// Time between the end of a turn and the next, seconds.
    pub think_time: Law,
}

/// Settings of kind `similar`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilarSpec {
    /// Number of families, ≥ 1.
    pub families: u32,
    /// Zipf exponent of their popularity, 0 to 100; 0 = all equally popular.
    pub zipf: f64,
    /// Prompt length of a family, tokens (drawn once per family).
    pub prompt: Law,
    /// Where members differ, as a fraction of the prompt: 0 = at once, 1 = only after its end.
    pub differs_at: f64,
    /// Length of the stretch that differs, tokens; it replaces as much of the family's text.
    pub difference: Law,
    /// Output length, tokens.
    pub output: Law,
}

/// Settings of kind `diverse`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiverseSpec {
    /// Prompt length, tokens.
    pub prompt: Law,
    /// Output length, tokens.
    pub output: Law,
}

/// Settings of kind `agentic`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgenticSpec {
    /// Number of different agents (system prompt and tool definitions), ≥ 1.
    pub agents: u32,
    /// Zipf exponent of their popularity, 0 to 100; 0 = all equally popular.
    pub zipf: f64,
    /// Length of an agent's system prompt and tools, tokens.
    pub prefix: Law,
    /// Length of the task, tokens.
    pub task: Law,
    /// Steps of the tool loop, 1 to 1,000 (cut to that).
    pub steps: Law,
    /// Length of a tool result, tokens.
    pub tool_result: Law,
    /// Output length of a step (tool call or answer), tokens.
    pub output: Law,
    /// Time a tool takes, seconds.
    pub tool_time: Law,
    /// Probability that a step starts sub-agents instead of a plain tool, 0 to 1.
    pub sub_agent_probability: f64,
    /// Sub-agents started together, 1 to 1,000 (cut to that).
    pub sub_agents: Law,
    /// Length of the instruction a sub-agent gets after the shared prefix and task, tokens.
    pub sub_task: Law,
    /// Steps of a sub-agent, 1 to 1,000 (cut to that).
    pub sub_agent_steps: Law,
}

/// One part of a mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixPart {
    /// Share of sessions, relative to the other parts, > 0.
    pub weight: f64,
    /// Its kind; anything but `mix` and `trace`.
    pub kind: WorkloadKind,
    /// Settings of kind `shared-prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_prefix: Option<SharedPrefixSpec>,
    /// Settings of kind `multi-turn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_turn: Option<MultiTurnSpec>,
    /// Settings of kind `similar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<SimilarSpec>,
    /// Settings of kind `diverse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverse: Option<DiverseSpec>,
    /// Settings of kind `agentic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agentic: Option<AgenticSpec>,
}
