//! Cards that a command serves, with their interfaces and addresses: a number of equal cards, or a
//! list in a file.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::{Pki, Role};
use clap::ValueEnum;
use device::at;
use euicc_sim::{Card, CardDescription, Preset, Shared};
use ipae::{IpaeCard, ServerTls};
use rsp::{
    der::Asn1,
    ids::{Eid, Plmn},
    sgp32::EimConfigurationData,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use world::{
    Atr, BoxCardInterface, CardInterface, CardInterfaceFault, Events, Fault, NullEvents, RamMemory, World,
};

use crate::{
    faults::{ActiveFaults, CardMemory},
    parties,
    settings::Settings,
};

/// First serial number of cards without a certificate in the PKI. Other commands use much lower
/// serial numbers.
const FIRST_SERIAL: u64 = 100_001;

/// A card to serve.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CardEntry {
    /// EID of the card. Default: the next unused EID of the PKI, then the next EID in the range
    /// of the EUM.
    pub eid: Option<Eid>,
    /// Interface of the card.
    pub interface: Interface,
    /// Address: `host:port` of a TCP listener or of a PC/SC slot, or the path of a link to a
    /// serial port. If absent, [`addresses`] assigns one.
    pub address: Option<String>,
    /// Storage of the card's memory.
    pub memory: MemoryStorage,
    /// Quirks of its modem.
    pub at_quirks: Vec<at::Quirk>,
    /// Networks visible to its modem, strongest first.
    pub visible: Vec<Plmn>,
    /// Kind of the card.
    pub kind: CardKind,
    /// Preset of capabilities.
    pub preset: Option<Preset>,
    /// Differences from the default card: keys of [`CardDescription`].
    pub description: toml::Table,
}

impl CardEntry {
    /// Lets the card refuse deviations that it otherwise accepts with a finding.
    pub fn make_strict(&mut self) {
        self.description.insert("strict".to_owned(), toml::Value::Boolean(true));
    }

    /// Gives an IoT card these eIMs and, if there is an interval, an IPA that polls them every so
    /// many seconds.
    pub fn make_iot(&mut self, eims: &[EimConfigurationData], poll_seconds: Option<u32>) {
        let eims = eims.iter().map(|eim| toml::Value::String(hex::encode(eim.to_der()))).collect();
        let mut iot = toml::Table::new();
        iot.insert("initial_eims".to_owned(), toml::Value::Array(eims));
        if let Some(seconds) = poll_seconds {
            let ipae = toml::Table::from_iter([("poll_seconds".to_owned(), toml::Value::from(seconds))]);
            iot.insert("ipae".to_owned(), toml::Value::Table(ipae));
        }
        self.kind = CardKind::Iot;
        self.description.insert("iot".to_owned(), toml::Value::Table(iot));
    }
}

/// Kind of a card. An M2M card is part of a device (`landfall device run`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CardKind {
    /// SGP.22
    #[default]
    Consumer,
    /// SGP.32
    Iot,
}

/// Interface of a card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// The project's own protocol over TCP.
    #[default]
    Tcp,
    /// A virtual PC/SC reader.
    Vpcd,
    /// A modem with AT commands on a serial port.
    At,
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Vpcd => "vpcd",
            Self::At => "at",
        })
    }
}

/// Storage of a card's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryStorage {
    /// A file in the data folder.
    #[default]
    File,
    /// The memory of the process. The card is lost when the process ends.
    Ram,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    card: Vec<CardEntry>,
}

/// Reads a list of cards from a file.
///
/// # Errors
/// The file cannot be read or is not a valid list.
pub fn read(file: &Path) -> Result<Vec<CardEntry>, Fault> {
    let text = crate::files::read_text(file)?;
    entries(&text).map_err(|why| {
        Fault::usage(
            format!("cannot use the cards in {}", file.display()),
            why,
            "correct the file: each [[card]] may have eid, interface, address, memory, at-quirks, visible, kind, preset and description",
        )
    })
}

fn entries(text: &str) -> Result<Vec<CardEntry>, String> {
    let list: List = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    match list.card.as_slice() {
        [] => Err("the file contains no card".to_owned()),
        _ => Ok(list.card),
    }
}

/// Returns the EIDs of these cards, in the same order and without duplicates.
///
/// # Errors
/// Two cards have the same EID, or the PKI has no unused EIDs.
pub fn eids(pki: &Pki, entries: &[CardEntry]) -> Result<Vec<Eid>, Fault> {
    let mut taken: Vec<Eid> = Vec::new();
    for eid in entries.iter().filter_map(|entry| entry.eid) {
        if taken.contains(&eid) {
            let next = "give each card its own EID, or omit it";
            return Err(Fault::usage("cannot create the cards", format!("two of them have EID {eid}"), next));
        }
        taken.push(eid);
    }
    let mut given = pki.eids(pki.tls_curve()).into_iter();
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

/// Address of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardAddress {
    /// TCP listener at this `host:port`.
    Tcp(String),
    /// PC/SC slot at this `host:port`.
    Vpcd(String),
    /// Serial port, and the symbolic link to create for it.
    At(Option<PathBuf>),
}

/// For each interface, the address of the first card without a given address. Further cards get the
/// next ports.
#[derive(Clone, Copy, Debug)]
pub struct FirstAddresses<'a> {
    /// First listening address of the TCP interface.
    pub tcp: &'a str,
    /// First PC/SC slot.
    pub vpcd: &'a str,
}

/// Returns the addresses of these cards, in the same order and without duplicates.
///
/// # Errors
/// An address is not `host:port`, two cards have the same address, or the ports are exhausted.
pub fn addresses(entries: &[CardEntry], first: FirstAddresses<'_>) -> Result<Vec<CardAddress>, Fault> {
    // Port 0 stands for any free port, so that it may occur repeatedly.
    let is_any = |address: &str| address.ends_with(":0");
    let mut taken: HashSet<String> = HashSet::new();
    for address in
        entries.iter().filter(|entry| entry.interface != Interface::At).flat_map(|entry| &entry.address)
    {
        nth_port(address, 0)?;
        if !taken.insert(address.clone()) && !is_any(address) {
            let next = "give each card its own address, or omit it";
            return Err(Fault::usage(
                "cannot create the cards",
                format!("two of them are at {address}"),
                next,
            ));
        }
    }
    let free = |address: &Result<String, Fault>| {
        address.as_ref().map_or(true, |address| is_any(address) || !taken.contains(address))
    };
    let [mut tcp, mut vpcd] = [first.tcp, first.vpcd]
        .map(|first| (0..=u16::MAX).map(move |number| nth_port(first, number)).filter(free));
    let none = || Fault::usage("cannot create the cards", "there are no more ports", "serve fewer cards");
    let mut addresses = Vec::with_capacity(entries.len());
    for CardEntry { interface, address, .. } in entries {
        addresses.push(match (interface, address.clone()) {
            (Interface::At, address) => CardAddress::At(address.map(PathBuf::from)),
            (Interface::Tcp, Some(address)) => CardAddress::Tcp(address),
            (Interface::Vpcd, Some(address)) => CardAddress::Vpcd(address),
            (Interface::Tcp, None) => CardAddress::Tcp(tcp.next().ok_or_else(none)??),
            (Interface::Vpcd, None) => CardAddress::Vpcd(vpcd.next().ok_or_else(none)??),
        });
    }
    Ok(addresses)
}

/// Returns the address with its port number increased by `number`.
fn nth_port(address: &str, number: u16) -> Result<String, Fault> {
    let next = "give an address as HOST:PORT, with enough ports above it";
    let fault = |why: &str| Fault::usage(format!("cannot use the address {address:?} of a card"), why, next);
    let (host, port) = address.rsplit_once(':').ok_or_else(|| fault("it is not HOST:PORT"))?;
    let port: u16 = port.parse().map_err(|_| fault("its port is not a number up to 65535"))?;
    match port {
        0 => Ok(address.to_owned()),
        port => {
            let port = port.checked_add(number).ok_or_else(|| fault("there are no more ports"))?;
            Ok(format!("{host}:{port}"))
        }
    }
}

impl CardEntry {
    /// Opens the card with its memory and its faults. Data common to all cards is stored once,
    /// in `shared`. The card reports accepted deviations to `events`.
    ///
    /// # Errors
    /// The PKI has no keys for the EID, the description is invalid, or the memory cannot be
    /// used.
    pub fn open(
        &self,
        eid: Eid,
        settings: &Settings,
        pki: &Pki,
        (world, shared, events): (&World, &Arc<Shared>, &Arc<dyn Events>),
        active_faults: &ActiveFaults,
    ) -> Result<BoxCardInterface, Fault> {
        let description = self.described(parties::described(settings, pki, eid)?)?;
        let has_ipae = description.iot.as_ref().is_some_and(|iot| iot.ipae.is_some());
        let tls = has_ipae.then(|| server_tls(pki, world)).transpose()?;
        let (world, shared, events) = (world.clone(), Arc::clone(shared), Arc::clone(events));
        let make = move |memory| {
            let card = Card::open_among(description.clone(), memory, world.clone(), &shared)?;
            let card = card.with_events(Arc::clone(&events));
            Ok(match &tls {
                Some(tls) => BoxCardInterface::new(IpaeCard::new(card, tls.clone(), Arc::new(NullEvents))),
                None => BoxCardInterface::new(card),
            })
        };
        let kept = match self.memory {
            MemoryStorage::File => CardMemory::File(parties::card_path(&settings.data_dir, eid)),
            MemoryStorage::Ram => CardMemory::Ram(RamMemory::default()),
        };
        active_faults.card(kept, make)
    }

    /// Applies the settings of this card to a default description.
    fn described(&self, mut description: CardDescription) -> Result<CardDescription, Fault> {
        if let Some(preset) = self.preset {
            description.capabilities = preset.capabilities();
        }
        if self.kind == CardKind::Iot {
            description.iot = Some(Box::default());
        }
        changed(description, &self.description)
    }
}

/// Returns the keys of servers that an IPA inside a card trusts.
fn server_tls(pki: &Pki, world: &World) -> Result<ServerTls, Fault> {
    let clock = Arc::clone(&world.clock);
    Ok(ServerTls {
        eims: parties::device_trust(pki)?,
        rsp_servers: parties::device_tls(pki, &[Role::DpTls, Role::DsTls], Arc::clone(&clock))?,
        clock,
    })
}

/// A card that is opened when it is used for the first time. Issuing the certificates of 10,000 cards
/// takes many seconds, and most of them may never be used.
pub struct OnFirstUse {
    open: Box<dyn FnMut() -> Result<BoxCardInterface, Fault> + Send>,
    card: Option<BoxCardInterface>,
}

impl OnFirstUse {
    /// Creates the card that `open` opens. If `open` fails, it is called again at the next use.
    pub fn new(open: impl FnMut() -> Result<BoxCardInterface, Fault> + Send + 'static) -> Self {
        Self { open: Box::new(open), card: None }
    }

    fn card(&mut self) -> Result<&mut BoxCardInterface, CardInterfaceFault> {
        let card = match self.card.take() {
            Some(card) => card,
            None => (self.open)().map_err(|fault| CardInterfaceFault::Card(format!("{fault:#}")))?,
        };
        Ok(self.card.insert(card))
    }
}

impl CardInterface for OnFirstUse {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        self.card()?.transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.card()?.reset().await
    }
}

/// Returns the description with these keys replaced.
fn changed(description: CardDescription, changes: &toml::Table) -> Result<CardDescription, Fault> {
    if changes.is_empty() {
        return Ok(description);
    }
    let fault = |why: String| {
        let next = "correct the keys below [card.description]; they are those of a card's description";
        Fault::usage(format!("invalid description of card {}", description.eid), why, next)
    };
    let mut whole = serde_json::to_value(&description).map_err(|e| fault(e.to_string()))?;
    let changes = serde_json::to_value(changes).map_err(|e| fault(e.to_string()))?;
    merge(&mut whole, changes, "").map_err(fault)?;
    serde_json::from_value(whole).map_err(|e| fault(e.to_string()))
}

/// Applies the changes to a value. A table is changed key by key; any other value is replaced as a
/// whole.
fn merge(whole: &mut Value, changes: Value, path: &str) -> Result<(), String> {
    match (whole, changes) {
        (Value::Object(whole), Value::Object(changes)) => {
            for (key, change) in changes {
                let path = format!("{path}{key}");
                let at = whole.get_mut(&key).ok_or_else(|| format!("there is no {path}"))?;
                merge(at, change, &format!("{path}."))?;
            }
        }
        (whole, change) => *whole = change,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use certs::PkiOptions;
    use crypto::Curve;

    use super::*;

    fn pki() -> Pki {
        Pki::from_seed(b"cards", &PkiOptions::default()).unwrap()
    }

    #[tokio::test]
    async fn a_card_is_opened_at_its_first_use_and_opened_again_if_that_failed() {
        struct Card;
        impl CardInterface for Card {
            async fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
                Ok(vec![0x90, 0])
            }

            async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
                Ok(Atr(vec![0x3B]))
            }
        }
        let opened = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = Arc::clone(&opened);
        let mut card =
            OnFirstUse::new(move || match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Err(Fault::new("cannot open the card", "no memory", "free some")),
                _ => Ok(BoxCardInterface::new(Card)),
            });
        let opened = || opened.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(opened(), 0);
        let Err(CardInterfaceFault::Card(why)) = card.reset().await else { panic!("the card works") };
        assert!(why.contains("no memory"), "{why}");
        assert_eq!(card.reset().await, Ok(Atr(vec![0x3B])));
        assert_eq!(card.transmit(&[0, 0xA4, 0, 0]).await, Ok(vec![0x90, 0]));
        assert_eq!(opened(), 2);
    }

    #[test]
    fn every_card_gets_its_own_eid_in_the_range_of_the_eum() {
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
    fn every_card_gets_its_own_address() {
        let list = entries(
            "[[card]]\ninterface = 'vpcd'\n[[card]]\ninterface = 'vpcd'\naddress = 'localhost:35964'\n[[card]]\ninterface = 'vpcd'\n\
             [[card]]\n[[card]]\n[[card]]\ninterface = 'at'\n[[card]]\ninterface = 'at'\naddress = 'modem'\n",
        )
        .unwrap();
        let vpcd = |port: u16| CardAddress::Vpcd(format!("localhost:{port}"));
        let any = CardAddress::Tcp("[::1]:0".into());
        assert_eq!(
            addresses(&list, FIRST).unwrap(),
            [
                vpcd(35963),
                vpcd(35964),
                vpcd(35965),
                any.clone(),
                any,
                CardAddress::At(None),
                CardAddress::At(Some("modem".into()))
            ]
        );
        let twice = vec![list[1].clone(); 2];
        assert!(addresses(&twice, FIRST).unwrap_err().why.contains("two of them"));
        let last = FirstAddresses { vpcd: "localhost:65535", ..FIRST };
        assert!(
            addresses(&[list[0].clone(), list[2].clone()], last).unwrap_err().why.contains("no more ports")
        );
    }

    #[test]
    fn an_invalid_address_is_refused_with_advice() {
        for address in ["35964", "localhost", "localhost:", "localhost:x", "localhost:65536"] {
            for interface in [Interface::Tcp, Interface::Vpcd] {
                let entry = CardEntry { interface, address: Some(address.into()), ..CardEntry::default() };
                assert!(addresses(&[entry], FIRST).unwrap_err().next.contains("HOST:PORT"), "{address}");
            }
        }
    }

    #[test]
    fn a_list_can_change_the_description_of_each_card() {
        let list = entries(
            "[[card]]\ninterface = 'at'\naddress = 'modem'\nmemory = 'ram'\nat-quirks = ['unquoted-hex']\nvisible = ['001-01']\n\
             [card.description]\nmemory_size = 4096\ncapabilities.firmware_version = '9.8.7'\n[[card]]\n",
        )
        .unwrap();
        assert_eq!((list[0].interface, list[0].memory), (Interface::At, MemoryStorage::Ram));
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
    fn a_card_of_the_kind_iot_has_settings_of_sgp_32() {
        let list = entries(
            "[[card]]\nkind = 'iot'\n[card.description.iot]\nversion = '1.3'\nmax_eims = 2\n[[card]]\n\
             [card.description]\niot.version = '1.3'\n",
        )
        .unwrap();
        let pki = pki();
        let description = parties::card_description(&pki, pki.eids(Curve::P256)[0]).unwrap();
        let iot = list[0].described(description.clone()).unwrap().iot.unwrap();
        assert_eq!((iot.version, iot.max_eims), (euicc_sim::IotVersion::V1_3, 2));
        // A consumer card has no such settings.
        assert!(list[1].described(description).unwrap_err().why.contains("there is no iot"));
    }

    #[test]
    fn a_list_without_cards_is_refused() {
        assert!(entries("card = []").unwrap_err().contains("no card"));
        assert!(entries("").is_err());
    }

    #[test]
    fn the_example_in_the_documentation_is_valid() {
        let page = include_str!("../../docs/cards.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let list = entries(rest.split_once("```").unwrap().0).unwrap();
        let pki = pki();
        for (entry, eid) in list.iter().zip(eids(&pki, &list).unwrap()) {
            let description = parties::card_description(&pki, eid).unwrap();
            let described = entry.described(description).unwrap();
            if entry.interface == Interface::At {
                assert_eq!(described.capabilities.svn, Preset::V2_2.capabilities().svn);
                assert_eq!(described.capabilities.firmware_version.to_string(), "2.0.1");
            }
        }
        assert_eq!(
            list.iter().map(|entry| entry.interface).collect::<Vec<_>>(),
            [Interface::Vpcd, Interface::At]
        );
    }
}
