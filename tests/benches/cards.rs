//! Many cards in one process, each with an EID, keys and certificates of its own and one installed profile: what they
//! take, and what a change of one costs.
//!
//! `cargo bench -p tests --bench cards`; `LANDFALL_CARDS` says how many (10000). Every profile is a real download from
//! an SM-DP+ in the same process, of a package with an ICCID, an IMSI and a K of its own: the TS.48 profile where it is
//! beside the checkout, else one that the `profile` crate makes. Resident memory is asked of the system (Linux).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails says so"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark asks the real clock")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use certs::{Pki, PkiOptions};
use crypto::Curve;
use device::{DownloadOptions, Lpa, LpaSettings, Teller};
use euicc_sim::{Card, Shared};
use net::FileMemory;
use profile::element::{AlgoConfiguration, FileItem, FileSystemElement};
use profile::{Octets, Package, ProfileElement};
use rsp::ids::{Eid, Iccid, SmdpAddress, Version};
use rsp::sgp22::es2plus::{self, ConfirmOrderRequest, DownloadOrderRequest};
use rsp::sgp22::json::{self, RequestHeader};
use sm_dp::{Config, Credentials, ProfileOptions, SmDpPlus};
use world::{
    Fault, Link, ManualClock, Memory, MemoryRecords, NullEvents, PeerCertificate, RamMemory, SeededDice,
    World,
};

const ADDRESS: &str = "smdp.example.com";
/// A server is thrown away after so many downloads: what it remembers of them is not the cards'.
const DOWNLOADS_OF_A_SERVER: usize = 50;
const ROUNDS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = std::env::var("LANDFALL_CARDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let bench = Bench::new();
    println!("{}, {} octets", bench.name, bench.package(1).1.len());
    runtime.block_on(bench.writes());
    runtime.block_on(bench.many(count));
}

/// What every card of the benchmark comes from.
struct Bench {
    pki: Pki,
    name: &'static str,
    original: Option<Package>,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Self {
        let ts48 =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48/TS48v7_SAIP2.3_BERTLV_SUCI.der");
        let original = fs::read(ts48).ok().map(|package| Package::decode(&package).unwrap());
        Self {
            pki: Pki::from_seed(b"bench", &PkiOptions::default()).unwrap(),
            name: if original.is_some() { "TS.48 v7" } else { "own package" },
            original,
            clock: ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()),
        }
    }

    fn world(&self, number: usize) -> World {
        World::new(self.clock.clone(), SeededDice::from_text(&format!("card {number}")))
    }

    fn eid(&self, number: usize) -> Eid {
        let eum = self.pki.eum(Curve::P256).unwrap();
        let prefix = eum.eid_range().prefixes().next().unwrap();
        let width = 30 - prefix.len();
        Eid::with_check_digits(&format!("{prefix}{number:0width$}")).unwrap()
    }

    fn card(&self, number: usize, memory: impl Memory + 'static, shared: &Arc<Shared>) -> Card {
        let description = cli::parties::card_description(&self.pki, self.eid(number)).unwrap();
        Card::open_among(description, memory, self.world(number), shared).unwrap()
    }

    /// The package of one subscriber.
    fn package(&self, number: usize) -> (Iccid, Vec<u8>) {
        let iccid = cli::demo::own_iccid("724-99", number as u64).unwrap();
        let package = match &self.original {
            None => cli::demo::own_package("724-99", number as u64, "Bench").unwrap(),
            Some(original) => personalised(original.clone(), iccid, number).encode(),
        };
        (iccid, package)
    }

    /// One server for some downloads.
    async fn server(&self, number: usize) -> SmDpPlus {
        let config = Config::new(ADDRESS.parse().unwrap());
        let credentials = Credentials::from_pki(&self.pki).unwrap();
        let records = Arc::new(MemoryRecords::default());
        SmDpPlus::new(config, credentials, records, self.world(number), Arc::new(NullEvents))
    }

    /// A whole download; milliseconds of it, from the LPA's first request to its last.
    async fn download(&self, sm_dp: &SmDpPlus, card: &mut Card, number: usize) -> f64 {
        let (iccid, package) = self.package(number);
        assert_eq!(sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap(), iccid);
        let matching_id = format!("BENCH{number}");
        self.order(sm_dp, iccid, card.eid(), &matching_id).await;
        let code = format!("1${ADDRESS}${matching_id}").parse().unwrap();
        let server = sm_dp.clone();
        let link = world::link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok(server.handle(request).await) }
        }));
        let links = move |_: &SmdpAddress| Ok::<Link, Fault>(link.clone());
        let teller = Teller::silent(self.clock.clone());
        let mut lpa = Lpa::new(card, links, LpaSettings::default(), teller);
        let began = Instant::now();
        lpa.download(&code, DownloadOptions::default()).await.unwrap();
        millis(began)
    }

    async fn order(&self, sm_dp: &SmDpPlus, iccid: Iccid, eid: Eid, matching_id: &str) {
        let certificate = self.pki.operator("bench").unwrap().certificate;
        let header = RequestHeader {
            function_requester_identifier: certificate.registered_ids()[0].to_string(),
            function_call_identifier: "bench".to_owned(),
        };
        let download = DownloadOrderRequest {
            header: header.clone(),
            eid: Some(eid),
            iccid: Some(iccid),
            profile_type: None,
        };
        let confirm = ConfirmOrderRequest {
            header,
            iccid,
            eid: Some(eid),
            matching_id: Some(matching_id.to_owned()),
            confirmation_code: None,
            smds_address: None,
            release_flag: true,
        };
        for mut request in [
            json::request(&es2plus::path("downloadOrder"), Version([2, 5, 0]), &download),
            json::request(&es2plus::path("confirmOrder"), Version([2, 5, 0]), &confirm),
        ] {
            request.extensions_mut().insert(PeerCertificate(certificate.der().to_vec()));
            let response = sm_dp.handle(request).await;
            assert!(response.body().windows(16).any(|part| part == b"Executed-Success"), "{response:?}");
        }
    }

    /// What it takes to hold so many cards.
    async fn many(&self, count: usize) {
        // What the first card brings into the process (tables of the curves, code) is not a card's.
        let mut warm = self.card(0, RamMemory::default(), &Arc::default());
        self.download(&self.server(0).await, &mut warm, 0).await;
        drop(warm);

        let shared = Arc::new(Shared::default());
        let before = resident();
        let began = Instant::now();
        let memories: Vec<RamMemory> = (0..count).map(|_| RamMemory::default()).collect();
        let mut cards: Vec<Card> = memories
            .iter()
            .enumerate()
            .map(|(number, memory)| self.card(number + 1, memory.clone(), &shared))
            .collect();
        let made = began.elapsed().as_secs_f64();
        let empty = resident();
        println!("\n{count} cards made in {made:.1} s: {:.0} cards/s", count as f64 / made);

        let began = Instant::now();
        let mut sm_dp = self.server(0).await;
        for (place, card) in cards.iter_mut().enumerate() {
            if place % DOWNLOADS_OF_A_SERVER == 0 {
                sm_dp = self.server(place).await;
            }
            self.download(&sm_dp, card, place + 1).await;
            if (place + 1) % (count / 10).max(1) == 0 {
                let took = began.elapsed().as_secs_f64();
                println!("  {:>6} profiles in {took:>5.1} s, {:.0} MiB", place + 1, resident() / 1024.0);
            }
        }
        drop(sm_dp);
        let installed = resident();
        let each = |kib: f64| kib / count as f64;
        let (card, profile) = (each(empty - before), each(installed - empty));
        println!("resident, KiB for each card: {card:.1} without a profile, {profile:.1} for the profile");
        println!("  together {:.1}; {}", card + profile, aim(card + profile, 32.0));
        let [together, own] = octets(&memories).map(|octets| octets as f64 / 1024.0 / count as f64);
        println!("contents of the cells, KiB for each card: {together:.1} read, {own:.1} held");
        println!("held in common: {} octets in cells", in_common(&memories));

        // Every card is there, with its own profile.
        for (place, card) in cards.iter_mut().enumerate().step_by((count / 100).max(1)) {
            enable(card, self.package(place + 1).0);
            assert_eq!(read(card, "2FE2", 10), ef_iccid(self.package(place + 1).0));
        }
    }

    /// What one change costs.
    async fn writes(&self) {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("card");
        let file = FileMemory::open(&path).unwrap();
        let package = self.package(1).1;

        let mut in_ram = self.card(1, RamMemory::default(), &Arc::default());
        let ram = self.download(&self.server(1).await, &mut in_ram, 1).await;
        let mut in_file = self.card(1, file, &Arc::default());
        let on_disk = self.download(&self.server(1).await, &mut in_file, 1).await;
        let written = length(&path);
        println!("a download: {ram:.1} ms in RAM, {on_disk:.1} ms in a file");
        println!("  {written} octets written, {:.2} of the package", ratio(written, package.len()));

        for (name, card) in [("RAM", &mut in_ram), ("a file", &mut in_file)] {
            enable(card, self.package(1).0);
            println!("UPDATE BINARY of EF.LOCI (11 octets) in {name}");
            let reads = median((0..ROUNDS).map(|_| {
                let began = Instant::now();
                ok(card, "00B000000B");
                millis(began)
            }));
            let before = length(&path);
            let updates = median((0..ROUNDS).map(|round| {
                let began = Instant::now();
                ok(card, &format!("00D600000B{round:022X}"));
                millis(began)
            }));
            println!("  {:.1} us; READ BINARY {:.1} us", updates * 1e3, reads * 1e3);
            if name == "a file" {
                let octets = (length(&path) - before) / ROUNDS;
                println!("  {octets} octets written, {:.1} of the data", ratio(octets, 11));
                println!(
                    "  appending and syncing as many octets bare: {:.1} us",
                    bare(folder.path(), octets) * 1e3
                );
            }
        }
    }
}

/// The TS.48 package of one subscriber: ICCID, IMSI and K are that subscriber's.
fn personalised(mut package: Package, iccid: Iccid, number: usize) -> Package {
    let imsi = format!("72499{number:010}");
    for element in &mut package.elements {
        match element {
            ProfileElement::Header(header) => header.iccid = iccid.to_profile_header().into(),
            ProfileElement::FileSystem(files) => {
                fill(files, "ef-iccid", ef_iccid(iccid).into());
                fill(files, "ef-imsi", ef_imsi(&imsi).into());
            }
            ProfileElement::AkaParameter(aka) => {
                if let AlgoConfiguration::AlgoParameter(parameter) = &mut aka.algo_configuration {
                    let mut key = [0x4C; 16];
                    key[8..].copy_from_slice(&(number as u64).to_be_bytes());
                    parameter.key = key.into();
                }
            }
            _ => {}
        }
    }
    package
}

/// TS 31.102 section 4.2.2 for fifteen digits: a length, then the digits from the low half of each octet, after a 9.
fn ef_imsi(imsi: &str) -> Vec<u8> {
    let digits: Vec<u8> = std::iter::once(9).chain(imsi.bytes().map(|digit| digit - b'0')).collect();
    std::iter::once(8).chain(digits.chunks(2).map(|pair| pair[1] << 4 | pair[0])).collect()
}

/// TS 102 221 section 13.2: the digits from the low half of each octet.
fn ef_iccid(iccid: Iccid) -> Vec<u8> {
    iccid.to_profile_header().iter().map(|octet| octet.rotate_left(4)).collect()
}

fn fill(files: &mut FileSystemElement, name: &str, content: Octets) {
    let Some(file) = files.files.iter_mut().find(|file| file.name == name) else { return };
    for item in &mut file.items {
        if let FileItem::FillFileContent(place) = item {
            *place = content.clone();
        }
    }
}

/// Octets in the cells of all memories: as they would be read, and as they are held.
fn octets(memories: &[RamMemory]) -> [usize; 2] {
    let pieces = pieces(memories);
    let read = pieces.values().map(|(length, holders)| length * holders).sum();
    let held = pieces.values().map(|(length, _)| length).sum();
    [read, held]
}

/// Octets that more than one memory holds.
fn in_common(memories: &[RamMemory]) -> usize {
    pieces(memories).values().filter(|(_, holders)| *holders > 1).map(|(length, _)| length).sum()
}

/// The pieces of all cells by where they lie: how long, and how often they are held.
fn pieces(memories: &[RamMemory]) -> HashMap<*const Vec<u8>, (usize, usize)> {
    let mut seen = HashMap::new();
    for cells in memories.iter().map(|memory| memory.load().unwrap()) {
        for piece in cells.values().flat_map(|content| content.pieces()) {
            seen.entry(Arc::as_ptr(piece)).or_insert((piece.len(), 0)).1 += 1;
        }
    }
    seen
}

/// Enables the profile as an LPA does, and selects EF.LOCI of its USIM.
fn enable(card: &mut Card, iccid: Iccid) {
    use rsp::der::Asn1;
    let identifier = rsp::sgp22::ProfileIdentifier::Iccid(iccid);
    let request = rsp::sgp22::es10c::EnableProfileRequest {
        profile_identifier: identifier,
        refresh_flag: rsp::sgp22::es10c::RefreshFlag(false),
    };
    let request = request.to_der();
    ok(card, "00A4040010A0000005591010FFFFFFFF8900000100");
    ok(card, &format!("80E29100{:02X}{}", request.len(), hex::encode(request)));
    card.reset();
    ok(card, "00A4040C07A0000000871002");
    // The user's code, if the profile asks for one.
    card.transmit(&hex::decode("00200001083030303030303030").unwrap());
    ok(card, "00A4000C026F7E");
}

fn read(card: &mut Card, fid: &str, length: usize) -> Vec<u8> {
    ok(card, "00A4000C023F00");
    ok(card, &format!("00A4000C02{fid}"));
    let mut answer = ok(card, &format!("00B00000{length:02X}"));
    answer.truncate(length);
    answer
}

fn ok(card: &mut Card, command: &str) -> Vec<u8> {
    let answer = card.transmit(&hex::decode(command).unwrap());
    assert!(matches!(answer[answer.len() - 2..], [0x90 | 0x91 | 0x61, _]), "{command}: {answer:02X?}");
    answer
}

/// Median milliseconds of appending so many octets to a file and bringing them to the disk.
fn bare(folder: &Path, octets: usize) -> f64 {
    use std::io::Write;
    let mut file = fs::File::create(folder.join("bare")).unwrap();
    let octets = vec![0x5A; octets];
    median((0..ROUNDS).map(|_| {
        let began = Instant::now();
        file.write_all(&octets).unwrap();
        file.sync_data().unwrap();
        millis(began)
    }))
}

fn length(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |metadata| usize::try_from(metadata.len()).unwrap())
}

/// Resident memory of this process, in KiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn ratio(of: usize, to: usize) -> f64 {
    of as f64 / to as f64
}

fn aim(value: f64, aim: f64) -> String {
    let met = if value <= aim { "met" } else { "MISSED" };
    format!("aim {aim}: {met} ({:.2} of it)", value / aim)
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
