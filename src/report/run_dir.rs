//! The folder of a run. It is made before the run starts, so that a bad place fails at once, and
//! every file appears whole: written beside its name as `*.part`, then renamed.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Files a run may write; those of an earlier run are removed, so that no folder mixes two runs.
const RESULTS: &[&str] = &[
    "scenario.toml",
    "timing.json",
    "summary.json",
    "requests.csv",
    "workers.csv",
    "timeline.csv",
    "decisions.jsonl",
    "server_metrics.csv",
    "profile_export.jsonl",
    "profile_export_aiperf.json",
    "profile_export_aiperf.csv",
    "vllm.json",
    "compare-sim.csv",
    "calibrated.toml",
    "probe-prefill.csv",
    "probe-decode.csv",
    "probe-beside.csv",
];

/// The folder a run writes to.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes the folder, and removes what an earlier run left in it.
    ///
    /// # Errors
    /// Where `path` is a file, or the folder cannot be made or written to.
    pub fn create(path: &Path) -> Result<RunDir> {
        RunDir::create_for(path, RESULTS)
    }

    /// The same for results of other names.
    ///
    /// # Errors
    /// As [`RunDir::create`].
    pub fn create_for(path: &Path, results: &[&str]) -> Result<RunDir> {
        if path.is_file() {
            return Err(Error::unwritable(path, "it is a file, not a folder"));
        }
        fs::create_dir_all(path).map_err(|why| Error::unwritable(path, why))?;
        let dir = RunDir { root: path.into() };
        dir.remove_earlier(results)
            .and_then(|()| dir.probe())
            .map_err(|why| Error::unwritable(path, why))?;
        Ok(dir)
    }

    /// Where the file `name` (may be `plots/name.svg`) is or will be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut file = self.writer(name)?;
        file.write_all(content).map_err(|why| Error::unwritable(&self.path(name), why))?;
        file.commit()
    }

    /// Starts a file that is written bit by bit; it appears under its name at
    /// [`ResultFile::commit`].
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn writer(&self, name: &str) -> Result<ResultFile> {
        let path = self.path(name);
        let part = part_of(&path);
        let folder = path.parent().unwrap_or(&self.root);
        let file = fs::create_dir_all(folder)
            .and_then(|()| File::create(&part))
            .map_err(|why| Error::unwritable(&path, why))?;
        Ok(ResultFile { out: BufWriter::with_capacity(1 << 16, file), part, path })
    }

    fn remove_earlier(&self, results: &[&str]) -> io::Result<()> {
        for name in results {
            remove_if_there(&self.path(name))?;
            remove_if_there(&part_of(&self.path(name)))?;
        }
        let Ok(plots) = fs::read_dir(self.path("plots")) else {
            return Ok(());
        };
        for entry in plots {
            let path = entry?.path();
            let kind = path.extension().and_then(|end| end.to_str());
            if matches!(kind, Some("svg" | "png" | "part")) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    /// A folder that exists may still refuse files: find out now, not after the run.
    fn probe(&self) -> io::Result<()> {
        let probe = self.path("probe.part");
        File::create(&probe)?;
        fs::remove_file(&probe)
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        _ => Ok(()),
    }
}

/// A buffered file that appears under its name only when it is complete.
#[derive(Debug)]
pub struct ResultFile {
    out: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl ResultFile {
    /// Ends the file and gives it its name, in place of an earlier one.
    ///
    /// # Errors
    /// Where the rest cannot be written, for example on a full disk.
    pub fn commit(mut self) -> Result<()> {
        self.out
            .flush()
            .and_then(|()| fs::rename(&self.part, &self.path))
            .map_err(|why| Error::unwritable(&self.path, why))
    }

    /// The sentence for a failed write to this file.
    pub fn error(&self, why: &io::Error) -> Error {
        Error::unwritable(&self.path, why)
    }
}

impl Write for ResultFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(&place.path().join("a/b")).unwrap();
        let mut file = dir.writer("plots/x.svg").unwrap();
        file.write_all(b"half").unwrap();
        assert!(!dir.path("plots/x.svg").exists());
        file.commit().unwrap();
        assert_eq!(fs::read(dir.path("plots/x.svg")).unwrap(), b"half");
        assert_eq!(fs::read_dir(dir.path("plots")).unwrap().count(), 1);
    }

    #[test]
    fn results_of_an_earlier_run_go_and_other_files_stay() {
        let place = tempfile::tempdir().unwrap();
        let dir = RunDir::create(place.path()).unwrap();
        for name in ["decisions.jsonl", "plots/old.png", "notes.txt"] {
            dir.write(name, b"old").unwrap();
        }
        let dir = RunDir::create(place.path()).unwrap();
        assert!(!dir.path("decisions.jsonl").exists());
        assert!(!dir.path("plots/old.png").exists());
        assert!(dir.path("notes.txt").exists());
    }

    #[test]
    fn a_file_in_the_way_is_refused_with_a_cure() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let message = RunDir::create(place.path()).unwrap_err().to_string();
        assert!(message.contains("it is a file"), "{message}");
        assert!(message.contains("--out"), "{message}");
    }
}
