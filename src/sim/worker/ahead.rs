//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::{Sequence, Worker};
use crate::ahead::{fetch, fetch_at};
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
        for at in [0, 1, 2].into_iter().chain(self.cruise.ending()) {
            if let Some(sequence) = self.running.get(at) {
                fetch(&sequence.lease);
                fetch(&sequence.runs);
            }
        }
    }

    /// The request that ends with the steps under way, if that is known.
    pub fn ending(&self) -> Option<&Sequence> {
        self.running.get(self.cruise.ending()?)
    }

    /// The runs of the request that is admitted next, if one waits.
    pub fn entering(&self) -> &[BlockRun] {
        self.waiting.front().map_or(&[], |sequence| &sequence.runs)
    }
}

impl Sequence {
    /// What it refers to.
    pub fn fetch(&self) {
        fetch(&*self.record);
        fetch_at(&self.runs, 0);
    }
}
