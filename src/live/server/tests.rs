use super::*;

const DYNAMO_BEFORE: &str = include_str!("dynamo-before.txt");
const DYNAMO_AFTER: &str = include_str!("dynamo-after.txt");

/// A page of vLLM with two engines: (queries, hits, running, KV usage) of each.
fn vllm(engines: [(f64, f64, f64, f64); 2]) -> String {
    let mut page = String::from("# TYPE vllm:prefix_cache_queries_total counter\n");
    for (engine, (queries, hits, running, usage)) in engines.iter().enumerate() {
        let labels = format!("{{engine=\"{engine}\",model_name=\"a }} \\\"b\\\"\"}}");
        page += &format!(
            "vllm:prefix_cache_queries_total{labels} {queries:e}\n\
             vllm:prefix_cache_queries_created{labels} 1.7e9\n\
             vllm:prefix_cache_hits_total{labels} {hits}\n\
             vllm:num_requests_running{labels} {running}\n\
             vllm:num_requests_waiting{labels} 0.0\n\
             vllm:kv_cache_usage_perc{labels} {usage}\n\
             vllm:num_preemptions_total{labels} {queries}\n"
        );
    }
    page
}

fn log(pages: &[&[std::result::Result<&str, &str>]]) -> ServerMetrics {
    let mut log =
        ServerLog::new((0..pages.len()).map(|number| format!("http://h{number}/metrics")));
    for (source, pages) in pages.iter().enumerate() {
        for (second, page) in pages.iter().enumerate() {
            let at = Nanos::from_secs_f64(second as f64);
            log.scraped(source, at, page.map_err(String::from));
        }
    }
    log.finish()
}

#[test]
fn counters_of_all_engines_of_a_page_are_added_up_from_the_first_page_to_the_last() {
    let before = vllm([(1000.0, 100.0, 1.0, 0.25), (500.0, 0.0, 2.0, 0.75)]);
    let after = vllm([(1600.0, 400.0, 0.0, 0.0), (900.0, 50.0, 0.0, 0.5)]);
    let found = log(&[&[Ok(&before), Ok(&after)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(1000.0), Some(350.0)));
    assert_eq!(found.preemptions, Some(1000.0));
    let source = &found.sources[0];
    assert_eq!((source.kind.as_str(), source.scrapes, source.bad_lines), ("vllm", 2, 0));
    let first = GaugeSample {
        at_s: 0.0,
        running: Some(3.0),
        waiting: Some(0.0),
        kv_usage: Some(0.5),
        query_tokens: Some(0.0),
        hit_tokens: Some(0.0),
    };
    assert_eq!(source.series[0], first);
    assert_eq!((source.series[1].at_s, source.series[1].hit_tokens), (1.0, Some(350.0)));
}

#[test]
fn the_counters_of_a_real_dynamo_front_end_are_known() {
    // Between the two pages: 26 + 66 prompt tokens, of which 16 were cached, as `usage` said.
    let found = log(&[&[Ok(DYNAMO_BEFORE), Ok(DYNAMO_AFTER)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(92.0), Some(16.0)));
    let source = &found.sources[0];
    assert_eq!((source.kind.as_str(), source.bad_lines), ("dynamo", 0));
    assert_eq!(source.series[1].waiting, Some(0.0));
}

#[test]
fn the_counters_of_a_real_vllm_are_known() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/oracle/vllm-samples/metrics.txt");
    let Ok(page) = std::fs::read_to_string(path) else {
        return eprintln!("SKIPPED: {path} is absent, so this test has checked nothing");
    };
    let found = log(&[&[Ok(&page), Ok(&page)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(0.0), Some(0.0)));
    let source = &found.sources[0];
    assert_eq!((source.kind.as_str(), source.bad_lines, source.restarts), ("vllm", 0, 0));
    let first = source.series[0];
    assert!(first.running.is_some() && first.waiting.is_some() && first.kv_usage.is_some());
}

#[test]
fn a_front_end_that_has_served_nothing_yet_shows_nothing_and_counts_from_zero() {
    let empty = "dynamo_component_uptime_seconds{worker_id=\"1\"} 2.5\n";
    let found = log(&[&[Ok(empty), Ok(DYNAMO_BEFORE)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(2457.0), Some(1216.0)));
}

#[test]
fn a_restarted_engine_counts_from_zero_again_and_is_noted() {
    let pages = [
        vllm([(1000.0, 100.0, 0.0, 0.0), (5000.0, 500.0, 0.0, 0.0)]),
        vllm([(1200.0, 200.0, 0.0, 0.0), (6000.0, 600.0, 0.0, 0.0)]),
        // The first engine was restarted; the sum still rises.
        vllm([(300.0, 30.0, 0.0, 0.0), (9000.0, 900.0, 0.0, 0.0)]),
    ];
    let found = log(&[&[Ok(&pages[0]), Ok(&pages[1]), Ok(&pages[2])]]);
    assert_eq!(found.query_tokens, Some(200.0 + 300.0 + 4000.0));
    assert_eq!(found.hit_tokens, Some(100.0 + 30.0 + 400.0));
    assert_eq!(found.sources[0].restarts, 1);
}

#[test]
fn names_of_older_and_other_engines_are_known() {
    let old = "vllm:gpu_prefix_cache_queries 10\nvllm:gpu_prefix_cache_hits 5\n\
               vllm:gpu_cache_usage_perc 0.5\n";
    let found = log(&[&[Ok(old), Ok(old)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(0.0), Some(0.0)));
    assert_eq!(found.sources[0].series[0].kv_usage, Some(0.5));

    let before = "# TYPE sglang:cached_tokens_total counter\n\
                  sglang:prompt_tokens_total{tp=\"0\"} 7.0\n\
                  sglang:num_running_reqs 3\nsglang:num_queue_reqs 4\nsglang:token_usage 0.28\n";
    let after = "sglang:prompt_tokens_total{tp=\"0\"} 107.0\n\
                 sglang:cached_tokens_total{source=\"device\"} 40\n\
                 sglang:cached_tokens_total{source=\"host\"} 2\n";
    let found = log(&[&[Ok(before), Ok(after)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(100.0), Some(42.0)));
    let first = found.sources[0].series[0];
    assert_eq!((first.running, first.waiting, first.kv_usage), (Some(3.0), Some(4.0), Some(0.28)));
    // Declared, but nothing counted yet.
    assert_eq!(first.hit_tokens, Some(0.0));
    assert_eq!(found.sources[0].kind, "sglang");
}

#[test]
fn a_front_end_and_its_engines_are_not_counted_twice() {
    let before = vllm([(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)]);
    let after = vllm([(60.0, 10.0, 0.0, 0.0), (30.0, 5.0, 0.0, 0.0)]);
    let front: [std::result::Result<&str, &str>; 2] = [Ok(DYNAMO_BEFORE), Ok(DYNAMO_AFTER)];
    let found = log(&[&front, &[Ok(&before), Ok(&after)]]);
    assert_eq!((found.query_tokens, found.hit_tokens), (Some(90.0), Some(15.0)));
    assert_eq!(found.sources[0].query_tokens, Some(92.0));
    // A worker without counters of its own leaves the front end's.
    let worker = "dynamo_component_gpu_cache_usage_percent 0.5\n";
    let found = log(&[&front, &[Ok(worker), Ok(worker)]]);
    assert_eq!(found.query_tokens, Some(92.0));
    assert_eq!(found.sources[1].kind, "dynamo-worker");
}

#[test]
fn silence_strange_pages_and_lone_pages_are_counted_and_claim_nothing() {
    let page = vllm([(10.0, 1.0, 0.0, 0.0), (10.0, 1.0, 0.0, 0.0)]);
    let html = "<html>\n<body>Not Found</body>\n</html>\n";
    let found = log(&[&[Err("refused"), Ok(&page), Err("timed out")], &[Ok(html), Ok(html)], &[]]);
    assert_eq!((found.query_tokens, found.hit_tokens, found.preemptions), (None, None, None));
    let counts = |source: &ServerSource| (source.scrapes, source.failed_scrapes, source.bad_lines);
    assert_eq!(counts(&found.sources[0]), (3, 2, 0));
    assert_eq!(found.sources[0].last_error.as_deref(), Some("timed out"));
    assert_eq!((counts(&found.sources[1]), found.sources[1].kind.as_str()), ((2, 0, 6), ""));
    // What a page of something else is followed by was not counted from zero.
    let found = log(&[&[Ok(html), Ok(&page), Ok(&page)]]);
    assert_eq!(found.query_tokens, Some(0.0));
}

#[test]
fn values_that_are_no_numbers_are_left_out() {
    let page = "vllm:kv_cache_usage_perc{engine=\"0\"} NaN\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n\
                vllm:prefix_cache_hits_total NaN\n";
    let found = log(&[&[Ok(page), Ok(page)]]);
    assert_eq!(found.sources[0].series[0].kv_usage, Some(0.5));
    assert_eq!(found.hit_tokens, None);
}
