//! Measured step times, interpolated: bilinear between grid points, on linear axes.
//!
//! Two grids, ms: `prefill(n, c)`, one chunk of n new tokens on a context of c, and `decode(b, c)`,
//! b sequences of c tokens each. Outside a grid its outermost cell is continued linearly, never below
//! 0: far outside it is a guess, so a preset states its range.
//!
//! A batch of N prefill tokens in any number of chunks with attention work `A = Σ n (c + n/2)`, and b
//! decoding sequences, takes `prefill(M, A/M − M/2) + decode(b, c) − decode(b, 1)`, `M = N + b`: one
//! pass of all that is not attention over M tokens, with the attention work that there is (measured
//! mixed steps behave like this, `shared/data/latency/README.md`; several short chunks have less
//! attention than one long one, so the first argument's context may be below 0), then the attention
//! of the decoding. Without prefill it is `decode(b, c)`.
//!
//! Some sources extrapolate prefill on a cached context and come out too low, so that grid is first
//! raised to `max(prefill(n, c), prefill(n, less c), decode(1, c))`; no prefill takes less than a
//! decoding step of one sequence on its mean context.

use super::{BatchShape, LatencyModel};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// Two grids of step times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// One chunk of `rows` new tokens on a context of `columns` tokens.
    pub prefill: Grid,
    /// `rows` sequences of `columns` tokens each, one new token per sequence.
    pub decode: Grid,
}

/// Values at the crossings of two ascending axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// First axis.
    pub rows: Vec<u32>,
    /// Second axis.
    pub columns: Vec<u32>,
    /// Milliseconds, one list per entry of `rows`.
    pub ms: Vec<Vec<f64>>,
}

impl TableSpec {
    /// What is wrong with the grids, as the rest of a sentence.
    ///
    /// # Errors
    /// Where an axis does not ascend, a grid is not rectangular, or a time is not above 0.
    pub fn check(&self) -> Result<(), String> {
        self.prefill.check().map_err(|why| format!("table.prefill.{why}"))?;
        self.decode.check().map_err(|why| format!("table.decode.{why}"))
    }
}

impl Grid {
    fn check(&self) -> Result<(), String> {
        for (key, axis) in [("rows", &self.rows), ("columns", &self.columns)] {
            if axis.len() < 2 || axis.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(format!("{key} must hold two or more ascending numbers"));
            }
        }
        let is_full = self.ms.len() == self.rows.len()
            && self.ms.iter().all(|row| row.len() == self.columns.len());
        if !is_full {
            return Err("ms must hold one list per entry of rows, each as long as columns".into());
        }
        if self.ms.iter().flatten().any(|ms| !ms.is_finite() || *ms <= 0.0) {
            return Err("ms must hold finite numbers above 0".into());
        }
        Ok(())
    }

    /// Bilinear, continued linearly outside; not below 0.
    fn at(&self, row: f64, column: f64) -> f64 {
        let (r, down) = cell(&self.rows, row);
        let (c, right) = cell(&self.columns, column);
        let along = |r: usize| self.ms[r][c] + right * (self.ms[r][c + 1] - self.ms[r][c]);
        let (above, below) = (along(r), along(r + 1));
        (above + down * (below - above)).max(0.0)
    }
}

/// The interval of an axis to use for `value`, and the share of it that lies before `value`.
fn cell(axis: &[u32], value: f64) -> (usize, f64) {
    let after = axis.partition_point(|point| f64::from(*point) <= value);
    let low = after.clamp(1, axis.len() - 1) - 1;
    let (from, to) = (f64::from(axis[low]), f64::from(axis[low + 1]));
    (low, (value - from) / (to - from))
}

/// See the module's documentation.
pub struct Table(TableSpec);

impl Table {
    /// `spec` must have passed [`TableSpec::check`].
    pub fn new(spec: &TableSpec) -> Table {
        let mut spec = spec.clone();
        let TableSpec { prefill, decode } = &mut spec;
        for row in &mut prefill.ms {
            let mut least: f64 = 0.0;
            for (ms, context) in row.iter_mut().zip(&prefill.columns) {
                least = least.max(*ms).max(decode.at(1.0, f64::from(*context)));
                *ms = least;
            }
        }
        Table(spec)
    }

    fn decode(&self, batch: &BatchShape) -> f64 {
        let sequences = batch.decode_seqs as f64;
        // The grid counts the context before the step, the batch counts the new token too.
        self.0.decode.at(sequences, batch.decode_context as f64 / sequences - 1.0)
    }

    fn prefill(&self, batch: &BatchShape) -> f64 {
        let tokens = (batch.prefill_tokens + batch.decode_seqs) as f64;
        let context = batch.prefill_attention_x2 as f64 / 2.0 / tokens - tokens / 2.0;
        let mean = batch.prefill_context as f64 / batch.prefill_seqs as f64;
        self.0.prefill.at(tokens, context).max(self.0.decode.at(1.0, mean))
    }
}

impl LatencyModel for Table {
    fn step(&self, batch: &BatchShape) -> Nanos {
        let ms = match (batch.prefill_tokens, batch.decode_seqs) {
            (0, 0) => 0.0,
            (0, _) => self.decode(batch),
            (_, 0) => self.prefill(batch),
            (_, sequences) => {
                let first = self.0.decode.at(sequences as f64, 1.0);
                self.prefill(batch) + (self.decode(batch) - first).max(0.0)
            }
        };
        Nanos::from_ms_f64(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` tokens cost 2 each, attention 0.01 per pair, decoding 1 + 0.1 per sequence and 0.001 per
    /// token of context: bilinear, so the table must give it back everywhere above its clamps.
    fn exact() -> Table {
        let grid = |rows: &[u32], columns: &[u32], ms: fn(f64, f64) -> f64| Grid {
            rows: rows.into(),
            columns: columns.into(),
            ms: rows
                .iter()
                .map(|r| columns.iter().map(|c| ms((*r).into(), (*c).into())).collect())
                .collect(),
        };
        let spec = TableSpec {
            prefill: grid(&[16, 64, 256], &[0, 100, 400], |n, c| 2.0 * n + 0.01 * n * c),
            decode: grid(&[1, 8, 64], &[10, 100, 1000], |b, c| 1.0 + 0.1 * b + 0.001 * b * c),
        };
        spec.check().unwrap();
        Table::new(&spec)
    }

    fn step(chunks: &[(u32, u32)], decodes: &[u32]) -> f64 {
        let mut batch = BatchShape::default();
        chunks.iter().for_each(|(context, new)| batch.prefill(*context, *new));
        decodes.iter().for_each(|context| batch.decode(context + 1));
        exact().step(&batch).as_ms_f64()
    }

    #[test]
    fn points_between_and_beyond_those_of_the_grid_are_interpolated() {
        let close = |ours: f64, exact: f64| assert!((ours - exact).abs() < 1e-6, "{ours}, {exact}");
        close(step(&[(100, 64)], &[]), 128.0 + 64.0);
        close(step(&[(50, 40)], &[]), 80.0 + 20.0);
        close(step(&[(1000, 1000)], &[]), 2000.0 + 10_000.0);
        close(step(&[], &[55, 55]), 1.2 + 0.11);
        close(step(&[], &[30, 80]), 1.2 + 0.11);
        close(step(&[], &[2000; 100]), 11.0 + 200.0);
        assert_eq!(step(&[], &[]), 0.0);
    }

    #[test]
    fn a_mixed_step_is_one_pass_over_all_tokens_and_the_attention_of_both() {
        let mixed = step(&[(100, 60)], &[500; 4]);
        // 64 tokens, the attention of 60 on 100 beyond that of 64 tokens alone, decode attention.
        let attention = 0.01 * (60.0 * (100.0 + 30.0) - 64.0 * 32.0);
        assert!((mixed - (128.0 + attention + 0.001 * 4.0 * 499.0)).abs() < 1e-6, "{mixed}");
    }

    #[test]
    fn several_chunks_have_the_attention_of_each() {
        let one = step(&[(0, 256)], &[]);
        let four = step(&[(0, 64); 4], &[]);
        assert!((one - four - 0.01 * (256.0 * 128.0 - 4.0 * 64.0 * 32.0)).abs() < 1e-6);
    }

    #[test]
    fn prefill_on_a_context_never_takes_less_than_without_or_than_decoding() {
        let mut spec = exact().0;
        spec.prefill.ms[0] = vec![40.0, 30.0, 20.0];
        spec.decode.ms[0] = vec![1.0, 10.0, 100.0];
        let table = Table::new(&spec);
        assert_eq!(table.0.prefill.ms[0], [40.0, 40.0, 40.0]);
        let mut batch = BatchShape::default();
        batch.prefill(1000, 1);
        assert_eq!(table.step(&batch).as_ms_f64(), 100.0);
    }

    #[test]
    fn damaged_grids_are_refused() {
        let good = exact().0;
        let wrong = |damage: fn(&mut TableSpec)| {
            let mut spec = good.clone();
            damage(&mut spec);
            spec.check().unwrap_err()
        };
        assert!(wrong(|spec| spec.prefill.rows[1] = 16).contains("prefill.rows"));
        assert!(wrong(|spec| spec.decode.columns.truncate(1)).contains("decode.columns"));
        assert!(wrong(|spec| spec.decode.ms[1].truncate(1)).contains("one list per entry"));
        assert!(wrong(|spec| spec.decode.ms[1][1] = f64::NAN).contains("above 0"));
    }
}
