//! The `kvroute` program: parse, dispatch, exit code. Everything else is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kvroute: {why:#}");
            ExitCode::from(cli::exit_code(&why))
        }
    }
}
