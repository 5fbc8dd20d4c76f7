//! A decision in plain words.

use super::{best_overlap, cost};
use crate::report::decision::{Candidate, DecisionRecord, LiveHits};
use crate::report::format::number;

/// Why the worker was chosen, whether the router was right about it, and what it cost.
pub(super) fn of(decision: &DecisionRecord) -> Vec<String> {
    let chosen = decision.chosen;
    let mut words = vec![format!("worker-{chosen} was chosen: {}.", decision.reason)];
    if decision.tie > 1 {
        words.push(format!(
            "{} workers were equally good; the policy's tie-break picked worker-{chosen}.",
            decision.tie
        ));
    }
    if let Some(hits) = decision.live {
        words.push(outcome(chosen, hits));
        return words;
    }
    let own = decision.candidates.iter().find(|c| c.worker == chosen);
    words.extend(own.and_then(belief));
    words.push(match (best_overlap(decision), cost(decision) > 0.0) {
        (Some(best), true) => format!(
            "worker-{best} held {} more blocks of this prompt: they are computed again.",
            number(cost(decision), 0)
        ),
        _ => "No worker held more of this prompt.".into(),
    });
    words
}

/// How the belief in a real worker came out.
fn outcome(worker: u32, hits: LiveHits) -> String {
    match (hits.predicted_hit_tokens, hits.observed_hit_tokens) {
        (None, None) => "The router keeps no index, and the server did not tell its hits.".into(),
        (None, Some(found)) => {
            format!("The router keeps no index; worker-{worker} found {found} tokens cached.")
        }
        (Some(believed), None) => format!(
            "The router believed {believed} tokens cached on worker-{worker}; the server did not tell \
             its hits."
        ),
        (Some(believed), Some(found)) if believed == found => {
            format!("The router was right about worker-{worker}: it found {found} tokens cached.")
        }
        (Some(believed), Some(found)) => format!(
            "The router believed {believed} tokens cached on worker-{worker}, and it found {found}: {}.",
            match believed > found {
                true => "the rest was evicted or never there",
                false =>
                    "news of the rest had not arrived, or the prompt has tokens that the router \
                          does not count",
            }
        ),
    }
}

fn belief(chosen: &Candidate) -> Option<String> {
    let (believed, held) = (chosen.believed_overlap_blocks?, chosen.true_overlap_blocks?);
    let worker = chosen.worker;
    Some(match believed.cmp(&held) {
        std::cmp::Ordering::Equal => format!(
            "The router was right about worker-{worker}: it held {held} blocks of this prompt."
        ),
        std::cmp::Ordering::Greater => format!(
            "The router believed that worker-{worker} held {believed} blocks, but it held {held}: \
             the rest was evicted or never there."
        ),
        std::cmp::Ordering::Less => format!(
            "The router believed that worker-{worker} held {believed} blocks, but it held {held}: \
             news of the rest had not arrived."
        ),
    })
}
