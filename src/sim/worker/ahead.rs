//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::Worker;
use crate::ahead::{fetch, fetch_at};
use crate::cache::Lease;

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

    /// What the request that ends next refers to, if the worker cruises; its lease.
    pub fn fetch_ending(&self) -> Option<&Lease> {
        let sequence = self.running.get(self.cruise.finishing())?;
        fetch(&*sequence.record);
        fetch_at(&sequence.runs, 0);
        Some(&sequence.lease)
    }
}
