//! `--fault`: fault injection in parties that use sockets, for testing third-party devices and
//! servers.
//!
//! The crate `faults` provides the layers, and this module puts them around the parties of a
//! command. [`Faults`] is the command-line option, [`Seams`] lists the places of a command where
//! faults can occur, and [`Trouble`] holds the active faults of one run of the process.

use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use euicc_sim::Card;
use faults::{
    Family, FaultId, FaultInjector, FaultSpec, FaultyMemory, FaultyRadio, FaultyRecords, Power, PoweredDoor,
    ProcessHandle, RadioAct, SwitchedDoor, TamperingPeer, catalogue::Places,
};
use net::FileMemory;
use network::{Networks, Smsc};
use world::{BoxCardDoor, Fault, Link, Memory, RamMemory, Records, SeededDice};

use crate::{output::remark, settings::Settings};

/// Faults to inject
#[derive(Args, Clone, Debug, Default)]
pub struct Faults {
    /// Fault to inject, such as link/lose-answer@ES9+.GetBoundProfilePackage#2 (repeatable)
    ///
    /// Syntax: FAMILY/NAME[=VALUE][@PLACE][#WHEN], see docs/faults.md; `landfall faults` lists
    /// all faults. Random choices depend on --seed. A fault that ends the process uses exit
    /// status 137, as after kill -9; if it has a VALUE, the process restarts after that time.
    #[arg(long = "fault", global = true, value_name = "FAULT", help_heading = "Faults")]
    faults: Vec<FaultSpec>,
}

/// Places of a command where faults can occur.
#[derive(Clone, Copy, Debug)]
pub struct Seams {
    /// Name of the command.
    pub command: &'static str,
    /// Interfaces of incoming or outgoing requests.
    pub interfaces: &'static [&'static str],
    /// Parties whose records the command stores.
    pub parties: &'static [&'static str],
    /// True if the command runs networks.
    pub networks: bool,
    /// Owners of the memories that the command stores: `card`, `device`.
    pub memories: &'static [&'static str],
}

impl Seams {
    const NONE: Self = Self { command: "", interfaces: &[], parties: &[], networks: false, memories: &[] };
    /// Places of `landfall sm-dp serve`.
    pub const SM_DP: Self = Self {
        command: "sm-dp serve",
        interfaces: &["ES9+", "ES2+", "ES12", "ES2", "ES3"],
        parties: &["sm-dp"],
        ..Self::NONE
    };
    /// Places of `landfall sm-ds serve`.
    pub const SM_DS: Self =
        Self { command: "sm-ds serve", interfaces: &["ES11", "ES12"], parties: &["sm-ds"], ..Self::NONE };
    /// Places of `landfall sm-sr serve`.
    pub const SM_SR: Self = Self {
        command: "sm-sr serve",
        interfaces: &["ES1", "ES3", "ES4", "ES5", "ES7"],
        parties: &["sm-sr"],
        ..Self::NONE
    };
    /// Places of `landfall up`.
    pub const UP: Self = Self {
        command: "up",
        interfaces: &["ES9+", "ES2+", "ES11", "ES12"],
        parties: &["sm-dp", "sm-ds"],
        networks: true,
        memories: &["card"],
    };
    /// Places of `landfall network`.
    pub const NETWORK: Self = Self { command: "network", networks: true, ..Self::NONE };
    /// Places of `landfall device`.
    pub const DEVICE: Self = Self {
        command: "device",
        interfaces: &["ES9+", "ES11"],
        memories: &["card", "device"],
        ..Self::NONE
    };
    /// Places of `landfall device run`, which has no LPA.
    pub const DEVICE_RUN: Self = Self { command: "device run", memories: &["card"], ..Self::NONE };
    /// Places of `landfall euicc serve`.
    pub const EUICC: Self = Self { command: "euicc serve", memories: &["card"], ..Self::NONE };
    /// Places of `landfall euicc lpac`.
    pub const LPAC: Self = Self { command: "euicc lpac", ..Self::EUICC };
    /// Places of `landfall faults serve`, the proxy in front of a third-party server.
    pub const PROXY: Self = Self { command: "faults serve", interfaces: &["ES9+"], ..Self::NONE };
    /// All commands with places for faults.
    pub const ALL: [Self; 10] = [
        Self::SM_DP,
        Self::SM_DS,
        Self::SM_SR,
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
    fn places(&self, mishap: &FaultSpec) -> Option<&'static [&'static str]> {
        let some = |places: &'static [&'static str]| (!places.is_empty()).then_some(places);
        // No command here runs both a network and the packet data path.
        if mishap.id() == FaultId::Radio(RadioAct::NoData) {
            return None;
        }
        match mishap.id().family() {
            Family::Link => some(self.interfaces),
            Family::Lie => {
                self.interfaces.iter().any(|one| is_told_at(mishap, one)).then_some(self.interfaces)
            }
            Family::Records => some(self.parties),
            Family::Power => some(self.memories),
            // Radio faults can occur in any network and in both directions.
            Family::Radio => self.networks.then_some(&[]),
        }
    }

    /// Returns the reason and advice if the fault cannot occur in this command.
    pub fn refuses(&self, mishap: &FaultSpec) -> Option<(String, String)> {
        let family = mishap.id().family();
        let Some(places) = self.places(mishap) else {
            let others = Self::ALL.iter().filter(|other| other.places(mishap).is_some());
            let others: Vec<_> = others.map(|other| format!("`landfall {}`", other.command)).collect();
            let why = format!("{1} cannot occur in `landfall {0}`", self.command, mishap.name());
            let next = match others.as_slice() {
                [] => "use it in a scenario: docs/scenarios.md".to_owned(),
                others => format!("use it with {}", others.join(", ")),
            };
            return Some((why, next));
        };
        let place = mishap.place()?.split(['.', ':']).next()?;
        (!places.is_empty() && !places.contains(&place)).then(|| {
            let why = format!("`landfall {}` has no {place}", self.command);
            (why, format!("places for {family} faults: {}", places.join(", ")))
        })
    }
}

/// True if this is a manipulation of a message of this interface.
fn is_told_at(lie: &FaultSpec, interface: &str) -> bool {
    let Some(Places::Told(functions)) = lie.id().entry().map(|entry| entry.places) else { return false };
    functions.split(", ").any(|function| function.split('.').next() == Some(interface))
}

impl Faults {
    /// Runs a command with these faults. Ends when the command ends, or when a fault ends the
    /// process; if that fault has a duration, the command is run again after it.
    ///
    /// # Errors
    /// The command fails, a fault cannot occur in this command, or a fault ended the process.
    pub async fn live(
        &self,
        seams: &Seams,
        settings: &Settings,
        mut run: impl AsyncFnMut(&Trouble) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mishaps = self.mishaps(seams, settings)?;
        loop {
            let trouble =
                Trouble { mishaps: mishaps.clone(), life: ProcessHandle::default(), power: Power::default() };
            let (life, power) = (trouble.life.clone(), trouble.power.clone());
            tokio::select! {
                biased;
                away = life.over() => start_again(life.ended_by(), away).await?,
                () = power.gone() => start_again(power.cut_by().cloned(), Duration::ZERO).await?,
                ended = run(&trouble) => return ended,
            }
        }
    }

    /// Prepares the faults for a command that they cannot end.
    ///
    /// # Errors
    /// A fault cannot occur in this command.
    pub fn put(&self, seams: &Seams, settings: &Settings) -> Result<Trouble, Fault> {
        Ok(Trouble { mishaps: self.mishaps(seams, settings)?, ..Trouble::none() })
    }

    fn mishaps(&self, seams: &Seams, settings: &Settings) -> Result<Option<FaultInjector>, Fault> {
        for mishap in &self.faults {
            if let Some((why, next)) = seams.refuses(mishap) {
                return Err(Fault::new(format!("cannot inject {mishap}"), why, next));
            }
        }
        if self.faults.is_empty() {
            return Ok(None);
        }
        let dice = SeededDice::from_text(&settings.seed).branch("faults");
        let happens = |mishap: &FaultSpec| remark(&format!("fault {mishap}"));
        let mishaps = FaultInjector::new(dice, self.faults.iter().cloned()).telling(happens);
        if !self.faults.iter().any(|mishap| mishap.id().family() == Family::Lie) {
            return Ok(Some(mishaps));
        }
        let pki = crate::pki::load_or_init(settings)?;
        Ok(Some(mishaps.with_liar(TamperingPeer::new(Arc::new(pki)))))
    }
}

/// Storage of a card's memory while the card has no power.
#[derive(Clone)]
pub enum Kept {
    /// A file.
    File(PathBuf),
    /// The process.
    Ram(RamMemory),
}

impl Kept {
    fn open(&self) -> Result<Box<dyn Memory>, Fault> {
        Ok(match self {
            Self::File(file) => Box::new(FileMemory::open(file)?),
            Self::Ram(memory) => Box::new(memory.clone()),
        })
    }
}

/// Active faults of one run of a process. Clones share their state.
#[derive(Clone, Default)]
pub struct Trouble {
    mishaps: Option<FaultInjector>,
    life: ProcessHandle,
    power: Power,
}

impl Trouble {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// Wraps a party of this process for its incoming requests.
    pub fn comes_in(&self, party: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => mishaps.link(self.life.link(party)),
            None => party,
        }
    }

    /// Wraps an SM-DS of this process. LPAs use the same functions at an SM-DS as at an SM-DP+.
    pub fn comes_in_at_sm_ds(&self, party: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => mishaps.link_to_sm_ds(self.life.link(party)),
            None => party,
        }
    }

    /// Wraps the connection to a party in another process.
    pub fn goes_out(&self, peer: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => self.power.link(mishaps.link(peer)),
            None => peer,
        }
    }

    /// Wraps the connection to an SM-DS in another process.
    pub fn goes_out_to_sm_ds(&self, peer: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => self.power.link(mishaps.link_to_sm_ds(peer)),
            None => peer,
        }
    }

    /// Wraps the records of a party of this process.
    pub fn records(&self, party: &str, records: Arc<dyn Records>) -> Arc<dyn Records> {
        match &self.mishaps {
            Some(mishaps) => Arc::new(FaultyRecords::new(party, records, mishaps.clone(), self.life.clone())),
            None => records,
        }
    }

    /// Returns the radio of these networks with the faults, if there are any.
    pub fn radio(&self, networks: &Arc<Networks>) -> Option<FaultyRadio<Arc<Networks>>> {
        self.mishaps.as_ref().map(|mishaps| FaultyRadio::new(Arc::clone(networks), mishaps.clone()))
    }

    /// Injects the faults of short messages into an SMSC.
    pub fn messages(&self, centre: &Smsc) {
        if let Some(mishaps) = &self.mishaps {
            mishaps.inject_into(centre);
        }
    }

    /// Opens the memory file of `whose` (`card` or `device`). A power fault affects the whole
    /// process.
    ///
    /// # Errors
    /// The file is not a memory file.
    pub fn memory(&self, whose: &'static str, file: PathBuf) -> Result<Box<dyn Memory>, Fault> {
        self.memory_on(&self.power, whose, &Kept::File(file))
    }

    fn memory_on(&self, power: &Power, whose: &'static str, kept: &Kept) -> Result<Box<dyn Memory>, Fault> {
        let memory = kept.open()?;
        let Some(mishaps) = &self.mishaps else { return Ok(memory) };
        let faulty = FaultyMemory::new(whose, memory, mishaps.clone(), power.clone());
        Ok(match kept {
            Kept::File(file) => Box::new(faulty.in_file(file)),
            Kept::Ram(_) => Box::new(faulty),
        })
    }

    /// Wraps a card in this process. Without power, its responses are discarded.
    pub fn door(&self, card: Card) -> PoweredDoor<Card> {
        PoweredDoor::of_device(card, self.power.clone())
    }

    /// Wraps a card in a reader or modem of another program. `make` opens the card on its
    /// memory at each power-up.
    ///
    /// # Errors
    /// The card cannot be opened.
    pub fn card(
        &self,
        kept: Kept,
        make: impl Fn(Box<dyn Memory>) -> Result<Card, Fault> + Send + 'static,
    ) -> Result<BoxCardDoor, Fault> {
        if self.mishaps.is_none() {
            return Ok(BoxCardDoor::new(make(kept.open()?)?));
        }
        let trouble = self.clone();
        let on = move |power: Power| make(trouble.memory_on(&power, "card", &kept)?);
        Ok(BoxCardDoor::new(SwitchedDoor::new(on)?))
    }
}

/// Exit status that a shell reports after kill -9.
pub const KILLED: u8 = 137;

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
async fn start_again(by: Option<FaultSpec>, away: Duration) -> Result<(), Fault> {
    let Some(by) = by else { return Ok(()) };
    let Some(said) = by.value().filter(|_| by.id().family() == Family::Records) else {
        let next = "start it again with the same data folder";
        return Err(Fault::caused_by(Killed(by), "an injected fault ended the process", next));
    };
    remark(&format!("the fault {by} ended the process; it restarts after {said}"));
    // The old listener needs some time to release its port.
    tokio::time::sleep(away.max(Duration::from_millis(100))).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use faults::catalogue;

    use super::*;

    #[test]
    fn every_fault_of_the_catalogue_can_occur_in_some_command() {
        for entry in catalogue::all() {
            let takes: Vec<_> =
                Seams::ALL.iter().filter(|seams| seams.refuses(&FaultSpec::of(entry)).is_none()).collect();
            let is_of_scenarios = entry.id == FaultId::Radio(RadioAct::NoData);
            assert_eq!(takes.is_empty(), is_of_scenarios, "{}", entry.name);
        }
    }

    #[test]
    fn a_fault_that_cannot_occur_is_refused_with_an_alternative() {
        let refused = |seams: &Seams, text: &str| {
            let (why, next) = seams.refuses(&text.parse().unwrap())?;
            Some(format!("{why}; {next}"))
        };
        for (seams, text, words) in [
            (
                &Seams::SM_DS,
                "radio/outage",
                "radio/outage cannot occur in `landfall sm-ds serve`; use it with `landfall up`, `landfall network`",
            ),
            (
                &Seams::SM_DS,
                "link/reset@ES9+",
                "`landfall sm-ds serve` has no ES9+; places for link faults: ES11, ES12",
            ),
            (&Seams::SM_DP, "records/conflict@sm-ds:events", "places for records faults: sm-dp"),
            (&Seams::EUICC, "power/write-fails@device:intention", "places for power faults: card"),
            (&Seams::UP.without_card(), "power/write-fails", "use it with"),
            (&Seams::NETWORK, "radio/no-data", "use it in a scenario"),
            (&Seams::NETWORK, "link/reset", "use it with `landfall sm-dp serve`"),
            (
                &Seams::SM_SR,
                "lie/dpauth-expired",
                "use it with `landfall sm-dp serve`, `landfall up`, `landfall device`",
            ),
        ] {
            let said = refused(seams, text).unwrap_or_default();
            assert!(said.contains(words), "{text}: {said}");
        }
        for (seams, text) in [
            (&Seams::SM_DP, "records/conflict@sm-dp:sessions"),
            (&Seams::SM_SR, "link/lose-answer@ES5.OpenSession"),
            (&Seams::DEVICE, "lie/dpauth-expired"),
            (&Seams::NETWORK, "radio/outage@262-42"),
            (&Seams::UP, "radio/sms-lose@mt"),
            (&Seams::DEVICE.without_card(), "power/write-fails@device"),
        ] {
            assert_eq!(refused(seams, text), None);
        }
    }
}
