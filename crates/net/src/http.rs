//! HTTP over sockets: a server that calls a service, and a client that is a [`Link`](world::Link).
//!
//! HTTP/1.1 and HTTP/2 are supported, chosen by ALPN under TLS. Bodies are buffered: a message of
//! remote provisioning has at most a few hundred kilobytes, and its signature covers all of it.

mod body;
mod client;
pub(crate) mod connections;
mod peer;
pub(crate) mod server;
mod stream_client;

pub use client::Client;
pub use connections::{
    BODY_READ_TIMEOUT, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Limits, MAX_AGE, MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_SOURCE, MAX_PLAIN_CONNECTIONS, MAX_REQUEST_MEMORY,
};
pub use peer::MAX_ANSWER;
pub(crate) use peer::kind_of;
pub use server::{MAX_REQUEST, listen, serve, serve_connected, serve_within};
pub use stream_client::StreamClient;
