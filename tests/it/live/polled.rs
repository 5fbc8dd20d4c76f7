//! Our routers over workers whose loads they take from metrics pages.

use super::script::answer;
use super::server::{Server, Setup};
use super::{PLAIN, start};

/// A worker whose metrics say that so many requests run there.
fn running(requests: Option<u32>) -> Server {
    let page = move |path: &str| {
        let line = |count| format!("vllm:num_requests_running{{engine=\"0\"}} {count}\n");
        (path == "/metrics").then(|| requests.map(line).unwrap_or_default())
    };
    Server::with(Setup { pages: Box::new(page), ..Setup::default() }, answer)
}

fn over(workers: [&Server; 2], more: &str) -> super::Running {
    let load = "diverse --model mock --isl 12 --osl 4 --concurrency 2 --num-requests 20 \
                --router-mode least-loaded";
    let workers = workers.map(|worker| format!("--worker {}", worker.url())).join(" ");
    start(&[], &format!("{load} {workers} {more}"), &[])
}

#[test]
fn polled_loads_are_those_that_the_workers_show() {
    let (busy, idle) = (running(Some(9)), running(Some(0)));
    let run = over([&busy, &idle], "--router-metrics-interval 5ms").finish();
    run.completed_all(20);
    assert_eq!((busy.count(), idle.count()), (0, 20));

    let run = over([&busy, &idle], "").finish();
    run.completed_all(20);
    assert!(busy.count() > 0, "its own books know nothing of other clients' requests");
}

#[test]
fn loads_that_no_page_shows_are_refused_before_anything_is_sent() {
    let (busy, silent) = (running(Some(1)), running(None));
    for (more, says) in [
        ("", "shows no requests running or waiting"),
        ("--no-server-metrics", "there are 0 pages"),
        (&format!("--metrics-url {}", busy.url()), "there are 1 pages"),
    ] {
        let more = format!("--router-metrics-interval 5ms {more}");
        let (output, place) = over([&busy, &silent], &more).output();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert!(!place.path().join("run").exists());
    }
    let zero = format!("{PLAIN} --router-metrics-interval 0 --url {}", busy.url());
    let (output, _) = start(&[], &zero, &[]).output();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("metrics_interval must be longer than 0"), "{stderr}");
    assert_eq!(busy.count() + silent.count(), 0);
}
