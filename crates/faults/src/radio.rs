//! Faults of the radio, as a wrapper round it.

use std::time::Duration;

use network::smsc::{Direction, SmsFaultKind};
use network::{
    AttachId, AttachReject, AttachRequest, AuthenticationResponse, EmmCause, MobileOriginated,
    MobileTerminated, NetworkAnswer, Radio, RadioFault, RpAnswer, RpReport, SystemInformation,
};
use rsp::ids::Plmn;
use world::BoxFuture;

use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, Struck};

/// What happens on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioAct {
    /// A network is not heard.
    Outage,
    /// A network comes and goes.
    Flapping,
    /// A network refuses the device.
    Refuse(EmmCause),
    /// The home network's challenge is not the card's.
    HomeAuthenticationFailure,
    /// The request to attach is not heard.
    LoseAttachRequest,
    /// The acceptance is not heard.
    LoseAttachAnswer,
    /// A network takes the device and carries none of its packets.
    NoData,
    /// A short message is lost.
    SmsLose,
    /// A short message comes late.
    SmsDelay,
    /// A short message comes twice.
    SmsDouble,
    /// That a short message came is not heard.
    SmsLoseAnswer,
}

impl RadioAct {
    /// What this mishap is to a short message in this direction; nothing if it is none.
    pub(super) fn of_short_message(self, mishap: &FaultSpec, direction: Direction) -> Option<SmsFaultKind> {
        let kind = match self {
            Self::SmsLose => SmsFaultKind::Lose,
            Self::SmsDelay => SmsFaultKind::Delay(mishap.time()),
            Self::SmsDouble => SmsFaultKind::Double,
            // A device is told at once whether its message was taken.
            Self::SmsLoseAnswer if direction == Direction::ToDevice => SmsFaultKind::LoseAnswer,
            _ => return None,
        };
        let name = match direction {
            Direction::ToDevice => "mt",
            Direction::FromDevice => "mo",
        };
        mishap.is_at(&[name]).then_some(kind)
    }
}

impl FaultInjector {
    /// Whether a network to which a device is attached carries none of its packets. An occasion is each request that it is to
    /// carry; whoever has the device's lines asks.
    pub fn carries_nothing(&self, plmn: Plmn) -> bool {
        let is_it = |mishap: &FaultSpec| {
            mishap.id() == FaultId::Radio(RadioAct::NoData) && mishap.is_at(&[plmn.to_string()])
        };
        self.strike(is_it).is_some()
    }
}

/// A radio with what goes wrong on the air.
///
/// An occasion of an outage or of flapping is each time that the network is listened for or spoken to; of a refusal each
/// request to attach; of the others each message that they are about.
pub struct FaultyRadio<R> {
    inner: R,
    mishaps: FaultInjector,
}

impl<R: Radio> FaultyRadio<R> {
    /// This radio with these mishaps.
    pub fn new(inner: R, mishaps: FaultInjector) -> Self {
        Self { inner, mishaps }
    }

    fn strike(&self, plmn: Plmn, kind: impl Fn(RadioAct) -> bool) -> Option<Struck> {
        self.mishaps.strike(|mishap| {
            matches!(mishap.id(), FaultId::Radio(act) if kind(act)) && mishap.is_at(&[plmn.to_string()])
        })
    }

    fn is_heard(&self, plmn: Plmn) -> Result<(), RadioFault> {
        let away = self.strike(plmn, |act| act == RadioAct::Outage).is_some();
        // Off first, then on.
        let is_off = |struck: &Struck| {
            let period = struck.time().max(Duration::from_millis(1));
            (struck.after().as_millis() / period.as_millis()).is_multiple_of(2)
        };
        let flaps = self.strike(plmn, |act| act == RadioAct::Flapping);
        if away || flaps.is_some_and(|struck| is_off(&struck)) {
            return Err(RadioFault::NoCoverage(plmn));
        }
        Ok(())
    }

    fn happens(&self, plmn: Plmn, act: RadioAct) -> Result<(), RadioFault> {
        match self.strike(plmn, |each| each == act) {
            None => Ok(()),
            Some(struck) => Err(RadioFault::Lost(struck.mishap().to_string())),
        }
    }

    /// A challenge that the home network did not make with the card's key.
    fn challenge(&self, plmn: Plmn, mut answer: NetworkAnswer) -> NetworkAnswer {
        if let NetworkAnswer::AuthenticationRequest(request) = &mut answer
            && self.strike(plmn, |act| act == RadioAct::HomeAuthenticationFailure).is_some()
            && let Some(mac) = request.autn.last_mut()
        {
            *mac ^= 1;
        }
        answer
    }
}

impl<R: Radio> Radio for FaultyRadio<R> {
    fn system_information(&self, plmn: Plmn) -> BoxFuture<'_, Result<Option<SystemInformation>, RadioFault>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.system_information(plmn),
            Err(_) => Box::pin(async { Ok(None) }),
        }
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>> {
        Box::pin(async move {
            self.is_heard(plmn)?;
            self.happens(plmn, RadioAct::LoseAttachRequest)?;
            let refused = self.strike(plmn, |act| matches!(act, RadioAct::Refuse(_)));
            if let Some(FaultId::Radio(RadioAct::Refuse(cause))) = refused.map(|struck| struck.id()) {
                return Ok(NetworkAnswer::AttachReject(AttachReject { cause }));
            }
            let answer = self.inner.attach(plmn, request).await?;
            Ok(self.challenge(plmn, answer))
        })
    }

    fn authenticate(
        &self,
        plmn: Plmn,
        response: AuthenticationResponse,
    ) -> BoxFuture<'_, Result<NetworkAnswer, RadioFault>> {
        Box::pin(async move {
            self.is_heard(plmn)?;
            let answer = self.inner.authenticate(plmn, response).await?;
            if matches!(answer, NetworkAnswer::AttachAccept(_)) {
                self.happens(plmn, RadioAct::LoseAttachAnswer)?;
            }
            Ok(self.challenge(plmn, answer))
        })
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> BoxFuture<'_, Result<(), RadioFault>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.detach(plmn, attach),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn submit_short_message(
        &self,
        plmn: Plmn,
        message: MobileOriginated,
    ) -> BoxFuture<'_, Result<RpAnswer, RadioFault>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.submit_short_message(plmn, message),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn next_short_message(
        &self,
        plmn: Plmn,
        attach: AttachId,
    ) -> BoxFuture<'_, Result<MobileTerminated, RadioFault>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.next_short_message(plmn, attach),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> BoxFuture<'_, Result<(), RadioFault>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.report_short_message(plmn, report),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }
}
