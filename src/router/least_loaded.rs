//! `least-loaded`: the worker with the fewest requests in flight, by the router's own count
//! (Dynamo's and KubeAI's `least-loaded`, join-shortest-queue); uniform among equals.

use super::{Candidate, ClusterView, Entry, Explanation, Needs, RouteRequest, Router, pick};
use crate::rng::Rng;

pub const ENTRY: Entry = Entry {
    name: "least-loaded",
    about: "fewest requests in flight",
    build: |_| Box::new(LeastLoaded { costs: Vec::new() }),
};

struct LeastLoaded {
    costs: Vec<f64>,
}

/// A worker whose score is its number of requests in flight.
pub fn by_requests(view: &ClusterView, worker: u32) -> (u32, Candidate) {
    let requests = f64::from(view.loads.requests[worker as usize]);
    let terms = vec![("requests", requests)];
    (worker, Candidate { load: requests, terms, score: requests })
}

impl Router for LeastLoaded {
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
        self.costs.clear();
        self.costs.extend(view.loads.requests.iter().map(|requests| f64::from(*requests)));
        let (chosen, ties) = pick::least(&self.costs, rng);
        if let Some(out) = explain {
            out.lower_wins = true;
            out.ties = ties;
            out.reason = pick::reason(ties, 0.0, "fewest requests in flight");
            out.candidates =
                (0..view.loads.workers() as u32).map(|at| by_requests(view, at)).collect();
        }
        chosen as u32
    }
}
