//! Choosing among scored candidates.

use crate::rng::Rng;
use rand::RngExt;

/// Costs compared side by side.
const LANES: usize = 8;

/// The index of the least cost, uniform among equals; and how many are equal.
pub fn least(costs: &[f64], rng: &mut Rng) -> (usize, u32) {
    let best = minimum(costs);
    let ties = costs.iter().filter(|cost| **cost == best).count();
    let nth = if ties > 1 { rng.random_range(0..ties) } else { 0 };
    let mut equal = costs.iter().enumerate().filter(|(_, cost)| **cost == best);
    (equal.nth(nth).map_or(0, |(at, _)| at), ties as u32)
}

/// The least of `costs`. In lanes: one comparison after the other would wait for each before.
fn minimum(costs: &[f64]) -> f64 {
    let mut least = [f64::INFINITY; LANES];
    let (lanes, rest) = costs.as_chunks::<LANES>();
    for lane in lanes {
        for (least, cost) in least.iter_mut().zip(lane) {
            *least = if cost < least { *cost } else { *least };
        }
    }
    least.iter().chain(rest).copied().fold(f64::INFINITY, f64::min)
}

/// Dynamo's softmax: `p_i ∝ exp(−(cost_i − min) / ((max − min) · T))`, uniform where all are equal;
/// one uniform draw against the cumulative probability.
pub fn softmax(costs: &[f64], temperature: f64, rng: &mut Rng) -> usize {
    let (min, max) = costs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), cost| {
        (min.min(*cost), max.max(*cost))
    });
    let scale = (max - min) * temperature;
    let weight = |cost: &f64| {
        if max > min { (-(cost - min) / scale).exp() } else { 1.0 }
    };
    let total: f64 = costs.iter().map(weight).sum();
    let sample = rng.random::<f64>() * total;
    let mut sum = 0.0;
    costs
        .iter()
        .position(|cost| {
            sum += weight(cost);
            sample <= sum
        })
        .unwrap_or(costs.len() - 1)
}

/// [`least`] at temperature 0, [`softmax`] above; with the number of equal best candidates.
pub fn by_cost(costs: &[f64], temperature: f64, rng: &mut Rng) -> (usize, u32) {
    if temperature == 0.0 {
        return least(costs, rng);
    }
    (softmax(costs, temperature, rng), 1)
}

/// How [`by_cost`] chose, in words.
pub fn reason(ties: u32, temperature: f64, best: &str) -> String {
    match ties {
        _ if temperature > 0.0 => format!("drawn by softmax at temperature {temperature}"),
        1 => format!("{best}, no tie"),
        _ => format!("{best}; {ties} workers tie, drawn uniformly"),
    }
}
