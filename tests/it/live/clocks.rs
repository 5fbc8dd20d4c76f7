//! What is measured when: first tokens, reasoning, coalesced chunks, actual and scheduled latencies.

use super::script::{
    Script, answer, chunk, delta, done, event, finish, slow_answer, token, usage, word,
};
use super::server::{Incoming, Server};
use super::{PLAIN, Run, live};
use serde_json::json;

fn one_by_one(script: fn(&Incoming) -> Script) -> Run {
    let server = Server::start(script);
    let run = live(&server, &format!("{PLAIN} --concurrency 1 --num-requests 5"));
    run.completed_all(5);
    run
}

/// Every row's value is at least the server's true delay and at most 250 ms above it.
fn delayed(run: &Run, column: &str, ms: f64) {
    for row in &run.rows {
        let found = row.number(column);
        assert!((ms..ms + 250.0).contains(&found), "{column} is {found}, the server waits {ms}");
    }
}

#[test]
fn the_first_token_is_content_and_not_a_role_or_nothing_at_all() {
    let run = one_by_one(|request| {
        Script::stream()
            .send(chunk(b": keep-alive\n\n"))
            .event(&delta(json!({"role": "assistant"})))
            .wait(40)
            .event(&delta(json!({"role": "assistant", "content": ""})))
            .event(&json!({"choices": []}))
            .wait(60)
            .event(&token(request, " one"))
            .wait(50)
            .event(&token(request, " two"))
            .finish(request, 2)
    });
    delayed(&run, "ttft_ms", 100.0);
    delayed(&run, "e2e_ms", 150.0);
    delayed(&run, "tpot_ms", 50.0);
    assert!(run.rows.iter().all(|row| row.number("chunks") == 2.0));
    assert!(run.summary.get("time_to_first_output_token").is_none());
    assert_eq!(run.number("/inter_token_latency/count"), 5.0);
}

#[test]
fn reasoning_is_a_first_token_and_the_first_output_is_reported_apart() {
    let run = one_by_one(|request| {
        Script::stream()
            .wait(30)
            .event(&delta(json!({"reasoning_content": "hm"})))
            .wait(30)
            .event(&delta(json!({"reasoning": "well"})))
            .wait(90)
            .event(&token(request, " yes"))
            .send(finish(request))
            .event(&json!({"choices": [], "usage": {
                "prompt_tokens": 20, "completion_tokens": 4,
                "completion_tokens_details": {"reasoning_tokens": 3}}}))
            .send(done())
    });
    delayed(&run, "ttft_ms", 30.0);
    let [first, output] = ["time_to_first_token", "time_to_first_output_token"]
        .map(|name| run.number(&format!("/{name}/min")));
    assert!(first + 119.0 <= output && output < 150.0 + 250.0, "{first} {output}");
    assert_eq!(run.number("/lengths/reasoning_tokens"), 15.0);
    assert!(run.rows.iter().all(|row| row.number("chunks") == 3.0));
}

#[test]
fn latencies_from_the_intended_send_are_named_apart() {
    // The pool has no connection at first and the server accepts slowly: it is sent late.
    let server = Server::start(|request| slow_answer(request, 60, 0));
    let words = format!("{PLAIN} --concurrency 1 --num-requests 4");
    let run = live(&server, &words);
    run.completed_all(4);
    for row in &run.rows {
        let lag = row.number("send_lag_ms");
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(near(row.number("sent_ms"), row.number("arrival_ms") + lag));
        assert!(near(row.number("scheduled_ttft_ms"), row.number("ttft_ms") + lag));
        assert!(near(row.number("scheduled_e2e_ms"), row.number("e2e_ms") + lag));
    }
    for name in ["time_to_first_token", "request_latency"] {
        let actual = run.number(&format!("/{name}/avg"));
        assert!(actual <= run.number(&format!("/scheduled_{name}/avg")));
    }
}

#[test]
fn chunks_that_come_together_are_counted_and_make_no_zero_gaps() {
    let run = one_by_one(|request| {
        let pair = |from| {
            [from, from + 1].map(|place| event(&token(request, &word(request, place)))).concat()
        };
        Script::stream()
            .wait(20)
            .send(pair(0))
            .wait(40)
            .send(pair(2))
            .wait(40)
            .send(pair(4))
            .finish(request, 6)
    });
    let (chunks, coalesced) =
        (run.number("/client/chunks"), run.number("/client/coalesced_chunks"));
    assert_eq!(chunks, 30.0);
    // The first chunk is read on its own; of the later pairs one shares the other's read.
    assert!((10.0..=15.0).contains(&coalesced), "{coalesced}");
    let gaps = "/inter_token_latency";
    assert!(run.number(&format!("{gaps}/p50")) >= 15.0, "{}", run.summary["inter_token_latency"]);
    assert!(run.number("/time_per_output_token/avg") >= 80.0 / 5.0 - 0.5);
    delayed(&run, "e2e_ms", 100.0);
}

#[test]
fn an_answer_in_one_piece_has_no_first_token_and_no_gaps() {
    let server = Server::start(|request| {
        let mut whole = answer(request);
        whole.0.insert(0, super::script::Step::Wait(std::time::Duration::from_millis(50)));
        whole
    });
    let run = live(&server, &format!("{PLAIN} --no-streaming --concurrency 1 --num-requests 4"));
    run.completed_all(4);
    assert!(server.requests().iter().all(|request| request.body["stream"] == false));
    assert!(server.requests()[0].body.get("stream_options").is_none());
    for name in ["time_to_first_token", "inter_token_latency", "time_per_output_token"] {
        assert_eq!(run.number(&format!("/{name}/count")), 0.0, "{name}");
    }
    assert!(run.rows.iter().all(|row| row.text("ttft_ms").is_empty()));
    delayed(&run, "e2e_ms", 50.0);
    assert_eq!(run.whole["live"]["streaming"], false);
}

#[test]
fn output_is_counted_by_the_server_else_by_the_tokenizer() {
    let server = Server::start(|request| {
        let script = Script::stream().event(&token(request, "the hound of the"));
        let script = script.send(finish(request));
        match request.number % 2 {
            0 => script.send(usage(request, 9, None)).send(done()),
            _ => script.send(done()),
        }
    });
    let run = live(&server, &format!("{PLAIN} --concurrency 1 --num-requests 4"));
    run.completed_all(4);
    let tokenizer = kvroute::live::tokenizer::Tokenizer::load(None).unwrap();
    let own = tokenizer.count("the hound of the") as f64;
    let mut found: Vec<f64> = run.rows.iter().map(|row| row.number("output_tokens")).collect();
    found.sort_by(f64::total_cmp);
    assert_eq!(found, [own, own, 9.0, 9.0]);
}
