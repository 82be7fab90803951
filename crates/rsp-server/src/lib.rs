//! What servers do alike: an SM-DP+ and an SM-DS (SGP.22), an SM-DP and an SM-SR (SGP.02). No sockets.
//!
//! | module | clause |
//! |---|---|
//! | [`decision`] | what a function comes to |
//! | [`answer`] | sections 6.2 to 6.6: a decision in the words of the binding that it was asked in |
//! | [`mutual_authentication`] | section 3.0.1: the challenge to an eUICC, and the check of its answer |
//! | [`sessions`] | sections 5.6 and 5.8: sessions that nobody came back for |
//! | [`due`] | what a server does by itself, so that one slow peer holds up nobody else |
//! | [`secret_hex`] | how keys stand in records |
//! | [`soap`] | SGP.02 Annex B: web services, callbacks and notifications |

pub mod answer;
pub mod decision;
pub mod due;
pub mod mutual_authentication;
pub mod secret_hex;
pub mod sessions;
pub mod soap;

pub use answer::{Binding, Reply, ResponseEncoder};
pub use decision::{Decision, Rejection};
