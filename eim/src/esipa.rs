//! ESipa, between the IPA and the eIM: SGP.32 sections 5.14 and 6. One file for each function.
//!
//! A function that relays to an SM-DP+ has two transactions, one before its call and one after. Each is
//! committed before anything is sent.

pub(crate) mod authenticate_client;
pub(crate) mod cancel_session;
mod function;
pub(crate) mod get_bound_profile_package;
pub(crate) mod get_eim_package;
pub(crate) mod handle_notification;
pub(crate) mod initiate_authentication;
pub(crate) mod provide_eim_package_result;
pub(crate) mod relay;
mod transfer_eim_package;

pub(crate) use function::{Call, Function, Notifications};
pub use transfer_eim_package::Transferred;
