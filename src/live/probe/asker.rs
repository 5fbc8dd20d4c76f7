//! Sends the probe's requests, one by one or together. Their texts are contents of their own: no
//! workload has them, and no cache from an earlier probe.

use super::super::attempt::{Attempt, Done};
use super::super::body::{Bodies, escape};
use super::super::client::answer::Answer;
use super::super::client::{Call, Client, Limits};
use super::super::clock::{Clock, unix_ns};
use super::super::connect;
use super::super::conversation::{Message, Part, Prompt, Role};
use super::super::options::LiveOptions;
use super::super::record::{Failure, LiveRecord, Outcome};
use super::super::text::Texts;
use crate::error::{Error, Result};
use crate::prompt::{Segment, mix};
use crate::request::{Request, RequestId};
use crate::sim::Control;
use crate::units::Nanos;
use hyper::header::HeaderMap;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Marks the probe's contents.
const PROBE: u64 = 0x7072_6f62_6500_0001;

/// Sends requests; see the module's documentation.
pub(super) struct Asker<'a> {
    client: Arc<Client>,
    pub(super) clock: Clock,
    bodies: Bodies,
    texts: &'a Texts,
    options: &'a LiveOptions,
    control: &'a Control,
    cancel: watch::Sender<bool>,
    /// Different for every probe.
    nonce: u64,
    contents: Cell<u64>,
    /// Requests sent so far.
    pub(super) sent: Cell<u64>,
}

/// A message being written: who says it, and what.
pub(super) type Says<'a> = (Role, &'a [What<'a>]);

/// A stretch of a message.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    /// Text of ours.
    Text(Segment),
    /// What the server said.
    Answer(&'a str),
}

/// A request that was answered.
pub(super) struct Answered {
    pub(super) record: LiveRecord,
    pub(super) answer: Answer,
}

/// A request under way.
pub(super) struct Asked {
    task: JoinHandle<Done>,
    endpoint: usize,
}

/// Why a request was not answered.
pub(super) enum Unanswered {
    /// The server would not have it, as it does not have prompts that are too long for it.
    Refused(Error),
    /// Anything else: the probe cannot go on.
    Failed(Error),
}

impl From<Unanswered> for Error {
    fn from(why: Unanswered) -> Error {
        match why {
            Unanswered::Refused(error) | Unanswered::Failed(error) => error,
        }
    }
}

impl<'a> Asker<'a> {
    /// Over the endpoints of `options`, with a connection to each.
    ///
    /// # Errors
    /// Where one cannot be reached.
    pub(super) async fn start(
        options: &'a LiveOptions,
        texts: &'a Texts,
        control: &'a Control,
    ) -> Result<Asker<'a>> {
        let clock = Clock::start();
        let client = Arc::new(connect::client(options, &clock).await?);
        client.warm(options.targets.len()).await?;
        Ok(Asker {
            client,
            clock,
            bodies: Bodies::new(&options.body)?,
            texts,
            options,
            control,
            cancel: watch::Sender::new(false),
            nonce: unix_ns(),
            contents: Cell::new(0),
            sent: Cell::new(0),
        })
    }

    /// The pages of metrics of all endpoints, as far as they answer.
    pub(super) async fn pages(&self) -> Vec<(String, String)> {
        let mut pages = Vec::new();
        for target in &self.options.metrics {
            let Ok(addresses) = target.resolve().await else { continue };
            if let Ok(page) = self.client.fetch(target, &addresses).await {
                pages.push((target.url.clone(), String::from_utf8_lossy(&page).into_owned()));
            }
        }
        pages
    }

    /// A text that nobody has seen.
    pub(super) fn fresh(&self, tokens: u32) -> Segment {
        self.contents.set(self.contents.get() + 1);
        Segment { content: mix(&[PROBE, self.nonce, self.contents.get()]), tokens: tokens.max(1) }
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(
        &self,
        endpoint: usize,
        says: &[Says<'_>],
        output: u32,
    ) -> std::result::Result<Answered, Unanswered> {
        self.begin(endpoint, says, output, None)?
            .end()
            .await
            .map_err(|why| self.name(endpoint, why))
    }

    /// The same with a single message of texts.
    pub(super) async fn say(
        &self,
        endpoint: usize,
        texts: &[Segment],
        output: u32,
    ) -> std::result::Result<Answered, Unanswered> {
        let texts: Vec<What<'_>> = texts.iter().map(|text| What::Text(*text)).collect();
        self.ask(endpoint, &[(Role::User, &texts)], output).await
    }

    /// Sends a request; `first_token` is told when its first token comes.
    pub(super) fn begin(
        &self,
        endpoint: usize,
        says: &[Says<'_>],
        output: u32,
        first_token: Option<UnboundedSender<RequestId>>,
    ) -> std::result::Result<Asked, Unanswered> {
        if self.control.stop.load(Relaxed) {
            return Err(Unanswered::Failed(Error::Run("interrupted during the probe".into())));
        }
        self.sent.set(self.sent.get() + 1);
        self.control.done.fetch_add(1, Relaxed);
        let id = self.sent.get();
        let prompt = prompt(says);
        let request = Request {
            id,
            session: id,
            turn: 0,
            arrival: self.clock.now(),
            segments: Vec::new(),
            prompt_tokens: prompt.tokens,
            output_tokens: output,
        };
        let call = Call {
            target: endpoint,
            first_token: first_token.map(|sender| (id, sender)),
            session: id,
            headers: HeaderMap::new(),
            body: self.bodies.bytes(&self.texts.pieces, &prompt, output),
            limits: Limits::for_output(output),
        };
        let attempt = Attempt {
            client: Arc::clone(&self.client),
            clock: self.clock.clone(),
            cancel: self.cancel.subscribe(),
            retries: self.options.retries,
        };
        let record = LiveRecord::new(&request);
        Ok(Asked { task: tokio::spawn(attempt.run(call, record)), endpoint })
    }

    /// The answer of a request that was begun.
    pub(super) async fn end(&self, asked: Asked) -> std::result::Result<Answered, Unanswered> {
        let endpoint = asked.endpoint;
        asked.end().await.map_err(|why| self.name(endpoint, why))
    }

    fn name(&self, endpoint: usize, (failure, words): (Option<Failure>, String)) -> Unanswered {
        let url = &self.options.targets[endpoint].url;
        let error = Error::Run(format!(
            "the probe of {url} failed: {words}; go without --compare-sim, or calibrate elsewhere and \
             give --latency"
        ));
        match failure {
            Some(Failure::Status(400 | 413 | 422)) => Unanswered::Refused(error),
            _ => Unanswered::Failed(error),
        }
    }
}

impl Asked {
    async fn end(self) -> std::result::Result<Answered, (Option<Failure>, String)> {
        let done = self.task.await.map_err(|why| (None, why.to_string()))?;
        let Done { record, answer, .. } = done;
        let words = || record.error.clone().unwrap_or_else(|| "it was given up".into());
        match record.outcome {
            Outcome::Completed => Ok(Answered { record, answer }),
            Outcome::Failed(failure) => Err((Some(failure), words())),
            Outcome::Cancelled => Err((None, words())),
        }
    }
}

impl Answered {
    /// Tokens of the prompt by the server, else by us.
    pub(super) fn prompt_tokens(&self) -> u32 {
        self.record.prompt_tokens()
    }

    /// When each gap between its tokens ended, and how long it was.
    pub(super) fn gaps(&self) -> Vec<(Nanos, Nanos)> {
        let mut at = self.record.first_token.unwrap_or_default();
        let gap = |gap: &u64| {
            at += Nanos(*gap);
            (at, Nanos(*gap))
        };
        self.answer.gaps.iter().map(gap).collect()
    }
}

fn prompt(says: &[Says<'_>]) -> Prompt {
    let part = |what: &What<'_>| match what {
        What::Text(text) => Part::Text(*text),
        What::Answer(text) => Part::Answer(escape(text).into()),
    };
    let messages = says
        .iter()
        .map(|(role, parts)| Message { role: *role, parts: parts.iter().map(part).collect() })
        .collect();
    let texts = says.iter().flat_map(|(_, parts)| *parts).filter_map(|what| match what {
        What::Text(text) => Some(*text),
        What::Answer(_) => None,
    });
    let segments: Vec<Segment> = texts.collect();
    let tokens = segments.iter().map(|segment| segment.tokens).sum();
    Prompt { messages, tokens, segments }
}
