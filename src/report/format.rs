//! Numbers and names as people read them: shared by the table, the plots and explanations.

use crate::scenario::{ArrivalSpec, Scenario, WorkloadKind};

/// `value` with `decimals`, thousands separated by commas, never "-0.0".
pub fn number(value: f64, decimals: usize) -> String {
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let is_zero = plain.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "-" } else { "" };
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// `value` with about three significant digits.
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    number(value, decimals)
}

/// A setting as it was given, without idle zeros: 8, 0.5, 12.25.
fn trimmed(value: f64) -> String {
    format!("{}", (value * 1e3).round() / 1e3)
}

/// What the workload is called: its kind, or the name of the trace file.
fn workload_name(scenario: &Scenario) -> String {
    let workload = &scenario.workload;
    let trace = workload.trace.as_ref().and_then(|path| path.file_name());
    match (workload.kind, trace) {
        (WorkloadKind::Trace, Some(name)) => format!("trace {}", name.to_string_lossy()),
        (WorkloadKind::Trace, None) => "trace".into(),
        (WorkloadKind::SharedPrefix, _) => "shared-prefix".into(),
        (WorkloadKind::MultiTurn, _) => "multi-turn".into(),
        (WorkloadKind::Similar, _) => "similar".into(),
        (WorkloadKind::Diverse, _) => "diverse".into(),
        (WorkloadKind::Agentic, _) => "agentic".into(),
        (WorkloadKind::Mix, _) => "mix".into(),
    }
}

/// When requests or sessions start, in a few words; nothing where a trace keeps its own times.
fn arrivals(arrival: Option<&ArrivalSpec>) -> Option<String> {
    let rate = |rate: f64, how: &str| format!("{how} arrivals {}/s", trimmed(rate));
    Some(match arrival? {
        ArrivalSpec::Constant { rate: r } => rate(*r, "constant"),
        ArrivalSpec::Poisson { rate: r } => rate(*r, "poisson"),
        ArrivalSpec::Gamma { rate: r, .. } => rate(*r, "gamma"),
        ArrivalSpec::OnOff { rate: r, .. } => rate(*r, "on-off"),
        ArrivalSpec::Ramp { to_rate: r, .. } => rate(*r, "ramp to"),
        ArrivalSpec::Burst { size, every } => format!("bursts of {size} arrivals every {every}"),
        ArrivalSpec::Closed { concurrency, .. } => format!("{concurrency} in flight"),
        ArrivalSpec::Sessions { sessions, .. } => format!("{sessions} sessions in flight"),
        ArrivalSpec::Timestamps => return None,
    })
}

/// What was run, in a few words: the subtitle of plots and the start of the table's header. Where
/// there are no `requests` to tell, it is the time that ends the run.
pub fn describe(scenario: &Scenario, requests: u64) -> String {
    let workers = plural(scenario.cluster.workers.into(), "worker");
    format!("{}, {workers}", describe_load(scenario, requests))
}

/// The same without the workers, which a live run does not know of.
pub(super) fn describe_load(scenario: &Scenario, requests: u64) -> String {
    let size = match scenario.workload.duration {
        Some(duration) if requests == 0 => format!("{duration} of arrivals"),
        _ => format!("{} requests", number(requests as f64, 0)),
    };
    let mut parts = vec![workload_name(scenario), size];
    parts.extend(arrivals(scenario.workload.arrival.as_ref()));
    parts.join(", ")
}

/// `1 worker`, `1,000 workers`.
pub(super) fn plural(count: u64, word: &str) -> String {
    format!("{} {word}{}", number(count as f64, 0), if count == 1 { "" } else { "s" })
}

/// `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1_234_567.8, 0), "1,234,568");
        assert_eq!(number(-1234.56, 1), "-1,234.6");
        assert_eq!(number(-0.04, 1), "0.0");
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(short(0.1234), "0.12");
        assert_eq!(short(12.34), "12.3");
        assert_eq!(short(123.4), "123");
        assert_eq!(short(0.0), "0");
    }
}
