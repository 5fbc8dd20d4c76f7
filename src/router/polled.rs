//! Loads as the workers' own metrics show them: true when they were polled, and stale until the next
//! time. Requests routed in between are not seen, so that routers by polled loads send what comes
//! between two polls to the same worker (`reference/routers.md`, herding).

use super::WorkerLoad;

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
    loads: Vec<WorkerLoad>,
}

impl PolledLoads {
    /// Of `workers` workers that have shown nothing so far.
    pub fn new(workers: usize) -> PolledLoads {
        let latest = vec![Polled::default(); workers];
        PolledLoads { latest, loads: vec![WorkerLoad::default(); workers] }
    }

    /// Worker number `worker`, from 0, was polled.
    pub fn polled(&mut self, worker: usize, metrics: Polled) {
        self.latest[worker] = metrics;
    }

    /// Loads for a decision. What metrics do not tell comes from the router's `own` books.
    pub fn loads(&mut self, own: &[WorkerLoad]) -> &[WorkerLoad] {
        let workers = self.loads.iter_mut().zip(&self.latest).zip(own);
        for ((load, latest), own) in workers {
            *load = WorkerLoad {
                requests: latest.requests,
                prefill_tokens: own.prefill_tokens,
                active_blocks: latest.used_blocks.unwrap_or(own.active_blocks),
            };
        }
        &self.loads
    }
}
