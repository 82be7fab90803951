//! SGP.23 conformance cases for any SM-DP+.
//!
//! [`table`] has a row for every requirement, with its clause, its identifier if it is known, and
//! its test. [`run`] calls the server over links that the caller supplies, so this crate opens no
//! sockets. It shares no code with a server except the wire types and the cryptography. The table,
//! its runner and its report are generic over the [`Subject`], and the rules of HTTP over the
//! [`HttpServer`], so that the crate `sgp33` uses them too.
//!
//! A case whose needs are not met is reported as not run, with the reason. It never passes.

mod admin;
mod arrange;
mod binding;
pub mod bpp;
mod case;
mod cases;
pub mod euicc;
mod http_rules;
mod operator;
mod order;
mod report;
mod runner;
mod server;
mod subject;
mod testbed;
mod verdict;

pub use admin::{Admin, ProfileView};
pub use arrange::{PROFILE_TYPE, minimal_package, package};
pub use binding::Binding;
pub use case::{Need, Run};
pub use cases::table;
pub use http_rules::{HttpRule, HttpServer, expect_refusal, with_header};
pub use operator::Operator;
pub use order::{IntendedEuicc, LookupKey, Order, ProfileFeatures, StockState};
pub use report::{Ended, Entry, Report, Row};
pub use runner::{Selection, run};
pub use server::{CodeRotation, Inbox, Server};
pub use subject::{Case, Findings, Scope, Subject, Variant};
pub use testbed::Testbed;
pub use verdict::{During, Stop, Verdict, ensure, equal};
