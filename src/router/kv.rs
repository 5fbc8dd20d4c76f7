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

    /// The terms of every worker, in order.
    fn terms<'a>(
        &'a self,
        request: &RouteRequest,
        view: &'a ClusterView,
    ) -> impl Iterator<Item = Terms> + 'a {
        let block = f64::from(view.block_tokens);
        let prompt_tokens = u64::from(request.prompt_tokens);
        let prompt_blocks = request.prompt_tokens / view.block_tokens;
        let request_blocks = f64::from(request.prompt_tokens.div_ceil(view.block_tokens).max(1));
        let decays = self.decay != 0.0;
        let least = view.loads.iter().map(|load| load.prefill_tokens).min().filter(|_| decays);
        let least = least.unwrap_or(0);
        let workers = view.loads.iter().zip(view.overlaps).zip(view.active_overlaps);
        workers.map(move |((load, overlap), active_overlap)| {
            let prefill_blocks = (load.prefill_tokens + prompt_tokens) as f64 / block;
            // Two divisions that change nothing without decay.
            let decay = if decays {
                let excess = (load.prefill_tokens - least) as f64 / block;
                1.0 / (1.0 + self.decay * (excess / request_blocks))
            } else {
                1.0
            };
            let credit_blocks = self.credit * decay * f64::from(*overlap);
            let new_blocks = prompt_blocks - active_overlap;
            let decode_blocks = (load.active_blocks + u64::from(new_blocks)) as f64;
            let request_term = self.request_weight * f64::from(load.requests);
            let prefill = self.scale * (prefill_blocks - credit_blocks).max(0.0);
            let cost = prefill + decode_blocks + request_term;
            Terms { prefill_blocks, credit_blocks, decode_blocks, request_term, cost }
        })
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
        let mut costs = std::mem::take(&mut self.costs);
        costs.clear();
        costs.extend(self.terms(request, view).map(|terms| terms.cost));
        let (chosen, ties) = pick::by_cost(&costs, self.temperature, rng);
        self.costs = costs;
        if let Some(out) = explain {
            let terms: Vec<Terms> = self.terms(request, view).collect();
            self.explain(&terms, ties, out);
        }
        chosen as u32
    }
}
