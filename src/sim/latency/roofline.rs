//! Roofline estimate of a step from data sheets, for any transformer and GPU given by numbers:
//! `step = t0 + max(compute, memory) + all-reduce`, with
//! - `compute = (2 P Σn + 4 L H d Σ n (c + (n − 1) / 2)) / (GPUs · peak · MFU)` for n new tokens on a
//!   context of c, `P = L (2 D H d + 2 D Hkv d + 3 D F k)` weights active per token;
//! - `memory = (weight bytes · (Pm + V D) + KV bytes · Σ context) / (GPUs · bandwidth · MBU)`, Pm = P
//!   with the experts that the step's x tokens touch, `E (1 − (1 − k/E)^x)`, in place of k;
//! - `all-reduce = 2 L (latency + 2 (GPUs − 1) / GPUs · Σn · D · 2 bytes / bus)`, none on one GPU;
//! - `t0 = layer · L + sequence · batch + constant`: launches and scheduling.
//!
//! Source: `shared/reference/latency-models.md` §3c (after BLIS, whose constants the defaults of t0
//! are); the expert term is of `shared/data/latency/README.md`.

use super::{BatchShape, LatencyModel};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// Model and GPU of a roofline estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RooflineSpec {
    /// The model's shape.
    pub shape: ModelShape,
    /// The GPUs it runs on.
    pub gpu: GpuSheet,
    /// Time that neither computes nor moves data.
    #[serde(default)]
    pub overhead: Overhead,
}

/// Shape of a transformer with gated feed-forward layers (three matrices each).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Transformer layers L.
    pub layers: u32,
    /// Hidden size D.
    pub hidden_size: u32,
    /// Attention heads H.
    pub heads: u32,
    /// KV heads Hkv.
    pub kv_heads: u32,
    /// Size of a head d.
    pub head_size: u32,
    /// Feed-forward size F, of one expert where there are several.
    pub ffn_size: u32,
    /// Tokens in the vocabulary V.
    pub vocabulary: u32,
    /// Experts E per layer; 1 for dense models.
    #[serde(default = "one")]
    pub experts: u32,
    /// Experts k that a token passes.
    #[serde(default = "one")]
    pub experts_per_token: u32,
    /// Bytes per weight: 2 for bf16, 1 for fp8.
    #[serde(default = "two")]
    pub weight_bytes: f64,
    /// Bytes per KV element.
    #[serde(default = "two")]
    pub kv_bytes: f64,
}

/// What the data sheet of a GPU says, and which share of it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuSheet {
    /// Dense peak of one GPU at the weights' precision, TFLOP/s.
    pub peak_tflops: f64,
    /// Memory bandwidth of one GPU, GB/s.
    pub memory_gb_s: f64,
    /// GPUs of one worker (tensor parallelism).
    #[serde(default = "one")]
    pub count: u32,
    /// Share of the peak that is reached, above 0 and at most 1.
    pub mfu: f64,
    /// Share of the bandwidth that is reached, above 0 and at most 1.
    pub mbu: f64,
    /// Latency of an all-reduce, microseconds.
    #[serde(default)]
    pub all_reduce_us: f64,
    /// Bus bandwidth of an all-reduce, GB/s; needed with several GPUs.
    #[serde(default)]
    pub bus_gb_s: f64,
}

/// Time of a step that neither computes nor moves data, microseconds (defaults: BLIS b5, b6, b7).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overhead {
    /// Per layer.
    pub layer_us: f64,
    /// Per request in the step.
    pub sequence_us: f64,
    /// Per step.
    pub step_us: f64,
}

impl Default for Overhead {
    fn default() -> Overhead {
        Overhead { layer_us: 32.0, sequence_us: 4.4, step_us: 126.0 }
    }
}

fn one() -> u32 {
    1
}
fn two() -> f64 {
    2.0
}

impl ModelShape {
    /// KV cache of one token, bytes, over all GPUs: 2 · L · Hkv · d · bytes.
    pub fn kv_token_bytes(&self) -> f64 {
        2.0 * f64::from(self.layers)
            * f64::from(self.kv_heads)
            * f64::from(self.head_size)
            * self.kv_bytes
    }

    /// Weights of all layers with `experts` experts counted in each.
    fn layer_weights(&self, experts: f64) -> f64 {
        let hidden = f64::from(self.hidden_size);
        let attention = 2.0 * f64::from(self.heads + self.kv_heads) * f64::from(self.head_size);
        let ffn = 3.0 * f64::from(self.ffn_size) * experts;
        f64::from(self.layers) * hidden * (attention + ffn)
    }

    /// Experts of a layer that `tokens` tokens touch, were each to choose evenly.
    fn experts_touched(&self, tokens: f64) -> f64 {
        let all = f64::from(self.experts);
        all * (1.0 - (1.0 - f64::from(self.experts_per_token) / all).powf(tokens))
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("layers", self.layers),
            ("hidden_size", self.hidden_size),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_size", self.head_size),
            ("ffn_size", self.ffn_size),
            ("vocabulary", self.vocabulary),
            ("experts", self.experts),
            ("experts_per_token", self.experts_per_token),
        ];
        if let Some((key, value)) = sizes.iter().find(|size| !(1..=1 << 24).contains(&size.1)) {
            return Err(format!("shape.{key} = {value} is out of range; it must be 1 to 2^24"));
        }
        if self.experts_per_token > self.experts {
            return Err("shape.experts_per_token exceeds shape.experts".into());
        }
        positive("shape.weight_bytes", self.weight_bytes)?;
        positive("shape.kv_bytes", self.kv_bytes)
    }
}

impl GpuSheet {
    fn check(&self) -> Result<(), String> {
        positive("gpu.peak_tflops", self.peak_tflops)?;
        positive("gpu.memory_gb_s", self.memory_gb_s)?;
        for (key, share) in [("mfu", self.mfu), ("mbu", self.mbu)] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(format!(
                    "gpu.{key} = {share} is out of range; it must be above 0 and at most 1, \
                     or the estimate would exceed the hardware"
                ));
            }
        }
        if self.count == 0 || !self.all_reduce_us.is_finite() || self.all_reduce_us < 0.0 {
            return Err("gpu.count must be 1 or more and gpu.all_reduce_us 0 or more".into());
        }
        if self.count > 1 {
            positive("gpu.bus_gb_s", self.bus_gb_s)?;
        }
        Ok(())
    }
}

fn positive(key: &str, value: f64) -> Result<(), String> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(format!("{key} = {value} is out of range; it must be a finite number above 0"))
}

impl RooflineSpec {
    /// What is wrong with the numbers, as the rest of a sentence.
    ///
    /// # Errors
    /// Where a number is out of its range, or shares of peak exceed 1.
    pub fn check(&self) -> Result<(), String> {
        self.shape.check()?;
        self.gpu.check()?;
        let parts = [self.overhead.layer_us, self.overhead.sequence_us, self.overhead.step_us];
        if parts.iter().all(|part| part.is_finite() && *part >= 0.0) {
            return Ok(());
        }
        Err("overhead.* must be finite numbers, 0 or more".into())
    }

    fn gpus(&self) -> f64 {
        f64::from(self.gpu.count)
    }

    /// Floating point operations of a step.
    fn flops(&self, batch: &BatchShape) -> f64 {
        let shape = &self.shape;
        let weights = shape.layer_weights(f64::from(shape.experts_per_token));
        let width = f64::from(shape.layers) * f64::from(shape.heads) * f64::from(shape.head_size);
        // Decoding is one new token on a context of one less than its length.
        let prefill = (batch.prefill_attention_x2 - batch.prefill_tokens) as f64 / 2.0;
        let decode = (batch.decode_context - batch.decode_seqs) as f64;
        2.0 * weights * tokens(batch) + 4.0 * width * (prefill + decode)
    }

    /// Bytes a step moves: weights once, and every context.
    fn bytes(&self, batch: &BatchShape) -> f64 {
        let shape = &self.shape;
        let head = f64::from(shape.vocabulary) * f64::from(shape.hidden_size);
        let weights = shape.layer_weights(shape.experts_touched(tokens(batch))) + head;
        let context = batch.prefill_context + batch.prefill_tokens + batch.decode_context;
        // With more GPUs than KV heads every GPU reads a copy of its head.
        let copies = (self.gpus() / f64::from(shape.kv_heads)).max(1.0);
        shape.weight_bytes * weights + shape.kv_token_bytes() * copies * context as f64
    }

    fn all_reduce_ms(&self, batch: &BatchShape) -> f64 {
        if self.gpu.count == 1 {
            return 0.0;
        }
        let share = 2.0 * (self.gpus() - 1.0) / self.gpus();
        let bytes = tokens(batch) * f64::from(self.shape.hidden_size) * 2.0;
        let one = self.gpu.all_reduce_us * 1e-3 + share * bytes / (self.gpu.bus_gb_s * 1e6);
        2.0 * f64::from(self.shape.layers) * one
    }

    fn overhead_ms(&self, batch: &BatchShape) -> f64 {
        let requests = (batch.prefill_seqs + batch.decode_seqs) as f64;
        let Overhead { layer_us, sequence_us, step_us } = self.overhead;
        1e-3 * (layer_us * f64::from(self.shape.layers) + sequence_us * requests + step_us)
    }

    fn compute_ms(&self, batch: &BatchShape) -> f64 {
        self.flops(batch) / (self.gpus() * self.gpu.peak_tflops * self.gpu.mfu * 1e9)
    }

    fn memory_ms(&self, batch: &BatchShape) -> f64 {
        self.bytes(batch) / (self.gpus() * self.gpu.memory_gb_s * self.gpu.mbu * 1e6)
    }
}

fn tokens(batch: &BatchShape) -> f64 {
    (batch.prefill_tokens + batch.decode_seqs) as f64
}

/// See the module's documentation.
pub struct Roofline(RooflineSpec);

impl Roofline {
    pub fn new(spec: &RooflineSpec) -> Roofline {
        Roofline(spec.clone())
    }
}

impl LatencyModel for Roofline {
    fn step(&self, batch: &BatchShape) -> Nanos {
        let spec = &self.0;
        let work = spec.compute_ms(batch).max(spec.memory_ms(batch));
        Nanos::from_ms_f64(spec.overhead_ms(batch) + work + spec.all_reduce_ms(batch))
    }
}

#[cfg(test)]
#[path = "roofline_tests.rs"]
mod tests;
