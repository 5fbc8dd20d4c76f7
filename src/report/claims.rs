//! The measured promises: a table for the terminal, Markdown for the README, and `summary.json`.

use super::columns::{aligned, markdown};
use super::format::number;
use crate::claims::{BASELINE, Measure, Measured, Promise, TESTED, verdict};
use serde::Serialize;

/// `summary.json` of the claims.
#[derive(Debug, Serialize)]
pub struct ClaimsSummary {
    schema_version: &'static str,
    seeds: u32,
    claims: Vec<ClaimSummary>,
}

#[derive(Debug, Serialize)]
struct ClaimSummary {
    claim: &'static str,
    verdict: String,
    settings: Vec<SettingSummary>,
}

#[derive(Debug, Serialize)]
struct SettingSummary {
    setting: &'static str,
    scenario: String,
    overrides: &'static [&'static str],
    rate: f64,
    round_robin_capacity: f64,
    load: f64,
    round_robin: f64,
    kv: f64,
    measured: f64,
    low: Option<f64>,
    high: Option<f64>,
    kept: &'static str,
}

/// The settings of each claim together, in order.
fn by_claim(measured: &[Measured]) -> Vec<Vec<&Measured>> {
    let mut claims: Vec<Vec<&Measured>> = Vec::new();
    for one in measured {
        match claims.last_mut() {
            Some(claim) if std::ptr::eq(claim[0].claim, one.claim) => claim.push(one),
            _ => claims.push(vec![one]),
        }
    }
    claims
}

/// The summary of what `kvroute claims` measured.
pub fn summary(measured: &[Measured], seeds: u32) -> ClaimsSummary {
    let finite = |value: f64| value.is_finite().then_some(value);
    let setting = |one: &&Measured| SettingSummary {
        setting: one.setting.when,
        scenario: format!("workloads/claims/{}", one.setting.file),
        overrides: one.setting.overrides,
        rate: one.setting.rate(),
        round_robin_capacity: one.setting.capacity,
        load: one.setting.load,
        round_robin: one.baseline,
        kv: one.tested,
        measured: one.range.mean,
        low: finite(one.range.low),
        high: finite(one.range.high),
        kept: one.standing.name(),
    };
    let claims = by_claim(measured).into_iter().map(|settings| ClaimSummary {
        claim: settings[0].claim.text,
        verdict: verdict(&settings),
        settings: settings.iter().map(setting).collect(),
    });
    ClaimsSummary { schema_version: "1", seeds, claims: claims.collect() }
}

/// For the terminal: a block per claim.
pub fn render(measured: &[Measured], seeds: u32) -> String {
    let mut text = format!("{TESTED} against {BASELINE}, {seeds} seeds, 95 % intervals\n");
    for settings in by_claim(measured) {
        text += &format!("\n{}\n", settings[0].claim.text);
        let mut rows = vec![
            ["", BASELINE, TESTED, what(settings[0].claim.measure), "kept?", "when"]
                .map(String::from)
                .to_vec(),
        ];
        rows.extend(settings.iter().map(|one| {
            let mut row = vec![" ".to_string()];
            row.extend(cells(one));
            row.push(one.setting.when.into());
            row
        }));
        text += &aligned(&rows, &[false, true, true, true, false, false]);
        text += &format!("  {}\n", verdict(&settings));
    }
    text
}

/// For the README: one table.
pub fn render_markdown(measured: &[Measured], seeds: u32) -> String {
    let interval = format!("measured (95 %, {seeds} seeds)");
    let head = ["promise", "when", BASELINE, TESTED, &interval, "kept?", "verdict"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for settings in by_claim(measured) {
        for (place, one) in settings.iter().enumerate() {
            let first = |text: String| if place == 0 { text } else { String::new() };
            let mut row = vec![first(one.claim.text.into()), one.setting.when.into()];
            row.extend(cells(one));
            row.push(first(short_verdict(&settings)));
            rows.push(row);
        }
    }
    markdown(&rows)
}

/// The conditions stand in the rows already.
fn short_verdict(settings: &[&Measured]) -> String {
    let text = verdict(settings);
    if text.starts_with("holds only when") { "holds only where kept".into() } else { text }
}

fn what(measure: Measure) -> &'static str {
    match measure {
        Measure::HitRate | Measure::FollowUpHitRate => "hit rate",
        Measure::Ttft => "mean TTFT lower by",
        Measure::Capacity => "capacity higher by",
        Measure::BusySpread => "busy spread / mean",
        Measure::HotSpot => "fullest / mean",
    }
}

/// Round robin, kv, what the promise is about, and whether it is kept.
fn cells(one: &Measured) -> [String; 4] {
    let value = |value: f64| match one.claim.measure {
        Measure::Ttft => format!("{} ms", number(value, 0)),
        Measure::Capacity => format!("{}/s", number(value, 1)),
        Measure::HotSpot => number(value, 2),
        _ => format!("{} %", number(value, 1)),
    };
    [value(one.baseline), value(one.tested), range(one), one.standing.name().into()]
}

/// `72.1 % ± 0.4`, `+33 % (28 to 39)`.
fn range(one: &Measured) -> String {
    let (unit, decimals) = match one.claim.promise {
        Promise::AtMost(limit) if limit < 10.0 => ("", 2),
        _ => (" %", 1),
    };
    let range = one.range;
    let shown = |value: f64| number(value, decimals);
    if one.claim.measure == Measure::Capacity {
        return format!(
            "{}{unit} ({} to {})",
            shown(range.mean),
            shown(range.low),
            shown(range.high)
        );
    }
    format!("{}{unit} ± {}", shown(range.mean), shown(range.high - range.mean))
}
