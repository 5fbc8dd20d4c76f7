//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::Worker;
use crate::ahead::fetch;

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
}
