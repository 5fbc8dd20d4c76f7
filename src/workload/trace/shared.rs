//! A trace read once and replayed many times: its sessions in memory, shared by runs in parallel.

use super::open;
use crate::error::Result;
use crate::prompt::Segment;
use crate::scenario::WorkloadSpec;
use crate::workload::{Session, SessionStream, Turn};
use std::mem::size_of;
use std::sync::Arc;

/// The sessions of a trace within the window of a workload.
#[derive(Clone, Debug)]
pub struct SharedTrace {
    sessions: Arc<[Session]>,
    bytes: u64,
}

impl SharedTrace {
    /// Reads the trace; `None` where its sessions would take more than `most` bytes, in which case
    /// every run has to stream it again.
    ///
    /// # Errors
    /// Where the trace cannot be read.
    pub fn read(spec: &WorkloadSpec, most: u64) -> Result<Option<SharedTrace>> {
        let mut stream = open(spec)?;
        let (mut sessions, mut bytes) = (Vec::new(), 0);
        while let Some(session) = stream.next_session()? {
            bytes += size(&session);
            if bytes > most {
                return Ok(None);
            }
            sessions.push(session);
        }
        Ok(Some(SharedTrace { sessions: sessions.into(), bytes }))
    }

    /// Memory that the sessions take, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sessions from the first.
    pub fn stream(&self) -> SharedStream {
        SharedStream { sessions: Arc::clone(&self.sessions), next: 0 }
    }
}

fn size(session: &Session) -> u64 {
    let segments: usize =
        session.turns.iter().map(|turn| turn.prompt.len() + turn.output.len()).sum();
    let turns = session.turns.len() * size_of::<Turn>();
    (size_of::<Session>() + turns + segments * size_of::<Segment>()) as u64
}

/// One replay of a [`SharedTrace`].
pub struct SharedStream {
    sessions: Arc<[Session]>,
    next: usize,
}

impl SessionStream for SharedStream {
    fn next_session(&mut self) -> Result<Option<Session>> {
        let session = self.sessions.get(self.next).cloned();
        self.next += 1;
        Ok(session)
    }
}
