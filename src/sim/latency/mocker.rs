//! Dynamo's mocker polynomials, ms (aisimulate-core 0.13 `perf_model.rs`):
//! `prefill(n) = 4.209989e-7 n² + 1.518344e-2 n + 16.50142`, n = `count · (⌊Σisl/count⌋ − ⌊Σprefix/count⌋)`,
//! `decode(a) = max(1, −25.74 p² + 54.01 p + 5.74)`, p = active tokens / KV capacity, at most 1.
//! The two are rounded to whole nanoseconds each and added.

use super::{BatchShape, LatencyModel};
use crate::units::Nanos;

pub struct Mocker {
    pub capacity_tokens: f64,
}

impl LatencyModel for Mocker {
    fn step(&self, batch: &BatchShape) -> Nanos {
        prefill(batch) + self.decode(batch)
    }
}

fn prefill(batch: &BatchShape) -> Nanos {
    let count = batch.prefill_seqs;
    if count == 0 {
        return Nanos::ZERO;
    }
    let isl = (batch.prefill_context + batch.prefill_tokens) / count;
    let n = (count * (isl - batch.prefill_context / count)) as f64;
    if n == 0.0 {
        return Nanos::ZERO;
    }
    Nanos::from_ms_f64(4.209989e-07 * n * n + 1.518344e-02 * n + 1.650142e+01)
}

impl Mocker {
    fn decode(&self, batch: &BatchShape) -> Nanos {
        if batch.decode_seqs == 0 {
            return Nanos::ZERO;
        }
        let p = (batch.decode_context as i64 as f64 / self.capacity_tokens).min(1.0);
        Nanos::from_ms_f64((-25.74 * p * p + 54.01 * p + 5.74).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_times_come_out() {
        let model = Mocker { capacity_tokens: 16.0 * 1024.0 };
        let mut batch = BatchShape::default();
        batch.prefill(0, 1000);
        assert_eq!(model.step(&batch), Nanos(32_105_859));
        let mut batch = BatchShape::default();
        batch.decode(1001);
        assert_eq!(model.step(&batch), Nanos(8_943_724));
    }
}
