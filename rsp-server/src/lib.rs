//! What an SM-DP+ and an SM-DS do alike: SGP.22. No sockets.
//!
//! | module | clause |
//! |---|---|
//! | [`decision`] | what a function comes to |
//! | [`answer`] | sections 6.2 to 6.6: a decision in the words of the binding that it was asked in |
//! | [`mutual_authentication`] | section 3.0.1: the challenge to an eUICC, and the check of its answer |
//! | [`sessions`] | sections 5.6 and 5.8: sessions that nobody came back for |

pub mod answer;
pub mod decision;
pub mod mutual_authentication;
pub mod sessions;

pub use answer::{Binding, Said, Voice};
pub use decision::{Decision, No};
