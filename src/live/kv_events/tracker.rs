//! One worker's blocks: its KV events become those that routers of the simulator follow.
//!
//! A block's key is the hash of its token ids chained to its parent's key ([`crate::hash`], as Dynamo
//! does it), so the blocks of a prompt whose token ids are known ([`prompt_runs`]) have the same keys,
//! whatever the engine calls them. Blocks whose parent is unknown (we came late, messages were lost)
//! cannot be keyed and are left out.
//!
//! Where messages are lost for good, everything the worker was believed to hold is dropped. The
//! engine's names are remembered: when a block is stored behind a known one, a request holds that one
//! and all before it, so these are certainly there, and are told as stored again. The index heals
//! along the prompts that come back.

use super::message::{Batch, Event, Place, Stored};
use super::{Delivery, What};
use crate::hash::{DynamoBlock, dynamo_blocks, dynamo_local, dynamo_sequence};
use crate::prompt::{BlockRun, CacheEvent, mix};
use crate::units::Nanos;
use rustc_hash::FxHashMap;

/// What happened to one worker's events since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Messages read.
    pub messages: u64,
    /// Events in them, those of unknown kinds included.
    pub events: u64,
    /// Blocks stored on the device, copies included, as far as they could be keyed.
    pub stored: u64,
    /// Blocks removed from it.
    pub removed: u64,
    /// Times the whole cache was emptied by the worker.
    pub cleared: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// What was wrong with the last of them.
    pub last_malformed: Option<&'static str>,
    /// Events of unknown kinds.
    pub unknown_events: u64,
    /// Times sequence numbers were skipped.
    pub gaps: u64,
    /// Messages lost for good.
    pub lost: u64,
    /// Messages that came from the replay socket.
    pub replayed: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Messages before the first that we got: we came late.
    pub missed_before: u64,
    /// Times another process took the worker's place.
    pub restarts: u64,
    /// Times a publisher was connected.
    pub connections: u64,
    /// It is connected now.
    pub connected: bool,
    /// What it published before that has been replayed, as far as possible.
    pub caught_up: bool,
    /// Why it could not be reached, or its messages not be replayed, the last time.
    pub trouble: Option<String>,
    /// Blocks stored behind a block that is not known.
    pub unknown_parents: u64,
    /// Blocks removed that were not known.
    pub unknown_removed: u64,
    /// Blocks known to be there because one behind them was stored.
    pub revived: u64,
    /// Blocks of other tiers, stored or removed.
    pub other_tiers: u64,
    /// Blocks of other groups of layers, stored or removed.
    pub other_groups: u64,
    /// Blocks with salts: adapters, images, cache salts.
    pub salted: u64,
    /// Blocks of another size than expected, which were left out.
    pub of_other_size: u64,
    /// That other size, tokens.
    pub other_size: Option<u32>,
    /// Blocks that did not come with as many tokens as their size says; left out.
    pub uneven: u64,
    /// Number of the last message.
    pub last_sequence: Option<u64>,
    /// When it came.
    pub last_message: Option<Nanos>,
}

/// What is known of a block by its engine's name.
struct Known {
    key: u64,
    parent: Option<u64>,
    /// Copies on the device. 0 = it may be there, but messages were lost.
    copies: u32,
}

/// See the module's documentation.
pub struct Tracker {
    block_tokens: u32,
    known: FxHashMap<u64, Known>,
    statistics: Statistics,
}

impl Tracker {
    /// A worker with an empty cache; `block_tokens` are expected per block, at least 1.
    pub fn new(block_tokens: u32) -> Tracker {
        let (known, statistics) = (FxHashMap::default(), Statistics::default());
        Tracker { block_tokens, known, statistics }
    }

    /// What happened so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Different blocks the worker is believed to hold.
    pub fn blocks(&self) -> usize {
        self.known.values().filter(|block| block.copies > 0).count()
    }

    /// We had the worker's cache emptied. It tells of that itself, but vLLM only with the next request.
    pub fn emptied(&mut self, out: &mut Vec<CacheEvent>) {
        self.forget(out);
    }

    /// Follows a delivery; what a router has to know of it is appended to `out`.
    pub fn follow(&mut self, delivery: &Delivery, out: &mut Vec<CacheEvent>) {
        let statistics = &mut self.statistics;
        match &delivery.what {
            What::Connected => {
                statistics.connections += 1;
                statistics.connected = true;
                statistics.trouble = None;
            }
            What::CaughtUp => statistics.caught_up = true,
            What::Disconnected => {
                statistics.connected = false;
                statistics.caught_up = false;
            }
            What::Unreachable(why) | What::ReplayFailed(why) => {
                statistics.trouble = Some(why.clone());
            }
            What::Duplicate => statistics.duplicates += 1,
            What::Gap(_) => statistics.gaps += 1,
            What::Lost(messages) if statistics.last_sequence.is_none() => {
                statistics.missed_before += messages;
            }
            What::Lost(messages) => {
                statistics.lost += messages;
                self.doubt(out);
            }
            What::Restarted => {
                statistics.restarts += 1;
                statistics.last_sequence = None;
                self.forget(out);
            }
            What::Malformed(malformed) => {
                statistics.malformed += 1;
                statistics.last_malformed = Some(malformed.why);
                statistics.last_sequence = malformed.sequence.or(statistics.last_sequence);
                statistics.last_message = Some(delivery.at);
                // What it said is lost.
                self.doubt(out);
            }
            What::Batch { batch, replayed } => {
                statistics.messages += 1;
                statistics.replayed += u64::from(*replayed);
                statistics.last_sequence = Some(batch.sequence);
                statistics.last_message = Some(delivery.at);
                self.batch(batch, out);
            }
        }
    }

    fn batch(&mut self, batch: &Batch, out: &mut Vec<CacheEvent>) {
        self.statistics.events += batch.events.len() as u64 + u64::from(batch.unknown);
        self.statistics.unknown_events += u64::from(batch.unknown);
        for event in &batch.events {
            match event {
                Event::Stored(stored) if self.is_ours(stored.place, stored.hashes.len()) => {
                    self.stored(stored, out);
                }
                Event::Removed { hashes, place } if self.is_ours(*place, hashes.len()) => {
                    hashes.iter().for_each(|hash| self.removed(*hash, out));
                }
                Event::Cleared => {
                    self.statistics.cleared += 1;
                    self.forget(out);
                }
                Event::Stored(_) | Event::Removed { .. } => {}
            }
        }
    }

    /// Whether requests are served from there; counts the blocks where not.
    fn is_ours(&mut self, place: Place, blocks: usize) -> bool {
        match place {
            Place::Device => return true,
            Place::OtherTier => self.statistics.other_tiers += blocks as u64,
            Place::OtherGroup => self.statistics.other_groups += blocks as u64,
        }
        false
    }

    fn stored(&mut self, stored: &Stored, out: &mut Vec<CacheEvent>) {
        let blocks = stored.hashes.len();
        if stored.block_tokens != self.block_tokens {
            self.statistics.of_other_size += blocks as u64;
            self.statistics.other_size = Some(stored.block_tokens);
            return;
        }
        let size = self.block_tokens as usize;
        if blocks.checked_mul(size) != Some(stored.tokens.len()) {
            self.statistics.uneven += blocks as u64;
            return;
        }
        if stored.parent.is_some_and(|parent| !self.known.contains_key(&parent)) {
            self.statistics.unknown_parents += blocks as u64;
            return;
        }
        self.revive(stored.parent, out);
        let mut parent = stored.parent;
        let mut chain = parent.map(|parent| self.known[&parent].key);
        for (at, (hash, tokens)) in
            stored.hashes.iter().zip(stored.tokens.chunks_exact(size)).enumerate()
        {
            let salt = stored.salts.get(at).copied().unwrap_or(0);
            self.statistics.salted += u64::from(salt != 0);
            let key = key(chain, tokens, salt);
            self.add(*hash, key, parent, out);
            (parent, chain) = (Some(*hash), Some(key));
        }
    }

    fn add(&mut self, hash: u64, key: u64, parent: Option<u64>, out: &mut Vec<CacheEvent>) {
        self.statistics.stored += 1;
        let known = self.known.entry(hash).or_insert(Known { key, parent, copies: 0 });
        if known.key != key {
            // The engine gave one name to two contents: the older one is not there any more, as far
            // as we can tell.
            if known.copies > 0 {
                out.push(CacheEvent::Removed { run: run(known.key), copy: false });
            }
            *known = Known { key, parent, copies: 0 };
        }
        out.push(CacheEvent::Stored { run: run(key), copy: known.copies > 0 });
        known.copies = known.copies.saturating_add(1);
    }

    /// A block was stored behind `last`: this and all before it are there.
    fn revive(&mut self, last: Option<u64>, out: &mut Vec<CacheEvent>) {
        let first = out.len();
        let mut next = last;
        while let Some(known) = next.and_then(|hash| self.known.get_mut(&hash)) {
            if known.copies > 0 {
                break;
            }
            known.copies = 1;
            out.push(CacheEvent::Stored { run: run(known.key), copy: false });
            self.statistics.revived += 1;
            next = known.parent;
        }
        out[first..].reverse();
    }

    fn removed(&mut self, hash: u64, out: &mut Vec<CacheEvent>) {
        let Some(known) = self.known.get_mut(&hash).filter(|known| known.copies > 0) else {
            self.statistics.unknown_removed += 1;
            self.known.remove(&hash);
            return;
        };
        self.statistics.removed += 1;
        known.copies -= 1;
        let (run, copy) = (run(known.key), known.copies > 0);
        out.push(CacheEvent::Removed { run, copy });
        if !copy {
            self.known.remove(&hash);
        }
    }

    /// The worker's cache is empty.
    fn forget(&mut self, out: &mut Vec<CacheEvent>) {
        self.known.clear();
        out.push(CacheEvent::Cleared);
    }

    /// Messages are lost: nothing is believed, but what was believed until now may be found again.
    fn doubt(&mut self, out: &mut Vec<CacheEvent>) {
        // What was in doubt already is dropped, so that names do not pile up from gap to gap.
        self.known.retain(|_, known| known.copies > 0);
        self.known.values_mut().for_each(|known| known.copies = 0);
        out.push(CacheEvent::Cleared);
    }
}

fn run(key: u64) -> BlockRun {
    BlockRun { content: key, first: 0, count: 1 }
}

/// The key of the block of `tokens` behind the block `parent`.
fn key(parent: Option<u64>, tokens: &[u32], salt: u64) -> u64 {
    let key = dynamo_sequence(parent, dynamo_local(tokens));
    if salt == 0 { key } else { mix(&[key, salt]) }
}

/// The runs of a prompt's full blocks, one per block; `block_tokens` is at least 1.
pub fn prompt_runs(token_ids: &[u32], block_tokens: u32) -> Vec<BlockRun> {
    let blocks = dynamo_blocks(token_ids, block_tokens);
    blocks.into_iter().map(|DynamoBlock { sequence, .. }| run(sequence)).collect()
}

#[cfg(test)]
mod tests;
