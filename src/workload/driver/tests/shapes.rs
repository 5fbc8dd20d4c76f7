//! Shapes of load: session slots, ramps of slots, bursts, and runs that end after a time.

use super::session::first_offset;
use super::*;

/// When every request arrives where slots hold sessions: sessions in order, each in the slot that is
/// free first; slot i of n opens at i · ramp / n.
fn naive_sessions(
    sessions: &[Session],
    (slots, ramp): (u64, u64),
    limit: u64,
    service: impl Fn(RequestId) -> u64,
) -> BTreeMap<RequestId, Nanos> {
    let mut free: Vec<u64> = (0..slots).map(|slot| slot * ramp / slots).collect();
    let mut arrivals = BTreeMap::new();
    let mut first = 0;
    for session in sessions {
        let turns = session.turns.len().min((limit - first) as usize);
        free.sort_unstable();
        let start = free[0];
        let lead = first_offset(&session.turns[..turns]).0;
        let mut ends: Vec<u64> = Vec::new();
        for (id, turn) in (first..).zip(&session.turns[..turns]) {
            let due = match &turn.when {
                When::Offset(offset) => start + offset.0 - lead,
                When::After(earlier, pause) => {
                    earlier.iter().map(|place| ends[*place as usize]).max().unwrap() + pause.0
                }
            };
            arrivals.insert(id, Nanos(due));
            ends.push(due + service(id));
        }
        first += turns as u64;
        if let Some(end) = ends.into_iter().max() {
            free[0] = end;
        }
    }
    arrivals
}

/// The processes that these tests know, with small times.
fn processes(slots: u32) -> Vec<ArrivalSpec> {
    vec![
        ArrivalSpec::Poisson { rate: 1e8 },
        ArrivalSpec::Burst { size: slots, every: Nanos(9) },
        ArrivalSpec::Closed { concurrency: slots, ramp_up: Nanos(20) },
        ArrivalSpec::Sessions { sessions: slots, ramp_up: Nanos(20) },
        ArrivalSpec::Timestamps,
    ]
}

proptest! {
    #[test]
    fn a_slot_starts_its_next_session_exactly_when_the_last_one_has_ended(
        sessions in some_sessions(), slots in 1u32..5, ramp in 0u64..40, limit in 1u64..30,
        salt in 0u64..1000,
    ) {
        let service = |id| mix(&[salt, id]) % 15;
        let held = ArrivalSpec::Sessions { sessions: slots, ramp_up: Nanos(ramp) };
        let mut driver = driver(&sessions, &spec(Some(held), Some(limit)));
        let requests = play(&mut driver, service);
        prop_assert!(requests.is_sorted_by_key(|r| r.arrival));
        let found: BTreeMap<_, _> = requests.iter().map(|r| (r.id, r.arrival)).collect();
        let slots = u64::from(slots);
        prop_assert_eq!(found, naive_sessions(&sessions, (slots, ramp), limit, service));
        prop_assert!(driver.active.is_empty(), "finished sessions are forgotten");
    }

    #[test]
    fn sessions_in_flight_never_exceed_the_slots(
        sessions in some_sessions(), slots in 1u32..5, salt in 0u64..1000,
    ) {
        let service = |id| 1 + mix(&[salt, id]) % 15;
        let held = ArrivalSpec::Sessions { sessions: slots, ramp_up: Nanos::ZERO };
        let requests = play(&mut driver(&sessions, &spec(Some(held), None)), service);
        let mut spans: BTreeMap<u64, (Nanos, Nanos)> = BTreeMap::new();
        for request in &requests {
            let end = request.arrival + Nanos(service(request.id));
            let span = spans.entry(request.session).or_insert((request.arrival, end));
            *span = (span.0.min(request.arrival), span.1.max(end));
        }
        prop_assert_eq!(spans.len(), sessions.len());
        for (at, _) in spans.values() {
            let running = spans.values().filter(|(start, end)| start <= at && at < end);
            prop_assert!(running.count() <= slots as usize);
        }
    }

    #[test]
    fn a_duration_cuts_what_would_arrive_then_or_later_and_changes_nothing_before(
        sessions in some_sessions(), slots in 1u32..5, end in 1u64..60, salt in 0u64..1000,
    ) {
        let service = |id| mix(&[salt, id]) % 15;
        for process in processes(slots) {
            let mut workload = spec(Some(process.clone()), None);
            let whole = play(&mut driver(&sessions, &workload), service);
            workload.duration = Some(Nanos(end));
            let cut = play(&mut driver(&sessions, &workload), service);
            let before: Vec<_> = whole.iter().filter(|r| r.arrival < Nanos(end)).collect();
            prop_assert_eq!(cut.iter().collect::<Vec<_>>(), before, "{:?}", process);
        }
    }
}

fn singles(count: u64) -> Vec<Session> {
    (0..count).map(|id| session(id, None, [When::Offset(Nanos(0))])).collect()
}

#[test]
fn bursts_start_at_exactly_the_same_instant() {
    let burst = ArrivalSpec::Burst { size: 3, every: Nanos(100) };
    let requests = play(&mut driver(&singles(8), &spec(Some(burst), None)), |_| 1000);
    let expected: Vec<_> = (0..8).map(|id| (id, id / 3 * 100)).collect();
    assert_eq!(arrivals_of(&requests), expected);

    let burst = ArrivalSpec::Burst { size: 500, every: Nanos(333_333_333) };
    let requests = play(&mut driver(&singles(50_000), &spec(Some(burst), None)), |_| 1);
    assert!(requests.iter().all(|r| r.arrival == Nanos(r.id / 500 * 333_333_333)));
}

#[test]
fn the_slots_of_a_ramp_open_evenly() {
    let ramp_up = Nanos(100);
    for process in [
        ArrivalSpec::Closed { concurrency: 3, ramp_up },
        ArrivalSpec::Sessions { sessions: 3, ramp_up },
    ] {
        let requests = play(&mut driver(&singles(3), &spec(Some(process), None)), |_| 1000);
        assert_eq!(arrivals_of(&requests), [(0, 0), (1, 33), (2, 66)]);
    }
}

#[test]
fn a_slot_is_held_through_pauses_and_a_sub_agent_needs_none() {
    let sessions = [
        // A pause of 50, then two at a time.
        session(
            0,
            None,
            [
                When::Offset(Nanos(0)),
                When::After(smallvec![0], Nanos(50)),
                When::After(smallvec![0], Nanos(50)),
            ],
        ),
        session(1, None, [When::Offset(Nanos(0))]),
    ];
    let held = ArrivalSpec::Sessions { sessions: 1, ramp_up: Nanos::ZERO };
    let requests = play(&mut driver(&sessions, &spec(Some(held), None)), |_| 10);
    assert_eq!(arrivals_of(&requests), [(0, 0), (1, 60), (2, 60), (3, 70)]);
}

#[test]
fn an_endless_workload_whose_requests_take_no_time_is_refused() {
    let endless = |process| {
        let mut workload = spec(Some(process), None);
        workload.kind = WorkloadKind::Diverse;
        workload.duration = Some(Nanos(1_000_000_000));
        let sessions = singles(2 * AT_ONCE);
        let mut driver = LoadDriver::new(Box::new(Listed(sessions.into_iter())), &workload, 1);
        let driver = driver.as_mut().unwrap();
        loop {
            match driver.take() {
                Ok(request) => _ = driver.on_complete(request.id, request.arrival),
                Err(why) => return why.to_string(),
            }
        }
    };
    for process in [
        closed(3),
        ArrivalSpec::Sessions { sessions: 3, ramp_up: Nanos::ZERO },
        ArrivalSpec::Constant { rate: 1e300 },
    ] {
        let why = endless(process);
        assert!(why.contains("one instant") && why.contains("--num-requests"), "{why}");
    }
}
