//! A lock that is tried and never waited for.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A value for one at a time.
pub struct Exclusive<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a `Taken`, of which there is one at a time; so it goes
// from thread to thread, which `Send` allows, and is never shared.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    /// Nobody's yet.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, unless somebody has it (this thread included).
    pub fn take(&self) -> Option<Taken<'_, T>> {
        // Acquire pairs with the Release in `drop`: what the last one wrote is seen.
        let free =
            self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| Taken(self, PhantomData))
    }
}

/// The value is the holder's until this is dropped.
pub struct Taken<'a, T>(&'a Exclusive<T>, PhantomData<&'a mut T>);

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: there is no other `Taken`, and this one is borrowed.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: there is no other `Taken`, and this one is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Exclusive;

    #[test]
    fn only_one_has_it_at_a_time() {
        let count = Exclusive::new(0);
        let held = count.take().expect("free");
        assert!(count.take().is_none());
        drop(held);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut held = loop {
                            if let Some(held) = count.take() {
                                break held;
                            }
                            std::thread::yield_now();
                        };
                        *held += 1;
                    }
                });
            }
        });
        assert_eq!(*count.take().expect("free"), 4000);
    }
}
