//! What a calibration prints.

use super::fit::{Errors, Fit, Halves};
use std::fmt::Write;

/// Coefficients, R² and errors, for the terminal.
pub fn report(name: &str, fit: &Fit) -> String {
    let mut text = format!("{name}: linear model, weights 1 / (fitted time)², milliseconds\n");
    let spec = &fit.spec;
    let lines = [
        ("step_ms", spec.step_ms, "every step"),
        ("prefill_step_ms", spec.prefill_step_ms, "every step with prefill, on top"),
        ("prefill_token_ms", spec.prefill_token_ms, "per prefill token"),
        (
            "prefill_attention_ms",
            spec.prefill_attention_ms,
            "per prefill token and token before it",
        ),
        ("decode_seq_ms", spec.decode_seq_ms, "per decoding sequence"),
        ("decode_context_ms", spec.decode_context_ms, "per token of their contexts"),
    ];
    for (key, value, meaning) in lines {
        let _ = writeln!(text, "  {key:<22}{:>12}  {meaning}", significant(value));
    }
    if spec.prefill_free_tokens > 0 {
        let free = spec.prefill_free_tokens;
        let _ =
            writeln!(text, "  prefill_free_tokens   {free:>12}  prefill tokens that cost nothing");
    }
    if fit.between_steps_ms > 0.0 {
        let between = significant(fit.between_steps_ms);
        let _ = writeln!(
            text,
            "  of step_ms, {between} ms pass between steps, where only clients see them"
        );
    }
    if fit.front_ms > 0.0 {
        let front = significant(fit.front_ms);
        let _ = writeln!(
            text,
            "  front_ms              {front:>12}  every request, on its way to the engine and back"
        );
    }
    let _ = writeln!(text, "  R² of the fitted rows {:>12.4}\n", fit.r2);
    let _ = writeln!(text, "  relative error, %        rows     p50     p90     max");
    for (kind, halves) in [("prefill", &fit.prefill), ("decode", &fit.decode)] {
        add_errors(&mut text, kind, halves);
    }
    text
}

fn add_errors(text: &mut String, kind: &str, halves: &Halves) {
    for (part, errors) in [("fitted", &halves.fitted), ("held out", &halves.held_out)] {
        let Errors { rows, p50, p90, max } = errors;
        let label = format!("{kind}, {part}");
        if *rows == 0 {
            let _ = writeln!(text, "  {label:<21}{rows:>8}       -       -       -");
            continue;
        }
        let [p50, p90, max] = [p50, p90, max].map(|share| 100.0 * share);
        let _ = writeln!(text, "  {label:<21}{rows:>8}{p50:>8.1}{p90:>8.1}{max:>8.1}");
    }
}

/// Four significant digits.
fn significant(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value >= 1e-3 => {
            let decimals = (3 - value.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        value => format!("{value:.3e}"),
    }
}

/// The error, as a preset states it: of the rows held out where there are any.
pub(super) fn error_line(fit: &Fit) -> String {
    let part = |kind: &str, halves: &Halves| {
        let (errors, which) = match halves.held_out.rows {
            0 => (&halves.fitted, "fitted"),
            _ => (&halves.held_out, "held-out"),
        };
        if errors.rows == 0 {
            return format!("no {kind} rows, so its terms are 0");
        }
        let [p50, p90, max] = [errors.p50, errors.p90, errors.max].map(|share| 100.0 * share);
        format!("{kind} {p50:.1} / {p90:.1} / {max:.1} % of {} {which} rows", errors.rows)
    };
    format!(
        "median / p90 / max: {}, {}; R² {:.4}",
        part("prefill", &fit.prefill),
        part("decode", &fit.decode),
        fit.r2
    )
}

/// What the measurements cover.
pub(super) fn range_line(fit: &Fit) -> String {
    let [prefill, batch, context] =
        [fit.range.prefill_tokens, fit.range.decode_seqs, fit.range.context];
    let context = match context {
        0 => "contexts not measured".into(),
        context => format!("contexts to {context}"),
    };
    format!("steps of up to {prefill} prefill tokens, batches of up to {batch}, {context}")
}
