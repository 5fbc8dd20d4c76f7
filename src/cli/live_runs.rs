//! The runs of `kvroute live`: every arm as often as asked, in balanced order.

use super::live::LiveArgs;
use super::live_view::{self, Ui};
use kvroute::error::{Error, Result};
use kvroute::live::arms::{self, Arm, Reset};
use kvroute::live::client::Target;
use kvroute::live::kv_events::subscriber::Feed;
use kvroute::live::options::LiveOptions;
use kvroute::live::plan::{self, Job};
use kvroute::live::progress::Progress;
use kvroute::live::recorder::LiveOutput;
use kvroute::live::run;
use kvroute::live::text::Texts;
use kvroute::report::live::{ExportHead, LiveWriter};
use kvroute::report::run_dir::RunDir;
use kvroute::scenario::Scenario;
use kvroute::sim::Control;
use std::cell::OnceCell;
use std::process::Command;

/// What all runs have in common.
pub struct Runs<'a> {
    pub args: &'a LiveArgs,
    pub scenario: &'a Scenario,
    /// Requests of a run; 0 where not known.
    pub requests: u64,
    pub options: &'a LiveOptions,
    pub texts: &'a Texts,
    pub arms: &'a [Arm],
    /// KV events of the workers, one each, or none.
    pub feeds: &'a [Feed],
    /// Made when the first run has its connections: one that cannot start leaves everything as it was.
    pub dir: OnceCell<RunDir>,
    pub control: &'a Control,
}

impl Runs<'_> {
    /// Runs them all; results by arm, then by run. After an interruption the rest of the runs is empty.
    pub fn all(&self) -> Result<Vec<LiveOutput>> {
        let runs = self.scenario.seeds as usize;
        let mut outputs: Vec<Option<LiveOutput>> = Vec::new();
        outputs.resize_with(self.arms.len() * runs, || None);
        for run in 0..runs {
            for arm in arms::order(self.arms.len(), run) {
                outputs[arm * runs + run] = Some(self.one(&self.arms[arm], run)?);
            }
        }
        Ok(outputs.into_iter().flatten().collect())
    }

    /// The folder of the results.
    pub fn dir(&self) -> Result<&RunDir> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir);
        }
        let dir = RunDir::create(&self.args.out())?;
        Ok(self.dir.get_or_init(|| dir))
    }

    fn one(&self, arm: &Arm, run: usize) -> Result<LiveOutput> {
        let seed = self.scenario.seed.wrapping_add(run as u64);
        let reset = Reset::parse(&self.args.reset_kv_cache)?;
        let options = LiveOptions {
            targets: arm.targets.clone(),
            caches_emptied: reset != Reset::None,
            metrics: self.args.server.metrics(&arm.targets)?,
            ..self.options.clone()
        };
        self.switch(arm)?;
        arms::reset(&options, &reset)?;
        let from = (&options, self.texts);
        let choosing = arms::choosing(arm, self.scenario, seed, from, self.feeds)?;
        let job = Job::new(self.scenario, seed, &arm.label, &options, self.texts, choosing)?;
        let target = plan::target(&options, self.texts);
        let several = self.arms.len() > 1 || self.scenario.seeds > 1;
        let head = ExportHead {
            folder: if several { format!("{}-{}/", arm.label, run + 1) } else { String::new() },
            ..ExportHead::new(self.scenario, target, &arm.label, seed)
        };
        let place = self.place(arm, run);
        let progress = Progress::new(options.targets.len());
        let ready = run::start(job, &progress)?;
        let mut writer = LiveWriter::create(self.dir()?, place, &self.args.formats(head))?;
        let total = Some(self.requests).filter(|requests| *requests > 0);
        let ui = Ui::choose(self.args.ui, self.args.quiet);
        if several && ui != Ui::None {
            eprintln!("kvroute: {}, run {} of {}", arm.label, run + 1, self.scenario.seeds);
        }
        let output = live_view::with_view(ui, total, &progress, || {
            ready.run(&mut [&mut writer], self.control)
        })?;
        writer.finish(&output)?;
        Ok(output)
    }

    /// Number of a run's share of the rows: by arm, then by run.
    fn place(&self, arm: &Arm, run: usize) -> usize {
        let before = self.arms.iter().take_while(|other| other.label != arm.label).count();
        before * self.scenario.seeds as usize + run
    }

    /// Has the router behind the endpoint switched to the arm's mode.
    fn switch(&self, arm: &Arm) -> Result<()> {
        let Some(command) = &self.args.switch_command else { return Ok(()) };
        let command = command.replace("{mode}", &arm.label);
        let status = Command::new("sh").args(["-c", &command]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(Error::Run(format!("--switch-command \"{command}\" ended with {status}")))
            }
            Err(why) => Err(Error::Run(format!("--switch-command \"{command}\": {why}"))),
        }
    }
}

impl LiveArgs {
    /// What is compared; one arm called `live` where nothing is.
    pub fn arms(&self, scenario: &Scenario) -> Result<Vec<Arm>> {
        let arms: Vec<Arm> = if !self.worker.is_empty() {
            let targets = self.targets("--worker", &self.worker)?;
            let arm = |mode: &String| Arm {
                label: mode.clone(),
                targets: targets.clone(),
                router: Some(mode.clone()),
            };
            scenario.router.mode.iter().map(arm).collect()
        } else if !self.arm.is_empty() {
            self.arm.iter().map(|arm| self.named_arm(arm)).collect::<Result<_>>()?
        } else {
            let targets = self.targets("--url", &self.url)?;
            let arm =
                |label: &str| Arm { label: label.into(), targets: targets.clone(), router: None };
            match self.switch_command {
                Some(_) => scenario.router.mode.iter().map(|mode| arm(mode)).collect(),
                None => vec![arm("live")],
            }
        };
        for (place, arm) in arms.iter().enumerate() {
            if arms[..place].iter().any(|other| other.label == arm.label) {
                return Err(Error::input(format!("arm \"{}\" is given twice", arm.label)));
            }
        }
        Ok(arms)
    }

    /// Where the workers' KV events come from.
    pub fn feeds(&self) -> Result<Vec<Feed>> {
        self.server.feeds(self.worker.len())
    }

    /// `name=URL[,URL...]`.
    fn named_arm(&self, text: &str) -> Result<Arm> {
        let (label, urls) = text.split_once('=').filter(|(label, _)| is_plain(label)).ok_or_else(
            || {
                Error::input(format!(
                    "--arm {text}: write NAME=URL, the name of letters, digits, - and _, for example \
                     --arm kv=http://127.0.0.1:8000"
                ))
            },
        )?;
        let urls: Vec<String> = urls.split(',').map(String::from).collect();
        Ok(Arm { label: label.into(), targets: self.targets("--arm", &urls)?, router: None })
    }

    fn targets(&self, option: &'static str, urls: &[String]) -> Result<Vec<Target>> {
        self.server.targets(option, urls)
    }
}

/// Labels become names of folders.
fn is_plain(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !label.is_empty() && !label.starts_with('.') && label.chars().all(plain)
}
