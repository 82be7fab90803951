//! Keeps a single copy of data that many profiles have in common.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Values that are in use, each held once.
///
/// [`share`](Self::share) returns the value that is equal to a given one. A value that nothing else
/// uses any more is removed before the number of values has doubled.
pub struct Interner<T>(Mutex<Known<T>>);

struct Known<T> {
    values: HashSet<Arc<T>>,
    /// The number of values at which unused values are removed.
    sweep_at: usize,
}

/// With fewer values, unused values are not removed.
const MIN_SWEEP: usize = 64;

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(Mutex::new(Known { values: HashSet::new(), sweep_at: MIN_SWEEP }))
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// Returns the stored value that is equal to `value`. If there is none, stores `value` and
    /// returns it.
    pub fn share(&self, value: Arc<T>) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = known.values.get(&*value) {
            return Arc::clone(seen);
        }
        if known.values.len() >= known.sweep_at {
            known.values.retain(|value| Arc::strong_count(value) > 1);
            known.sweep_at = known.values.len().saturating_mul(2).max(MIN_SWEEP);
        }
        known.values.insert(Arc::clone(&value));
        value
    }

    /// Number of values, including unused ones that were not dropped yet.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values.len()
    }

    /// True if there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shows only the number, because values contain keys.
impl<T: Eq + Hash> fmt::Debug for Interner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interner({} values)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown_in_debug_output() {
        let interner = Interner::default();
        let _held = interner.share(Arc::new(vec![0x5A; 3]));
        assert_eq!(format!("{interner:?}"), "Interner(1 values)");
    }

    #[test]
    fn equal_values_are_shared_and_others_are_not() {
        let interner = Interner::default();
        let [first, second, other] = [vec![1], vec![1], vec![2]].map(|value| interner.share(Arc::new(value)));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(*other, [2]);
    }

    #[test]
    fn unused_values_are_dropped_and_used_ones_are_kept() {
        let interner = Interner::default();
        let held: Vec<_> = (0..100).map(|number| interner.share(Arc::new(number))).collect();
        for number in 100..100_000 {
            interner.share(Arc::new(number));
        }
        assert!(interner.len() <= 2 * (held.len() + MIN_SWEEP), "{}", interner.len());
        for value in &held {
            assert!(Arc::ptr_eq(value, &interner.share(Arc::new(**value))));
        }
    }
}
