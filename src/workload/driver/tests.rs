use super::*;
use crate::prompt::mix;
use crate::scenario::ArrivalSpec;
use crate::workload::{Session, Turn, When};
use proptest::prelude::*;
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, BTreeSet};

mod shapes;

/// Sessions from a list.
struct Listed(std::vec::IntoIter<Session>);

impl SessionStream for Listed {
    fn next_session(&mut self) -> Result<Option<Session>> {
        Ok(self.0.next())
    }
}

fn turn(when: When) -> Turn {
    let text = |content, tokens| Segment { content, tokens };
    Turn { when, prompt: vec![text(1, 10)], output: smallvec![text(2, 3)] }
}

fn session(id: u64, start: Option<u64>, whens: impl IntoIterator<Item = When>) -> Session {
    Session { id, start: start.map(Nanos), turns: whens.into_iter().map(turn).collect() }
}

/// A trace workload with these keys.
fn spec(arrival: Option<ArrivalSpec>, requests: Option<u64>) -> WorkloadSpec {
    let mut spec: WorkloadSpec = toml::from_str("kind = \"trace\"").unwrap();
    spec.arrival = arrival;
    spec.requests = requests;
    spec
}

fn closed(concurrency: u32) -> ArrivalSpec {
    ArrivalSpec::Closed { concurrency, ramp_up: Nanos::ZERO }
}

fn driver(sessions: &[Session], spec: &WorkloadSpec) -> LoadDriver {
    let sessions = sessions.to_vec();
    LoadDriver::new(Box::new(Listed(sessions.into_iter())), spec, 42).unwrap()
}

/// Serves every request for `service(id)` and lists them as they arrived; completions of an instant
/// come before its arrivals.
fn play(driver: &mut LoadDriver, service: impl Fn(RequestId) -> u64) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    let mut running: BTreeSet<(Nanos, RequestId)> = BTreeSet::new();
    loop {
        let arrival = driver.next_arrival().unwrap();
        match (arrival, running.first().copied()) {
            (arrival, Some((end, id))) if arrival.is_none_or(|at| end <= at) => {
                running.remove(&(end, id));
                driver.on_complete(id, end);
            }
            (None, _) => return requests,
            (Some(at), _) => {
                let request = driver.take().unwrap();
                assert_eq!(request.arrival, at, "took another request than announced");
                running.insert((at + Nanos(service(request.id)), request.id));
                requests.push(request);
            }
        }
    }
}

/// What the driver should do in a closed loop, tick by tick; slot i of n opens at i · ramp / n.
fn naive_closed(
    sessions: &[Session],
    (slots, ramp): (u64, u64),
    limit: usize,
    service: impl Fn(RequestId) -> u64,
) -> Vec<(RequestId, Nanos)> {
    let mut taken: Vec<(RequestId, Nanos)> = Vec::new();
    let mut ends: BTreeMap<RequestId, u64> = BTreeMap::new();
    let mut started: Vec<(u64, u64)> = Vec::new();
    let first = |at: usize| sessions[..at].iter().map(|s| s.turns.len() as u64).sum::<u64>();
    let total = limit.min(first(sessions.len()) as usize);
    let mut now = 0;
    while taken.len() < total {
        let open = (0..slots).filter(|slot| slot * ramp / slots <= now).count();
        while taken.len() < total && ends.values().filter(|end| **end > now).count() < open {
            let mut ready: Vec<(u64, u64)> = Vec::new();
            for (session, (first, start)) in sessions.iter().zip(&started) {
                for (id, turn) in (*first..total as u64).zip(&session.turns) {
                    let since = match &turn.when {
                        When::Offset(offset) => Some(start + offset.0),
                        When::After(earlier, pause) => earlier
                            .iter()
                            .map(|place| ends.get(&(first + u64::from(*place))).copied())
                            .try_fold(0, |last, end| Some(last.max(end?)))
                            .filter(|last| *last <= now)
                            .map(|last| last + pause.0),
                    };
                    if since.is_some_and(|since| since <= now) && !ends.contains_key(&id) {
                        ready.push((since.unwrap(), id));
                    }
                }
            }
            if let Some((_, id)) = ready.into_iter().min() {
                taken.push((id, Nanos(now)));
                ends.insert(id, now + service(id));
            } else if started.len() < sessions.len() && first(started.len()) < total as u64 {
                started.push((first(started.len()), now));
            } else {
                break;
            }
        }
        now += 1;
    }
    taken
}

/// Sessions of one to five turns, each at an offset or after some of the earlier ones; the first
/// turn comes first.
fn some_sessions() -> impl Strategy<Value = Vec<Session>> {
    let turns = prop::collection::vec((0u8..32, 0u64..12), 1..6);
    prop::collection::vec((0u64..20, turns), 1..8).prop_map(|list| {
        let mut start = 0;
        (0..)
            .zip(list)
            .map(|(id, (gap, turns))| {
                start += gap;
                let whens = (0u32..).zip(turns).map(|(place, (mask, pause))| {
                    let earlier: SmallVec<[u32; 4]> =
                        (0..place).filter(|p| mask >> p & 1 == 1).collect();
                    match earlier.is_empty() {
                        true if place == 0 => When::Offset(Nanos::ZERO),
                        true => When::Offset(Nanos(pause)),
                        false => When::After(earlier, Nanos(pause)),
                    }
                });
                session(id, Some(start), whens)
            })
            .collect()
    })
}

fn identity(requests: &[Request]) -> BTreeMap<RequestId, (u64, u32)> {
    let each = requests.iter().map(|r| (r.id, (r.session, r.turn)));
    each.collect()
}

proptest! {
    #[test]
    fn closed_loops_agree_with_a_naive_one(
        sessions in some_sessions(), slots in 1u32..5, ramp in 0u64..40, limit in 1usize..30,
        salt in 0u64..1000,
    ) {
        let service = |id| 1 + mix(&[salt, id]) % 15;
        let closed = ArrivalSpec::Closed { concurrency: slots, ramp_up: Nanos(ramp) };
        let spec = spec(Some(closed), Some(limit as u64));
        let mut driver = driver(&sessions, &spec);
        let requests = play(&mut driver, service);
        let found: Vec<_> = requests.iter().map(|r| (r.id, r.arrival)).collect();
        prop_assert_eq!(found, naive_closed(&sessions, (slots.into(), ramp), limit, service));
        for at in &requests {
            let busy = requests.iter().filter(|r| {
                (r.arrival..r.arrival + Nanos(service(r.id))).contains(&at.arrival)
            });
            prop_assert!(busy.count() <= slots as usize);
        }
        prop_assert!(driver.active.is_empty(), "finished sessions are forgotten");
    }

    #[test]
    fn open_loops_send_every_turn_exactly_when_it_is_due(
        sessions in some_sessions(), limit in 1u64..30, salt in 0u64..1000,
    ) {
        let service = |id| mix(&[salt, id]) % 15;
        let mut driver = driver(&sessions, &spec(None, Some(limit)));
        let requests = play(&mut driver, service);
        prop_assert!(requests.is_sorted_by_key(|r| r.arrival));
        prop_assert!(driver.active.is_empty());
        let by_id: BTreeMap<_, _> = requests.iter().map(|r| (r.id, r)).collect();
        let end = |id: RequestId| by_id[&id].arrival + Nanos(service(id));
        let mut id = 0;
        for session in &sessions {
            let first = id;
            for (place, turn) in (0u32..).zip(&session.turns).take((limit - first) as usize) {
                let due = match &turn.when {
                    When::Offset(offset) => session.start.unwrap() + *offset,
                    When::After(earlier, pause) => {
                        let ends = earlier.iter().map(|p| end(first + u64::from(*p)));
                        ends.max().unwrap() + *pause
                    }
                };
                let request = by_id[&id];
                prop_assert_eq!((request.session, request.turn), (session.id, place));
                prop_assert_eq!(request.arrival, due);
                id += 1;
            }
        }
        prop_assert_eq!(requests.len() as u64, id);
    }

    #[test]
    fn ids_do_not_depend_on_completions(sessions in some_sessions(), slots in 1u32..5) {
        let closed = spec(Some(closed(slots)), None);
        let held = ArrivalSpec::Sessions { sessions: slots, ramp_up: Nanos(7) };
        let held = spec(Some(held), None);
        let open = spec(Some(ArrivalSpec::Poisson { rate: 1e8 }), None);
        let base = identity(&play(&mut driver(&sessions, &open), |_| 1));
        for salt in 0..3 {
            let service = |id| 1 + mix(&[salt, id]) % 15;
            prop_assert_eq!(&base, &identity(&play(&mut driver(&sessions, &open), service)));
            prop_assert_eq!(&base, &identity(&play(&mut driver(&sessions, &closed), service)));
            prop_assert_eq!(&base, &identity(&play(&mut driver(&sessions, &held), service)));
        }
    }
}

fn arrivals_of(requests: &[Request]) -> Vec<(RequestId, u64)> {
    requests.iter().map(|r| (r.id, r.arrival.0)).collect()
}

#[test]
fn trace_times_are_divided_by_the_speed_up() {
    let sessions = [
        session(0, Some(0), [When::Offset(Nanos(0)), When::Offset(Nanos(50))]),
        session(1, Some(101), [When::Offset(Nanos(0)), When::After(smallvec![0], Nanos(30))]),
    ];
    let mut spec = spec(Some(ArrivalSpec::Timestamps), None);
    spec.speedup = 2.0;
    let requests = play(&mut driver(&sessions, &spec), |_| 7);
    assert_eq!(arrivals_of(&requests), [(0, 0), (1, 25), (2, 51), (3, 73)]);
}

#[test]
fn a_process_replaces_recorded_starts_and_stands_in_where_there_are_none() {
    let recorded: Vec<Session> =
        (0..4000).map(|id| session(id, Some(id), [When::Offset(Nanos(0))])).collect();
    let constant = spec(Some(ArrivalSpec::Constant { rate: 1000.0 }), Some(3));
    let requests = play(&mut driver(&recorded, &constant), |_| 1);
    assert_eq!(arrivals_of(&requests), [(0, 0), (1, 1_000_000), (2, 2_000_000)]);

    let bare: Vec<Session> =
        (0..4000).map(|id| session(id, None, [When::Offset(Nanos(0))])).collect();
    let requests = play(&mut driver(&bare, &spec(None, None)), |_| 1);
    let last = requests.last().unwrap().arrival.as_secs_f64();
    assert!((last / 4000.0 - 1.0).abs() < 0.05, "{last} s for 4000 starts at 1 a second");
}

#[test]
fn a_closed_loop_starts_with_all_its_slots_and_skips_leading_offsets() {
    let sessions: Vec<Session> = (0..5)
        .map(|id| session(id, None, [When::Offset(Nanos(9)), When::Offset(Nanos(10))]))
        .collect();
    let closed = spec(Some(closed(3)), Some(6));
    let requests = play(&mut driver(&sessions, &closed), |_| 4);
    assert_eq!(arrivals_of(&requests), [(0, 0), (2, 0), (4, 0), (1, 4), (3, 4), (5, 4)]);
}

#[test]
fn sessions_are_pulled_one_ahead_and_forgotten_when_finished() {
    pulled_one_ahead(ArrivalSpec::Constant { rate: 10.0 });
    // All starts in one nanosecond.
    pulled_one_ahead(ArrivalSpec::Constant { rate: 1e300 });
    pulled_one_ahead(closed(1));
    pulled_one_ahead(ArrivalSpec::Sessions { sessions: 1, ramp_up: Nanos::ZERO });
}

fn pulled_one_ahead(arrival: ArrivalSpec) {
    struct Counting(u64);
    impl SessionStream for Counting {
        fn next_session(&mut self) -> Result<Option<Session>> {
            self.0 += 1;
            assert!(self.0 <= 102, "pulled too far ahead");
            Ok(Some(session(self.0 - 1, None, [When::Offset(Nanos(0))])))
        }
    }
    let workload = spec(Some(arrival), None);
    let mut driver = LoadDriver::new(Box::new(Counting(0)), &workload, 1).unwrap();
    for id in 0..100 {
        let at = driver.next_arrival().unwrap().unwrap();
        assert_eq!(driver.take().unwrap().id, id);
        driver.on_complete(id, at);
        assert!(driver.active.len() <= 1 && driver.ready.len() <= 1);
    }
}

#[test]
fn empty_and_overlong_prompts_are_refused_by_name() {
    for tokens in [0, MAX_TOKENS + 1] {
        let mut bad = session(7, Some(0), [When::Offset(Nanos(0))]);
        bad.turns[0].prompt[0].tokens = tokens;
        let why = driver(&[bad], &spec(None, None)).take().unwrap_err();
        let why = why.to_string();
        assert!(why.contains("session 7, turn 0: the prompt has"), "{why}");
    }
}
