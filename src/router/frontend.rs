//! One router replica: a policy with its own bookkeeping of requests in flight and its own index.

use super::active::ActiveBlocks;
use super::approximate::ApproximateIndex;
use super::index::PrefixIndex;
use super::polled::{Polled, PolledLoads};
use super::{ClusterView, Explanation, IndexSource, Loads, Needs, RouteRequest, Router};
use crate::flat_map::FlatMap;
use crate::prompt::{BlockRun, CacheEvent};
use crate::request::RequestId;
use crate::rng::{Rng, Stream, stream};
use crate::scenario::KvSpec;
use std::sync::Arc;

/// What a router knows of its cluster beforehand.
#[derive(Clone, Copy, Debug)]
pub struct ClusterFacts {
    /// Number of workers.
    pub workers: usize,
    /// Tokens per block.
    pub block_tokens: u32,
    /// KV blocks per worker.
    pub kv_blocks: u32,
}

/// Where a request went.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Worker, from 0.
    pub worker: u32,
    /// Leading prompt blocks the router believed cached there; `None` where it keeps no index.
    pub predicted_overlap: Option<u32>,
    /// Why, where that was asked.
    pub explanation: Option<Explanation>,
    /// Believed overlaps of all workers, where an explanation was asked and there is an index.
    pub believed: Vec<u32>,
}

/// What a router remembers of a request in flight.
#[derive(Default)]
struct InFlight {
    worker: u32,
    /// Prefill load it added; 0 after its first token.
    prefill_tokens: u64,
    runs: Arc<[BlockRun]>,
    prompt_runs: usize,
}

/// The index a policy asked for.
enum Index {
    None,
    Events(PrefixIndex),
    Decisions(ApproximateIndex),
    Truth,
}

/// See the module's documentation.
pub struct Frontend {
    policy: Box<dyn Router>,
    needs: Needs,
    facts: ClusterFacts,
    index: Index,
    rng: Rng,
    loads: Loads,
    /// What policies see instead of `loads`, where they go by the workers' metrics.
    polled: Option<PolledLoads>,
    active: ActiveBlocks,
    in_flight: FlatMap<InFlight>,
    overlaps: Vec<u32>,
    active_overlaps: Vec<u32>,
}

impl Frontend {
    /// Replica number `replica` (from 0) of a policy.
    pub fn new(
        policy: Box<dyn Router>,
        kv: &KvSpec,
        facts: ClusterFacts,
        seed: u64,
        replica: u32,
    ) -> Frontend {
        let needs = policy.needs();
        let most = u64::from(kv.approximate_max_blocks.unwrap_or(facts.kv_blocks));
        let index = match needs.index {
            IndexSource::None => Index::None,
            IndexSource::Events => Index::Events(PrefixIndex::default()),
            IndexSource::Decisions => {
                Index::Decisions(ApproximateIndex::new(facts.workers, kv.ttl, most))
            }
            IndexSource::Truth => Index::Truth,
        };
        let overlaps = if needs.index == IndexSource::None { 0 } else { facts.workers };
        let active_overlaps = if needs.active_blocks { facts.workers } else { 0 };
        Frontend {
            policy,
            needs,
            facts,
            index,
            rng: stream(seed, Stream::Routing, u64::from(replica)),
            loads: Loads::idle(facts.workers),
            polled: None,
            active: ActiveBlocks::default(),
            in_flight: FlatMap::default(),
            overlaps: vec![0; overlaps],
            active_overlaps: vec![0; active_overlaps],
        }
    }

    /// The same, before anything was routed, for runs named by one [`crate::prompt::Paths`].
    pub fn numbered(mut self) -> Frontend {
        if let Index::Events(index) = &mut self.index {
            *index = PrefixIndex::numbered();
        }
        self
    }

    /// Loads are those of [`Frontend::on_polled`] from now on.
    #[must_use]
    pub fn by_polled_loads(mut self) -> Frontend {
        self.polled = Some(PolledLoads::new(self.facts.workers));
        self
    }

    /// What the policy asked for.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Chooses a worker and books the request there. `runs` are those of prompt and output, the
    /// first `request.runs.len()` of them the prompt's, which is all the policy sees.
    pub fn route(
        &mut self,
        request: &RouteRequest,
        runs: &Arc<[BlockRun]>,
        explain: bool,
    ) -> Decision {
        match &mut self.index {
            Index::None => {}
            Index::Events(index) => index.overlaps(request.runs, &mut self.overlaps),
            Index::Decisions(index) => {
                index.overlaps(request.now, request.runs, &mut self.overlaps)
            }
            Index::Truth => self.overlaps.fill(request.true_best_overlap),
        }
        if self.needs.active_blocks {
            self.active.overlaps(request.runs, &mut self.active_overlaps);
        }
        let mut explanation = explain.then(Explanation::default);
        let view = ClusterView {
            loads: match &mut self.polled {
                Some(polled) => polled.loads(&self.loads),
                None => &self.loads,
            },
            overlaps: &self.overlaps,
            active_overlaps: &self.active_overlaps,
            block_tokens: self.facts.block_tokens,
            kv_blocks: self.facts.kv_blocks,
        };
        let worker = self.policy.route(request, &view, &mut self.rng, explanation.as_mut());
        self.book(request, worker, runs);
        Decision {
            worker,
            predicted_overlap: self.overlaps.get(worker as usize).copied(),
            explanation,
            believed: if explain { self.overlaps.clone() } else { Vec::new() },
        }
    }

    fn book(&mut self, request: &RouteRequest, worker: u32, runs: &Arc<[BlockRun]>) {
        let believed = self.overlaps.get(worker as usize).filter(|_| self.needs.books_hits);
        let overlap = believed.copied().unwrap_or(0);
        let cached = u64::from(overlap) * u64::from(self.facts.block_tokens);
        let prefill_tokens = u64::from(request.prompt_tokens).saturating_sub(cached);
        let at = worker as usize;
        self.loads.requests[at] += 1;
        self.loads.prefill_tokens[at] += prefill_tokens;
        if self.needs.active_blocks {
            self.loads.active_blocks[at] += self.active.add(worker, request.runs);
        }
        if let Index::Decisions(index) = &mut self.index {
            index.routed(worker, request.now, request.runs);
        }
        let (runs, prompt_runs) = (Arc::clone(runs), request.runs.len());
        let new = InFlight { worker, prefill_tokens, runs, prompt_runs };
        self.in_flight.insert(request.id, new);
    }

    /// A request got its first token: its prefill is done.
    pub fn on_first_token(&mut self, id: RequestId) {
        if let Some(request) = self.in_flight.get_mut(id) {
            let done = std::mem::take(&mut request.prefill_tokens);
            self.loads.prefill_tokens[request.worker as usize] -= done;
        }
    }

    /// A request completed.
    pub fn on_complete(&mut self, id: RequestId) {
        self.on_first_token(id);
        let Some(request) = self.in_flight.remove(id) else {
            return;
        };
        let at = request.worker as usize;
        self.loads.requests[at] -= 1;
        if self.needs.active_blocks {
            let runs = &request.runs[..request.prompt_runs];
            self.loads.active_blocks[at] -= self.active.remove(request.worker, runs);
        }
    }

    /// A worker's metrics were polled. Without [`Frontend::by_polled_loads`] nobody looks at them.
    pub fn on_polled(&mut self, worker: u32, metrics: Polled) {
        if let Some(polled) = &mut self.polled {
            polled.polled(worker as usize, metrics);
        }
    }

    /// KV events of a worker arrived.
    pub fn on_cache_events(&mut self, worker: u32, events: &[CacheEvent]) {
        if let Index::Events(index) = &mut self.index {
            events.iter().for_each(|event| index.apply(worker, event));
        }
    }

    /// The index that follows KV events, if the policy has one.
    pub fn event_index(&self) -> Option<&PrefixIndex> {
        match &self.index {
            Index::Events(index) => Some(index),
            _ => None,
        }
    }

    /// See `crate::ahead`: something is heard of a request soon.
    pub fn fetch_request(&self, id: RequestId) {
        self.in_flight.fetch(id);
    }

    /// See `crate::ahead`: a request for `runs` completes soon.
    pub fn fetch_active(&self, runs: &[BlockRun]) {
        if self.needs.active_blocks {
            self.active.fetch(runs);
        }
    }

    /// See `crate::ahead`: a request for `runs` will be routed soon.
    pub fn fetch_runs(&self, runs: &[BlockRun]) {
        if let Some(index) = self.event_index() {
            index.fetch_runs(runs);
        }
        self.fetch_active(runs);
    }

    /// Leading blocks of `runs` the event-fed index believes cached, per worker; `None` where there
    /// is no such index. For tests.
    pub fn believed(&self, runs: &[BlockRun]) -> Option<Vec<u32>> {
        let index = self.event_index()?;
        let mut overlaps = vec![0; self.facts.workers];
        index.overlaps(runs, &mut overlaps);
        Some(overlaps)
    }
}
