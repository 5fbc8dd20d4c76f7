//! Can the pages of metrics be read, do they show what we use, and does anybody else use the servers?

use super::super::finding::{Check, Finding};
use super::super::pages::Looked;
use super::number;
use crate::live::server::ServerMetrics;

/// Tokens counted beyond those sent, as a share and a number, that are nobody else's: late counters,
/// prompts computed twice.
const SHARE: f64 = 0.05;
const TOKENS: f64 = 64.0;

/// How a server is brought to show its metrics.
const CURE: &str = "name the page with --metrics-url; vLLM shows it at /metrics of its own port, SGLang \
                    with --enable-metrics, a Dynamo worker with DYN_SYSTEM_PORT=PORT; or go without by \
                    --no-server-metrics";

/// What every page is good for; `named` = the user gave them; `down` = its endpoint gives no answer.
pub fn pages(
    counted: &ServerMetrics,
    last: &Looked,
    named: bool,
    down: impl Fn(usize) -> bool,
) -> Vec<Finding> {
    let check = Check::Metrics;
    let mut findings = Vec::new();
    for (place, (source, page)) in counted.sources.iter().zip(&last.0).enumerate() {
        let kind = &source.kind;
        let finding = match page {
            Err(_) if !named && down(place) => Finding::skip(check, "its endpoint gives no answer"),
            Err(why) => Finding::fail(
                check,
                format!("no metrics: {}", why.trim_end_matches([' ', ':'])),
                "nothing answers there, or it is no page of metrics",
                CURE,
            )
            // Where nobody asked for it, the answers' own usage may be enough.
            .warn_if(!named),
            Ok(_) if kind.is_empty() => Finding::fail(
                check,
                "the page shows none of the metrics that are known of vLLM, SGLang and Dynamo",
                "it is another program's, or the server keeps no statistics",
                format!("vLLM: take --disable-log-stats away; else {CURE}"),
            )
            .warn_if(!named),
            Ok(_) => match (source.query_tokens, source.hit_tokens) {
                (Some(queries), Some(hits)) => Finding::pass(
                    check,
                    format!(
                        "{kind}: {} prompt tokens looked up, {} found",
                        number(queries),
                        number(hits)
                    ),
                ),
                _ => Finding::warn(
                    check,
                    format!("{kind}: loads are shown, and no counters of cached tokens"),
                    "this server does not count them",
                    "hits are then known from the answers' usage alone; see usage-details",
                ),
            },
        };
        findings.push(finding.at(&source.url));
    }
    findings
}

/// Whether the servers counted more than the `sent` prompt tokens.
pub fn other_traffic(counted: &ServerMetrics, sent: u32) -> Finding {
    let check = Check::OtherTraffic;
    let sent = f64::from(sent);
    match counted.query_tokens {
        _ if sent == 0.0 => Finding::skip(check, "no answer says how long its prompt was"),
        None => Finding::skip(check, "no page counts prompt tokens"),
        Some(counted) if counted > sent * (1.0 + SHARE) + TOKENS => Finding::warn(
            check,
            format!(
                "{} prompt tokens were counted while we sent {}",
                number(counted),
                number(sent)
            ),
            "somebody else uses the servers; or one server's page was given twice",
            "measure servers that nobody else uses; look through --metrics-url",
        ),
        Some(0.0) => Finding::warn(
            check,
            format!("no prompt token was counted while we sent {}", number(sent)),
            "the pages are those of other servers, or their counters come late",
            "check --metrics-url",
        ),
        Some(_) => Finding::pass(check, "nobody else uses the servers, by their counters"),
    }
}

/// Whether what was `counted` while `sent` tokens were sent is ours alone.
pub fn ours_alone(counted: &ServerMetrics, sent: u32) -> bool {
    let most = f64::from(sent) * (1.0 + SHARE) + TOKENS;
    counted.query_tokens.is_none_or(|counted| counted <= most)
}
