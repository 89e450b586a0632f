//! Where the time of a run goes: what each of its threads does, and for how long.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a thread of a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// Takes bytes from files, decompresses them and cuts them into parts, or waits for the threads that do so.
    Read,
    /// Makes batches of bytes, or waits for the threads that do so.
    Decode,
    /// Checks images, decodes encoded ones, and applies stages.
    Images,
    /// Computes features and makes the columns of the output.
    Features,
    /// Lets observers see a batch: profile, checks, issues of images.
    Observe,
    /// Waits for the thread before it or after it.
    Wait,
}

impl Activity {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 6] = [Self::Read, Self::Decode, Self::Images, Self::Features, Self::Observe, Self::Wait];

    /// Its name in reports, such as `read`.
    pub fn name(self) -> &'static str {
        ["read", "decode", "images", "features", "observe", "wait"][self as usize]
    }
}

/// How long was spent with each activity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent([Duration; Activity::ALL.len()]);

impl Spent {
    /// The time of one activity.
    pub fn on(&self, activity: Activity) -> Duration {
        self.0[activity as usize]
    }

    /// The time of all activities together.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The activities that took time, in the order of the flow.
    pub fn iter(&self) -> impl Iterator<Item = (Activity, Duration)> {
        Activity::ALL.into_iter().zip(self.0).filter(|(_, time)| !time.is_zero())
    }

    pub(crate) fn add(&mut self, activity: Activity, time: Duration) {
        self.0[activity as usize] += time;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.iter().for_each(|(activity, time)| self.add(activity, time));
    }

    /// What came after `before` was taken.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].saturating_sub(before.0[at])))
    }
}

/// Measures one thread. Clones are one clock, which any thread can read.
#[derive(Debug, Clone)]
pub(crate) struct Clock(Arc<Mutex<Running>>);

#[derive(Debug)]
struct Running {
    spent: Spent,
    /// `None` before the thread has begun and after it has ended.
    now: Option<Activity>,
    since: Instant,
}

impl Running {
    fn switch(&mut self, to: Option<Activity>) -> Option<Activity> {
        let now = Instant::now();
        if let Some(activity) = self.now {
            self.spent.add(activity, now - self.since);
        }
        self.since = now;
        std::mem::replace(&mut self.now, to)
    }
}

thread_local! {
    static OF_THREAD: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Running { spent: Spent::default(), now: None, since: Instant::now() })))
    }
}

impl Clock {
    /// Measures this thread from now on, until the guard is dropped. The thread waits at first.
    pub fn start(&self) -> Measured {
        self.lock().switch(Some(Activity::Wait));
        OF_THREAD.set(Some(self.clone()));
        Measured(self.clone())
    }

    /// What the thread has spent until now.
    pub fn spent(&self) -> Spent {
        let mut running = self.lock();
        let now = running.now;
        running.switch(now);
        running.spent
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that a [`Clock`] measures.
pub(crate) struct Measured(Clock);

impl Drop for Measured {
    fn drop(&mut self) {
        self.0.lock().switch(None);
        OF_THREAD.set(None);
    }
}

/// Does some work as this activity, if a clock measures this thread. Then the thread goes on with what it did before.
pub(crate) fn during<T>(activity: Activity, work: impl FnOnce() -> T) -> T {
    let Some(clock) = OF_THREAD.with_borrow(Clone::clone) else { return work() };
    let before = clock.lock().switch(Some(activity));
    let result = work();
    clock.lock().switch(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    #[test]
    fn inner_activities_interrupt_outer_ones() {
        const STEP: Duration = Duration::from_millis(20);
        let clock = Clock::default();
        let began = Instant::now();
        {
            let _measured = clock.start();
            during(Activity::Decode, || {
                sleep(STEP);
                during(Activity::Read, || sleep(3 * STEP));
                sleep(STEP);
            });
            sleep(STEP);
        }
        let all = began.elapsed();
        // After its thread has ended a clock stands still, and nothing is measured.
        during(Activity::Observe, || sleep(STEP));
        let spent = clock.spent();
        for (activity, least) in [(Activity::Decode, 2), (Activity::Read, 3), (Activity::Wait, 1)] {
            assert!(spent.on(activity) >= least * STEP, "{activity:?}: {spent:?}");
        }
        assert_eq!(spent.on(Activity::Observe), Duration::ZERO);
        assert!(spent.total() <= all, "{spent:?} of {all:?}");
    }

    #[test]
    fn another_thread_sees_what_goes_on() {
        let clock = Clock::default();
        let _measured = clock.start();
        during(Activity::Features, || {
            let before = clock.spent();
            sleep(Duration::from_millis(5));
            let seen = std::thread::scope(|scope| scope.spawn(|| clock.spent()).join()).unwrap();
            assert!(seen.since(&before).on(Activity::Features) >= Duration::from_millis(5));
            assert_eq!(seen.iter().map(|(activity, _)| activity.name()).last(), Some("wait"));
        });
    }
}
