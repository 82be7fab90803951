//! Simulated mobile networks: visited networks with their admission policies, the home networks
//! that hold the subscribers' keys, and the short message service centre (SMSC).
//!
//! | Module | Contents | Clause |
//! |---|---|---|
//! | [`messages`] | the messages of a registration: attach, authentication, accept, reject | TS 24.301 sections 5.4.2, 5.5.1, 9.9.3.9 |
//! | [`subscriber_server`](SubscriberServer) | the home subscriber server: keys and sequence numbers | TS 33.102 section 6.3, annex C |
//! | [`networks`](Networks) | the visited networks and their policies | |
//! | [`short_messages`] | the messages between a device and the SMSC | TS 23.040, TS 24.011 |
//! | [`subscriber_api`] | the API that lists, adds and removes subscribers | specific to Landfall |
//! | `reach` | the attachments of the subscribers, and paging | TS 23.040 section 3.2 |
//! | [`smsc`] | the SMSC: store and forward | TS 23.040 section 3.2, SMPP 3.4 |
//! | [`http`] | the radio interface over an HTTP link, and the API beside it | specific to Landfall |
//!
//! [`Radio`] is the interface between a modem and the networks. The networks are in the modem's
//! process ([`Networks`]) or on another host ([`RemoteNetworks`]).
//!
//! The simulation covers admission and the causes of refusals. There is no radio layer, no security
//! context and no bearer. The crate opens no sockets.

pub mod causes;
pub mod http;
pub mod messages;
mod networks;
mod reach;
pub mod short_messages;
pub mod smsc;
pub mod subscriber_api;
mod subscriber_server;

use rsp::ids::Plmn;
use world::BoxFuture;

pub use causes::{EmmCause, FivegmmCause, RpCause, TpFailureCause};
pub use http::{NetworksService, RemoteNetworks};
pub use messages::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationAnswer, AuthenticationRequest,
    AuthenticationResponse, NetworkAnswer, Service, SystemInformation,
};
pub use networks::{Network, Networks, Policy, RefusalRule, Roaming};
pub use reach::Absent;
pub use short_messages::{MessageReceiver, MobileOriginated, MobileTerminated, RpAnswer, RpReport};
pub use smsc::{Smsc, SmscSettings};
pub use subscriber_api::Subscribers;
pub use subscriber_server::{Keys, Subscriber, SubscriberServer};

/// The future of an operation at the radio interface.
pub type RadioFuture<'a, T> = BoxFuture<'a, Result<T, RadioFault>>;

/// The radio interface between a device and the networks in its range.
pub trait Radio: Send + Sync {
    /// Returns the broadcast system information of a network, or `None` if the network is not
    /// received.
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>>;

    /// Sends ATTACH REQUEST.
    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer>;

    /// Sends AUTHENTICATION RESPONSE or AUTHENTICATION FAILURE.
    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer>;

    /// Sends DETACH REQUEST: the device can no longer be reached. The default does nothing, for
    /// implementations that keep no attachments.
    fn detach(&self, _: Plmn, _: AttachId) -> RadioFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Submits a short message of the device. An implementation without an SMSC refuses it.
    fn submit_short_message(&self, _: Plmn, _: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        Box::pin(async { Ok(RpAnswer::Error(RpCause::PROTOCOL_ERROR, Vec::new())) })
    }

    /// Waits for the next short message for the device. The future can be dropped at any time; the
    /// message is then delivered again, or the sender learns that it was not delivered. An
    /// implementation without an SMSC never returns a message.
    fn next_short_message(&self, _: Plmn, _: AttachId) -> RadioFuture<'_, MobileTerminated> {
        Box::pin(std::future::pending())
    }

    /// Reports the device's answer to a short message.
    fn report_short_message(&self, _: Plmn, _: RpReport) -> RadioFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl<R: Radio + ?Sized> Radio for std::sync::Arc<R> {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        (**self).system_information(plmn)
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        (**self).attach(plmn, request)
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        (**self).authenticate(plmn, response)
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        (**self).detach(plmn, attach)
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        (**self).submit_short_message(plmn, message)
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        (**self).next_short_message(plmn, attach)
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        (**self).report_short_message(plmn, report)
    }
}

/// A failure to reach a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RadioFault {
    /// The network does not exist, or its coverage is switched off.
    #[error("no coverage of {0}")]
    NoCoverage(Plmn),
    /// The network does not know the device, or has forgotten it.
    #[error("the device is not attached to the network; register again")]
    Detached,
    /// The connection to the host of the networks failed.
    #[error("the networks do not answer: {0}; check that they are running, and their address")]
    Lost(String),
}
