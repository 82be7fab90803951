//! Implementations of the traits of `world` over the operating system: sockets, TLS, clock,
//! randomness, SQLite, PostgreSQL, files.
//!
//! Each module implements a trait of `world` or turns a socket into one of its interfaces. The
//! crate has no knowledge of protocols above TLS, HTTP, CoAP and SMPP: other crates interpret the octets.
//!
//! | module | contents |
//! |---|---|
//! | [`os`] | clock, randomness and limits of the operating system |
//! | [`sqlite`] | durable records in an SQLite file |
//! | [`postgres`] | durable records in a PostgreSQL database |
//! | [`file_memory`] | non-volatile memory of a card in a file |
//! | [`tls`] | TLS for servers and clients, with certificates checked against the clock of the party |
//! | [`dtls`] | CoAP over DTLS: a server that calls a link, and a client that is a link |
//! | [`psk`] | TLS with pre-shared keys for cards |
//! | [`http`] | an HTTP server that calls a service, and a client that is a link |
//! | [`card_interface`] | access to cards: modem, PC/SC, lpac, TCP |
//! | [`stream`] | connections that a device opens for its card |
//! | [`smpp`] | SMPP 3.4: an SMSC server, and an ESME client |

pub mod card_interface;
mod claim;
mod commit_mark;
pub mod dtls;
pub mod file_memory;
mod folder;
mod group_commit;
pub mod http;
mod integrity;
mod openssl_context;
pub mod os;
pub mod postgres;
pub mod psk;
pub mod smpp;
pub mod sqlite;
pub mod stream;
pub mod tls;

pub use claim::Claim;
pub use dtls::{ClientDtls, ServerDtls, listen_udp, serve_coap};
pub use file_memory::{FileMemory, MemoryCheck};
pub use http::{Client, listen, serve};
pub use integrity::{Damage, DamagedPart, RecordsCheck};
pub use os::{OsClock, OsRandom, create_private_folder, raise_open_files};
pub use postgres::{PostgresAddress, PostgresRecords};
pub use psk::{PskKeys, PskServer, serve_psk};
pub use sqlite::{SqliteRecords, StoreKey};
pub use stream::TcpDial;
pub use tls::{CertificateCheck, ClientAuth, ClientTls, Identity, ServerTls, ServerTrust};
