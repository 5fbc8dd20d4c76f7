//! Hits: by the responses' `usage` and by the servers' own counters.

use super::script::{answer, cached_answer, prompt_tokens};
use super::server::{Incoming, Server, Setup};
use super::{Run, live, start};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const WORDS: &str = "diverse --model mock --isl 40 --osl 3 --concurrency 4 --num-requests 20";

/// A server at this address with vLLM's counters, which finds half of every prompt in its cache.
fn counting_at(address: [u8; 4], tells: fn(&Incoming) -> bool) -> Server {
    // It has a past: only what changes during the run matters.
    let counters = Arc::new([AtomicU64::new(1_000_000), AtomicU64::new(7)]);
    let shown = Arc::clone(&counters);
    let pages = move |path: &str| {
        let [queries, hits] = [0, 1].map(|which: usize| shown[which].load(SeqCst));
        (path == "/metrics").then(|| {
            format!(
                "# TYPE vllm:prefix_cache_queries_total counter\n\
                 vllm:prefix_cache_queries_total{{engine=\"0\"}} {queries}\n\
                 vllm:prefix_cache_hits_total{{engine=\"0\"}} {hits}\n\
                 vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n\
                 vllm:kv_cache_usage_perc 0.25\n"
            )
        })
    };
    let setup = Setup { address: address.into(), pages: Box::new(pages), ..Setup::default() };
    Server::with(setup, move |request| {
        let prompt = prompt_tokens(request) as u64;
        counters[0].fetch_add(prompt, SeqCst);
        counters[1].fetch_add(prompt / 2, SeqCst);
        cached_answer(request, tells(request).then_some(prompt / 2))
    })
}

fn counting(tells: fn(&Incoming) -> bool) -> Server {
    counting_at([127, 0, 0, 1], tells)
}

fn source(run: &Run) -> &serde_json::Value {
    &run.summary["server"]["sources"][0]
}

#[test]
fn counters_and_usage_agree() {
    let server = counting(|_| true);
    let run = live(&server, &format!("{WORDS} --metrics-interval 20ms"));
    run.completed_all(20);
    let (usage, counters) =
        (run.number("/prefix_cache/hit_rate"), run.number("/prefix_cache/server_hit_rate"));
    assert_eq!(usage, counters);
    assert!((0.4..=0.5).contains(&usage), "{usage}");
    let prompts: usize = server.requests().iter().map(prompt_tokens).sum();
    assert_eq!(run.number("/prefix_cache/prompt_tokens"), prompts as f64);
    assert_eq!(run.number("/server/query_tokens"), prompts as f64);
    assert_eq!(source(&run)["kind"], "vllm");
    assert_eq!(source(&run)["url"], format!("{}/metrics", server.url()));
    let series = std::fs::read_to_string(run.place.path().join("run/server_metrics.csv")).unwrap();
    assert!(series.lines().count() >= 3 && series.contains(",vllm,"), "{series}");
    assert!(run.stdout.contains("by server counters"), "{}", run.stdout);
}

#[test]
fn silence_about_hits_is_unknown_and_some_silence_is_zero() {
    let run = live(&counting(|_| false), WORDS);
    run.completed_all(20);
    assert!(run.summary["prefix_cache"]["hit_rate"].is_null());
    assert!(run.rows.iter().all(|row| row.text("hit_tokens").is_empty()));
    assert!(run.stdout.contains("hit rate unknown"), "{}", run.stdout);
    assert!(run.number("/prefix_cache/server_hit_rate") > 0.4);

    let server = counting(|request| request.number % 4 == 0);
    let run = live(&server, WORDS);
    run.completed_all(20);
    let requests = server.requests();
    let told = requests.iter().filter(|request| request.number % 4 == 0);
    let hits: usize = told.map(|request| prompt_tokens(request) / 2).sum();
    assert_eq!(run.number("/prefix_cache/hit_tokens"), hits as f64);
    let rate = run.number("/prefix_cache/hit_rate");
    assert!((0.08..0.15).contains(&rate), "{rate}");
}

#[test]
fn metrics_may_lie_elsewhere_or_not_be_asked_for() {
    let (engine, front) = (counting_at([127, 0, 0, 9], |_| true), Server::start(answer));
    let metrics = format!("--metrics-url={}", engine.url());
    let own = format!("--metrics-url={}/elsewhere", engine.url());
    let run = start(&[&front], WORDS, &[&metrics, &own, "--api-key=sk-front"]).finish();
    run.completed_all(20);
    let paths: Vec<String> = engine.gets().into_iter().map(|(path, _)| path).collect();
    assert!(
        paths.contains(&"/metrics".into()) && paths.contains(&"/elsewhere".into()),
        "{paths:?}"
    );
    assert!(front.gets().is_empty());
    let keys =
        engine.gets().iter().filter(|(_, headers)| headers.contains_key("authorization")).count();
    assert_eq!(keys, 0, "the key went to a host it is not for");

    let silent = counting(|_| true);
    let run = live(&silent, &format!("{WORDS} --no-server-metrics"));
    run.completed_all(20);
    assert!(silent.gets().is_empty() && run.summary.get("server").is_none());
    assert!(!run.place.path().join("run/server_metrics.csv").exists());
}

#[test]
fn a_page_that_is_down_is_said_and_fails_nothing() {
    let server = Server::start(answer);
    let run = live(&server, WORDS);
    run.completed_all(20);
    assert!(source(&run)["failed_scrapes"].as_u64().unwrap() >= 2);
    assert!(source(&run)["last_error"].as_str().unwrap().contains("404"));
    assert!(run.summary["prefix_cache"]["server_hit_rate"].is_null());

    let gone = Server::start(answer);
    let metrics = format!("--metrics-url={}/metrics", gone.url());
    drop(gone);
    let run = start(&[&server], WORDS, &[&metrics]).finish();
    run.completed_all(20);
    assert!(source(&run)["last_error"].as_str().unwrap().contains("refused"), "{}", source(&run));
    let said = "/metrics: no metrics 2 of 2 times (127.0.0.1:";
    assert!(run.stdout.contains(said), "{}", run.stdout);
}
