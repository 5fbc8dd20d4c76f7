//! Does an endpoint answer, token by token, and as long as it was asked to?

use super::super::finding::{Check, Finding};
use super::super::probe::Sent;
use super::super::visit::Visit;
use super::ms;
use crate::live::client::answer::Fault;
use crate::live::record::Failure;
use crate::units::Nanos;

/// So many tokens take longer than this to make: what comes within it was kept back.
const MANY: u32 = 4;
const AT_ONCE: Nanos = Nanos(1_000_000);

/// All of them.
pub fn check(visit: &Visit) -> Vec<Finding> {
    let mut findings = vec![endpoint(visit)];
    if let Some(first) = visit.first.as_ref().filter(|first| first.answered()) {
        findings.push(streaming(first));
        findings.push(output_length(visit, first));
    }
    findings.into_iter().map(|finding| finding.at(&visit.url)).collect()
}

fn endpoint(visit: &Visit) -> Finding {
    let check = Check::Endpoint;
    if let Some(why) = &visit.unknown_host {
        let cure = format!("check the spelling in {} {}", visit.option, visit.url);
        return Finding::fail(check, why, "no name server knows it", cure);
    }
    let Some(first) = &visit.first else {
        return Finding::skip(check, "no prompt was sent");
    };
    if let Some(fault) = &first.fault {
        return silent(visit, fault);
    }
    let mut seen = format!("answers as {}", visit.model);
    if let Some(time) = first.first_token {
        seen += &format!("; first token after {}", ms(time));
    }
    if let Some((tokens, words)) = &visit.refused_prompt {
        return Finding::warn(
            check,
            format!("{seen}, but refuses a prompt of {tokens} tokens: {words}"),
            "its context is short",
            "start it with a longer one (vLLM: --max-model-len; SGLang: --context-length), or take shorter \
             prompts (--isl)",
        );
    }
    match &visit.models {
        Some(Ok(models)) if !models.is_empty() && !models.contains(&visit.model) => Finding::warn(
            check,
            format!("{seen}, and lists only {}", models.join(", ")),
            "it takes any name for the model that it has, or another server answers",
            "name with --model one that it lists",
        ),
        _ => Finding::pass(check, seen),
    }
}

/// An endpoint that gave no answer.
fn silent(visit: &Visit, fault: &Fault) -> Finding {
    let option = visit.option;
    let (cause, cure) = match fault.failure {
        Failure::Connect => (
            "nothing listens there, or something in between lets nobody through".into(),
            format!("start the server, or check host and port of {option}"),
        ),
        Failure::Tls => ("no TLS that is trusted".into(), fault.cure().into()),
        Failure::Status(401 | 403) => {
            ("it wants a key".into(), "give it with --api-key or in $OPENAI_API_KEY".into())
        }
        Failure::Status(404) => (
            format!("it knows no such path, or no model \"{}\"", visit.model),
            format!("check the path ({option}, --endpoint-type, --endpoint){}", models(visit)),
        ),
        Failure::Status(400 | 422) => (
            "it refuses such a request, for the reason it gives".into(),
            format!(
                "where it does not know ignore_eos or min_tokens, use --no-ignore-eos; where a key is \
                 wrong, --extra-body{}",
                models(visit)
            ),
        ),
        Failure::Status(429 | 503) => (
            "it is overloaded, or not ready yet".into(),
            "wait until it is up; measure an idle server".into(),
        ),
        Failure::Status(_) => ("it failed".into(), "look into its log".into()),
        Failure::Timeout => (
            "it hangs, or waits for workers that are not there".into(),
            "look into its log, and whether workers are registered with it".into(),
        ),
        _ => (
            "what answers there is no OpenAI-compatible server, or it failed half-way".into(),
            format!("check {option} and --endpoint-type; look into its log"),
        ),
    };
    Finding::fail(Check::Endpoint, format!("no answer: {}", fault.words), cause, cure)
}

fn models(visit: &Visit) -> String {
    match &visit.models {
        Some(Ok(models)) if !models.is_empty() && !models.contains(&visit.model) => {
            format!("; it lists the models {}: take one with --model", models.join(", "))
        }
        _ => String::new(),
    }
}

fn streaming(first: &Sent) -> Finding {
    let check = Check::Streaming;
    let chunks = first.chunks;
    if first.first_token.is_none() {
        return Finding::fail(
            check,
            "the answer came in one piece although a stream was asked for",
            "the server, or a proxy before it, does not stream: there is no TTFT",
            "switch streaming on there; go without TTFT by --no-streaming",
        );
    }
    if chunks == 1 && first.asked > 1 {
        return Finding::warn(
            check,
            format!("an answer of {} tokens came as one chunk", first.asked),
            "the server joins tokens before it sends them: TTFT and ITL are those of the whole answer",
            "vLLM: take --stream-interval away; SGLang: set --stream-interval 1",
        );
    }
    if chunks >= MANY && first.span < AT_ONCE {
        return Finding::warn(
            check,
            format!("all {chunks} chunks of an answer arrived at once"),
            "a proxy keeps the stream back until its end, or the server makes tokens faster than they \
             can be told apart: TTFT may be that of the whole answer",
            "switch the proxy's buffering off (nginx: proxy_buffering off), or go round it",
        );
    }
    Finding::pass(check, format!("{chunks} chunks, one after the other"))
}

fn output_length(visit: &Visit, first: &Sent) -> Finding {
    let check = Check::OutputLength;
    if let Some(words) = &visit.refused_length {
        return Finding::warn(
            check,
            format!("a request for an output of exact length was refused: {words}"),
            "it does not know ignore_eos or min_tokens",
            "use --no-ignore-eos; outputs then end where the model ends them",
        );
    }
    let asked = first.asked;
    match first.usage.map(|usage| usage.completion_tokens) {
        None | Some(0) => Finding::skip(check, "no answer says how long it is"),
        Some(came) if came == asked => {
            Finding::pass(check, format!("{asked} tokens, as asked for"))
        }
        Some(came) => Finding::warn(
            check,
            format!("{asked} tokens were asked for, and {came} came"),
            "it passes over ignore_eos and min_tokens, so outputs are not those of the workload",
            "give its own option for that with --extra-body; compare TTFT and TPOT, not E2E",
        ),
    }
}
