//! The connection of the device, and the changes of the profile that the IPA makes itself: rollback
//! (SGP.32 section 3.3.2), fallback (section 3.6), immediate enabling (section 5.9.15), and the
//! Emergency Profile (sections 5.9.22 and 5.9.23).

use rsp::ids::{Iccid, Plmn};
use rsp::sgp32::StateChangeCause;
use rsp::sgp32::es10b::ExecuteFallbackMechanismResult;
use world::{CardInterface, Outcome};

use super::report::{CheckIn, ConnectionChange};
use super::{Connection, Ipa, IpaError};
use crate::es10::{Es10, Es10Error};
use crate::modem::{Modem, NotRegistered, Registered};
use crate::terminal::CardError;

/// The access of an IPA to networks, and to the power of its card.
///
/// The IPA of a device has a [`Modem`]. An IPA inside the card has the terminal, which reports its
/// location status.
pub trait Connectivity: Send {
    /// Returns the registration, if the IPA knows its details.
    fn registered(&self) -> Option<&Registered>;

    /// Returns the serving network, for rPLMN in ESipa.GetEimPackage.
    fn network(&self) -> Option<Plmn>;

    /// Marks the registration as uncertain. The next [`register`](Self::register) renews it.
    fn deregister(&mut self);

    /// Connects with the enabled profile, unless the device is connected.
    ///
    /// # Errors
    /// No network accepts the device.
    fn register(&mut self) -> impl Future<Output = Result<(), NotRegistered>> + Send;

    /// Performs the REFRESH after the enabled profile was changed.
    ///
    /// # Errors
    /// The card fails.
    fn refresh<D: CardInterface>(
        &mut self,
        es10: &mut Es10<D>,
    ) -> impl Future<Output = Result<(), CardError>> + Send;

    /// Resets the card.
    ///
    /// # Errors
    /// The card fails.
    fn reset<D: CardInterface>(
        &mut self,
        es10: &mut Es10<D>,
    ) -> impl Future<Output = Result<(), CardError>> + Send;
}

impl<M: CardInterface> Connectivity for Modem<M> {
    fn registered(&self) -> Option<&Registered> {
        Self::registered(self)
    }

    fn network(&self) -> Option<Plmn> {
        Self::registered(self).map(|registered| registered.plmn)
    }

    fn deregister(&mut self) {
        Self::deregister(self);
    }

    async fn register(&mut self) -> Result<(), NotRegistered> {
        match Self::registered(self) {
            Some(_) => Ok(()),
            None => Self::register(self).await.map(drop),
        }
    }

    async fn refresh<D: CardInterface>(&mut self, es10: &mut Es10<D>) -> Result<(), CardError> {
        self.detach().await;
        es10.refresh().await?;
        self.was_reset();
        Ok(())
    }

    async fn reset<D: CardInterface>(&mut self, es10: &mut Es10<D>) -> Result<(), CardError> {
        es10.reset().await?;
        self.was_reset();
        Ok(())
    }
}

/// A change of the enabled profile over ES10b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    Rollback,
    Fallback,
    Return,
    Immediate,
    Emergency,
    EmergencyEnd,
}

/// The outcome of a switch.
enum Switched {
    /// The profile was changed, and the REFRESH was performed.
    Done,
    /// The eUICC refused the switch.
    NotPossible(Es10Error),
}

/// The code of catBusy in the responses of all switches.
const CAT_BUSY: i64 = 5;

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Connects the device. If the enabled profile has no service, the IPA tries the rollback that an
    /// eIM permitted, and then the Fallback Mechanism.
    ///
    /// # Errors
    /// No network accepts the device, whatever the IPA tries, or the card fails.
    pub(super) async fn connect(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        let Err(not) = self.register().await else { return Ok(()) };
        // req: SGP.32-3.3.2-Rollback
        if self.roll_back(report).await? && self.register().await.is_ok() {
            return Ok(());
        }
        if self.state.fallback_since.is_some() {
            // The profile before the fallback may have service again.
            self.return_from_fallback(report).await?;
            return Ok(self.register().await?);
        }
        // req: SGP.32-3.6-Fallback
        if self.fall_back(report).await? {
            return Ok(self.register().await?);
        }
        Err(not.into())
    }

    /// Registers, unless the device is registered or has another connection.
    async fn register(&mut self) -> Result<(), NotRegistered> {
        if self.settings.connection == Connection::Other {
            return Ok(());
        }
        let mut tried = 1;
        loop {
            match self.connectivity.register().await {
                Ok(()) => return Ok(()),
                Err(not) if not.is_settled() || tried >= self.settings.registration_tries => return Err(not),
                Err(_) => {}
            }
            tried = tried.saturating_add(1);
            self.pause.before(tried).await;
        }
    }

    /// Waits before another attempt to deliver a result.
    pub(super) async fn pause_before(&mut self, attempt: u32) {
        self.pause.before(attempt).await;
    }

    /// Performs the REFRESH after the profile was changed, and registers. `enabled` is the profile that
    /// must be enabled then, if it is known. If the eUICC could not complete the change, another reset
    /// gives it a second opportunity. Returns false if no network accepts the device.
    pub(super) async fn apply_new_profile(&mut self, enabled: Option<Iccid>) -> Result<bool, IpaError> {
        self.refresh().await?;
        if enabled.is_some() && self.lpa.enabled().await? != enabled {
            self.reset().await?;
        }
        Ok(self.register().await.is_ok())
    }

    /// Resets the card, whose state is uncertain.
    pub(super) async fn reset(&mut self) -> Result<(), IpaError> {
        Ok(self.connectivity.reset(self.lpa.es10()).await?)
    }

    async fn refresh(&mut self) -> Result<(), IpaError> {
        Ok(self.connectivity.refresh(self.lpa.es10()).await?)
    }

    /// Enables the former profile, if an eIM permitted it and does not have the result. The eUICC keeps
    /// the result of the rollback, which the IPA delivers later. Returns false if it is not permitted.
    pub(super) async fn roll_back(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        let switched = self.switch(Switch::Rollback, report).await?;
        self.remember(|state| state.awaits_delivery = None)?;
        Ok(matches!(switched, Switched::Done))
    }

    /// Enables the Fallback Profile. Returns false if the eUICC has no such profile, or if it is enabled
    /// already.
    async fn fall_back(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        // Stored first: after a loss of power the IPA must know that it is to return.
        let now = self.events.now();
        self.remember(|state| state.fallback_since = Some(now))?;
        match self.switch(Switch::Fallback, report).await? {
            Switched::Done => Ok(true),
            Switched::NotPossible(refusal) => {
                let is_enabled =
                    refusal.code() == Some(ExecuteFallbackMechanismResult::PROFILE_NOT_IN_DISABLED_STATE.0);
                self.remember(|state| state.fallback_since = Some(now).filter(|_| is_enabled))?;
                Ok(false)
            }
        }
    }

    /// Returns from the Fallback Profile, if the time has come. If the former profile still has no
    /// service, the Fallback Profile is enabled again.
    pub(super) async fn return_if_due(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        let Some(since) = self.state.fallback_since else { return Ok(()) };
        if self.events.now() < since.plus(self.settings.return_after) {
            return Ok(());
        }
        self.return_from_fallback(report).await?;
        self.connect_again(report).await
    }

    /// Connects after the return from the Fallback Profile.
    async fn connect_again(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        let Err(not) = self.register().await else { return Ok(()) };
        match self.fall_back(report).await? {
            true => Ok(self.register().await?),
            false => Err(not.into()),
        }
    }

    // req: SGP.32-3.6-Return
    async fn return_from_fallback(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        match self.switch(Switch::Return, report).await? {
            Switched::Done => Ok(()),
            // An eIM enabled another profile or removed the attribute.
            Switched::NotPossible(_) => self.remember(|state| state.fallback_since = None),
        }
    }

    /// Enables the profile that was just installed, if the eUICC is configured for it. Returns false if
    /// it is not.
    // req: SGP.32-5.9.15-Ipa
    pub(super) async fn enable_immediately(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        Ok(matches!(self.switch(Switch::Immediate, report).await?, Switched::Done))
    }

    /// Enables the Emergency Profile: section 5.9.22. Until [`Ipa::end_emergency`], requests of eIMs
    /// are refused with ecallActive.
    ///
    /// # Errors
    /// There is no Emergency Profile, or the card or the memory of the device fails.
    pub async fn begin_emergency(&mut self) -> Result<(), IpaError> {
        self.remember(|state| state.emergency = true)?;
        self.emergency(Switch::Emergency).await
    }

    /// Enables the profile again that was enabled before the emergency: section 5.9.23.
    ///
    /// # Errors
    /// The Emergency Profile is not enabled, or the card or the memory of the device fails.
    pub async fn end_emergency(&mut self) -> Result<(), IpaError> {
        self.emergency(Switch::EmergencyEnd).await?;
        self.remember(|state| state.emergency = false)
    }

    async fn emergency(&mut self, switch: Switch) -> Result<(), IpaError> {
        match self.switch(switch, &mut CheckIn::default()).await? {
            Switched::Done => Ok(()),
            Switched::NotPossible(refusal) => {
                self.remember(|state| state.emergency = false)?;
                Err(refusal.into())
            }
        }
    }

    /// Requests a switch of the profile and performs the REFRESH. If the card is busy with a REFRESH
    /// that the device never fetched, the device resets the card in place of that REFRESH, and requests
    /// the switch again.
    async fn switch(&mut self, switch: Switch, report: &mut CheckIn) -> Result<Switched, IpaError> {
        let mut answer = self.request(switch).await;
        if answer.as_ref().is_err_and(|error| error.code() == Some(CAT_BUSY)) {
            self.reset().await?;
            answer = self.request(switch).await;
        }
        match answer {
            Ok(()) => {
                // The REFRESH ends an IPA inside the card, so everything is stored before it.
                self.switched(switch, report).await?;
                self.refresh().await?;
                Ok(Switched::Done)
            }
            Err(refusal @ Es10Error::Refused { .. }) => Ok(Switched::NotPossible(refusal)),
            Err(error) => {
                // The state of the profiles is uncertain. After the reset the next check-in reads it.
                self.reset().await?;
                Err(error.into())
            }
        }
    }

    async fn request(&mut self, switch: Switch) -> Result<(), Es10Error> {
        let es10 = self.es10();
        match switch {
            // The eUICC keeps the result until an eIM acknowledges it.
            Switch::Rollback => es10.profile_rollback().await.map(drop),
            Switch::Fallback => es10.execute_fallback_mechanism().await,
            Switch::Return => es10.return_from_fallback().await,
            Switch::Immediate => es10.immediate_enable().await,
            Switch::Emergency => es10.enable_emergency_profile().await,
            Switch::EmergencyEnd => es10.disable_emergency_profile().await,
        }
    }

    /// Reports and remembers a switch.
    async fn switched(&mut self, switch: Switch, report: &mut CheckIn) -> Result<(), IpaError> {
        if let Some(change) = switch.change() {
            report.changes.push(change);
            self.events.emit(self.events.event(change.to_string()).with_outcome(Outcome::Done));
        }
        if switch == Switch::Return {
            self.remember(|state| state.fallback_since = None)?;
        }
        match switch.cause() {
            Some(cause) => self.remember_change(cause, None).await,
            None => Ok(()),
        }
    }
}

impl Switch {
    /// The change that is reported.
    fn change(self) -> Option<ConnectionChange> {
        match self {
            Self::Rollback => Some(ConnectionChange::RolledBack),
            Self::Fallback => Some(ConnectionChange::FellBack),
            Self::Return => Some(ConnectionChange::ReturnedFromFallback),
            Self::Immediate => Some(ConnectionChange::ImmediatelyEnabled),
            Self::Emergency | Self::EmergencyEnd => None,
        }
    }

    /// The cause that eIMs get with the next poll. The eIM of a rollback gets its result.
    fn cause(self) -> Option<StateChangeCause> {
        match self {
            Self::Rollback => None,
            Self::Fallback | Self::Return => Some(StateChangeCause::FALLBACK),
            Self::Immediate => Some(StateChangeCause::IMMEDIATE_ENABLE_PROFILE),
            Self::Emergency | Self::EmergencyEnd => Some(StateChangeCause::EMERGENCY_PROFILE),
        }
    }
}
