//! Options that say how much is asked, when, and how long the texts are.
//!
//! What starts sessions is said by one of four groups: a rate (with its process and ramp), requests in
//! flight, sessions in flight, bursts. Options of two groups contradict each other and are refused;
//! `--ramp-up` belongs to the first three.

use super::scenario_args::{time, whole};
use clap::{Args, ValueEnum};
use kvroute::error::{Error, Result};
use kvroute::scenario::Draft;
use toml::{Table, Value};

/// Arrival processes that a rate alone describes.
#[derive(Clone, Copy, ValueEnum)]
pub enum ArrivalName {
    Constant,
    Poisson,
    Gamma,
}

#[derive(Args)]
pub struct LoadArgs {
    /// Requests (for sessions too: the last sessions are cut) [default: the workload's own]
    #[arg(
        long,
        value_name = "N",
        visible_aliases = ["request-count", "num-prompts"],
        help_heading = "Workload"
    )]
    num_requests: Option<u64>,
    /// Send nothing any more after this time (60s, 5m; a bare number is seconds), not even later turns;
    /// with --num-requests whichever comes first, alone in place of the workload's own number
    #[arg(long, value_name = "T", visible_alias = "benchmark-duration", help_heading = "Workload")]
    duration: Option<String>,
    /// Tokens of every prompt, exactly; of a session (multi-turn, agentic) the first prompt, system
    /// prompt included: later ones grow from it as they do. What is shared is kept, or cut where it
    /// is longer [default: as the workload draws]
    #[arg(long, value_name = "N", visible_alias = "input-len", help_heading = "Workload")]
    isl: Option<u32>,
    /// Tokens of every output, exactly [default: as the workload draws]
    #[arg(long, value_name = "N", visible_alias = "output-len", help_heading = "Workload")]
    osl: Option<u32>,

    /// Open loop: arrivals (starts of sessions) per second [default: the workload's own]
    #[arg(long, value_name = "R", help_heading = "Workload")]
    request_rate: Option<f64>,
    /// Arrival process of --request-rate [default: the workload's own, else poisson]
    #[arg(long, visible_alias = "arrival-pattern", help_heading = "Workload")]
    arrival: Option<ArrivalName>,
    /// Shape of gamma arrivals: 1 is Poisson, below 1 burstier
    #[arg(long, value_name = "B", visible_alias = "vllm-burstiness", help_heading = "Workload")]
    burstiness: Option<f64>,
    /// Closed loop: so many requests in flight, whatever their sessions do
    #[arg(long, value_name = "N", visible_alias = "max-concurrency", help_heading = "Workload")]
    concurrency: Option<u32>,
    /// Closed loop: so many sessions in progress; each keeps its slot through its pauses, and may have
    /// several requests in flight where it branches
    #[arg(long, value_name = "N", help_heading = "Workload")]
    sessions: Option<u32>,
    /// Come to the full load over this time: the rate grows linearly, or the slots of a closed loop
    /// open evenly one after the other
    #[arg(long, value_name = "T", help_heading = "Workload")]
    ramp_up: Option<String>,
    /// Arrivals per second at which a ramp of the rate begins [default: 0]
    #[arg(long, value_name = "R", help_heading = "Workload")]
    ramp_from: Option<f64>,
    /// So many sessions at exactly the same instant, again and again
    #[arg(long, value_name = "N", help_heading = "Workload")]
    burst: Option<u32>,
    /// Time from one --burst to the next
    #[arg(long, value_name = "T", help_heading = "Workload")]
    burst_every: Option<String>,
}

impl LoadArgs {
    /// Sets the keys of `[workload]` that the options stand for.
    pub fn apply(&self, draft: &mut Draft) -> Result<()> {
        if self.duration.is_some() && self.num_requests.is_none() {
            draft.unset("workload.requests");
        }
        let duration = self.duration.as_deref().map(|text| time("duration", text)).transpose()?;
        for (key, value) in [
            ("workload.requests", self.num_requests.map(whole)),
            ("workload.duration", duration),
            ("workload.prompt_tokens", self.isl.map(whole)),
            ("workload.output_tokens", self.osl.map(whole)),
        ] {
            if let Some(value) = value {
                draft.set(key, value)?;
            }
        }
        self.consistent()?;
        match self.arrival_table(draft)? {
            Some(arrival) => draft.set("workload.arrival", arrival),
            None => Ok(()),
        }
    }

    /// The first option given of those that describe a rate.
    fn rate_option(&self) -> Option<&'static str> {
        let given = [
            self.request_rate.map(|_| "--request-rate"),
            self.arrival.map(|_| "--arrival"),
            self.burstiness.map(|_| "--burstiness"),
        ];
        given.into_iter().flatten().next()
    }

    /// Refuses options that contradict each other.
    fn consistent(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::input(why));
        let bursts = self.burst.map(|_| "--burst");
        let slots =
            [self.concurrency.map(|_| "--concurrency"), self.sessions.map(|_| "--sessions")];
        let groups = [self.rate_option(), slots[0], slots[1], bursts];
        let given: Vec<&str> = groups.into_iter().flatten().collect();
        match given[..] {
            [rate, slots @ ("--concurrency" | "--sessions")]
                if Some(rate) == self.rate_option() =>
            {
                return Err(Error::input(format!(
                    "{rate} asks for an open loop and {slots} for a closed one; kvroute has no gate \
                     that lets at most so many of an open loop through, so give one of them"
                )));
            }
            ["--concurrency", "--sessions"] => {
                return refuse(
                    "--concurrency counts requests in flight and --sessions counts sessions; give one \
                     of them",
                );
            }
            [first, second, ..] => {
                return Err(Error::input(format!(
                    "{first} and {second} both say when requests come; give one of them"
                )));
            }
            _ => {}
        }
        match (self.burst, &self.burst_every) {
            (Some(_), None) => {
                return refuse("--burst needs the time between bursts; give --burst-every");
            }
            (None, Some(_)) => {
                return refuse("--burst-every needs the size of a burst; give --burst");
            }
            _ => {}
        }
        if self.burst.is_some() && self.ramp_up.is_some() {
            return refuse(
                "--ramp-up raises a rate or opens slots, and --burst has neither; leave one out",
            );
        }
        match (self.ramp_from, &self.ramp_up) {
            (Some(_), None) => refuse("--ramp-from needs the length of the ramp; give --ramp-up"),
            (Some(_), Some(_)) if slots.iter().any(Option::is_some) => refuse(
                "--ramp-from is a rate, and the ramp of a closed loop opens slots; leave it out",
            ),
            _ => Ok(()),
        }
    }

    /// `workload.arrival`, where an option says anything about it.
    fn arrival_table(&self, draft: &Draft) -> Result<Option<Value>> {
        let ramp = self.ramp_up.as_deref().map(|text| time("ramp-up", text)).transpose()?;
        if let (Some(size), Some(every)) = (self.burst, &self.burst_every) {
            let every = time("burst-every", every)?;
            return Ok(Some(table("burst", [("size", Some(whole(size))), ("every", Some(every))])));
        }
        if let Some(slots) = self.concurrency {
            return Ok(Some(table(
                "closed",
                [("concurrency", Some(whole(slots))), ("ramp_up", ramp)],
            )));
        }
        if let Some(slots) = self.sessions {
            return Ok(Some(table(
                "sessions",
                [("sessions", Some(whole(slots))), ("ramp_up", ramp)],
            )));
        }
        match (self.rate_option(), ramp) {
            (None, None) => Ok(None),
            (None, Some(ramp)) => self.own_with_ramp(draft, ramp).map(Some),
            (Some(_), ramp) => self.by_rate(draft, ramp).map(Some),
        }
    }

    /// The workload's own arrivals, with a ramp.
    fn own_with_ramp(&self, draft: &Draft, ramp: Value) -> Result<Value> {
        let own = draft.get("workload.arrival").and_then(Value::as_table);
        match own.and_then(|own| own.get("process")).and_then(Value::as_str) {
            Some("constant" | "poisson" | "gamma" | "ramp") => self.by_rate(draft, Some(ramp)),
            Some("closed" | "sessions") if self.ramp_from.is_none() => {
                let mut own = own.cloned().unwrap_or_default();
                own.insert("ramp_up".into(), ramp);
                Ok(Value::Table(own))
            }
            _ => Err(Error::input(
                "--ramp-up needs a rate or slots to come to; give --request-rate, --concurrency or \
                 --sessions",
            )),
        }
    }

    /// Arrivals by a rate, constant or, where there is a ramp, growing to it.
    fn by_rate(&self, draft: &Draft, ramp: Option<Value>) -> Result<Value> {
        let own = |key: &str| draft.get(&format!("workload.arrival.{key}")).cloned();
        let own_rate = || own("rate").or_else(|| ramp.as_ref().and_then(|_| own("to_rate")));
        let rate = self.request_rate.map(Value::Float).or_else(own_rate).ok_or_else(|| {
            Error::input("--arrival and --burstiness need a rate; give --request-rate")
        })?;
        let process = self.process(draft);
        let burstiness = self.burstiness.map(Value::Float);
        if process != "gamma" && burstiness.is_some() {
            return Err(Error::input(
                "--burstiness is a property of gamma arrivals; give --arrival gamma",
            ));
        }
        let shape = || burstiness.or_else(|| own("burstiness")).unwrap_or(Value::Float(1.0));
        let burstiness = (process == "gamma").then(shape);
        Ok(match ramp {
            None => table(process, [("rate", Some(rate)), ("burstiness", burstiness)]),
            Some(over) => table(
                "ramp",
                [
                    ("from_rate", Some(Value::Float(self.ramp_from.unwrap_or(0.0)))),
                    ("to_rate", Some(rate)),
                    ("over", Some(over)),
                    ("spacing", Some(Value::String(process.into()))),
                    ("burstiness", burstiness),
                ],
            ),
        })
    }

    /// The process asked for, else the workload's own where a rate describes it, else Poisson.
    fn process(&self, draft: &Draft) -> &'static str {
        let own = |key: &str| draft.get(&format!("workload.arrival.{key}")).and_then(Value::as_str);
        let own = own("spacing").or_else(|| own("process"));
        match (self.arrival, own) {
            (Some(ArrivalName::Constant), _) => "constant",
            (Some(ArrivalName::Poisson), _) => "poisson",
            (Some(ArrivalName::Gamma), _) => "gamma",
            (None, _) if self.burstiness.is_some() => "gamma",
            (None, Some("constant")) => "constant",
            (None, Some("gamma")) => "gamma",
            (None, _) => "poisson",
        }
    }
}

/// An arrival process and those of its keys that are given.
fn table<const N: usize>(process: &str, keys: [(&str, Option<Value>); N]) -> Value {
    let mut table = Table::from_iter([("process".into(), Value::String(process.into()))]);
    for (key, value) in keys {
        if let Some(value) = value {
            table.insert(key.into(), value);
        }
    }
    Value::Table(table)
}
