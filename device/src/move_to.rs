//! The change of a device to another profile: the profile is downloaded, enabled and tried. If the
//! device gets no service with it, the former profile is enabled again.
//!
//! Each step is stored before it is carried out ([`Intention`]). After a power cut,
//! [`Device::recover`] compares the stored step with the card and ends on a profile that works.

use rsp::activation_code::ActivationCode;
use rsp::ids::Iccid;
use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};
use world::{Batch, CardInterface, Content, Fault, Outcome};

use super::device::Device;
use super::es10::Es10Error;
use super::lpa::{ChangeError, Delivery, DownloadError, DownloadOptions, HttpTraffic, Installed};
use super::modem::{NotRegistered, Registered};
use super::terminal::Traffic;

/// The name of the entry in the device's memory.
const INTENTION: &str = "intention";

/// The step that the device is about to carry out. It survives a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Intention {
    /// No procedure is in progress.
    #[default]
    None,
    /// Download a profile while `back` is enabled.
    Download { back: Option<Iccid> },
    /// Enable `target` and register with it. If that fails, enable `back`.
    Try { back: Option<Iccid>, target: Iccid },
    /// `target` does not work: enable `back`.
    ComeBack { back: Iccid, target: Iccid },
}

/// The target profile of a change.
enum Target<'a> {
    /// A profile that is downloaded first.
    Download(&'a ActivationCode, DownloadOptions),
    /// A profile that is already on the card.
    CardProfile(Iccid),
}

/// The report of a change of profiles.
#[derive(Debug)]
pub struct MoveReport {
    /// The outcome.
    pub ending: Ending,
    /// The profile that was enabled before.
    pub bootstrap: Option<Iccid>,
    /// The profile that was downloaded and installed.
    pub installed: Option<Installed>,
    /// The registration before the change.
    pub before: Option<Registered>,
    /// The start time.
    pub started: Timestamp,
    /// The end time.
    pub finished: Timestamp,
    /// The APDU traffic with the card during the change.
    pub card: Traffic,
    /// The HTTP traffic with servers during the change.
    pub http: HttpTraffic,
    /// The deliveries of notifications, or the error if the card's list could not be read.
    pub notifications: Result<Vec<Delivery>, Es10Error>,
}

/// The outcome of a change of profiles.
#[derive(Debug)]
pub enum Ending {
    /// The device is registered with the new profile.
    Moved(Registered),
    /// The new profile could not be enabled or got no service. The former profile is enabled again
    /// and registered.
    CameBack {
        /// The reason why the new profile is not in use.
        why: Rejected,
        /// The registration with the former profile.
        registered: Registered,
    },
    /// No new profile was installed. The former profile is still enabled.
    NotInstalled(DownloadError),
    /// The device gets no service with either profile. The next [`Device::recover`] tries again.
    Stranded {
        /// The reason why the new profile does not work.
        why: Rejected,
        /// The reason why the former profile does not work.
        back: Rejected,
    },
    /// The device's own memory failed, so the new profile was not enabled.
    Fault(Fault),
}

impl Ending {
    /// Returns the registration at the end of the change, if the device has registered.
    pub fn registered(&self) -> Option<&Registered> {
        match self {
            Self::Moved(registered) | Self::CameBack { registered, .. } => Some(registered),
            Self::NotInstalled(_) | Self::Stranded { .. } | Self::Fault(_) => None,
        }
    }
}

/// The reason why a profile does not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The profile could not be enabled.
    #[error("the profile could not be enabled: {0}")]
    NotEnabled(ChangeError),
    /// The profile is enabled, but no network accepts it.
    #[error(transparent)]
    NotRegistered(NotRegistered),
    /// There is no other profile to which the device could return.
    #[error("no other profile to return to")]
    NoSuchProfile,
}

/// The result of [`Device::recover`].
#[derive(Debug)]
pub enum Recovery {
    /// The device is registered with the enabled profile.
    Working {
        /// The registration.
        registered: Registered,
        /// The procedure that a power cut had interrupted, in words; `None` if there was none.
        interrupted: Option<&'static str>,
        /// The deliveries of notifications, or the error if the card's list could not be read.
        notifications: Result<Vec<Delivery>, Es10Error>,
    },
    /// The device gets no service with any profile. Lists each profile and the reason.
    Stranded(Vec<(Iccid, Rejected)>),
    /// The card cannot be read.
    Card(Es10Error),
}

impl<D: CardInterface> Device<D> {
    /// Downloads the profile of the activation code, enables it and registers with it. If that
    /// fails, enables the profile `back` (by default the currently enabled profile) and registers
    /// with `back`. Notifications are sent at the end.
    pub async fn move_to(
        &mut self,
        code: &ActivationCode,
        options: DownloadOptions,
        back: Option<Iccid>,
    ) -> MoveReport {
        self.change_profile(Target::Download(code, options), back).await
    }

    /// Performs [`move_to`](Self::move_to) with a profile that is already on the card.
    pub async fn switch_to(&mut self, iccid: Iccid, back: Option<Iccid>) -> MoveReport {
        self.change_profile(Target::CardProfile(iccid), back).await
    }

    async fn change_profile(&mut self, target: Target<'_>, back: Option<Iccid>) -> MoveReport {
        let started = self.events.now();
        let (card, http) = self.traffic();
        let before = self.modem.registered().cloned();
        let mut bootstrap = back;
        let mut installed = None;
        let ready = match target {
            Target::CardProfile(iccid) => self.find_fallback(&mut bootstrap).await.map(|()| iccid),
            Target::Download(code, options) => self
                .download(code, options, &mut bootstrap)
                .await
                .map(|profile| installed.insert(profile).iccid),
        };
        let ending = match ready {
            Ok(iccid) => self.try_profile(iccid, bootstrap).await,
            Err(ending) => ending,
        };
        // Notifications are sent while the device has service. Without service the servers cannot
        // be reached.
        let notifications = match &ending {
            Ending::Stranded { .. } => Ok(Vec::new()),
            _ => self.lpa.process_notifications().await,
        };
        self.report_ending(&ending);
        let (card_after, http_after) = self.traffic();
        MoveReport {
            ending,
            bootstrap,
            installed,
            before,
            started,
            finished: self.events.now(),
            card: card_after - card,
            http: http_after - http,
            notifications,
        }
    }

    async fn download(
        &mut self,
        code: &ActivationCode,
        options: DownloadOptions,
        bootstrap: &mut Option<Iccid>,
    ) -> Result<Installed, Ending> {
        self.find_fallback(bootstrap).await?;
        self.store_intention(Intention::Download { back: *bootstrap }).map_err(Ending::Fault)?;
        let result = self.lpa.download(code, options).await;
        if result.is_err() {
            self.store_intention(Intention::None).map_err(Ending::Fault)?;
        }
        result.map_err(Ending::NotInstalled)
    }

    /// Determines the profile to return to: by default the enabled profile.
    async fn find_fallback(&mut self, back: &mut Option<Iccid>) -> Result<(), Ending> {
        if back.is_none() {
            *back = self.lpa.enabled().await.map_err(|error| Ending::NotInstalled(error.into()))?;
        }
        Ok(())
    }

    /// Enables `target` and registers with it. If that fails, returns to `back`.
    async fn try_profile(&mut self, target: Iccid, back: Option<Iccid>) -> Ending {
        if let Err(fault) = self.store_intention(Intention::Try { back, target }) {
            return Ending::Fault(fault);
        }
        let why = match self.enable_and_register(target).await {
            Ok(registered) => {
                self.conclude();
                return Ending::Moved(registered);
            }
            Err(why) => why,
        };
        self.events.emit(self.events.event("roll back").with_note(why.to_string()));
        self.roll_back(target, back, why).await
    }

    async fn roll_back(&mut self, target: Iccid, back: Option<Iccid>, why: Rejected) -> Ending {
        let Some(back) = back.filter(|back| *back != target) else {
            return Ending::Stranded { why, back: Rejected::NoSuchProfile };
        };
        // If this step cannot be stored, the stored step `Try` still leads to a rollback after a
        // power cut.
        let written = self.store_intention(Intention::ComeBack { back, target });
        self.report_fault(written);
        match self.enable_and_register(back).await {
            Ok(registered) => {
                self.conclude();
                Ending::CameBack { why, registered }
            }
            Err(back) => Ending::Stranded { why, back },
        }
    }

    /// Enables a profile and registers with it.
    async fn enable_and_register(&mut self, iccid: Iccid) -> Result<Registered, Rejected> {
        self.enable(iccid).await.map_err(Rejected::NotEnabled)?;
        self.register().await.map_err(Rejected::NotRegistered)
    }

    /// Enables a profile, with as many attempts as the settings allow. A card that does not answer
    /// is reset before the next attempt.
    async fn enable(&mut self, iccid: Iccid) -> Result<(), ChangeError> {
        let mut tried = 1;
        let result = loop {
            match self.lpa.enable(iccid).await {
                Ok(()) => break Ok(()),
                Err(error) if tried >= self.settings.change_tries || is_final(&error) => break Err(error),
                Err(_) => {}
            }
            tried = tried.saturating_add(1);
            self.pause.before(tried).await;
            if let Err(error) = self.lpa.reset_card().await {
                break Err(error.into());
            }
        };
        self.modem.forget();
        result
    }

    /// Resumes after the power returns: compares the stored step with the card, completes or
    /// reverts it, and registers.
    ///
    /// Ends with a working profile enabled, if the card contains one. The order of the attempts is:
    /// the profile of the stored step, the profile to return to, the enabled one, and then all
    /// others.
    pub async fn recover(&mut self) -> Recovery {
        self.modem.forget();
        let written = match self.stored_intention() {
            Ok(intention) => intention,
            Err(fault) => {
                self.report_fault(Err(fault));
                Intention::None
            }
        };
        let (profiles, enabled) = match self.lpa.list().await {
            Ok(profiles) => {
                let iccids: Vec<_> = profiles.iter().filter_map(|profile| profile.iccid).collect();
                let is_enabled = Some(rsp::sgp22::ProfileState::ENABLED);
                let enabled = profiles.iter().find(|profile| profile.profile_state == is_enabled);
                (iccids, enabled.and_then(|profile| profile.iccid))
            }
            Err(error) => return Recovery::Card(error),
        };
        let (interrupted, preferred) = match written {
            Intention::None => (None, vec![]),
            Intention::Download { back } => (Some("a download"), vec![back]),
            Intention::Try { back, target } => (Some("a change of profiles"), vec![Some(target), back]),
            Intention::ComeBack { back, target } => {
                (Some("the return to the former profile"), vec![Some(back), Some(target)])
            }
        };
        let mut order: Vec<Iccid> = Vec::new();
        for iccid in preferred.into_iter().flatten().chain(enabled).chain(profiles.iter().copied()) {
            if profiles.contains(&iccid) && !order.contains(&iccid) {
                order.push(iccid);
            }
        }
        let mut rejected = Vec::new();
        for iccid in order {
            match self.enable_and_register(iccid).await {
                Ok(registered) => {
                    self.conclude();
                    let event = self.events.event("recovered").with_note(registered.to_string());
                    self.events.emit(event);
                    let notifications = self.lpa.process_notifications().await;
                    return Recovery::Working { registered, interrupted, notifications };
                }
                Err(why) => rejected.push((iccid, why)),
            }
        }
        let event = self.events.event("recovered");
        self.events.emit(
            event.with_outcome(Outcome::Failed(
                "the device gets no service with any profile on the card".into(),
            )),
        );
        Recovery::Stranded(rejected)
    }

    fn stored_intention(&self) -> Result<Intention, Fault> {
        let cells = self.memory.load()?;
        let Some(cell) = cells.get(INTENTION) else { return Ok(Intention::None) };
        cell.from_json().map_err(|error| {
            Fault::caused_by(
                error,
                "cannot use the device's memory",
                "remove it; the card itself is not affected",
            )
        })
    }

    fn store_intention(&mut self, intention: Intention) -> Result<(), Fault> {
        self.memory.commit(Batch::of(INTENTION, Content::json(&intention)?))
    }

    /// Marks the procedure as complete. If this mark cannot be stored, the next recovery finds the
    /// profile that works.
    fn conclude(&mut self) {
        let written = self.store_intention(Intention::None);
        self.report_fault(written);
    }

    fn report_fault(&self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            let event = self.events.event("store the procedure");
            self.events.emit(event.with_outcome(Outcome::Failed(fault.to_string())));
        }
    }

    fn report_ending(&self, ending: &Ending) {
        let event = self.events.event("move");
        let event = match ending {
            Ending::Moved(registered) => event.with_note(registered.to_string()),
            Ending::CameBack { why, registered } => {
                event.with_outcome(Outcome::Refused(why.to_string())).with_note(format!("back: {registered}"))
            }
            Ending::NotInstalled(error) => event.with_outcome(Outcome::Failed(error.to_string())),
            Ending::Stranded { why, back } => {
                event.with_outcome(Outcome::Failed(why.to_string())).with_note(format!("and back: {back}"))
            }
            Ending::Fault(fault) => event.with_outcome(Outcome::Failed(fault.to_string())),
        };
        self.events.emit(event);
    }
}

/// True if a retry cannot help, because the eUICC's refusal is permanent.
fn is_final(error: &ChangeError) -> bool {
    use rsp::sgp22::es10c::EnableResult;
    match error {
        ChangeError::Es10(error @ Es10Error::Refused { .. }) => {
            error.code() != Some(EnableResult::CAT_BUSY.0)
        }
        ChangeError::Es10(Es10Error::Card(_)) | ChangeError::UnexpectedState { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use rsp::sgp22::es10c::EnableResult;

    use super::super::es10::ResultCode;
    use super::super::terminal::{CardError, StatusWord};
    use super::*;

    #[test]
    fn a_refusal_is_final_unless_the_card_is_busy() {
        for number in 1..=7 {
            let code = ResultCode { number, name: None };
            let refused = Es10Error::Refused { function: "EnableProfile", code };
            assert_eq!(is_final(&refused.into()), number != EnableResult::CAT_BUSY.0, "{number}");
        }
        let card = CardError::Status { command: "STORE DATA", status: StatusWord::CONDITIONS_NOT_SATISFIED };
        assert!(!is_final(&Es10Error::Card(card).into()));
    }
}
