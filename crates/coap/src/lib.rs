//! HTTP exchanges over CoAP (RFC 7252), with block-wise transfer (RFC 7959): the CoAP binding of
//! ESipa in SGP.32.
//!
//! A party sends and answers HTTP requests and does not know CoAP. This crate maps an HTTP request
//! to CoAP messages and the messages back to a request, so that the same IPA and the same eIM run
//! over HTTPS and over CoAP. It opens no sockets: [`Datagrams`] carries the messages. In production
//! this is a DTLS association (`net::dtls`); in a simulation it is a pair of queues.
//!
//! | module | contents |
//! |---|---|
//! | [`message`] | messages and their options: RFC 7252 section 3 |
//! | [`block`] | the Block options: RFC 7959 section 2.2 |
//! | `exchange` | the mapping between HTTP and CoAP |
//! | `transmission` | timers of confirmable messages: RFC 7252 section 4.8 |
//! | `client` | a [`world::Link`] over datagrams |
//! | `server` | passes the requests of one peer to a link |
//!
//! A client sends confirmable requests, one at a time (NSTART is 1). A server executes a request
//! once, although its messages can arrive several times, and replies in the acknowledgement or, if
//! the reply takes longer, in a separate message.
//!
//! Observe, multicast, proxies and discovery are absent, because ESipa does not use them.

pub mod block;
mod client;
mod datagrams;
mod exchange;
mod in_process;
pub mod message;
mod server;
mod transmission;

pub use block::{Block, BlockSize};
pub use client::{Client, EXCHANGE_TIMEOUT, MAX_RESPONSE, SEPARATE_RESPONSE_TIMEOUT};
pub use datagrams::{Datagrams, DialDatagrams, MemoryDatagrams, memory_pair};
pub use in_process::InProcess;
pub use message::{InvalidMessage, Message};
pub use server::{MAX_REQUEST, serve};
pub use transmission::{ACK_TIMEOUT, EXCHANGE_LIFETIME, MAX_RETRANSMIT, MAX_TRANSMIT_WAIT, Transmission};
