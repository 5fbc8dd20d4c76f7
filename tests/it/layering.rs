//! Who may use whom. Dependencies point one way, so that a part can be read, tested and replaced
//! without those that build on it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What everybody may use.
const VOCABULARY: &[&str] = &[
    "ahead", "error", "flat_map", "hash", "prompt", "request", "rng", "soonest", "stats", "units",
];

/// A module, and what it may use besides itself and the vocabulary.
const LAYERS: &[(&str, &[&str])] = &[
    ("ahead", &[]),
    ("error", &[]),
    ("flat_map", &[]),
    ("hash", &[]),
    ("prompt", &[]),
    ("request", &[]),
    ("rng", &[]),
    ("soonest", &[]),
    ("stats", &[]),
    ("units", &[]),
    ("scenario", &[]),
    ("cache", &["scenario"]),
    ("metrics", &["scenario"]),
    ("router", &["scenario"]),
    ("workload", &["scenario"]),
    ("sim", &["cache", "metrics", "router", "scenario", "workload"]),
    ("compare", &["metrics", "router", "scenario", "sim", "workload"]),
    ("inspect", &["scenario", "workload"]),
    ("sweep", &["compare", "metrics", "scenario", "sim", "workload"]),
    ("calibrate", &["sim"]),
    ("search", &["compare", "metrics", "scenario", "sim"]),
    ("claims", &["compare", "scenario", "search", "sim"]),
    ("live", &["compare", "metrics", "router", "scenario", "sim", "workload"]),
    ("report", &["calibrate", "claims", "live", "metrics", "scenario", "search", "sim", "sweep"]),
];

/// Of the simulation, reports know what it shows them and nothing of how it works.
const SHOWN_TO_REPORTS: &[&str] = &["DecisionView", "Setup", "Sink"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Path below `src`, its module, number and text of every line of code; the program's own files
/// (`main.rs`, `cli`) have module `main`.
fn lines() -> Vec<(String, String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut lines = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let first = name.split(['/', '.']).next().unwrap();
        let module = if first == "cli" { "main" } else { first };
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap().to_string();
            lines.push((name.clone(), module.into(), number + 1, code));
        }
    }
    lines
}

/// The paths that follow `crate::` in a line.
fn uses(code: &str) -> impl Iterator<Item = &str> {
    code.match_indices("crate::").map(|(at, word)| &code[at + word.len()..])
}

fn first_name(path: &str) -> &str {
    path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

fn complain(wrong: &[(String, usize, String)]) {
    let mut text = String::new();
    for (file, line, why) in wrong {
        writeln!(text, "src/{file}:{line}: {why}").unwrap();
    }
    assert!(wrong.is_empty(), "\n{text}");
}

#[test]
fn every_module_uses_only_what_lies_below_it() {
    let mut wrong = Vec::new();
    for (file, module, line, code) in lines() {
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            wrong.push((file, line, format!("module {module} is not in the table of layers")));
            continue;
        };
        for path in uses(&code) {
            let used = first_name(path);
            let allowed = used == module || VOCABULARY.contains(&used) || below.contains(&used);
            if !allowed {
                wrong.push((file.clone(), line, format!("{module} may not use {used}")));
            }
        }
    }
    complain(&wrong);
}

#[test]
fn the_library_does_not_know_its_program() {
    let mut wrong = Vec::new();
    for (file, module, line, code) in lines() {
        let own = module == "main";
        if own && uses(&code).next().is_some() {
            wrong.push((file.clone(), line, "the program uses the library as kvroute::".into()));
        }
        if !own && (code.contains("kvroute::") || code.contains("mod cli;")) {
            wrong.push((file, line, "the library refers to the program".into()));
        }
    }
    complain(&wrong);
}

#[test]
fn reports_see_of_the_simulation_only_what_it_shows_them() {
    let mut wrong = Vec::new();
    for (file, module, line, code) in lines() {
        if module != "report" {
            continue;
        }
        for path in uses(&code).filter_map(|path| path.strip_prefix("sim::")) {
            let items = path.trim_matches(|c| "{};".contains(c));
            let hidden = |item: &&str| !SHOWN_TO_REPORTS.contains(item);
            for item in
                items.split(',').map(str::trim).filter(|item| !item.is_empty()).filter(hidden)
            {
                wrong.push((file.clone(), line, format!("report may not use sim::{item}")));
            }
        }
    }
    complain(&wrong);
}

#[test]
fn only_the_program_and_live_runs_read_the_wall_clock() {
    let wrong: Vec<_> = lines()
        .into_iter()
        .filter(|(_, module, _, code)| {
            module != "main"
                && module != "live"
                && ["Instant", "SystemTime"].iter().any(|word| code.contains(word))
        })
        .map(|(file, _, line, _)| (file, line, "reads the wall clock".to_string()))
        .collect();
    complain(&wrong);
}
