//! What one endpoint does with a few prompts.
//!
//! A new prompt of some hundred tokens, the same again until it is found in a cache, a longer one that
//! begins with it, and two texts on which tokenizers differ.

use super::ears::Ears;
use super::pages::{Looked, Pages};
use super::probe::{Prober, Sent};
use super::prompts::Prompts;
use crate::error::Result;
use crate::live::body::BodySpec;
use crate::live::client::answer::Fault;
use crate::live::client::{Client, Target};
use crate::live::clock::Clock;
use crate::live::plan;
use crate::live::server::ServerMetrics;
use crate::live::text::Texts;
use std::sync::Arc;
use std::time::Duration;

/// Tokens of the first prompt: several blocks of any engine's default size.
const LENGTH: u32 = 600;
/// Blocks that it has at least, where their size is known.
const BLOCKS: u32 = 4;
/// Tokens that the longer prompt has more.
const MORE: u32 = 200;
/// Output tokens: of the first answer, which is looked at, and of the others.
const OUTPUT: u32 = 16;
const SHORT: u32 = 2;
/// How often a prompt is sent again to one worker, and to a front end that may have many.
const REPEATS: usize = 2;
const MANY_REPEATS: usize = 8;
/// Before the repeats: news of what was cached may still be on its way to a router.
const PAUSE: Duration = Duration::from_millis(300);

/// What there is to be known of one endpoint.
#[derive(Default)]
pub(super) struct Visit {
    /// Its number among all endpoints.
    pub place: usize,
    /// As it was given.
    pub url: String,
    /// The option that named it.
    pub option: &'static str,
    /// A single worker, not a front end.
    pub alone: bool,
    /// Model that was asked for.
    pub model: String,
    /// Models that it lists, or why none could be asked for.
    pub models: Option<std::result::Result<Vec<String>, Fault>>,
    /// Its host is not known.
    pub unknown_host: Option<String>,
    /// What it said to a request for an output of an exact length, where it refused it and took others.
    pub refused_length: Option<String>,
    /// What it said to a prompt of so many tokens, where it refused that and took a shorter one.
    pub refused_prompt: Option<(u32, String)>,
    /// The first prompt.
    pub first: Option<Sent>,
    /// The same again.
    pub repeats: Vec<Sent>,
    /// One that begins with it.
    pub longer: Option<Sent>,
    /// Texts on which tokenizers differ, a short and a long one.
    pub tricky: Option<[Sent; 2]>,
    /// What all pages of metrics counted meanwhile.
    pub counted: ServerMetrics,
    /// Where the news of the first prompt begins, by feed.
    pub mark: Vec<usize>,
    /// Where it ends.
    pub end: Vec<usize>,
}

impl Visit {
    /// Nothing is known yet of `target`, endpoint number `place`.
    pub fn of(target: &Target, place: usize, alone: bool) -> Visit {
        Visit { place, alone, url: target.url.clone(), option: target.option, ..Visit::default() }
    }

    /// Prompts that were answered.
    pub fn answers(&self) -> impl Iterator<Item = &Sent> {
        let tricky = self.tricky.iter().flatten();
        let all = self.first.iter().chain(&self.repeats).chain(&self.longer).chain(tricky);
        all.filter(|sent| sent.answered())
    }

    /// The first prompt was answered.
    pub fn is_open(&self) -> bool {
        self.first.as_ref().is_some_and(Sent::answered)
    }

    /// Prompt tokens that the server says it has read.
    pub fn prompt_tokens(&self) -> u32 {
        self.answers().filter_map(Sent::prompt_tokens).sum()
    }
}

/// Makes visits.
pub(super) struct Visitor<'a, 'b> {
    pub client: &'b Arc<Client>,
    pub clock: &'b Clock,
    pub texts: &'a Texts,
    pub body: &'b BodySpec,
    /// A model was asked for by name.
    pub model_given: bool,
    pub prompts: &'b mut Prompts<'a>,
    pub pages: &'b Pages,
    pub ears: &'b mut Ears,
    /// Tokens per block, as far as known.
    pub block_tokens: u32,
}

impl<'a> Visitor<'a, '_> {
    /// Visits `target`, which is number `number` of the client's, and adds to `visit` what it sees. What all
    /// pages say afterwards is left in `looked`.
    ///
    /// # Errors
    /// Where the options cannot be sent at all.
    pub async fn visit(
        &mut self,
        (number, target): (usize, &Target),
        mut visit: Visit,
        looked: &mut Looked,
    ) -> Result<Visit> {
        let models = plan::list_models(self.client, target).await;
        visit.model = match &models {
            Ok(models) if !self.model_given => models.first().cloned().unwrap_or_default(),
            _ => self.body.model.clone(),
        };
        visit.models = Some(models);
        let spec = BodySpec { model: visit.model.clone(), ..self.body.clone() };
        let prober = Prober::new(self.client, self.clock, self.texts, spec, number)?;
        // What is told of an earlier visit's prompts has come by now.
        tokio::time::sleep(PAUSE / 3).await;
        visit.mark = self.ears.mark();
        let prober = self.first(prober, &mut visit).await?;
        if visit.is_open() {
            self.ears.listen(&visit.mark).await;
            visit.end = self.ears.mark();
            self.rest(&prober, &mut visit).await;
        }
        let after = self.pages.look_after(looked, visit.prompt_tokens()).await;
        visit.counted = self.pages.change(looked, &after);
        *looked = after;
        Ok(visit)
    }

    /// The first prompt; where the server refuses it, without an exact length of the output, or shorter.
    async fn first(&mut self, prober: Prober<'a>, visit: &mut Visit) -> Result<Prober<'a>> {
        let length = LENGTH.max(BLOCKS.saturating_mul(self.block_tokens));
        let sent = prober.send(self.prompts.new_words(length), OUTPUT).await;
        let refused = sent.refused();
        let words = sent.fault.as_ref().map(|fault| fault.words.clone());
        visit.first = Some(sent);
        if !refused {
            return Ok(prober);
        }
        let loose = prober.loose()?;
        let sent = loose.send(self.prompts.new_words(length), OUTPUT).await;
        if sent.answered() {
            visit.first = Some(sent);
            visit.refused_length = words;
            return Ok(loose);
        }
        let sent = prober.send(self.prompts.new_words(length / BLOCKS), OUTPUT).await;
        if sent.answered() {
            visit.first = Some(sent);
            visit.refused_prompt = words.map(|words| (length, words));
        }
        Ok(prober)
    }

    async fn rest(&mut self, prober: &Prober<'a>, visit: &mut Visit) {
        let Some(text) = visit.first.as_ref().map(|first| first.text.clone()) else { return };
        tokio::time::sleep(PAUSE).await;
        for _ in 0..if visit.alone { REPEATS } else { MANY_REPEATS } {
            let sent = prober.send(text.clone(), SHORT).await;
            let found = sent.cached().is_some_and(|cached| cached > 0);
            visit.repeats.push(sent);
            if found {
                break;
            }
        }
        visit.longer = Some(prober.send(self.prompts.longer(&text, MORE), SHORT).await);
        let [short, long] = [1, 4].map(|rounds| self.prompts.tricky(rounds));
        visit.tricky = Some([prober.send(short, SHORT).await, prober.send(long, SHORT).await]);
    }
}
