//! `--fault`: fault injection in parties that use sockets, for testing third-party devices and
//! servers.
//!
//! The crate `faults` provides the layers, and this module puts them around the parties of a
//! command. [`FaultOptions`] is the command-line option, [`FaultPoints`] lists the places of a command where
//! faults can occur, and [`ActiveFaults`] holds the active faults of one run of the process.

use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use euicc_sim::Card;
use faults::{
    Family, FaultId, FaultInjector, FaultSpec, FaultyCardInterface, FaultyMemory, FaultyRadio, FaultyRecords,
    Power, PoweredCard, ProcessHandle, RadioAct, SwitchedCard, TamperingPeer, catalogue::Places,
};
use net::{ClientDtls, FileMemory, ServerDtls};
use network::{Networks, Smsc};
use world::{BoxCardInterface, CardInterface, Fault, Link, Memory, RamMemory, Records, SeededRandom};

use crate::{output::remark, settings::Settings};

/// Faults to inject
#[derive(Args, Clone, Debug, Default)]
pub struct FaultOptions {
    /// Fault to inject (repeatable); see `landfall faults` and docs/faults.md
    #[arg(long = "fault", global = true, value_name = "FAULT")]
    faults: Vec<FaultSpec>,
}

/// Places of a command where faults can occur.
#[derive(Clone, Copy, Debug)]
pub struct FaultPoints {
    /// Name of the command.
    pub command: &'static str,
    /// Interfaces of incoming or outgoing requests.
    pub interfaces: &'static [&'static str],
    /// True if the command serves or uses CoAP.
    pub coap: bool,
    /// Servers whose TLS certificate the command presents.
    pub tls: &'static [&'static str],
    /// Interfaces of a card that the command calls.
    pub card_interfaces: &'static [&'static str],
    /// Parties whose records the command stores.
    pub parties: &'static [&'static str],
    /// True if the command runs networks.
    pub networks: bool,
    /// Owners of the memories that the command stores: `card`, `device`.
    pub memories: &'static [&'static str],
}

impl FaultPoints {
    const NONE: Self = Self {
        command: "",
        interfaces: &[],
        coap: false,
        tls: &[],
        card_interfaces: &[],
        parties: &[],
        networks: false,
        memories: &[],
    };
    /// Places of `landfall sm-dp serve`.
    pub const SM_DP: Self = Self {
        command: "sm-dp serve",
        interfaces: &["ES9+", "ES2+", "ES12", "ES2", "ES3"],
        tls: &["sm-dp"],
        parties: &["sm-dp"],
        ..Self::NONE
    };
    /// Places of `landfall sm-ds serve`.
    pub const SM_DS: Self = Self {
        command: "sm-ds serve",
        interfaces: &["ES11", "ES12"],
        tls: &["sm-ds"],
        parties: &["sm-ds"],
        ..Self::NONE
    };
    /// Places of `landfall sm-sr serve`.
    pub const SM_SR: Self = Self {
        command: "sm-sr serve",
        interfaces: &["ES1", "ES3", "ES4", "ES5", "ES7"],
        parties: &["sm-sr"],
        ..Self::NONE
    };
    /// Places of `landfall eim serve`.
    pub const EIM: Self = Self { command: "eim serve", interfaces: &["ESipa"], coap: true, ..Self::NONE };
    /// Places of `landfall up`.
    pub const UP: Self = Self {
        command: "up",
        coap: false,
        interfaces: &["ES9+", "ES2+", "ES11", "ES12"],
        tls: &["sm-dp", "sm-ds"],
        card_interfaces: &[],
        parties: &["sm-dp", "sm-ds"],
        networks: true,
        memories: &["card"],
    };
    /// Places of `landfall up --iot`.
    pub const UP_IOT: Self =
        Self { command: "up --iot", interfaces: &["ES9+", "ES2+", "ES11", "ES12", "ESipa"], ..Self::UP };
    /// Places of `landfall network`.
    pub const NETWORK: Self = Self { command: "network", networks: true, ..Self::NONE };
    /// Places of `landfall device`.
    pub const DEVICE: Self = Self {
        command: "device",
        interfaces: &["ES9+", "ES11"],
        card_interfaces: &["ES10a", "ES10b", "ES10c"],
        memories: &["card", "device"],
        ..Self::NONE
    };
    /// Places of `landfall device run`, which has no LPA.
    pub const DEVICE_RUN: Self = Self { command: "device run", memories: &["card"], ..Self::NONE };
    /// Places of `landfall device run --iot`.
    pub const DEVICE_IOT: Self = Self {
        command: "device run --iot",
        coap: true,
        interfaces: &["ESipa", "ES9+", "ES11"],
        card_interfaces: &["ES10a", "ES10b"],
        ..Self::DEVICE
    };
    /// Places of `landfall euicc serve`.
    pub const EUICC: Self = Self { command: "euicc serve", memories: &["card"], ..Self::NONE };
    /// Places of `landfall euicc lpac`.
    pub const LPAC: Self = Self { command: "euicc lpac", ..Self::EUICC };
    /// Places of `landfall faults serve`, the proxy in front of a third-party server.
    pub const PROXY: Self =
        Self { command: "faults serve", interfaces: &["ES9+"], tls: &["sm-dp"], ..Self::NONE };
    /// All commands with places for faults.
    pub const ALL: [Self; 11] = [
        Self::SM_DP,
        Self::SM_DS,
        Self::SM_SR,
        Self::EIM,
        Self::UP,
        Self::NETWORK,
        Self::DEVICE,
        Self::DEVICE_RUN,
        Self::EUICC,
        Self::LPAC,
        Self::PROXY,
    ];

    /// Returns the places of a command whose card, with its memory, is served elsewhere.
    #[must_use]
    pub fn without_card(self) -> Self {
        let memories: &[&str] = if self.memories.contains(&"device") { &["device"] } else { &[] };
        Self { memories, ..self }
    }

    /// Returns the prefixes of the places where this fault can occur, or `None` if it cannot
    /// occur in this command.
    fn places(&self, fault: &FaultSpec) -> Option<&'static [&'static str]> {
        let some = |places: &'static [&'static str]| (!places.is_empty()).then_some(places);
        // No command runs both a network and the path of its packets, so this fault cannot occur in
        // any command.
        if fault.id() == FaultId::Radio(RadioAct::NoData) {
            return None;
        }
        match fault.id().family() {
            Family::Link => some(self.interfaces),
            // CoAP messages have two directions, and both can have faults.
            Family::Coap => self.coap.then_some(&[]),
            Family::Tls => some(self.tls),
            Family::Tamper => {
                self.interfaces.iter().any(|one| tampers_at(fault, one)).then_some(self.interfaces)
            }
            Family::Records => some(self.parties),
            Family::Power => some(self.memories),
            Family::Apdu => some(self.card_interfaces),
            // Radio faults can occur in any network and in both directions.
            Family::Radio => self.networks.then_some(&[]),
        }
    }

    /// Returns the reason and advice if the fault cannot occur in this command.
    pub fn refuses(&self, fault: &FaultSpec) -> Option<(String, String)> {
        let family = fault.id().family();
        let Some(places) = self.places(fault) else {
            let others = Self::ALL.iter().filter(|other| other.places(fault).is_some());
            let others: Vec<_> = others.map(|other| format!("`landfall {}`", other.command)).collect();
            let why = format!("{1} cannot occur in `landfall {0}`", self.command, fault.name());
            let next = match others.as_slice() {
                [] => "use it in a scenario: docs/scenarios.md".to_owned(),
                others => format!("use it with {}", others.join(", ")),
            };
            return Some((why, next));
        };
        let place = fault.place()?.split(['.', ':']).next()?;
        (!places.is_empty() && !places.contains(&place)).then(|| {
            let why = format!("`landfall {}` has no {place}", self.command);
            (why, format!("places for {family} faults: {}", places.join(", ")))
        })
    }
}

/// True if this fault of the family `tamper` changes a message of this interface.
fn tampers_at(fault: &FaultSpec, interface: &str) -> bool {
    let Some(Places::Functions(functions)) = fault.id().entry().map(|entry| &entry.places) else {
        return false;
    };
    functions.split(", ").any(|function| function.split('.').next() == Some(interface))
}

impl FaultOptions {
    /// Runs a command with these faults. Ends when the command ends, or when a fault ends the
    /// process; if that fault has a duration, the command is run again after that time.
    ///
    /// # Errors
    /// The command fails, a fault cannot occur in this command, or a fault ended the process.
    pub async fn live(
        &self,
        fault_points: &FaultPoints,
        settings: &Settings,
        run: impl AsyncFnMut(&ActiveFaults) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        run_with(self.injector(fault_points, settings)?, run).await
    }

    /// Prepares the faults for a command whose process they cannot end.
    ///
    /// # Errors
    /// A fault cannot occur in this command.
    pub fn put(&self, fault_points: &FaultPoints, settings: &Settings) -> Result<ActiveFaults, Fault> {
        Ok(ActiveFaults { injector: self.injector(fault_points, settings)?, ..ActiveFaults::none() })
    }

    /// True if one of the faults is of this family.
    pub fn has(&self, family: Family) -> bool {
        self.faults.iter().any(|fault| fault.id().family() == family)
    }

    fn injector(
        &self,
        fault_points: &FaultPoints,
        settings: &Settings,
    ) -> Result<Option<FaultInjector>, Fault> {
        for fault in &self.faults {
            if let Some((why, next)) = fault_points.refuses(fault) {
                return Err(Fault::usage(format!("cannot inject {fault}"), why, next));
            }
        }
        if self.faults.is_empty() {
            return Ok(None);
        }
        let random = SeededRandom::from_text(&settings.seed).branch("faults");
        let happens = |fault: &FaultSpec| remark(&format!("fault {fault}"));
        let injector = FaultInjector::new(random, self.faults.iter().cloned()).on_fault(happens);
        if !self.has(Family::Tamper) {
            return Ok(Some(injector));
        }
        let pki = crate::pki::load_or_init(settings)?;
        Ok(Some(injector.with_tampering_peer(TamperingPeer::new(Arc::new(pki)))))
    }
}

/// Runs a command with the faults of this injector. Ends when the command ends, or when a fault ends
/// the process; if that fault has a duration, the command is run again after it.
///
/// # Errors
/// The command fails, or a fault ended the process.
pub async fn run_with(
    injector: Option<FaultInjector>,
    mut run: impl AsyncFnMut(&ActiveFaults) -> Result<(), Fault>,
) -> Result<(), Fault> {
    loop {
        let active_faults = ActiveFaults {
            injector: injector.clone(),
            process: ProcessHandle::default(),
            power: Power::default(),
        };
        let (process, power) = (active_faults.process.clone(), active_faults.power.clone());
        tokio::select! {
            biased;
            delay = process.over() => restart_after(process.ended_by(), delay).await?,
            () = power.wait_until_off() => restart_after(power.cut_by().cloned(), Duration::ZERO).await?,
            ended = run(&active_faults) => return ended,
        }
    }
}

/// Storage of a card's memory while the card has no power.
#[derive(Clone)]
pub enum CardMemory {
    /// A file.
    File(PathBuf),
    /// The process.
    Ram(RamMemory),
}

impl CardMemory {
    fn open(&self) -> Result<Box<dyn Memory>, Fault> {
        Ok(match self {
            Self::File(file) => Box::new(FileMemory::open(file)?),
            Self::Ram(memory) => Box::new(memory.clone()),
        })
    }
}

/// Active faults of one run of a process. Clones share their state.
#[derive(Clone, Default)]
pub struct ActiveFaults {
    injector: Option<FaultInjector>,
    process: ProcessHandle,
    power: Power,
}

impl ActiveFaults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// The injector, if there are faults.
    pub fn injector(&self) -> Option<&FaultInjector> {
        self.injector.as_ref()
    }

    /// Active faults of a process that they cannot end.
    pub fn of(injector: FaultInjector) -> Self {
        Self { injector: Some(injector), ..Self::none() }
    }

    /// Wraps a party of this process for its incoming requests.
    pub fn incoming(&self, party: Link) -> Link {
        match &self.injector {
            Some(injector) => injector.link(self.process.link(party)),
            None => party,
        }
    }

    /// Wraps an SM-DS of this process. LPAs use the same functions at an SM-DS as at an SM-DP+.
    pub fn incoming_at_sm_ds(&self, party: Link) -> Link {
        match &self.injector {
            Some(injector) => injector.link_to_sm_ds(self.process.link(party)),
            None => party,
        }
    }

    /// Wraps the connection to a party in another process.
    pub fn outgoing(&self, peer: Link) -> Link {
        match &self.injector {
            Some(injector) => self.power.link(injector.link(peer)),
            None => peer,
        }
    }

    /// Wraps the connection to an SM-DS in another process.
    pub fn outgoing_to_sm_ds(&self, peer: Link) -> Link {
        match &self.injector {
            Some(injector) => self.power.link(injector.link_to_sm_ds(peer)),
            None => peer,
        }
    }

    /// Wraps the CoAP messages of a server of this process.
    pub fn coap_server(&self, dtls: ServerDtls) -> ServerDtls {
        match self.injector.clone() {
            Some(injector) => dtls.with_layer(move |datagrams| injector.datagrams(datagrams, true)),
            None => dtls,
        }
    }

    /// Wraps the CoAP messages of a client of this process.
    pub fn coap_client(&self, dtls: ClientDtls) -> ClientDtls {
        match self.injector.clone() {
            Some(injector) => dtls.with_layer(move |datagrams| injector.datagrams(datagrams, false)),
            None => dtls,
        }
    }

    /// Wraps the records of a party of this process.
    pub fn records(&self, party: &str, records: Arc<dyn Records>) -> Arc<dyn Records> {
        match &self.injector {
            Some(injector) => {
                Arc::new(FaultyRecords::new(party, records, injector.clone(), self.process.clone()))
            }
            None => records,
        }
    }

    /// Returns the radio of these networks with the faults, if there are any.
    pub fn radio(&self, networks: &Arc<Networks>) -> Option<FaultyRadio<Arc<Networks>>> {
        self.injector.as_ref().map(|injector| FaultyRadio::new(Arc::clone(networks), injector.clone()))
    }

    /// Injects the faults of short messages into an SMSC.
    pub fn messages(&self, centre: &Smsc) {
        if let Some(injector) = &self.injector {
            injector.inject_into(centre);
        }
    }

    /// Opens the memory file of `whose` (`card` or `device`). A power fault affects the whole
    /// process.
    ///
    /// # Errors
    /// The file is not a memory file.
    pub fn memory(&self, whose: &'static str, file: PathBuf) -> Result<Box<dyn Memory>, Fault> {
        self.memory_on(&self.power, whose, &CardMemory::File(file))
    }

    fn memory_on(
        &self,
        power: &Power,
        whose: &'static str,
        kept: &CardMemory,
    ) -> Result<Box<dyn Memory>, Fault> {
        let memory = kept.open()?;
        let Some(injector) = &self.injector else { return Ok(memory) };
        let faulty = FaultyMemory::new(whose, memory, injector.clone(), power.clone());
        Ok(match kept {
            CardMemory::File(file) => {
                let lock = net::FileMemory::lock_file(file);
                Box::new(faulty.in_file(file, lock))
            }
            CardMemory::Ram(_) => Box::new(faulty),
        })
    }

    /// Wraps the commands of an LPA to its card.
    pub fn apdus(&self, card_interface: BoxCardInterface) -> BoxCardInterface {
        match &self.injector {
            Some(injector) => {
                BoxCardInterface::new(FaultyCardInterface::new(card_interface, injector.clone()))
            }
            None => card_interface,
        }
    }

    /// Wraps a card in this process. Without power, its responses are discarded.
    pub fn card_interface(&self, card: Card) -> PoweredCard<Card> {
        PoweredCard::of_device(card, self.power.clone())
    }

    /// Wraps a card in a reader or modem of another program. `make` opens the card on its
    /// memory at each power-up.
    ///
    /// # Errors
    /// The card cannot be opened.
    pub fn card<C: CardInterface + 'static>(
        &self,
        kept: CardMemory,
        make: impl Fn(Box<dyn Memory>) -> Result<C, Fault> + Send + 'static,
    ) -> Result<BoxCardInterface, Fault> {
        if self.injector.is_none() {
            return Ok(BoxCardInterface::new(make(kept.open()?)?));
        }
        let active_faults = self.clone();
        let on = move |power: Power| make(active_faults.memory_on(&power, "card", &kept)?);
        Ok(BoxCardInterface::new(SwitchedCard::new(on)?))
    }
}

/// Fault that ended the process.
#[derive(Debug)]
struct Killed(FaultSpec);

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the fault {} occurred", self.0)
    }
}

impl Error for Killed {}

/// True if an injected fault ended the process, as kill -9 would.
pub fn is_killed(fault: &Fault) -> bool {
    fault.source().is_some_and(|cause| cause.is::<Killed>())
}

/// Waits as long as the fault keeps the process down.
async fn restart_after(by: Option<FaultSpec>, delay: Duration) -> Result<(), Fault> {
    let Some(by) = by else { return Ok(()) };
    let Some(duration) = by.value().filter(|_| by.id().family() == Family::Records) else {
        let next = "start it again with the same data folder";
        return Err(Fault::caused_by(Killed(by), "an injected fault ended the process", next));
    };
    remark(&format!("the fault {by} ended the process; it restarts after {duration}"));
    // The old listener needs some time to release its port.
    tokio::time::sleep(delay.max(Duration::from_millis(100))).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use faults::catalogue;

    use super::*;

    #[test]
    fn every_fault_of_the_catalogue_can_occur_in_some_command() {
        for entry in catalogue::all() {
            let takes: Vec<_> = FaultPoints::ALL
                .iter()
                .filter(|fault_points| fault_points.refuses(&FaultSpec::of(entry)).is_none())
                .collect();
            let is_of_scenarios = entry.id == FaultId::Radio(RadioAct::NoData);
            assert_eq!(takes.is_empty(), is_of_scenarios, "{}", entry.name);
        }
    }

    #[test]
    fn a_fault_that_cannot_occur_is_refused_with_an_alternative() {
        let refused = |fault_points: &FaultPoints, text: &str| {
            let (why, next) = fault_points.refuses(&text.parse().unwrap())?;
            Some(format!("{why}; {next}"))
        };
        for (fault_points, text, words) in [
            (
                &FaultPoints::SM_DS,
                "radio/outage",
                "radio/outage cannot occur in `landfall sm-ds serve`; use it with `landfall up`, `landfall network`",
            ),
            (
                &FaultPoints::SM_DS,
                "link/reset@ES9+",
                "`landfall sm-ds serve` has no ES9+; places for link faults: ES11, ES12",
            ),
            (&FaultPoints::SM_DP, "records/conflict@sm-ds:events", "places for records faults: sm-dp"),
            (&FaultPoints::EUICC, "power/write-fails@device:intention", "places for power faults: card"),
            (&FaultPoints::UP.without_card(), "power/write-fails", "use it with"),
            (&FaultPoints::NETWORK, "radio/no-data", "use it in a scenario"),
            (&FaultPoints::SM_DS, "tls/expired@sm-dp", "places for tls faults: sm-ds"),
            (
                &FaultPoints::DEVICE,
                "tls/expired",
                "use it with `landfall sm-dp serve`, `landfall sm-ds serve`",
            ),
            (&FaultPoints::NETWORK, "link/reset", "use it with `landfall sm-dp serve`"),
            (
                &FaultPoints::SM_SR,
                "tamper/dpauth-expired",
                "use it with `landfall sm-dp serve`, `landfall up`, `landfall device`",
            ),
        ] {
            let message = refused(fault_points, text).unwrap_or_default();
            assert!(message.contains(words), "{text}: {message}");
        }
        for (fault_points, text) in [
            (&FaultPoints::SM_DP, "records/conflict@sm-dp:sessions"),
            (&FaultPoints::SM_SR, "link/lose-answer@ES5.OpenSession"),
            (&FaultPoints::DEVICE, "tamper/dpauth-expired"),
            (&FaultPoints::NETWORK, "radio/outage@262-42"),
            (&FaultPoints::UP, "radio/sms-lose@mt"),
            (&FaultPoints::DEVICE.without_card(), "power/write-fails@device"),
        ] {
            assert_eq!(refused(fault_points, text), None);
        }
    }
}
