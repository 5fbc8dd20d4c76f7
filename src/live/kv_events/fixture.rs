//! Messages for tests: made up, and recorded.

use serde_json::Value;
use std::path::Path;

/// The frames of message number `sequence`.
pub fn frames(sequence: u64, payload: &Value) -> [Vec<u8>; 3] {
    let payload = rmp_serde::to_vec(payload).unwrap();
    [b"kv-events".to_vec(), sequence.to_be_bytes().to_vec(), payload]
}

/// The frames of every recorded message, or `None` with a loud note where the file is absent.
pub fn recorded(file: &str) -> Option<Vec<Vec<Vec<u8>>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/oracle").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is absent, so nothing was checked with it", path.display());
        return None;
    };
    let frames = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let frames = row["frames"].as_array().unwrap().iter();
        frames.map(|frame| bytes_of(frame.as_str().unwrap())).collect()
    };
    Some(text.lines().map(frames).collect())
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}
