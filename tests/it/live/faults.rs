//! A fault each: it is counted under its one reason, and the requests around it are unharmed.

use super::script::{
    END, STREAM, Script, Step, answer, chunk, delta, done, event, finish, json_head, status, token,
    usage,
};
use super::server::{Incoming, Server};
use super::{PLAIN, Run, live};
use serde_json::json;
use std::collections::BTreeMap;

const REQUESTS: u64 = 12;

/// Every third request meets the fault.
fn every_third(fault: fn(&Incoming) -> Script, more: &str) -> (Server, Run) {
    let server = Server::start(move |request| match request.number % 3 {
        1 => fault(request),
        _ => answer(request),
    });
    let run = live(&server, &format!("{PLAIN} --concurrency 4 --num-requests {REQUESTS} {more}"));
    (server, run)
}

/// Checks the run of [`every_third`]: as many requests as met the fault failed for `reason`.
fn check(run: &Run, reason: &str) {
    assert_eq!(run.failures(), BTreeMap::from([(reason.to_string(), REQUESTS / 3)]));
    assert_eq!(run.requests("completed"), REQUESTS - REQUESTS / 3);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("4 of 12 requests failed ({reason} 4)")),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains(&format!("failed: {reason} 4")), "{}", run.stdout);
    for row in run.ended("completed") {
        assert_eq!(row.number("output_tokens"), 4.0);
        assert_eq!(row.number("http_status"), 200.0);
        assert!(row.number("ttft_ms") <= row.number("e2e_ms"));
    }
    assert_eq!(run.number("/time_to_first_token/count"), 8.0);
}

fn each_fails(reason: &str, fault: fn(&Incoming) -> Script) -> (Server, Run) {
    let (server, run) = every_third(fault, "");
    check(&run, reason);
    assert_eq!(server.count(), REQUESTS, "{reason}");
    (server, run)
}

/// The first two tokens of an answer.
fn begun(request: &Incoming) -> Script {
    Script::stream().event(&token(request, " one")).event(&token(request, " two"))
}

#[test]
fn a_reset_in_mid_stream_fails_its_own_request_only() {
    let (_, run) = each_fails("reset", |request| begun(request).wait(20).then(Step::Reset));
    for row in run.ended("failed") {
        assert_eq!((row.number("chunks"), row.number("http_status")), (2.0, 200.0));
        assert_eq!(row.number("attempts"), 1.0);
    }
}

#[test]
fn a_body_that_ends_before_its_last_chunk_is_a_broken_connection() {
    each_fails("reset", |request| begun(request).wait(20).then(Step::Close));
    let inside_a_chunk = |request: &Incoming| {
        let cut = event(&token(request, " three"));
        begun(request).send(&cut[..cut.len() / 2]).wait(20).then(Step::Close)
    };
    each_fails("reset", inside_a_chunk);
    let short_of_its_length = |_: &Incoming| {
        Script::default().send(json_head(200, 500, "") + "{").wait(20).then(Step::Close)
    };
    each_fails("reset", short_of_its_length);
}

#[test]
fn a_connection_that_breaks_long_after_the_request_was_taken_is_the_servers_fault() {
    // It had served requests before, but it was not closed for being idle.
    let (_, run) = each_fails("reset", |_| Script::default().wait(250).then(Step::Reset));
    assert!(run.ended("failed").all(|row| row.text("http_status").is_empty()));
    each_fails("reset", |_| Script::default().wait(250).then(Step::Close));
}

#[test]
fn a_kept_connection_closed_before_the_request_is_replaced_and_counted() {
    // Closed at once: the client cannot know whether the server had seen the request.
    let server = Server::start(|request| match request.place {
        2 => Script::default().then(Step::Reset),
        _ => answer(request),
    });
    let run = live(&server, &format!("{PLAIN} --concurrency 1 --num-requests 9"));
    run.completed_all(9);
    let attempts: f64 = run.rows.iter().map(|row| row.number("attempts")).sum();
    assert_eq!((attempts, server.count()), (13.0, 13));
    let reused = run.rows.iter().filter(|row| row.text("reused_connection") == "true").count();
    assert_eq!(reused, 4);
}

#[test]
fn an_error_status_is_a_reason_of_its_own_and_the_connection_lives_on() {
    for code in [400, 401, 404, 422, 500, 502, 503] {
        let server = Server::start(move |request| match request.number % 3 {
            1 => status(code, ""),
            _ => answer(request),
        });
        let run = live(&server, &format!("{PLAIN} --concurrency 4 --num-requests {REQUESTS}"));
        check(&run, &format!("http-{code}"));
        assert!(run.ended("failed").all(|row| row.number("http_status") == f64::from(code)));
        assert_eq!((server.connections(), server.count()), (4, REQUESTS));
    }
}

#[test]
fn an_error_whose_body_breaks_off_is_still_that_error() {
    let broken = |_: &Incoming| {
        Script::default().send(json_head(500, 5000, "") + "{\"error\"").wait(10).then(Step::Reset)
    };
    each_fails("http-500", broken);
}

#[test]
fn silence_beyond_the_limit_is_a_timeout_before_the_head_and_in_mid_stream() {
    let before = |_: &Incoming| Script::default().then(Step::Hang);
    let within = |request: &Incoming| begun(request).then(Step::Hang);
    for (fault, chunks) in [(before as fn(&Incoming) -> Script, 0.0), (within, 2.0)] {
        let (_, run) = every_third(fault, "--request-timeout 1s");
        check(&run, "timeout");
        assert!(run.ended("failed").all(|row| row.number("chunks") == chunks));
        assert!((1.0..15.0).contains(&run.number("/duration_s")));
    }
}

#[test]
fn what_is_no_answer_of_the_protocol_is_malformed() {
    each_fails("malformed", |_| {
        Script::stream().send(chunk(b"data: {\"choices\": [{\"delta\n\n")).send(done())
    });
    each_fails("malformed", |request| begun(request).send(chunk(b"data: what?\n\n")).send(done()));
    each_fails("malformed", |request| begun(request).send("zz\r\n"));
    each_fails("malformed", |_| Script::default().send("SSH-2.0-OpenSSH_9.6\r\n\r\n"));
    each_fails("malformed", |_| Script::default().send(json_head(200, 6, "") + "<html>"));
}

#[test]
fn a_stream_that_ends_too_early_is_truncated() {
    each_fails("truncated", |request| begun(request).send(END));
    let inside_an_event =
        |request: &Incoming| begun(request).send(chunk(b"data: {\"choices\": []}\n")).send(END);
    each_fails("truncated", inside_an_event);
    each_fails("truncated", |_| Script::stream().send(END));
}

#[test]
fn a_finish_reason_or_done_alone_ends_a_stream_well() {
    let server = Server::start(|request| match request.number % 2 {
        0 => begun(request).send(finish(request)).send(END),
        _ => begun(request).send(done()),
    });
    live(&server, &format!("{PLAIN} --concurrency 2 --num-requests 6")).completed_all(6);
}

#[test]
fn bytes_that_are_no_utf_8_have_their_own_reason() {
    each_fails("bad-utf8", |request| {
        let mut bad = token(request, " xx").to_string().into_bytes();
        let at = bad.windows(2).position(|two| two == b"xx").unwrap();
        bad[at] = 0xff;
        begun(request).send(chunk(&[b"data: ", &bad[..], b"\n\n"].concat())).send(done())
    });
}

#[test]
fn endless_answers_are_given_up_soon() {
    each_fails("endless", |request| {
        Script::stream().then(Step::Repeat(event(&token(request, " more"))))
    });
    each_fails("endless", |request| {
        begun(request).then(Step::Repeat(chunk(&[b": ", &[b'x'; 4096][..], b"\n\n"].concat())))
    });
    each_fails("endless", |request| begun(request).then(Step::Repeat(chunk(&[b'x'; 4096]))));
}

#[test]
fn an_error_inside_a_stream_or_a_whole_answer_is_one() {
    each_fails("error-in-stream", |request| {
        begun(request).event(&json!({"error": {"message": "out of memory"}})).send(done())
    });
    each_fails("error-in-stream", |_| {
        let body = r#"{"error": "no such model"}"#;
        Script::default().send(json_head(200, body.len(), "") + body)
    });
}

#[test]
fn an_answer_without_output_is_empty() {
    let empty = |request: &Incoming| {
        Script::stream()
            .event(&delta(json!({"role": "assistant", "content": ""})))
            .send(finish(request))
            .send(done())
    };
    each_fails("empty", empty);
    // Tokens that are no text (an end of text asked for) are output by the server's word.
    let silent = Server::start(move |request| {
        Script::stream().send(finish(request)).send(usage(request, 4, None)).send(done())
    });
    let run = live(&silent, &format!("{PLAIN} --concurrency 2 --num-requests 4"));
    run.completed_all(4);
    assert_eq!(run.number("/time_to_first_token/count"), 0.0);
}

#[test]
fn whole_answers_that_hold_only_reasoning_are_not_empty() {
    let server = Server::start(|_| {
        let message = json!({"role": "assistant", "content": null, "reasoning_content": "hm"});
        let body =
            json!({"choices": [{"message": message, "finish_reason": "length"}]}).to_string();
        Script::default().send(json_head(200, body.len(), "") + &body)
    });
    let words = format!("{PLAIN} --no-streaming --concurrency 2 --num-requests 4");
    live(&server, &words).completed_all(4);
}

#[test]
fn events_may_be_cut_anywhere_and_lines_end_in_any_way() {
    let server = Server::start(|request| {
        let text = format!(
            ": hello\r\n\r\nevent: x\r\ndata: {}\r\n\r\ndata:{}\n\ndata: [DONE]\n\n",
            token(request, " \u{e9}\u{1f642}"),
            token(request, " b"),
        );
        let mut script = Script::default().send(STREAM);
        for piece in text.as_bytes().chunks(7) {
            script = script.send(chunk(piece));
        }
        script.send(END)
    });
    let run = live(&server, &format!("{PLAIN} --concurrency 2 --num-requests 4"));
    run.completed_all(4);
    assert!(run.rows.iter().all(|row| row.number("chunks") == 2.0));
}
