//! A state as Dynamo's production selector takes it.
//!
//! The selector returns the worker, not the costs; but it logs the cost of the worker it chose, at
//! full precision, as the field `logit` of a `tracing` event, which [`Peer::explain`] reads.

use crate::state::State;
use dynamo_custom_policy_builtin::DefaultWorkerSelector;
use dynamo_kv_router::protocols::{RoutingConstraints, WorkerConfigLike, WorkerWithDpRank};
use dynamo_kv_router::scheduling::{OverlapSignals, ScheduleMode, SchedulingRequest};
use dynamo_kv_router::{
    KvRouterConfig, WorkerLoadProjection, WorkerSelectionInput, WorkerSelector,
};
use std::cell::Cell;
use std::collections::HashMap;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// A worker with one data-parallel rank.
pub struct OneRank;

impl WorkerConfigLike for OneRank {
    fn data_parallel_start_rank(&self) -> u32 {
        0
    }
    fn data_parallel_size(&self) -> u32 {
        1
    }
    fn max_num_batched_tokens(&self) -> Option<u64> {
        None
    }
    fn total_kv_blocks(&self) -> Option<u64> {
        None
    }
}

/// Dynamo's selector with a state to decide on.
pub struct Peer {
    selector: DefaultWorkerSelector,
    workers: HashMap<u64, OneRank>,
    request: SchedulingRequest,
    block: u32,
}

/// A request of `prompt` tokens without any signals yet.
pub fn request(prompt: usize) -> SchedulingRequest {
    SchedulingRequest {
        mode: ScheduleMode::QueryOnly { request_id: None },
        token_seq: None,
        isl_tokens: prompt,
        lora_name: None,
        expected_output_tokens: None,
        affinity_target: None,
        pinned_worker: None,
        allowed_worker_ids: None,
        routing_constraints: RoutingConstraints::default(),
        router_config_override: None,
        track_prefill_tokens: true,
        priority_jump: 0.0,
        strict_priority: 0,
        policy_class: None,
        session_context: None,
        overlap: OverlapSignals::default(),
        kv_transfer_candidates: None,
        retain_kv_transfer_chain: false,
        shared_cache_hits: None,
        worker_loads: Default::default(),
        resp_tx: None,
    }
}

/// The signals Dynamo's host derives from device-tier overlaps: zeros are left out.
pub fn overlap_signals(
    overlaps: impl Iterator<Item = (WorkerWithDpRank, u32)>,
    block: u32,
) -> OverlapSignals {
    let mut signals = OverlapSignals::default();
    for (worker, blocks) in overlaps.filter(|(_, blocks)| *blocks > 0) {
        signals.tier_overlap_blocks.device.insert(worker, blocks as usize);
        signals.effective_overlap_blocks.insert(worker, f64::from(blocks));
        signals.effective_cached_tokens.insert(worker, (blocks * block) as usize);
    }
    signals
}

/// The settings of `state`, everything else at Dynamo's defaults.
pub fn config(state: &State) -> KvRouterConfig {
    KvRouterConfig {
        overlap_score_credit: state.credit,
        overlap_score_credit_decay: state.decay,
        prefill_load_scale: state.scale,
        decode_active_request_weight: state.request_weight,
        router_temperature: state.temperature,
        ..KvRouterConfig::default()
    }
}

impl Peer {
    /// The production selector, whose draws come from the thread's `fastrand` generator, in the
    /// order of a hash map.
    pub fn new(state: &State) -> Peer {
        Peer::with(state, DefaultWorkerSelector::new(Some(config(state)), "aggregated"))
    }

    /// The selector with draws of its own, in order of worker.
    pub fn seeded(state: &State, seed: u64) -> Peer {
        let config = Some(config(state));
        Peer::with(state, DefaultWorkerSelector::new_seeded(config, "aggregated", seed))
    }

    fn with(state: &State, selector: DefaultWorkerSelector) -> Peer {
        let mut request = request(state.prompt as usize);
        let rank = |at: usize| WorkerWithDpRank::from_worker_id(at as u64);
        let overlaps = state.workers.iter().enumerate().map(|(at, w)| (rank(at), w.overlap));
        request.overlap = overlap_signals(overlaps, state.block);
        let full_blocks = (state.prompt / state.block) as usize;
        for (at, worker) in state.workers.iter().enumerate() {
            let load = WorkerLoadProjection {
                active_prefill_tokens: worker.prefill_tokens as usize,
                active_decode_blocks: worker.active_blocks as usize,
                active_requests: worker.requests as usize,
                additional_active_blocks: full_blocks - worker.active_overlap as usize,
            };
            request.worker_loads.insert(rank(at), load);
        }
        let workers = (0..state.workers.len() as u64).map(|id| (id, OneRank)).collect();
        Peer { selector, workers, request, block: state.block }
    }

    /// The selector with the settings of `state`, to decide on `request` instead.
    pub fn on_request(state: &State, request: SchedulingRequest, seed: u64) -> Peer {
        Peer { request, ..Peer::seeded(state, seed) }
    }

    /// The worker chosen.
    pub fn choose(&self) -> usize {
        let eligibility = self.request.eligibility();
        let input =
            WorkerSelectionInput::configured(&self.workers, &self.request, eligibility, self.block);
        let result = self.selector.select_worker(input).expect("every worker is eligible");
        result.worker.worker_id as usize
    }

    /// The worker chosen, and its cost as logged.
    pub fn explain(&self) -> (usize, f64) {
        LOGIT.set(None);
        let chosen = tracing::subscriber::with_default(Logits, || self.choose());
        (chosen, LOGIT.take().expect("the selector logs its cost"))
    }
}

thread_local! {
    static LOGIT: Cell<Option<f64>> = const { Cell::new(None) };
}

/// Keeps the field `logit` of the last event.
struct Logits;

impl Visit for Logits {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "logit" {
            LOGIT.set(Some(value));
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Logits {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Logits);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
