//! The goods: TCA profile packages, read, checked for shape, built. No I/O.
//!
//! [`Package`] is the wire form (TCA "eUICC Profile Package: Interoperable Format Technical Specification",
//! clause 8 and Annex A), [`Decoder`] the same as a stream.

mod decoder;
pub mod element;
mod macros;
mod octets;
mod package;
pub mod template;

pub use decoder::{Decoder, MAX_PROFILE_ELEMENT};
pub use element::ProfileElement;
pub use octets::{Fid, Octets, Oid, SecretOctets};
pub use package::Package;
