//! Web services of SGP.02: SOAP 1.2 with WS-Addressing over HTTP (Annex B), for an SM-DP and an
//! SM-SR.
//!
//! A party decides in a transaction. The code around it (the SOAP shell) decodes requests, commits
//! and sends responses. All state is in the party's records, so a restarted server continues where
//! it stopped:
//!
//! - calls received, by caller and functionCallIdentifier: a repeated call gets the same response;
//! - calls sent and not yet answered, each with the party's continuation ([`Party::resumed`]);
//! - the outbox: requests, callbacks and notifications, which are retried until the peer accepts
//!   them ([`Soap::due`]).
//!
//! | pattern | received call | sent call |
//! |---|---|---|
//! | synchronous | [`Answer::Now`]: HTTP 200 with the response | [`Sender::call`], or [`Soap::call`] without a record |
//! | asynchronous | HTTP 202; [`Answer::Now`] at once or [`Sender::answer`] later: a callback to ReplyTo | [`Sender::call`] |
//! | notification | HTTP 202 | [`Sender::notify`] |
//!
//! # Example
//!
//! ```
//! use rsp::{ids::Oid, sgp02::{BaseResponse, Response as _, es3, status::Status}, time::Timestamp};
//! use rsp_server::{soap::{Answer, Call, Decision, Ended, Party, Peer, Reply}, soap_dispatch};
//! use world::{BoxFuture, Fault, Tx};
//! # struct SmSr;
//! impl SmSr {
//!     /// Synchronous: returns a response, or a refusal that is encoded as one.
//!     async fn get_eis(&self, tx: &mut Tx<'_>, call: &Call, request: es3::GetEisRequest) -> Decision<Answer<es3::GetEisResponse>> {
//!         Err(Status::EidUnknown.because("no such eUICC is managed here").about(request.eid).into())
//!     }
//!     /// Asynchronous: store the ticket in a record; later call `soap.sender().answer::<es3::CreateIsdp>(..)`.
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
//!                 es3::HandleProfileEnabledNotification => |notification| { drop(notification); Ok(()) },
//!             })
//!         })
//!     }
//!     fn resumed<'a>(&'a self, tx: &'a mut Tx<'_>, now: Timestamp, ended: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
//!         // `ended.continuation` was passed to `Sender::call`; `ended.response::<es7::HandoverEuicc>()` is the response, or the
//!         // reason why there is none.
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//! ```

mod accepted;
mod call;
mod client;
mod decision;
mod delivery;
pub mod eum;
mod party;
mod records;
mod response;
mod sender;
mod shell;

pub use call::{Call, Reply};
pub use decision::{Answer, Decision, Peer, Rejection};
pub use delivery::{FIRST_REDELIVERY, SLOWEST_REDELIVERY};
pub use party::{CallFailure, Ended, Party, Peers};
pub use records::{Outgoing, Ticket};
pub use sender::{ANSWERS_KEPT, DELIVERY_LIFETIME, Sender};
pub use shell::Soap;

/// The Action of a fault (WS-Addressing 1.0 SOAP binding, section 6).
const FAULT_ACTION: &str = "http://www.w3.org/2005/08/addressing/soap/fault";
