//! `power-of-two`: of two different workers drawn at random the one with fewer requests in flight;
//! the first drawn wins ties (SMG's rule without polled load reports). One worker: that one.

use super::least_loaded::by_requests;
use super::{ClusterView, Entry, Explanation, Needs, RouteRequest, Router};
use crate::rng::Rng;
use rand::RngExt;

pub const ENTRY: Entry = Entry {
    name: "power-of-two",
    about: "the less loaded of two workers drawn at random",
    build: |_| Box::new(PowerOfTwo),
};

struct PowerOfTwo;

impl Router for PowerOfTwo {
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
        let workers = view.loads.workers() as u32;
        if workers == 1 {
            return 0;
        }
        let first = rng.random_range(0..workers);
        let second = (first + rng.random_range(1..workers)) % workers;
        let load = |worker: u32| view.loads.requests[worker as usize];
        let chosen = if load(first) <= load(second) { first } else { second };
        if let Some(out) = explain {
            out.lower_wins = true;
            out.ties = if load(first) == load(second) { 2 } else { 1 };
            out.reason = "fewer requests in flight of two drawn; the first drawn wins ties".into();
            out.candidates = vec![by_requests(view, first), by_requests(view, second)];
        }
        chosen
    }
}
