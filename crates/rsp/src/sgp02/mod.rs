//! SGP.02: remote provisioning of M2M devices.
//!
//! | module | clause |
//! |---|---|
//! | [`xml`], [`soap`], [`addressing`] | Annex B: the encoding of messages, the envelope and its headers |
//! | [`common`], [`status`] | section 5.1: common parts of all messages, and the execution status of functions |
//! | [`eis`], [`signature`] | section 5.1.1.3 and Annex E: the eUICC information set and the EUM's signature |
//! | [`es1`] to [`es7`] | sections 5.2 to 5.6: the functions |
//! | [`shared_functions`] | sections 5.4 and 5.5: the functions that ES3 and ES4 have in common |
//! | [`keys`], [`certificate`] | sections 2.2.5 and 2.3.2.2: key version numbers, the PSK identity, certificates that cards verify |
//! | [`connectivity`] | section 4.1.3.4: how a card reaches its SM-SR with a profile |
//! | [`es5`], [`notification`] | section 4.1: messages from the SM-SR to the eUICC and from the eUICC to the SM-SR |

pub mod addressing;
pub mod certificate;
pub mod common;
pub mod connectivity;
pub mod eis;
pub mod es1;
pub mod es2;
pub mod es3;
pub mod es4;
pub mod es5;
pub mod es7;
mod eum_signed_info;
mod execution_status;
mod function_macros;
pub mod keys;
mod macros;
pub mod notification;
pub mod shared_functions;
pub mod signature;
pub mod soap;
pub mod status;
pub mod xml;

pub use common::{
    BaseNotification, BaseRequest, BaseResponse, ExecutionStatus, Function, FunctionExecutionStatus, Message,
    Msisdn, Notification, Pattern, Request, Response, StatusCodeData, SubscriptionAddress,
};
pub use xml::{Namespace, Octets};
