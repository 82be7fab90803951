//! CoAP over DTLS 1.2 (RFC 7252 section 9, RFC 6347): ESipa of SGP.32 over CoAP.
//!
//! The server has a certificate, the client has none. The suites are ECDHE-ECDSA with AES-GCM.
//! There is no renegotiation and no resumption, as in [`tls`](crate::tls).
//!
//! OpenSSL implements DTLS. It has no connection identifiers (RFC 9146): an association belongs to
//! the address of its client. A client whose address has changed, because its NAT has forgotten it,
//! gets no answer and then opens another association. [Decision 0026] has the reasons.
//!
//! [Decision 0026]: https://github.com/landfall/landfall/blob/main/docs/decisions/0026-coap.md

mod association;
mod client;
mod client_hello;
mod engine;
mod server;

pub use client::ClientDtls;
pub use server::{
    DtlsLimits, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, MAX_ASSOCIATIONS, MAX_ASSOCIATIONS_PER_SOURCE, ServerDtls,
    listen_udp, serve_coap, serve_coap_within,
};
