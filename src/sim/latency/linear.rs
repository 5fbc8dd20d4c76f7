//! Linear in the features of a batch, ms:
//! ```text
//! step + (prefill_step + prefill_token · max(new − free, 0) + prefill_attention · Σ n (c + n/2)  if there is prefill)
//!      + decode_seq · sequences + decode_context · Σ context
//! ```
//! A mixed step pays the constant once, as measured steps do.

use super::{BatchShape, LatencyModel};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// Coefficients of the linear model, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearSpec {
    /// Every step.
    pub step_ms: f64,
    /// Every step with prefill in it, on top.
    pub prefill_step_ms: f64,
    /// Per prefill token of the batch beyond `prefill_free_tokens`.
    pub prefill_token_ms: f64,
    /// Prefill tokens per step that cost nothing (the weights are read anyway).
    pub prefill_free_tokens: u64,
    /// Per prefill token and token of its context.
    pub prefill_attention_ms: f64,
    /// Per decoding sequence.
    pub decode_seq_ms: f64,
    /// Per token of context of the decoding sequences.
    pub decode_context_ms: f64,
}

impl LinearSpec {
    /// Whether every coefficient is finite and ≥ 0, as a step's time must be.
    pub fn is_valid(&self) -> bool {
        [
            self.step_ms,
            self.prefill_step_ms,
            self.prefill_token_ms,
            self.prefill_attention_ms,
            self.decode_seq_ms,
            self.decode_context_ms,
        ]
        .iter()
        .all(|coefficient| coefficient.is_finite() && *coefficient >= 0.0)
    }
}

/// See the module's documentation.
pub struct Linear(LinearSpec);

impl Linear {
    pub fn new(spec: &LinearSpec) -> Linear {
        Linear(*spec)
    }
}

impl LatencyModel for Linear {
    fn step(&self, batch: &BatchShape) -> Nanos {
        let spec = &self.0;
        let mut ms = spec.step_ms
            + spec.decode_seq_ms * batch.decode_seqs as f64
            + spec.decode_context_ms * batch.decode_context as f64;
        if batch.prefill_tokens > 0 {
            let paid = batch.prefill_tokens.saturating_sub(spec.prefill_free_tokens);
            ms += spec.prefill_step_ms
                + spec.prefill_token_ms * paid as f64
                + spec.prefill_attention_ms * (batch.prefill_attention_x2 as f64 / 2.0);
        }
        Nanos::from_ms_f64(ms)
    }
}
