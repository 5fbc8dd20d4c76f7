//! What the comparison table says, in plain words, and what must not be concluded from it.

use super::format::{list, number};
use super::table::{Group, Metric, ttft_p50, ttft_p99};
use crate::metrics::summary::RunSummary;
use crate::stats::{interval_95, mean};

/// Routers compared in words with the first; the table has them all.
const MOST_COMPARED: usize = 3;

/// Conclusions, then warnings, each one line.
pub(super) fn sentences(groups: &[Group<'_>]) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some((base, others)) = groups.split_first() {
        let others = &others[..others.len().min(MOST_COMPARED)];
        sentences.extend(reuse(base, others));
        sentences.extend(latency("TTFT p50", ttft_p50, base, others));
        sentences.extend(latency("TTFT p99", ttft_p99, base, others));
    }
    sentences.extend(warnings(groups));
    sentences
}

/// "kv reuses 63 % of prompt tokens (ceiling 71 %), round-robin 22 %."
fn reuse(base: &Group<'_>, others: &[Group<'_>]) -> Option<String> {
    let percent = |group: &Group<'_>, metric: Metric| Some(number(100.0 * group.mean(metric)?, 0));
    let hit_rate: Metric = |run| has_completed(run).then_some(run.prefix_cache.hit_rate);
    let ceiling: Metric = |run| Some(run.prefix_cache.ceiling_hit_rate);
    let mut sentence = format!(
        "{} reuses {} % of prompt tokens (ceiling {} %)",
        base.label,
        percent(base, hit_rate)?,
        percent(base, ceiling)?
    );
    for other in others {
        if let Some(rate) = percent(other, hit_rate) {
            sentence += &format!(", {} {rate} %", other.label);
        }
    }
    Some(sentence + ".")
}

/// "Under kv, TTFT p50 is 2.9 times lower than with round-robin and 31 % lower than with random."
/// Overloaded runs are left to the warning: their latencies grow with the length of the run.
fn latency(name: &str, metric: Metric, base: &Group<'_>, others: &[Group<'_>]) -> Option<String> {
    if is_overloaded(base) {
        return None;
    }
    let own = base.values(metric)?;
    // Neighbours of which the same is said share one clause.
    let mut clauses: Vec<(String, Vec<String>)> = Vec::new();
    for other in others.iter().filter(|other| !is_overloaded(other)) {
        let Some(theirs) = other.values(metric) else {
            continue;
        };
        let (relation, label) = (relation(&own, &theirs), other.label.to_string());
        match clauses.last_mut() {
            Some((said, labels)) if *said == relation => labels.push(label),
            _ => clauses.push((relation, vec![label])),
        }
    }
    let clauses = clauses.iter();
    let clauses: Vec<String> =
        clauses.map(|(relation, labels)| format!("{relation} {}", list(labels))).collect();
    (!clauses.is_empty()).then(|| format!("Under {}, {name} is {}.", base.label, list(&clauses)))
}

/// How paired values `own` stand to `theirs`: the words between "is" and the other's name.
fn relation(own: &[f64], theirs: &[f64]) -> String {
    let paired: Vec<f64> = std::iter::zip(own, theirs).map(|(a, b)| a - b).collect();
    if paired.len() > 1 && interval_95(&paired).contains_zero() {
        return "not significantly different from that with".into();
    }
    let (own, theirs) = (mean(own), mean(theirs));
    let (low, high) = (own.min(theirs), own.max(theirs));
    if high <= low * 1.02 {
        return "about the same as with".into();
    }
    let direction = if own < theirs { "lower" } else { "higher" };
    let size = match (low > 0.0).then(|| high / low) {
        None => String::new(),
        Some(ratio) if ratio >= 9.95 => format!("{} times ", number(ratio, 0)),
        Some(ratio) if ratio >= 2.0 => format!("{} times ", number(ratio, 1)),
        // Percent of the other router's value, as a reader expects of "x % lower than".
        Some(_) => format!("{} % ", number(100.0 * (own / theirs - 1.0).abs(), 0)),
    };
    format!("{size}{direction} than with")
}

fn warnings(groups: &[Group<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |holds: fn(&RunSummary) -> bool, before: &str, after: &str| {
        let affected = groups
            .iter()
            .filter(|group| group.runs.iter().any(|run| holds(run)))
            .map(|group| group.label.to_string())
            .collect::<Vec<_>>();
        if !affected.is_empty() {
            warnings.push(format!("WARNING: {before} {}{after}", list(&affected)));
        }
    };
    warn(
        |run| run.overloaded,
        "the queue grew without bound under",
        ": latencies say nothing about a steady state; lower the load or add workers.",
    );
    warn(
        |run| !has_completed(run),
        "no request completed under",
        ": there are no latencies to show.",
    );
    warn(
        |run| run.requests.rejected > 0,
        "requests were rejected under",
        ": they can never fit into a worker's KV cache; raise --kv-blocks.",
    );
    warn(
        |run| run.requests.unfinished > 0,
        "the run was interrupted under",
        ": unfinished requests are not in the numbers.",
    );
    warnings
}

fn is_overloaded(group: &Group<'_>) -> bool {
    group.runs.iter().any(|run| run.overloaded)
}

fn has_completed(run: &RunSummary) -> bool {
    run.requests.completed > 0
}

#[cfg(test)]
mod tests {
    use super::relation;

    #[test]
    fn relations_in_words() {
        assert_eq!(relation(&[10.0], &[29.0]), "2.9 times lower than with");
        assert_eq!(relation(&[13.0], &[10.0]), "30 % higher than with");
        assert_eq!(relation(&[8.0], &[10.0]), "20 % lower than with");
        assert_eq!(relation(&[100.0], &[101.0]), "about the same as with");
        assert_eq!(relation(&[0.0], &[5.0]), "lower than with");
        assert_eq!(
            relation(&[1.0, 5.0], &[3.0, 3.0]),
            "not significantly different from that with"
        );
    }
}
