//! Which endpoint a request goes to: in turn, or by the very routers of the simulator.
//!
//! A router sees here what it sees there: the blocks of the prompt, its own bookkeeping of requests in
//! flight, and an index of what workers hold, fed by their KV events or by its own decisions.

use super::conversation::Prompt;
use super::server::GaugeSample;
use crate::error::Result;
use crate::prompt::{BlockRun, CacheEvent, block_runs};
use crate::request::{Request, RequestId};
use crate::router::polled::Polled;
use crate::router::{Decision, Frontend, RouteRequest};
use crate::units::Nanos;
use std::sync::Arc;

/// Where a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Endpoint, from 0.
    pub endpoint: usize,
    /// Leading prompt tokens, in whole blocks, that the router believes cached there; `None` where it
    /// keeps no index.
    pub predicted_tokens: Option<u32>,
}

/// A decision of our own, for those who ask why.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What the router decided, and why.
    pub decision: Decision,
    /// Length of the prompt as the router saw it, tokens.
    pub prompt_tokens: u32,
    /// Its full blocks.
    pub prompt_blocks: u32,
}

/// Chooses endpoints.
pub trait Dispatch: Send {
    /// Where `request`, whose prompt reads `prompt`, goes now.
    ///
    /// # Errors
    /// Where the prompt cannot be tokenised as the server does.
    fn choose(&mut self, request: &Request, prompt: &Prompt, now: Nanos) -> Result<Choice>;

    /// Why the last choice fell as it did, where that is recorded.
    fn explained(&mut self) -> Option<Explained> {
        None
    }

    /// The first token of a request has come.
    fn first_token(&mut self, id: RequestId) {
        let _ = id;
    }

    /// A request has ended, whichever way.
    fn ended(&mut self, id: RequestId) {
        let _ = id;
    }

    /// A session is over.
    fn session_over(&mut self, session: u64) {
        let _ = session;
    }

    /// What must still happen before the first choice, in words; `None` = nothing.
    fn waits_for(&mut self) -> Option<String> {
        None
    }

    /// The workers' caches were emptied before the first choice, whatever they have told.
    fn caches_emptied(&mut self) {}

    /// What makes the choices doubtful, in plain words with the cure.
    fn doubts(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether [`Dispatch::polled`] must be called before every choice.
    fn wants_metrics(&self) -> bool {
        false
    }

    /// What the metrics of an endpoint, from 0, showed last.
    fn polled(&mut self, endpoint: usize, gauges: &GaugeSample) {
        let _ = (endpoint, gauges);
    }

    /// Whether [`Dispatch::first_token`] is worth calling.
    fn wants_first_tokens(&self) -> bool {
        false
    }
}

/// One endpoint after the other.
#[derive(Debug)]
pub struct InTurn {
    endpoints: usize,
    next: usize,
}

impl InTurn {
    /// Over so many endpoints.
    pub fn new(endpoints: usize) -> InTurn {
        InTurn { endpoints, next: 0 }
    }
}

impl Dispatch for InTurn {
    fn choose(&mut self, _: &Request, _: &Prompt, _: Nanos) -> Result<Choice> {
        let endpoint = self.next;
        self.next = (endpoint + 1) % self.endpoints;
        Ok(Choice { endpoint, predicted_tokens: None })
    }
}

/// The blocks of a prompt, under the keys that workers' events have too.
pub trait PromptBlocks: Send {
    /// Runs of the full blocks of `request`'s prompt, and its length as the server sees it, tokens.
    ///
    /// # Errors
    /// Where it cannot be tokenised.
    fn of(&mut self, request: &Request, prompt: &Prompt) -> Result<(Vec<BlockRun>, u32)>;

    /// A session is over: nothing of it will be asked for again.
    fn forget(&mut self, session: u64) {
        let _ = session;
    }
}

/// Blocks of the workload's own segments: enough where no worker tells what it holds.
#[derive(Debug)]
pub struct SegmentBlocks {
    /// Tokens per block.
    pub block_tokens: u32,
}

impl PromptBlocks for SegmentBlocks {
    fn of(&mut self, _: &Request, prompt: &Prompt) -> Result<(Vec<BlockRun>, u32)> {
        Ok((block_runs(&prompt.segments, self.block_tokens), prompt.tokens))
    }
}

/// What workers say of their caches.
pub trait CacheNews: Send {
    /// Everything that has come since the last call, in order: worker from 0, and its events.
    fn drain(&mut self) -> Vec<(u32, Vec<CacheEvent>)>;

    /// The workers' caches were emptied: what follows from that, as of [`CacheNews::drain`].
    fn emptied(&mut self) -> Vec<(u32, Vec<CacheEvent>)> {
        Vec::new()
    }

    /// Whose news cannot be heard so far, and why.
    fn missing(&self) -> Option<String> {
        None
    }

    /// What makes the news doubtful, in plain words with the cure.
    fn doubts(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A router of the simulator.
pub struct Routed<'a> {
    frontend: Frontend,
    blocks: Box<dyn PromptBlocks + 'a>,
    news: Option<Box<dyn CacheNews>>,
    block_tokens: u32,
    /// KV blocks of a worker, where loads are polled and that is known.
    polls: Option<Option<u32>>,
    explains: bool,
    explained: Option<Explained>,
}

impl<'a> Routed<'a> {
    /// `frontend` routes, by `blocks` of `block_tokens` tokens and what `news` tells, if anything.
    pub fn new(
        frontend: Frontend,
        blocks: Box<dyn PromptBlocks + 'a>,
        news: Option<Box<dyn CacheNews>>,
        block_tokens: u32,
    ) -> Routed<'a> {
        let (polls, explains, explained) = (None, false, None);
        Routed { frontend, blocks, news, block_tokens, polls, explains, explained }
    }

    /// The router goes by the workers' metrics; a worker has so many KV blocks, where that is known.
    #[must_use]
    pub fn by_polled_loads(mut self, kv_blocks: Option<u32>) -> Routed<'a> {
        self.frontend = self.frontend.by_polled_loads();
        self.polls = Some(kv_blocks);
        self
    }

    /// Whether it says why it chose; that costs time.
    pub fn explaining(self, explains: bool) -> Routed<'a> {
        Routed { explains, ..self }
    }

    /// Tells the router what workers have told us.
    fn hear(&mut self) {
        for (worker, events) in self.news.iter_mut().flat_map(|news| news.drain()) {
            self.frontend.on_cache_events(worker, &events);
        }
    }
}

impl Dispatch for Routed<'_> {
    fn choose(&mut self, request: &Request, prompt: &Prompt, now: Nanos) -> Result<Choice> {
        self.hear();
        let (runs, prompt_tokens) = self.blocks.of(request, prompt)?;
        let runs: Arc<[BlockRun]> = runs.into();
        let route = RouteRequest {
            id: request.id,
            session: request.session,
            now,
            prompt_tokens,
            runs: &runs,
            // Only oracles may know, and there are none over real workers.
            true_best_overlap: 0,
        };
        let decision = self.frontend.route(&route, &runs, self.explains);
        // The last token is always computed, so a whole prompt in the cache is no whole hit.
        let most = prompt_tokens.saturating_sub(1) / self.block_tokens;
        let choice = Choice {
            endpoint: decision.worker as usize,
            predicted_tokens: decision
                .predicted_overlap
                .map(|blocks| blocks.min(most) * self.block_tokens),
        };
        let prompt_blocks = prompt_tokens / self.block_tokens;
        self.explained =
            self.explains.then_some(Explained { decision, prompt_tokens, prompt_blocks });
        Ok(choice)
    }

    fn explained(&mut self) -> Option<Explained> {
        self.explained.take()
    }

    fn first_token(&mut self, id: RequestId) {
        self.frontend.on_first_token(id);
    }

    fn ended(&mut self, id: RequestId) {
        self.frontend.on_complete(id);
    }

    fn session_over(&mut self, session: u64) {
        self.blocks.forget(session);
    }

    fn waits_for(&mut self) -> Option<String> {
        self.hear();
        self.news.as_ref()?.missing()
    }

    fn caches_emptied(&mut self) {
        self.hear();
        for (worker, events) in self.news.iter_mut().flat_map(|news| news.emptied()) {
            self.frontend.on_cache_events(worker, &events);
        }
    }

    fn doubts(&mut self) -> Vec<String> {
        self.hear();
        self.news.as_ref().map_or_else(Vec::new, |news| news.doubts())
    }

    fn wants_metrics(&self) -> bool {
        self.polls.is_some()
    }

    fn polled(&mut self, endpoint: usize, gauges: &GaugeSample) {
        let kv_blocks = self.polls.flatten().map(f64::from);
        let used = gauges.kv_usage.zip(kv_blocks).map(|(usage, blocks)| usage * blocks);
        let metrics = Polled {
            requests: gauges.requests().unwrap_or(0.0) as u32,
            used_blocks: used.map(|blocks| blocks.round() as u64),
        };
        self.frontend.on_polled(endpoint as u32, metrics);
    }

    fn wants_first_tokens(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Segment;
    use crate::router::{self, frontend::ClusterFacts};
    use crate::scenario::Draft;

    fn request(id: u64) -> Request {
        Request {
            id,
            session: id,
            turn: 0,
            arrival: Nanos(id),
            segments: vec![Segment { content: 1, tokens: 64 }],
            prompt_tokens: 60,
            output_tokens: 4,
        }
    }

    fn prompt(content: u64) -> Prompt {
        let segments = vec![Segment { content, tokens: 60 }];
        Prompt { messages: Vec::new(), tokens: 60, segments }
    }

    struct Told(Vec<(u32, Vec<CacheEvent>)>);

    impl CacheNews for Told {
        fn drain(&mut self) -> Vec<(u32, Vec<CacheEvent>)> {
            std::mem::take(&mut self.0)
        }
    }

    #[test]
    fn in_turn_goes_round() {
        let mut turn = InTurn::new(3);
        let order: Vec<usize> = (0..5)
            .map(|id| turn.choose(&request(id), &prompt(id), Nanos::ZERO).unwrap().endpoint)
            .collect();
        assert_eq!(order, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn kv_goes_where_the_events_say_the_prompt_is_and_predicts_its_hit() {
        let spec = Draft::load("diverse").unwrap().finish().unwrap().router;
        let facts = ClusterFacts { workers: 3, block_tokens: 16, kv_blocks: 1000 };
        let policy = router::build("kv", &spec).unwrap();
        let frontend = Frontend::new(policy, &spec.kv, facts, 1, 0);
        let runs = block_runs(&prompt(7).segments, 16);
        let stored = runs.iter().map(|run| CacheEvent::Stored { run: *run, copy: false }).collect();
        let news = Told(vec![(2, stored)]);
        let blocks = Box::new(SegmentBlocks { block_tokens: 16 });
        let mut routed = Routed::new(frontend, blocks, Some(Box::new(news)), 16);
        let choice = routed.choose(&request(0), &prompt(7), Nanos::ZERO).unwrap();
        assert_eq!(choice, Choice { endpoint: 2, predicted_tokens: Some(48) });
        routed.first_token(0);
        routed.ended(0);
        let elsewhere = routed.choose(&request(1), &prompt(8), Nanos(1)).unwrap();
        assert_eq!(elsewhere.predicted_tokens, Some(0));
    }

    #[test]
    fn polled_loads_count_what_other_clients_send_and_not_our_own_since() {
        let spec = Draft::load("diverse").unwrap().finish().unwrap().router;
        let facts = ClusterFacts { workers: 2, block_tokens: 16, kv_blocks: 1000 };
        let policy = router::build("least-loaded", &spec).unwrap();
        let frontend = Frontend::new(policy, &spec.kv, facts, 1, 0);
        let blocks = Box::new(SegmentBlocks { block_tokens: 16 });
        let mut routed = Routed::new(frontend, blocks, None, 16).by_polled_loads(Some(1000));
        assert!(routed.wants_metrics());
        let busy = GaugeSample { running: Some(2.0), waiting: Some(1.0), ..Default::default() };
        routed.polled(0, &busy);
        routed.polled(1, &GaugeSample { running: Some(1.0), ..Default::default() });
        for id in 0..5 {
            let choice = routed.choose(&request(id), &prompt(id), Nanos(id)).unwrap();
            assert_eq!(choice.endpoint, 1);
        }
    }
}
