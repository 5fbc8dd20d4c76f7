//! When sessions start, for every open-loop [`ArrivalSpec`].
//!
//! One method serves them all. A process of rate 1 gives points on an axis of *expected starts*:
//! 0, 1, 2, ... for constant spacing, exponential or gamma gaps of mean 1 otherwise. The process's
//! cumulative rate Λ(t) = ∫ rate, inverted, maps that axis to time (the time-change theorem for
//! Poisson processes: Çinlar, *Introduction to Stochastic Processes*, 1975, §4.7), so ramps and
//! bursts are exact and need no thinning. Constant spacing starts at 0; the others draw their first
//! gap too.

use crate::rng::{Rng, Stream, stream};
use crate::scenario::ArrivalSpec;
use crate::units::Nanos;
use rand_distr::{Distribution, Exp1, Gamma};

/// Start times of sessions, without end, never decreasing.
#[derive(Debug)]
pub struct Arrivals {
    gaps: Gaps,
    clock: Clock,
    rng: Rng,
    /// Starts expected up to the last one handed out.
    expected: f64,
}

/// Gaps on the axis of expected starts; their mean is 1.
#[derive(Debug)]
enum Gaps {
    /// Points 0, 1, 2, ...
    Even,
    Exponential,
    Gamma(Gamma<f64>),
}

/// The cumulative rate, by its parameters; rates per second, times in seconds.
#[derive(Debug)]
enum Clock {
    Steady { rate: f64 },
    OnOff { rate: f64, off_rate: f64, on: f64, off: f64 },
    Ramp { from: f64, to: f64, over: f64 },
}

impl Arrivals {
    /// The process `spec`; `None` where starts follow completions or a trace.
    pub fn new(spec: &ArrivalSpec, seed: u64) -> Option<Arrivals> {
        let (gaps, clock) = match *spec {
            ArrivalSpec::Constant { rate } => (Gaps::Even, Clock::Steady { rate }),
            ArrivalSpec::Poisson { rate } => (Gaps::Exponential, Clock::Steady { rate }),
            ArrivalSpec::Gamma { rate, burstiness } => {
                let law = Gamma::new(burstiness, burstiness.recip()).ok()?;
                (Gaps::Gamma(law), Clock::Steady { rate })
            }
            ArrivalSpec::OnOff { rate, off_rate, on, off } => {
                (Gaps::Exponential, on_off(rate, off_rate, on, off))
            }
            ArrivalSpec::Ramp { from_rate, to_rate, over } => {
                (Gaps::Exponential, ramp(from_rate, to_rate, over))
            }
            ArrivalSpec::Closed { .. } | ArrivalSpec::Timestamps => return None,
        };
        Some(Arrivals {
            // The first point of even spacing is 0.
            expected: if matches!(gaps, Gaps::Even) { -1.0 } else { 0.0 },
            gaps,
            clock,
            rng: stream(seed, Stream::Arrivals, 0),
        })
    }

    /// The next start.
    pub fn next_start(&mut self) -> Nanos {
        self.expected += match &self.gaps {
            Gaps::Even => 1.0,
            Gaps::Exponential => Exp1.sample(&mut self.rng),
            Gaps::Gamma(law) => law.sample(&mut self.rng),
        };
        Nanos::from_secs_f64(self.clock.at(self.expected))
    }
}

impl Iterator for Arrivals {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        Some(self.next_start())
    }
}

fn on_off(rate: f64, off_rate: f64, on: Nanos, off: Nanos) -> Clock {
    Clock::OnOff { rate, off_rate, on: on.as_secs_f64(), off: off.as_secs_f64() }
}

fn ramp(from: f64, to: f64, over: Nanos) -> Clock {
    Clock::Ramp { from, to, over: over.as_secs_f64() }
}

impl Clock {
    /// The time, in seconds, by which `expected` starts are expected: the inverse of Λ.
    fn at(&self, expected: f64) -> f64 {
        match *self {
            Clock::Steady { rate } => expected / rate,
            Clock::OnOff { rate, off_rate, on, off } => {
                let (burst, pause) = (rate * on, off_rate * off);
                let rounds = (expected / (burst + pause)).floor();
                let rest = (expected - rounds * (burst + pause)).max(0.0);
                let within =
                    if rest <= burst { rest / rate } else { on + (rest - burst) / off_rate };
                // A pause without starts leaves rounding nothing to land on but its end.
                rounds * (on + off) + within.min(on + off)
            }
            Clock::Ramp { from, to, over } => {
                let whole = (from + to) / 2.0 * over;
                if expected >= whole {
                    return over + (expected - whole) / to;
                }
                // Root of from·t + slope·t²/2 = expected, in the form that never cancels.
                let slope = (to - from) / over;
                let rate = (from * from + 2.0 * slope * expected).max(0.0).sqrt();
                2.0 * expected / (from + rate)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(spec: &ArrivalSpec, seed: u64, count: usize) -> Vec<f64> {
        let arrivals = Arrivals::new(spec, seed).unwrap();
        let times: Vec<Nanos> = arrivals.take(count).collect();
        assert!(times.is_sorted(), "{spec:?} went back");
        times.into_iter().map(Nanos::as_secs_f64).collect()
    }

    /// Mean and coefficient of variation of the gaps, the one before the first start included.
    fn gaps(starts: &[f64]) -> (f64, f64) {
        let mut before = 0.0;
        let gaps: Vec<f64> =
            starts.iter().map(|start| start - std::mem::replace(&mut before, *start)).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let var = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        (mean, var.sqrt() / mean)
    }

    fn secs(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn constant_starts_at_zero_and_does_not_drift() {
        let starts: Vec<Nanos> =
            Arrivals::new(&ArrivalSpec::Constant { rate: 3.0 }, 1).unwrap().take(30_001).collect();
        assert_eq!(starts[..3], [Nanos(0), Nanos(333_333_333), Nanos(666_666_667)]);
        assert_eq!(starts[30_000], secs(10_000));
    }

    #[test]
    fn poisson_and_gamma_gaps_have_the_promised_rate_and_burstiness() {
        let rate = 20.0;
        let gamma = |burstiness| ArrivalSpec::Gamma { rate, burstiness };
        for (spec, cv) in [
            (ArrivalSpec::Poisson { rate }, 1.0),
            (gamma(1.0), 1.0),
            (gamma(0.25), 2.0),
            (gamma(4.0), 0.5),
        ] {
            let (mean, found) = gaps(&starts(&spec, 3, 40_000));
            assert!((mean * rate - 1.0).abs() < 0.03, "{spec:?}: mean {mean}");
            assert!((found / cv - 1.0).abs() < 0.04, "{spec:?}: cv {found}");
        }
    }

    #[test]
    fn bursts_hold_their_share_and_pauses_without_a_rate_are_empty() {
        let spec =
            |off_rate| ArrivalSpec::OnOff { rate: 50.0, off_rate, on: secs(2), off: secs(6) };
        let burst = |starts: &[f64]| {
            let inside = starts.iter().filter(|start| **start % 8.0 <= 2.0).count();
            inside as f64 / starts.len() as f64
        };
        assert!(burst(&starts(&spec(0.0), 5, 10_000)) == 1.0);
        // 100 starts in a burst, 60 in a pause.
        let busy = starts(&spec(10.0), 5, 40_000);
        assert!((burst(&busy) - 0.625).abs() < 0.01);
        assert!((busy[39_999] / (40_000.0 / 160.0 * 8.0) - 1.0).abs() < 0.02);
    }

    #[test]
    fn ramps_hold_the_integral_of_their_rate_and_then_stay() {
        for (from_rate, to_rate) in [(0.0, 100.0), (100.0, 20.0), (50.0, 50.0)] {
            let spec = ArrivalSpec::Ramp { from_rate, to_rate, over: secs(200) };
            let starts = starts(&spec, 9, 60_000);
            let until = |end: f64| starts.iter().filter(|start| **start < end).count() as f64;
            let half = 100.0 * (from_rate * 0.75 + to_rate * 0.25);
            let whole = 100.0 * (from_rate + to_rate);
            for (end, want) in [(100.0, half), (200.0, whole), (300.0, whole + 100.0 * to_rate)] {
                let found = until(end);
                assert!((found - want).abs() < 4.0 * want.sqrt(), "{spec:?}: {found}, {want}");
            }
        }
    }

    #[test]
    fn closed_loops_and_timestamps_are_no_process() {
        assert!(Arrivals::new(&ArrivalSpec::Closed { concurrency: 1 }, 1).is_none());
        assert!(Arrivals::new(&ArrivalSpec::Timestamps, 1).is_none());
    }
}
