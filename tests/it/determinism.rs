//! Same scenario, same bytes: on any number of threads, in any folder, from the file it wrote.

use crate::program::{files, succeed};
use std::collections::BTreeMap;
use std::path::Path;

const SMALL: [&str; 8] = [
    "simulate",
    "multi-turn",
    "--num-requests=120",
    "--seeds=2",
    "--decisions",
    "--kv-blocks=2000",
    "--router-mode=kv,random,power-of-two,oracle-shared-cache",
    "--quiet",
];

/// The files of a run, all but the one that may differ.
fn results(folder: &Path, out: &str) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(&folder.join(out));
    assert!(all.remove("timing.json").is_some());
    for name in ["scenario.toml", "summary.json", "requests.csv", "decisions.jsonl"] {
        assert!(!all[name].is_empty(), "{name}");
    }
    assert!(all.keys().any(|name| name.starts_with("plots/")));
    all
}

fn assert_same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) {
    assert!(a.keys().eq(b.keys()), "{:?}, {:?}", a.keys(), b.keys());
    for (name, bytes) in a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

#[test]
fn threads_folders_and_the_resolved_scenario_change_no_byte_and_another_seed_does() {
    let place = tempfile::tempdir().unwrap();
    let run = |args: &[&str], out: &str| {
        let stdout = succeed(place.path(), &[args, &["--out", out]].concat());
        (results(place.path(), out), stdout)
    };
    let (one, table) = run(&[&SMALL[..], &["--threads=1"]].concat(), "first-folder");
    let (two, json) = run(&[&SMALL[..], &["--threads=2", "--json"]].concat(), "second-folder");
    assert_same(&one, &two);
    assert_eq!(json.trim_end().as_bytes(), two["summary.json"], "--json prints summary.json");
    assert!(table.contains("power-of-two"), "{table}");

    let (again, _) = run(&["simulate", "first-folder/scenario.toml", "--quiet"], "third-folder");
    assert_same(&one, &again);
    let path = place.path().to_string_lossy().into_owned();
    for (name, bytes) in &again {
        let text = String::from_utf8_lossy(bytes);
        for own in [path.as_str(), "first-folder", "second-folder", "third-folder"] {
            assert!(!text.contains(own), "{name} holds {own}");
        }
    }

    let (other, _) = run(&[&SMALL[..], &["--seed=43"]].concat(), "other-folder");
    for name in ["summary.json", "requests.csv", "decisions.jsonl", "timeline.csv"] {
        assert!(one[name] != other[name], "{name} does not depend on the seed");
    }
}
