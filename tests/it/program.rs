//! The program itself, run in a folder of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `kvroute` with `args` in `folder`.
pub fn kvroute(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kvroute")).args(args).current_dir(folder).output().unwrap()
}

/// Runs it and expects success.
pub fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = kvroute(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every file below `folder`, by its path in it.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, "", &mut found);
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
}
