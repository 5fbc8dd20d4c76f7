//! What a router of ours knows of real workers: the blocks of a prompt under the keys that the workers'
//! own KV events give them, and those events.
//!
//! An engine's blocks are blocks of token ids, so the whole prompt is needed as the server tokenises it:
//! rendered by the model's chat template, or as it is for plain completions. A wrong tokenizer or
//! template shows as a router that predicts nothing while the servers report hits.

use super::body::{self, EndpointType};
use super::chat_template::{ChatTemplate, GrowingPrompt};
use super::conversation::Prompt;
use super::dispatch::{CacheNews, PromptBlocks};
use super::kv_events::Delivery;
use super::kv_events::subscriber::Feed;
use super::kv_events::tracker::{Statistics, Tracker, prompt_runs};
use super::text::Texts;
use crate::error::{Error, Result};
use crate::prompt::{BlockRun, CacheEvent};
use crate::request::Request;
use rustc_hash::FxHashMap;
use std::path::Path;
use tokio::sync::mpsc::UnboundedReceiver;

/// Blocks of token ids.
pub struct TokenBlocks<'a> {
    texts: &'a Texts,
    /// `None` for plain completions.
    template: Option<ChatTemplate>,
    growing: FxHashMap<u64, GrowingPrompt>,
    block_tokens: u32,
}

impl<'a> TokenBlocks<'a> {
    /// Prompts as the model whose tokenizer lies at `path` has them, in blocks of `block_tokens`.
    ///
    /// # Errors
    /// Where there is no tokenizer of the model, or no chat template.
    pub fn new(
        texts: &'a Texts,
        path: Option<&Path>,
        endpoint: EndpointType,
        block_tokens: u32,
    ) -> Result<TokenBlocks<'a>> {
        let path = path.ok_or_else(|| {
            Error::input(
                "KV events name blocks by their tokens: give the model's own folder with --tokenizer, or \
                 go by the router's own decisions with --kv-events false",
            )
        })?;
        let template = match endpoint {
            EndpointType::Chat => Some(ChatTemplate::load(path, &texts.tokenizer)?),
            EndpointType::Completions => None,
        };
        Ok(TokenBlocks { texts, template, growing: FxHashMap::default(), block_tokens })
    }
}

impl PromptBlocks for TokenBlocks<'_> {
    fn of(&mut self, request: &Request, prompt: &Prompt) -> Result<(Vec<BlockRun>, u32)> {
        let Texts { tokenizer, pieces } = self.texts;
        let ids = match &self.template {
            Some(template) => {
                let said = body::messages(pieces, prompt)?;
                let said: Vec<(&str, &str)> =
                    said.iter().map(|(role, text)| (role.name(), text.as_str())).collect();
                let growing = self.growing.entry(request.session).or_default();
                growing.ids(template, tokenizer, &said)?
            }
            None => tokenizer.encode_prompt(&body::whole(pieces, prompt)?),
        };
        Ok((prompt_runs(&ids, self.block_tokens), ids.len() as u32))
    }

    fn forget(&mut self, session: u64) {
        self.growing.remove(&session);
    }
}

/// Events of real workers.
pub struct EventNews {
    deliveries: UnboundedReceiver<Delivery>,
    trackers: Vec<Tracker>,
    /// Which of them have a replay socket.
    replayed: Vec<bool>,
    /// What was published before we listened does not matter: the caches were emptied since.
    emptied: bool,
}

impl EventNews {
    /// From the workers of `feeds`, in their order, with blocks of `block_tokens`.
    pub fn new(
        deliveries: UnboundedReceiver<Delivery>,
        feeds: &[Feed],
        block_tokens: u32,
    ) -> EventNews {
        let trackers = feeds.iter().map(|_| Tracker::new(block_tokens)).collect();
        let replayed = feeds.iter().map(|feed| feed.replay.is_some()).collect();
        EventNews { deliveries, trackers, replayed, emptied: false }
    }
}

impl CacheNews for EventNews {
    fn drain(&mut self) -> Vec<(u32, Vec<CacheEvent>)> {
        let mut news = Vec::new();
        while let Ok(delivery) = self.deliveries.try_recv() {
            let mut events = Vec::new();
            self.trackers[delivery.worker as usize].follow(&delivery, &mut events);
            if !events.is_empty() {
                news.push((delivery.worker, events));
            }
        }
        news
    }

    fn emptied(&mut self) -> Vec<(u32, Vec<CacheEvent>)> {
        self.emptied = true;
        let emptied = |(worker, tracker): (u32, &mut Tracker)| {
            let mut events = Vec::new();
            tracker.emptied(&mut events);
            (worker, events)
        };
        (0..).zip(&mut self.trackers).map(emptied).collect()
    }

    fn missing(&self) -> Option<String> {
        let unconnected = |(number, tracker): (usize, &Tracker)| {
            let seen = tracker.statistics();
            let so_far = if seen.connected { "still replaying" } else { "no connection so far" };
            let why = seen.trouble.as_deref().unwrap_or(so_far);
            (!seen.caught_up).then(|| format!("worker {number}: {why}"))
        };
        (1..).zip(&self.trackers).find_map(unconnected)
    }

    fn doubts(&self) -> Vec<String> {
        let workers = (1..).zip(self.trackers.iter().zip(&self.replayed));
        let doubts = |(number, (tracker, replayed)): (usize, (&Tracker, &bool))| {
            let doubts = doubts(tracker.statistics(), *replayed, self.emptied);
            doubts.into_iter().map(move |text| format!("KV events of worker {number}: {text}"))
        };
        workers.flat_map(doubts).collect()
    }
}

/// What makes a worker's events doubtful, in plain words with the cure. `replayed`: it has a replay
/// socket; `emptied`: its cache was emptied when we began to listen.
fn doubts(seen: &Statistics, replayed: bool, emptied: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    if seen.messages == 0 {
        doubts.push("none came; check the endpoint and that the server publishes them".into());
    }
    if let Some(size) = seen.other_size {
        doubts.push(format!("its blocks have {size} tokens: say so with --block-tokens {size}"));
    }
    if seen.malformed > 0 {
        let last = seen.last_malformed.unwrap_or("");
        doubts.push(format!("{} messages could not be read, the last: {last}", seen.malformed));
    }
    let told = |(why, cure): (String, &str)| format!("{why}; {cure}");
    if seen.missed_before > 0 && !emptied {
        doubts.push(told(missed_before(seen.missed_before, replayed)));
    }
    if seen.lost > 0 {
        doubts.push(told(lost(seen, replayed)));
    }
    doubts
}

/// Messages that were published before we listened, and could not be had; and the cure.
pub(super) fn missed_before(messages: u64, replayed: bool) -> (String, &'static str) {
    let (why, cure) = if replayed {
        (
            "and its replay no longer has them",
            "start kvroute before it has published so much, empty the caches (--reset-kv-cache), or \
             raise the publisher's buffer_steps",
        )
    } else {
        ("and are not known", "give --kv-replay-endpoint, or empty the caches (--reset-kv-cache)")
    };
    let why = format!(
        "{messages} messages were published before kvroute listened {why}, so its index lacks what was \
         cached then"
    );
    (why, cure)
}

/// Messages that were lost on the way; and the cure.
pub(super) fn lost(seen: &Statistics, replayed: bool) -> (String, &'static str) {
    let what = format!("{} messages were lost and its index was emptied", seen.lost);
    if !replayed {
        return (what, "give --kv-replay-endpoint");
    }
    let why = match seen.trouble.as_deref() {
        Some(trouble) => format!(" ({trouble})"),
        None => ", for its replay no longer had them".into(),
    };
    (what + &why, "check --kv-replay-endpoint, or raise the publisher's buffer_steps")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seen: &Statistics, replayed: bool, emptied: bool) -> String {
        doubts(&Statistics { messages: 9, ..seen.clone() }, replayed, emptied).join("\n")
    }

    #[test]
    fn lost_messages_are_blamed_on_the_replay_that_was_not_given_or_was_too_short() {
        let lost = Statistics { lost: 7, ..Statistics::default() };
        let text = said(&lost, false, false);
        assert!(
            text.contains("7 messages were lost") && text.contains("give --kv-replay-endpoint")
        );
        let text = said(&lost, true, false);
        assert!(text.contains("no longer had them") && text.contains("buffer_steps"), "{text}");
        assert!(!text.contains("give --kv-replay-endpoint"), "{text}");
        let trouble = Some("no replay from tcp://h:1: refused".into());
        let text = said(&Statistics { trouble, ..lost }, true, false);
        assert!(text.contains("(no replay from tcp://h:1: refused)"), "{text}");
    }

    #[test]
    fn messages_from_before_are_missed_unless_the_caches_were_emptied_since() {
        let missed = Statistics { missed_before: 5, ..Statistics::default() };
        assert!(said(&missed, false, false).contains("give --kv-replay-endpoint, or empty"));
        let text = said(&missed, true, false);
        assert!(text.contains("its replay no longer has them"), "{text}");
        assert!(text.contains("--reset-kv-cache") && text.contains("buffer_steps"), "{text}");
        assert_eq!(said(&missed, true, true), "");
        assert_eq!(said(&Statistics::default(), false, false), "");
    }
}
