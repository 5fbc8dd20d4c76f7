//! Fits that a few stalls do not spoil.
//!
//! A machine that others use as well holds up a step now and then, for many times what it takes. Such
//! rows say nothing of the engine, and a mean over all rows would be far from every one of them. So the
//! rows are first fitted by absolute relative errors, which those far off do not pull; what lies too far
//! from that is left out, and the rest is fitted as always, at its mean.

use super::fit::{self, Fit, Loss};
use super::read::Row;
use crate::error::Result;
use crate::stats::quantile;

/// Rows nearer than this many times the median distance stay.
const TIMES: f64 = 6.0;
/// Rows nearer than this stay in any case, relative.
const NEAR: f64 = 0.25;
/// No more than this share of the rows is left out: then they are not the exception.
const MOST: f64 = 1.0 / 3.0;

/// Fits what is left of `rows` without those far off, holding out the share `holdout`; and how many were
/// left out.
///
/// # Errors
/// Where there are too few rows.
pub fn fit_robust(rows: &[Row], holdout: f64) -> Result<(Fit, usize)> {
    let typical = fit::best(rows, Loss::Absolute);
    let distance = |row: &Row| (row.ms / typical.predict(row) - 1.0).abs();
    let mut distances: Vec<f64> = rows.iter().map(distance).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let limit = (TIMES * quantile(&distances, 0.5)).max(NEAR).max(quantile(&distances, 1.0 - MOST));
    let kept: Vec<Row> = rows.iter().filter(|row| distance(row) <= limit).copied().collect();
    Ok((fit::fit(&kept, holdout)?, rows.len() - kept.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Source;
    use crate::sim::latency::{BatchShape, LinearSpec, ModelKind, model};

    const TRUTH: LinearSpec = LinearSpec {
        step_ms: 7.0,
        prefill_step_ms: 4.0,
        prefill_token_ms: 0.5,
        prefill_free_tokens: 0,
        prefill_attention_ms: 0.0,
        decode_seq_ms: 0.9,
        decode_context_ms: 0.0,
    };

    /// Steps of many shapes; every `stalls`-th took ten times as long, the others up to 5 % more or less.
    fn measured(stalls: usize) -> Vec<Row> {
        let row = |i: u32| {
            let mut shape = BatchShape::default();
            match i % 2 {
                0 => shape.prefill(i * 31 % 1024, 1 + i * 97 % 2048),
                _ => (0..1 + i % 8).for_each(|_| shape.decode(1 + i * 61 % 2048)),
            }
            let ms = model(&ModelKind::Linear(TRUTH), 0).step(&shape).as_ms_f64();
            let noise = f64::from(i * 37 % 11) / 100.0 - 0.05;
            let stall = if (i as usize).is_multiple_of(stalls) { 10.0 } else { 1.0 };
            Row { shape, ms: ms * (1.0 + noise) * stall, source: Source::Client }
        };
        (1..200).map(row).collect()
    }

    #[test]
    fn stalls_are_left_out_and_the_rest_is_fitted_as_always() {
        let rows = measured(7);
        let (robust, left_out) = fit_robust(&rows, 0.0).unwrap();
        assert_eq!(left_out, 199 / 7);
        let close =
            |ours: f64, truth: f64| assert!((ours / truth - 1.0).abs() < 0.05, "{ours} {truth}");
        close(robust.spec.step_ms, TRUTH.step_ms);
        close(robust.spec.prefill_token_ms, TRUTH.prefill_token_ms);
        close(robust.spec.decode_seq_ms, TRUTH.decode_seq_ms);
        let plain = fit::fit(&rows, 0.0).unwrap();
        let (robust, plain) = (robust.prefill.fitted, plain.prefill.fitted);
        assert!(robust.p50 < 0.05 && plain.p50 > 0.15, "{robust:?} {plain:?}");
    }

    #[test]
    fn where_nothing_is_far_off_nothing_is_left_out() {
        let rows = measured(1_000_000);
        let (robust, left_out) = fit_robust(&rows, 0.0).unwrap();
        assert_eq!((left_out, robust.spec), (0, fit::fit(&rows, 0.0).unwrap().spec));
    }
}
