//! Servers that turn requests away: too busy for now, or not there for a while.

use super::script::{answer, slow_answer, status};
use super::server::{Server, Setup};
use super::{PLAIN, live, start};
use std::time::Duration;

fn load(more: &str) -> String {
    format!("{PLAIN} --concurrency 4 --num-requests 12 {more}")
}

/// Turns away the first arrival of every prompt.
fn busy_at_first(more: &'static str) -> Server {
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    Server::start(move |request| {
        let first = seen.lock().unwrap().insert(request.body["messages"].to_string());
        if first { status(429, more) } else { answer(request) }
    })
}

#[test]
fn without_retries_a_429_is_a_failure() {
    let server = busy_at_first("retry-after: 0\r\n");
    let run = live(&server, &load("--max-error-rate 1"));
    assert_eq!((run.code, run.requests("failed"), server.count()), (0, 12, 12));
    assert_eq!(run.failures()["http-429"], 12);
}

#[test]
fn with_retries_a_429_is_sent_again_after_the_time_it_names() {
    let server = busy_at_first("retry-after: 1\r\n");
    let run = live(&server, &load("--retries 2"));
    run.completed_all(12);
    assert_eq!(server.count(), 24);
    for row in &run.rows {
        assert_eq!(row.number("attempts"), 2.0);
        // The server is measured from the send that it answered, the user waited from the first.
        assert!(row.number("send_lag_ms") >= 1000.0);
        assert!(row.number("ttft_ms") < 1000.0);
        assert!(row.number("scheduled_ttft_ms") >= 1000.0);
    }
    let requests = server.requests();
    for request in &requests {
        let same = requests.iter().filter(|one| one.body == request.body);
        let times: Vec<Duration> = same.map(|one| one.at).collect();
        assert!(times[1] - times[0] >= Duration::from_secs(1));
    }
}

#[test]
fn retries_end_and_need_a_retry_after() {
    let always = Server::start(|_| status(503, "retry-after: 0.01\r\n"));
    let run = live(&always, &load("--retries 2"));
    assert_eq!((run.failures()["http-503"], always.count()), (12, 36));
    assert!(run.rows.iter().all(|row| row.number("attempts") == 3.0));
    for (code, header) in [(429, ""), (500, "retry-after: 0\r\n"), (429, "retry-after: soon\r\n")] {
        let server = Server::start(move |_| status(code, header));
        let run = live(&server, &load("--retries 2"));
        assert_eq!((run.failures()[&format!("http-{code}")], server.count()), (12, 12));
    }
}

#[test]
fn a_worker_dies_and_comes_back_and_the_other_one_never_notices() {
    // With a loopback address of its own: nobody takes the port meanwhile, not even the client.
    let address = [127, 0, 0, 7].into();
    let mortal = Server::with(Setup { address, ..Setup::default() }, |r| slow_answer(r, 15, 5));
    let healthy = Server::start(|request| slow_answer(request, 15, 5));
    let words = format!("{PLAIN} --request-rate 150 --num-requests 300 --arrival constant");
    let running = start(&[&mortal, &healthy], &words, &[]);
    mortal.wait_for(30);
    mortal.die();
    let dead = mortal.count();
    healthy.wait_for(80);
    assert_eq!(mortal.count(), dead);
    mortal.come_back();
    let run = running.finish();

    assert_eq!((run.code, run.requests("arrived")), (1, 300), "{}", run.stderr);
    assert_eq!(run.list("/load/requests_per_worker"), [150, 150]);
    assert!(run.rows.iter().all(|row| row.text("worker") == "1" || row.text("failure").is_empty()));
    assert!(run.failures().keys().all(|reason| reason == "connect" || reason == "reset"));
    assert!(run.failures()["connect"] >= 20, "{:?}", run.failures());
    for row in run.ended("failed").filter(|row| row.text("failure") == "connect") {
        assert!(row.text("sent_ms").is_empty() && row.text("ttft_ms").is_empty());
    }
    // It took up its work again.
    let served = run.ended("completed").filter(|row| row.text("worker") == "1").count() as u64;
    assert!(served > dead && mortal.count() > dead, "{served} served, {dead} before it died");
    assert_eq!(healthy.count(), 150);
}
