//! Fits the `linear` model to measured steps.
//!
//! Non-negative least squares of relative errors: every row weighs 1 / (fitted time)², found by
//! repeating the fit, since weights from the measured times themselves would favour rows that
//! happened to be quick. Times of steps add up in a run, so their mean should come out, not less.

use super::nnls;
use super::read::{Row, Source};
use crate::error::{Error, Result};
use crate::sim::latency::{BatchShape, LinearSpec, ModelKind, model};
use crate::stats::{mean, quantile};

/// Rows for every coefficient at least, in the fitted part.
const MIN_ROWS: usize = 16;
/// Repetitions of the fit; the weights change little after a few.
const REPEATS: usize = 20;
/// Candidates for the prefill tokens of a step that cost nothing.
const FREE_TOKENS: [u64; 9] = [0, 16, 32, 64, 96, 128, 192, 256, 384];
/// A candidate above 0 must lower the squared error by this share to be believed.
const WORTH: f64 = 0.02;
/// An error that is none.
const EXACT: f64 = 1e-6;

/// A fitted model and how good it is.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Coefficients.
    pub spec: LinearSpec,
    /// Milliseconds by which clients' measurements exceed the engine's own, part of `step_ms`; 0
    /// where only one of the two was given.
    pub between_steps_ms: f64,
    /// Milliseconds by which requests' first tokens exceed their step: the way to the engine and back. 0
    /// where nothing else measured steps with prefill, so that it cannot be told from `prefill_step_ms`.
    pub front_ms: f64,
    /// Share of the variance of the fitted rows' times that is explained.
    pub r2: f64,
    /// Steps with prefill.
    pub prefill: Halves,
    /// Steps without.
    pub decode: Halves,
    /// The largest steps measured.
    pub range: Range,
    /// Every row, in order.
    pub points: Vec<Point>,
}

/// What measurements cover, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Prefill tokens of a step.
    pub prefill_tokens: u64,
    /// Decoding requests of a step.
    pub decode_seqs: u64,
    /// Cached tokens of a request; 0 where they were not measured.
    pub context: u64,
}

/// Errors of the rows the fit has seen and of those it has not.
#[derive(Clone, Copy, Debug)]
pub struct Halves {
    /// Seen.
    pub fitted: Errors,
    /// Held out.
    pub held_out: Errors,
}

/// Relative errors |fitted / measured − 1|; NaN where there are no rows.
#[derive(Clone, Copy, Debug)]
pub struct Errors {
    /// Rows.
    pub rows: usize,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Greatest.
    pub max: f64,
}

/// A measured step and its fit.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// With prefill.
    pub is_prefill: bool,
    /// Not seen by the fit.
    pub is_held_out: bool,
    /// Milliseconds measured.
    pub measured: f64,
    /// Milliseconds fitted.
    pub fitted: f64,
}

/// Fits the rows, leaving out the share `holdout` of them: every second row of either kind for 0.5.
///
/// # Errors
/// Where there are too few rows.
pub fn fit(rows: &[Row], holdout: f64) -> Result<Fit> {
    let held_out = hold_out(rows, holdout);
    let seen: Vec<Row> =
        rows.iter().zip(&held_out).filter(|(_, held)| !**held).map(|(row, _)| *row).collect();
    if seen.len() < MIN_ROWS {
        return Err(Error::input(format!(
            "{} rows of measurements to fit are too few; give {MIN_ROWS} or more, in more files or \
             with a smaller --holdout",
            seen.len()
        )));
    }
    let coefficients = best(&seen, Loss::Squares);
    let points: Vec<Point> = rows
        .iter()
        .zip(&held_out)
        .map(|(row, held)| Point {
            is_prefill: row.is_prefill(),
            is_held_out: *held,
            measured: row.ms,
            fitted: coefficients.predict(row),
        })
        .collect();
    Ok(Fit {
        spec: coefficients.spec,
        between_steps_ms: coefficients.between,
        front_ms: coefficients.front,
        r2: r2(&points),
        prefill: halves(&points, true),
        decode: halves(&points, false),
        range: range(rows),
        points,
    })
}

fn range(rows: &[Row]) -> Range {
    let shapes = || rows.iter().map(|row| &row.shape);
    let per = |total: u64, requests: u64| total / requests.max(1);
    let context = |shape: &BatchShape| {
        let decode = per(shape.decode_context.saturating_sub(shape.decode_seqs), shape.decode_seqs);
        per(shape.prefill_context, shape.prefill_seqs).max(decode)
    };
    Range {
        prefill_tokens: shapes().map(|shape| shape.prefill_tokens).max().unwrap_or(0),
        decode_seqs: shapes().map(|shape| shape.decode_seqs).max().unwrap_or(0),
        context: shapes().map(context).max().unwrap_or(0),
    }
}

/// Which rows are left out, in even strides over the rows with prefill and over those without.
fn hold_out(rows: &[Row], share: f64) -> Vec<bool> {
    let mut seen = [0.0; 2];
    rows.iter()
        .map(|row| {
            let count = &mut seen[usize::from(row.is_prefill())];
            *count += 1.0;
            (*count * share).floor() > ((*count - 1.0) * share).floor()
        })
        .collect()
}

/// A model, and what clients' clocks add to the engine's.
pub(super) struct Coefficients {
    spec: LinearSpec,
    between: f64,
    front: f64,
}

impl Coefficients {
    /// Milliseconds that a row should have taken.
    pub(super) fn predict(&self, row: &Row) -> f64 {
        let step = model(&ModelKind::Linear(self.spec), 0).step(&row.shape).as_ms_f64();
        match row.source {
            Source::Engine => step - self.between,
            Source::Client => step,
            Source::Request => step + self.front,
        }
    }

    fn error(&self, rows: &[Row], loss: Loss) -> f64 {
        let error = |row: &Row| (self.predict(row) / row.ms - 1.0).abs();
        let power = if loss == Loss::Squares { 2 } else { 1 };
        rows.iter().map(|row| error(row).powi(power)).sum()
    }
}

pub(super) fn best(rows: &[Row], loss: Loss) -> Coefficients {
    let mut best = solve(rows, 0, loss);
    let longest = rows.iter().map(|row| row.shape.prefill_tokens).max().unwrap_or(0);
    for free in FREE_TOKENS.into_iter().filter(|free| *free > 0 && free * 4 <= longest) {
        let candidate = solve(rows, free, loss);
        let error = best.error(rows, loss);
        // What is exact already cannot be bettered, only rounded otherwise.
        if error > EXACT && candidate.error(rows, loss) < (1.0 - WORTH) * error {
            best = candidate;
        }
    }
    best
}

/// What a fit makes small, of relative errors.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Loss {
    /// Their squares: the mean comes out.
    Squares,
    /// Their sizes: rows far off pull no more than others.
    Absolute,
}

impl Loss {
    fn weight(self, fitted: f64, measured: f64) -> f64 {
        let fitted = fitted.max(1e-6);
        match self {
            Loss::Squares => 1.0 / fitted,
            // Squares of errors that are divided by their own size; those near 0 count alike.
            Loss::Absolute => 1.0 / (fitted * (measured / fitted - 1.0).abs().max(0.01).sqrt()),
        }
    }
}

fn solve(rows: &[Row], free: u64, loss: Loss) -> Coefficients {
    let mut weights: Vec<f64> = rows.iter().map(|row| 1.0 / row.ms).collect();
    let mut found = Coefficients { spec: LinearSpec::default(), between: 0.0, front: 0.0 };
    let told = Told::by(rows);
    for _ in 0..REPEATS {
        let weighted: Vec<(Vec<f64>, f64)> = rows
            .iter()
            .zip(&weights)
            .map(|(row, weight)| {
                let features = features(row, free, told);
                (features.iter().map(|value| value * weight).collect(), row.ms * weight)
            })
            .collect();
        found = coefficients(&nnls::solve(&weighted, FEATURES), free);
        weights = rows.iter().map(|row| loss.weight(found.predict(row), row.ms)).collect();
    }
    found
}

/// What can be told apart.
#[derive(Clone, Copy)]
struct Told {
    /// The engine's time and what passes between its steps: both clocks measured.
    between: bool,
    /// A step with prefill and the way to it: such steps were measured with and without that.
    front: bool,
}

impl Told {
    fn by(rows: &[Row]) -> Told {
        let any = |is: fn(&Row) -> bool| rows.iter().any(is);
        Told {
            between: any(|row| row.source == Source::Engine)
                && any(|row| row.source != Source::Engine),
            front: any(|row| row.source == Source::Request)
                && any(|row| row.source != Source::Request && row.is_prefill()),
        }
    }
}

const FEATURES: usize = 8;

fn features(row: &Row, free: u64, told: Told) -> [f64; FEATURES] {
    let shape = &row.shape;
    [
        1.0,
        f64::from(shape.prefill_tokens > 0),
        shape.prefill_tokens.saturating_sub(free) as f64,
        shape.prefill_attention_x2 as f64 / 2.0,
        shape.decode_seqs as f64,
        shape.decode_context as f64,
        f64::from(told.between && row.source != Source::Engine),
        f64::from(told.front && row.source == Source::Request),
    ]
}

fn coefficients(x: &[f64], free: u64) -> Coefficients {
    let spec = LinearSpec {
        step_ms: x[0] + x[6],
        prefill_step_ms: x[1],
        prefill_token_ms: x[2],
        prefill_free_tokens: free,
        prefill_attention_ms: x[3],
        decode_seq_ms: x[4],
        decode_context_ms: x[5],
    };
    Coefficients { spec, between: x[6], front: x[7] }
}

fn r2(points: &[Point]) -> f64 {
    let seen: Vec<&Point> = points.iter().filter(|point| !point.is_held_out).collect();
    let centre = mean(&seen.iter().map(|point| point.measured).collect::<Vec<f64>>());
    let sum = |of: &dyn Fn(&Point) -> f64| seen.iter().map(|point| of(point).powi(2)).sum::<f64>();
    1.0 - sum(&|point| point.measured - point.fitted) / sum(&|point| point.measured - centre)
}

fn halves(points: &[Point], is_prefill: bool) -> Halves {
    let of = |is_held_out: bool| {
        let chosen =
            |point: &&Point| point.is_prefill == is_prefill && point.is_held_out == is_held_out;
        let error = |point: &Point| (point.fitted / point.measured - 1.0).abs();
        Errors::of(points.iter().filter(chosen).map(error).collect())
    };
    Halves { fitted: of(false), held_out: of(true) }
}

impl Errors {
    /// Of a list of relative errors.
    pub fn of(mut errors: Vec<f64>) -> Errors {
        errors.sort_unstable_by(f64::total_cmp);
        Errors {
            rows: errors.len(),
            p50: quantile(&errors, 0.5),
            p90: quantile(&errors, 0.9),
            max: errors.last().copied().unwrap_or(f64::NAN),
        }
    }
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
