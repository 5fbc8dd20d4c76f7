//! `random`: every worker is equally likely.

use super::{Candidate, ClusterView, Entry, Explanation, Needs, RouteRequest, Router};
use crate::rng::Rng;
use rand::RngExt;

pub const ENTRY: Entry =
    Entry { name: "random", about: "a worker drawn uniformly", build: |_| Box::new(Random) };

struct Random;

impl Router for Random {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn route(
        &mut self,
        _request: &RouteRequest,
        view: &ClusterView,
        rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32 {
        if let Some(out) = explain {
            let workers = view.loads.workers() as u32;
            let candidate = |at| (at, Candidate { load: 0.0, terms: Vec::new(), score: 0.0 });
            out.ties = workers;
            out.reason = "drawn uniformly".into();
            out.candidates = (0..workers).map(candidate).collect();
        }
        rng.random_range(0..view.loads.workers() as u32)
    }
}
