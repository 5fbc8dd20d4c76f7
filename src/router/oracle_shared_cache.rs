//! `oracle-shared-cache`: an upper bound, not a policy one can deploy. All workers share one KV
//! cache of N times the blocks, so every prefix cached anywhere is a hit everywhere and placement
//! cannot lose one; the request goes where the least work waits: `prefill tokens / B + active blocks`
//! (uniform among equals), with the true overlap taken off the prefill work.

use super::{
    Candidate, ClusterView, Entry, Explanation, IndexSource, Needs, RouteRequest, Router, pick,
};
use crate::rng::Rng;

pub const ENTRY: Entry = Entry {
    name: "oracle-shared-cache",
    about: "upper bound: all workers share one KV cache; least work wins",
    build: |_| Box::new(OracleSharedCache { costs: Vec::new() }),
};

struct OracleSharedCache {
    costs: Vec<f64>,
}

impl Router for OracleSharedCache {
    fn needs(&self) -> Needs {
        Needs {
            index: IndexSource::Truth,
            active_blocks: true,
            shared_cache: true,
            ..Needs::NOTHING
        }
    }

    fn route(
        &mut self,
        _request: &RouteRequest,
        view: &ClusterView,
        rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32 {
        let prefill =
            |at: usize| view.loads.prefill_tokens[at] as f64 / f64::from(view.block_tokens);
        let active = |at: usize| view.loads.active_blocks[at] as f64;
        self.costs.clear();
        self.costs.extend((0..view.loads.workers()).map(|at| prefill(at) + active(at)));
        let (chosen, ties) = pick::least(&self.costs, rng);
        if let Some(out) = explain {
            out.lower_wins = true;
            out.ties = ties;
            out.reason = pick::reason(ties, 0.0, "least work");
            let terms = |at| vec![("prefill_blocks", prefill(at)), ("active_blocks", active(at))];
            let candidate = |at| Candidate {
                load: active(at),
                terms: terms(at),
                score: prefill(at) + active(at),
            };
            out.candidates =
                (0..view.loads.workers()).map(|at| (at as u32, candidate(at))).collect();
        }
        chosen as u32
    }
}
