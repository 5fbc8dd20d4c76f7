//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::Worker;
use crate::ahead::fetch;
use crate::cache::Lease;
use crate::prompt::BlockRun;

impl Worker {
    /// The worker itself.
    pub fn fetch(&self) {
        fetch(&self.config);
        fetch(&self.waiting);
        fetch(&self.running);
        fetch(&self.busy);
        fetch(&self.blocked);
        self.cruise.fetch();
    }

    /// What it does next.
    pub fn fetch_lists(&self) {
        self.cruise.fetch_lists();
    }

    /// The first requests, and the one that ends next, if it cruises.
    pub fn fetch_requests(&self) {
        for at in [0, 1, 2, self.cruise.finishing()] {
            if let Some(sequence) = self.running.get(at) {
                fetch(&sequence.lease);
                fetch(&sequence.runs);
            }
        }
    }

    /// The request that ends next, if it cruises: the runs of its prompt, and its lease.
    pub fn fetch_finishing(&self) -> Option<(&[BlockRun], &Lease)> {
        let sequence = self.running.get(self.cruise.finishing())?;
        fetch(&*sequence.record);
        Some((&sequence.runs[..sequence.prompt_runs as usize], &sequence.lease))
    }
}
