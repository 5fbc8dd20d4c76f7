//! `[router]`: the policies to compare, and what they may see.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// `[router]`: which policies, and how fresh their view is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterSpec {
    /// Policies to compare, in order; the first is the one the others are compared with.
    pub mode: Vec<String>,
    /// KV events reach routers this long after the end of the step that caused them.
    pub event_delay: Nanos,
    /// Share of KV event batches that never arrive, 0 to 1.
    pub event_loss: f64,
    /// Routers see loads (requests running and waiting, KV blocks in use) as workers' metrics showed
    /// them when last polled, so often, longer than 0; absent: as the router's own books have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_interval: Option<Nanos>,
    /// Router replicas, each with its own bookkeeping and index; requests alternate. 1 to 1,024.
    pub replicas: u32,
    /// Settings of `kv`, and the weight, temperature and index of `kv-linear`.
    pub kv: KvSpec,
    /// Settings of `kv-linear`.
    pub kv_linear: KvLinearSpec,
}

impl Default for RouterSpec {
    fn default() -> Self {
        RouterSpec {
            mode: vec!["kv".into(), "round-robin".into(), "random".into()],
            event_delay: Nanos::ZERO,
            event_loss: 0.0,
            metrics_interval: None,
            replicas: 1,
            kv: KvSpec::default(),
            kv_linear: KvLinearSpec::default(),
        }
    }
}

/// `[router.kv]`: Dynamo's cost function; names are Dynamo's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KvSpec {
    /// Overlap weight W, ≥ 0: sets `prefill_load_scale` = W, and no overlap credit at all when W = 0.
    pub overlap_weight: f64,
    /// Softmax temperature on min-max normalised costs, ≥ 0; 0 takes the best.
    pub temperature: f64,
    /// Index fed by workers' KV events; false: by the router's own decisions.
    pub events: bool,
    /// Weight of the prefill term; overrides what `overlap_weight` sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill_load_scale: Option<f64>,
    /// Blocks taken off the prefill term per overlap block; overrides what `overlap_weight` sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_score_credit: Option<f64>,
    /// How fast the credit decays with the worker's excess prefill load, ≥ 0; 0 = not at all.
    pub overlap_score_credit_decay: f64,
    /// Cost per request in flight, in blocks, ≥ 0.
    pub decode_active_request_weight: f64,
    /// Without events: how long a routed prefix is believed to stay.
    pub ttl: Nanos,
    /// Without events: blocks believed cached per worker at most; the worker's `kv_blocks` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_max_blocks: Option<u32>,
}

impl Default for KvSpec {
    fn default() -> Self {
        KvSpec {
            overlap_weight: 1.0,
            temperature: 0.0,
            events: true,
            prefill_load_scale: None,
            overlap_score_credit: None,
            overlap_score_credit_decay: 0.0,
            decode_active_request_weight: 0.0,
            ttl: Nanos(120_000_000_000),
            approximate_max_blocks: None,
        }
    }
}

/// `[router.kv_linear]`: the textbook form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KvLinearSpec {
    /// Load 1.0 (all KV blocks in use) costs as much as this many overlap blocks, ≥ 0.
    pub load_scale: f64,
}

impl Default for KvLinearSpec {
    fn default() -> Self {
        KvLinearSpec { load_scale: 10.0 }
    }
}
