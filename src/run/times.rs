//! Where the time of a stream goes, seen from its consumer.

use std::time::Duration;

use crate::base::clock::{Activity, Clock, Spent};

/// Where the time of a [`FeatureStream`](crate::FeatureStream) went.
///
/// The threads of a stream work at the same time, so their times do not add up to that of the run. What adds up is the time of
/// the consumer: it waits for batches, or it does something with them. Its waiting is shared out here by what held the batches
/// up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// For how long the consumer waited for batches, by what the stream was doing meanwhile. While the computing thread waited
    /// for input, it is what the reading thread did.
    pub waited: Spent,
    /// What the thread that reads the input did. Its helpers, such as those that parse JSON, are part of what it waits for.
    pub reading: Spent,
    /// What the thread that computes did.
    pub computing: Spent,
}

/// The clocks of a stream, as its consumer sees them.
#[derive(Debug, Clone, Default)]
pub(super) struct Clocks {
    pub reading: Clock,
    pub computing: Clock,
}

impl Clocks {
    fn spent(&self) -> (Spent, Spent) {
        (self.reading.spent(), self.computing.spent())
    }

    /// Waits by calling `wait`; returns its result, and what it waited for.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> (T, Spent) {
        let before = self.spent();
        let result = wait();
        let after = self.spent();
        (result, shared_out(&after.0.since(&before.0), &after.1.since(&before.1)))
    }
}

/// The time of the computing thread. While it waited itself, what the reading thread did counts instead.
fn shared_out(reading: &Spent, computing: &Spent) -> Spent {
    let mut waited = Spent::default();
    for (activity, time) in computing.iter().filter(|(activity, _)| *activity != Activity::Wait) {
        waited.add(activity, time);
    }
    let idle = computing.on(Activity::Wait);
    let busy = reading.on(Activity::Read) + reading.on(Activity::Decode);
    let decoding = match busy {
        Duration::ZERO => Duration::ZERO,
        busy => idle.mul_f64(reading.on(Activity::Decode).as_secs_f64() / busy.as_secs_f64()),
    };
    waited.add(Activity::Decode, decoding);
    waited.add(Activity::Read, idle.saturating_sub(decoding));
    waited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_goes_to_what_the_reader_did() {
        let ms = Duration::from_millis;
        let spent = |list: &[(Activity, u64)]| {
            let mut spent = Spent::default();
            list.iter().for_each(|(activity, time)| spent.add(*activity, ms(*time)));
            spent
        };
        let reading = spent(&[(Activity::Read, 10), (Activity::Decode, 30), (Activity::Wait, 40)]);
        let computing = spent(&[(Activity::Features, 20), (Activity::Observe, 5), (Activity::Wait, 60)]);
        let waited = shared_out(&reading, &computing);
        let expected = [(Activity::Read, 15), (Activity::Decode, 45), (Activity::Features, 20), (Activity::Observe, 5)];
        assert_eq!(waited, spent(&expected));
        assert_eq!(waited.total(), computing.total());
        // A reader that only waited, such as for its first batch, was reading.
        assert_eq!(shared_out(&Spent::default(), &spent(&[(Activity::Wait, 7)])), spent(&[(Activity::Read, 7)]));
    }
}
