//! Nothing done is lost: a sweep killed at any moment and resumed writes what an uninterrupted one
//! does.

use crate::program::{files, kvroute, succeed};
use crate::sweep::{SMALL, assert_same, results};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const ARGS: [&str; 6] = ["sweep", "s.toml", "--quiet", "--no-plots", "--threads=2", "--out=out"];

/// Starts the sweep, waits, and kills it with SIGKILL; whether it was still running.
fn killed_after(place: &Path, wait: Duration) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kvroute"))
        .args(ARGS)
        .arg("--resume")
        .current_dir(place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    sleep(wait);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn killed_at_ten_moments_and_resumed_it_ends_with_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let text = SMALL.replace("requests = 40", "requests = 1000").replace("seeds = 2", "seeds = 4");
    fs::write(place.path().join("s.toml"), text).unwrap();
    let whole = [&ARGS[..5], &["--out=whole"]].concat();
    succeed(place.path(), &whole);
    let mut killed = 0;
    for round in 0..10u64 {
        // Early and late moments by turns: before anything is written, in a row, between rows.
        killed += u64::from(killed_after(place.path(), Duration::from_millis(round * 37 % 150)));
    }
    eprintln!("killed {killed} times while running");
    assert!(killed > 0);
    succeed(place.path(), &[&ARGS[..], &["--resume"]].concat());
    assert_same(&results(place.path(), "whole"), &results(place.path(), "out"));
}

/// A finished small sweep.
fn finished() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("s.toml"), SMALL).unwrap();
    succeed(place.path(), &ARGS);
    place
}

#[test]
fn a_torn_last_line_is_run_again_and_a_broken_line_is_told() {
    let place = finished();
    let before = results(place.path(), "out");
    let journal = place.path().join("out/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let keep = text.match_indices('\n').nth(9).unwrap().0 + 1;
    for torn in [keep, keep + 40, 30, 0] {
        fs::write(&journal, &text[..torn]).unwrap();
        succeed(place.path(), &[&ARGS[..], &["--resume"]].concat());
        assert_same(&before, &results(place.path(), "out"));
    }
    fs::write(&journal, text.replacen("{\"point\"", "{\"pint\"", 1)).unwrap();
    let output = kvroute(place.path(), &[&ARGS[..], &["--resume"]].concat());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("line 2") && message.contains("remove that line"), "{message}");
}

#[test]
fn an_earlier_sweep_is_neither_overwritten_nor_mixed_with_another() {
    let place = finished();
    let before = files(place.path());
    let refused = |args: &[&str], words: &str| {
        let output = kvroute(place.path(), args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(words), "{message}");
    };
    refused(&ARGS, "--resume");
    let with = |more: &[&'static str]| [&ARGS[..], &["--resume"], more].concat();
    refused(&with(&["--seeds=3"]), "another sweep");
    refused(&with(&["--shard=1/2"]), "another sweep");
    refused(&with(&["--num-requests=41"]), "another sweep");
    assert!(before == files(place.path()), "something was changed");

    let journal = place.path().join("out/journal.jsonl");
    let held = OpenOptions::new().append(true).open(journal).unwrap();
    held.lock().unwrap();
    refused(&with(&[]), "another kvroute");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_cleanly_and_can_be_resumed() {
    let place = tempfile::tempdir().unwrap();
    let text = SMALL.replace("requests = 40", "requests = 20000");
    fs::write(place.path().join("s.toml"), text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_kvroute"))
        .args(ARGS)
        .current_dir(place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = place.path().join("out/journal.jsonl");
    // Interrupted once the handler is surely there: after the first row.
    while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 2 {
        sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("--resume"), "{message}");
    let rows = fs::read_to_string(&journal).unwrap().lines().count();
    assert!((2..25).contains(&rows), "{rows}");
    let mut out = OpenOptions::new().append(true).open(&journal).unwrap();
    out.write_all(b"{\"point\":").unwrap();
    drop(out);
    assert!(fs::read(place.path().join("out/points.csv")).is_err(), "nothing final yet");
}
