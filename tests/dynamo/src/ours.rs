//! A state as kvroute's `kv` takes it.

use crate::state::State;
use kvroute::request::RequestId;
use kvroute::rng::Rng;
use kvroute::router::{self, ClusterView, Explanation, Loads, RouteRequest, Router, WorkerLoad};
use kvroute::scenario::RouterSpec;
use kvroute::units::Nanos;

/// kvroute's policy with a state to decide on.
pub struct Ours {
    policy: Box<dyn Router>,
    loads: Loads,
    overlaps: Vec<u32>,
    active_overlaps: Vec<u32>,
    block: u32,
    prompt: u32,
}

impl Ours {
    /// The policy `kv` with the settings of `state`.
    pub fn new(state: &State) -> Ours {
        let mut spec = RouterSpec::default();
        spec.kv.prefill_load_scale = Some(state.scale);
        spec.kv.overlap_score_credit = Some(state.credit);
        spec.kv.overlap_score_credit_decay = state.decay;
        spec.kv.decode_active_request_weight = state.request_weight;
        spec.kv.temperature = state.temperature;
        let load = |worker: &crate::state::Worker| WorkerLoad {
            requests: worker.requests,
            prefill_tokens: u64::from(worker.prefill_tokens),
            active_blocks: u64::from(worker.active_blocks),
        };
        Ours {
            policy: router::build("kv", &spec).expect("kv is a policy"),
            loads: state.workers.iter().map(load).collect(),
            overlaps: state.workers.iter().map(|worker| worker.overlap).collect(),
            active_overlaps: state.workers.iter().map(|worker| worker.active_overlap).collect(),
            block: state.block,
            prompt: state.prompt,
        }
    }

    fn route(&mut self, rng: &mut Rng, explain: Option<&mut Explanation>) -> usize {
        let request = RouteRequest {
            id: RequestId::default(),
            session: 0,
            now: Nanos::ZERO,
            prompt_tokens: self.prompt,
            runs: &[],
            true_best_overlap: 0,
        };
        let view = ClusterView {
            loads: &self.loads,
            overlaps: &self.overlaps,
            active_overlaps: &self.active_overlaps,
            block_tokens: self.block,
            kv_blocks: 1 << 20,
        };
        self.policy.route(&request, &view, rng, explain) as usize
    }

    /// The worker chosen.
    pub fn choose(&mut self, rng: &mut Rng) -> usize {
        self.route(rng, None)
    }

    /// The worker chosen, and the costs as `explain` has them.
    pub fn explain(&mut self, rng: &mut Rng) -> (usize, Vec<f64>) {
        let mut why = Explanation::default();
        let chosen = self.route(rng, Some(&mut why));
        assert!(why.lower_wins);
        (chosen, why.candidates.iter().map(|(_, candidate)| candidate.score).collect())
    }
}
