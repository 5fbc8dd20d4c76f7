//! Least recently freed first: a doubly linked list threaded through a vector.

use crate::ahead::fetch_at;

use super::{Eviction, Piece};

/// Link of the list; index 0 is the ring's anchor, piece `p` has index `p + 1`.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// The queue of free pieces, oldest first.
pub struct Lru {
    links: Vec<Link>,
}

impl Default for Lru {
    fn default() -> Self {
        Lru { links: vec![Link { before: 0, after: 0 }] }
    }
}

impl Lru {
    /// Enters a piece before the link at `after`.
    fn enter(&mut self, id: u32, after: u32) {
        let at = id + 1;
        if self.links.len() <= at as usize {
            self.links.resize(at as usize + 1, Link { before: 0, after: 0 });
        }
        let before = self.links[after as usize].before;
        self.links[at as usize] = Link { before, after };
        self.links[before as usize].after = at;
        self.links[after as usize].before = at;
    }
}

impl Eviction for Lru {
    fn split(&mut self, lower: u32, upper: u32, piece: &Piece) {
        if piece.refs == 0 {
            self.enter(upper, lower + 1);
        }
    }

    fn released(&mut self, id: u32, _piece: &Piece) {
        self.enter(id, 0);
    }

    fn revived(&mut self, id: u32, _piece: &Piece) {
        let Link { before, after } = self.links[id as usize + 1];
        self.links[before as usize].after = after;
        self.links[after as usize].before = before;
    }

    fn victim(&self) -> Option<u32> {
        self.links[0].after.checked_sub(1)
    }

    fn after(&self, id: u32) -> Option<u32> {
        self.links[id as usize + 1].after.checked_sub(1)
    }

    fn fetch(&self) {
        fetch_at(&self.links, 0);
    }

    fn fetch_piece(&self, id: u32) {
        fetch_at(&self.links, id as usize + 1);
    }

    fn tail_first(&self) -> bool {
        true
    }

    fn tells_by_piece(&self) -> bool {
        true
    }
}
