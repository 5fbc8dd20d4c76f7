//! What a worker truly holds, block by block.

use crate::indexes::Block;
use crate::prompts::Prompt;
use kvroute::rng::Rng;
use rand::RngExt;
use std::collections::BTreeMap;

/// A block of a worker's cache.
#[derive(Clone, Copy, Debug)]
struct Held {
    block: Block,
    parent: Option<u64>,
    /// Held blocks right behind it.
    children: u32,
}

/// What a worker truly holds, by chained hash.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    held: BTreeMap<u64, Held>,
}

impl Cache {
    /// Leading blocks of `prompt` it holds.
    pub fn leading(&self, prompt: &Prompt) -> usize {
        prompt.chained.iter().take_while(|hash| self.held.contains_key(hash)).count()
    }

    /// Takes in `block`, which comes behind the block hashed `parent`.
    pub fn insert(&mut self, parent: Option<u64>, block: Block) {
        if self.held.contains_key(&block.chained) {
            return;
        }
        let children = self.held.values().filter(|h| h.parent == Some(block.chained)).count();
        self.held.insert(block.chained, Held { block, parent, children: children as u32 });
        if let Some(parent) = parent.and_then(|parent| self.held.get_mut(&parent)) {
            parent.children += 1;
        }
    }

    fn remove(&mut self, hash: u64) -> Held {
        let gone = self.held.remove(&hash).expect("only held blocks go");
        if let Some(parent) = gone.parent.and_then(|parent| self.held.get_mut(&parent)) {
            parent.children -= 1;
        }
        gone
    }

    /// Evicts a leaf and up to `more` blocks before it that become leaves by it.
    pub fn evict(&mut self, more: u32, rng: &mut Rng) -> Vec<Block> {
        let leaves: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.children == 0)
            .map(|(hash, _)| *hash)
            .collect();
        let mut gone = Vec::new();
        if leaves.is_empty() {
            return gone;
        }
        let mut next = Some(leaves[rng.random_range(0..leaves.len())]);
        while let Some(hash) = next.filter(|_| gone.len() <= more as usize) {
            let held = self.remove(hash);
            gone.push(held.block);
            next = held.parent.filter(|parent| self.held[parent].children == 0);
        }
        gone
    }

    /// Evicts any one block, with no regard to what lies behind it.
    pub fn evict_any(&mut self, rng: &mut Rng) -> Vec<Block> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let nth = rng.random_range(0..self.held.len());
        let hash = *self.held.keys().nth(nth).expect("in range");
        vec![self.remove(hash).block]
    }
}
