//! When sessions start, for every open-loop [`ArrivalSpec`].
//!
//! One method serves them all. A process of rate 1 gives points on an axis of *expected starts*:
//! 0, 1, 2, ... for constant spacing, exponential or gamma gaps of mean 1 otherwise. The process's
//! cumulative rate Λ(t) = ∫ rate, inverted, maps that axis to time (the time-change theorem for
//! Poisson processes: Çinlar, *Introduction to Stochastic Processes*, 1975, §4.7), so ramps and
//! bursts are exact and need no thinning, under every spacing. Constant spacing starts at 0; the
//! others draw their first gap too.

use crate::rng::{Rng, Stream, stream};
use crate::scenario::{ArrivalSpec, Spacing};
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
    Steady {
        rate: f64,
    },
    OnOff {
        rate: f64,
        off_rate: f64,
        on: f64,
        off: f64,
    },
    Ramp {
        from: f64,
        to: f64,
        over: f64,
    },
    /// All of `size` starts at once: Λ is a staircase, and its inverse the time of the next step.
    Burst {
        size: f64,
        every: f64,
    },
}

impl Gaps {
    /// `None` where the shape is beyond what can be drawn from.
    fn new(spacing: Spacing, burstiness: Option<f64>) -> Option<Gaps> {
        match spacing {
            Spacing::Poisson => Some(Gaps::Exponential),
            Spacing::Constant => Some(Gaps::Even),
            Spacing::Gamma => Gaps::gamma(burstiness.unwrap_or(1.0)),
        }
    }

    fn gamma(burstiness: f64) -> Option<Gaps> {
        Gamma::new(burstiness, burstiness.recip()).ok().map(Gaps::Gamma)
    }
}

impl Arrivals {
    /// The process `spec`; `None` where starts follow completions or a trace.
    pub fn new(spec: &ArrivalSpec, seed: u64) -> Option<Arrivals> {
        let (gaps, clock) = match *spec {
            ArrivalSpec::Constant { rate } => (Gaps::Even, Clock::Steady { rate }),
            ArrivalSpec::Poisson { rate } => (Gaps::Exponential, Clock::Steady { rate }),
            ArrivalSpec::Gamma { rate, burstiness } => {
                (Gaps::gamma(burstiness)?, Clock::Steady { rate })
            }
            ArrivalSpec::OnOff { rate, off_rate, on, off, spacing, burstiness } => {
                (Gaps::new(spacing, burstiness)?, on_off(rate, off_rate, on, off))
            }
            ArrivalSpec::Ramp { from_rate, to_rate, over, spacing, burstiness } => {
                (Gaps::new(spacing, burstiness)?, ramp(from_rate, to_rate, over))
            }
            ArrivalSpec::Burst { size, every } => {
                let size = f64::from(size);
                (Gaps::Even, Clock::Burst { size, every: every.as_secs_f64() })
            }
            ArrivalSpec::Closed { .. } | ArrivalSpec::Sessions { .. } | ArrivalSpec::Timestamps => {
                return None;
            }
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
            Clock::Burst { size, every } => (expected / size).floor() * every,
            // Its root below would be 0 / 0 where the rate begins at 0.
            Clock::Ramp { .. } if expected <= 0.0 => 0.0,
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
mod tests;
