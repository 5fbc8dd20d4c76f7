//! What a request looks like when it arrives: path, headers, body.

use super::script::{answer, texts};
use super::server::{Incoming, Server};
use super::{PLAIN, program, start};
use serde_json::{Value, json};

/// The requests of a small run with these options.
fn requests(words: &str, more: &[&str]) -> Vec<Incoming> {
    let server = Server::start(answer);
    let run =
        start(&[&server], &format!("{words} --concurrency 2 --num-requests 4"), more).finish();
    run.completed_all(4);
    assert_eq!(server.count(), 4);
    server.requests()
}

#[test]
fn a_chat_asks_for_a_stream_of_exactly_so_many_tokens() {
    for request in requests(PLAIN, &[]) {
        assert_eq!(request.path, "/v1/chat/completions");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["accept"], "text/event-stream");
        assert!(request.headers["host"].starts_with("127.0.0.1:"));
        assert!(!request.headers.contains_key("authorization"));
        let mut body = request.body.clone();
        let messages = body.as_object_mut().unwrap().remove("messages").unwrap();
        assert_eq!(messages[0]["role"], "user");
        assert_eq!(messages.as_array().unwrap().len(), 1);
        let rest = json!({
            "model": "mock", "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 4, "min_tokens": 4, "ignore_eos": true,
        });
        assert_eq!(body, rest);
    }
}

#[test]
fn options_change_the_body_and_the_headers() {
    let more = [
        "--no-ignore-eos",
        "--extra-body={\"temperature\": 0.5, \"max_tokens\": null, \"max_completion_tokens\": 4}",
        "--header=X-Tenant: blue, green",
        "--header=x-other:1",
        "--api-key=sk-secret",
        "--session-header=X-Session-Id",
    ];
    let server = Server::start(|request| {
        let mut asked = request.clone();
        asked.body["max_tokens"] = asked.body["max_completion_tokens"].clone();
        answer(&asked)
    });
    let words = format!("{PLAIN} --concurrency 2 --num-requests 4");
    let run = start(&[&server], &words, &more).finish();
    run.completed_all(4);
    for request in server.requests() {
        assert_eq!(request.body["temperature"], 0.5);
        assert_eq!(request.body["max_completion_tokens"], 4);
        for gone in ["max_tokens", "min_tokens", "ignore_eos"] {
            assert!(request.body.get(gone).is_none(), "{gone}");
        }
        assert_eq!(request.headers["x-tenant"], "blue, green");
        assert_eq!(request.headers["x-other"], "1");
        assert_eq!(request.headers["authorization"], "Bearer sk-secret");
        assert!(request.headers["x-session-id"].parse::<u64>().is_ok());
    }
    // The key is written nowhere.
    for (name, bytes) in crate::program::files(run.place.path()) {
        assert!(!String::from_utf8_lossy(&bytes).contains("sk-secret"), "{name}");
    }
    assert!(!run.stdout.contains("sk-secret") && !run.stderr.contains("sk-secret"));
}

#[test]
fn the_key_of_the_environment_is_used_where_no_other_is_given() {
    for (variable, expected) in [("sk-env", Some("Bearer sk-env")), ("", None)] {
        let server = Server::start(answer);
        let place = tempfile::tempdir().unwrap();
        let output = program(&place)
            .args(PLAIN.split(' '))
            .args(["--url", &server.url(), "--concurrency=1", "--num-requests=1", "--no-plots"])
            .env("OPENAI_API_KEY", variable)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let headers = server.requests()[0].headers.clone();
        assert_eq!(headers.get("authorization").map(String::as_str), expected);
    }
}

#[test]
fn without_a_name_the_first_model_of_the_server_is_asked_for() {
    let server = Server::start(answer);
    let words = "diverse --isl 12 --osl 4 --no-server-metrics --concurrency 1 --num-requests 2";
    let run = start(&[&server], words, &["--api-key=sk-models"]).finish();
    run.completed_all(2);
    assert_eq!(run.whole["live"]["model"], "first-model");
    assert!(server.requests().iter().all(|request| request.body["model"] == "first-model"));
    let gets = server.gets();
    assert_eq!((gets.len(), gets[0].0.as_str()), (1, "/v1/models"));
    assert_eq!(gets[0].1["authorization"], "Bearer sk-models");
    assert_ne!(gets[0].1.get("accept").map(String::as_str), Some("text/event-stream"));
}

#[test]
fn completions_have_a_prompt_and_answers_of_text() {
    let words = format!("{PLAIN} --endpoint-type completions");
    for request in requests(&words, &[]) {
        assert_eq!(request.path, "/v1/completions");
        assert!(request.body.get("messages").is_none());
        assert_eq!(texts(&request).len(), 1);
    }
    for request in
        requests(&format!("{words} --no-streaming --endpoint /generate/completions"), &[])
    {
        assert_eq!(
            (request.path.as_str(), &request.body["stream"]),
            ("/generate/completions", &Value::Bool(false))
        );
    }
}
