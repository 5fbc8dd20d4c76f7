//! `round-robin`: request i goes to worker i mod N. Ties do not arise.

use super::{ClusterView, Entry, Explanation, Needs, RouteRequest, Router};
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
        let chosen = self.next % view.loads.len() as u64;
        if let Some(out) = explain {
            out.reason = format!("request {} of this router; each worker in turn", self.next + 1);
        }
        self.next += 1;
        chosen as u32
    }
}
