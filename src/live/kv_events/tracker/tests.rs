use super::*;
use crate::live::kv_events::message::Malformed;

/// Blocks of two tokens: `hashes` behind `parent`, with these tokens.
fn stored(parent: Option<u64>, hashes: &[u64], tokens: &[u32]) -> Stored {
    Stored {
        hashes: hashes.to_vec(),
        parent,
        tokens: tokens.to_vec(),
        block_tokens: 2,
        salts: vec![],
        place: Place::Device,
    }
}

fn removed(hashes: &[u64]) -> Event {
    Event::Removed { hashes: hashes.to_vec(), place: Place::Device }
}

/// A worker, and the set of keys that its events leave behind.
struct Worker {
    tracker: Tracker,
    held: Vec<u64>,
    sequence: u64,
}

impl Worker {
    fn new() -> Worker {
        Worker { tracker: Tracker::new(2), held: vec![], sequence: 0 }
    }

    /// Tells of `what`; what became of it.
    fn hears(&mut self, what: What) -> Vec<CacheEvent> {
        let mut out = Vec::new();
        self.tracker.follow(&Delivery { worker: 0, at: Nanos(5), what }, &mut out);
        for event in &out {
            match event {
                CacheEvent::Stored { run, copy } => {
                    assert_eq!(*copy, self.held.contains(&run.content), "{event:?}");
                    if !copy {
                        self.held.push(run.content);
                    }
                }
                CacheEvent::Removed { run, copy: false } => {
                    let held = self.held.iter().position(|key| *key == run.content);
                    self.held.remove(held.expect("what is removed was held"));
                }
                CacheEvent::Removed { run, copy: true } => {
                    assert!(self.held.contains(&run.content));
                }
                CacheEvent::Cleared => self.held.clear(),
            }
        }
        assert_eq!(self.held.len(), self.tracker.blocks());
        out
    }

    fn gets(&mut self, events: Vec<Event>) -> Vec<CacheEvent> {
        let (sequence, published) = (self.sequence, 0.0);
        self.sequence += 1;
        let batch = Batch { sequence, published, rank: None, events, unknown: 0 };
        self.hears(What::Batch { batch, replayed: false })
    }

    fn stores(&mut self, parent: Option<u64>, hashes: &[u64], tokens: &[u32]) {
        self.gets(vec![Event::Stored(stored(parent, hashes, tokens))]);
    }

    /// Leading blocks of a prompt that are held.
    fn overlap(&self, prompt: &[u32]) -> usize {
        let runs = prompt_runs(prompt, 2);
        runs.iter().take_while(|run| self.held.contains(&run.content)).count()
    }

    fn statistics(&self) -> &Statistics {
        self.tracker.statistics()
    }
}

#[test]
fn the_blocks_of_a_prompt_are_found_again_by_their_tokens() {
    let mut worker = Worker::new();
    worker.stores(None, &[11, 12], &[1, 2, 3, 4]);
    worker.stores(Some(12), &[13], &[5, 6]);
    assert_eq!(worker.overlap(&[1, 2, 3, 4, 5, 6, 7]), 3);
    assert_eq!(worker.overlap(&[1, 2, 3, 5, 5, 6]), 1);
    // The same tokens elsewhere in a prompt are other blocks.
    assert_eq!(worker.overlap(&[3, 4, 5, 6]), 0);
    assert_eq!(worker.statistics().stored, 3);
    assert_eq!(worker.statistics().last_sequence, Some(1));
    assert_eq!(worker.statistics().last_message, Some(Nanos(5)));
}

#[test]
fn a_block_is_gone_with_its_last_copy() {
    let mut worker = Worker::new();
    worker.stores(None, &[11], &[1, 2]);
    worker.stores(None, &[11], &[1, 2]);
    worker.gets(vec![removed(&[11])]);
    assert_eq!(worker.overlap(&[1, 2]), 1);
    worker.gets(vec![removed(&[11])]);
    assert_eq!(worker.overlap(&[1, 2]), 0);
    worker.gets(vec![removed(&[11])]);
    assert_eq!((worker.statistics().removed, worker.statistics().unknown_removed), (2, 1));
}

#[test]
fn blocks_behind_an_unknown_one_are_left_out_until_it_is_known() {
    let mut worker = Worker::new();
    worker.stores(Some(12), &[13], &[5, 6]);
    assert_eq!((worker.held.len(), worker.statistics().unknown_parents), (0, 1));
    worker.stores(None, &[11, 12], &[1, 2, 3, 4]);
    worker.stores(Some(12), &[13], &[5, 6]);
    assert_eq!(worker.overlap(&[1, 2, 3, 4, 5, 6]), 3);
}

#[test]
fn after_lost_messages_nothing_is_believed_until_a_prompt_comes_back() {
    let mut worker = Worker::new();
    worker.stores(None, &[11, 12, 13], &[1, 2, 3, 4, 5, 6]);
    worker.stores(None, &[21], &[9, 9]);
    assert_eq!(worker.hears(What::Lost(3)), [CacheEvent::Cleared]);
    assert_eq!((worker.statistics().lost, worker.held.len()), (3, 0));
    // It may have been evicted and may not, so its eviction says nothing.
    worker.gets(vec![removed(&[21])]);
    assert_eq!(worker.statistics().unknown_removed, 1);
    // A request that goes on behind 12 holds 12 and all before it, but not 13.
    worker.stores(Some(12), &[14], &[7, 8]);
    assert_eq!(worker.overlap(&[1, 2, 3, 4, 7, 8]), 3);
    assert_eq!(worker.overlap(&[1, 2, 3, 4, 5, 6]), 2);
    assert_eq!(worker.statistics().revived, 2);
}

#[test]
fn names_in_doubt_do_not_pile_up() {
    let mut worker = Worker::new();
    worker.stores(None, &[11], &[1, 2]);
    worker.hears(What::Lost(1));
    worker.hears(What::Lost(1));
    assert!(worker.tracker.known.is_empty());
}

#[test]
fn a_message_that_cannot_be_read_is_a_lost_one() {
    let mut worker = Worker::new();
    worker.stores(None, &[11], &[1, 2]);
    worker.hears(What::Malformed(Malformed { sequence: Some(1), why: "it ends too early" }));
    assert_eq!((worker.held.len(), worker.statistics().malformed), (0, 1));
    assert_eq!(worker.statistics().last_malformed, Some("it ends too early"));
    assert_eq!(worker.statistics().last_sequence, Some(1));
}

#[test]
fn a_worker_that_restarted_or_cleared_its_cache_holds_nothing_and_knows_nothing() {
    for clearing in [
        What::Restarted,
        What::Batch {
            batch: Batch {
                sequence: 1,
                published: 0.0,
                rank: None,
                events: vec![Event::Cleared],
                unknown: 0,
            },
            replayed: true,
        },
    ] {
        let mut worker = Worker::new();
        worker.stores(None, &[11], &[1, 2]);
        assert_eq!(worker.hears(clearing), [CacheEvent::Cleared]);
        worker.stores(Some(11), &[12], &[3, 4]);
        assert_eq!((worker.held.len(), worker.statistics().unknown_parents), (0, 1));
    }
}

#[test]
fn a_cache_that_we_emptied_holds_nothing_before_the_worker_says_so() {
    let mut worker = Worker::new();
    worker.stores(None, &[11], &[1, 2]);
    let mut out = Vec::new();
    worker.tracker.emptied(&mut out);
    assert_eq!((out, worker.tracker.blocks()), (vec![CacheEvent::Cleared], 0));
}

#[test]
fn messages_before_the_first_are_missed_and_not_lost() {
    let mut worker = Worker::new();
    worker.hears(What::Gap(7));
    worker.hears(What::Lost(7));
    worker.stores(None, &[11], &[1, 2]);
    let statistics = worker.statistics();
    assert_eq!((statistics.missed_before, statistics.lost, statistics.gaps), (7, 0, 1));
}

#[test]
fn blocks_elsewhere_or_of_another_size_are_left_out_and_counted() {
    let mut worker = Worker::new();
    let block = || stored(None, &[11], &[1, 2]);
    worker.gets(vec![
        Event::Stored(Stored { place: Place::OtherTier, ..block() }),
        Event::Stored(Stored { place: Place::OtherGroup, ..block() }),
        Event::Stored(Stored { block_tokens: 1, hashes: vec![11, 12], ..block() }),
        Event::Stored(Stored { tokens: vec![1, 2, 3], ..block() }),
        Event::Removed { hashes: vec![11], place: Place::OtherTier },
    ]);
    let statistics = worker.statistics();
    assert!(worker.held.is_empty());
    assert_eq!((statistics.other_tiers, statistics.other_groups), (2, 1));
    assert_eq!((statistics.of_other_size, statistics.other_size), (2, Some(1)));
    assert_eq!((statistics.uneven, statistics.unknown_removed), (1, 0));
}

#[test]
fn blocks_of_an_adapter_are_no_hits_for_the_plain_prompt() {
    let mut worker = Worker::new();
    let salted = Stored { salts: vec![5, 0], ..stored(None, &[11, 12], &[1, 2, 3, 4]) };
    worker.gets(vec![Event::Stored(salted)]);
    assert_eq!((worker.held.len(), worker.overlap(&[1, 2, 3, 4])), (2, 0));
    assert_eq!(worker.statistics().salted, 1);
    // Nor are their children, which have no salt of their own.
    worker.stores(None, &[21, 22], &[1, 2, 3, 4]);
    assert_eq!((worker.held.len(), worker.overlap(&[1, 2, 3, 4])), (4, 2));
}

#[test]
fn a_name_given_to_other_tokens_means_those() {
    let mut worker = Worker::new();
    worker.stores(None, &[11], &[1, 2]);
    worker.stores(None, &[11], &[3, 4]);
    assert_eq!((worker.overlap(&[1, 2]), worker.overlap(&[3, 4])), (0, 1));
}
