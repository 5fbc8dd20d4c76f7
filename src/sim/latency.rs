//! How long a scheduler step takes: models from the shape of a batch to nanoseconds.

mod linear;
mod mocker;
mod preset;
mod roofline;
mod table;

pub use linear::LinearSpec;
pub use preset::{ModelKind, Preset, builtin};
pub use roofline::{GpuSheet, ModelShape, Overhead, RooflineSpec};
pub use table::{Grid, TableSpec};

use crate::error::Result;
use crate::scenario::ClusterSpec;
use crate::units::Nanos;

/// What one step computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchShape {
    /// Requests with prefill work.
    pub prefill_seqs: u64,
    /// Tokens prefilled, all requests.
    pub prefill_tokens: u64,
    /// Tokens these requests had in the cache before the step, all requests.
    pub prefill_context: u64,
    /// Twice the attention work of prefill, Σ n · (2c + n) for n new tokens on a context of c.
    pub prefill_attention_x2: u64,
    /// Requests that decode one token.
    pub decode_seqs: u64,
    /// Their context lengths, the new token included, summed.
    pub decode_context: u64,
}

impl BatchShape {
    /// Adds a chunk of `new` prefill tokens on `context` cached ones.
    pub fn prefill(&mut self, context: u32, new: u32) {
        let (context, new) = (u64::from(context), u64::from(new));
        self.prefill_seqs += 1;
        self.prefill_tokens += new;
        self.prefill_context += context;
        self.prefill_attention_x2 += new * (2 * context + new);
    }

    /// Adds a decoding request of `context` tokens.
    pub fn decode(&mut self, context: u32) {
        self.decode_seqs += 1;
        self.decode_context += u64::from(context);
    }
}

/// Maps the shape of a batch to the time of its step.
pub trait LatencyModel: Send + Sync {
    /// Time of one step; deterministic.
    fn step(&self, batch: &BatchShape) -> Nanos;
}

/// The model of a preset, with the cluster's host time on top of every step.
pub fn build(preset: &Preset, cluster: &ClusterSpec, kv_blocks: u32) -> Box<dyn LatencyModel> {
    let capacity_tokens = u64::from(kv_blocks) * u64::from(cluster.block_tokens);
    let model = model(&preset.model, capacity_tokens);
    if cluster.host_ms == 0.0 {
        return model;
    }
    Box::new(WithHost { model, host: Nanos::from_ms_f64(cluster.host_ms) })
}

/// A model alone, for workers of `capacity_tokens` KV tokens (only `mocker` asks).
pub fn model(kind: &ModelKind, capacity_tokens: u64) -> Box<dyn LatencyModel> {
    match kind {
        ModelKind::Linear(spec) => Box::new(linear::Linear::new(spec)),
        ModelKind::Mocker => Box::new(mocker::Mocker { capacity_tokens: capacity_tokens as f64 }),
        ModelKind::Roofline(spec) => Box::new(roofline::Roofline::new(spec)),
        ModelKind::Table(spec) => Box::new(table::Table::new(spec)),
    }
}

/// The preset a scenario names: built in, or a file.
///
/// # Errors
/// Where there is no such preset or the file is malformed.
pub fn find(name: &str) -> Result<Preset> {
    preset::find(name)
}

/// Adds a constant host time.
struct WithHost {
    model: Box<dyn LatencyModel>,
    host: Nanos,
}

impl LatencyModel for WithHost {
    fn step(&self, batch: &BatchShape) -> Nanos {
        self.model.step(batch) + self.host
    }
}
