//! The key that encrypts a database at rest.

use std::fmt;

use world::Fault;
use zeroize::Zeroizing;

/// A key of 256 bits. SQLCipher encrypts each page of the database and of its journal with AES-256
/// under a key that it derives from this key and a random salt of the file, and authenticates each
/// page with HMAC-SHA512.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey(Zeroizing<String>);

impl StoreKey {
    /// Reads a key: 64 hexadecimal digits. White space around them is ignored.
    ///
    /// # Errors
    /// The text, which comes from `source`, is not a key.
    pub fn parse(text: &str, source: &str) -> Result<Self, Fault> {
        let digits = text.trim();
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Fault::usage(
                format!("cannot use the key of the records in {source}"),
                "it does not consist of 64 hexadecimal digits",
                "create one with `openssl rand -hex 32`",
            ));
        }
        Ok(Self(Zeroizing::new(digits.to_owned())))
    }

    /// Returns the key as SQLCipher takes a key that is not a passphrase.
    pub(super) fn literal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("x'{}'", self.0.as_str()))
    }
}

/// Does not show the key.
impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}
