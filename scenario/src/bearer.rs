//! Bearers: what lies between a device and the rest of the world, and how long octets take over it.
//!
//! A [`Bearer`] is data ([`Bearers::built_in`], in `scenario/data/bearers.toml`, whose head describes the form). A
//! [`Carrier`] is one device's use of one: it makes a link or a message centre as slow and as lossy as the bearer, and counts
//! what went over it. Devices do not take each other's capacity; a cell's load is in its figures.

mod book;
mod carrier;

pub use book::{Bearer, Bearers, Messages, NotBearers, Packets};
pub use carrier::{Carried, Carrier, Usage};
