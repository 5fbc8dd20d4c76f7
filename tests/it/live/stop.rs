//! Runs that are ended early: Ctrl-C, `--duration`, the grace period.

use super::script::slow_answer;
use super::server::Server;
use super::{PLAIN, live, start};

#[test]
fn ctrl_c_lets_requests_in_flight_end_and_writes_everything() {
    let server = Server::start(|request| slow_answer(request, 100, 100));
    let words = format!("{PLAIN} --num-requests 10000 --concurrency 8 --grace-period 20s");
    let running = start(&[&server], &words, &[]);
    server.wait_for(20);
    running.interrupt();
    let run = running.finish();
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("kvroute: interrupted"), "{}", run.stderr);
    assert!(run.stdout.contains("interrupted"), "{}", run.stdout);
    assert_eq!(run.summary["interrupted"], true);
    assert_eq!((run.requests("failed"), run.requests("cancelled")), (0, 0));
    assert_eq!(run.requests("completed"), server.count());
    assert!((20..60).contains(&server.count()));
    for name in ["scenario.toml", "timing.json", "workers.csv", "timeline.csv"] {
        assert!(run.place.path().join("run").join(name).exists(), "{name}");
    }
}

#[test]
fn what_outlasts_the_grace_period_is_cancelled() {
    let server = Server::start(|request| slow_answer(request, 50, 20_000));
    let words = format!("{PLAIN} --num-requests 100 --concurrency 5 --grace-period 300ms");
    let running = start(&[&server], &words, &[]);
    server.wait_for(5);
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.interrupt();
    let run = running.finish();
    assert_eq!((run.code, run.requests("cancelled"), run.requests("arrived")), (1, 5, 5));
    assert!(run.rows.iter().all(|row| row.number("chunks") == 1.0));
    assert_eq!(run.number("/time_to_first_token/count"), 0.0);
}

#[test]
fn a_duration_ends_the_sending_and_is_no_failure() {
    let server = Server::start(|request| slow_answer(request, 50, 10));
    let words = format!("{PLAIN} --duration 1s --request-rate 40 --arrival constant");
    let run = live(&server, &words);
    run.completed_all(server.count());
    assert!((38..=41).contains(&server.count()), "{}", server.count());
    assert_eq!(run.summary["interrupted"], false);

    let stuck = Server::start(|request| slow_answer(request, 20_000, 0));
    let words = format!("{PLAIN} --duration 500ms --concurrency 3 --grace-period 300ms");
    let run = live(&stuck, &words);
    assert_eq!((run.code, run.requests("cancelled"), run.requests("arrived")), (0, 3, 3));
}
