//! `round-robin`: request i goes to worker i mod N. Ties do not arise.

use super::{Candidate, ClusterView, Entry, Explanation, Needs, RouteRequest, Router};
use crate::rng::Rng;

pub const ENTRY: Entry = Entry {
    name: "round-robin",
    about: "each worker in turn",
    build: |_| Box::new(RoundRobin { next: 0 }),
};

struct RoundRobin {
    next: u64,
}

impl Router for RoundRobin {
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn route(
        &mut self,
        _request: &RouteRequest,
        view: &ClusterView,
        _rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32 {
        let chosen = self.next % view.loads.workers() as u64;
        if let Some(out) = explain {
            let workers = view.loads.workers() as u64;
            let turns = |worker: u64| ((worker + workers - chosen) % workers) as f64;
            let candidate = |worker: u64| {
                let score = turns(worker);
                let terms = vec![("turns_until", score)];
                (worker as u32, Candidate { load: 0.0, terms, score })
            };
            out.lower_wins = true;
            out.ties = 1;
            out.reason = "each worker in turn".into();
            out.candidates = (0..workers).map(candidate).collect();
        }
        self.next += 1;
        chosen as u32
    }
}
