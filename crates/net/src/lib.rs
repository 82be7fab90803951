//! The honest outside: sockets, TLS, OS clock and dice, SQLite, files.
//!
//! Everything here implements a trait of `world`, or turns a socket into one of its seams. No protocol knowledge: what
//! the bytes mean is for the crates that are handed them.
//!
//! | module | what it gives |
//! |---|---|
//! | [`os`] | the operating system's clock, dice and limits |
//! | [`sqlite`] | durable records in one file |
//! | [`file_memory`] | a card's non-volatile memory in one file |
//! | [`tls`] | TLS for servers and clients, judged by the world's clock |
//! | [`psk`] | TLS with pre-shared keys for cards |
//! | [`http`] | a server that asks a service, a client that is a link |
//! | [`door`] | doors to a card |
//! | [`stream`] | connections that a device opens for its card |
//! | [`smpp`] | short messages between hosts: a door to a message centre, and the writer's end |

mod claim;
pub mod door;
pub mod file_memory;
pub mod http;
pub mod os;
pub mod psk;
pub mod smpp;
pub mod sqlite;
pub mod stream;
pub mod tls;

pub use claim::Claim;
pub use file_memory::FileMemory;
pub use http::{Client, listen, serve};
pub use os::{OsClock, OsDice, raise_open_files};
pub use psk::{PskDoor, PskKeys, serve_psk};
pub use sqlite::SqliteRecords;
pub use stream::TcpDial;
pub use tls::{ClientAuth, ClientTls, Identity, ServerTls};
