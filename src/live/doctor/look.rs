//! Looks at a set-up: everything that is sent and received.

use super::SetUp;
use super::checks::client::Client as Health;
use super::checks::{Facts, blocks::Sizes};
use super::ears::Ears;
use super::pages::{Looked, Pages};
use super::probe::Prober;
use super::prompts::Prompts;
use super::spread::{self, Spread};
use super::visit::{Visit, Visitor};
use crate::compare;
use crate::error::Result;
use crate::live::body::BodySpec;
use crate::live::client::{Client, Target};
use crate::live::clock::{self, Clock};
use crate::live::options::LiveOptions;
use crate::live::server::ServerMetrics;
use crate::live::text::Texts;
use crate::live::watchers::Watchers;
use crate::live::{connect, machine};
use std::sync::Arc;
use std::time::Duration;

/// Workers are compared each with each up to so many, else with their neighbours.
const PAIRS: usize = 8;

/// Everything that was seen.
pub(super) struct Seen {
    /// By endpoint.
    pub visits: Vec<Visit>,
    pub ears: Ears,
    /// What pages of metrics counted, from first to last.
    pub counted: ServerMetrics,
    /// What they said last.
    pub last: Looked,
    pub spread: Option<Spread>,
    /// Workers, by their places, that found what only the other was sent.
    pub shared: Vec<(usize, usize)>,
    /// Prompt tokens sent, by the servers' counts.
    pub tokens: u32,
    pub client: Health,
    pub facts: Facts,
}

/// Looks at `set_up`.
///
/// # Errors
/// Options that cannot be used at all.
pub(super) async fn look(set_up: &SetUp<'_>, texts: &Texts) -> Result<Seen> {
    Looking::start(set_up, texts).await?.finish().await
}

/// Who looks, and with what.
struct Looking<'a> {
    set_up: &'a SetUp<'a>,
    texts: &'a Texts,
    clock: Clock,
    /// The start by the wall clock, nanoseconds since 1970.
    started: u64,
    client: Arc<Client>,
    /// Endpoints whose hosts are known, by their places; the client has them in this order.
    known: Vec<(usize, Target)>,
    visits: Vec<Visit>,
    watchers: Watchers,
    pages: Pages,
    first: Looked,
    last: Looked,
    /// Sizes of blocks that pages tell.
    sizes: Sizes,
    ears: Ears,
    prompts: Prompts<'a>,
}

impl<'a> Looking<'a> {
    /// Finds all hosts, reads the pages of metrics and listens to events.
    async fn start(set_up: &'a SetUp<'a>, texts: &'a Texts) -> Result<Looking<'a>> {
        let options = set_up.options;
        let (clock, started) = (Clock::start(), clock::unix_ns());
        machine::raise_file_limit();
        machine::raise_priority();
        let (mut visits, mut known) = (Vec::new(), Vec::new());
        for (place, target) in options.targets.iter().enumerate() {
            let mut visit = Visit::of(target, place, place >= set_up.fronts);
            match target.resolve().await {
                Ok(_) => known.push((place, target.clone())),
                Err(_) => {
                    visit.unknown_host = Some(format!("the host {} is not known", target.host));
                }
            }
            visits.push(visit);
        }
        let targets = known.iter().map(|(_, target): &(usize, Target)| target.clone()).collect();
        let reachable = LiveOptions { targets, ..options.clone() };
        let client = Arc::new(connect::client(&reachable, &clock).await?);
        let watchers = Watchers::start(&client, &[], Duration::from_secs(1), &clock).await?;
        let pages = Pages::find(&client, &options.metrics).await;
        let first = pages.look().await;
        let told = first.configs().into_iter().flatten().filter_map(|config| config.block_tokens);
        let sizes: Sizes = told.filter(|size| *size > 0).collect();
        let block_tokens = largest(&sizes, set_up);
        let path = options.tokenizer.as_deref();
        Ok(Looking {
            set_up,
            texts,
            started,
            client,
            known,
            visits,
            watchers,
            pages,
            last: first.clone(),
            first,
            sizes,
            ears: Ears::open(set_up.feeds, block_tokens, &clock).await,
            prompts: Prompts::new(texts, path, options.body.endpoint, started),
            clock,
        })
    }

    async fn finish(mut self) -> Result<Seen> {
        self.visit().await?;
        let probers = self.probers()?;
        let (shared, shared_tokens) = self.shared(&probers).await;
        let spread = self.spread(probers).await;
        let tokens = self.visits.iter().map(Visit::prompt_tokens).sum::<u32>() + shared_tokens;
        let tokens = tokens + spread.as_ref().map_or(0, |spread| spread.tokens);
        Ok(Seen {
            counted: self.pages.change(&self.first, &self.last),
            client: self.health(),
            facts: self.facts(),
            visits: self.visits,
            ears: self.ears,
            last: self.last,
            spread,
            shared,
            tokens,
        })
    }

    /// Visits all endpoints, one after the other.
    async fn visit(&mut self) -> Result<()> {
        let body = &self.set_up.options.body;
        let mut visitor = Visitor {
            client: &self.client,
            clock: &self.clock,
            texts: self.texts,
            body,
            model_given: !body.model.is_empty(),
            prompts: &mut self.prompts,
            pages: &self.pages,
            ears: &mut self.ears,
            block_tokens: largest(&self.sizes, self.set_up),
        };
        for (number, (place, target)) in self.known.iter().enumerate() {
            let visit = std::mem::take(&mut self.visits[*place]);
            let visit = visitor.visit((number, target), visit, &mut self.last).await?;
            self.visits[*place] = visit;
        }
        Ok(())
    }

    /// One for each endpoint that answers, with its place among all of them.
    fn probers(&self) -> Result<Vec<(usize, Prober<'a>)>> {
        let mut probers = Vec::new();
        for (number, (place, _)) in self.known.iter().enumerate() {
            let visit = &self.visits[*place];
            if visit.is_open() {
                let body = &self.set_up.options.body;
                let ignore_eos = body.ignore_eos && visit.refused_length.is_none();
                let model = visit.model.clone();
                let body = BodySpec { model, ignore_eos, ..body.clone() };
                let prober = Prober::new(&self.client, &self.clock, self.texts, body, number)?;
                probers.push((*place, prober));
            }
        }
        Ok(probers)
    }

    /// Workers that find in their caches what only another was sent, and the tokens sent to find out.
    async fn shared(&self, probers: &[(usize, Prober<'_>)]) -> (Vec<(usize, usize)>, u32) {
        let fronts = self.set_up.fronts;
        let workers: Vec<_> = probers.iter().filter(|(place, _)| *place >= fronts).collect();
        let (mut found, mut tokens) = (Vec::new(), 0);
        for (number, (place, prober)) in workers.iter().enumerate() {
            let first = if workers.len() > PAIRS { number.saturating_sub(1) } else { 0 };
            for (other, _) in &workers[first..number] {
                let Some(first) = &self.visits[*other].first else { continue };
                let sent = prober.send(first.text.clone(), 1).await;
                tokens += sent.prompt_tokens().unwrap_or(0);
                // A chat template's own beginning may be cached everywhere.
                if sent.cached().is_some_and(|cached| cached > sent.text.tokens / 2) {
                    found.push((*other, *place));
                }
            }
        }
        (found, tokens)
    }

    async fn spread(&mut self, probers: Vec<(usize, Prober<'_>)>) -> Option<Spread> {
        let sources = self.pages.change(&self.first, &self.last).sources;
        let engines: Vec<bool> =
            sources.iter().map(|one| one.query_tokens.is_some() && one.kind != "dynamo").collect();
        let fronts = probers.into_iter().filter(|(place, _)| *place < self.set_up.fronts);
        let fronts: Vec<Prober> = fronts.map(|(_, prober)| prober).collect();
        let pages = (&self.pages, &mut self.last, &engines[..]);
        let block_tokens = largest(&self.sizes, self.set_up);
        spread::look(&fronts, &mut self.prompts, pages, &mut self.ears, block_tokens).await
    }

    fn facts(&self) -> Facts {
        let mut block_sizes = self.sizes.clone();
        let stored = self.ears.heard.iter().flat_map(|heard| &heard.stored);
        block_sizes.extend(stored.map(|stored| stored.block_tokens).filter(|size| *size > 0));
        Facts {
            events: !self.set_up.feeds.is_empty(),
            own_tokenizer: self.prompts.own_tokenizer,
            no_ids: self.prompts.no_ids.clone(),
            block_tokens: self.set_up.scenario.cluster.block_tokens,
            block_tokens_given: self.set_up.block_tokens_given,
            block_sizes,
            configs: self.first.configs(),
            metrics_given: self.set_up.metrics_given,
        }
    }

    fn health(&self) -> Health {
        let passed_s = self.clock.now().as_secs_f64();
        let by_wall = (clock::unix_ns() as f64 - self.started as f64) / 1e9;
        let answers = || self.visits.iter().flat_map(Visit::answers);
        Health {
            loop_delays: self.watchers.take_loop_delays(),
            load_average: machine::load_average(),
            cores: compare::threads(0),
            read_lag: answers().filter_map(|sent| sent.read_lag).max(),
            answered: answers().next().is_some(),
            passed_s,
            stepped_s: by_wall - passed_s,
            event_delays_s: self.ears.heard.iter().filter_map(|heard| heard.delay_s).collect(),
        }
    }
}

/// The largest of the blocks that are known of, tokens; without any what kvroute assumes.
fn largest(sizes: &Sizes, set_up: &SetUp) -> u32 {
    sizes.last().copied().unwrap_or(set_up.scenario.cluster.block_tokens)
}
