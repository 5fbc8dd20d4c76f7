//! One prompt, sent, and what came back.

use super::prompts::Text;
use crate::error::Result;
use crate::live::body::{Bodies, BodySpec, escape};
use crate::live::client::answer::Fault;
use crate::live::client::{Call, Client, End, Limits};
use crate::live::clock::Clock;
use crate::live::conversation::{Message, Part, Prompt, Role};
use crate::live::record::{Failure, Usage};
use crate::live::text::Texts;
use crate::units::Nanos;
use hyper::header::HeaderMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A prompt that was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub text: Text,
    /// Output tokens asked for.
    pub asked: u32,
    /// Why there is no whole answer.
    pub fault: Option<Fault>,
    pub usage: Option<Usage>,
    /// Chunks with output.
    pub chunks: u32,
    /// From the first of them to the last.
    pub span: Nanos,
    /// From the first byte sent to the first token; `None` where the answer was no stream.
    pub first_token: Option<Nanos>,
    /// Longest wait of bytes before they were read, where the kernel tells.
    pub read_lag: Option<Nanos>,
}

impl Sent {
    /// The whole answer came.
    pub fn answered(&self) -> bool {
        self.fault.is_none()
    }

    /// Tokens of the prompt by the server's count.
    pub fn prompt_tokens(&self) -> Option<u32> {
        self.usage.map(|usage| usage.prompt_tokens).filter(|tokens| *tokens > 0)
    }

    /// Prompt tokens that were cached, where the answer tells.
    pub fn cached(&self) -> Option<u32> {
        self.usage.and_then(|usage| usage.cached_tokens)
    }

    /// The server does not like something about the request.
    pub fn refused(&self) -> bool {
        let refused = |fault: &Fault| matches!(fault.failure, Failure::Status(400 | 422));
        self.fault.as_ref().is_some_and(refused)
    }
}

/// Sends prompts to one endpoint.
pub(super) struct Prober<'a> {
    client: Arc<Client>,
    clock: Clock,
    texts: &'a Texts,
    spec: BodySpec,
    bodies: Bodies,
    target: usize,
    _alive: watch::Sender<bool>,
    cancel: watch::Receiver<bool>,
}

impl<'a> Prober<'a> {
    /// To endpoint `target` of `client`, with bodies as `spec` says.
    ///
    /// # Errors
    /// Where `spec` holds what only we can fill.
    pub fn new(
        client: &Arc<Client>,
        clock: &Clock,
        texts: &'a Texts,
        spec: BodySpec,
        target: usize,
    ) -> Result<Prober<'a>> {
        let (alive, cancel) = watch::channel(false);
        Ok(Prober {
            client: Arc::clone(client),
            clock: clock.clone(),
            texts,
            bodies: Bodies::new(&spec)?,
            spec,
            target,
            _alive: alive,
            cancel,
        })
    }

    /// The same, without asking for outputs of an exact length.
    ///
    /// # Errors
    /// As [`Prober::new`].
    pub fn loose(&self) -> Result<Prober<'a>> {
        let spec = BodySpec { ignore_eos: false, ..self.spec.clone() };
        Prober::new(&self.client, &self.clock, self.texts, spec, self.target)
    }

    /// Sends `text` as a user's message, and asks for `output` tokens.
    pub async fn send(&self, text: Text, output: u32) -> Sent {
        let part = Part::Answer(escape(&text.words).into());
        let messages = vec![Message { role: Role::User, parts: vec![part] }];
        let prompt = Prompt { messages, tokens: text.tokens, segments: Vec::new() };
        let call = Call {
            target: self.target,
            first_token: None,
            session: 0,
            headers: HeaderMap::new(),
            body: self.bodies.bytes(&self.texts.pieces, &prompt, output),
            limits: Limits::for_output(output),
        };
        let reply = self.client.send(&call, self.cancel.clone()).await;
        let answer = &reply.exchange.answer;
        let sent = reply.seen.first_write.unwrap_or(self.clock.now());
        let span = answer.last_token.zip(answer.first_token);
        let span = span.map(|(last, first)| last.saturating_sub(first));
        let fault = match reply.end {
            End::Complete => None,
            End::Failed(fault) => Some(fault),
            End::Cancelled => Some(Fault::new(Failure::Timeout, "given up")),
        };
        Sent {
            text,
            asked: output,
            fault,
            usage: answer.usage,
            chunks: answer.chunks,
            span: span.unwrap_or(Nanos::ZERO),
            first_token: answer.first_token.map(|at| at.saturating_sub(sent)),
            read_lag: (reply.seen.kernel && reply.seen.reads > 0).then_some(reply.seen.worst_lag),
        }
    }
}
