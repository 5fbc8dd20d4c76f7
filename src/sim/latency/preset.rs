//! Latency presets: coefficients with their source and error, built in or from a file.

use super::{LinearSpec, RooflineSpec, TableSpec};
use crate::error::{Error, Result, did_you_mean};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A latency model with what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Name on the command line.
    pub name: String,
    /// What it models.
    pub about: String,
    /// Where the numbers come from.
    pub source: String,
    /// How far the fit is from its source.
    pub error: String,
    /// Where the numbers hold: lengths, batches, precision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub valid: String,
    /// KV tokens of one worker, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_tokens: Option<u64>,
    /// KV cache of one token, bytes, all layers and all GPUs of a worker, each head once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_bytes_per_token: Option<u64>,
    /// Milliseconds of a request's first token that pass outside the engine, in HTTP and tokenisation, and
    /// hold up no other request; 0 where not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub front_ms: f64,
    /// The model itself.
    pub model: ModelKind,
}

fn is_zero(ms: &f64) -> bool {
    *ms == 0.0
}

/// A model's formula and coefficients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// See [`LinearSpec`].
    Linear(LinearSpec),
    /// Dynamo's mocker polynomials.
    Mocker,
    /// See [`RooflineSpec`].
    Roofline(RooflineSpec),
    /// See [`TableSpec`].
    Table(TableSpec),
}

impl ModelKind {
    /// What is wrong with the numbers, as the rest of a sentence.
    fn check(&self) -> std::result::Result<(), String> {
        match self {
            ModelKind::Linear(spec) if !spec.is_valid() => {
                Err("coefficients must be finite numbers, 0 or more".into())
            }
            ModelKind::Linear(_) | ModelKind::Mocker => Ok(()),
            ModelKind::Roofline(spec) => spec.check(),
            ModelKind::Table(spec) => spec.check(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetFile {
    preset: Vec<Preset>,
}

impl Preset {
    /// As a file that `cluster.latency` takes.
    ///
    /// # Errors
    /// Only where a number cannot be written, which would be a bug.
    pub fn to_toml(&self) -> Result<String> {
        let file = PresetFile { preset: vec![self.clone()] };
        toml::to_string(&file)
            .map_err(|why| Error::Run(format!("a preset could not be written: {why}")))
    }
}

/// The presets that come with the program.
pub fn builtin() -> Vec<Preset> {
    let files =
        [include_str!("presets.toml"), include_str!("tables.toml"), include_str!("rooflines.toml")];
    let parse = |text| {
        let file: PresetFile = toml::from_str(text).expect("checked by a test: the files parse");
        file.preset
    };
    files.into_iter().flat_map(parse).collect()
}

/// A built-in preset by name, or one read from a file.
pub(super) fn find(name: &str) -> Result<Preset> {
    let presets = builtin();
    if let Some(preset) = presets.iter().find(|preset| preset.name == name) {
        return Ok(preset.clone());
    }
    let path = Path::new(name);
    if path.is_file() {
        return read(path);
    }
    let names = presets.iter().map(|preset| preset.name.as_str());
    Err(Error::input(format!(
        "cluster.latency = \"{name}\" is neither a preset nor a file; `kvroute presets` lists them{}",
        did_you_mean(name, names)
    )))
}

fn read(path: &Path) -> Result<Preset> {
    let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, why))?;
    let wrong = |why: String| {
        let why = why.lines().collect::<Vec<_>>().join(" ");
        Error::input(format!("latency file {}: {why}", path.display()))
    };
    let mut file: PresetFile = toml::from_str(&text).map_err(|why| wrong(why.message().into()))?;
    if file.preset.len() != 1 {
        return Err(wrong(format!(
            "holds {} [[preset]] sections; it must hold one",
            file.preset.len()
        )));
    }
    let preset = file.preset.remove(0);
    preset.model.check().map_err(wrong)?;
    if !(preset.front_ms.is_finite() && preset.front_ms >= 0.0) {
        return Err(wrong("front_ms must be a finite number, 0 or more".into()));
    }
    Ok(preset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_presets_are_complete_and_have_different_names() {
        let presets = builtin();
        let mut names: Vec<&str> = presets.iter().map(|preset| preset.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), presets.len());
        for preset in &presets {
            assert!(
                !preset.source.is_empty() && !preset.error.is_empty() && !preset.about.is_empty()
            );
            assert!(preset.kv_tokens.is_some() && !preset.valid.is_empty(), "{}", preset.name);
            assert!(preset.kv_bytes_per_token.is_some() || preset.name == "mocker");
            assert_eq!(preset.model.check(), Ok(()), "{}", preset.name);
        }
    }
}
