//! Values that must not be seen: wiped when dropped, never printed.

use std::fmt;

use zeroize::Zeroize;

/// A value that is wiped when it goes out of scope and that `Debug` does not show.
///
/// There is no comparison on purpose: comparing secrets in variable time is the mistake this type should not
/// make easy.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into keeping. Copies the caller still holds are the caller's to wipe.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the moment it is needed.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

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
}
