//! kvroute's router front end (index, bookkeeping of requests in flight, policy) in lockstep with the
//! same parts of Dynamo: `RadixTree`, `ActiveSequencesMultiWorker` and the production selector.
//!
//! Requests arrive, get their first token and complete in random order; workers store and evict
//! blocks. At every decision all loads and costs agree. Both sides then book what ours chose.

use dynamo_kv_router::protocols::{
    KvCacheEvent, KvCacheEventData, PrefillLoadHint, RouterEvent, WorkerWithDpRank,
};
use dynamo_kv_router::{
    ActiveSequencesMultiWorker, NoopSequencePublisher, RadixTree, SequenceRequest,
};
use kvroute::prompt::CacheEvent;
use kvroute::rng::{Rng, Stream, stream};
use kvroute::router::frontend::ClusterFacts;
use kvroute::router::{self, Frontend, RouteRequest};
use kvroute::scenario::RouterSpec;
use kvroute::units::Nanos;
use kvroute_dynamo_tests::cache::Cache;
use kvroute_dynamo_tests::fidelity;
use kvroute_dynamo_tests::formula::equal;
use kvroute_dynamo_tests::indexes::{Block, our_removed, our_stored, their_removed, their_stored};
use kvroute_dynamo_tests::peer::{Peer, overlap_signals, request};
use kvroute_dynamo_tests::prompts::Prompt;
use kvroute_dynamo_tests::state::{State, Worker};
use rand::RngExt;
use std::collections::HashMap;
use tokio::time::Instant;

const RUNS: u64 = 300;
const STEPS: u32 = 500;

struct InFlight {
    id: u64,
    worker: usize,
    prompt: Prompt,
    prefilled: bool,
}

struct Lockstep {
    rng: Rng,
    state: State,
    prompts: Vec<Prompt>,
    caches: Vec<Cache>,
    ours: Frontend,
    tree: RadixTree,
    sequences: ActiveSequencesMultiWorker<NoopSequencePublisher>,
    now: Instant,
    in_flight: Vec<InFlight>,
    decisions: u64,
}

fn rank(worker: usize) -> WorkerWithDpRank {
    WorkerWithDpRank::from_worker_id(worker as u64)
}

impl Lockstep {
    fn new(lane: u64) -> Lockstep {
        let mut rng = stream(20_261_122, Stream::Session, lane);
        let mut state = State::random(&mut rng);
        let workers = rng.random_range(2..9);
        let idle = Worker {
            prefill_tokens: 0,
            active_blocks: 0,
            requests: 0,
            overlap: 0,
            active_overlap: 0,
        };
        state.workers = vec![idle; workers];
        state.block = [1, 3, 16, 17][rng.random_range(0..4)];
        state.prompt = 0;
        state.request_weight = state.request_weight.max(0.5);
        Lockstep::with(lane, rng, state)
    }

    fn with(lane: u64, mut rng: Rng, state: State) -> Lockstep {
        let workers = state.workers.len();
        let mut spec = RouterSpec::default();
        spec.kv.prefill_load_scale = Some(state.scale);
        spec.kv.overlap_score_credit = Some(state.credit);
        spec.kv.overlap_score_credit_decay = state.decay;
        spec.kv.decode_active_request_weight = state.request_weight;
        spec.kv.temperature = state.temperature;
        let facts = ClusterFacts { workers, block_tokens: state.block, kv_blocks: 1 << 20 };
        let policy = router::build("kv", &spec).expect("kv is a policy");
        let ranks: HashMap<u64, (u32, u32)> = (0..workers as u64).map(|id| (id, (0, 1))).collect();
        let block = state.block as usize;
        Lockstep {
            prompts: Prompt::family(rng.random_range(2..40), state.block, &mut rng),
            caches: vec![Cache::default(); workers],
            ours: Frontend::new(policy, &spec.kv, facts, lane, 0),
            tree: RadixTree::new(),
            sequences: ActiveSequencesMultiWorker::new_without_expiry(
                NoopSequencePublisher,
                block,
                ranks,
                false,
                0,
                "aggregated",
            ),
            now: Instant::now(),
            in_flight: Vec::new(),
            decisions: 0,
            rng,
            state,
        }
    }

    fn event(&mut self, worker: usize, ours: &[CacheEvent], theirs: KvCacheEventData) {
        self.ours.on_cache_events(worker as u32, ours);
        let event = KvCacheEvent { event_id: 0, data: theirs, dp_rank: 0 };
        self.tree.apply_event(RouterEvent::new(worker as u64, event)).expect("a proper event");
    }

    /// The worker has computed the prompt: its missing blocks are stored.
    fn store(&mut self, worker: usize, prompt: &Prompt) {
        let from = self.caches[worker].leading(prompt);
        let parent_of = |at: usize| at.checked_sub(1).map(|before| prompt.chained[before]);
        let blocks: Vec<Block> = (from..prompt.blocks.len()).map(|at| prompt.block(at)).collect();
        if blocks.is_empty() {
            return;
        }
        for (block, at) in blocks.iter().zip(from..) {
            self.caches[worker].insert(parent_of(at), *block);
        }
        self.event(worker, &our_stored(&blocks), their_stored(parent_of(from), &blocks));
    }

    fn evict(&mut self) {
        let worker = self.rng.random_range(0..self.caches.len());
        let gone = self.caches[worker].evict(self.rng.random_range(0..20), &mut self.rng);
        if !gone.is_empty() {
            self.event(worker, &our_removed(&gone), their_removed(&gone));
        }
    }

    fn arrive(&mut self, id: u64) {
        let prompt = self.prompts[self.rng.random_range(0..self.prompts.len())].clone();
        let tokens = prompt.tokens;
        let wanted = RouteRequest {
            id,
            session: 0,
            now: Nanos::ZERO,
            prompt_tokens: tokens,
            runs: &prompt.runs,
            true_best_overlap: 0,
        };
        let decision = self.ours.route(&wanted, &prompt.runs, true);
        let why = decision.explanation.expect("asked for");

        let mut request = request(tokens as usize);
        let scores = self.tree.find_matches(prompt.local.clone(), false).scores;
        if self.state.credit > 0.0 {
            let overlaps = scores.iter().map(|(worker, blocks)| (*worker, *blocks));
            request.overlap = overlap_signals(overlaps, self.state.block);
        } // Without credit the policy asks for no index, so Dynamo keeps none (`lib/llm`'s `KvRouter`).
        let sequence = Some(prompt.chained.clone());
        request.worker_loads = self.sequences.project_worker_loads(sequence.as_deref(), self.now);

        let block = f64::from(self.state.block);
        for (worker, candidate) in &why.candidates {
            let load = request.worker_loads[&rank(*worker as usize)];
            let prefill = (load.active_prefill_tokens as f64 + f64::from(tokens)) / block;
            let requests = self.state.request_weight * load.active_requests as f64;
            let theirs = [
                ("prefill_blocks", prefill),
                ("decode_blocks", load.potential_decode_blocks() as f64),
                ("request_term", requests),
            ];
            for (name, value) in theirs {
                let ours =
                    candidate.terms.iter().find(|(term, _)| *term == name).expect("a term").1;
                assert!(equal(ours, value), "{name} of worker {worker}: ours {ours}, {value}");
            }
            let believed = scores.get(&rank(*worker as usize)).copied().unwrap_or(0);
            assert_eq!(decision.believed[*worker as usize], believed, "overlap of worker {worker}");
        }

        let worker = decision.worker as usize;
        let cached = request.overlap.effective_cached_tokens.get(&rank(worker)).copied();
        let (theirs, cost) = Peer::on_request(&self.state, request, id).explain();
        let costs: Vec<f64> = why.candidates.iter().map(|(_, candidate)| candidate.score).collect();
        assert_eq!(costs[theirs].to_bits(), cost.to_bits(), "cost of worker {theirs}");
        if self.state.temperature == 0.0 {
            assert_eq!(costs[theirs], costs[worker], "theirs {theirs}, ours {worker}: {costs:?}");
        }

        let effective = (tokens as usize).saturating_sub(cached.unwrap_or(0));
        let hint = PrefillLoadHint {
            initial_effective_prefill_tokens: effective,
            expected_prefill_duration: None,
        };
        let booking = SequenceRequest {
            request_id: id.to_string(),
            token_sequence: sequence,
            track_prefill_tokens: true,
            expected_output_tokens: None,
            prefill_load_hint: Some(hint).filter(|_| effective > 0),
            worker: rank(worker),
            lora_name: None,
        };
        self.sequences.add_request(booking, self.now).expect("a new request");
        self.in_flight.push(InFlight { id, worker, prompt, prefilled: false });
        self.decisions += 1;
    }

    fn first_token(&mut self) {
        let waiting: Vec<usize> =
            (0..self.in_flight.len()).filter(|at| !self.in_flight[*at].prefilled).collect();
        if waiting.is_empty() {
            return;
        }
        let at = waiting[self.rng.random_range(0..waiting.len())];
        self.in_flight[at].prefilled = true;
        let InFlight { id, worker, ref prompt, .. } = self.in_flight[at];
        let prompt = prompt.clone();
        self.ours.on_first_token(id);
        self.sequences.mark_prefill_completed(&id.to_string(), self.now).expect("in flight");
        self.store(worker, &prompt);
    }

    fn complete(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let gone = self.in_flight.swap_remove(self.rng.random_range(0..self.in_flight.len()));
        self.ours.on_complete(gone.id);
        self.sequences.free(&gone.id.to_string(), self.now).expect("in flight");
    }
}

#[test]
fn the_front_end_books_what_dynamo_books() {
    let mut decisions = 0;
    for lane in 0..RUNS {
        let mut both = Lockstep::new(lane);
        for step in 0..STEPS {
            match both.rng.random_range(0..100) {
                0..40 => both.arrive(u64::from(step)),
                40..70 => both.first_token(),
                70..90 => both.complete(),
                _ => both.evict(),
            }
        }
        decisions += both.decisions;
    }
    fidelity(
        "a router's bookkeeping of requests in flight",
        "ActiveSequencesMultiWorker, tree and selector of dynamo-kv-router 1.6.1 in lockstep",
        "dynamo bookkeeping",
        format!("{decisions} decisions: loads, overlaps and costs equal"),
    );
    assert!(decisions > 50_000);
}
