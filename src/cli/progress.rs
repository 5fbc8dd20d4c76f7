//! The progress bar, and Ctrl-C.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kvroute::sim::Control;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Ctrl-C ends the runs with what they have; a second one ends the program at once.
pub fn stop_on_ctrl_c(control: &Arc<Control>) -> anyhow::Result<()> {
    let control = Arc::clone(control);
    ctrlc::set_handler(move || {
        if control.stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!(
            "kvroute: stopping; what is done so far will be written (Ctrl-C again to quit now)"
        );
    })?;
    Ok(())
}

/// Runs `work` under a bar over `total` requests, or a mere count of them where `total` is 0: not
/// known. The bar is silent where stderr is no terminal.
pub fn with_bar<T>(total: u64, quiet: bool, control: &Control, work: impl FnOnce() -> T) -> T {
    if quiet {
        return work();
    }
    let known = (total > 0).then_some(total);
    let bar = ProgressBar::with_draw_target(known, ProgressDrawTarget::stderr());
    let template = match known {
        Some(_) => "{elapsed:>4} [{wide_bar}] {human_pos}/{human_len} requests, {eta} left",
        None => "{elapsed:>4} {human_pos} requests",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let look = || bar.set_position(control.done.load(Ordering::Relaxed));
    let result = watched(Duration::from_millis(100), look, work);
    bar.finish_and_clear();
    result
}

/// Runs `work`, and beside it `look` every `period`.
pub fn watched<T>(period: Duration, mut look: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (finished, watch) = mpsc::channel::<()>();
        scope.spawn(move || {
            while watch.recv_timeout(period) == Err(mpsc::RecvTimeoutError::Timeout) {
                look();
            }
        });
        let result = work();
        drop(finished);
        result
    })
}
