//! Request handling shared by all servers: SM-DP+ and SM-DS (SGP.22), SM-DP and SM-SR (SGP.02). The
//! crate opens no sockets.
//!
//! | module | content |
//! |---|---|
//! | [`decision`] | the result of a function: reply, refusal or fault |
//! | [`server`] | sections 6.2 to 6.6: function table, routing, transaction and reply of SGP.22 |
//! | [`answer`] | sections 6.2 to 6.6: encoding of a decision in the binding of the request |
//! | [`mutual_authentication`] | section 3.0.1: the challenge to an eUICC, and the check of its answer |
//! | [`sessions`] | sections 5.6 and 5.8: a limit for open sessions, and the end of abandoned ones |
//! | [`api`] | HTTP APIs in JSON, with a generated OpenAPI document |
//! | [`outgoing`] | the addresses to which a server connects because a peer names them |
//! | [`due`] | background work, in tasks so that one slow peer delays no other |
//! | [`secret_hex`] | encoding of keys in records |
//! | [`soap`] | SGP.02 Annex B: web services, callbacks and notifications |

pub mod answer;
pub mod api;
pub mod decision;
pub mod due;
pub mod mutual_authentication;
mod namespace;
pub mod outgoing;
pub mod secret_hex;
pub mod server;
pub mod sessions;
pub mod soap;

pub use answer::{Binding, Reply, ResponseEncoder};
pub use decision::{Decision, Rejection, without_fault};
pub use namespace::{InvalidNamespace, Namespace};
pub use outgoing::AllowedAddresses;
pub use server::{
    Context, Core, Function, Interface, Route, Server, Settings, delete_expired_sessions, handle, link,
};
pub use sessions::Session;
