//! A card behind any interface, which the LPA of this program drives.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use certs::Role;
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use faults::{FaultInjector, FaultyCardInterface};
use net::card_interface::{AtCard, TcpCard, VpcdSlot};
use rsp::{
    activation_code::ActivationCode,
    finding::MAX_FINDINGS,
    ids::{Iccid, SmdpAddress},
    sgp22::{ProfileState, es10c::ProfileInfo},
};
use tokio::time::Instant;
use world::{BoxCardInterface, CardInterface, Event, Events, Fault, FaultKind, Link};

use super::{
    behaviour::Behaviour,
    calls::CardFinding,
    command::Run,
    server::{OrderedServer, Setup},
};
use crate::parties;

/// Prefixes of an address for interfaces other than TCP.
const VPCD: &str = "vpcd:";
const AT: &str = "at:";

/// The card under test. It is used by one LPA at a time.
pub(crate) struct TestedCard {
    /// The address as given.
    pub(crate) address: String,
    slot: Slot<BoxCardInterface>,
    /// Time after which a run is stopped.
    timeout: Duration,
    observed: RefCell<Observations>,
    findings: CardFindings,
}

/// Profiles, pending notifications and free memory of a card.
#[derive(Clone, Debug, Default)]
pub(crate) struct CardContent {
    pub(crate) profiles: Vec<ProfileInfo>,
    pub(crate) pending_notifications: usize,
    /// Free non-volatile memory in octets, if EUICCInfo2 reports it.
    free_memory: Option<u64>,
}

/// The requirements that every case observes.
#[derive(Default)]
struct Observations {
    cases: usize,
    /// The first violation of each requirement.
    violations: Vec<(Requirement, String)>,
}

/// A requirement on a card that can be observed from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    Info,
    Tags,
    State,
    Others,
    Deleted,
    Notifications,
    Memory,
}

impl Requirement {
    const ALL: [Self; 7] =
        [Self::Info, Self::Tags, Self::State, Self::Others, Self::Deleted, Self::Notifications, Self::Memory];

    /// The requirement and its clause.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Info => ("EUICCInfo1 and EUICCInfo2 are readable after each case.", "SGP.22 5.7.8"),
            Self::Tags => {
                ("GetProfilesInfo returns ICCID, state and class of each profile.", "SGP.22 5.7.15")
            }
            Self::State => ("An installed profile is disabled.", "SGP.22 3.1.3, 5.7.6"),
            Self::Others => ("A download does not change other profiles.", "SGP.22 3.1.3"),
            Self::Deleted => ("A profile can be deleted after each case.", "SGP.22 3.2.3, 5.7.18"),
            Self::Notifications => {
                ("Each notification is delivered and removed from the card.", "SGP.22 3.5, 5.7.9 to 5.7.11")
            }
            Self::Memory => ("The memory of a deleted profile is free again.", "SGP.22 5.5.5, 5.7.18"),
        }
    }
}

impl TestedCard {
    /// Opens the card at an address: `HOST:PORT` over TCP, `vpcd:HOST:PORT` where this program is the
    /// PC/SC reader to which a card of vpcd connects, or `at:DEVICE` behind a modem.
    ///
    /// # Errors
    /// There is no card at the address.
    pub(crate) async fn open(address: &str, timeout: Duration) -> Result<Self, Fault> {
        let card_interface = if let Some(reader) = address.strip_prefix(VPCD) {
            BoxCardInterface::new(VpcdSlot::listen(reader).await?)
        } else if let Some(modem) = address.strip_prefix(AT) {
            BoxCardInterface::new(AtCard::open(modem).await.map_err(|why| unusable(address, why))?)
        } else {
            BoxCardInterface::new(TcpCard::connect(address).await.map_err(|why| unusable(address, why))?)
        };
        let slot = Slot::new(card_interface);
        let (observed, findings) = (RefCell::default(), CardFindings::default());
        Ok(Self { address: address.to_owned(), slot, timeout, observed, findings })
    }

    /// Downloads the profile of this server once. The notifications of earlier runs are delivered
    /// first, and an installed profile is not downloaded again.
    ///
    /// # Errors
    /// TLS cannot be configured.
    pub(crate) async fn run(
        &self,
        server: &CardOrder,
        injector: &FaultInjector,
        setup: &Setup,
    ) -> Result<Run, Fault> {
        let log = self.log();
        let mut lpa = self.lpa(Some(injector), setup, log.clone())?;
        let start = Instant::now();
        let work = async {
            lpa.reset_card().await.map_err(|why| why.to_string())?;
            lpa.process_notifications().await.map_err(|why| why.to_string())?;
            let profiles = lpa.list().await.map_err(|why| why.to_string())?;
            if profiles.iter().any(|profile| profile.iccid == Some(server.iccid)) {
                return Ok(());
            }
            let options = DownloadOptions::default();
            lpa.download(&server.activation_code, options).await.map(drop).map_err(|why| why.to_string())
        };
        let ended = tokio::time::timeout(self.timeout, work).await;
        let timed_out = ended.is_err();
        let error = match ended {
            Ok(Err(error)) => Some(error),
            Ok(Ok(())) | Err(_) => None,
        };
        let exit_status = (!timed_out).then_some(i32::from(error.is_some()));
        let output = log.text() + &error.unwrap_or_default();
        Ok(Run { exit_status, timed_out, seconds: start.elapsed().as_secs_f64(), output })
    }

    /// Reads the card after a reset.
    ///
    /// # Errors
    /// The card cannot be read.
    pub(crate) async fn content(&self, setup: &Setup) -> Result<CardContent, Fault> {
        let mut lpa = self.lpa(None, setup, self.log())?;
        self.read(&mut lpa).await.map_err(|why| {
            Fault::new(
                format!("cannot read the card at {}", self.address),
                why,
                "check that it is a consumer eUICC (SGP.22), and that no other program uses it",
            )
        })
    }

    async fn read<D: CardInterface>(&self, lpa: &mut Lpa<D>) -> Result<CardContent, String> {
        lpa.reset_card().await.map_err(|why| why.to_string())?;
        let profiles = lpa.list().await.map_err(|why| why.to_string())?;
        let pending_notifications =
            lpa.es10().list_notification().await.map_err(|why| why.to_string())?.len();
        let free_memory = match lpa.chip_info().await {
            Ok((_, info)) => free_memory(&info.ext_card_resource),
            Err(why) => {
                self.violated(Requirement::Info, why.to_string());
                None
            }
        };
        Ok(CardContent { profiles, pending_notifications, free_memory })
    }

    /// Observes the card after a case, deletes the profile of the case, and observes the card again.
    ///
    /// # Errors
    /// The card cannot be read.
    pub(crate) async fn conclude(
        &self,
        case: &str,
        iccid: Iccid,
        before: &CardContent,
        setup: &Setup,
    ) -> Result<(), Fault> {
        self.observed.borrow_mut().cases += 1;
        let after = self.content(setup).await?;
        let violated = |requirement, what: String| self.violated(requirement, format!("{case}: {what}"));
        for profile in &after.profiles {
            let ProfileInfo { iccid, profile_state, profile_class, .. } = profile;
            if iccid.is_none() || profile_state.is_none() || profile_class.is_none() {
                violated(Requirement::Tags, "a profile lacks its ICCID, state or class".to_owned());
            }
        }
        let (new, others): (Vec<_>, Vec<_>) =
            after.profiles.iter().cloned().partition(|profile| profile.iccid == Some(iccid));
        if others != before.profiles {
            violated(Requirement::Others, "the other profiles are not the same as before".to_owned());
        }
        if let Some(profile) = new.first()
            && profile.profile_state != Some(ProfileState::DISABLED)
        {
            violated(Requirement::State, format!("the profile is {:?}", profile.profile_state));
        }
        let mut lpa = self.lpa(None, setup, self.log())?;
        if !new.is_empty()
            && let Err(why) = lpa.delete(iccid).await
        {
            violated(Requirement::Deleted, why.to_string());
        }
        if let Err(why) = lpa.process_notifications().await {
            violated(Requirement::Notifications, why.to_string());
        }
        let end = self.content(setup).await?;
        if end.profiles.iter().any(|profile| profile.iccid == Some(iccid)) {
            violated(Requirement::Deleted, "the deleted profile is still on the card".to_owned());
        }
        if end.pending_notifications > before.pending_notifications {
            violated(Requirement::Notifications, format!("{} pending", end.pending_notifications));
        }
        if let (Some(before), Some(end)) = (before.free_memory, end.free_memory)
            && end < before
        {
            violated(Requirement::Memory, format!("{end} octets are free; before the case {before}"));
        }
        Ok(())
    }

    /// The observed requirements.
    pub(crate) fn behaviours(&self) -> Vec<Behaviour> {
        let observed = self.observed.borrow();
        let behaviour = |requirement: Requirement| {
            let (text, clause) = requirement.text();
            let violation = observed.violations.iter().find(|(violated, _)| *violated == requirement);
            Behaviour {
                requirement: text,
                clause,
                met: violation.is_none(),
                observed: match violation {
                    Some((_, what)) => what.clone(),
                    None => format!("in {} cases", observed.cases),
                },
            }
        };
        Requirement::ALL.map(behaviour).into()
    }

    /// Takes the deviations of the card that were accepted since the last call.
    pub(crate) fn take_findings(&self) -> Vec<CardFinding> {
        std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn log(&self) -> EventLog {
        EventLog { text: Arc::default(), findings: Arc::clone(&self.findings) }
    }

    fn violated(&self, requirement: Requirement, what: String) {
        let mut observed = self.observed.borrow_mut();
        if observed.violations.iter().all(|(violated, _)| *violated != requirement) {
            observed.violations.push((requirement, what));
        }
    }

    fn lpa(
        &self,
        injector: Option<&FaultInjector>,
        setup: &Setup,
        log: EventLog,
    ) -> Result<Lpa<BoxCardInterface>, Fault> {
        let clock = Arc::clone(&setup.world.clock);
        let tls = parties::device_tls(&setup.pki, &[Role::DpTls], Arc::clone(&clock))?;
        let client = parties::device_client(&setup.settings);
        let links = move |address: &SmdpAddress| -> Result<Link, Fault> {
            client.link(address.as_str(), Some(tls.clone()))
        };
        let slot = self.slot.clone();
        let card_interface = match injector {
            Some(injector) => BoxCardInterface::new(FaultyCardInterface::new(slot, injector.clone())),
            None => BoxCardInterface::new(slot),
        };
        let events = EventSource::new("LPA", clock, Arc::new(log));
        Ok(Lpa::new(card_interface, links, LpaSettings::default(), events))
    }
}

fn unusable(address: &str, why: world::CardInterfaceFault) -> Fault {
    let what = format!("cannot use the card at {address}");
    Fault::caused_by(why, what, "start the card, or correct --card").of_kind(FaultKind::Unreachable)
}

/// Tag of the free non-volatile memory in extCardResource (ETSI TS 102 226).
const FREE_NON_VOLATILE: u8 = 0x82;

/// Returns the free non-volatile memory in extCardResource of EUICCInfo2.
fn free_memory(mut resource: &[u8]) -> Option<u64> {
    while let [tag, length, rest @ ..] = resource {
        let (value, next) = rest.split_at_checked(usize::from(*length))?;
        if *tag == FREE_NON_VOLATILE && value.len() <= 8 {
            return Some(value.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)));
        }
        resource = next;
    }
    None
}

/// The order of a case, for the LPA.
pub(crate) struct CardOrder {
    activation_code: ActivationCode,
    pub(crate) iccid: Iccid,
}

impl CardOrder {
    /// Returns the order of this server.
    ///
    /// # Errors
    /// Its activation code cannot be read.
    pub(crate) fn of(server: &OrderedServer) -> Result<Self, Fault> {
        let activation_code = server
            .activation_code()
            .parse()
            .map_err(|e| Fault::caused_by(e, "cannot use the activation code of a case", "report this"))?;
        Ok(Self { activation_code, iccid: server.iccid })
    }
}

/// The deviations of a card in the current case, each once, up to [`MAX_FINDINGS`].
type CardFindings = Arc<Mutex<Vec<CardFinding>>>;

/// The events of a run, as text, and the deviations of the card in them. Clones share their state.
#[derive(Clone)]
struct EventLog {
    text: Arc<Mutex<String>>,
    findings: CardFindings,
}

impl EventLog {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Events for EventLog {
    fn emit(&self, event: Event) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&event.to_string());
        text.push('\n');
        // The findings of other events are deviations of the SM-DP+.
        if !event.interface.starts_with("ES10") {
            return;
        }
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of LoadBoundProfilePackage include the deviations of the package.
        for finding in event.findings.into_iter().filter(|finding| finding.kind.peer() != "SM-DP+") {
            let found = CardFinding { function: format!("{}.{}", event.interface, event.function), finding };
            if findings.len() < MAX_FINDINGS && !findings.contains(&found) {
                findings.push(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::{
        finding::{Finding, FindingKind},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn only_deviations_of_the_card_are_its_findings() {
        let findings = CardFindings::default();
        let log = EventLog { text: Arc::default(), findings: Arc::clone(&findings) };
        let not_der = Finding::new(FindingKind::NotDer, "length 8103");
        for (interface, finding) in [
            ("ES9+", not_der.clone()),
            ("ES10b", Finding::new(FindingKind::LongSegment, "1068 octets")),
            ("ES10b", not_der.clone()),
            ("ES10b", not_der.clone()),
        ] {
            let event = Event::new(Timestamp::default(), "LPA", "LoadBoundProfilePackage");
            log.emit(event.with_peer(interface, "").with_findings(vec![finding]));
        }
        let function = "ES10b.LoadBoundProfilePackage".to_owned();
        assert_eq!(*findings.lock().unwrap(), [CardFinding { function, finding: not_der }]);
    }

    #[test]
    fn the_free_memory_is_read_from_the_card_resources() {
        let resource = [0x81, 1, 0, 0x82, 4, 0, 0, 0x83, 0x22, 0x83, 4, 0, 0, 0x22, 0x23];
        assert_eq!(free_memory(&resource), Some(0x8322));
        for invalid in [&[][..], &[0x81, 1, 0], &[0x82, 4, 0], &[0x82]] {
            assert_eq!(free_memory(invalid), None);
        }
    }
}
