//! Which cards a command serves, and by which doors: so many of one kind, or a list in a file.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::Pki;
use crypto::Curve;
use device::at;
use euicc_sim::{Card, CardDescription, Preset, Shared};
use rsp::ids::{Eid, Plmn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use world::{BoxCardDoor, Fault, RamMemory, World};

use crate::{
    faults::{Kept, Trouble},
    parties,
    settings::Settings,
};

/// Serial numbers of cards that the PKI has no certificate for yet: far from those that other commands use.
const FIRST_SERIAL: u64 = 100_001;

/// One card that is to be served.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CardEntry {
    /// Its EID; without one, the next of the PKI, and then the next that its EUM can give.
    pub eid: Option<Eid>,
    /// How it is reached.
    pub door: Door,
    /// Where: `host:port` of a TCP door or of a reader's slot, the path of a link to a serial port. Without it,
    /// [`places`] gives one.
    pub address: Option<String>,
    /// Where its memory is.
    pub memory: MemoryPlace,
    /// What its modem does otherwise.
    pub at_quirks: Vec<at::Quirk>,
    /// The networks that its modem may see, strongest first.
    pub visible: Vec<Plmn>,
    /// Which kind of card it says that it is.
    pub preset: Option<Preset>,
    /// What is other about it than about the card that everybody gets: keys of [`CardDescription`].
    pub description: toml::Table,
}

/// How a card is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// By our own protocol over TCP.
    #[default]
    Tcp,
    /// As a card in a reader of PC/SC.
    Vpcd,
    /// As the card of a modem, by AT commands on a serial port.
    At,
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Vpcd => "vpcd",
            Self::At => "at",
        })
    }
}

/// Where a card's memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryPlace {
    /// In the data folder.
    #[default]
    File,
    /// Nowhere: with the process the card is gone.
    Ram,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    card: Vec<CardEntry>,
}

/// The list in a file.
///
/// # Errors
/// The file cannot be read or is not such a list.
pub fn read(file: &Path) -> Result<Vec<CardEntry>, Fault> {
    let text = crate::command::sm_dp::read_text(file)?;
    entries(&text).map_err(|why| {
        Fault::new(
            format!("cannot use the cards in {}", file.display()),
            why,
            "correct the file: each [[card]] may have eid, door, address, memory, at-quirks, visible, preset and description",
        )
    })
}

fn entries(text: &str) -> Result<Vec<CardEntry>, String> {
    let list: List = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    match list.card.as_slice() {
        [] => Err("there is no card in it".to_owned()),
        _ => Ok(list.card),
    }
}

/// The EIDs of these cards, in their order; no two are the same.
///
/// # Errors
/// Two cards want the same EID, or the PKI cannot give another one.
pub fn eids(pki: &Pki, entries: &[CardEntry]) -> Result<Vec<Eid>, Fault> {
    let mut taken: Vec<Eid> = Vec::new();
    for eid in entries.iter().filter_map(|entry| entry.eid) {
        if taken.contains(&eid) {
            let next = "give each card an EID of its own, or leave it out";
            return Err(Fault::new("cannot make the cards", format!("two of them have EID {eid}"), next));
        }
        taken.push(eid);
    }
    let mut given = pki.eids(Curve::P256).into_iter();
    let mut serials = FIRST_SERIAL..;
    let mut next = || match given.next() {
        Some(eid) => Ok(eid),
        None => parties::eid_of_serial(pki, serials.next().unwrap_or_default()),
    };
    let mut eids = Vec::with_capacity(entries.len());
    for entry in entries {
        eids.push(match entry.eid {
            Some(eid) => eid,
            None => loop {
                let eid = next()?;
                if !taken.contains(&eid) {
                    break eid;
                }
            },
        });
    }
    Ok(eids)
}

/// Where a card is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Listens at this `host:port`.
    Tcp(String),
    /// In the slot at this `host:port`.
    Vpcd(String),
    /// A serial port, and the link that is to lead to it.
    At(Option<PathBuf>),
}

/// The address of the first card without one, by its door; others have the next ports.
#[derive(Clone, Copy, Debug)]
pub struct FirstAddresses<'a> {
    /// Where it listens.
    pub tcp: &'a str,
    /// The first slot.
    pub vpcd: &'a str,
}

/// Where these cards are, in their order; no two are at the same place.
///
/// # Errors
/// An address is no `host:port`, two cards have the same, or there are no more ports.
pub fn places(entries: &[CardEntry], first: FirstAddresses<'_>) -> Result<Vec<Place>, Fault> {
    // Port 0 is any free one every time.
    let is_any = |address: &str| address.ends_with(":0");
    let mut taken: HashSet<String> = HashSet::new();
    for address in entries.iter().filter(|entry| entry.door != Door::At).flat_map(|entry| &entry.address) {
        nth_port(address, 0)?;
        if !taken.insert(address.clone()) && !is_any(address) {
            let next = "give each card an address of its own, or leave it out";
            return Err(Fault::new("cannot make the cards", format!("two of them are at {address}"), next));
        }
    }
    let free = |address: &Result<String, Fault>| {
        address.as_ref().map_or(true, |address| is_any(address) || !taken.contains(address))
    };
    let [mut tcp, mut vpcd] = [first.tcp, first.vpcd]
        .map(|first| (0..=u16::MAX).map(move |number| nth_port(first, number)).filter(free));
    let none = || Fault::new("cannot make the cards", "there are no more ports", "serve fewer cards");
    let mut places = Vec::with_capacity(entries.len());
    for CardEntry { door, address, .. } in entries {
        places.push(match (door, address.clone()) {
            (Door::At, address) => Place::At(address.map(PathBuf::from)),
            (Door::Tcp, Some(address)) => Place::Tcp(address),
            (Door::Vpcd, Some(address)) => Place::Vpcd(address),
            (Door::Tcp, None) => Place::Tcp(tcp.next().ok_or_else(none)??),
            (Door::Vpcd, None) => Place::Vpcd(vpcd.next().ok_or_else(none)??),
        });
    }
    Ok(places)
}

/// The address with a port so much higher.
fn nth_port(address: &str, number: u16) -> Result<String, Fault> {
    let next = "give an address as HOST:PORT, with enough ports above it";
    let fault = |why: &str| Fault::new(format!("cannot use the address {address:?} of a card"), why, next);
    let (host, port) = address.rsplit_once(':').ok_or_else(|| fault("it is no HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| fault("its port is no number up to 65535"))?;
    match port {
        0 => Ok(address.to_owned()),
        port => {
            let port = port.checked_add(number).ok_or_else(|| fault("there are no more ports"))?;
            Ok(format!("{host}:{port}"))
        }
    }
}

impl CardEntry {
    /// The card, with its memory and what goes wrong with it; what it has in common with the others is held once.
    ///
    /// # Errors
    /// The PKI cannot vouch for the EID, the description says what no card is, or the memory cannot be used.
    pub fn open(
        &self,
        eid: Eid,
        settings: &Settings,
        pki: &Pki,
        world: &World,
        shared: &Arc<Shared>,
        trouble: &Trouble,
    ) -> Result<BoxCardDoor, Fault> {
        let description = self.described(parties::described(settings, pki, eid)?)?;
        let (world, shared) = (world.clone(), Arc::clone(shared));
        let make = move |memory| Card::open_among(description.clone(), memory, world.clone(), &shared);
        let kept = match self.memory {
            MemoryPlace::File => Kept::File(parties::card_path(&settings.data_dir, eid)),
            MemoryPlace::Ram => Kept::Ram(RamMemory::default()),
        };
        trouble.card(kept, make)
    }

    /// What is said of this card, beginning from what is said of any.
    fn described(&self, mut description: CardDescription) -> Result<CardDescription, Fault> {
        if let Some(preset) = self.preset {
            description.capabilities = preset.capabilities();
        }
        changed(description, &self.description)
    }
}

/// The description with these values in the place of its own.
fn changed(description: CardDescription, changes: &toml::Table) -> Result<CardDescription, Fault> {
    if changes.is_empty() {
        return Ok(description);
    }
    let fault = |why: String| {
        let next = "correct the keys below [card.description]; they are those of a card's description";
        Fault::new(format!("card {} cannot be as it is described", description.eid), why, next)
    };
    let mut whole = serde_json::to_value(&description).map_err(|e| fault(e.to_string()))?;
    let changes = serde_json::to_value(changes).map_err(|e| fault(e.to_string()))?;
    lay_over(&mut whole, changes, "").map_err(fault)?;
    serde_json::from_value(whole).map_err(|e| fault(e.to_string()))
}

/// Tables are changed key by key, everything else as a whole.
fn lay_over(whole: &mut Value, changes: Value, path: &str) -> Result<(), String> {
    match (whole, changes) {
        (Value::Object(whole), Value::Object(changes)) => {
            for (key, change) in changes {
                let path = format!("{path}{key}");
                let at = whole.get_mut(&key).ok_or_else(|| format!("there is no {path}"))?;
                lay_over(at, change, &format!("{path}."))?;
            }
        }
        (whole, change) => *whole = change,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use certs::PkiOptions;

    use super::*;

    fn pki() -> Pki {
        Pki::from_seed(b"cards", &PkiOptions::default()).unwrap()
    }

    #[test]
    fn every_card_has_an_eid_of_its_own_that_the_eum_can_vouch_for() {
        let pki = pki();
        let first = pki.eids(Curve::P256)[0];
        let mut entries = vec![CardEntry::default(); 5];
        entries[2].eid = Some(first);
        let eids = eids(&pki, &entries).unwrap();
        assert_eq!(eids[2], first);
        for (at, eid) in eids.iter().enumerate() {
            assert!(!eids[..at].contains(eid) && eid.has_valid_check_digits(), "{eids:?}");
            assert!(parties::card_description(&pki, *eid).is_ok());
        }
        entries[4].eid = Some(first);
        assert!(super::eids(&pki, &entries).unwrap_err().why.contains("two of them"));
    }

    const FIRST: FirstAddresses<'static> = FirstAddresses { tcp: "[::1]:0", vpcd: "localhost:35963" };

    #[test]
    fn every_card_has_a_place_of_its_own() {
        let list = entries(
            "[[card]]\ndoor = 'vpcd'\n[[card]]\ndoor = 'vpcd'\naddress = 'localhost:35964'\n[[card]]\ndoor = 'vpcd'\n\
             [[card]]\n[[card]]\n[[card]]\ndoor = 'at'\n[[card]]\ndoor = 'at'\naddress = 'modem'\n",
        )
        .unwrap();
        let vpcd = |port: u16| Place::Vpcd(format!("localhost:{port}"));
        let any = Place::Tcp("[::1]:0".into());
        assert_eq!(
            places(&list, FIRST).unwrap(),
            [
                vpcd(35963),
                vpcd(35964),
                vpcd(35965),
                any.clone(),
                any,
                Place::At(None),
                Place::At(Some("modem".into()))
            ]
        );
        let twice = vec![list[1].clone(); 2];
        assert!(places(&twice, FIRST).unwrap_err().why.contains("two of them"));
        let last = FirstAddresses { vpcd: "localhost:65535", ..FIRST };
        assert!(places(&[list[0].clone(), list[2].clone()], last).unwrap_err().why.contains("no more ports"));
    }

    #[test]
    fn an_address_that_is_none_is_told() {
        for address in ["35964", "localhost", "localhost:", "localhost:x", "localhost:65536"] {
            for door in [Door::Tcp, Door::Vpcd] {
                let entry = CardEntry { door, address: Some(address.into()), ..CardEntry::default() };
                assert!(places(&[entry], FIRST).unwrap_err().next.contains("HOST:PORT"), "{address}");
            }
        }
    }

    #[test]
    fn a_list_says_what_is_other_about_each_card() {
        let list = entries(
            "[[card]]\ndoor = 'at'\naddress = 'modem'\nmemory = 'ram'\nat-quirks = ['unquoted-hex']\nvisible = ['001-01']\n\
             [card.description]\nmemory_size = 4096\ncapabilities.firmware_version = '9.8.7'\n[[card]]\n",
        )
        .unwrap();
        assert_eq!((list[0].door, list[0].memory), (Door::At, MemoryPlace::Ram));
        assert_eq!(list[0].at_quirks, [at::Quirk::UnquotedHex]);
        assert_eq!(list[1], CardEntry::default());
        let pki = pki();
        let description = parties::card_description(&pki, pki.eids(Curve::P256)[0]).unwrap();
        let other = changed(description.clone(), &list[0].description).unwrap();
        assert_eq!(
            (other.memory_size, other.capabilities.firmware_version.to_string()),
            (4096, "9.8.7".into())
        );
        assert_eq!(other.credentials, description.credentials);
        for (text, why) in
            [("colour = 1", "no colour"), ("capabilities.svm = '2.0.0'", "no capabilities.svm")]
        {
            let fault = changed(description.clone(), &toml::from_str(text).unwrap()).unwrap_err();
            assert!(fault.why.contains(why), "{fault}");
        }
        assert!(changed(description, &toml::from_str("memory_size = 'much'").unwrap()).is_err());
    }

    #[test]
    fn a_list_without_cards_is_refused() {
        assert!(entries("card = []").unwrap_err().contains("no card"));
        assert!(entries("").is_err());
    }

    #[test]
    fn the_example_of_the_documentation_can_be_served() {
        let page = include_str!("../../docs/cards.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let list = entries(rest.split_once("```").unwrap().0).unwrap();
        let pki = pki();
        for (entry, eid) in list.iter().zip(eids(&pki, &list).unwrap()) {
            let description = parties::card_description(&pki, eid).unwrap();
            let described = entry.described(description).unwrap();
            if entry.door == Door::At {
                assert_eq!(described.capabilities.svn, Preset::V2_2.capabilities().svn);
                assert_eq!(described.capabilities.firmware_version.to_string(), "2.0.1");
            }
        }
        assert_eq!(list.iter().map(|entry| entry.door).collect::<Vec<_>>(), [Door::Vpcd, Door::At]);
    }
}
