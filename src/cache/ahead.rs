//! See `crate::ahead`: each goes by what the one before it has fetched.

use super::{BlockCache, Lease};
use crate::ahead::{fetch, fetch_at};

impl BlockCache {
    /// The cache itself.
    pub fn fetch(&self) {
        fetch(&self.capacity);
        fetch(&self.pieces);
        fetch(&self.eviction);
        fetch(&self.blank);
        fetch(&self.events);
        fetch(&self.strand);
    }

    /// Its lists.
    pub fn fetch_lists(&self) {
        self.eviction.fetch();
        fetch_at(&self.events, 0);
    }

    /// The piece that loses blocks next.
    pub fn fetch_victim(&self) {
        if let Some(victim) = self.eviction.victim() {
            self.pieces.fetch(victim);
        }
    }

    /// What grows with a lease.
    pub fn fetch_lease(&self, lease: &Lease) {
        self.pieces.fetch(lease.last.piece);
    }
}
