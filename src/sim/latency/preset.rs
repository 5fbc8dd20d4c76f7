//! Latency presets: coefficients with their source and error, built in or from a file.

use super::LinearSpec;
use crate::error::{Error, Result, did_you_mean};
use serde::Deserialize;
use std::path::Path;

/// A latency model with what is known about it.
#[derive(Clone, Debug, Deserialize)]
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
    /// KV tokens of one worker, where known.
    #[serde(default)]
    pub kv_tokens: Option<u64>,
    /// The model itself.
    pub model: ModelKind,
}

/// A model's formula and coefficients.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// See [`LinearSpec`].
    Linear(LinearSpec),
    /// Dynamo's mocker polynomials.
    Mocker,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetFile {
    preset: Vec<Preset>,
}

/// The presets that come with the program.
pub fn builtin() -> Vec<Preset> {
    let file: PresetFile =
        toml::from_str(include_str!("presets.toml")).expect("checked by a test: the file parses");
    file.preset
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
    match &preset.model {
        ModelKind::Linear(spec) if !spec.is_valid() => {
            Err(wrong("coefficients must be finite numbers, 0 or more".into()))
        }
        _ => Ok(preset),
    }
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
            assert!(preset.kv_tokens.is_some(), "{}", preset.name);
            if let ModelKind::Linear(spec) = &preset.model {
                assert!(spec.is_valid(), "{}", preset.name);
            }
        }
    }
}
