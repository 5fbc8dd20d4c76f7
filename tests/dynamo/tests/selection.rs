//! Which worker Dynamo's production selector and our `kv` choose, and at what cost, on random states.

use kvroute::rng::{Rng, Stream, stream};
use kvroute_dynamo_tests::chi_square::ChiSquare;
use kvroute_dynamo_tests::fidelity;
use kvroute_dynamo_tests::formula::{self, equal};
use kvroute_dynamo_tests::ours::Ours;
use kvroute_dynamo_tests::peer::Peer;
use kvroute_dynamo_tests::state::State;
use rand::RngExt;

const STATES: u64 = 200_000;
const DRAWS: u64 = 20_000;

fn generator(lane: u64) -> Rng {
    stream(20_261_122, Stream::Routing, lane)
}

/// Workers whose cost is the least, within rounding.
fn least(costs: &[f64]) -> Vec<usize> {
    let min = costs.iter().copied().fold(f64::INFINITY, f64::min);
    (0..costs.len()).filter(|at| equal(costs[*at], min)).collect()
}

fn spread(costs: &[f64]) -> f64 {
    let min = costs.iter().copied().fold(f64::INFINITY, f64::min);
    costs.iter().copied().fold(f64::NEG_INFINITY, f64::max) - min
}

/// What was seen over all states.
#[derive(Debug, Default)]
struct Seen {
    unique: u64,
    tied: u64,
    drawn: u64,
    near_equal: u64,
    costs: u64,
    same_bits: u64,
}

/// On every state: costs of `explain` equal the formula's, and the logged cost of Dynamo's choice;
/// at temperature 0 both choose the least, the same one where it is unique; above, both choose what
/// the formula gives for the uniform number each of them draws.
#[test]
fn choices_and_costs_agree_on_random_states() {
    let mut states = generator(0);
    let mut seen = Seen::default();
    for number in 0..STATES {
        let state = State::random(&mut states);
        let expected = formula::costs(&state);
        let sample: f64 = generator(1_000 + number).random();
        let (ours, costs) = Ours::new(&state).explain(&mut generator(1_000 + number));
        let (theirs, their_cost) = Peer::seeded(&state, number).explain();

        for (a, b) in costs.iter().zip(&expected) {
            assert!(equal(*a, *b), "cost {a}, formula {b}: {state:?}");
        }
        assert!(equal(their_cost, expected[theirs]), "{their_cost} {expected:?}: {state:?}");
        seen.costs += costs.len() as u64;
        seen.same_bits += u64::from(their_cost.to_bits() == costs[theirs].to_bits());

        if state.temperature == 0.0 {
            fastrand::seed(number);
            let production = Peer::new(&state).choose();
            let least = least(&expected);
            for (who, chosen) in [("ours", ours), ("theirs", theirs), ("production", production)] {
                assert!(least.contains(&chosen), "{who} {chosen}, least {least:?}: {state:?}");
            }
            *if least.len() == 1 { &mut seen.unique } else { &mut seen.tied } += 1;
        } else if spread(&expected) > 0.0 && equal(spread(&expected), 0.0) {
            // All equal but for rounding, which the normalisation by max − min would blow up.
            seen.near_equal += 1;
        } else {
            let probabilities = formula::probabilities(&expected, state.temperature);
            let their_sample = fastrand::Rng::with_seed(number).f64();
            let may = formula::drawn(&probabilities, sample);
            assert!(may.contains(&ours), "ours {ours}, {sample} gives {may:?}: {state:?}");
            let may = formula::drawn(&probabilities, their_sample);
            assert!(may.contains(&theirs), "theirs {theirs}, {their_sample} {may:?}: {state:?}");
            seen.drawn += 1;
        }
    }
    println!("{STATES} states: {seen:?}");
    fidelity(
        "choices and costs of the `kv` router",
        "the production selector of dynamo-custom-policy-builtin 1.6.1",
        "dynamo selection",
        format!(
            "{STATES} random states: same worker at all {} unique minima, within the equals at all {} \
             ties, as drawn at all {} with T > 0; costs equal bit for bit",
            seen.unique, seen.tied, seen.drawn
        ),
    );
    assert_eq!(seen.same_bits, STATES, "a cost differs in its last bits from Dynamo's");
    assert!(seen.unique > 50_000 && seen.tied > 5_000 && seen.drawn > 50_000, "{seen:?}");
    assert!(seen.near_equal < STATES / 1000, "{seen:?}");
}

fn counts(workers: usize, mut choose: impl FnMut() -> usize) -> Vec<u64> {
    let mut counts = vec![0; workers];
    (0..DRAWS).for_each(|_| counts[choose()] += 1);
    counts
}

/// Many draws on each of 40 of the states `wanted`: frequencies against the exact probabilities, and
/// ours against theirs.
fn frequencies_agree(name: &str, lane: u64, wanted: impl Fn(&State, &[f64]) -> bool) {
    let (mut states, mut rng) = (generator(lane), generator(lane + 1));
    fastrand::seed(lane);
    let mut all = [("ours", ChiSquare::default()); 4];
    let mut lowest = 1.0f64;
    let mut found = 0;
    while found < 40 {
        let state = State::random(&mut states);
        let costs = formula::costs(&state);
        if !wanted(&state, &costs) {
            continue;
        }
        found += 1;
        let probabilities = formula::probabilities(&costs, state.temperature);
        let (mut ours, seeded) = (Ours::new(&state), Peer::seeded(&state, found));
        let production = Peer::new(&state);
        let ours = counts(costs.len(), || ours.choose(&mut rng));
        let seeded = counts(costs.len(), || seeded.choose());
        let production = counts(costs.len(), || production.choose());
        let tests = [
            ("ours / exact", ChiSquare::of_counts(&ours, &probabilities)),
            ("theirs / exact", ChiSquare::of_counts(&seeded, &probabilities)),
            ("ours / theirs", ChiSquare::of_two(&ours, &seeded)),
            // In the order of a hash map, hence other numbers every time.
            ("theirs unseeded / exact", ChiSquare::of_counts(&production, &probabilities)),
        ];
        for (total, (what, test)) in all.iter_mut().zip(tests) {
            assert!(test.tail() > 1e-7, "{name}, {what}: {test:?} p {}: {state:?}", test.tail());
            lowest = lowest.min(test.tail());
            *total = (what, total.1.and(test));
        }
    }
    for (what, test) in all {
        println!(
            "{name}, {what}: chi-square {:.1}, {} degrees of freedom, p {:.3}",
            test.statistic,
            test.freedom,
            test.tail()
        );
        assert!(test.tail() > 1e-6, "{name}, {what}: {test:?}");
        if what == "ours / theirs" {
            fidelity(
                &format!("how often the `kv` router chooses which worker: {name}"),
                "the production selector of dynamo-custom-policy-builtin 1.6.1",
                "dynamo selection",
                format!(
                    "chi-square {:.1}, {} degrees of freedom, p {:.2}",
                    test.statistic,
                    test.freedom,
                    test.tail()
                ),
            );
        }
    }
    println!("{name}: lowest p of {} tests {lowest:.5}", found * 4);
}

#[test]
fn frequencies_among_equals_agree() {
    frequencies_agree("ties", 10, |state, costs| {
        state.temperature == 0.0 && least(costs).len() > 1
    });
}

#[test]
fn frequencies_at_a_temperature_agree() {
    frequencies_agree("softmax", 20, |state, costs| {
        state.temperature >= 0.2 && costs.len() <= 24 && spread(costs) > 1e-6
    });
}
