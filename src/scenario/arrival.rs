//! `[workload] arrival`: when sessions start.
//!
//! Open loops start sessions by a rate over time, whatever is still running; closed loops start
//! them as others end, so that a given number is in flight.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// When sessions start. Rates are sessions per second (a single request is a session of one turn).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "process", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ArrivalSpec {
    /// Evenly spaced.
    Constant {
        /// Starts per second, > 0.
        rate: f64,
    },
    /// Exponential gaps.
    Poisson {
        /// Starts per second, > 0.
        rate: f64,
    },
    /// Gamma gaps of shape `burstiness` (vLLM's word): 1 is Poisson, below 1 burstier, above smoother.
    Gamma {
        /// Starts per second, > 0.
        rate: f64,
        /// Shape of the gamma law, > 0; squared coefficient of variation = 1 / burstiness.
        burstiness: f64,
    },
    /// Bursts of `rate` for `on`, then `off_rate` for `off`, repeated.
    OnOff {
        /// Starts per second while on, > 0.
        rate: f64,
        /// Starts per second while off, ≥ 0.
        #[serde(default)]
        off_rate: f64,
        /// Length of a burst.
        on: Nanos,
        /// Length of a pause.
        off: Nanos,
        /// How starts are spaced within the rate.
        #[serde(default, skip_serializing_if = "Spacing::is_default")]
        spacing: Spacing,
        /// Shape of gamma spacing, > 0; required there, refused elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
    },
    /// A rate that goes linearly from `from_rate` to `to_rate` in `over`, then stays.
    Ramp {
        /// Starts per second at the beginning, ≥ 0.
        from_rate: f64,
        /// Starts per second at the end, > 0.
        to_rate: f64,
        /// Length of the ramp.
        over: Nanos,
        /// How starts are spaced within the rate.
        #[serde(default, skip_serializing_if = "Spacing::is_default")]
        spacing: Spacing,
        /// Shape of gamma spacing, > 0; required there, refused elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burstiness: Option<f64>,
    },
    /// `size` sessions at the same instant, at 0 and then every `every`.
    Burst {
        /// Sessions that start together, 1 to 10⁹.
        size: u32,
        /// Time from one burst to the next, > 0.
        every: Nanos,
    },
    /// Closed loop: a new request as soon as one ends, `concurrency` in flight.
    Closed {
        /// Requests in flight, 1 to 10⁹.
        concurrency: u32,
        /// Slots open evenly over this time: slot i of N at i · `ramp_up` / N; 0: all at once.
        #[serde(default, skip_serializing_if = "is_zero")]
        ramp_up: Nanos,
    },
    /// Closed loop of sessions: a new session as soon as one has ended, `sessions` in progress. A
    /// session keeps its slot through its pauses.
    Sessions {
        /// Sessions in progress, 1 to 10⁹.
        sessions: u32,
        /// Slots open evenly over this time: slot i of N at i · `ramp_up` / N; 0: all at once.
        #[serde(default, skip_serializing_if = "is_zero")]
        ramp_up: Nanos,
    },
    /// The trace's own timestamps.
    Timestamps,
}

/// How the starts of an open loop are spaced within a rate that changes over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Exponential gaps.
    #[default]
    Poisson,
    /// Each start exactly when one more is due.
    Constant,
    /// Gamma gaps of shape `burstiness`.
    Gamma,
}

impl Spacing {
    fn is_default(&self) -> bool {
        *self == Spacing::default()
    }
}

fn is_zero(time: &Nanos) -> bool {
    *time == Nanos::ZERO
}

impl ArrivalSpec {
    /// Whether starts follow completions, so that a queue cannot grow without bound.
    pub fn is_closed_loop(&self) -> bool {
        matches!(self, ArrivalSpec::Closed { .. } | ArrivalSpec::Sessions { .. })
    }
}
