//! `--fault`: what goes wrong, on purpose, with parties at sockets, so that somebody's device or server meets it.
//!
//! The layers are those of `faults`; here they are put round what a command runs. [`Faults`] is the option,
//! [`Seams`] where a command can have faults, [`Trouble`] what goes wrong in one life of its process.

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

/// What goes wrong, on purpose
#[derive(Args, Clone, Debug, Default)]
pub struct Faults {
    /// Something that goes wrong, such as link/lose-answer@ES9+.GetBoundProfilePackage#2; may be repeated
    ///
    /// FAMILY/NAME[=VALUE][@PLACE][#WHEN], as docs/faults.md says; `landfall faults` lists what there is. What is left to
    /// chance follows from --seed. A fault that ends the process ends it with status 137, as kill -9 does; with a VALUE, how
    /// long, it is started again by itself.
    #[arg(long = "fault", global = true, value_name = "FAULT", help_heading = "Faults")]
    faults: Vec<FaultSpec>,
}

/// Where a command can have faults.
#[derive(Clone, Copy, Debug)]
pub struct Seams {
    /// The command.
    pub command: &'static str,
    /// The interfaces whose requests come in or go out.
    pub interfaces: &'static [&'static str],
    /// The parties whose records it keeps.
    pub parties: &'static [&'static str],
    /// Whether it has networks.
    pub networks: bool,
    /// Whose memories it keeps.
    pub memories: &'static [&'static str],
}

impl Seams {
    const NONE: Self = Self { command: "", interfaces: &[], parties: &[], networks: false, memories: &[] };
    /// Of `landfall sm-dp serve`.
    pub const SM_DP: Self = Self {
        command: "sm-dp serve",
        interfaces: &["ES9+", "ES2+", "ES12", "ES2", "ES3"],
        parties: &["sm-dp"],
        ..Self::NONE
    };
    /// Of `landfall sm-ds serve`.
    pub const SM_DS: Self =
        Self { command: "sm-ds serve", interfaces: &["ES11", "ES12"], parties: &["sm-ds"], ..Self::NONE };
    /// Of `landfall sm-sr serve`.
    pub const SM_SR: Self = Self {
        command: "sm-sr serve",
        interfaces: &["ES1", "ES3", "ES4", "ES5", "ES7"],
        parties: &["sm-sr"],
        ..Self::NONE
    };
    /// Of `landfall up`.
    pub const UP: Self = Self {
        command: "up",
        interfaces: &["ES9+", "ES2+", "ES11", "ES12"],
        parties: &["sm-dp", "sm-ds"],
        networks: true,
        memories: &["card"],
    };
    /// Of `landfall network`.
    pub const NETWORK: Self = Self { command: "network", networks: true, ..Self::NONE };
    /// Of `landfall device`.
    pub const DEVICE: Self = Self {
        command: "device",
        interfaces: &["ES9+", "ES11"],
        memories: &["card", "device"],
        ..Self::NONE
    };
    /// Of `landfall device run`, which has no LPA.
    pub const DEVICE_RUN: Self = Self { command: "device run", memories: &["card"], ..Self::NONE };
    /// Of `landfall euicc serve`.
    pub const EUICC: Self = Self { command: "euicc serve", memories: &["card"], ..Self::NONE };
    /// Of `landfall euicc lpac`.
    pub const LPAC: Self = Self { command: "euicc lpac", ..Self::EUICC };
    /// Of `landfall faults serve`, which stands before somebody else's server.
    pub const PROXY: Self = Self { command: "faults serve", interfaces: &["ES9+"], ..Self::NONE };
    /// Of every command that has any.
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

    /// The same when the card is served elsewhere, where its memory is.
    #[must_use]
    pub fn without_card(self) -> Self {
        let memories: &[&str] = if self.memories.contains(&"device") { &["device"] } else { &[] };
        Self { memories, ..self }
    }

    /// The beginnings of places at which it can have this fault; none if it cannot.
    fn places(&self, mishap: &FaultSpec) -> Option<&'static [&'static str]> {
        let some = |places: &'static [&'static str]| (!places.is_empty()).then_some(places);
        // Nothing here is both a network and what carries packets.
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
            // Any network, and both directions.
            Family::Radio => self.networks.then_some(&[]),
        }
    }

    /// Why a fault cannot happen here, and what to do; nothing if it can.
    pub fn refuses(&self, mishap: &FaultSpec) -> Option<(String, String)> {
        let family = mishap.id().family();
        let Some(places) = self.places(mishap) else {
            let others = Self::ALL.iter().filter(|other| other.places(mishap).is_some());
            let others: Vec<_> = others.map(|other| format!("`landfall {}`", other.command)).collect();
            let why =
                format!("`landfall {}` has nothing to which {} could happen", self.command, mishap.name());
            let next = match others.as_slice() {
                [] => "put it into a scenario: docs/scenarios.md".to_owned(),
                others => format!("give it to {}", others.join(", ")),
            };
            return Some((why, next));
        };
        let place = mishap.place()?.split(['.', ':']).next()?;
        (!places.is_empty() && !places.contains(&place)).then(|| {
            let why = format!("there is no {place} at `landfall {}`", self.command);
            (why, format!("of {family} there are here: {}", places.join(", ")))
        })
    }
}

/// Whether this is a lie that is told in a function of this interface.
fn is_told_at(lie: &FaultSpec, interface: &str) -> bool {
    let Some(Places::Told(functions)) = lie.id().entry().map(|entry| entry.places) else { return false };
    functions.split(", ").any(|function| function.split('.').next() == Some(interface))
}

impl Faults {
    /// Lets what a command runs live with these faults: until it has ended, or a fault has ended its process. It is run again
    /// when the fault says after which time.
    ///
    /// # Errors
    /// Its own; a fault cannot happen in this command; or a fault has ended the process.
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

    /// The same for a command with faults that end nothing.
    ///
    /// # Errors
    /// One of them cannot happen in this command.
    pub fn put(&self, seams: &Seams, settings: &Settings) -> Result<Trouble, Fault> {
        Ok(Trouble { mishaps: self.mishaps(seams, settings)?, ..Trouble::none() })
    }

    fn mishaps(&self, seams: &Seams, settings: &Settings) -> Result<Option<FaultInjector>, Fault> {
        for mishap in &self.faults {
            if let Some((why, next)) = seams.refuses(mishap) {
                return Err(Fault::new(format!("cannot put {mishap}"), why, next));
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

/// Where a card's memory is kept while the card has no power.
#[derive(Clone)]
pub enum Kept {
    /// In a file.
    File(PathBuf),
    /// In this process.
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

/// What goes wrong in one life of a process. A clone is the same.
#[derive(Clone, Default)]
pub struct Trouble {
    mishaps: Option<FaultInjector>,
    life: ProcessHandle,
    power: Power,
}

impl Trouble {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// A party of this process as others see it.
    pub fn comes_in(&self, party: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => mishaps.link(self.life.link(party)),
            None => party,
        }
    }

    /// The same of an SM-DS, which LPAs ask as they ask an SM-DP+.
    pub fn comes_in_at_sm_ds(&self, party: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => mishaps.link_to_sm_ds(self.life.link(party)),
            None => party,
        }
    }

    /// A party elsewhere as this process sees it.
    pub fn goes_out(&self, peer: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => self.power.link(mishaps.link(peer)),
            None => peer,
        }
    }

    /// The same of an SM-DS.
    pub fn goes_out_to_sm_ds(&self, peer: Link) -> Link {
        match &self.mishaps {
            Some(mishaps) => self.power.link(mishaps.link_to_sm_ds(peer)),
            None => peer,
        }
    }

    /// The records of a party of this process.
    pub fn records(&self, party: &str, records: Arc<dyn Records>) -> Arc<dyn Records> {
        match &self.mishaps {
            Some(mishaps) => Arc::new(FaultyRecords::new(party, records, mishaps.clone(), self.life.clone())),
            None => records,
        }
    }

    /// Networks as devices hear them.
    pub fn radio(&self, networks: &Arc<Networks>) -> Option<FaultyRadio<Arc<Networks>>> {
        self.mishaps.as_ref().map(|mishaps| FaultyRadio::new(Arc::clone(networks), mishaps.clone()))
    }

    /// The faults of short messages.
    pub fn messages(&self, centre: &Smsc) {
        if let Some(mishaps) = &self.mishaps {
            mishaps.inject_into(centre);
        }
    }

    /// The memory of `whose` (`card` or `device`) in this file, on the power of the device that this process is.
    ///
    /// # Errors
    /// The file is none.
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

    /// The door of a card that goes with this process: what it does without power, nobody sees.
    pub fn door(&self, card: Card) -> PoweredDoor<Card> {
        PoweredDoor::of_device(card, self.power.clone())
    }

    /// The door of a card in somebody's reader or modem, made by this on its memory whenever it gets power.
    ///
    /// # Errors
    /// It cannot be made.
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

/// What a shell sees of a process that kill -9 has ended.
pub const KILLED: u8 = 137;

/// A fault has ended the process.
#[derive(Debug)]
struct Killed(FaultSpec);

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has happened", self.0)
    }
}

impl Error for Killed {}

/// Whether a fault of this module's has ended the process, as kill -9 would.
pub fn is_killed(fault: &Fault) -> bool {
    fault.source().is_some_and(|cause| cause.is::<Killed>())
}

/// Waits for as long as the mishap says that the process is away.
async fn start_again(by: Option<FaultSpec>, away: Duration) -> Result<(), Fault> {
    let Some(by) = by else { return Ok(()) };
    let Some(said) = by.value().filter(|_| by.id().family() == Family::Records) else {
        let next = "start it again, on the same records and memories";
        return Err(Fault::caused_by(Killed(by), "the process is ended", next));
    };
    remark(&format!("the process is ended: {by} has happened; it is started again in {said}"));
    // What listened must have let go of its port.
    tokio::time::sleep(away.max(Duration::from_millis(100))).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use faults::catalogue;

    use super::*;

    #[test]
    fn every_fault_of_the_catalogue_can_be_given_to_some_command() {
        for entry in catalogue::all() {
            let takes: Vec<_> =
                Seams::ALL.iter().filter(|seams| seams.refuses(&FaultSpec::of(entry)).is_none()).collect();
            let is_of_scenarios = entry.id == FaultId::Radio(RadioAct::NoData);
            assert_eq!(takes.is_empty(), is_of_scenarios, "{}", entry.name);
        }
    }

    #[test]
    fn what_cannot_happen_is_refused_with_what_can() {
        let refused = |seams: &Seams, text: &str| {
            let (why, next) = seams.refuses(&text.parse().unwrap())?;
            Some(format!("{why}; {next}"))
        };
        for (seams, text, words) in [
            (
                &Seams::SM_DS,
                "radio/outage",
                "radio/outage could happen; give it to `landfall up`, `landfall network`",
            ),
            (
                &Seams::SM_DS,
                "link/reset@ES9+",
                "there is no ES9+ at `landfall sm-ds serve`; of link there are here: ES11, ES12",
            ),
            (&Seams::SM_DP, "records/conflict@sm-ds:events", "of records there are here: sm-dp"),
            (&Seams::EUICC, "power/write-fails@device:intention", "of power there are here: card"),
            (&Seams::UP.without_card(), "power/write-fails", "give it to"),
            (&Seams::NETWORK, "radio/no-data", "put it into a scenario"),
            (&Seams::NETWORK, "link/reset", "give it to `landfall sm-dp serve`"),
            (
                &Seams::SM_SR,
                "lie/dpauth-expired",
                "give it to `landfall sm-dp serve`, `landfall up`, `landfall device`",
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
