//! What of a run is measured: everything, or what arrives after a warm-up.
//!
//! **The rule.** The window opens at an arrival: the first one at least the given time after the first
//! arrival of the run, or the first one after the given number of arrivals that comes strictly later
//! than they did. Requests that arrive before it are simulated and not measured: they are missing
//! from every count, latency, hit rate and decision. Rates and busy fractions are taken over the time
//! from the opening to the end of the run. Gaps between tokens are pooled over requests and are
//! measured when they end after the opening. The overload rule and the timeline see the whole run.

use crate::units::Nanos;

/// When measuring begins.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Arrivals before it opens.
    requests: u64,
    /// Time before it opens.
    time: Nanos,
    arrived: u64,
    first: Option<Nanos>,
    last: Nanos,
    opened: Option<Nanos>,
}

impl Window {
    /// Opens after so many arrivals.
    pub fn after_requests(requests: u64) -> Window {
        Window { requests, ..Window::default() }
    }

    /// Opens this long after the first arrival.
    pub fn after(time: Nanos) -> Window {
        Window { time, ..Window::default() }
    }

    /// A request arrived. Whether the window opened just now.
    pub fn arrive(&mut self, at: Nanos) -> bool {
        let opens = self.opens_at(at);
        self.first.get_or_insert(at);
        self.arrived += 1;
        self.last = at;
        if opens {
            self.opened = Some(at);
        }
        opens
    }

    /// Whether it opens when a request arrives at `at`, the next one.
    pub fn opens_at(&self, at: Nanos) -> bool {
        let later = self.arrived == 0 || at > self.last;
        let since_first = at - self.first.unwrap_or(at);
        let due = self.arrived >= self.requests && since_first >= self.time && later;
        let warm = self.requests == 0 && self.time == Nanos::ZERO;
        self.opened.is_none() && (due || warm)
    }

    /// When it opened.
    pub fn opened(&self) -> Option<Nanos> {
        self.opened
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Whether a request that arrived at `arrival` is measured.
    pub fn measures(&self, arrival: Nanos) -> bool {
        self.opened.is_some_and(|opened| arrival >= opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these arrivals are measured.
    fn measured(mut window: Window, arrivals: &[u64]) -> Vec<u64> {
        for at in arrivals {
            window.arrive(Nanos(*at));
        }
        arrivals.iter().copied().filter(|at| window.measures(Nanos(*at))).collect()
    }

    #[test]
    fn a_warm_up_leaves_out_what_arrives_in_it() {
        let arrivals = [10, 20, 20, 30, 40];
        assert_eq!(measured(Window::default(), &arrivals), arrivals);
        assert_eq!(measured(Window::after_requests(1), &arrivals), [20, 20, 30, 40]);
        assert_eq!(measured(Window::after_requests(2), &arrivals), [30, 40], "a tie is not torn");
        assert_eq!(measured(Window::after(Nanos(10)), &arrivals), [20, 20, 30, 40]);
        assert_eq!(measured(Window::after(Nanos(11)), &arrivals), [30, 40]);
        assert!(measured(Window::after(Nanos(31)), &arrivals).is_empty());
    }
}
