//! `[metrics]`: what of a run is measured.
//!
//! A run begins with empty caches and idle workers. Where the steady state is asked for, its
//! beginning is left out: requests that arrive in the warm-up are simulated like all others and not
//! measured.

use crate::error::{Error, Result};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// `[metrics]`: what of a run is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSpec {
    /// What arrives in it is simulated and not measured: a share of the run's requests, or of its
    /// time where `workload.duration` is given (`"10%"`), a number of requests (`"500 requests"`) or a
    /// time from the first arrival (`"30s"`); default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<String>,
}

/// How long a run warms up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WarmUp {
    /// This share, 0 to below 1, of the requests in order of arrival, or of `workload.duration`.
    Share(f64),
    /// So many requests, in order of arrival.
    Requests(u64),
    /// So long after the first arrival.
    Time(Nanos),
}

impl WarmUp {
    /// Reads `10%`, `500 requests` or `30s`.
    ///
    /// # Errors
    /// A sentence that says which forms are accepted.
    pub fn parse(text: &str) -> Result<WarmUp> {
        let wrong = || {
            Error::input(format!(
                "metrics.warm_up: \"{text}\" is no warm-up; write for example \"10%\" (of the \
                 requests, below 100%), \"500 requests\" or \"30s\""
            ))
        };
        let trimmed = text.trim();
        if let Some(percent) = trimmed.strip_suffix('%') {
            let share = percent.trim().parse::<f64>().map_or(f64::NAN, |percent| percent / 100.0);
            return (0.0..1.0).contains(&share).then_some(WarmUp::Share(share)).ok_or_else(wrong);
        }
        if let Some(count) = trimmed.strip_suffix("requests") {
            return count.trim().parse().map(WarmUp::Requests).map_err(|_| wrong());
        }
        Nanos::parse(trimmed).map(WarmUp::Time).map_err(|_| wrong())
    }

    /// How many of `requests` requests a share stands for, rounded down; a number stands for itself.
    pub fn requests(self, requests: u64) -> u64 {
        match self {
            WarmUp::Share(share) => (share * requests as f64).floor() as u64,
            WarmUp::Requests(count) => count,
            WarmUp::Time(_) => 0,
        }
    }
}

impl MetricsSpec {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == MetricsSpec::default()
    }

    /// The warm-up, if any.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn warm_up(&self) -> Result<Option<WarmUp>> {
        self.warm_up.as_deref().map(WarmUp::parse).transpose()
    }

    /// Replaces a share by its number of requests, once there are known to be `requests`.
    pub(crate) fn count_share_of(&mut self, requests: u64) {
        if let Ok(Some(share @ WarmUp::Share(_))) = self.warm_up() {
            self.warm_up = Some(format!("{} requests", share.requests(requests)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_warm_up() {
        assert_eq!(WarmUp::parse("10%").unwrap(), WarmUp::Share(0.1));
        assert_eq!(WarmUp::parse(" 500 requests").unwrap(), WarmUp::Requests(500));
        assert_eq!(WarmUp::parse("30s").unwrap(), WarmUp::Time(Nanos(30_000_000_000)));
        assert_eq!(WarmUp::Share(0.1).requests(2_805), 280);
        for wrong in ["100%", "-1%", "ten", "10", "", "5 request"] {
            let message = WarmUp::parse(wrong).unwrap_err().to_string();
            assert!(message.contains("10%"), "{message}");
        }
    }
}
