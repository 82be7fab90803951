//! HTTP requests over sockets: a server that asks a service, a client that is a [`Link`](world::Link).
//!
//! HTTP/1.1 and HTTP/2, chosen by ALPN under TLS. Bodies are whole: a message of remote provisioning is at most a few
//! hundred kilobytes, and a signature can only be checked over all of it.

mod body;
mod client;
pub(crate) mod server;

pub use client::{Client, MAX_ANSWER};
pub use server::{HEADER_READ_TIMEOUT, MAX_CONNECTIONS, MAX_REQUEST, listen, serve};
