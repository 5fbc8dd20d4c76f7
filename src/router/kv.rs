//! `kv`: Dynamo's default selector. Cost per worker, lower is better, in blocks:
//!
//! ```text
//! cost = prefill_load_scale · max(0, (active_prefill_tokens + prompt) / B − credit · decay · overlap)
//!      + active_blocks + (prompt blocks − those already active there)
//!      + decode_active_request_weight · requests
//! decay = 1 / (1 + overlap_score_credit_decay · (excess prefill blocks / max(1, ⌈prompt / B⌉)))
//! ```
//! At temperature 0 the least cost, uniform among equals; above, softmax over min-max normalised
//! costs. `overlap_weight` W is Dynamo's old name: `prefill_load_scale` = W, and credit 0 when W = 0.
//! At credit 0 requests are booked with their whole prompt, as if nothing were cached.
//! The arithmetic is Dynamo's, operation by operation, so that equal costs tie here where they tie
//! there; `tests/dynamo` holds the two against each other.
//!
//! Source: dynamo-custom-policy-builtin 1.6.1, `default/{scorer,picker}.rs`.

use super::{
    Candidate, ClusterView, Entry, Explanation, IndexSource, Needs, RouteRequest, Router, pick,
};
use crate::rng::Rng;
use crate::scenario::{KvSpec, RouterSpec};

pub const ENTRY: Entry = Entry {
    name: "kv",
    about: "NVIDIA Dynamo's cost: prefill blocks less overlap credit, plus decode blocks",
    build: |spec| Box::new(Kv::new(spec)),
};

/// Where the index of `kv` and `kv-linear` comes from.
pub fn index_source(spec: &KvSpec) -> IndexSource {
    if spec.events { IndexSource::Events } else { IndexSource::Decisions }
}

/// See the module's documentation.
pub struct Kv {
    scale: f64,
    credit: f64,
    decay: f64,
    request_weight: f64,
    temperature: f64,
    index: IndexSource,
    costs: Vec<f64>,
}

/// The terms of one worker's cost.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Prefill blocks queued and of this request, before credit.
    pub prefill_blocks: f64,
    /// Blocks taken off for the overlap.
    pub credit_blocks: f64,
    /// Blocks active after this request joins.
    pub decode_blocks: f64,
    /// Weighted requests in flight.
    pub request_term: f64,
    /// The sum.
    pub cost: f64,
}

/// What all workers are asked alike.
struct Ask {
    block: f64,
    prompt_tokens: u64,
    prompt_blocks: u32,
    /// Partial ones counted, at least 1.
    request_blocks: f64,
    /// What decay begins at; 0 without.
    least_prefill_tokens: u64,
}

impl Ask {
    fn new(request: &RouteRequest, view: &ClusterView, decays: bool) -> Ask {
        let least = view.loads.prefill_tokens.iter().copied().min().filter(|_| decays);
        Ask {
            block: f64::from(view.block_tokens),
            prompt_tokens: u64::from(request.prompt_tokens),
            prompt_blocks: request.prompt_tokens / view.block_tokens,
            request_blocks: f64::from(request.prompt_tokens.div_ceil(view.block_tokens).max(1)),
            least_prefill_tokens: least.unwrap_or(0),
        }
    }
}

/// What is known of one worker.
struct Asked {
    requests: u32,
    prefill_tokens: u64,
    active_blocks: u64,
    overlap: u32,
    active_overlap: u32,
}

#[inline(always)]
fn workers<'a>(view: &'a ClusterView) -> impl Iterator<Item = Asked> + 'a {
    let loads = view.loads.requests.iter().zip(&view.loads.prefill_tokens);
    let loads = loads.zip(&view.loads.active_blocks).zip(view.overlaps).zip(view.active_overlaps);
    loads.map(|((((requests, prefill_tokens), active_blocks), overlap), active_overlap)| Asked {
        requests: *requests,
        prefill_tokens: *prefill_tokens,
        active_blocks: *active_blocks,
        overlap: *overlap,
        active_overlap: *active_overlap,
    })
}

impl Kv {
    fn new(spec: &RouterSpec) -> Kv {
        let kv = &spec.kv;
        let credit = if kv.overlap_weight == 0.0 { 0.0 } else { 1.0 };
        Kv {
            scale: kv.prefill_load_scale.unwrap_or(kv.overlap_weight),
            credit: kv.overlap_score_credit.unwrap_or(credit),
            decay: kv.overlap_score_credit_decay,
            request_weight: kv.decode_active_request_weight,
            temperature: kv.temperature,
            index: index_source(kv),
            costs: Vec::new(),
        }
    }

    /// What the prefill queued at a worker leaves of its credit; 1 without decay.
    fn decay(&self, ask: &Ask, worker: &Asked) -> f64 {
        if self.decay == 0.0 {
            return 1.0;
        }
        let excess = (worker.prefill_tokens - ask.least_prefill_tokens) as f64 / ask.block;
        1.0 / (1.0 + self.decay * (excess / ask.request_blocks))
    }

    #[inline(always)]
    fn terms(&self, ask: &Ask, worker: &Asked, decay: f64) -> Terms {
        let prefill_blocks = (worker.prefill_tokens + ask.prompt_tokens) as f64 / ask.block;
        let credit_blocks = self.credit * decay * f64::from(worker.overlap);
        let new_blocks = ask.prompt_blocks - worker.active_overlap;
        let decode_blocks = (worker.active_blocks + u64::from(new_blocks)) as f64;
        let request_term = self.request_weight * f64::from(worker.requests);
        let prefill = self.scale * (prefill_blocks - credit_blocks).max(0.0);
        let cost = prefill + decode_blocks + request_term;
        Terms { prefill_blocks, credit_blocks, decode_blocks, request_term, cost }
    }

    /// The cost of every worker, in order. The loop without decay is plain arithmetic over arrays, so
    /// that the compiler does several workers at a time.
    fn score(&mut self, ask: &Ask, view: &ClusterView) {
        let mut costs = std::mem::take(&mut self.costs);
        costs.resize(view.loads.workers(), 0.0);
        let places = costs.iter_mut().zip(workers(view));
        if self.decay == 0.0 {
            places.for_each(|(cost, worker)| *cost = self.terms(ask, &worker, 1.0).cost);
        } else {
            places.for_each(|(cost, worker)| {
                *cost = self.terms(ask, &worker, self.decay(ask, &worker)).cost;
            });
        }
        self.costs = costs;
    }

    fn explain(&self, terms: &[Terms], ties: u32, out: &mut Explanation) {
        out.lower_wins = true;
        out.ties = ties;
        out.reason = pick::reason(ties, self.temperature, "lowest cost");
        out.candidates =
            terms.iter().enumerate().map(|(at, t)| (at as u32, candidate(t))).collect();
    }
}

fn candidate(terms: &Terms) -> Candidate {
    Candidate {
        load: terms.decode_blocks,
        terms: vec![
            ("prefill_blocks", terms.prefill_blocks),
            ("credit_blocks", terms.credit_blocks),
            ("decode_blocks", terms.decode_blocks),
            ("request_term", terms.request_term),
        ],
        score: terms.cost,
    }
}

impl Router for Kv {
    fn needs(&self) -> Needs {
        // Dynamo keeps no index without credit, so it books whole prompts. We keep one, for
        // `explain`, and book the same.
        let books_hits = self.credit > 0.0;
        Needs { index: self.index, active_blocks: true, books_hits, ..Needs::NOTHING }
    }

    fn route(
        &mut self,
        request: &RouteRequest,
        view: &ClusterView,
        rng: &mut Rng,
        explain: Option<&mut Explanation>,
    ) -> u32 {
        let ask = Ask::new(request, view, self.decay != 0.0);
        self.score(&ask, view);
        let (chosen, ties) = pick::by_cost(&self.costs, self.temperature, rng);
        if let Some(out) = explain {
            let terms = workers(view).map(|of| self.terms(&ask, &of, self.decay(&ask, &of)));
            self.explain(&terms.collect::<Vec<_>>(), ties, out);
        }
        chosen as u32
    }
}
