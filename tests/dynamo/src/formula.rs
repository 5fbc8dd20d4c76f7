//! Dynamo's default selector as its description has it (lower is better):
//!
//! ```text
//! decay   = 1 / (1 + overlap_score_credit_decay · (max(0, prefill_w − min prefill) / B) / max(1, ⌈isl / B⌉))
//! credit  = overlap_score_credit · decay · overlap blocks
//! prefill = max(0, (prefill_w + isl) / B − credit)
//! decode  = active_blocks_w + (full request blocks − depth already active there)
//! cost    = prefill_load_scale · prefill + decode + decode_active_request_weight · requests_w
//! ```
//! and `p_w ∝ exp(−(cost_w − min) / ((max − min) · T))`, drawn with one uniform against the cumulative
//! probability in order of worker.

use crate::state::State;

/// Cost of every worker.
pub fn costs(state: &State) -> Vec<f64> {
    let block = f64::from(state.block);
    let isl = f64::from(state.prompt);
    let least = state.workers.iter().map(|w| w.prefill_tokens).min().unwrap_or(0);
    let full_blocks = f64::from(state.prompt / state.block);
    state
        .workers
        .iter()
        .map(|worker| {
            let prefill_tokens = f64::from(worker.prefill_tokens);
            let excess_blocks = (prefill_tokens - f64::from(least)).max(0.0) / block;
            let request_blocks = (isl / block).ceil().max(1.0);
            let decay = 1.0 / (1.0 + state.decay * excess_blocks / request_blocks);
            let credit = state.credit * decay * f64::from(worker.overlap);
            let prefill = ((prefill_tokens + isl) / block - credit).max(0.0);
            let additional = full_blocks - f64::from(worker.active_overlap);
            let decode = f64::from(worker.active_blocks) + additional;
            state.scale * prefill + decode + state.request_weight * f64::from(worker.requests)
        })
        .collect()
}

/// Probability of every worker. At temperature 0 the least costs, equal ones alike.
pub fn probabilities(costs: &[f64], temperature: f64) -> Vec<f64> {
    let min = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let max = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |cost: &f64| {
        if temperature == 0.0 {
            f64::from(u8::from(equal(*cost, min)))
        } else if min == max {
            1.0
        } else {
            (-(cost - min) / ((max - min) * temperature)).exp()
        }
    };
    let weights: Vec<f64> = costs.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// Workers that the uniform draw `sample` may choose: one, or two where it falls on a boundary
/// within rounding.
pub fn drawn(probabilities: &[f64], sample: f64) -> Vec<usize> {
    let at = |sample: f64| {
        let mut sum = 0.0;
        probabilities
            .iter()
            .position(|p| {
                sum += p;
                sample <= sum
            })
            .unwrap_or(probabilities.len() - 1)
    };
    let (low, high) = (at(sample - 1e-12), at(sample + 1e-12));
    (low..=high).collect()
}

/// Equal within 1e-9, relative.
pub fn equal(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
