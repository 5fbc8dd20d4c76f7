//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::Worker;
use crate::ahead::fetch;
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

    /// Requests that take or fill a block in the step after the one under way, if it cruises.
    pub fn fetch_crossing(&self) {
        for at in self.cruise.due() {
            if let Some(sequence) = self.running.get(at) {
                fetch(&sequence.lease);
                fetch(&sequence.computed);
            }
        }
    }

    /// The leases of these requests.
    pub fn crossing(&self) -> impl Iterator<Item = &Lease> {
        let due = self.cruise.due().filter_map(|at| self.running.get(at));
        due.map(|sequence| &sequence.lease)
    }
}
