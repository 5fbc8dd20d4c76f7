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

/// Bursts of 50 a second for 2 s, then `off_rate` for 6 s.
fn on_off_of(off_rate: f64, spacing: Spacing, burstiness: Option<f64>) -> ArrivalSpec {
    ArrivalSpec::OnOff { rate: 50.0, off_rate, on: secs(2), off: secs(6), spacing, burstiness }
}

/// A ramp over 200 s.
fn ramp_of(from_rate: f64, to_rate: f64, spacing: Spacing, burstiness: Option<f64>) -> ArrivalSpec {
    ArrivalSpec::Ramp { from_rate, to_rate, over: secs(200), spacing, burstiness }
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
    let spec = |off_rate| on_off_of(off_rate, Spacing::Poisson, None);
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
        let spec = ramp_of(from_rate, to_rate, Spacing::Poisson, None);
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
fn even_spacing_follows_a_changing_rate_exactly() {
    // From 0 to 2 a second in 8 s: t²/8 starts by then, and one every half second after.
    let ramp = ArrivalSpec::Ramp {
        from_rate: 0.0,
        to_rate: 2.0,
        over: secs(8),
        spacing: Spacing::Constant,
        burstiness: None,
    };
    let found = starts(&ramp, 1, 12);
    for (place, start) in found.iter().enumerate() {
        let place = place as f64;
        let due = if place <= 8.0 { (8.0 * place).sqrt() } else { 8.0 + (place - 8.0) / 2.0 };
        assert!((start - due).abs() < 1e-8, "{place}: {start}, {due}");
    }
    let found = starts(&on_off_of(0.0, Spacing::Constant, None), 1, 201);
    assert_eq!(
        [found[0], found[1], found[99], found[100], found[200]],
        [0.0, 0.02, 1.98, 8.0, 16.0]
    );
}

#[test]
fn gamma_spacing_keeps_its_burstiness_on_a_ramp_and_in_bursts() {
    let cv = |spec: &ArrivalSpec, rate: &dyn Fn(f64) -> f64| {
        let expected: Vec<f64> = starts(spec, 4, 40_000).into_iter().map(rate).collect();
        gaps(&expected).1
    };
    let ramp = |burstiness| ramp_of(50.0, 150.0, Spacing::Gamma, Some(burstiness));
    let by_ramp = |t: f64| if t < 200.0 { 50.0 * t + t * t / 4.0 } else { 150.0 * t - 10_000.0 };
    let on_off = |burstiness| on_off_of(25.0, Spacing::Gamma, Some(burstiness));
    let by_on_off = |t: f64| {
        let (rounds, within) = ((t / 8.0).floor(), t % 8.0);
        rounds * 250.0 + 50.0 * within.min(2.0) + 25.0 * (within - 2.0).max(0.0)
    };
    for (burstiness, want) in [(0.25, 2.0), (4.0, 0.5)] {
        let found = cv(&ramp(burstiness), &by_ramp);
        assert!((found / want - 1.0).abs() < 0.04, "ramp: {found}, {want}");
        let found = cv(&on_off(burstiness), &by_on_off);
        assert!((found / want - 1.0).abs() < 0.04, "on-off: {found}, {want}");
    }
}

#[test]
fn closed_loops_and_timestamps_are_no_process() {
    let ramp_up = Nanos::ZERO;
    assert!(Arrivals::new(&ArrivalSpec::Closed { concurrency: 1, ramp_up }, 1).is_none());
    assert!(Arrivals::new(&ArrivalSpec::Sessions { sessions: 1, ramp_up }, 1).is_none());
    assert!(Arrivals::new(&ArrivalSpec::Timestamps, 1).is_none());
}
