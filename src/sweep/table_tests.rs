use super::*;
use crate::sweep::Spec;

/// Two cells, `ttft_p99_ms` by seed.
fn table(first: &[f64], second: &[f64]) -> Table {
    let text = format!(
        "workload = \"diverse\"\nseeds = {}\n[set]\nrouter.mode = \"kv\"\n[grid]\na = [1, 2]",
        first.len()
    );
    let plan = Plan::new(Spec::parse(&text, "test").unwrap()).unwrap();
    let mut rows = Rows::new();
    for (cell, values) in [first, second].into_iter().enumerate() {
        for (seed, value) in (42..).zip(values) {
            rows.insert((cell, seed), Ok(row(*value, 0.0)));
        }
    }
    Table::new(plan, rows)
}

fn row(ttft: f64, overloaded: f64) -> Vec<Option<f64>> {
    let value = |name: &str| match name {
        "ttft_p99_ms" => Some(ttft),
        "overloaded" => Some(overloaded),
        _ => None,
    };
    METRICS.iter().map(|metric| value(metric.name)).collect()
}

fn ttft() -> usize {
    crate::sweep::metric::find("ttft_p99_ms").unwrap()
}

#[test]
fn means_and_paired_differences_agree_with_a_calculation_by_hand() {
    // Differences 1, 2, 3: mean 2, sample standard deviation 1, t(0.975, 2) = 4.302653,
    // half width 4.302653 / sqrt(3) = 2.484138; the first cell has mean 20 and deviation 10.
    let table = table(&[10.0, 20.0, 30.0], &[11.0, 22.0, 33.0]);
    let estimate = table.estimate(0, ttft()).unwrap();
    assert_eq!((estimate.seeds, estimate.t.mean), (3, 20.0));
    assert!((estimate.t.half_width - 24.841_38).abs() < 1e-4);
    let (low, high) = estimate.bootstrap.unwrap();
    assert!((10.0..20.0).contains(&low) && (20.0..=30.0).contains(&high), "{low} {high}");
    let gap = table.difference(1, ttft()).unwrap();
    assert_eq!((gap.pairs, gap.t.mean, gap.base), (3, 2.0, 20.0));
    assert!((gap.t.half_width - 2.484_138).abs() < 1e-5);
    assert_eq!(gap.percent(), Some(10.0));
    assert_eq!(gap.significant(), Some(false), "0 lies in 2 ± 2.48");
    let (low, high) = gap.bootstrap.unwrap();
    assert!((1.0..2.0).contains(&low) && (2.0..=3.0).contains(&high), "{low} {high}");
    assert_eq!(table.difference(0, ttft()), None, "the baseline differs from nothing");
}

#[test]
fn pairing_finds_what_the_spread_between_seeds_would_hide() {
    let table = table(&[10.0, 100.0, 1000.0], &[11.0, 101.1, 1000.9]);
    assert_eq!(table.difference(1, ttft()).unwrap().significant(), Some(true));
    assert_eq!(table.best(&[0, 1], ttft()), Some(0));
    assert_eq!(table.ties(&[0, 1], 0, ttft()), [0]);
}

#[test]
fn one_seed_tells_nothing_and_equal_values_do_not_differ() {
    let single = table(&[10.0], &[20.0]);
    assert_eq!(single.difference(1, ttft()).unwrap().significant(), None);
    assert_eq!(single.estimate(0, ttft()).unwrap().bootstrap, None);
    let equal = table(&[10.0, 11.0], &[10.0, 11.0]);
    assert_eq!(equal.difference(1, ttft()).unwrap().significant(), Some(false));
    assert_eq!(equal.ties(&[0, 1], 0, ttft()), [0, 1]);
}

#[test]
fn an_overloaded_or_failed_cell_is_never_the_best() {
    let mut table = table(&[10.0, 10.0], &[5.0, 5.0]);
    table.rows.insert((1, 43), Ok(row(5.0, 1.0)));
    assert_eq!((table.overloaded(1), table.is_steady(1)), (1, false));
    assert_eq!(table.best(&[0, 1], ttft()), Some(0));
    table.rows.insert((1, 43), Err("it broke".into()));
    assert_eq!(table.failure(1), Some("it broke"));
    assert_eq!(table.best(&[0, 1], ttft()), Some(0));
    assert_eq!(table.first_gap(Shard::WHOLE), None);
    table.rows.remove(&(1, 43));
    assert_eq!(table.first_gap(Shard::WHOLE), Some(1));
}

#[test]
fn a_cell_stops_when_its_interval_is_narrow_and_a_baseline_never() {
    let mut table = table(&[10.0, 10.0, 10.0], &[10.0, 10.1, 9.9]);
    table.plan.spec.stop_when_within = Some("3%".into());
    let rule = StopRule::new(&table.plan);
    let copy = table.clone();
    let outcomes = |cell| copy.outcomes(cell).map(|(_, outcome)| outcome).collect::<Vec<_>>();
    // Half width 4.302653 * 0.1 / sqrt(3) = 0.248: 2.5 % of the mean.
    assert!(rule.stops(1, &outcomes(1)));
    assert!(!rule.stops(1, &outcomes(1)[..2]), "two seeds are too few");
    assert!(!rule.stops(0, &outcomes(0)), "others are compared with it");
    table.plan.spec.stop_when_within = Some("2%".into());
    assert!(!StopRule::new(&table.plan).stops(1, &outcomes(1)));
}
