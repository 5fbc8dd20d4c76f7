//! Command line: options are turned into a scenario; the library does the rest.

mod calibrate;
mod capacity;
mod claims;
mod explain;
mod init;
#[cfg(feature = "live")]
mod live;
#[cfg(feature = "live")]
mod live_doctor;
#[cfg(feature = "live")]
mod live_runs;
#[cfg(feature = "live")]
mod live_server;
#[cfg(feature = "live")]
mod live_sim;
#[cfg(feature = "live")]
mod live_view;
mod load_args;
mod machine;
mod presets;
mod progress;
mod scenario_args;
mod simulate;
mod sweep;
mod sweep_options;
mod trace;

use clap::{Parser, Subcommand};
use kvroute::error::Error;

/// Will KV-cache-aware routing help my workload, how do I tune it, and why did a request go where
/// it went? A discrete-event simulator and benchmark of KV-cache-aware request routing.
#[derive(Parser)]
#[command(name = "kvroute", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one workload under one or more routers and compare them
    Simulate(Box<simulate::SimulateArgs>),
    /// Run many settings, each under several seeds, and compare them: a grid, lists or a sample
    Sweep(Box<sweep::SweepArgs>),
    /// Find the highest rate at which a goal holds, per router
    ///
    /// The rate is of requests per second (for sessions: of their starts; for traces: the speed-up), found
    /// by bisection. Without --slo the goal is that the queue does not grow without bound.
    ///
    /// A run at a higher rate gets as many more requests, so that all last for the same simulated time;
    /// the first 20 % of that time and what follows the last start are not measured, and a warning is given
    /// where sessions do not start for 4 times as long as they last. Each rate is run
    /// with several seeds, the same for all routers. It is accepted or refused when their 95 % interval
    /// lies on one side; until then seeds are added, up to --max-seeds, where the mean decides and is
    /// named. The range reaches from the highest rate clearly accepted to the lowest clearly refused.
    Capacity(Box<capacity::CapacityArgs>),
    /// Load real OpenAI-compatible endpoints with a workload, and measure them
    #[cfg(feature = "live")]
    Live(Box<live::LiveArgs>),
    /// Measure what is promised of KV-aware routing
    Claims(claims::ClaimsArgs),
    /// Print a commented scenario file to start from
    Init(init::InitArgs),
    /// Say why a request went where it went, or show the ten costliest decisions of a run
    Explain(explain::ExplainArgs),
    /// Look into a trace, or write a workload out as one
    #[command(subcommand)]
    Trace(TraceCommand),
    /// Fit a latency model to measured steps or requests
    Calibrate(calibrate::CalibrateArgs),
    /// List latency presets, their source, error and KV capacity
    Presets,
}

#[derive(Subcommand)]
enum TraceCommand {
    /// Requests, lengths, arrivals, and how much of a trace caches could reuse
    Inspect(trace::InspectArgs),
    /// Write a workload as a trace in Mooncake format
    Generate(Box<trace::GenerateArgs>),
}

/// Parses the command line and does what it says.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Simulate(args) => simulate::exec(&args),
        Command::Sweep(args) => sweep::exec(&args),
        Command::Capacity(args) => capacity::exec(&args),
        #[cfg(feature = "live")]
        Command::Live(args) => live::exec(&args),
        Command::Claims(args) => claims::exec(&args),
        Command::Init(args) => init::exec(&args),
        Command::Explain(args) => explain::exec(&args),
        Command::Trace(TraceCommand::Inspect(args)) => trace::inspect(&args),
        Command::Trace(TraceCommand::Generate(args)) => trace::generate(&args),
        Command::Calibrate(args) => calibrate::exec(&args),
        Command::Presets => presets::exec(),
    }
}

/// 2 for what the user can mend, 1 for a run that failed.
pub fn exit_code(why: &anyhow::Error) -> u8 {
    match why.downcast_ref::<Error>() {
        Some(Error::Input(_)) => 2,
        _ => 1,
    }
}

/// Writes to stdout; a reader that has gone away (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(why.into()),
        _ => Ok(()),
    }
}
