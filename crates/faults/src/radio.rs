//! Faults of the radio, as a wrapper around a radio.

use std::time::Duration;

use network::{
    AttachId, AttachReject, AttachRequest, AuthenticationResponse, MobileOriginated, MobileTerminated,
    NetworkAnswer, Radio, RadioFault, RadioFuture, RpAnswer, RpReport, SystemInformation,
};
use rsp::ids::Plmn;

use super::acts::RadioAct;
use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, InjectedFault};

impl FaultInjector {
    /// True if the network drops the packets of an attached device. The owner of the device's data
    /// connections calls this once for each request over the network. Each call counts as an
    /// occasion (see [`FaultInjector`]).
    pub fn carries_nothing(&self, plmn: Plmn) -> bool {
        let is_it = |spec: &FaultSpec| {
            spec.id() == FaultId::Radio(RadioAct::NoData) && spec.is_at(&[plmn.to_string()])
        };
        self.next_fault(is_it).is_some()
    }
}

/// A radio with injected faults.
///
/// The occasions (see [`FaultInjector`]) of an outage and of flapping are all accesses to the
/// network. Those of a rejection are the attach requests. Those of another fault are the messages
/// of the kind that it affects.
pub struct FaultyRadio<R> {
    inner: R,
    faults: FaultInjector,
}

impl<R: Radio> FaultyRadio<R> {
    /// Wraps a radio with these faults.
    pub fn new(inner: R, faults: FaultInjector) -> Self {
        Self { inner, faults }
    }

    fn next_fault(&self, plmn: Plmn, kind: impl Fn(RadioAct) -> bool) -> Option<InjectedFault> {
        self.faults.next_fault(|spec| {
            matches!(spec.id(), FaultId::Radio(act) if kind(act)) && spec.is_at(&[plmn.to_string()])
        })
    }

    fn is_heard(&self, plmn: Plmn) -> Result<(), RadioFault> {
        let away = self.next_fault(plmn, |act| act == RadioAct::Outage).is_some();
        // The network is off in the first period, then on, and so on.
        let is_off = |injected: &InjectedFault| {
            let period = injected.time().max(Duration::from_millis(1));
            (injected.after().as_millis() / period.as_millis()).is_multiple_of(2)
        };
        let flaps = self.next_fault(plmn, |act| act == RadioAct::Flapping);
        if away || flaps.is_some_and(|injected| is_off(&injected)) {
            return Err(RadioFault::NoCoverage(plmn));
        }
        Ok(())
    }

    fn happens(&self, plmn: Plmn, act: RadioAct) -> Result<(), RadioFault> {
        match self.next_fault(plmn, |each| each == act) {
            None => Ok(()),
            Some(injected) => Err(RadioFault::Lost(injected.spec().to_string())),
        }
    }

    /// Corrupts the MAC of the challenge, as if the home network had not made it with the key of
    /// the card.
    fn challenge(&self, plmn: Plmn, mut answer: NetworkAnswer) -> NetworkAnswer {
        if let NetworkAnswer::AuthenticationRequest(request) = &mut answer
            && self.next_fault(plmn, |act| act == RadioAct::HomeAuthenticationFailure).is_some()
            && let Some(mac) = request.autn.last_mut()
        {
            *mac ^= 1;
        }
        answer
    }
}

impl<R: Radio> Radio for FaultyRadio<R> {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.system_information(plmn),
            Err(_) => Box::pin(async { Ok(None) }),
        }
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            self.is_heard(plmn)?;
            self.happens(plmn, RadioAct::LoseAttachRequest)?;
            let refused = self.next_fault(plmn, |act| matches!(act, RadioAct::Refuse(_)));
            if let Some(FaultId::Radio(RadioAct::Refuse(cause))) = refused.map(|injected| injected.id()) {
                return Ok(NetworkAnswer::AttachReject(AttachReject { cause }));
            }
            let answer = self.inner.attach(plmn, request).await?;
            Ok(self.challenge(plmn, answer))
        })
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            self.is_heard(plmn)?;
            let answer = self.inner.authenticate(plmn, response).await?;
            if matches!(answer, NetworkAnswer::AttachAccept(_)) {
                self.happens(plmn, RadioAct::LoseAttachAnswer)?;
            }
            Ok(self.challenge(plmn, answer))
        })
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.detach(plmn, attach),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.submit_short_message(plmn, message),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.next_short_message(plmn, attach),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        match self.is_heard(plmn) {
            Ok(()) => self.inner.report_short_message(plmn, report),
            Err(fault) => Box::pin(async { Err(fault) }),
        }
    }
}
