//! Errors, sorted by whose move it is.

use std::fmt::Display;
use std::path::Path;

/// What went wrong. The sentence is complete: it names the file, line, key or option, and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad input or bad usage: the user can mend it. The program exits with code 2.
    #[error("{0}")]
    Input(String),
    /// The run itself failed. The program exits with code 1.
    #[error("{0}")]
    Run(String),
}

/// Result of anything that can fail because of its input.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A mistake in the input, as one sentence.
    pub fn input(sentence: impl Into<String>) -> Error {
        Error::Input(sentence.into())
    }

    /// A file that cannot be read.
    pub fn unreadable(path: &Path, why: impl Display) -> Error {
        Error::Input(format!("cannot read {}: {why}", path.display()))
    }

    /// A file or folder that cannot be written.
    pub fn unwritable(path: &Path, why: impl Display) -> Error {
        Error::Input(format!(
            "cannot write {}: {why}; choose another place with --out",
            path.display()
        ))
    }
}

/// The known name nearest to `name`, as the tail of a message: `; did you mean "x"?`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, candidate)| format!("; did you mean \"{candidate}\"?"))
}
