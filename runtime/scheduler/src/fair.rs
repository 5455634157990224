//! Who is next among flows that each own a share: start-time fair queueing.
//!
//! Each flow has a tag that grows by the work it was served, divided by its share; the lowest tag is next. A flow that comes
//! back from idleness starts where the others are, so it can neither save up time nor be made to pay for having been alone.
//! (Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM 1996.)

/// The place of a flow in virtual time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    share: f64,
    start: f64,
}

/// Virtual time: the tag of the flow that was served last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct VirtualClock {
    now: f64,
}

impl Turn {
    pub(crate) fn new(share: f64) -> Self {
        Self { share, start: 0.0 }
    }

    /// The lower, the sooner.
    pub(crate) fn tag(&self) -> f64 {
        self.start
    }

    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    /// The flow got this much work done.
    pub(crate) fn charge(&mut self, work: f64) {
        self.start += work / self.share;
    }
}

impl VirtualClock {
    /// A flow that had nothing to do has something again.
    pub(crate) fn enter(&self, turn: &mut Turn) {
        turn.start = turn.start.max(self.now);
    }

    /// The tag of the flow that was served last.
    pub(crate) fn now(&self) -> f64 {
        self.now
    }

    /// A flow is served now.
    pub(crate) fn serve(&mut self, turn: &Turn) {
        self.now = self.now.max(turn.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves the lowest tag so many times with equal work; returns how often each flow was served.
    fn served(clock: &mut VirtualClock, turns: &mut [Turn], times: usize) -> Vec<usize> {
        let mut counts = vec![0; turns.len()];
        for _ in 0..times {
            let next = (0..turns.len()).min_by(|&a, &b| turns[a].tag().total_cmp(&turns[b].tag())).expect("some");
            clock.serve(&turns[next]);
            turns[next].charge(10.0);
            counts[next] += 1;
        }
        counts
    }

    #[test]
    fn flows_are_served_in_proportion_to_their_shares() {
        let mut turns = [Turn::new(3.0), Turn::new(1.0), Turn::new(1.0)];
        assert_eq!(served(&mut VirtualClock::default(), &mut turns, 500), [300, 100, 100]);
    }

    #[test]
    fn a_flow_that_was_idle_has_saved_nothing_up() {
        let (mut clock, mut turns) = (VirtualClock::default(), [Turn::new(1.0), Turn::new(1.0)]);
        served(&mut clock, &mut turns[..1], 100);
        clock.enter(&mut turns[1]);
        assert_eq!(served(&mut clock, &mut turns, 100), [50, 50]);
    }

    #[test]
    fn a_flow_that_was_alone_does_not_pay_for_it() {
        let (mut clock, mut turns) = (VirtualClock::default(), [Turn::new(1.0), Turn::new(1.0)]);
        served(&mut clock, &mut turns[..1], 1000);
        clock.enter(&mut turns[1]);
        // At most one turn passes before the one that was alone is served again.
        assert_eq!(served(&mut clock, &mut turns, 2), [1, 1]);
    }
}
