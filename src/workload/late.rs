//! Requests that reach the cluster some time after they were sent.

use super::Source;
use crate::error::Result;
use crate::request::{Request, RequestId};
use crate::units::Nanos;

/// `source`, every request of which arrives `delay` after it was sent. A request keeps the time at which
/// it was sent, so that its latencies contain the delay; nobody else waits for it meanwhile.
pub fn by(source: Box<dyn Source>, delay: Nanos) -> Box<dyn Source> {
    match delay {
        Nanos::ZERO => source,
        delay => Box::new(Late { source, delay }),
    }
}

struct Late {
    source: Box<dyn Source>,
    delay: Nanos,
}

impl Source for Late {
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        Ok(self.source.next_arrival()?.map(|sent| sent + self.delay))
    }

    fn take(&mut self) -> Result<Request> {
        self.source.take()
    }

    fn on_complete(&mut self, id: RequestId, now: Nanos) -> bool {
        self.source.on_complete(id, now)
    }

    fn fetch_place(&self, id: RequestId) {
        self.source.fetch_place(id);
    }

    fn fetch(&self, id: RequestId) {
        self.source.fetch(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Draft;
    use crate::workload;

    #[test]
    fn a_request_comes_late_and_keeps_the_time_it_was_sent() {
        let mut draft = Draft::load("diverse").unwrap();
        draft.set_text("workload.requests=5").unwrap();
        let workload = draft.finish().unwrap().workload;
        let source = || workload::build(&workload, 1, None).unwrap();
        let (mut plain, mut late) = (source(), by(source(), Nanos(700)));
        for _ in 0..5 {
            let sent = plain.next_arrival().unwrap().unwrap();
            assert_eq!(late.next_arrival().unwrap(), Some(sent + Nanos(700)));
            let (plain, late) = (plain.take().unwrap(), late.take().unwrap());
            assert_eq!((late.arrival, late.id), (plain.arrival, plain.id));
        }
        assert_eq!(late.next_arrival().unwrap(), None);
    }
}
