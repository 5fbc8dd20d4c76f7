//! What a rate has to satisfy to count: no overload, latencies within limits, or enough goodput.

use super::steady::sorted_ms;
use crate::error::{Error, Result};
use crate::request::RequestRecord;
use crate::scenario::Slo;
use crate::stats::{mean, quantile};
use crate::units::Nanos;

/// Which value of a latency's distribution is held against its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// A percentile, 0 to 100.
    Percentile(f64),
}

impl Statistic {
    fn of(self, sorted: &[f64]) -> f64 {
        match self {
            Statistic::Mean => mean(sorted),
            Statistic::Percentile(percent) => quantile(sorted, percent / 100.0),
        }
    }

    fn name(self) -> String {
        match self {
            Statistic::Mean => "mean".into(),
            Statistic::Percentile(percent) => format!("p{percent}"),
        }
    }
}

/// What has to hold. In every case the queue must not grow without bound either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing more.
    NotOverloaded,
    /// One statistic of every latency that has a limit is within it.
    Latency {
        /// The limits.
        slo: Slo,
        /// Mean or percentile.
        statistic: Statistic,
    },
    /// This share of the requests meets every limit.
    Goodput {
        /// The limits.
        slo: Slo,
        /// Share of the requests, 0 to 1.
        share: f64,
    },
}

/// Largest shortfall, so that means over seeds stay finite: a latency e^14 times its limit.
const MOST: f64 = 14.0;

impl Goal {
    /// From the words of the command line: limits, and `mean`, `p99`, ... or `goodput`.
    ///
    /// # Errors
    /// Where the metric is not known, or given without limits.
    pub fn parse(slo: Option<Slo>, metric: Option<&str>, share: f64) -> Result<Goal> {
        let Some(slo) = slo else {
            return match metric {
                None => Ok(Goal::NotOverloaded),
                Some(metric) => Err(Error::input(format!(
                    "--metric {metric} needs limits to hold against; give for example --slo \"ttft:2000\""
                ))),
            };
        };
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::input(format!("--share {share}: give a share from 0 to 1")));
        }
        let metric = metric.unwrap_or("p99");
        if metric == "goodput" {
            return Ok(Goal::Goodput { slo, share });
        }
        let percentile = metric.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok());
        let statistic = match (metric, percentile) {
            ("mean", _) => Statistic::Mean,
            (_, Some(percent)) if percent > 0.0 && percent < 100.0 => {
                Statistic::Percentile(percent)
            }
            _ => {
                return Err(Error::input(format!(
                    "--metric {metric} is not known; give mean, goodput or a percentile like p99"
                )));
            }
        };
        Ok(Goal::Latency { slo, statistic })
    }

    /// How far the requests are from the goal: at most 0 where they meet it. For latencies the
    /// logarithm of value / limit, the worst of them; for goodput the missing share.
    pub fn shortfall(&self, steady: &[&RequestRecord], overloaded: bool) -> f64 {
        match self {
            Goal::NotOverloaded => f64::from(u8::from(overloaded)) - 0.5,
            Goal::Latency { slo, statistic } => {
                let worst = limits(slo).filter_map(|(_, limit, time)| {
                    let values = sorted(steady, time);
                    (!values.is_empty()).then(|| (statistic.of(&values) / limit).ln())
                });
                worst.fold(-MOST, f64::max).clamp(-MOST, MOST)
            }
            Goal::Goodput { slo, share } => share - good_share(steady, slo),
        }
    }

    /// The value behind a mean shortfall, in words: `p99 TTFT 1,830 ms`. For several limits it is
    /// the worst one's, relative to its limit.
    pub fn describe(&self, shortfall: f64) -> String {
        match self {
            Goal::NotOverloaded if shortfall > 0.0 => "overloaded".into(),
            Goal::NotOverloaded => "not overloaded".into(),
            Goal::Latency { slo, statistic } => {
                let name = statistic.name();
                let all: Vec<_> = limits(slo).collect();
                match all.as_slice() {
                    [(what, limit, _)] => {
                        format!("{name} {what} {:.0} ms", limit * shortfall.exp())
                    }
                    _ => format!("{name} at {:.2} times its limit", shortfall.exp()),
                }
            }
            Goal::Goodput { share, .. } => {
                format!("{:.1} % of requests within limits", 100.0 * (share - shortfall))
            }
        }
    }

    /// The goal itself, in words.
    pub fn name(&self) -> String {
        let all = |slo: &Slo| {
            let each = limits(slo).map(|(what, limit, _)| format!("{what} ≤ {limit} ms"));
            each.collect::<Vec<_>>().join(" and ")
        };
        match self {
            Goal::NotOverloaded => "not overloaded".into(),
            Goal::Latency { slo, statistic } => format!("{} {}", statistic.name(), all(slo)),
            Goal::Goodput { slo, share } => {
                format!("at least {} % of requests with {}", 100.0 * share, all(slo))
            }
        }
    }
}

type Time = fn(&RequestRecord) -> Option<Nanos>;

fn tpot(record: &RequestRecord) -> Option<Nanos> {
    record.tpot_ns().map(|ns| Nanos(ns as u64))
}

/// The limits given: name, milliseconds, and the time they limit.
fn limits(slo: &Slo) -> impl Iterator<Item = (&'static str, f64, Time)> {
    let all: [(_, _, Time); 3] = [
        ("TTFT", slo.ttft_ms, RequestRecord::ttft),
        ("ITL", slo.itl_ms, tpot),
        ("E2E", slo.e2e_ms, RequestRecord::e2e),
    ];
    all.into_iter().filter_map(|(name, limit, time)| Some((name, limit?, time)))
}

fn sorted(steady: &[&RequestRecord], time: Time) -> Vec<f64> {
    sorted_ms(steady.iter().filter_map(|record| time(record)))
}

fn good_share(steady: &[&RequestRecord], slo: &Slo) -> f64 {
    let good = steady.iter().filter(|record| {
        let ms = |time: Option<Nanos>| time.map_or(f64::INFINITY, Nanos::as_ms_f64);
        slo.met(ms(record.ttft()), record.tpot_ns().map(|ns| ns / 1e6), ms(record.e2e()))
    });
    good.count() as f64 / steady.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_from_words() {
        let slo = Slo::parse("ttft:2000").ok();
        let p99 = Goal::parse(slo, None, 0.95).unwrap();
        assert_eq!(p99.name(), "p99 TTFT ≤ 2000 ms");
        assert_eq!(p99.describe(0.0), "p99 TTFT 2000 ms");
        let share = Goal::parse(slo, Some("goodput"), 0.95).unwrap();
        assert_eq!(share.name(), "at least 95 % of requests with TTFT ≤ 2000 ms");
        assert_eq!(Goal::parse(slo, Some("p99.9"), 0.0).unwrap().name(), "p99.9 TTFT ≤ 2000 ms");
        assert_eq!(Goal::parse(None, None, 0.0).unwrap(), Goal::NotOverloaded);
        for (slo, metric) in [(slo, "p0"), (slo, "median"), (None, "p99")] {
            assert!(Goal::parse(slo, Some(metric), 0.9).is_err(), "{metric}");
        }
    }
}
