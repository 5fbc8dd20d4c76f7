//! How much is in flight, over which connections, and when.

use super::script::{Script, answer, slow_answer, texts, word};
use super::server::{Incoming, Server};
use super::{PLAIN, Run, live, start};
use std::collections::{BTreeMap, BTreeSet};

fn busy(request: &Incoming) -> Script {
    slow_answer(request, 20, 2)
}

#[test]
fn the_concurrency_on_the_wire_is_the_one_asked_for() {
    let server = Server::start(busy);
    let run = live(&server, &format!("{PLAIN} --concurrency 37 --num-requests 400"));
    run.completed_all(400);
    assert_eq!(server.most_in_flight(), 37);
    assert_eq!(run.number("/client/max_in_flight"), 37.0);
    assert_eq!((server.connections(), run.number("/client/connections")), (37, 37.0));
    assert_eq!(server.count(), 400);
}

#[test]
fn each_strategy_opens_the_connections_it_says() {
    let server = Server::start(busy);
    let run = live(
        &server,
        &format!("{PLAIN} --concurrency 6 --num-requests 40 --connection per-request"),
    );
    run.completed_all(40);
    assert_eq!((server.connections(), run.number("/client/connections")), (40, 40.0));
    assert!(server.requests().iter().all(|request| request.place == 0));
    assert!(run.rows.iter().all(|row| row.text("reused_connection") == "false"));

    let (server, run) = sessions("--connection sticky");
    let count = run.rows.iter().map(|row| row.text("session_id")).collect::<BTreeSet<_>>().len();
    assert_eq!(
        (server.connections(), run.number("/client/connections")),
        (count as u64, count as f64)
    );
    let mut sessions: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for request in server.requests() {
        sessions
            .entry(request.connection)
            .or_default()
            .insert(request.headers["x-session"].clone());
    }
    assert!(sessions.values().all(|sessions| sessions.len() == 1), "{sessions:?}");
    let firsts = run.rows.iter().filter(|row| row.text("reused_connection") == "false").count();
    assert_eq!(firsts, count);
}

/// Multi-turn sessions, four at a time, without long pauses.
fn sessions(more: &str) -> (Server, Run) {
    let server = Server::start(answer);
    let words = format!(
        "multi-turn --model mock --isl 40 --osl 4 --sessions 4 --num-requests 60 --no-server-metrics \
         --session-header X-Session --set workload.multi_turn.think_time={{law='constant',value=0.02}} \
         --set workload.multi_turn.follow_up={{law='constant',value=9}} {more}"
    );
    let run = live(&server, &words);
    run.completed_all(60);
    (server, run)
}

#[test]
fn slots_hold_sessions_and_a_session_is_told_by_its_header() {
    let (server, run) = sessions("");
    let requests = server.requests();
    let number = |request: &Incoming| request.headers["x-session"].parse::<u64>().unwrap();
    let counted = |ids: Vec<u64>| {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        ids.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
        counts
    };
    let by_rows = run.rows.iter().map(|row| row.number("session_id") as u64).collect();
    assert_eq!(counted(requests.iter().map(number).collect()), counted(by_rows));
    // At no time are more than four sessions between their first and their last request.
    let spans: BTreeMap<u64, (usize, usize)> =
        requests.iter().enumerate().fold(BTreeMap::new(), |mut spans, (place, request)| {
            spans.entry(number(request)).or_insert((place, place)).1 = place;
            spans
        });
    for place in 0..requests.len() {
        let open = spans.values().filter(|(from, to)| (*from..=*to).contains(&place)).count();
        assert!(open <= 4, "{open} sessions at request {place}");
    }
    assert!(server.most_in_flight() <= 4);
}

#[test]
fn later_turns_hold_the_servers_own_answers_word_by_word() {
    let (server, _) = sessions("");
    let requests = server.requests();
    let mut last: BTreeMap<String, Incoming> = BTreeMap::new();
    let mut continued = 0;
    for request in requests {
        let session = request.headers["x-session"].clone();
        let messages = request.body["messages"].as_array().unwrap().clone();
        let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
        assert_eq!(roles[0], "system");
        let turns = ["user", "assistant"].iter().cycle();
        assert!(roles[1..].iter().zip(turns).all(|(role, turn)| role == turn), "{roles:?}");
        assert_eq!(roles.last(), Some(&"user"));
        if let Some(before) = last.insert(session, request.clone()) {
            continued += 1;
            let answer: String = (0..4).map(|place| word(&before, place)).collect();
            let earlier = before.body["messages"].as_array().unwrap();
            assert_eq!(messages[..earlier.len()], earlier[..]);
            assert_eq!(messages[earlier.len()]["content"], answer);
            assert_eq!(messages.len(), earlier.len() + 2);
        }
    }
    assert!(continued > 20, "{continued}");
}

#[test]
fn a_failed_turn_does_not_end_its_session() {
    let server = Server::start(|request| match request.number % 5 {
        2 => super::script::status(500, ""),
        _ => answer(request),
    });
    let words = "multi-turn --model mock --isl 40 --osl 4 --sessions 4 --num-requests 60 \
        --no-server-metrics --set workload.multi_turn.think_time={law='constant',value=0.01}";
    let run = live(&server, words);
    assert_eq!((run.requests("arrived"), run.requests("failed")), (60, 12));
}

#[test]
fn prompts_have_exactly_the_tokens_that_are_planned() {
    let tokenizer = kvroute::live::tokenizer::Tokenizer::load(None).unwrap();
    let server = Server::start(answer);
    let words =
        "diverse --model mock --no-server-metrics --concurrency 8 --num-requests 60 --osl 3";
    let run = start(&[&server], words, &["--session-header=X-Session"]).finish();
    run.completed_all(60);
    let planned: BTreeMap<&str, f64> = run
        .rows
        .iter()
        .map(|row| (row.text("session_id"), row.number("planned_prompt_tokens")))
        .collect();
    assert_eq!(planned.len(), 60);
    for request in server.requests() {
        let found: usize = texts(&request).iter().map(|text| tokenizer.count(text)).sum();
        assert_eq!(found as f64, planned[request.headers["x-session"].as_str()]);
    }
}

#[test]
fn requests_are_dealt_to_several_servers_in_turn() {
    let servers = [Server::start(busy), Server::start(busy), Server::start(busy)];
    let words = format!("{PLAIN} --concurrency 6 --num-requests 30");
    let run = start(&servers.each_ref(), &words, &[]).finish();
    run.completed_all(30);
    assert_eq!(run.list("/load/requests_per_worker"), [10, 10, 10]);
    assert!(servers.iter().all(|server| server.count() == 10));
}

#[test]
fn a_trace_is_replayed_at_its_times_by_the_speedup() {
    let server = Server::start(answer);
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("trace.jsonl");
    let line = |number: u64| {
        format!(
            "{{\"timestamp\":{},\"input_length\":700,\"output_length\":3,\"hash_ids\":[0,{}]}}\n",
            number * 2000,
            number + 1
        )
    };
    std::fs::write(&trace, (0..6).map(line).collect::<String>()).unwrap();
    let words = format!("{} --model mock --speedup 20 --no-server-metrics", trace.display());
    let run = live(&server, &words);
    run.completed_all(6);
    let mut scheduled: Vec<f64> = run.rows.iter().map(|row| row.number("arrival_ms")).collect();
    scheduled.sort_by(f64::total_cmp);
    assert_eq!(scheduled, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
    let times: Vec<f64> = server.requests().iter().map(|r| r.at.as_secs_f64() * 1e3).collect();
    for (number, time) in times.iter().enumerate() {
        let since = time - times[0];
        assert!((since - 100.0 * number as f64).abs() < 90.0, "request {number} after {since} ms");
    }
    // The first block of the trace is the same text for all.
    let shared: BTreeSet<String> =
        server.requests().iter().map(|r| texts(r).concat()[..200].to_string()).collect();
    assert_eq!(shared.len(), 1);
    assert!(run.number("/prefix_cache/expected_hit_tokens") >= 5.0 * 496.0);
}

#[test]
fn bursts_are_simultaneous() {
    let server = Server::start(busy);
    let run = live(&server, &format!("{PLAIN} --burst 20 --burst-every 400ms --num-requests 60"));
    run.completed_all(60);
    let mut scheduled: Vec<String> =
        run.rows.iter().map(|row| row.text("arrival_ms").into()).collect();
    scheduled.sort();
    let counts = |instant: &str| scheduled.iter().filter(|at| *at == instant).count();
    assert!(scheduled.iter().all(|instant| counts(instant) == 20), "{scheduled:?}");
    let requests = server.requests();
    for burst in requests.chunks(20) {
        let span = burst[19].at - burst[0].at;
        assert!(span.as_millis() < 150, "{span:?}");
    }
    let between = requests[20].at - requests[0].at;
    assert!((300..500).contains(&between.as_millis()), "{between:?}");
}
