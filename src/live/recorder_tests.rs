use super::*;
use crate::live::fixture::{completed, failed, planned};
use crate::live::record::{Failure, Usage};

fn seconds(s: f64) -> Nanos {
    Nanos::from_secs_f64(s)
}

fn facts() -> RunFacts {
    RunFacts { router: "live".into(), label: "live".into(), threads: 1, ..RunFacts::default() }
}

fn output(records: &[LiveRecord], slo: Option<&str>) -> LiveOutput {
    let slo = slo.map(|text| Slo::parse(text).unwrap());
    let mut recorder = LiveRecorder::new(2, slo);
    for record in records {
        if record.sent.is_some() {
            recorder.sent();
        }
        recorder.ended(record);
    }
    assert_eq!(recorder.in_flight(), 0);
    recorder.finish(RunFacts { cpu_s: 0.5, ..facts() })
}

#[test]
fn the_books_balance() {
    let mut records: Vec<LiveRecord> = (0..5).map(|i| completed(i, seconds(i as f64))).collect();
    records.push(failed(5, seconds(5.0), Failure::Connect));
    records.push(failed(6, seconds(5.5), Failure::Status(503)));
    records.push(failed(7, seconds(6.0), Failure::Status(503)));
    records.push(planned(8, seconds(7.0)));
    records[1].endpoint = 1;
    let run = output(&records, None).run;
    let counts = &run.requests;
    assert_eq!((counts.arrived, counts.completed, counts.failed, counts.cancelled), (9, 5, 3, 1));
    assert_eq!(run.failures, BTreeMap::from([("connect".into(), 1), ("http-503".into(), 2)]));
    assert_eq!(run.load.requests_per_worker, [8, 1]);
    assert_eq!(run.load.tokens_per_worker, [4 * 115, 115]);
    assert_eq!(run.time_to_first_token.count, 5);
    assert_eq!(run.warm_up_requests, 0);
}

#[test]
fn latencies_count_from_the_actual_and_from_the_intended_send() {
    let run = output(&[completed(0, seconds(1.0)), completed(1, seconds(2.0))], None).run;
    assert_eq!(run.time_to_first_token.avg, 20.0);
    assert_eq!(run.scheduled_time_to_first_token.avg, 20.5);
    assert_eq!(run.request_latency.max, 40.0);
    assert_eq!(run.scheduled_request_latency.max, 40.5);
    assert_eq!(run.time_per_output_token.p50, 5.0);
    assert_eq!(run.client.send_lag.p99, 0.5);
    assert_eq!(run.client.read_lag.max, 0.03);
    // From the first send, at 1.0005 s, to the last end, at 2.0406 s.
    assert!((run.duration_s - 1.0401).abs() < 1e-12);
    assert!((run.request_throughput.avg - 2.0 / 1.0401).abs() < 1e-9);
    assert!((run.output_token_throughput.avg - 10.0 / 1.0401).abs() < 1e-9);
    assert_eq!(run.client.cpu_per_request_ms, 250.0);
    assert!((run.client.cpu_fraction - 0.5 / 1.0401).abs() < 1e-9);
}

#[test]
fn a_warm_up_is_measured_nowhere() {
    let mut first = completed(0, seconds(0.0));
    first.warm_up = true;
    first.chunks = 1_000;
    let alone = output(&[completed(1, seconds(1.0))], None);
    let both = output(&[first, completed(1, seconds(1.0))], None);
    assert_eq!(both.run.warm_up_requests, 1);
    assert_eq!(both.run.requests, alone.run.requests);
    assert_eq!(both.run.duration_s, alone.run.duration_s);
    assert_eq!(both.run.time_to_first_token, alone.run.time_to_first_token);
    assert_eq!(both.run.client.chunks, 5);
    assert_eq!(both.run.client.cpu_per_request_ms, 250.0);
    assert_eq!(both.workers[0].requests.arrived, 1);
    let sent: u64 = both.timeline.intervals().rows()[0].iter().map(|cell| cell.sent).sum();
    assert_eq!(sent, 2, "the timeline shows the whole run");
}

#[test]
fn unknown_hits_are_not_none() {
    let without = |id, cached_tokens| {
        let mut record = completed(id, seconds(id as f64));
        record.usage = record.usage.map(|usage| Usage { cached_tokens, ..usage });
        record
    };
    let silent = output(&[without(0, None), without(1, None)], None);
    assert_eq!(silent.run.prefix_cache.hit_tokens, None);
    assert_eq!(silent.run.prefix_cache.hit_rate, None);
    assert_eq!(silent.workers[0].hit_tokens, None);
    let zero = output(&[without(0, Some(0))], None).run.prefix_cache;
    assert_eq!((zero.hit_tokens, zero.hit_rate), (Some(0), Some(0.0)));
    let some = output(&[without(0, None), without(1, Some(55))], None);
    assert_eq!(some.run.prefix_cache.hit_tokens, Some(55));
    assert_eq!(some.run.prefix_cache.hit_rate, Some(0.25));
    assert_eq!(some.run.prefix_cache.expected_hit_rate, 0.8);
    let mut warm = without(1, Some(9));
    warm.warm_up = true;
    let told = output(&[warm, without(0, None)], None);
    assert_eq!(told.run.prefix_cache.hit_tokens, Some(0), "the server does tell");
    assert_eq!(told.workers[1].hit_tokens, Some(0));
}

#[test]
fn servers_counters_give_their_own_hit_rate() {
    let server = ServerMetrics {
        query_tokens: Some(400.0),
        hit_tokens: Some(100.0),
        ..ServerMetrics::default()
    };
    let finish = |server| LiveRecorder::new(1, None).finish(RunFacts { server, ..facts() }).run;
    assert_eq!(finish(Some(server)).prefix_cache.server_hit_rate, Some(0.25));
    assert_eq!(finish(Some(ServerMetrics::default())).prefix_cache.server_hit_rate, None);
    assert_eq!(finish(None).duration_s, 0.0);
}

#[test]
fn goodput_counts_what_met_every_limit() {
    let mut slow = completed(1, seconds(0.0));
    slow.first_token = slow.first_token.map(|at| at + Nanos(5_000_000));
    let mut unstreamed = completed(2, seconds(0.0));
    unstreamed.first_token = None;
    let records = [completed(0, seconds(0.0)), slow, unstreamed];
    let good = |slo| {
        let run = output(&records, Some(slo)).run;
        run.goodput.unwrap().avg * run.duration_s
    };
    assert!((good("ttft:20") - 1.0).abs() < 1e-9);
    assert!((good("ttft:25 e2e:40") - 2.0).abs() < 1e-9);
    assert!((good("e2e:40") - 3.0).abs() < 1e-9);
    assert!((good("itl:4.9") - 2.0).abs() < 1e-9, "no time per token meets its limit");
    assert!(output(&records, None).run.goodput.is_none());
}

#[test]
fn lengths_are_ours_and_the_servers() {
    let mut silent = completed(1, seconds(0.0));
    silent.usage = None;
    let run = output(&[completed(0, seconds(0.0)), silent], None).run;
    assert_eq!(run.lengths.planned_prompt_avg, 100.0);
    assert_eq!(run.lengths.server_prompt_avg, Some(110.0));
    assert!((run.lengths.prompt_difference.unwrap() - 0.1).abs() < 1e-12);
    assert_eq!(run.prefix_cache.prompt_tokens, 210);
    assert_eq!((run.lengths.output_avg, run.lengths.output_tokens), (5.0, 10));
    assert!(run.client.warnings.iter().any(|told| told.contains("10 % more prompt tokens")));
    assert!(run.time_to_first_output_token.is_none());
}

#[test]
fn reasoning_is_reported_apart() {
    let mut record = completed(0, seconds(0.0));
    record.first_output = record.first_token.map(|at| at + Nanos(10_000_000));
    let run = output(&[record], None).run;
    assert_eq!(run.time_to_first_token.p50, 20.0);
    assert_eq!(run.time_to_first_output_token.unwrap().p50, 30.0);
}

#[test]
fn gaps_and_delays_are_pooled() {
    let mut recorder = LiveRecorder::new(1, None);
    recorder.gap(1_000_000);
    let mut others = Tally::default();
    others.record_n(3_000_000, 3);
    recorder.gaps(&others);
    recorder.loop_delay(250_000);
    recorder.loop_delays(&others);
    for _ in 0..3 {
        recorder.sent();
    }
    recorder.ended(&completed(0, seconds(0.0)));
    recorder.sent();
    let run = recorder.finish(facts()).run;
    assert_eq!((run.inter_token_latency.count, run.inter_token_latency.avg), (4, 2.5));
    assert_eq!(run.client.loop_delay.min, 0.25);
    assert_eq!(run.client.max_in_flight, 3);
}
