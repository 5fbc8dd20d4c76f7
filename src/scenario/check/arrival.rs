//! Checks of `workload.arrival`.

use super::*;

pub(super) fn check(arrival: &ArrivalSpec, kind: WorkloadKind) -> Check {
    match arrival {
        ArrivalSpec::Constant { rate } | ArrivalSpec::Poisson { rate } => above_0("rate", *rate),
        ArrivalSpec::Gamma { rate, burstiness } => {
            above_0("rate", *rate).and(above_0("burstiness", *burstiness))
        }
        ArrivalSpec::OnOff { rate, off_rate, on, off, spacing, burstiness } => {
            above_0("rate", *rate)?;
            not_negative("workload.arrival.off_rate", *off_rate)?;
            if on.0 == 0 || off.0 == 0 {
                return Err("workload.arrival.on and off must be longer than 0".into());
            }
            shape(*spacing, *burstiness)
        }
        ArrivalSpec::Ramp { from_rate, to_rate, over, spacing, burstiness } => {
            not_negative("workload.arrival.from_rate", *from_rate)?;
            above_0("to_rate", *to_rate)?;
            longer_than_0("over", *over)?;
            shape(*spacing, *burstiness)
        }
        ArrivalSpec::Burst { size, every } => {
            count("size", *size).and(longer_than_0("every", *every))
        }
        ArrivalSpec::Closed { concurrency, .. } => count("concurrency", *concurrency),
        ArrivalSpec::Sessions { sessions, .. } => count("sessions", *sessions),
        ArrivalSpec::Timestamps if kind != WorkloadKind::Trace => {
            Err("workload.arrival.process = \"timestamps\" needs a trace; name another process"
                .into())
        }
        ArrivalSpec::Timestamps => Ok(()),
    }
}

fn above_0(name: &str, value: f64) -> Check {
    positive(&format!("workload.arrival.{name}"), value)
}

fn count(name: &str, value: u32) -> Check {
    between(&format!("workload.arrival.{name}"), f64::from(value), 1.0, 1e9)
}

fn longer_than_0(name: &str, time: Nanos) -> Check {
    if time > Nanos::ZERO {
        return Ok(());
    }
    Err(format!("workload.arrival.{name} must be longer than 0"))
}

/// Gamma spacing has a shape, and no other has.
fn shape(spacing: Spacing, burstiness: Option<f64>) -> Check {
    match (spacing, burstiness) {
        (Spacing::Gamma, Some(burstiness)) => above_0("burstiness", burstiness),
        (Spacing::Gamma, None) => {
            Err("workload.arrival.spacing = \"gamma\" needs workload.arrival.burstiness".into())
        }
        (_, Some(_)) => {
            Err("workload.arrival.burstiness is a property of spacing = \"gamma\"; leave it out"
                .into())
        }
        (_, None) => Ok(()),
    }
}
