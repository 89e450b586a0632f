//! Work of other crates that may panic on damaged input.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many guards this thread is inside.
    static GUARDS: Cell<usize> = const { Cell::new(0) };
}

/// Runs work and catches its panic, which prints nothing.
///
/// # Errors
/// The panic.
pub(crate) fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    // The hook of the process is set once, and calls the one that was there for every panic outside of guards.
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDS.get() == 0 {
                before(panic);
            }
        }));
    });
    GUARDS.set(GUARDS.get() + 1);
    // A panic leaves nothing behind that is used again: callers drop what the work had.
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_the_guard_ends() {
        let caught = guarded(|| guarded(|| panic!("inside")).map_or_else(|_| 7, |()| 8));
        assert!(matches!(caught, Ok(7)));
        assert!(guarded(|| panic!("again")).is_err());
        assert_eq!(GUARDS.get(), 0);
    }
}
