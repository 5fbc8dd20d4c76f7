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
use super::kv_events::tracker::{Tracker, prompt_runs};
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
}

impl EventNews {
    /// From `workers` workers with blocks of `block_tokens`.
    pub fn new(
        deliveries: UnboundedReceiver<Delivery>,
        workers: usize,
        block_tokens: u32,
    ) -> EventNews {
        let trackers = (0..workers).map(|_| Tracker::new(block_tokens)).collect();
        EventNews { deliveries, trackers }
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
        (1..).zip(&self.trackers).flat_map(|(number, tracker)| doubts(number, tracker)).collect()
    }
}

/// What makes a worker's events doubtful, in plain words with the cure.
fn doubts(number: usize, tracker: &Tracker) -> Vec<String> {
    let seen = tracker.statistics();
    let mut doubts = Vec::new();
    let mut doubt = |text: String| doubts.push(format!("KV events of worker {number}: {text}"));
    if seen.messages == 0 {
        doubt("none came; check the endpoint and that the server publishes them".into());
    }
    if let Some(size) = seen.other_size {
        doubt(format!("its blocks have {size} tokens: say so with --block-tokens {size}"));
    }
    if seen.malformed > 0 {
        let last = seen.last_malformed.unwrap_or("");
        doubt(format!("{} messages could not be read, the last: {last}", seen.malformed));
    }
    if seen.lost > 0 {
        doubt(format!(
            "{} messages were lost and its index was emptied; give --kv-replay-endpoint",
            seen.lost
        ));
    }
    doubts
}
