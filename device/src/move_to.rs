//! Bringing a device home: another profile is downloaded, enabled and tried; if it does not carry, the one before it is
//! enabled again.
//!
//! What is about to happen is written down before it happens ([`Intention`]), so that after a power cut
//! [`Device::recover`] can compare it with the card and end on a profile that works.

use rsp::activation_code::ActivationCode;
use rsp::ids::{Iccid, Plmn};
use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};
use world::{Batch, BoxFuture, CardDoor, Content, Fault, Memory, Outcome};

use super::es10::Es10Error;
use super::lpa::{ChangeError, Delivery, DownloadError, DownloadOptions, HttpTraffic, Installed, Lpa};
use super::modem::{Modem, NotRegistered, Registered};
use super::serve::Service;
use super::teller::Teller;
use super::terminal::Traffic;

/// The cell of a device's memory.
const INTENTION: &str = "intention";

/// A device: a card, an LPA and a modem that share it, and a memory of its own.
pub struct Device<D> {
    /// Downloads and manages profiles.
    pub lpa: Lpa<D>,
    /// Registers on networks.
    pub modem: Modem<D>,
    memory: Box<dyn Memory>,
    settings: DeviceSettings,
    pause: Box<dyn Pause>,
    pub(super) teller: Teller,
    /// Nothing if it does nothing for its card.
    pub(super) service: Option<Service>,
}

/// How patient a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceSettings {
    /// How often a registration is tried before the profile is held not to work. More than once because a cell may be
    /// shadowed for a moment.
    pub registration_tries: u32,
    /// How often a change of profiles is tried.
    pub change_tries: u32,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self { registration_tries: 3, change_tries: 3 }
    }
}

/// Waits between two tries. The time between them is the world's affair.
pub trait Pause: Send + Sync {
    /// Waits before try number `next` (from 2).
    fn before(&self, next: u32) -> BoxFuture<'_, ()>;
}

/// Does not wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPause;

impl Pause for NoPause {
    fn before(&self, _: u32) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// What the device is about to do; survives a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Intention {
    /// Nothing.
    #[default]
    None,
    /// Download a profile while `back` is enabled.
    Download { back: Option<Iccid> },
    /// Enable `target` and see whether it carries; otherwise `back`.
    Try { back: Option<Iccid>, target: Iccid },
    /// `target` does not carry: enable `back`.
    ComeBack { back: Iccid, target: Iccid },
}

/// The profile of a move.
enum Target<'a> {
    /// Downloaded first.
    Download(&'a ActivationCode, DownloadOptions),
    /// On the card.
    Held(Iccid),
}

/// What became of a move.
#[derive(Debug)]
pub struct MoveReport {
    /// How it ended.
    pub ending: Ending,
    /// The profile that was enabled before.
    pub bootstrap: Option<Iccid>,
    /// The profile that was installed.
    pub installed: Option<Installed>,
    /// The registration before.
    pub before: Option<Registered>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What went through the card's door meanwhile.
    pub card: Traffic,
    /// What went to and from servers meanwhile.
    pub http: HttpTraffic,
    /// What became of the notifications; the error if the card's list could not be read.
    pub notifications: Result<Vec<Delivery>, Es10Error>,
}

/// How a move ended.
#[derive(Debug)]
pub enum Ending {
    /// The new profile carries.
    Moved(Registered),
    /// The new profile was enabled and did not carry, or could not be enabled; the former one is enabled and carries.
    CameBack {
        /// Why the new profile is not in use.
        why: Rejected,
        /// The registration with the former profile.
        registered: Registered,
    },
    /// No new profile was installed; the former one is enabled as before.
    NotInstalled(DownloadError),
    /// No profile carries the device now. The next [`Device::recover`] tries again.
    Stranded {
        /// Why the new profile does not carry.
        why: Rejected,
        /// Why the former one does not.
        back: Rejected,
    },
    /// The device's own memory failed, and so the new profile was not enabled.
    Fault(Fault),
}

impl Ending {
    /// The registration at the end, if there is one that this move made.
    pub fn registered(&self) -> Option<&Registered> {
        match self {
            Self::Moved(registered) | Self::CameBack { registered, .. } => Some(registered),
            Self::NotInstalled(_) | Self::Stranded { .. } | Self::Fault(_) => None,
        }
    }
}

/// Why a profile does not carry the device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It could not be enabled.
    #[error("it could not be enabled: {0}")]
    NotEnabled(ChangeError),
    /// It is enabled, and no network takes it.
    #[error(transparent)]
    NotRegistered(NotRegistered),
    /// There is none.
    #[error("there is no other profile to go back to")]
    NoSuchProfile,
}

/// What [`Device::recover`] found and did.
#[derive(Debug)]
pub enum Recovery {
    /// The enabled profile carries. Says whether something that a power cut had interrupted was finished.
    Working {
        /// The registration.
        registered: Registered,
        /// What had been interrupted, in words; none if nothing was.
        interrupted: Option<&'static str>,
        /// What became of the notifications; the error if the card's list could not be read.
        notifications: Result<Vec<Delivery>, Es10Error>,
    },
    /// No profile carries.
    Stranded(Vec<(Iccid, Rejected)>),
    /// The card cannot be read.
    Card(Es10Error),
}

impl<D: CardDoor> Device<D> {
    /// A device made of these parts. `lpa` and `modem` must have the same card behind their doors: see
    /// [`Slot`](super::Slot).
    pub fn new(lpa: Lpa<D>, modem: Modem<D>, memory: impl Memory + 'static, teller: Teller) -> Self {
        let settings = DeviceSettings::default();
        let (memory, pause) = (Box::new(memory), Box::new(NoPause));
        Self { lpa, modem, memory, settings, pause, teller, service: None }
    }

    /// The same, with this patience.
    #[must_use]
    pub fn with_settings(mut self, settings: DeviceSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The same, waiting between tries.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Pause + 'static) -> Self {
        self.pause = Box::new(pause);
        self
    }

    /// Where the device is: the networks whose cells reach it, strongest first.
    pub fn set_visible(&mut self, visible: Vec<Plmn>) {
        self.modem.set_visible(visible);
    }

    /// Registers as who the card says that it is.
    pub(super) async fn register_as_it_is(&mut self) -> Result<Registered, NotRegistered> {
        let mut tried = 1;
        loop {
            match self.modem.register().await {
                Ok(registered) => return Ok(registered),
                Err(not) if not.is_final() || tried >= self.settings.registration_tries => return Err(not),
                Err(_) => {}
            }
            tried = tried.saturating_add(1);
            self.pause.before(tried).await;
        }
    }

    /// Downloads the profile that `code` names, enables it and registers with it. If that fails, goes back to the
    /// profile `back` (the enabled one when none is named) and registers with that. Notifications are sent in the end.
    pub async fn move_to(
        &mut self,
        code: &ActivationCode,
        options: DownloadOptions,
        back: Option<Iccid>,
    ) -> MoveReport {
        self.moved(Target::Download(code, options), back).await
    }

    /// The same for a profile that the card holds already: enables it and registers with it, or goes back.
    pub async fn switch_to(&mut self, iccid: Iccid, back: Option<Iccid>) -> MoveReport {
        self.moved(Target::Held(iccid), back).await
    }

    async fn moved(&mut self, target: Target<'_>, back: Option<Iccid>) -> MoveReport {
        let started = self.teller.now();
        let (card, http) = self.traffic();
        let before = self.modem.registered().cloned();
        let mut bootstrap = back;
        let mut installed = None;
        let ready = match target {
            Target::Held(iccid) => self.find_back(&mut bootstrap).await.map(|()| iccid),
            Target::Download(code, options) => self
                .download(code, options, &mut bootstrap)
                .await
                .map(|profile| installed.insert(profile).iccid),
        };
        let ending = match ready {
            Ok(iccid) => self.try_profile(iccid, bootstrap).await,
            Err(ending) => ending,
        };
        // Sent while the device is on a profile that carries it: with none there is no way to the servers.
        let notifications = match &ending {
            Ending::Stranded { .. } => Ok(Vec::new()),
            _ => self.lpa.process_notifications().await,
        };
        self.tell_ending(&ending);
        let (card_after, http_after) = self.traffic();
        MoveReport {
            ending,
            bootstrap,
            installed,
            before,
            started,
            finished: self.teller.now(),
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
        self.find_back(bootstrap).await?;
        self.intend(Intention::Download { back: *bootstrap }).map_err(Ending::Fault)?;
        let result = self.lpa.download(code, options).await;
        if result.is_err() {
            self.intend(Intention::None).map_err(Ending::Fault)?;
        }
        result.map_err(Ending::NotInstalled)
    }

    /// The profile to go back to: the enabled one, if none was named.
    async fn find_back(&mut self, back: &mut Option<Iccid>) -> Result<(), Ending> {
        if back.is_none() {
            *back = self.lpa.enabled().await.map_err(|error| Ending::NotInstalled(error.into()))?;
        }
        Ok(())
    }

    /// Enables `target` and registers with it; otherwise `back`.
    async fn try_profile(&mut self, target: Iccid, back: Option<Iccid>) -> Ending {
        if let Err(fault) = self.intend(Intention::Try { back, target }) {
            return Ending::Fault(fault);
        }
        let why = match self.carried_by(target).await {
            Ok(registered) => {
                self.conclude();
                return Ending::Moved(registered);
            }
            Err(why) => why,
        };
        self.teller.tell(self.teller.event("go back").with_note(why.to_string()));
        self.come_back(target, back, why).await
    }

    async fn come_back(&mut self, target: Iccid, back: Option<Iccid>, why: Rejected) -> Ending {
        let Some(back) = back.filter(|back| *back != target) else {
            return Ending::Stranded { why, back: Rejected::NoSuchProfile };
        };
        // If this cannot be written down, what is written (to try the target) leads back all the same.
        let written = self.intend(Intention::ComeBack { back, target });
        self.tell_fault(written);
        match self.carried_by(back).await {
            Ok(registered) => {
                self.conclude();
                Ending::CameBack { why, registered }
            }
            Err(back) => Ending::Stranded { why, back },
        }
    }

    /// Enables a profile and registers with it.
    async fn carried_by(&mut self, iccid: Iccid) -> Result<Registered, Rejected> {
        self.enable(iccid).await.map_err(Rejected::NotEnabled)?;
        self.register().await.map_err(Rejected::NotRegistered)
    }

    /// Enables a profile, as often as the settings allow; a card that does not answer is reset in between.
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

    /// After power has come (back): compares what was written down with the card, finishes or undoes it, and registers.
    ///
    /// Ends on a profile that carries, if any on the card does: the one that was to be enabled, the one to go back to,
    /// the enabled one, and last of all every other.
    pub async fn recover(&mut self) -> Recovery {
        self.modem.forget();
        let written = match self.written() {
            Ok(intention) => intention,
            Err(fault) => {
                self.tell_fault(Err(fault));
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
        let (interrupted, wanted) = match written {
            Intention::None => (None, vec![]),
            Intention::Download { back } => (Some("a download"), vec![back]),
            Intention::Try { back, target } => (Some("a change of profiles"), vec![Some(target), back]),
            Intention::ComeBack { back, target } => (Some("the way back"), vec![Some(back), Some(target)]),
        };
        let mut order: Vec<Iccid> = Vec::new();
        for iccid in wanted.into_iter().flatten().chain(enabled).chain(profiles.iter().copied()) {
            if profiles.contains(&iccid) && !order.contains(&iccid) {
                order.push(iccid);
            }
        }
        let mut rejected = Vec::new();
        for iccid in order {
            match self.carried_by(iccid).await {
                Ok(registered) => {
                    self.conclude();
                    let event = self.teller.event("recovered").with_note(registered.to_string());
                    self.teller.tell(event);
                    let notifications = self.lpa.process_notifications().await;
                    return Recovery::Working { registered, interrupted, notifications };
                }
                Err(why) => rejected.push((iccid, why)),
            }
        }
        let event = self.teller.event("recovered");
        self.teller
            .tell(event.with_outcome(Outcome::Failed("no profile on the card carries the device".into())));
        Recovery::Stranded(rejected)
    }

    fn traffic(&self) -> (Traffic, HttpTraffic) {
        (self.lpa.card_traffic() + self.modem.traffic(), self.lpa.http_traffic())
    }

    fn written(&self) -> Result<Intention, Fault> {
        let cells = self.memory.load()?;
        let Some(cell) = cells.get(INTENTION) else { return Ok(Intention::None) };
        cell.from_json().map_err(|error| {
            Fault::caused_by(
                error,
                "cannot use the device's memory",
                "remove it; the card itself is not touched",
            )
        })
    }

    fn intend(&mut self, intention: Intention) -> Result<(), Fault> {
        self.memory.commit(Batch::of(INTENTION, Content::json(&intention)?))
    }

    /// Nothing is open any more. If that cannot be written down, a recovery will find the profile that works.
    fn conclude(&mut self) {
        let written = self.intend(Intention::None);
        self.tell_fault(written);
    }

    fn tell_fault(&self, result: Result<(), Fault>) {
        if let Err(fault) = result {
            let event = self.teller.event("write the device's memory");
            self.teller.tell(event.with_outcome(Outcome::Failed(fault.to_string())));
        }
    }

    fn tell_ending(&self, ending: &Ending) {
        let event = self.teller.event("move");
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
        self.teller.tell(event);
    }
}

/// Whether trying again cannot help: the eUICC has said no, in a word that time does not change.
fn is_final(error: &ChangeError) -> bool {
    use rsp::sgp22::es10c::EnableResult;
    match error {
        ChangeError::Es10(error @ Es10Error::Refused { .. }) => {
            error.code() != Some(EnableResult::CAT_BUSY.0)
        }
        ChangeError::Es10(Es10Error::Card(_)) | ChangeError::NotSo { .. } => false,
    }
}
