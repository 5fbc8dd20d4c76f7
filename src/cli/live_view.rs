//! What is seen while a live run goes on: a few lines that change, or a line now and then.

use super::progress::watched;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kvroute::live::progress::{Now, Progress};
use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ui {
    /// Lines that change in place
    Live,
    /// A line every five seconds
    Plain,
    /// Nothing
    None,
}

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks between two lines of the plain view.
const PLAIN_EVERY: u32 = 20;
/// Endpoints shown one by one.
const MOST_ENDPOINTS: usize = 16;

impl Ui {
    /// What was asked for, else what stderr can show.
    pub fn choose(asked: Option<Ui>, quiet: bool) -> Ui {
        match asked {
            _ if quiet => Ui::None,
            Some(ui) => ui,
            None if stderr().is_terminal() => Ui::Live,
            None => Ui::None,
        }
    }
}

/// Runs `work` under a view of `progress`; `total` requests are expected, where that is known.
pub fn with_view<T>(
    ui: Ui,
    total: Option<u64>,
    progress: &Progress,
    work: impl FnOnce() -> T,
) -> T {
    if ui == Ui::None {
        return work();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{elapsed:>4} [{wide_bar}] {human_pos}/{human_len} requests\n{msg}",
        None => "{elapsed:>4} {human_pos} requests\n{msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let (mut rates, mut looks) = (Rates::default(), 0);
    let look = || {
        looks += 1;
        if ui == Ui::Live {
            let now = progress.look();
            bar.set_position(now.completed + now.failed);
            bar.set_message(rates.lines(&now, LOOK));
        } else if looks % PLAIN_EVERY == 0 {
            eprintln!("kvroute: {}", rates.line(&progress.look(), LOOK * PLAIN_EVERY));
        }
    };
    let result = watched(LOOK, look, work);
    bar.finish_and_clear();
    result
}

/// What the last look saw, for rates.
#[derive(Default)]
struct Rates {
    completed: u64,
    per_second: f64,
    /// The last quantiles: a look may fall between two answers.
    ttft: Option<(f64, f64)>,
}

impl Rates {
    fn line(&mut self, now: &Now, since: Duration) -> String {
        let fresh = (now.completed - self.completed) as f64 / since.as_secs_f64();
        self.completed = now.completed;
        // Smoothed over about two seconds of looks.
        let weight = (since.as_secs_f64() / 2.0).min(1.0);
        self.per_second += weight * (fresh - self.per_second);
        if !now.ttft.is_empty() {
            let ms = |q| now.ttft.value_at_quantile(q) as f64 / 1e6;
            self.ttft = Some((ms(0.5), ms(0.99)));
        }
        let mut line = format!(
            "{:.1} requests/s, {} in flight, {} completed, {} failed",
            self.per_second,
            now.in_flight(),
            now.completed,
            now.failed
        );
        if let Some((p50, p99)) = self.ttft {
            let _ = write!(line, ", TTFT p50 {p50:.1} p99 {p99:.1} ms");
        }
        match now.hit_tokens {
            Some(hits) if now.prompt_tokens > 0 => {
                let share = 100.0 * hits as f64 / now.prompt_tokens as f64;
                let _ = write!(line, ", hit rate {share:.1} %");
            }
            _ => line.push_str(", hit rate unknown"),
        }
        if now.draining {
            line.push_str(", waiting for the last requests");
        }
        line
    }

    fn lines(&mut self, now: &Now, since: Duration) -> String {
        let mut lines = self.line(now, since);
        if now.endpoints.len() > 1 {
            for (number, (flying, completed)) in
                (1..).zip(now.endpoints.iter()).take(MOST_ENDPOINTS)
            {
                let _ =
                    write!(lines, "\n  worker {number}: {flying} in flight, {completed} completed");
            }
        }
        lines
    }
}
