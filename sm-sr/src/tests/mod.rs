//! The server as its peers and its cards see it: requests with client certificates in, responses and callbacks out, and a
//! card that answers scripts behind the seam of [`es5`](crate::es5).
//!
//! Every step is taken by a server that was made for it over the records that the steps before have left, so each of
//! these is a test of a restart too.

mod card;
mod claims;
mod confirmations;
mod downloads;
mod handover;
mod hostile;
mod limits;
mod others;
mod registration;
mod rig;
mod switching;
