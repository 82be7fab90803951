//! Secret values: wiped when dropped, never printed.

use std::fmt;

use zeroize::Zeroize;

use crate::constant_time::is_equal;

/// A value that is wiped when it goes out of scope and that `Debug` does not show. Comparison takes
/// constant time.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value. The caller has to wipe copies that it still holds.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value. Do not keep a copy longer than needed.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        is_equal(self.0.as_ref(), other.0.as_ref())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_value() {
        assert_eq!(format!("{:?}", Secret::new([0x5a_u8; 4])), "Secret(..)");
    }

    #[test]
    fn only_equal_octets_compare_equal() {
        let secret = |octets: &[u8]| Secret::new(octets.to_vec());
        assert_eq!(secret(&[1, 2]), secret(&[1, 2]));
        assert_ne!(secret(&[1, 2]), secret(&[1, 3]));
        assert_ne!(secret(&[1, 2]), secret(&[1, 2, 3]));
    }
}
