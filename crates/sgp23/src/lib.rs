//! Cases of SGP.23, held against any SM-DP+.
//!
//! [`table`] has a row for every requirement: clause, identifier where it is known, and what to do. [`run`] talks to the
//! server over links that the caller made, so nothing here opens a socket; nothing here shares code with a server either,
//! beyond the wire types and the arithmetic.
//!
//! A case whose needs cannot be met is reported as not run, and why; it never passes.

mod admin;
mod arrange;
mod bench;
mod binding;
mod bpp;
mod case;
mod cases;
mod euicc;
mod operator;
mod order;
mod report;
mod runner;
mod server;
mod verdict;

pub use admin::{Admin, ProfileView};
pub use arrange::{PROFILE_TYPE, package};
pub use bench::Bench;
pub use binding::Binding;
pub use case::{Case, Need, Run, Scope};
pub use cases::table;
pub use operator::Operator;
pub use order::{Found, Order, Standing, Wanted, Whose};
pub use report::{Ended, Entry, Report, Row};
pub use runner::{Selection, run};
pub use server::{Inbox, Server};
pub use verdict::{Stop, Verdict};
