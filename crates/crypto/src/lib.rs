//! Cryptographic primitives of remote SIM provisioning: ECDSA and key agreement on the two curves
//! of SGP.22, the key derivation function of X9.63, BSP, SCP03, SCP03t and SCP80, key establishment
//! by scenario #3, and the authentication algorithms and the SUCI of a USIM.
//!
//! The crate performs no I/O, reads no clock and has no source of randomness. Callers pass random
//! octets in.

mod aes_key;
pub mod aka;
mod aka_values;
mod ber;
pub mod bsp;
mod confirmation_code;
mod constant_time;
mod curve;
#[cfg(test)]
mod hex;
pub mod key_establishment;
pub mod milenage;
mod protected_tlv;
pub mod scp03;
pub mod scp03t;
pub mod scp80;
mod secret;
mod signature;
pub mod suci;
pub mod tuak;
pub mod usim_test;
pub mod x963;

pub use aes_key::{AesKey, BadKeyLength};
pub use confirmation_code::{ConfirmationCodeHash, hash_cc};
pub use constant_time::is_equal;
pub use curve::{Curve, KeyError, PublicKey, SecretKey, SharedSecret};
pub use secret::Secret;
pub use signature::{BadSignature, Signature};
