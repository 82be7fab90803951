//! The networks that a device may see: who broadcasts where, whom each lets in, and who knows the subscribers' keys.
//!
//! | part | what it is | clause |
//! |---|---|---|
//! | [`messages`] | attach, authentication, accept, reject | TS 24.301 sections 5.4.2, 5.5.1, 9.9.3.9 |
//! | [`SubscriberServer`] | the home network's keys and sequence numbers | TS 33.102 section 6.3, annex C |
//! | [`Networks`] | the visited networks and their policies | |
//! | [`short_messages`] | what passes between device and service centre | TS 23.040, TS 24.011 |
//! | `reach` | who is attached where, paging | TS 23.040 section 3.2 |
//! | [`Smsc`] | the service centre: store and forward | TS 23.040 section 3.2, SMPP 3.4 |
//! | [`http`] | the same over an HTTP link | ours |
//!
//! [`Radio`] is the seam: a modem does not know whether the networks are in its process or on another host.
//! What is simulated is who is let in and why not; there is no radio, no security context and no bearer.

pub mod http;
pub mod messages;
mod networks;
mod reach;
pub mod short_messages;
pub mod smsc;
mod subscriber_server;

use rsp::ids::Plmn;
use world::BoxFuture;

pub use http::{NetworksService, RemoteNetworks};
pub use messages::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationAnswer, AuthenticationRequest,
    AuthenticationResponse, EmmCause, NetworkAnswer, Service, SystemInformation,
};
pub use networks::{Network, Networks, Policy, RefusalRule, Roaming};
pub use reach::Absent;
pub use short_messages::{MobileOriginated, MobileTerminated, RpAnswer, RpCause, RpReport, ServiceCentre};
pub use smsc::{Smsc, SmscSettings};
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

    /// DETACH REQUEST: the device can no longer be reached. A radio that keeps nobody in mind has nothing to forget.
    fn detach(&self, _: Plmn, _: AttachId) -> BoxFuture<'_, Result<(), RadioFault>> {
        Box::pin(async { Ok(()) })
    }

    /// A short message of the device. A radio without a service centre refuses it.
    fn submit_short_message(
        &self,
        _: Plmn,
        _: MobileOriginated,
    ) -> BoxFuture<'_, Result<RpAnswer, RadioFault>> {
        Box::pin(async { Ok(RpAnswer::Error(RpCause::PROTOCOL_ERROR, Vec::new())) })
    }

    /// Waits for the next short message for the device. It can be given up at any time; then the message comes again,
    /// or the sender learns that it did not arrive. A radio without a service centre never has one.
    fn next_short_message(
        &self,
        _: Plmn,
        _: AttachId,
    ) -> BoxFuture<'_, Result<MobileTerminated, RadioFault>> {
        Box::pin(std::future::pending())
    }

    /// What the device says to a short message.
    fn report_short_message(&self, _: Plmn, _: RpReport) -> BoxFuture<'_, Result<(), RadioFault>> {
        Box::pin(async { Ok(()) })
    }
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

    fn detach(&self, plmn: Plmn, attach: AttachId) -> BoxFuture<'_, Result<(), RadioFault>> {
        (**self).detach(plmn, attach)
    }

    fn submit_short_message(
        &self,
        plmn: Plmn,
        message: MobileOriginated,
    ) -> BoxFuture<'_, Result<RpAnswer, RadioFault>> {
        (**self).submit_short_message(plmn, message)
    }

    fn next_short_message(
        &self,
        plmn: Plmn,
        attach: AttachId,
    ) -> BoxFuture<'_, Result<MobileTerminated, RadioFault>> {
        (**self).next_short_message(plmn, attach)
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> BoxFuture<'_, Result<(), RadioFault>> {
        (**self).report_short_message(plmn, report)
    }
}

/// No network answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RadioFault {
    /// The network is not there, or its coverage is switched off.
    #[error("no coverage of {0}")]
    NoCoverage(Plmn),
    /// The network does not know the device, or no longer.
    #[error("the network does not know the device any more; it registers anew")]
    Detached,
    /// The way to the host of the networks is broken.
    #[error("the networks do not answer: {0}; check that they run and where")]
    Lost(String),
}
