//! Fits a latency model to measurements, and says how good it is.

pub mod fit;
mod nnls;
pub mod read;
mod robust;
mod run;
mod text;

pub use fit::{Errors, Fit, fit};
pub use read::{Row, Source, parse, read};
pub use robust::fit_robust;
pub use text::report;

use crate::sim::latency::{ModelKind, Preset};

/// A preset of the fitted model, with its source and error filled in.
pub fn preset(name: &str, files: &[String], fit: &Fit, kv_tokens: Option<u64>) -> Preset {
    Preset {
        name: name.into(),
        about: format!("linear model fitted to {} measured steps", fit.points.len()),
        source: format!("kvroute calibrate on {}", files.join(", ")),
        error: text::error_line(fit),
        valid: text::range_line(fit),
        kv_tokens,
        kv_bytes_per_token: None,
        front_ms: fit.front_ms,
        model: ModelKind::Linear(fit.spec),
    }
}
