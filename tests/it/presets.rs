//! Latency presets and models against the step tables they come from
//! (`../shared/data/latency/README.md`): prefill, decode and mixed steps.

use crate::support::{fidelity, shared};
use assert_cmd::Command;
use kvroute::calibrate::{Errors, Row, fit, read};
use kvroute::sim::latency::{Grid, ModelKind, Preset, TableSpec, builtin, model};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A step of a source table, with its kind.
type Step = (String, Row);

fn steps(path: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(path).unwrap();
    let kinds = text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_string());
    kinds.zip(read(path).unwrap()).collect()
}

/// Errors over the steps of `kind` that `chosen` takes.
fn errors(kind: &str, steps: &[Step], by: &ModelKind, chosen: impl Fn(&Row) -> bool) -> Errors {
    let model = model(by, 1 << 20);
    let of = |row: &Row| (model.step(&row.shape).as_ms_f64() / row.ms - 1.0).abs();
    let rows = steps.iter().filter(|step| step.0 == kind && chosen(&step.1));
    Errors::of(rows.map(|step| of(&step.1)).collect())
}

fn percent(errors: &Errors) -> String {
    let [p50, p90, max] = [errors.p50, errors.p90, errors.max].map(|share| 100.0 * share);
    format!("{p50:.1} / {p90:.1} / {max:.1} %")
}

/// The whole rectangular grid of a source: what is real, and what its appendix adds.
fn whole_table(pair: &Path) -> TableSpec {
    let beyond = pair.parent().unwrap().join("beyond_limits").join(pair.file_name().unwrap());
    let mut grids: BTreeMap<String, BTreeMap<(u32, u32), f64>> = BTreeMap::new();
    for path in [pair, &beyond] {
        for line in std::fs::read_to_string(path).unwrap().lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let [new, context, batch] = [1, 2, 3].map(|at| cells[at].parse::<u32>().unwrap());
            let row = if cells[0] == "prefill" { new } else { batch };
            let grid = grids.entry(cells[0].into()).or_default();
            grid.insert((row, context), cells[4].parse().unwrap());
        }
    }
    TableSpec { prefill: grid(&grids["prefill"]), decode: grid(&grids["decode"]) }
}

fn grid(points: &BTreeMap<(u32, u32), f64>) -> Grid {
    let axis = |of: fn(&(u32, u32)) -> u32| points.keys().map(of).collect::<BTreeSet<u32>>();
    let (rows, columns) = (axis(|key| key.0), axis(|key| key.1));
    let along = |row: &u32| columns.iter().map(|column| points[&(*row, *column)]).collect();
    Grid {
        ms: rows.iter().map(along).collect(),
        rows: rows.into_iter().collect(),
        columns: columns.into_iter().collect(),
    }
}

fn pairs() -> Vec<PathBuf> {
    let Some(folder) = shared("data/latency") else { return Vec::new() };
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "csv")).collect();
    files.sort();
    assert!(files.len() >= 18);
    files
}

/// The rule for mixed steps, on tables that hold every point. What is off is mostly interpolation:
/// times jump just beyond 512 and 2,048 tokens (tiles of matrix products), where tables have a point
/// and mixed steps have some tokens more.
#[test]
fn mixed_steps_come_out_of_separate_tables() {
    for pair in pairs() {
        let (steps, table) = (steps(&pair), ModelKind::Table(whole_table(&pair)));
        let mixed = errors("mixed", &steps, &table, |_| true);
        let name = pair.file_stem().unwrap().to_string_lossy();
        eprintln!("{name}: {} mixed steps, off by {}", mixed.rows, percent(&mixed));
        assert!(mixed.rows >= 2, "{name}");
        assert!(mixed.p50 <= 0.13 && mixed.max <= 0.27, "{name}: {}", percent(&mixed));
        // Points of the grid themselves: only the clamp changes them.
        let decode = errors("decode", &steps, &table, |_| true);
        assert!(decode.max < 1e-4, "{name}: decode {}", percent(&decode));
        let fresh = errors("prefill", &steps, &table, |row| row.shape.prefill_context == 0);
        assert!(fresh.max < 1e-4, "{name}: prefill {}", percent(&fresh));
    }
}

/// The source table of a built-in preset, named in its source.
fn source(preset: &Preset) -> Option<PathBuf> {
    let (_, name) = preset.source.rsplit_once('(')?;
    shared(&format!("data/latency/{}.csv", name.trim_end_matches(')')))
}

/// Whether a step is no crossing of the preset's own table.
fn left_out(preset: &Preset, row: &Row) -> bool {
    let ModelKind::Table(table) = &preset.model else { return true };
    let shape = &row.shape;
    let (grid, first, second) = match shape.prefill_tokens {
        0 => {
            let context = shape.decode_context / shape.decode_seqs - 1;
            (&table.decode, shape.decode_seqs, context)
        }
        tokens => (&table.prefill, tokens, shape.prefill_context),
    };
    let on = |axis: &[u32], value: u64| axis.iter().any(|point| u64::from(*point) == value);
    !(on(&grid.rows, first) && on(&grid.columns, second))
}

#[test]
fn presets_are_as_close_to_their_sources_as_they_say() {
    let presets = builtin();
    let sourced = presets.iter().filter(|preset| preset.source.contains("AISimulate"));
    let wrong: Vec<String> = sourced
        .filter_map(|preset| {
            let steps = steps(&source(preset)?);
            let of = |kind| errors(kind, &steps, &preset.model, |row| left_out(preset, row));
            let mixed = errors("mixed", &steps, &preset.model, |_| true);
            let [prefill, decode, mixed] =
                [of("prefill"), of("decode"), mixed].map(|errors| percent(&errors));
            let line = format!("prefill {prefill}, decode {decode}, mixed {mixed}");
            fidelity(
                &format!("step times of preset `{}`: median / p90 / max error", preset.name),
                "its source table (`data/latency`), a model of the GPU and not a measurement",
                "presets::presets_are_as_close_to_their_sources_as_they_say",
                &line,
            );
            (!preset.error.ends_with(&line)).then(|| format!("{}: {line}", preset.name))
        })
        .collect();
    assert!(wrong.is_empty(), "these say something else:\n{}", wrong.join("\n"));
}

#[test]
fn the_roofline_preset_is_of_the_right_order() {
    let Some(path) = shared("data/latency/llama-3.1-8b-h100-tp1.csv") else { return };
    let presets = builtin();
    let named = |preset: &&Preset| preset.name == "roofline-llama-3.1-8b-h100";
    let preset = presets.iter().find(named).unwrap();
    let steps = steps(&path);
    let of = |kind| errors(kind, &steps, &preset.model, |_| true);
    let [prefill, decode, mixed] =
        [of("prefill"), of("decode"), of("mixed")].map(|errors| percent(&errors));
    let line = format!("prefill {prefill}, decode {decode}, mixed {mixed}");
    assert!(preset.error.ends_with(&line), "{line}; it says {}", preset.error);
}

/// `kvroute calibrate` on a source table gives what the presets were made of: the fits of its README
/// have errors of 2 to 5 % at the median for dense models.
#[test]
fn source_tables_can_be_calibrated_on() {
    let Some(path) = shared("data/latency/llama-3.1-8b-h100-tp1.csv") else { return };
    let fit = fit(&read(&path).unwrap(), 0.5).unwrap();
    assert!(fit.prefill.held_out.p50 < 0.08 && fit.decode.held_out.p50 < 0.05);
    assert!(fit.spec.prefill_free_tokens > 0);
}

#[test]
fn the_list_of_presets_fits_a_terminal() {
    let output = Command::new(env!("CARGO_BIN_EXE_kvroute")).arg("presets").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    for preset in builtin() {
        assert!(text.lines().any(|line| line.starts_with(&format!("{}: ", preset.name))));
    }
    assert!(text.contains("27062"));
}
