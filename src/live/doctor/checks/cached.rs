//! Do answers say how many prompt tokens were cached, and are any?
//!
//! Two witnesses: `usage` in the answers, and the counters on the pages of metrics. Where neither
//! speaks, nothing is claimed.

use super::super::finding::{Check, Finding};
use super::super::probe::Sent;
use super::super::visit::Visit;
use super::{Facts, metrics, number};
use crate::live::server::facts::WorkerFacts;

/// How usage details are switched on.
const DETAILS: &str = "vLLM: start it with --enable-prompt-tokens-details; SGLang: with \
                       --enable-cache-report; behind a proxy, let it pass usage on as it is";
/// How prefix caching is switched on.
const CACHING: &str = "vLLM: start it with --enable-prefix-caching, and take --no-enable-prefix-caching \
                       away; SGLang: take --disable-radix-cache away; Dynamo: the same at the engine";

/// What the witnesses say of one endpoint.
struct Evidence {
    /// Some answer tells of cached tokens, or is silent about them.
    told: bool,
    /// Most cached tokens of a repeat, and of how many.
    best: Option<(u32, u32)>,
    /// Which repeat was found first, from 1.
    found_at: Option<usize>,
    /// Hit tokens by the counters.
    counted: Option<f64>,
    /// The server says that it caches no prefixes.
    off: bool,
}

impl Evidence {
    fn of(visit: &Visit, facts: &Facts) -> Evidence {
        let cached = |sent: &Sent| sent.cached().filter(|cached| *cached > 0);
        let hits = visit.repeats.iter().chain(&visit.longer).filter_map(|sent| {
            Some((cached(sent)?, sent.prompt_tokens().unwrap_or(sent.text.tokens)))
        });
        let configs: Vec<WorkerFacts> = facts.configs_of(visit).collect();
        let sent = visit.prompt_tokens();
        Evidence {
            told: visit.answers().any(|sent| sent.cached().is_some()),
            best: hits.max(),
            found_at: visit.repeats.iter().position(|sent| cached(sent).is_some()).map(|at| at + 1),
            // Where others use the servers too, the counters tell of their hits as well.
            counted: visit
                .counted
                .hit_tokens
                .filter(|_| sent == 0 || metrics::ours_alone(&visit.counted, sent)),
            off: !configs.is_empty()
                && configs.iter().all(|config| config.prefix_caching == Some(false)),
        }
    }

    fn counted_some(&self) -> bool {
        self.counted.is_some_and(|hits| hits > 0.0)
    }
}

/// Both of them, and whether a front end sends repeats where they are cached.
pub fn check(visit: &Visit, facts: &Facts) -> Vec<Finding> {
    if !visit.is_open() {
        return Vec::new();
    }
    let evidence = Evidence::of(visit, facts);
    let mut findings = vec![details(visit, &evidence), caching(visit, &evidence)];
    if !visit.alone {
        findings.extend(repeats(&evidence));
    }
    findings.into_iter().map(|finding| finding.at(&visit.url)).collect()
}

fn details(visit: &Visit, evidence: &Evidence) -> Finding {
    let check = Check::UsageDetails;
    if visit.answers().all(|sent| sent.usage.is_none()) {
        return Finding::fail(
            check,
            "no answer has a usage: how many tokens it was made of, and how many were cached",
            "stream_options.include_usage is not obeyed, or a proxy strips it",
            "let the proxy pass it on, or take a server that knows it (vLLM, SGLang, Dynamo do)",
        );
    }
    if evidence.told {
        return Finding::pass(check, "answers say how many prompt tokens were cached");
    }
    let seen = "no answer says how many prompt tokens were cached";
    match evidence.counted {
        Some(hits) if hits > 0.0 => Finding::fail(
            check,
            format!("{seen}, while the server counted {} of them", number(hits)),
            "the details of usage (prompt_tokens_details) are switched off",
            DETAILS,
        ),
        Some(_) => Finding::warn(
            check,
            seen,
            "the details of usage are switched off; or, for the server counted no hit, it leaves out a \
             number that is 0",
            format!("see to the prefix cache first, and look again; then {DETAILS}"),
        ),
        None => Finding::fail(
            check,
            seen,
            "the details of usage (prompt_tokens_details) are switched off; or nothing was cached, and \
             the server leaves out a number that is 0",
            DETAILS,
        ),
    }
}

fn caching(visit: &Visit, evidence: &Evidence) -> Finding {
    let check = Check::PrefixCache;
    if let Some((cached, of)) = evidence.best {
        let seen = format!("{cached} of {of} prompt tokens came from the cache when sent again");
        return Finding::pass(check, seen);
    }
    if evidence.counted_some() {
        let hits = number(evidence.counted.unwrap_or(0.0));
        let seen = format!("by the server's counters {hits} prompt tokens came from the cache");
        return Finding::pass(check, seen);
    }
    if evidence.off {
        return Finding::fail(
            check,
            "the server's metrics say that it caches no prefixes (enable_prefix_caching=\"False\")",
            "prefix caching is off",
            CACHING,
        );
    }
    if !evidence.told && evidence.counted.is_none() {
        return Finding::skip(
            check,
            "cannot be seen: neither answers nor metrics tell of cached tokens",
        );
    }
    let times = visit.repeats.iter().filter(|sent| sent.answered()).count();
    let elsewhere = if visit.alone {
        "something makes every prompt new (a cache salt, a request id in the system prompt)"
    } else {
        "every repeat went to another worker"
    };
    Finding::fail(
        check,
        format!("a prompt sent {} times was never found in a cache", times + 1),
        format!("prefix caching is off, or {elsewhere}"),
        CACHING,
    )
}

/// Where a front end sends what it has seen.
fn repeats(evidence: &Evidence) -> Option<Finding> {
    let check = Check::Repeats;
    match evidence.found_at? {
        1 => Some(Finding::pass(check, "a prompt sent again went where it was cached")),
        at => Some(Finding::warn(
            check,
            format!("a prompt sent again was found in a cache on repeat {at} only"),
            "there are several workers, and the front end does not go by what they have cached, which is \
             as it should be for round-robin or random",
            "where it is meant to be KV-aware: Dynamo: --router-mode kv at the front end, and KV events \
             at the workers; others: their cache-aware policy",
        )),
    }
}
