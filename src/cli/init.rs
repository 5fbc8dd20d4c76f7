//! `kvroute init`: a commented scenario file on stdout.

use clap::Args;
use kvroute::error::{Error, did_you_mean};
use kvroute::scenario::BUNDLED;

#[derive(Args)]
pub struct InitArgs {
    /// Bundled workload to start from: shared-prefix, multi-turn, similar, diverse, agentic, mixed
    #[arg(default_value = "shared-prefix")]
    workload: String,
}

pub fn exec(args: &InitArgs) -> anyhow::Result<()> {
    let known = BUNDLED.iter().map(|(name, _)| *name);
    let Some((_, text)) = BUNDLED.iter().find(|(name, _)| *name == args.workload) else {
        let names: Vec<&str> = known.clone().collect();
        return Err(Error::input(format!(
            "\"{}\" is no bundled workload; choose from {}{}",
            args.workload,
            names.join(", "),
            did_you_mean(&args.workload, known)
        ))
        .into());
    };
    super::print(text)
}
