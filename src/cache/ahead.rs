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

    /// Where to find a run.
    pub fn fetch_run(&self, content: u64) {
        self.pieces.fetch_run(content);
    }

    /// What grows with a lease, and the list of the rest of it.
    pub fn fetch_lease(&self, lease: &Lease) {
        self.pieces.fetch(lease.last.piece);
        fetch_at(&lease.before, 0);
    }

    /// All that a lease holds.
    pub fn fetch_leased(&self, lease: &Lease) {
        for held in lease.before.iter().chain([&lease.last]) {
            self.pieces.fetch(held.piece);
            self.eviction.fetch_piece(held.piece);
        }
    }
}
