//! The networks that a device may see: who broadcasts where, whom each lets in, and who knows the subscribers' keys.
//!
//! | part | what it is | clause |
//! |---|---|---|
//! | [`messages`] | attach, authentication, accept, reject | TS 24.301 sections 5.4.2, 5.5.1, 9.9.3.9 |
//! | [`SubscriberServer`] | the home network's keys and sequence numbers | TS 33.102 section 6.3, annex C |
//! | [`Networks`] | the visited networks and their policies | |
//! | [`http`] | the same over an HTTP link | ours |
//!
//! [`Radio`] is the seam: a modem does not know whether the networks are in its process or on another host.
//! What is simulated is who is let in and why not; there is no radio, no security context and no bearer.

pub mod http;
pub mod messages;
mod networks;
mod subscriber_server;

use rsp::ids::Plmn;
use world::BoxFuture;

pub use http::{NetworksService, RemoteNetworks};
pub use messages::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationAnswer, AuthenticationRequest,
    AuthenticationResponse, EmmCause, NetworkAnswer, Service, SystemInformation,
};
pub use networks::{Network, Networks, Policy, RefusalRule, Roaming};
pub use subscriber_server::{Keys, Subscriber, SubscriberServer};

/// The air between a device and the networks round it.
pub trait Radio: Send + Sync {
    /// What this network broadcasts; none when it is not heard.
    fn system_information(&self, plmn: Plmn) -> BoxFuture<'_, Result<Option<SystemInformation>, RadioFault>>;

    /// ATTACH REQUEST.
    fn attach(&self, plmn: Plmn, request: AttachRequest) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>>;

    /// AUTHENTICATION RESPONSE or AUTHENTICATION FAILURE.
    fn authenticate(
        &self,
        plmn: Plmn,
        response: AuthenticationResponse,
    ) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>>;
}

impl<R: Radio + ?Sized> Radio for std::sync::Arc<R> {
    fn system_information(&self, plmn: Plmn) -> BoxFuture<'_, Result<Option<SystemInformation>, RadioFault>> {
        (**self).system_information(plmn)
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>> {
        (**self).attach(plmn, request)
    }

    fn authenticate(
        &self,
        plmn: Plmn,
        response: AuthenticationResponse,
    ) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>> {
        (**self).authenticate(plmn, response)
    }
}

/// No network answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RadioFault {
    /// The network is not there, or its coverage is switched off.
    #[error("no coverage of {0}")]
    NoCoverage(Plmn),
    /// The way to the host of the networks is broken.
    #[error("the networks do not answer: {0}; check that they run and where")]
    Lost(String),
}
