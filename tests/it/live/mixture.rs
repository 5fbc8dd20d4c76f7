//! Ten thousand requests, a fifth of them with faults of all kinds: the books agree with the server's.

use super::script::{
    END, Script, Step, answer, chunk, done, event, finish, json_head, status, token,
};
use super::server::{Incoming, Server};
use super::{PLAIN, live};
use kvroute::prompt::mix;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const REQUESTS: u64 = 10_000;
const SEED: u64 = 20_260_311;

/// What the server did, by the reason that the client should find.
type Books = BTreeMap<&'static str, u64>;

/// Broken off before any answer: on a kept connection the client sends it again, and says so.
const UNSEEN: &str = "unseen";

/// The reason and the script of a request; a few in a thousand of each kind.
fn draw(request: &Incoming) -> (&'static str, Script) {
    let begun = || Script::stream().event(&token(request, " one"));
    let errors = |code| status(code, "");
    match mix(&[SEED, request.number]) % 1000 {
        0..20 => ("http-500", errors(500)),
        20..35 => ("http-503", status(503, "retry-after: 1\r\n")),
        35..50 => ("http-429", errors(429)),
        50..65 => ("http-400", errors(400)),
        65..80 => ("reset", begun().wait(2).then(Step::Reset)),
        80..90 => ("reset", begun().wait(2).then(Step::Close)),
        90..100 => (UNSEEN, Script::default().then(Step::Reset)),
        100..110 => (UNSEEN, Script::default().then(Step::Close)),
        110..125 => ("malformed", begun().send(chunk(b"data: {{\n\n")).send(done())),
        125..135 => ("malformed", Script::default().send(json_head(200, 2, "") + "no")),
        135..145 => ("bad-utf8", begun().send(chunk(b"data: \"\xff\xfe\"\n\n")).send(done())),
        145..155 => ("truncated", begun().send(END)),
        155..165 => ("truncated", begun().send(chunk(b"data: {")).send(END)),
        165..175 => ("error-in-stream", begun().event(&json!({"error": "no"})).send(done())),
        175..188 => ("empty", Script::stream().send(finish(request)).send(done())),
        188..198 => ("endless", begun().then(Step::Repeat(event(&token(request, " more"))))),
        198..200 => ("timeout", begun().then(Step::Hang)),
        _ => ("", answer(request)),
    }
}

#[test]
fn ten_thousand_requests_with_a_fifth_of_faults_are_booked_one_by_one() {
    let books = Arc::new(Mutex::new(Books::new()));
    let kept = Arc::clone(&books);
    let server = Server::start(move |request| {
        let (reason, script) = draw(request);
        *kept.lock().unwrap().entry(reason).or_default() += 1;
        script
    });
    let words = format!(
        "{PLAIN} --num-requests {REQUESTS} --concurrency 200 --request-timeout 4s --max-error-rate 0.25"
    );
    let run = live(&server, &words);
    let mut books = books.lock().unwrap().clone();
    let seen = format!("seed {SEED}: {books:?}, {}", run.summary["failures"]);

    let attempts: f64 = run.rows.iter().map(|row| row.number("attempts")).sum();
    assert_eq!((run.code, run.requests("arrived")), (0, REQUESTS), "{seen}, {}", run.stderr);
    assert_eq!(attempts as u64, server.count(), "{seen}");
    // Those broken off without a word were sent again, or failed.
    let again = attempts as u64 - REQUESTS;
    let unseen = books.remove(UNSEEN).unwrap();
    *books.get_mut("reset").unwrap() += unseen - again;
    let completed = books.remove("").unwrap();
    assert_eq!(run.requests("completed"), completed, "{seen}");
    let expected: BTreeMap<String, u64> =
        books.into_iter().map(|(reason, count)| (reason.into(), count)).collect();
    assert_eq!(run.failures(), expected, "{seen}");
    assert!(run.requests("failed") > REQUESTS / 6, "{seen}");
    assert_eq!(run.number("/client/max_in_flight"), 200.0);
    for row in run.ended("completed") {
        assert_eq!((row.number("output_tokens"), row.number("chunks")), (4.0, 4.0), "{seen}");
    }
}
