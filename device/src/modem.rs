//! The modem: network selection (3GPP TS 23.122 section 4.4.3) and registration (TS 24.301 section
//! 5.5.1, TS 33.102 section 6.3).

mod registration;

use std::sync::Arc;
use std::time::Duration;

use rsp::ids::{Imsi, Plmn};
use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};
use world::{CardInterface, Outcome};

use super::event_source::EventSource;
use super::terminal::{CardError, Terminal, Traffic};
use super::usim::{Usim, UsimError};
use network::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationAnswer, AuthenticationResponse,
    EmmCause, NetworkAnswer, Radio, RadioFault, SystemInformation,
};

pub use network::Service;
pub use registration::{AttachAttempt, NoService, NotRegistered, Registered};

/// T3247 of TS 24.301 section 10.2, between 30 and 60 minutes: the time for which the device
/// respects an unauthenticated refusal of a network.
pub(super) const T3247: Duration = Duration::from_secs(45 * 60);

/// Maximum number of networks that are remembered after such a refusal: the four entries of
/// EF.FPLMN for each of four identities.
const MAX_UNAUTHENTICATED: usize = 16;

/// Maximum challenges answered within one attach: the first, one after a resynchronisation, and one
/// more as a margin.
const MAX_CHALLENGES: usize = 3;

/// A modem with its card.
pub struct Modem<D> {
    terminal: Terminal<D>,
    radio: Arc<dyn Radio>,
    events: EventSource,
    pin: Option<String>,
    visible: Vec<Plmn>,
    usim: Option<Usim>,
    registered: Option<Registered>,
    /// The time of the next search for the home network, as long as the registration lasts.
    home_search: Option<Timestamp>,
    /// The ID that a network has assigned to the device. The modem keeps the ID after the loss of a
    /// registration until it has informed that network.
    attach: Option<(Plmn, AttachId)>,
    forbidden_networks: ForbiddenNetworks,
}

/// The networks that were added to EF.FPLMN because of an unauthenticated refusal, each with the
/// time at which T3247 ends. EF.FPLMN itself survives a loss of power, so a device stores this list.
/// When a device is switched off, it removes the networks from EF.FPLMN and from this list (TS
/// 24.301 section 5.3.7b).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ForbiddenNetworks(Vec<ForbiddenNetwork>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ForbiddenNetwork {
    /// The refused subscriber.
    imsi: Imsi,
    plmn: Plmn,
    /// The time at which the network is removed from EF.FPLMN.
    until: Timestamp,
}

/// The outcome of an attach attempt with one network.
enum Attempt {
    Accepted(AttachAccept),
    /// The network refused the device, or the card refused the network because the network's
    /// authentication failed.
    Refused(EmmCause),
    NotReceived,
}

impl<D: CardInterface> Modem<D> {
    /// Creates a modem for the card behind `card_interface`. It receives no network yet.
    pub fn new(card_interface: D, radio: impl Radio + 'static, events: EventSource) -> Self {
        let radio = Arc::new(radio);
        let terminal = Terminal::new(card_interface);
        Self {
            terminal,
            radio,
            events,
            pin: None,
            visible: Vec::new(),
            usim: None,
            registered: None,
            home_search: None,
            attach: None,
            forbidden_networks: ForbiddenNetworks::default(),
        }
    }

    /// Returns the networks that are forbidden for a limited time, so that a modem that is created
    /// again continues with them.
    pub(super) fn forbidden_networks(&self) -> &ForbiddenNetworks {
        &self.forbidden_networks
    }

    /// Continues with the forbidden networks of an earlier modem.
    pub(super) fn set_forbidden_networks(&mut self, forbidden_networks: ForbiddenNetworks) {
        self.forbidden_networks = forbidden_networks;
    }

    /// Sets the PIN that is presented if the card requires one.
    pub fn set_pin(&mut self, pin: Option<String>) {
        self.pin = pin;
    }

    /// Sets the networks that are received at the device's location, strongest first. The
    /// registration is lost.
    pub fn set_visible(&mut self, visible: Vec<Plmn>) {
        self.visible = visible;
        self.registered = None;
    }

    /// Sets the networks that are received, and keeps the registration.
    pub(super) fn keep_visible(&mut self, visible: Vec<Plmn>) {
        self.visible = visible;
    }

    /// Returns the current registration.
    pub fn registered(&self) -> Option<&Registered> {
        self.registered.as_ref()
    }

    /// Returns the data of the enabled profile, if it was read.
    pub fn usim(&self) -> Option<&Usim> {
        self.usim.as_ref()
    }

    /// Returns the number of APDUs and octets exchanged so far.
    pub fn traffic(&self) -> Traffic {
        self.terminal.traffic()
    }

    /// Returns the terminal, for callers that access the card through the modem.
    pub(super) fn terminal(&mut self) -> &mut Terminal<D> {
        &mut self.terminal
    }

    /// Returns the system information of the networks that are received, strongest first.
    pub(super) async fn received_networks(&mut self) -> Result<Vec<SystemInformation>, RadioFault> {
        let mut received = Vec::new();
        for plmn in &self.visible {
            received.extend(self.radio.system_information(*plmn).await?);
        }
        Ok(received)
    }

    /// Returns the serving network and the ID that it has assigned to the device, or `None` without
    /// a registration.
    pub(super) fn attachment(&self) -> Option<(Plmn, AttachId)> {
        self.registered.as_ref().and(self.attach.clone())
    }

    /// Returns the radio interface.
    pub(super) fn radio(&self) -> Arc<dyn Radio> {
        Arc::clone(&self.radio)
    }

    /// Ends the registration and sends a detach if the network is in reach. The detach is also sent
    /// if the registration was lost before, because the network may not have noticed the loss and
    /// would continue to page the device.
    pub(super) async fn detach(&mut self) {
        self.registered = None;
        if let Some((plmn, attach)) = self.attach.take()
            && self.visible.contains(&plmn)
        {
            // A network that does not receive the detach detects the absence of the device itself.
            let _ = self.radio.detach(plmn, attach).await;
        }
    }

    /// Switches the device off: removes the networks from EF.FPLMN that are forbidden for a limited
    /// time (TS 24.301 section 5.3.7b, when the UE is switched off), and ends the registration.
    pub(super) async fn switch_off(&mut self) {
        // The networks of another identity of the card stay in its EF.FPLMN until it is used again.
        if let Some(imsi) = self.usim.as_ref().map(|usim| usim.imsi) {
            self.permit(|entry| entry.imsi == imsi).await;
        }
        self.detach().await;
    }

    /// Marks the registration as lost. The network is informed before the next registration, or
    /// when the device is switched off.
    pub(super) fn deregister(&mut self) {
        self.registered = None;
    }

    /// Resets the card.
    pub async fn reset_card(&mut self) -> Result<(), CardError> {
        self.forget();
        self.terminal.reset().await
    }

    /// Discards everything known about the card, after a change of profiles or a reset.
    pub fn forget(&mut self) {
        self.usim = None;
        self.registered = None;
    }

    /// Discards everything known about the card after a reset by another part of the device.
    pub(super) fn was_reset(&mut self) {
        self.forget();
        self.terminal.was_reset();
    }

    /// Returns the network on whose cell the device camps while it has only limited service. This
    /// is the strongest network that is received, even if the device has not tried to register on
    /// it.
    pub(super) async fn camped(&mut self) -> Option<Plmn> {
        self.received_networks().await.ok()?.first().map(|network| network.plmn)
    }

    /// Reads the enabled profile from the card.
    pub async fn read_card(&mut self) -> Result<&Usim, UsimError> {
        self.forget();
        let before = self.terminal.traffic();
        let read = Usim::read(&mut self.terminal, self.pin.as_deref()).await;
        let outcome = match &read {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        let note = read.as_ref().map(|usim| format!("IMSI {}, home {}", usim.imsi, usim.home));
        self.report_card_event("read the USIM", before, outcome, note.unwrap_or_default());
        Ok(self.usim.insert(read?))
    }

    /// Registers on the best network that is received: home networks first, in order of their
    /// priority, then other networks in order of signal strength (TS 23.122 section 4.4.3.1.1).
    /// Networks in EF.FPLMN are skipped, but a network that a refusal has put there is tried again
    /// after T3247.
    ///
    /// # Errors
    /// No network accepted the device. The error contains the answer of each network.
    pub async fn register(&mut self) -> Result<Registered, NotRegistered> {
        let mut usim = self.ready().await?;
        self.permit_expired(&mut usim).await;
        let (mut home, others): (Vec<_>, Vec<_>) =
            self.visible.iter().copied().partition(|plmn| usim.is_home(*plmn));
        home.sort_by_key(|plmn| usim.home_networks.iter().position(|known| known == plmn));
        let (forbidden, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|plmn| usim.forbidden.contains(plmn));
        let candidates = home.into_iter().chain(others).collect();
        let registered = match self.register_on(usim, candidates).await {
            Err(not) if not.why == NoService::NoCoverage => {
                let received = self.received_of(forbidden).await;
                let why =
                    if received.is_empty() { NoService::NoCoverage } else { NoService::Forbidden(received) };
                return Err(NotRegistered { why, ..not });
            }
            result => result?,
        };
        self.home_search = registered.home_search.map(|period| registered.at.plus(period));
        Ok(registered)
    }

    /// Returns the time of the next search for the home network. The device searches while it is
    /// served by another network in the country of the home network: TS 23.122 section 4.4.3.3.1.
    /// The card determines the interval (EF.HPPLMN). There is no search after a manual selection.
    ///
    /// Returns `None` while no home network is received, because a search could not succeed.
    pub fn home_search(&self) -> Option<Timestamp> {
        let usim = self.usim.as_ref().filter(|_| self.registered.is_some())?;
        self.home_search.filter(|_| self.visible.iter().any(|plmn| usim.is_home(*plmn)))
    }

    /// True if a search for the home network is due.
    pub(super) fn is_home_search_due(&self) -> bool {
        self.home_search().is_some_and(|at| at <= self.events.now())
    }

    /// Searches for the home network, and registers there, or on the next best network if that
    /// fails. If no home network is received, the registration is kept and `None` is returned: TS
    /// 23.122 section 4.4.3.3.1 e.
    ///
    /// # Errors
    /// No network accepts the device any more.
    pub async fn search_home(&mut self) -> Option<Result<Registered, NotRegistered>> {
        let plmn = self.registered.as_ref()?.plmn;
        self.begin_home_search();
        match self.is_home_network_received(plmn).await {
            true => Some(self.register().await),
            false => None,
        }
    }

    /// Begins a search for the home network: the interval until the next one starts.
    pub(super) fn begin_home_search(&mut self) {
        let period = self.registered.as_ref().and_then(|registered| registered.home_search);
        self.home_search = period.map(|period| self.events.now().plus(period));
    }

    /// True if a home network in the country of the serving network is received. Home networks of
    /// other countries are not searched for from a visited network (TS 23.122 section 4.4.3.3.1 f).
    pub(super) async fn is_home_network_received(&mut self, serving: Plmn) -> bool {
        if self.usim.is_none() && self.read_card().await.is_err() {
            return false;
        }
        let (Ok(received), Some(usim)) = (self.received_networks().await, &self.usim) else { return false };
        let here = received.iter().find(|network| network.plmn == serving);
        here.is_some_and(|here| {
            received.iter().any(|network| usim.is_home(network.plmn) && network.country == here.country)
        })
    }

    /// Registers on this network only, even if it is forbidden: TS 23.122 section 4.4.3.1.2.
    ///
    /// # Errors
    /// The network did not accept the device.
    pub async fn register_manually(&mut self, plmn: Plmn) -> Result<Registered, NotRegistered> {
        let usim = self.ready().await?;
        self.home_search = None;
        let candidates = self.visible.iter().copied().filter(|seen| *seen == plmn).collect();
        self.register_on(usim, candidates).await
    }

    async fn ready(&mut self) -> Result<Usim, NotRegistered> {
        self.detach().await;
        match &self.usim {
            Some(usim) => Ok(usim.clone()),
            None => {
                let read = self.read_card().await.cloned();
                read.map_err(|error| NotRegistered { why: NoService::Card(error), tried: Vec::new() })
            }
        }
    }

    async fn register_on(&mut self, usim: Usim, candidates: Vec<Plmn>) -> Result<Registered, NotRegistered> {
        let mut tried = Vec::new();
        let mut why = NoService::NoCoverage;
        for plmn in candidates {
            match self.attach(&usim, plmn).await {
                Ok(Attempt::Accepted(accept)) => {
                    let registered = self.accepted(&usim, accept).await;
                    self.registered = Some(registered.clone());
                    return Ok(registered);
                }
                Ok(Attempt::NotReceived) => tried.push(AttachAttempt { plmn, answer: "no coverage".into() }),
                Ok(Attempt::Refused(cause)) => {
                    tried.push(AttachAttempt { plmn, answer: cause.to_string() });
                    why = NoService::Refused(cause);
                    if cause == EmmCause::PLMN_NOT_ALLOWED {
                        self.forbid(plmn, &usim).await;
                    }
                    if cause.invalidates_usim() {
                        break;
                    }
                }
                Err(NoService::Lost(lost)) => {
                    tried.push(AttachAttempt { plmn, answer: lost.clone() });
                    why = NoService::Lost(lost);
                }
                Err(error) => return Err(NotRegistered { why: error, tried }),
            }
        }
        Err(NotRegistered { why, tried })
    }

    /// Performs an attach procedure with one network.
    async fn attach(&mut self, usim: &Usim, plmn: Plmn) -> Result<Attempt, NoService> {
        let received =
            self.radio.system_information(plmn).await.map_err(|fault| NoService::Lost(fault.to_string()))?;
        if received.is_none() {
            self.report_radio_event("search", plmn, Outcome::Failed("no coverage".into()));
            return Ok(Attempt::NotReceived);
        }
        let mut answer = self.radio.attach(plmn, AttachRequest { imsi: usim.imsi }).await;
        self.report_radio_event("ATTACH REQUEST", plmn, Outcome::Done);
        let mut own_failure = None;
        for _ in 0..=MAX_CHALLENGES {
            let request = match answer {
                Ok(NetworkAnswer::AuthenticationRequest(request)) => request,
                Ok(NetworkAnswer::AttachAccept(accept)) => {
                    self.report_radio_event("ATTACH ACCEPT", plmn, Outcome::Done);
                    return Ok(Attempt::Accepted(accept));
                }
                Ok(NetworkAnswer::AttachReject(AttachReject { cause })) => {
                    self.report_radio_event("ATTACH REJECT", plmn, Outcome::Refused(cause.to_string()));
                    // If the card rejected the network's authentication, this rejection is the
                    // reported cause. A cause that the network sends afterwards is ignored.
                    return Ok(Attempt::Refused(own_failure.unwrap_or(cause)));
                }
                Err(RadioFault::NoCoverage(_) | RadioFault::Detached) => return Ok(Attempt::NotReceived),
                Err(RadioFault::Lost(why)) => return Err(NoService::Lost(why)),
            };
            let before = self.terminal.traffic();
            let result = usim.authenticate(&mut self.terminal, &request.rand, &request.autn).await;
            let (outcome, note) = match &result {
                Ok(AuthenticationAnswer::Res(_)) => (Outcome::Done, ""),
                Ok(AuthenticationAnswer::SynchFailure(_)) => (Outcome::Done, "AUTS: resynchronisation"),
                Ok(AuthenticationAnswer::MacFailure) => {
                    (Outcome::Refused(EmmCause::MAC_FAILURE.to_string()), "")
                }
                Err(error) => (Outcome::Failed(error.to_string()), ""),
            };
            self.report_card_event("AUTHENTICATE", before, outcome, note.into());
            let result = result.map_err(NoService::Card)?;
            own_failure = match &result {
                AuthenticationAnswer::Res(_) => None,
                AuthenticationAnswer::MacFailure => Some(EmmCause::MAC_FAILURE),
                AuthenticationAnswer::SynchFailure(_) => Some(EmmCause::SYNCH_FAILURE),
            };
            let response = AuthenticationResponse { attach: request.attach, answer: result };
            answer = self.radio.authenticate(plmn, response).await;
        }
        Ok(Attempt::Refused(own_failure.unwrap_or(EmmCause::NETWORK_FAILURE)))
    }

    async fn accepted(&mut self, usim: &Usim, accept: AttachAccept) -> Registered {
        let AttachAccept { attach, plmn, network_name, country, service } = accept;
        self.attach = Some((plmn, attach));
        if usim.forbidden.contains(&plmn) {
            // A manually selected network that accepts the device is no longer forbidden.
            let rest = usim.forbidden.iter().copied().filter(|other| *other != plmn).collect();
            self.write_forbidden(rest).await;
        }
        let (imsi, iccid, at) = (usim.imsi, usim.iccid, self.events.now());
        let home_search = usim.home_search.filter(|_| !usim.is_home(plmn));
        let registered = Registered { plmn, network_name, country, service, imsi, iccid, at, home_search };
        self.events.emit(self.events.event("registered").with_note(registered.to_string()));
        registered
    }

    /// Adds the network to EF.FPLMN after cause #11, unless the network counts as a home network:
    /// only visited networks are forbidden (TS 23.122 section 3.1).
    async fn forbid(&mut self, plmn: Plmn, usim: &Usim) {
        let Some(current) = &self.usim else { return };
        if usim.is_home(plmn) || current.forbidden.contains(&plmn) {
            return;
        }
        let extended = current.forbidden.iter().copied().chain([plmn]).collect();
        let until = self.events.now().plus(T3247);
        let entries = &mut self.forbidden_networks.0;
        if entries.len() >= MAX_UNAUTHENTICATED {
            entries.remove(0);
        }
        entries.push(ForbiddenNetwork { imsi: usim.imsi, plmn, until });
        self.write_forbidden(extended).await;
    }

    /// Removes the networks from EF.FPLMN that were added because of refusals, after the time for
    /// which such a refusal is respected. Such refusals are not authenticated (TS 24.301 section
    /// 5.3.7b, when T3247 expires).
    async fn permit_expired(&mut self, usim: &mut Usim) {
        let (imsi, now) = (usim.imsi, self.events.now());
        self.permit(|entry| entry.imsi == imsi && entry.until <= now).await;
        self.usim.iter().for_each(|current| usim.clone_from(current));
    }

    /// Removes networks of the current subscriber from EF.FPLMN and from the list of refusals.
    async fn permit(&mut self, is_permitted: impl Fn(&ForbiddenNetwork) -> bool) {
        let entries = std::mem::take(&mut self.forbidden_networks.0);
        let (permitted, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_permitted);
        self.forbidden_networks.0 = rest;
        let Some(usim) = &self.usim else { return };
        let is_left = |plmn: &Plmn| permitted.iter().all(|entry| entry.plmn != *plmn);
        let left: Vec<Plmn> = usim.forbidden.iter().copied().filter(is_left).collect();
        if left.len() < usim.forbidden.len() {
            self.write_forbidden(left).await;
        }
    }

    /// Returns those of the networks that are received.
    async fn received_of(&mut self, plmns: Vec<Plmn>) -> Vec<Plmn> {
        let mut received = Vec::new();
        for plmn in plmns {
            if let Ok(Some(_)) = self.radio.system_information(plmn).await {
                received.push(plmn);
            }
        }
        received
    }

    async fn write_forbidden(&mut self, forbidden: Vec<Plmn>) {
        let before = self.terminal.traffic();
        let Some(usim) = &mut self.usim else { return };
        let outcome = match usim.write_forbidden(&mut self.terminal, forbidden).await {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Refused("the profile does not allow the device to write the file".into()),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.report_card_event("UPDATE EF.FPLMN", before, outcome, String::new());
    }

    fn report_card_event(&self, function: &'static str, before: Traffic, outcome: Outcome, note: String) {
        let Traffic { to_card, from_card, .. } = self.terminal.traffic() - before;
        let count = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
        let event = self.events.event(function).with_peer("USIM", "card");
        self.events
            .emit(event.with_bytes(count(to_card), count(from_card)).with_outcome(outcome).with_note(note));
    }

    fn report_radio_event(&self, function: &'static str, plmn: Plmn, outcome: Outcome) {
        let event = self.events.event(function).with_peer("NAS", plmn.to_string());
        self.events.emit(event.with_outcome(outcome));
    }
}
