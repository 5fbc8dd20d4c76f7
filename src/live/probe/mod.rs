//! A short probe of endpoints: how long prompts and tokens take there, and how they count our prompts.
//!
//! Requests go to one endpoint at a time. In rounds, as many as the budget allows, every endpoint gets:
//! prompts of several lengths nobody has seen, each then continued so that its beginning is cached (one
//! token of output: TTFT against cached and uncached tokens); batches of equal requests (ITL against batch
//! and context); and prompts that arrive while another request decodes: the gap that they make is the
//! engine's step alone, and what their own TTFT has beyond it passes outside the engine. The lengths are
//! those of the workload.
//!
//! With the first endpoint a few words are exchanged besides, to learn what its chat template and tokenizer
//! make of our texts (`server_tokens`); and all endpoints are asked at once, to see whether they slow
//! each other down.

mod asker;
mod timing;
mod words;

use super::options::LiveOptions;
use super::runtime;
use super::server::facts::WorkerFacts;
use super::server_tokens::{Samples, ServerTokens};
use super::text::Texts;
use crate::error::{Error, Result};
use crate::sim::Control;
use crate::units::Nanos;
use asker::Asker;
use std::time::Duration;

/// What to probe, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSpec {
    /// Requests per endpoint, about: a round is begun where it fits.
    pub requests: u32,
    /// Nothing new is begun after this time.
    pub limit: Duration,
    /// Longest prompt that matters, tokens.
    pub longest: u32,
    /// Token budget of a step, where no page of metrics tells: a prompt with more that is new takes
    /// several steps, and measures none of them.
    pub max_batched_tokens: u32,
    /// Most requests decoding on a worker that matter.
    pub batch: u32,
    /// Workers behind an endpoint; only where there is one can steps be told from the way to them.
    pub workers: u32,
    /// Tokens per block, where no page of metrics tells.
    pub block_tokens: u32,
    /// Measure times; else only how prompts are counted.
    pub times: bool,
}

/// A prompt that was alone on its worker: one step, and the way to the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillRow {
    /// Endpoint, from 0.
    pub endpoint: usize,
    /// Tokens found in the cache.
    pub cached: u32,
    /// Tokens computed.
    pub uncached: u32,
    /// From the send to the first token.
    pub ttft: Nanos,
}

/// A batch of equal requests that decoded together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodeRow {
    /// Endpoint, from 0.
    pub endpoint: usize,
    /// Requests per worker.
    pub batch: u32,
    /// Tokens of each, prompt and output, on average over the time measured.
    pub context: u32,
    /// Median gap between tokens.
    pub itl: Nanos,
}

/// A prompt that was computed while another request decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BesideRow {
    /// Endpoint, from 0.
    pub endpoint: usize,
    /// Tokens of the request that decoded.
    pub context: u32,
    /// Tokens of the prompt, none of them cached.
    pub uncached: u32,
    /// The gap between two tokens of the request that decoded in which the prompt was computed.
    pub gap: Nanos,
}

/// What a probe has found.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// Prompts alone.
    pub prefill: Vec<PrefillRow>,
    /// Decoding batches.
    pub decode: Vec<DecodeRow>,
    /// Prompts beside a decoding request.
    pub beside: Vec<BesideRow>,
    /// How the server counts our prompts.
    pub tokens: ServerTokens,
    /// Hits could be seen in the answers.
    pub tells_hits: bool,
    /// TTFT of prompts that all endpoints get at once, over that of prompts alone; `None` with one
    /// endpoint, or where there was no time for it.
    pub slowdown: Option<f64>,
    /// What pages of metrics tell of the workers, and the page that told first.
    pub facts: Option<(String, WorkerFacts)>,
    /// Greatest number that all cached tokens are multiples of, where there were enough to tell: the
    /// block size.
    pub hits_in_steps_of: Option<u32>,
    /// Requests sent.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
}

/// Probes the endpoints of `options`; `control.done` counts the requests, `control.stop` ends it.
///
/// # Errors
/// Where an endpoint cannot be reached or does not answer, or the probe is interrupted.
pub fn probe(
    options: &LiveOptions,
    texts: &Texts,
    spec: &ProbeSpec,
    control: &Control,
) -> Result<Probed> {
    if !options.body.streaming {
        return Err(Error::input(
            "--compare-sim compares times to first tokens, which only streams have; leave out \
             --no-streaming",
        ));
    }
    runtime::block_on(async {
        let asker = Asker::start(options, texts, control).await?;
        Probe::new(asker, spec, options.targets.len()).run().await
    })
}

/// A probe under way.
struct Probe<'a> {
    asker: Asker<'a>,
    spec: &'a ProbeSpec,
    endpoints: usize,
    found: Probed,
    samples: Samples,
    /// Longest prompt that the server has not refused.
    longest: u32,
    /// Cached tokens seen.
    cached: Vec<u32>,
}

impl<'a> Probe<'a> {
    fn new(asker: Asker<'a>, spec: &'a ProbeSpec, endpoints: usize) -> Probe<'a> {
        let longest = spec.longest.max(16);
        let (found, samples, cached) = (Probed::default(), Samples::default(), Vec::new());
        Probe { asker, spec, endpoints, found, samples, longest, cached }
    }

    async fn run(mut self) -> Result<Probed> {
        let pages = self.asker.pages().await;
        self.found.facts = pages
            .into_iter()
            .map(|(url, page)| (url, WorkerFacts::of(&page)))
            .find(|(_, facts)| *facts != WorkerFacts::default());
        self.warm_up().await?;
        if self.spec.times {
            self.rounds().await?;
            self.together().await?;
        } else {
            self.prompts(0, 0).await?;
        }
        self.words().await?;
        self.found.tokens = ServerTokens::estimate(&self.samples);
        self.found.requests = self.asker.sent.get();
        self.found.took = Duration::from_nanos(self.asker.clock.now().0);
        Ok(self.found)
    }

    /// What is done for the first time takes longer.
    async fn warm_up(&mut self) -> Result<()> {
        for endpoint in 0..self.endpoints {
            for _ in 0..2 {
                let text = self.asker.fresh(16);
                self.asker.say(endpoint, &[text], 2).await.map_err(Error::from)?;
            }
        }
        Ok(())
    }

    /// Rounds, as many as fit.
    async fn rounds(&mut self) -> Result<()> {
        let before = self.asker.sent.get();
        let budget = u64::from(self.spec.requests) * self.endpoints as u64;
        let mut round = 0;
        loop {
            let (began, sent) = (self.asker.clock.now(), self.asker.sent.get());
            for endpoint in 0..self.endpoints {
                self.prompts(endpoint, round).await?;
                self.batches(endpoint, round).await?;
                self.beside(endpoint, round).await?;
            }
            round += 1;
            let (took, cost) = (self.asker.clock.now() - began, self.asker.sent.get() - sent);
            let fits = self.asker.sent.get() - before + cost <= budget && self.has_time_for(took);
            if !fits {
                return Ok(());
            }
        }
    }

    /// Times may take three quarters of all: without the words that come after them, hits cannot be right.
    fn has_time_for(&self, time: Nanos) -> bool {
        self.asker.clock.now() + time <= Nanos(self.spec.limit.as_nanos() as u64 / 4 * 3)
    }

    /// So many new tokens are computed in one step, beside `decoding` requests.
    fn is_one_step(&self, uncached: u32, decoding: u32) -> bool {
        let told = self.found.facts.as_ref().and_then(|(_, facts)| facts.max_batched_tokens);
        uncached.saturating_add(decoding) <= told.unwrap_or(self.spec.max_batched_tokens)
    }

    fn block_tokens(&self) -> u32 {
        let told = self.found.facts.as_ref().and_then(|(_, facts)| facts.block_tokens);
        told.or(self.found.hits_in_steps_of).unwrap_or(self.spec.block_tokens).max(1)
    }
}
