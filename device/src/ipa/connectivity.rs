//! The connection of the device, and the changes of the profile that the IPA makes itself: rollback
//! (SGP.32 section 3.3.2), fallback (section 3.6), immediate enabling (section 5.9.15), and the
//! Emergency Profile (sections 5.9.22 and 5.9.23).

use rsp::ids::Iccid;
use rsp::sgp32::StateChangeCause;
use rsp::sgp32::es10b::ExecuteFallbackMechanismResult;
use world::{CardInterface, Outcome};

use super::report::{CheckIn, ConnectionChange};
use super::{Connection, Ipa, IpaError};
use crate::es10::{Es10Error, ResultCode};
use crate::modem::NotRegistered;

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
    NotPossible(ResultCode),
}

/// The code of catBusy in the responses of all switches.
const CAT_BUSY: i64 = 5;

impl<D: CardInterface> Ipa<D> {
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
        if self.settings.connection == Connection::Other || self.modem.registered().is_some() {
            return Ok(());
        }
        let mut tried = 1;
        loop {
            match self.modem.register().await {
                Ok(_) => return Ok(()),
                Err(not) if not.is_settled() || tried >= self.settings.registration_tries => return Err(not),
                Err(_) => {}
            }
            tried = tried.saturating_add(1);
            self.pause.before(tried).await;
        }
    }

    /// Waits before another attempt to deliver a result.
    pub(super) async fn pause_before(&self, attempt: u32) {
        self.pause.before(attempt).await;
    }

    /// Performs the REFRESH after the profile was changed, and registers. `enabled` is the profile that
    /// must be enabled then, if it is known. If the eUICC could not complete the change, another reset
    /// gives it a second opportunity. Returns false if no network accepts the device.
    pub(super) async fn apply_new_profile(&mut self, enabled: Option<Iccid>) -> Result<bool, IpaError> {
        self.refresh().await?;
        if enabled.is_some() && self.lpa.enabled().await? != enabled {
            self.es10().reset().await?;
            self.modem.was_reset();
        }
        Ok(self.register().await.is_ok())
    }

    async fn refresh(&mut self) -> Result<(), IpaError> {
        self.modem.detach().await;
        self.es10().refresh().await?;
        self.modem.was_reset();
        Ok(())
    }

    /// Enables the former profile, if an eIM permitted it and does not have the result. The eUICC keeps
    /// the result of the rollback, which the IPA delivers later. Returns false if it is not permitted.
    pub(super) async fn roll_back(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        match self.switch(Switch::Rollback).await? {
            Switched::Done => {
                self.changed(report, ConnectionChange::RolledBack);
                Ok(true)
            }
            Switched::NotPossible(_) => Ok(false),
        }
    }

    /// Enables the Fallback Profile. Returns false if the eUICC has no such profile, or if it is enabled
    /// already.
    async fn fall_back(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        // Stored first: after a loss of power the IPA must know that it is to return.
        let now = self.events.now();
        self.remember(|state| state.fallback_since = Some(now))?;
        match self.switch(Switch::Fallback).await? {
            Switched::Done => {
                self.changed(report, ConnectionChange::FellBack);
                self.remember_change(StateChangeCause::FALLBACK, None).await?;
                Ok(true)
            }
            Switched::NotPossible(code) => {
                let is_enabled =
                    code.number == ExecuteFallbackMechanismResult::PROFILE_NOT_IN_DISABLED_STATE.0;
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
        match self.switch(Switch::Return).await? {
            Switched::Done => {
                self.changed(report, ConnectionChange::ReturnedFromFallback);
                self.remember(|state| state.fallback_since = None)?;
                self.remember_change(StateChangeCause::FALLBACK, None).await
            }
            // An eIM enabled another profile or removed the attribute.
            Switched::NotPossible(_) => self.remember(|state| state.fallback_since = None),
        }
    }

    /// Enables the profile that was just installed, if the eUICC is configured for it. Returns false if
    /// it is not.
    // req: SGP.32-5.9.15-Ipa
    pub(super) async fn enable_immediately(&mut self, report: &mut CheckIn) -> Result<bool, IpaError> {
        match self.switch(Switch::Immediate).await? {
            Switched::Done => {
                self.changed(report, ConnectionChange::ImmediatelyEnabled);
                self.remember_change(StateChangeCause::IMMEDIATE_ENABLE_PROFILE, None).await?;
                Ok(true)
            }
            Switched::NotPossible(_) => Ok(false),
        }
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
        match self.switch(switch).await? {
            Switched::Done => self.remember_change(StateChangeCause::EMERGENCY_PROFILE, None).await,
            Switched::NotPossible(code) => {
                self.remember(|state| state.emergency = false)?;
                Err(Es10Error::Refused { function: switch.function(), code }.into())
            }
        }
    }

    /// Requests a switch of the profile and performs the REFRESH. If the card is busy with a REFRESH
    /// that the device never fetched, the device resets the card in place of that REFRESH, and requests
    /// the switch again.
    async fn switch(&mut self, switch: Switch) -> Result<Switched, IpaError> {
        let mut answer = self.request(switch).await;
        if answer.as_ref().is_err_and(|error| error.code() == Some(CAT_BUSY)) {
            self.es10().reset().await?;
            answer = self.request(switch).await;
        }
        match answer {
            Ok(()) => {
                self.refresh().await?;
                Ok(Switched::Done)
            }
            Err(Es10Error::Refused { code, .. }) => Ok(Switched::NotPossible(code)),
            Err(error) => {
                // The state of the profiles is uncertain. After the reset the next check-in reads it.
                self.es10().reset().await?;
                self.modem.was_reset();
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

    fn changed(&self, report: &mut CheckIn, change: ConnectionChange) {
        report.changes.push(change);
        self.events.emit(self.events.event(change.to_string()).with_outcome(Outcome::Done));
    }
}

impl Switch {
    fn function(self) -> &'static str {
        match self {
            Self::Rollback => "ProfileRollback",
            Self::Fallback => "ExecuteFallbackMechanism",
            Self::Return => "ReturnFromFallback",
            Self::Immediate => "ImmediateEnable",
            Self::Emergency => "EnableEmergencyProfile",
            Self::EmergencyEnd => "DisableEmergencyProfile",
        }
    }
}
