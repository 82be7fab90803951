//! The devices of a fleet's owner: their records, and the answers that the owner needs. No sockets.
//!
//! A [`Device`] is a durable record: who it is, what its card holds, where it has been, what it waits for ([`State`]) and what
//! was done with it ([`Trail`]). [`Fleet`] is all of them as read at one moment. Records come from CSV files ([`files`]) and go
//! back into them.
//!
//! [`Counted`] holds a fleet against a rule book, the owner's policy and offers at one time; each answer is a pure function of it,
//! and a value that serializes:
//!
//! - [`residents`](answers::residents): where foreign subscriptions are in fact resident,
//! - [`breaches`](answers::breaches): which devices break which rule, and when,
//! - [`markets`](answers::markets): which countries must move, by when, and whether there is an offer,
//! - [`effort`](answers::effort): how long moving takes and what it costs over a bearer,
//! - [`recovery`](answers::recovery): what it costs when moves fail,
//! - [`what_if`](answers::what_if): whom another rule book affects.
//!
//! How fast, late and lossy a bearer is stands in one table ([`bearers`]), what it and all else costs in another ([`costs`]).
//!
//! Not here: campaigns and the reconciler; nothing in this crate speaks to a card or a server.

pub mod answers;
pub mod bearers;
pub mod costs;
mod counted;
mod device;
pub mod files;
mod owner;
mod state;
mod store;

pub use counted::{Counted, Question};
pub use device::{Device, Fleet, Name, Selection};
pub use owner::Owner;
pub use state::{Entry, Happening, NotPossible, State, Tally, Trail};
pub use store::{DEVICES, dry_run, import, load, put};
