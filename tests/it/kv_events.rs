//! The KV events of a real vLLM server, followed as a live router follows them: what the index
//! predicts for a prompt is what the server then found in its cache.

use crate::support::{bytes_of, fidelity, lines, shared};
use kvroute::live::kv_events::tracker::{Tracker, prompt_runs};
use kvroute::live::kv_events::{Delivery, What, message};
use kvroute::prompt::CacheEvent;
use kvroute::router::index::PrefixIndex;
use kvroute::units::Nanos;
use serde::Deserialize;

const BLOCK: u32 = 32;

/// A row of a recording, as far as it is compared. Times in seconds since 1970.
#[derive(Deserialize)]
struct Recorded {
    prompt_ids: Vec<u32>,
    cached_tokens: u32,
    t_send: f64,
}

/// A ZMQ message in hex, and when the recorder got it.
#[derive(Deserialize)]
struct Message {
    t: f64,
    frames: [String; 3],
}

/// A router's view of one worker.
struct Follower {
    tracker: Tracker,
    index: PrefixIndex,
}

impl Follower {
    fn hears(&mut self, what: What) {
        let mut events: Vec<CacheEvent> = Vec::new();
        self.tracker.follow(&Delivery { worker: 0, at: Nanos::ZERO, what }, &mut events);
        events.iter().for_each(|event| self.index.apply(0, event));
    }

    /// Tokens of the prompt believed to be cached; the last token is always computed.
    fn predicted(&self, prompt: &[u32]) -> u32 {
        let mut overlap = [0];
        self.index.overlaps(&prompt_runs(prompt, BLOCK), &mut overlap);
        overlap[0].min((prompt.len() as u32 - 1) / BLOCK) * BLOCK
    }
}

/// Requests whose cached tokens were predicted; every message whose number `lost` says is not heard.
fn predicted(requests: &[Recorded], messages: &[Message], lost: impl Fn(u64) -> bool) -> Found {
    let tracker = Tracker::new(BLOCK);
    let mut follower = Follower { tracker, index: PrefixIndex::default() };
    let mut found = Found::default();
    let mut heard = 0;
    for request in requests {
        while messages.get(heard).is_some_and(|message| message.t < request.t_send) {
            let batch =
                message::decode(&messages[heard].frames.each_ref().map(|hex| bytes_of(hex)));
            let batch = batch.unwrap();
            follower.hears(if lost(batch.sequence) {
                What::Lost(1)
            } else {
                What::Batch { batch, replayed: false }
            });
            heard += 1;
        }
        let predicted = follower.predicted(&request.prompt_ids);
        found.equal += usize::from(predicted == request.cached_tokens);
        found.too_many += usize::from(predicted > request.cached_tokens);
        found.hits += predicted;
    }
    found.revived = follower.tracker.statistics().revived;
    found
}

#[derive(Debug, Default)]
struct Found {
    equal: usize,
    too_many: usize,
    hits: u32,
    revived: u64,
}

#[test]
fn the_index_predicts_what_the_server_found_in_its_cache() {
    let (Some(requests), Some(messages)) =
        (shared("oracle/vllm-seq-hard.jsonl"), shared("oracle/vllm-seq-hard-events.jsonl"))
    else {
        return;
    };
    let (requests, messages) = (lines::<Recorded>(&requests), lines::<Message>(&messages));
    let found = predicted(&requests, &messages, |_| false);
    assert_eq!((found.equal, requests.len()), (220, 220), "{found:?}");
    fidelity(
        "cached tokens predicted from ZMQ KV events before each request",
        "a real vLLM 0.32 server, `oracle/vllm-seq-hard.jsonl` and its event stream",
        "kv_events::the_index_predicts_what_the_server_found_in_its_cache",
        format!("equal for {} of {} requests", found.equal, requests.len()),
    );
}

#[test]
fn lost_messages_make_the_index_forget_and_never_promise_too_much() {
    let (Some(requests), Some(messages)) =
        (shared("oracle/vllm-seq-hard.jsonl"), shared("oracle/vllm-seq-hard-events.jsonl"))
    else {
        return;
    };
    let (requests, messages) = (lines::<Recorded>(&requests), lines::<Message>(&messages));
    let truth: u32 = requests.iter().map(|request| request.cached_tokens).sum();
    let found = predicted(&requests, &messages, |number| number % 50 == 0);
    assert_eq!(found.too_many, 0, "{found:?}");
    assert!(found.hits < truth && found.revived > 0, "{found:?}, {truth} truly");
}
