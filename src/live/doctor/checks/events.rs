//! Do KV events arrive, can lost ones be had again, and are their blocks those of our prompts?

use super::super::chains::{self, Match};
use super::super::ears::Heard;
use super::super::finding::{Check, Finding};
use super::super::visit::Visit;
use super::{Facts, ms, plural};
use crate::live::senses;
use crate::units::Nanos;

/// Where a publisher is to bind, and where it is to connect.
const BINDS: &str = "vLLM: start it with --kv-events-config '{\"enable_kv_cache_events\": true, \
                     \"publisher\": \"zmq\", \"endpoint\": \"tcp://*:PORT\"}' (with a host in place of * it \
                     connects to us: write bind:tcp://HOST:PORT then); SGLang: --kv-events-config \
                     '{\"publisher\": \"zmq\", \"endpoint\": \"tcp://*:PORT\"}'; Dynamo's mocker: \
                     --zmq-kv-events-ports PORT";
const CONNECTS: &str = "vLLM: start it with --kv-events-config '{\"enable_kv_cache_events\": true, \
                        \"publisher\": \"zmq\", \"endpoint\": \"tcp://OUR_HOST:PORT\"}'; a worker that binds \
                        (tcp://*:PORT, SGLang, Dynamo) is given without bind:";

/// What was heard of each feed; `open` = a prompt was answered that it should tell of.
pub fn feeds(heard: &[Heard], open: &[bool]) -> Vec<Finding> {
    let somebody = heard.iter().any(|one| one.live > 0);
    let mut findings = Vec::new();
    for (heard, open) in heard.iter().zip(open) {
        findings.push(feed(heard, *open, somebody).at(&heard.endpoint));
        findings.extend(lost(heard).map(|finding| finding.at(&heard.endpoint)));
        findings.extend(replay(heard));
    }
    findings
}

fn feed(heard: &Heard, open: bool, somebody: bool) -> Finding {
    let check = Check::KvEvents;
    let seen = heard.statistics();
    if let Some(why) = &heard.deaf {
        return Finding::fail(
            check,
            why,
            "the address is none of this machine's, or is taken",
            "give bind: an address of this machine and a free port, or leave bind: away where the worker \
             binds",
        );
    }
    if seen.connections == 0 {
        return unconnected(heard);
    }
    if seen.malformed > 0 && seen.messages == 0 {
        return Finding::fail(
            check,
            format!("messages came that cannot be read: {}", seen.last_malformed.unwrap_or("")),
            "something else is published there",
            "check the port of --kv-events-endpoint",
        );
    }
    if !open {
        return Finding::skip(check, "connected; no prompt was answered that it could tell of");
    }
    if heard.live == 0 {
        let finding = Finding::fail(
            check,
            "connected, but nothing is told of prompts that were answered",
            "the worker does not publish (prefix caching or KV events are off), or this is another \
             worker's publisher",
            "see to the prefix cache first; check which worker has this port",
        );
        // Others told of them: this worker may simply have got none.
        return finding.warn_if(somebody);
    }
    if heard.stored.is_empty() {
        return Finding::fail(
            check,
            format!("{} messages came, and none tells of a stored block", heard.live),
            "prefix caching is off, or prompts are shorter than a block",
            "see to the prefix cache and the block size first",
        );
    }
    let late = heard.delay_s.filter(|delay| (0.0..1.0).contains(delay));
    let late =
        late.map(|delay| format!(", {} after they were made", ms(Nanos::from_secs_f64(delay))));
    Finding::pass(check, format!("{} messages came{}", heard.live, late.unwrap_or_default()))
}

fn unconnected(heard: &Heard) -> Finding {
    let check = Check::KvEvents;
    if heard.bind {
        return Finding::fail(
            check,
            "no worker has connected to us",
            "its KV events are off or go elsewhere, or it binds and waits for us to connect",
            CONNECTS,
        );
    }
    if let Some(why) = &heard.closed {
        return Finding::fail(
            check,
            why,
            "no worker publishes there: its KV events are off or on another port, or it connects to us \
             instead of binding",
            BINDS,
        );
    }
    let trouble = heard.statistics().trouble.as_deref().unwrap_or("no connection");
    Finding::fail(
        check,
        trouble,
        "something listens there that is no publisher of ZMQ messages, or not yet",
        format!("check the port: it is neither that of the server nor of its replay; {BINDS}"),
    )
}

/// Messages that were lost while we listened.
fn lost(heard: &Heard) -> Option<Finding> {
    let seen = heard.statistics();
    (seen.lost > 0).then(|| {
        let (why, cure) = senses::lost(seen, heard.replay.is_some());
        let cause = "the connection or we were too slow for them";
        Finding::warn(Check::KvEvents, why, cause, cure)
    })
}

fn replay(heard: &Heard) -> Option<Finding> {
    let check = Check::KvReplay;
    let seen = heard.statistics();
    if let (Some(endpoint), Some(why)) = (&heard.replay, &heard.no_replay) {
        let finding = Finding::fail(
            check,
            why,
            "the worker has no replay socket there",
            "vLLM: add \"replay_endpoint\": \"tcp://*:PORT\" to --kv-events-config; Dynamo's mocker: \
             --zmq-replay-ports PORT; it is no port of the publisher itself",
        );
        return Some(finding.at(endpoint));
    }
    if seen.missed_before > 0 {
        let (why, cure) = senses::missed_before(seen.missed_before, heard.replay.is_some());
        let cause = "the worker is older than our connection to it";
        return Some(Finding::warn(check, why, cause, cure).at(&heard.endpoint));
    }
    let endpoint = heard.replay.as_ref().filter(|_| seen.connections > 0)?;
    let text = format!("{} messages from before were replayed", seen.replayed);
    Some(Finding::pass(check, text).at(endpoint))
}

/// Whether blocks told of by `feeds` are those of the prompts of `visit`.
pub fn blocks(visit: &Visit, heard: &[Heard], feeds: &[usize], facts: &Facts) -> Option<Finding> {
    let check = Check::KvBlocks;
    let first = visit.first.as_ref().filter(|first| first.answered())?;
    let told = |feed: &usize| visit.end[*feed] > visit.mark[*feed];
    let compared = |feed: usize, ours: &[u32]| {
        let stored = &heard[feed].stored[..visit.end[feed]];
        chains::compare(stored, visit.mark[feed], ours)
    };
    let whole = |found: &Match| matches!(found, Match::Whole { .. });
    let own: Vec<usize> = feeds.iter().copied().filter(told).collect();
    let finding = match &first.text.ids {
        Some(ours) => {
            let found = own.iter().map(|feed| compared(*feed, ours)).max_by_key(closeness);
            let mut others = (0..heard.len()).filter(|feed| !feeds.contains(feed) && told(feed));
            match (found, others.find(|feed| whole(&compared(*feed, ours)))) {
                (Some(found), _) if whole(&found) => judge(found),
                (_, Some(other)) => Finding::fail(
                    check,
                    format!(
                        "its blocks are told of by {}, another worker's",
                        heard[other].endpoint
                    ),
                    "KV events are given in another order than workers, or both reach one worker",
                    "give each --worker its own --kv-events-endpoint, in the same order",
                ),
                (Some(found), None) => judge(found),
                (None, None) => Finding::skip(check, "no event told of a prompt sent there"),
            }
        }
        None if own.is_empty() => Finding::skip(check, "no event told of a prompt sent there"),
        None => {
            let why = facts.no_ids.as_deref().unwrap_or("the chat template cannot render it");
            Finding::fail(
                check,
                format!("events name blocks by their tokens, and ours are not known: {why}"),
                "without the model's own tokenizer and chat template no block of theirs is known as one \
                 of ours",
                "give the folder of the model that the server runs with --tokenizer",
            )
        }
    };
    Some(finding.at(&visit.url))
}

/// How much of the prompt was found.
fn closeness(found: &Match) -> (usize, usize) {
    match *found {
        Match::Nothing => (0, 0),
        Match::Differs { at, .. } => (1, at),
        Match::Part { blocks, .. } => (2, blocks),
        Match::Whole { blocks } => (3, blocks),
    }
}

fn judge(found: Match) -> Finding {
    let check = Check::KvBlocks;
    let own = "give the folder of the model that the server runs with --tokenizer";
    match found {
        Match::Whole { blocks } => Finding::pass(
            check,
            format!("all {blocks} full blocks of a prompt are those we expect"),
        ),
        Match::Part { blocks, of } => Finding::warn(
            check,
            format!("of {of} full blocks of a prompt {blocks} were told of, as we expect them"),
            "the others came late, or are kept elsewhere (another tier, other layers)",
            "look again on an idle server",
        ),
        Match::Nothing => Finding::warn(
            check,
            "blocks were stored behind others that are not known",
            "the beginning of every prompt was cached before we listened",
            "give --kv-replay-endpoint, or empty the cache or start the server anew, and look again",
        ),
        Match::Differs { at, ours, theirs, shift: Some(shift) } => Finding::fail(
            check,
            format!(
                "prompts part at token {at}, where we have {ours} and the server {theirs}; the text itself \
                 follows{}",
                match shift {
                    0 => String::new(),
                    behind if behind > 0 => {
                        format!(" {behind} {} later", plural(behind as i64, "token"))
                    }
                    before => format!(" {} {} earlier", -before, plural(-before as i64, "token")),
                }
            ),
            "another chat template or other special tokens than ours: no block is known from there on",
            format!(
                "{own}; where it was started with --chat-template, put that file there as \
                     chat_template.jinja"
            ),
        ),
        Match::Differs { at, ours, theirs, shift: None } => Finding::fail(
            check,
            format!(
                "prompts part at token {at}, where we have {ours} and the server {theirs}, and what follows \
                 has other tokens too"
            ),
            "--tokenizer is not that of the server's model, or this is another worker's publisher",
            own,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Status;
    use super::*;

    #[test]
    fn a_template_and_a_tokenizer_are_told_apart() {
        let differs = |shift| Match::Differs { at: 3, ours: 5, theirs: 7, shift };
        let found = judge(differs(Some(-2)));
        assert!(found.seen.contains("2 tokens earlier"), "{found:?}");
        assert!(found.cause.unwrap().contains("chat template"));
        let found = judge(differs(None));
        assert!(found.cause.unwrap().contains("--tokenizer is not"), "{}", found.seen);
    }

    #[test]
    fn what_was_not_stored_under_known_parents_is_no_failure() {
        assert_eq!(judge(Match::Nothing).status, Status::Warn);
        assert_eq!(judge(Match::Part { blocks: 1, of: 2 }).status, Status::Warn);
        let closest =
            [Match::Nothing, Match::Whole { blocks: 1 }, Match::Part { blocks: 9, of: 10 }];
        assert_eq!(closest.into_iter().max_by_key(closeness), Some(Match::Whole { blocks: 1 }));
    }
}
