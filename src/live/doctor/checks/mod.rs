//! What was seen, judged: causes and cures in plain words. Nothing is claimed that was not seen.

pub mod blocks;
pub mod cached;
pub mod client;
pub mod endpoint;
pub mod events;
pub mod metrics;
pub mod tokens;

use super::visit::Visit;
use crate::live::server::facts::WorkerFacts;
use crate::units::Nanos;
use blocks::Sizes;

/// What holds for all endpoints.
#[derive(Default)]
pub struct Facts {
    /// KV events are listened to.
    pub events: bool,
    /// The model's own tokenizer was given.
    pub own_tokenizer: bool,
    /// Why token ids of whole prompts are not known.
    pub no_ids: Option<String>,
    /// Tokens per block that kvroute assumes.
    pub block_tokens: u32,
    /// The user says so.
    pub block_tokens_given: bool,
    /// Tokens per block that servers tell.
    pub block_sizes: Sizes,
    /// What each page of metrics says of its server's cache.
    pub configs: Vec<Option<WorkerFacts>>,
    /// Pages of metrics were named; else there is one for each endpoint.
    pub metrics_given: bool,
}

impl Facts {
    /// What pages say of the caches behind an endpoint.
    fn configs_of(&self, visit: &Visit) -> impl Iterator<Item = WorkerFacts> {
        let (place, all) = (visit.place, self.metrics_given);
        let pages = self.configs.iter().enumerate();
        pages.filter(move |(page, _)| all || *page == place).filter_map(|(_, config)| *config)
    }
}

/// A time in milliseconds, to one digit.
fn ms(time: Nanos) -> String {
    format!("{} ms", number(time.0 as f64 / 1e6))
}

/// A number to one digit, without an idle zero.
fn number(value: f64) -> String {
    format!("{}", (value * 10.0).round() / 10.0)
}

fn plural(count: i64, noun: &str) -> String {
    if count == 1 { noun.into() } else { format!("{noun}s") }
}
