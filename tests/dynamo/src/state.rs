//! A random view of a cluster, as a router might have it at a decision.

use kvroute::rng::Rng;
use rand::RngExt;

/// What a router knows of one worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worker {
    /// Prompt tokens still to compute there.
    pub prefill_tokens: u32,
    /// Blocks of requests in flight there.
    pub active_blocks: u32,
    /// Requests in flight there.
    pub requests: u32,
    /// Leading prompt blocks cached there.
    pub overlap: u32,
    /// Leading prompt blocks held by requests in flight there.
    pub active_overlap: u32,
}

/// A request, the workers and the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Tokens per block.
    pub block: u32,
    /// Tokens of the prompt.
    pub prompt: u32,
    /// The workers; the position is the number.
    pub workers: Vec<Worker>,
    /// `prefill_load_scale`
    pub scale: f64,
    /// `overlap_score_credit`
    pub credit: f64,
    /// `overlap_score_credit_decay`
    pub decay: f64,
    /// `decode_active_request_weight`
    pub request_weight: f64,
    /// `router_temperature`
    pub temperature: f64,
}

const BLOCKS: &[u32] = &[1, 16, 16, 17, 32, 64, 100, 128, 512, 1000];
const WORKERS: &[usize] = &[2, 2, 3, 4, 4, 5, 8, 8, 16, 24, 33, 64];
const SCALES: &[f64] = &[0.0, 0.25, 0.5, 1.0, 1.0, 1.0, 2.0, 8.0];
const CREDITS: &[f64] = &[0.0, 0.5, 1.0, 1.0, 1.0, 1.5];
const DECAYS: &[f64] = &[0.0, 0.0, 0.3, 1.0];
const WEIGHTS: &[f64] = &[0.0, 0.0, 1.0, 0.7];
const TEMPERATURES: &[f64] = &[0.0, 0.0, 0.0, 0.01, 0.2, 0.5, 1.0, 3.0];

fn one_of<T: Copy>(list: &[T], rng: &mut Rng) -> T {
    list[rng.random_range(0..list.len())]
}

/// One of `list`, or now and then anything from 0 to `most`.
fn setting(list: &[f64], most: f64, rng: &mut Rng) -> f64 {
    if rng.random_bool(0.25) { rng.random::<f64>() * most } else { one_of(list, rng) }
}

/// At least 1, at most about `most`, small values as likely as large ones.
fn log_uniform(most: u32, rng: &mut Rng) -> u32 {
    (rng.random::<f64>() * f64::from(most).ln()).exp() as u32
}

impl State {
    /// Any state. A third of them are coarse (few different values), so that costs are often equal.
    pub fn random(rng: &mut Rng) -> State {
        let block = one_of(BLOCKS, rng);
        let coarse = rng.random_bool(0.33);
        let prompt = match rng.random_range(0..8) {
            0 => 0,
            1 => block * rng.random_range(1..20),
            _ => log_uniform(if coarse { 40 * block } else { 200_000 }, rng),
        };
        let full = prompt / block;
        let worker = |rng: &mut Rng| {
            let up_to = |most: u32, rng: &mut Rng| rng.random_range(0..=most);
            if coarse {
                let held = if rng.random_bool(0.5) { 0 } else { full };
                Worker {
                    prefill_tokens: block * up_to(2, rng),
                    active_blocks: up_to(2, rng),
                    requests: up_to(2, rng),
                    overlap: held.min(up_to(3, rng)),
                    active_overlap: held.min(up_to(1, rng)),
                }
            } else {
                let idle = rng.random_bool(0.1);
                let load = if idle { 0 } else { 1 };
                Worker {
                    prefill_tokens: load * up_to(100_000, rng),
                    active_blocks: load * log_uniform(30_000, rng),
                    requests: load * up_to(300, rng),
                    overlap: if rng.random_bool(0.3) { 0 } else { up_to(full, rng) },
                    active_overlap: if rng.random_bool(0.6) { 0 } else { up_to(full, rng) },
                }
            }
        };
        let workers = (0..one_of(WORKERS, rng)).map(|_| worker(rng)).collect();
        State {
            block,
            prompt,
            workers,
            scale: setting(SCALES, 16.0, rng),
            credit: setting(CREDITS, 2.0, rng),
            decay: setting(DECAYS, 5.0, rng),
            request_weight: setting(WEIGHTS, 3.0, rng),
            temperature: one_of(TEMPERATURES, rng),
        }
    }
}
