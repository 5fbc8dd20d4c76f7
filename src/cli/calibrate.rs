//! `kvroute calibrate`: measurements in, a latency preset with its error out.

use anyhow::Result;
use clap::Args;
use kvroute::calibrate;
use kvroute::error::Error;
use kvroute::report::plot;
use std::fs;
use std::path::{Path, PathBuf};

/// Measurements are CSV files; what one holds is told by its header: an engine's step log
/// (ctx_reqs, ctx_tokens, gen_reqs, elapsed_ms), prefill requests (context_cached, uncached, ttft_s),
/// decoding batches (batch, context, itl_median_s), prefill beside decoding (beside_batch,
/// beside_context, uncached, gap_s), or step tables (kind, new_tokens, context_tokens, batch, step_ms).
/// The folder of a live run gives the requests that nobody disturbed. All are fitted together.
#[derive(Args)]
pub struct CalibrateArgs {
    /// Files of measurements, or folders of live runs
    #[arg(required = true, value_name = "STEPS.csv|RUN_DIR")]
    measurements: Vec<PathBuf>,
    /// Preset file to write, for --latency FILE; residual plots go beside it
    /// [default: out/calibrate/NAME.toml]
    #[arg(long, value_name = "PRESET.toml")]
    out: Option<PathBuf>,
    /// Share of the rows to leave out of the fit and test it on, 0 to 0.9
    #[arg(long, value_name = "F", default_value_t = 0.5, value_parser = share)]
    holdout: f64,
    /// Leave out rows that are far off all others, as those of stalls are on a busy machine
    #[arg(long)]
    robust: bool,
    /// Name of the preset [default: that of the first file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// KV tokens of the measured worker, to be written to the preset
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 47))]
    kv_tokens: Option<u64>,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=0.9).contains(share))
        .ok_or_else(|| "it must be a number, 0 to 0.9".into())
}

impl CalibrateArgs {
    fn name(&self) -> String {
        let stem = self.measurements[0].file_stem().and_then(|stem| stem.to_str());
        self.name.clone().unwrap_or_else(|| stem.unwrap_or("calibrated").into())
    }

    fn out(&self) -> PathBuf {
        let default = || Path::new("out/calibrate").join(format!("{}.toml", self.name()));
        self.out.clone().unwrap_or_else(default)
    }
}

pub fn exec(args: &CalibrateArgs) -> Result<()> {
    let out = args.out();
    make_room(&out)?;
    let mut rows = Vec::new();
    for path in &args.measurements {
        rows.extend(calibrate::read(path)?);
    }
    let (fit, left_out) = match args.robust {
        true => calibrate::fit_robust(&rows, args.holdout)?,
        false => (calibrate::fit(&rows, args.holdout)?, 0),
    };
    if left_out > 0 {
        eprintln!("kvroute: {left_out} of {} rows are far off all others and left out", rows.len());
    }
    let (name, files) = (args.name(), files(&args.measurements));
    let preset = calibrate::preset(&name, &files, &fit, args.kv_tokens);
    let svg = plot::draw_residuals(&format!("{name}: {}", files.join(", ")), &fit)?;
    let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or("calibrated");
    let beside = |end: &str| out.with_file_name(format!("{stem}-residuals.{end}"));
    write(&beside("svg"), svg.as_bytes())?;
    write(&beside("png"), &plot::png(&svg)?)?;
    write(&out, preset.to_toml()?.as_bytes())?;
    super::print(&calibrate::report(&name, &fit))?;
    eprintln!("kvroute: wrote {}; use it with --latency {}", out.display(), out.display());
    Ok(())
}

/// Bad places are told before the work.
fn make_room(out: &Path) -> Result<()> {
    if out.is_dir() {
        return Err(Error::unwritable(out, "it is a folder, not a file").into());
    }
    let folder = out.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|why| Error::unwritable(folder, why))?;
    Ok(())
}

fn files(paths: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    paths.iter().filter_map(name).collect()
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).map_err(|why| Error::unwritable(path, why))?;
    Ok(())
}
