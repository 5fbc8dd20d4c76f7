//! The one number that a capacity search varies: starts per second, or the speed of a trace.
//!
//! The rule that keeps runs long enough: at a higher rate a run gets as many more requests, so that it
//! lasts for the same simulated time; at a lower rate it keeps its number of requests and lasts longer. A run
//! that ends after a time keeps it at a higher rate, and lasts longer at a lower one.

use crate::error::{Error, Result};
use crate::scenario::{ArrivalSpec, Scenario};
use crate::units::Nanos;

/// Fewer requests than this in a run decide nothing about a steady state.
pub const LEAST_REQUESTS: u64 = 500;

/// What a rate is a rate of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Starts of sessions (requests, where a session is one) per second.
    StartsPerSecond,
    /// Times the trace's own speed.
    Speedup,
}

impl Unit {
    /// As it is written behind a number.
    pub fn suffix(self) -> &'static str {
        match self {
            Unit::StartsPerSecond => "/s",
            Unit::Speedup => "×",
        }
    }
}

/// The scenario's own rate.
///
/// # Errors
/// Where its arrivals are not described by one rate, or there are too few requests.
pub fn rate(scenario: &Scenario) -> Result<(f64, Unit)> {
    let requests = scenario.workload.requests.unwrap_or(u64::MAX);
    if requests < LEAST_REQUESTS {
        return Err(Error::input(format!(
            "{requests} requests are too few to tell a steady state; give --num-requests {LEAST_REQUESTS} or more"
        )));
    }
    match &scenario.workload.arrival {
        Some(
            ArrivalSpec::Constant { rate }
            | ArrivalSpec::Poisson { rate }
            | ArrivalSpec::Gamma { rate, .. },
        ) => {
            let starts = scenario.workload.duration.map(|time| time.as_secs_f64() * rate);
            if let Some(starts) = starts.filter(|starts| *starts < LEAST_REQUESTS as f64) {
                return Err(Error::input(format!(
                    "{starts:.0} starts are too few to tell a steady state; raise --duration or \
                     --request-rate until their product is {LEAST_REQUESTS} or more"
                )));
            }
            Ok((*rate, Unit::StartsPerSecond))
        }
        None | Some(ArrivalSpec::Timestamps) => Ok((scenario.workload.speedup, Unit::Speedup)),
        Some(_) => Err(Error::input(
            "a capacity is a rate, and these arrivals have no single one; give --request-rate R to start from",
        )),
    }
}

/// The scenario at another rate.
///
/// # Errors
/// As [`rate`].
pub fn at_rate(scenario: &Scenario, new: f64) -> Result<Scenario> {
    let (own, unit) = rate(scenario)?;
    let mut scenario = scenario.clone();
    let workload = &mut scenario.workload;
    let longer = |time: Nanos| Nanos::from_secs_f64(time.as_secs_f64() * (own / new).max(1.0));
    workload.duration = workload.duration.map(longer);
    match (&mut workload.arrival, unit) {
        (
            Some(
                ArrivalSpec::Constant { rate }
                | ArrivalSpec::Poisson { rate }
                | ArrivalSpec::Gamma { rate, .. },
            ),
            Unit::StartsPerSecond,
        ) => {
            *rate = new;
            let longer = |requests: u64| (requests as f64 * (new / own).max(1.0)).ceil() as u64;
            workload.requests = workload.requests.map(longer);
        }
        _ => workload.speedup = new,
    }
    Ok(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Draft;

    fn with_duration(duration: &str) -> Scenario {
        let mut draft = Draft::load("diverse").unwrap();
        draft.unset("workload.requests");
        draft.set_text("workload.arrival={ process = 'poisson', rate = 10 }").unwrap();
        draft.set_text(&format!("workload.duration={duration}")).unwrap();
        draft.finish().unwrap()
    }

    #[test]
    fn a_duration_holds_at_a_higher_rate_and_grows_at_a_lower_one() {
        let scenario = with_duration("100s");
        let seconds =
            |rate: f64| at_rate(&scenario, rate).unwrap().workload.duration.unwrap().as_secs_f64();
        assert_eq!([seconds(5.0), seconds(10.0), seconds(20.0)], [200.0, 100.0, 100.0]);
        let why = rate(&with_duration("40s")).unwrap_err().to_string();
        assert!(why.contains("400 starts") && why.contains("--duration"), "{why}");
    }
}
