//! TCA profile packages: parsing, checking, installing as files, building from descriptions. No
//! I/O.
//!
//! [`Package`] is the wire form (TCA "eUICC Profile Package: Interoperable Format Technical
//! Specification", clause 8 and Annex A). [`Decoder`] parses it as a stream.

pub mod access;
pub mod check;
mod decoded;
mod decoder;
pub mod description;
pub mod diff;
pub mod element;
pub mod facts;
mod file_system;
mod files;
pub mod generic;
pub mod identities;
mod install;
mod interner;
mod json;
mod macros;
mod octets;
mod package;
pub mod personalise;
mod response;
pub mod show;
pub mod template;
pub(crate) mod usim;

pub use decoded::decoded;
pub use decoder::{Decoder, MAX_PROFILE_ELEMENT};
pub use description::{Description, Mistake, Mistakes};
pub use element::ProfileElement;
pub use facts::Facts;
pub use file_system::FileSystem;
pub use files::{
    AccessRule, Changes, File, FileIndex, FileKind, Image, MAX_DEPTH, MAX_FILE_MEMORY, MAX_FILES,
    ProfileFiles,
};
pub use generic::generic;
pub use install::{Capabilities, InstalledProfile, Installer};
pub use interner::Interner;
pub use octets::{Fid, Octets, SecretOctets};
pub use package::Package;
pub use response::{EuiccResponse, PeStatus, PeStatusCode, Refused};
pub use rsp::ids::Oid;
pub use usim::{HomeNetworkKey, ProtectionScheme, SuciCalcInfo, Usim};
