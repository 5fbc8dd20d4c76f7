//! Small random scenarios: tight caches, small budgets, shared prefixes, sessions, every router.

use crate::support::scenario;
use kvroute::error::Result;
use kvroute::prompt::{Segment, mix};
use kvroute::router::ROUTERS;
use kvroute::scenario::{ArrivalSpec, Scenario, WorkloadSpec};
use kvroute::units::Nanos;
use kvroute::workload::driver::LoadDriver;
use kvroute::workload::{Session, SessionStream, Source, Turn, When, trace};
use proptest::prelude::*;
use smallvec::smallvec;
use std::path::Path;

/// A turn: segments (content, tokens) added to the prompt, output tokens, pause before it in ms.
type DrawnTurn = (Vec<(u64, u32)>, u32, u64);

/// A scenario, and sessions: milliseconds after the one before, and its turns.
#[derive(Clone, Debug)]
pub struct Case {
    pub cluster: ClusterDraw,
    pub router: RouterDraw,
    pub sessions: Vec<(u64, Vec<DrawnTurn>)>,
    /// Closed loop.
    pub concurrency: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct ClusterDraw {
    pub workers: u32,
    pub block_tokens: u32,
    pub kv_blocks: u32,
    pub budget: u32,
    pub max_seqs: u32,
    pub engine: &'static str,
    pub eviction: &'static str,
}

#[derive(Clone, Debug)]
pub struct RouterDraw {
    pub mode: &'static str,
    pub events: bool,
    pub event_delay_ms: u64,
    pub event_loss: f64,
    pub replicas: u32,
    pub metrics_interval: Option<u64>,
    pub temperature: f64,
}

prop_compose! {
    fn some_cluster()(
        workers in 1u32..=4,
        block_tokens in 1u32..=32,
        kv_tokens in 60u32..=900,
        budget in prop_oneof![1u32..=8, 8u32..=256],
        max_seqs in 1u32..=8,
        engine in prop::sample::select(vec!["vllm", "dynamo-mocker"]),
        eviction in prop::sample::select(vec!["lru", "fifo", "lfu"]),
    ) -> ClusterDraw {
        let kv_blocks = kv_tokens.div_ceil(block_tokens);
        ClusterDraw { workers, block_tokens, kv_blocks, budget, max_seqs, engine, eviction }
    }
}

prop_compose! {
    fn some_router()(
        mode in prop::sample::select(ROUTERS.iter().map(|entry| entry.name).collect::<Vec<_>>()),
        events in prop::bool::weighted(0.7),
        event_delay_ms in prop_oneof![3 => Just(0u64), 1 => 1u64..300],
        event_loss in prop_oneof![3 => Just(0.0), 1 => 0.0..=1.0],
        replicas in 1u32..=3,
        metrics_interval in prop::option::weighted(0.3, 1u64..200_000_000),
        temperature in prop_oneof![Just(0.0), Just(0.7)],
    ) -> RouterDraw {
        RouterDraw {
            mode,
            events,
            event_delay_ms,
            event_loss,
            replicas,
            metrics_interval,
            temperature,
        }
    }
}

fn some_turn() -> impl Strategy<Value = DrawnTurn> {
    let segments = prop::collection::vec((0u64..4, 1u32..=60), 1..=3);
    (segments, 1u32..=50, prop_oneof![Just(0u64), 0u64..500])
}

/// Scenarios under which anything may happen.
pub fn some_case() -> impl Strategy<Value = Case> {
    let start = prop_oneof![1 => Just(0u64), 2 => 0u64..100, 1 => 1_000u64..3_000];
    let session = (start, prop::collection::vec(some_turn(), 1..=4));
    let sessions = prop::collection::vec(session, 1..=16);
    let concurrency = prop::option::weighted(0.3, 1u32..=6);
    (some_cluster(), some_router(), sessions, concurrency).prop_map(
        |(cluster, router, sessions, concurrency)| Case { cluster, router, sessions, concurrency },
    )
}

impl Case {
    pub fn scenario(&self) -> Scenario {
        let Case { cluster, router, .. } = self;
        let mut overrides = vec![
            format!("cluster.workers={}", cluster.workers),
            format!("cluster.block_tokens={}", cluster.block_tokens),
            format!("cluster.kv_blocks={}", cluster.kv_blocks),
            format!("cluster.max_batched_tokens={}", cluster.budget),
            format!("cluster.max_seqs={}", cluster.max_seqs),
            format!("cluster.engine={}", cluster.engine),
            format!("cluster.eviction={}", cluster.eviction),
            format!("router.kv.events={}", router.events),
            format!("router.kv.temperature={}", router.temperature),
            format!("router.event_delay=\"{}\"", Nanos(router.event_delay_ms * 1_000_000)),
            format!("router.event_loss={}", router.event_loss),
            format!("router.replicas={}", router.replicas),
        ];
        overrides.extend(
            router.metrics_interval.map(|ns| format!("router.metrics_interval=\"{}\"", Nanos(ns))),
        );
        let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
        scenario("diverse", &overrides)
    }

    /// The requests of all sessions.
    pub fn requests(&self) -> u64 {
        self.sessions.iter().map(|(_, turns)| turns.len() as u64).sum()
    }

    pub fn source(&self) -> Box<dyn Source> {
        let arrival = self
            .concurrency
            .map(|concurrency| ArrivalSpec::Closed { concurrency, ramp_up: Nanos::ZERO });
        let spec = WorkloadSpec { arrival, ..trace::spec(Path::new("none")) };
        let mut start = Nanos::ZERO;
        let sessions = self.sessions.iter().enumerate().map(|(id, (after, turns))| {
            start += Nanos(after * 1_000_000);
            session(id as u64, start, turns)
        });
        let stream = Listed(sessions.collect::<Vec<_>>().into_iter());
        Box::new(LoadDriver::new(Box::new(stream), &spec, 1).unwrap())
    }
}

/// Every turn's prompt holds all that was said before.
fn session(id: u64, start: Nanos, drawn: &[DrawnTurn]) -> Session {
    let mut said: Vec<Segment> = Vec::new();
    let mut turns = Vec::new();
    for (place, (added, output_tokens, pause)) in (0u32..).zip(drawn) {
        said.extend(
            added.iter().map(|(content, tokens)| Segment { content: *content, tokens: *tokens }),
        );
        // Two sessions each say the same, where they were told the same: copies in the caches.
        let content = mix(&[0x6f75_7470, id / 2, u64::from(place)]);
        let output = Segment { content, tokens: *output_tokens };
        let when = match place.checked_sub(1) {
            None => When::Offset(Nanos::ZERO),
            Some(before) => When::After(smallvec![before], Nanos(pause * 1_000_000)),
        };
        turns.push(Turn { when, prompt: said.clone(), output: smallvec![output] });
        said.push(output);
    }
    Session { id, start: Some(start), turns }
}

/// Sessions from a list.
struct Listed(std::vec::IntoIter<Session>);

impl SessionStream for Listed {
    fn next_session(&mut self) -> Result<Option<Session>> {
        Ok(self.0.next())
    }
}
