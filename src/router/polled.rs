//! Loads as the workers' own metrics show them: true when they were polled, and stale until the next
//! time. Requests routed in between are not seen, so that routers by polled loads send what comes
//! between two polls to the same worker (`reference/routers.md`, herding).

use super::Loads;

/// What a worker's metrics show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Requests running and waiting.
    pub requests: u32,
    /// KV blocks in use; `None` where the metrics do not tell.
    pub used_blocks: Option<u64>,
}

/// The latest metrics of all workers, and the loads they make.
#[derive(Debug)]
pub struct PolledLoads {
    latest: Vec<Polled>,
    loads: Loads,
}

impl PolledLoads {
    /// Of `workers` workers that have shown nothing so far.
    pub fn new(workers: usize) -> PolledLoads {
        let latest = vec![Polled::default(); workers];
        PolledLoads { latest, loads: Loads::idle(workers) }
    }

    /// Worker number `worker`, from 0, was polled.
    pub fn polled(&mut self, worker: usize, metrics: Polled) {
        self.latest[worker] = metrics;
    }

    /// Loads for a decision. What metrics do not tell comes from the router's `own` books.
    pub fn loads(&mut self, own: &Loads) -> &Loads {
        self.loads.prefill_tokens.clone_from(&own.prefill_tokens);
        for (worker, latest) in self.latest.iter().enumerate() {
            self.loads.requests[worker] = latest.requests;
            let used = latest.used_blocks.unwrap_or(own.active_blocks[worker]);
            self.loads.active_blocks[worker] = used;
        }
        &self.loads
    }
}
