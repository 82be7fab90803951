//! The web services of SGP.02: SOAP 1.2 with WS-Addressing over HTTP (Annex B), for an SM-DP and an SM-SR.
//!
//! A party decides in a transaction; this shell reads, commits and speaks. What it must remember is in the records of
//! the party, so that a restart goes on where it was:
//!
//! - calls of others, by caller and functionCallIdentifier: the same call again gets the same answer;
//! - calls of ours that are not answered, with what the party goes on with when they are ([`Party::resumed`]);
//! - what waits to be sent: questions, callbacks, notifications, tried again until they are taken ([`Soap::due`]).
//!
//! | pattern | asked of us | asked by us |
//! |---|---|---|
//! | synchronous | [`Answer::Now`]: HTTP 200 with the response | [`Sender::ask`], or [`Soap::call`] without a record |
//! | asynchronous | HTTP 202; [`Answer::Now`] at once or [`Sender::answer`] later: a callback to ReplyTo | [`Sender::ask`] |
//! | notification | HTTP 202 | [`Sender::notify`] |
//!
//! # In ten lines
//!
//! ```
//! use rsp::{ids::Oid, sgp02::{BaseResponse, Response as _, es3, status::Status}, time::Timestamp};
//! use rsp_server::{soap::{Answer, Call, Decision, Ended, Party, Peer, Reply}, soap_dispatch};
//! use world::{BoxFuture, Fault, Tx};
//! # struct SmSr;
//! impl SmSr {
//!     /// Synchronous: a response, or a refusal that becomes one.
//!     async fn get_eis(&self, tx: &mut Tx<'_>, call: &Call, request: es3::GetEisRequest) -> Decision<Answer<es3::GetEisResponse>> {
//!         Err(Status::EidUnknown.because("no such eUICC is managed here").about(request.eid).into())
//!     }
//!     /// Asynchronous: the ticket goes into a record of ours; some other day `soap.sender().answer::<es3::CreateIsdp>(..)`.
//!     async fn create_isdp(&self, tx: &mut Tx<'_>, call: &Call, request: es3::CreateIsdpRequest) -> Decision<Answer<es3::CreateIsdpResponse>> {
//!         let _operation = (call.ticket(), request); // tx.put(&OPERATIONS, ..)?
//!         Ok(Answer::Later)
//!     }
//! }
//! impl Party for SmSr {
//!     fn peer<'a>(&'a self, tx: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>> {
//!         Box::pin(async { Ok(None) }) // tx.get(&PEERS, id)
//!     }
//!     fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>> {
//!         Box::pin(async move {
//!             soap_dispatch!(call, {
//!                 es3::GetEis => |request| self.get_eis(tx, call, request).await,
//!                 es3::CreateIsdp => |request| self.create_isdp(tx, call, request).await,
//!             }, {
//!                 es3::HandleProfileEnabledNotification => |told| { drop(told); Ok(()) },
//!             })
//!         })
//!     }
//!     fn resumed<'a>(&'a self, tx: &'a mut Tx<'_>, now: Timestamp, ended: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
//!         // ended.continuation is what was given to ask; ended.response::<es7::HandoverEuicc>() is the response, or why
//!         // there is none.
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//! ```

mod call;
mod client;
mod delivery;
pub mod eum;
mod party;
mod records;
mod sender;
mod shell;

pub use call::{Call, Reply};
pub use delivery::{FIRST_REDELIVERY, SLOWEST_REDELIVERY};
pub use party::{Answer, Decision, Ended, NoAnswer, Party, Peer, Peers, Rejection};
pub use records::{Outgoing, Ticket};
pub use sender::{ANSWERS_KEPT, DELIVERY_LIFETIME, Sender};
pub use shell::Soap;

/// The Action of a fault (WS-Addressing 1.0 SOAP binding, section 6).
const FAULT_ACTION: &str = "http://www.w3.org/2005/08/addressing/soap/fault";
