//! Least recently freed first: a doubly linked list threaded through a vector.

use super::Eviction;

/// Link of the list; index 0 is the ring's anchor, block `b` has index `b + 1`.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// The queue of free cached blocks, oldest first.
pub struct Lru {
    links: Vec<Link>,
}

impl Default for Lru {
    fn default() -> Self {
        Lru { links: vec![Link { before: 0, after: 0 }] }
    }
}

impl Eviction for Lru {
    fn released(&mut self, block: u32) {
        let at = block + 1;
        if self.links.len() <= at as usize {
            self.links.resize(at as usize + 1, Link { before: 0, after: 0 });
        }
        let last = self.links[0].before;
        self.links[at as usize] = Link { before: last, after: 0 };
        self.links[last as usize].after = at;
        self.links[0].before = at;
    }

    fn revived(&mut self, block: u32) {
        let Link { before, after } = self.links[block as usize + 1];
        self.links[before as usize].after = after;
        self.links[after as usize].before = before;
    }

    fn victim(&mut self) -> Option<u32> {
        let first = self.links[0].after;
        if first == 0 {
            return None;
        }
        self.revived(first - 1);
        Some(first - 1)
    }
}
