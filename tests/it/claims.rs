//! The claims: their files are sound, their loads are what they say, and every row is produced.

use crate::program::succeed;
use kvroute::claims::{BASELINE, CLAIMS, Setting, scenario};
use kvroute::scenario::{ArrivalSpec, Draft};
use kvroute::search::{Goal, trial};
use kvroute::sim::Control;
use rayon::prelude::*;

fn settings() -> impl Iterator<Item = &'static Setting> {
    CLAIMS.iter().flat_map(|claim| claim.settings)
}

#[test]
fn every_file_is_valid_names_its_sources_and_has_the_rate_it_states() {
    for claim in CLAIMS {
        let base = &claim.settings[0];
        assert!(base.overrides.is_empty(), "{}: the first setting is the file itself", base.file);
        assert!(base.text.starts_with("# Claim: "), "{}", base.file);
        for word in ["# Lengths: ", "# Load: 80 %", "kvroute capacity workloads/claims/", base.file]
        {
            assert!(base.text.contains(word), "{} does not say {word}", base.file);
        }
        let own = Draft::parse(base.text, base.file).unwrap().finish().unwrap();
        let Some(ArrivalSpec::Poisson { rate }) = own.workload.arrival else {
            panic!("{}: its arrivals are not Poisson", base.file);
        };
        assert!((rate / base.rate() - 1.0).abs() < 1e-9, "{}: {rate}, {}", base.file, base.rate());
        assert!(base.text.contains(&format!("{} starts/s", base.capacity)), "{}", base.file);
    }
    for setting in settings() {
        scenario(setting, None).unwrap();
        assert!(!setting.when.ends_with('.') && setting.load < 1.0);
    }
}

/// Round robin at 0.88 and 1.15 times the recorded capacity, three seeds each.
#[test]
fn recorded_capacities_of_round_robin_are_still_its_capacities() {
    let mut distinct: Vec<(&Setting, kvroute::scenario::Scenario)> = Vec::new();
    for setting in settings() {
        let mut resolved = scenario(setting, None).unwrap();
        resolved.slo = None;
        let known = distinct.iter().any(|(other, scenario)| {
            (other.overrides, &scenario.cluster) == (setting.overrides, &resolved.cluster)
                && scenario.workload.kind == resolved.workload.kind
        });
        if !known {
            distinct.push((setting, resolved));
        }
    }
    distinct.into_par_iter().for_each(|(setting, scenario)| {
        let seeds = trial::Seeds { first: 3, most: 3 };
        for (share, holds) in [(0.88, true), (1.15, false)] {
            let rate = share * setting.capacity;
            let control = Control::default();
            let trial =
                trial::run(&scenario, BASELINE, &Goal::NotOverloaded, rate, seeds, &control)
                    .unwrap();
            let (file, when) = (setting.file, setting.when);
            assert_eq!(trial.holds, holds, "{file}, {when}: {:?}", trial.outcomes);
            assert!(!holds || trial.spans() > 4.0, "{file}, {when}: {:?}", trial.outcomes);
        }
    });
}

#[test]
fn a_small_run_gives_every_row_whatever_the_threads() {
    let place = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let small = ["claims", "--seeds=2", "--num-requests=500", "--quiet"];
        succeed(place.path(), &[&small[..], args].concat())
    };
    let table = run(&["--markdown", "--threads=1", "--out=one"]);
    let json = run(&["--json", "--threads=2", "--out=two"]);
    assert_eq!(table.lines().count(), 2 + settings().count(), "{table}");
    for file in ["summary.json", "claims.md"] {
        let read = |out: &str| std::fs::read_to_string(place.path().join(out).join(file)).unwrap();
        assert_eq!(read("one"), read("two"), "{file}");
    }
    for claim in CLAIMS {
        assert!(table.contains(claim.text) && json.contains(claim.text), "{}", claim.text);
    }
}
