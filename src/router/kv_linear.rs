//! `kv-linear`: the textbook form, higher is better:
//! `score = W · overlap blocks − load_scale · load fraction`,
//! load fraction = different blocks of requests in flight / the worker's KV blocks.
//! Ties and temperature as in `kv`, on −score.

use super::{Candidate, ClusterView, Entry, Explanation, Needs, RouteRequest, Router, kv, pick};
use crate::rng::Rng;
use crate::scenario::RouterSpec;

pub const ENTRY: Entry = Entry {
    name: "kv-linear",
    about: "textbook form: overlap weight times overlap blocks, less load",
    build: |spec| Box::new(KvLinear { spec: spec.clone(), costs: Vec::new() }),
};

/// See the module's documentation.
struct KvLinear {
    spec: RouterSpec,
    costs: Vec<f64>,
}

/// Load fraction of one worker.
fn load_fraction(view: &ClusterView, worker: usize) -> f64 {
    view.loads.active_blocks[worker] as f64 / f64::from(view.kv_blocks)
}

impl KvLinear {
    fn score(&self, view: &ClusterView, worker: usize) -> f64 {
        self.spec.kv.overlap_weight * f64::from(view.overlaps[worker])
            - self.spec.kv_linear.load_scale * load_fraction(view, worker)
    }

    fn candidate(&self, view: &ClusterView, worker: usize) -> Candidate {
        let load = load_fraction(view, worker);
        let overlap = self.spec.kv.overlap_weight * f64::from(view.overlaps[worker]);
        let terms = vec![("overlap", overlap), ("load", self.spec.kv_linear.load_scale * load)];
        Candidate { load, terms, score: self.score(view, worker) }
    }
}

impl Router for KvLinear {
    fn needs(&self) -> Needs {
        let index = kv::index_source(&self.spec.kv);
        Needs { index, active_blocks: true, ..Needs::NOTHING }
    }

    fn route(
        &mut self,
        _request: &RouteRequest,
        view: &ClusterView,
        rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32 {
        let mut costs = std::mem::take(&mut self.costs);
        costs.clear();
        costs.extend((0..view.loads.workers()).map(|at| -self.score(view, at)));
        let temperature = self.spec.kv.temperature;
        let (chosen, ties) = pick::by_cost(&costs, temperature, rng);
        self.costs = costs;
        if let Some(out) = explain {
            out.ties = ties;
            out.reason = pick::reason(ties, temperature, "best score");
            out.candidates =
                (0..view.loads.workers()).map(|at| (at as u32, self.candidate(view, at))).collect();
        }
        chosen as u32
    }
}
