//! Benchmark of a fleet of 100,000 devices. It first measures the import from CSV into records in
//! memory, the reading of these records, and every report. It then measures the import into an
//! SQLite file, a survey, and check-ins over the platform's HTTP API.
//!
//! Run it with `cargo bench -p fleet`; `LANDFALL_DEVICES` sets the number of devices. Report times
//! are relative to one reading of the records in the same run, so that a slow machine does not
//! change the result. Resident memory is measured on Linux only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing benchmark panics"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark uses the real clock")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use fleet::answers::{Chances, Pace, Residence, breaches, effort, markets, recovery, residents, what_if};
use fleet::bearers::Bearers;
use fleet::costs::Costs;
use fleet::files::{Rows, export, read_devices, read_stays};
use fleet::{
    CHECK_IN, CampaignId, CampaignSpec, CardProfile, CheckIn, Conditions, Config, Device, EvaluatedFleet,
    Fleet, Owner, Platform, Registration, Selection, Setup,
};
use http::Request;
use http::header::CONTENT_TYPE;
use localize::{BUILT_IN_RULES, Day, Policy, RuleBook, Strategy};
use net::SqliteRecords;
use rsp::ids::{Eid, Iccid};
use rsp::time::Timestamp;
use world::{ManualClock, MemoryRecords, NullEvents, Records, SeededRandom, World};

const NOW: &str = "2026-11-22T00:00:00Z";
/// The visited networks, and the home network of each device over time.
const NETWORKS: [&str; 12] = [
    "724-05", "724-02", "286-01", "460-00", "404-10", "262-01", "310-410", "505-01", "440-10", "530-01",
    "420-01", "234-15",
];
/// Maximum duration of a report, as a multiple of the time that one reading of the records takes.
/// The limit of two detects reports that visit devices more than once.
const MAX_READINGS: f64 = 2.0;
/// Maximum octets of memory per device.
const MAX_OCTETS: u64 = 2048;
/// Number of devices that check in with records on disk. Not all devices check in, because each
/// check-in waits for the disk.
const CHECK_INS_ON_DISK: usize = 5000;

fn main() {
    let devices =
        std::env::var("LANDFALL_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run(devices));
}

async fn run(devices: usize) {
    let now = NOW.parse::<Timestamp>().unwrap();
    let records = MemoryRecords::default();
    let book = RuleBook::built_in().unwrap();
    let (device_rows, stay_rows) = csv(devices, now);
    println!(
        "{devices} devices, {} stays, {} MB of CSV",
        stay_rows.lines().count() - 1,
        (device_rows.len() + stay_rows.len()) / 1_000_000
    );
    {
        let mut rows = Rows::default();
        timed("CSV read", || {
            read_devices(&mut rows, "devices.csv", device_rows.as_bytes(), &book).unwrap();
            read_stays(&mut rows, "stays.csv", stay_rows.as_bytes(), &book).unwrap();
        });
        for again in ["imported", "imported again, unchanged"] {
            let start = Instant::now();
            let done = fleet::import(&records, &rows, now, false).await.unwrap();
            println!(
                "{again:<34} {:>8.2} s  {} added, {} unchanged",
                start.elapsed().as_secs_f64(),
                done.added,
                done.unchanged
            );
        }
        on_disk(&rows, &book, now).await;
    }
    let stored: usize =
        records.list("devices", "").await.unwrap().iter().map(|(_, stored)| stored.bytes.len()).sum();
    println!("{:<34} {:>8} octets a device", "as records", stored / devices);

    drop(fleet::load(&records).await.unwrap());
    let start = Instant::now();
    let fleet = fleet::load(&records).await.unwrap();
    let reading = start.elapsed().as_secs_f64();
    println!("{:<34} {reading:>8.2} s", "records read");
    let each = live(&fleet) / devices as u64;
    println!("{:<34} {each:>8} octets a device, at most {MAX_OCTETS}", "in memory");

    let policy = Policy { strategy: Strategy::built_in(&book).unwrap(), ..Policy::default() };
    let conditions = Conditions { now, book: &book, policy: &policy, offers: &[] };
    let selection = Selection::default();
    let costs = Costs::built_in().unwrap();
    let (bearers, one) = (Bearers::built_in().unwrap(), costs.r#move("consumer-ts48").unwrap());
    let bearer = bearers.named("lte-m").unwrap();
    let other = "\n[[rule]]\nid = \"ends\"\nnetworks = [\"724-05\"]\nkind = \"banned\"\neffective = \"2027-01-01\"\nsource = \"s\"\n\
                 reviewed = \"2026-11-22\"\nconfidence = \"high\"\n";
    let other = RuleBook::parse(&format!("{BUILT_IN_RULES}{other}")).unwrap();

    let mut worst = 0.0_f64;
    let mut ask = |name: &str, answer: &mut dyn FnMut() -> usize| {
        let start = Instant::now();
        let rows = answer();
        let took = start.elapsed().as_secs_f64();
        worst = worst.max(took / reading);
        println!("{name:<34} {took:>8.2} s  {:.2} of a reading, {rows} rows", took / reading);
    };
    let counted = EvaluatedFleet::new(&fleet, conditions);
    ask("counted", &mut || black_box(EvaluatedFleet::new(&fleet, conditions)).fleet.devices().len());
    ask("residents", &mut || residents(&counted, Residence::default()).len());
    ask("breaches", &mut || breaches(&counted, &selection, Some(90)).len());
    ask("markets", &mut || markets(&counted, Some(90)).len());
    ask("effort", &mut || {
        let moving = fleet::answers::who_must_move(&counted, &selection, Some(90)).by_profile.len();
        let moving = u32::try_from(moving).unwrap();
        effort(moving, &costs, bearer, one, Pace::default()).unwrap().devices as usize
    });
    ask("recovery", &mut || {
        recovery(&counted, &selection, Some(90), &costs, Chances::default(), fleet::costs::Money(0))
            .rows
            .len()
    });
    ask("what-if", &mut || {
        let after = EvaluatedFleet::new(&fleet, Conditions { book: &other, ..conditions });
        what_if(&counted, &after, &selection).affected.len()
    });
    ask("export", &mut || export(fleet.devices()).unwrap().devices.split(|octet| *octet == b'\n').count());
    check_ins(&records, &fleet, &book, now, reading).await;
    println!("the slowest report takes {worst:.2} readings, at most {MAX_READINGS}");
    assert!(each <= MAX_OCTETS, "a device takes {each} octets of memory");
    assert!(worst <= MAX_READINGS, "a report takes {worst:.2} readings of the records");
}

/// Each device checks in twice.
async fn check_ins(records: &MemoryRecords, fleet: &Fleet, book: &RuleBook, now: Timestamp, reading: f64) {
    let platform = standing(records.clone(), book, now).await;
    for round in ["checked in", "checked in again"] {
        let start = Instant::now();
        for device in fleet.devices() {
            black_box(platform.check_in(&check_in_of(device, now)).await.unwrap());
        }
        let took = start.elapsed().as_secs_f64();
        let each = took * 1e6 / fleet.devices().len() as f64;
        println!("{round:<34} {took:>8.2} s  {:.2} readings, {each:.0} us a device", took / reading);
    }
}

/// The fleet in an SQLite file that syncs each commit before the reply: import, survey, and
/// check-ins of some devices as parallel HTTP requests.
async fn on_disk(rows: &Rows, book: &RuleBook, now: Timestamp) {
    let folder = tempfile::tempdir().unwrap();
    let records =
        Arc::new(SqliteRecords::open(folder.path().join("records.sqlite"), fleet::STORED_FORM).unwrap());
    let start = Instant::now();
    let done = fleet::import(&*records, rows, now, false).await.unwrap();
    println!("{:<34} {:>8.2} s  {} added", "imported into SQLite", start.elapsed().as_secs_f64(), done.added);
    let platform = standing(Arc::clone(&records), book, now).await;
    let fleet = fleet::load(&*records).await.unwrap();
    let mut devices = fleet.devices().iter().cycle();
    for at_once in [1, 64] {
        let check_in_of: Vec<_> =
            devices.by_ref().take(CHECK_INS_ON_DISK).map(|device| check_in_of(device, now)).collect();
        let start = Instant::now();
        let mut asked = tokio::task::JoinSet::new();
        for check_in_of in check_in_of {
            if asked.len() == at_once {
                assert_eq!(asked.join_next().await.unwrap().unwrap(), 200);
            }
            let link = platform.link();
            asked.spawn(async move {
                let request = Request::post(CHECK_IN).header(CONTENT_TYPE, "application/json");
                let request = request.body(serde_json::to_vec(&check_in_of).unwrap().into()).unwrap();
                world::send(&link, request).await.unwrap().status().as_u16()
            });
        }
        while let Some(status) = asked.join_next().await {
            assert_eq!(status.unwrap(), 200);
        }
        let each = CHECK_INS_ON_DISK as f64 / start.elapsed().as_secs_f64();
        println!("{:<34} {each:>8.0} /s  {at_once} at a time", "checked in over HTTP, SQLite");
    }
}

/// A platform with a standing campaign in which no device has to move, because nothing can be
/// ordered.
async fn standing(records: impl Records + 'static, book: &RuleBook, now: Timestamp) -> Platform {
    let setup = Setup {
        book: book.clone(),
        owner: Owner::default(),
        suppliers: BTreeMap::default(),
        config: Config::default(),
    };
    let world = World::new(ManualClock::at(now), SeededRandom::from_text("bench"));
    let platform = Platform::new(records, world, NullEvents, setup);
    let id: CampaignId = "standing".parse().unwrap();
    platform.create_campaign(&CampaignSpec::decided(id.clone())).await.unwrap();
    platform.start_campaign(&id).await.unwrap();
    platform.due().await.unwrap();
    platform
}

/// The check-in of a device whose card matches the records.
fn check_in_of(device: &Device, now: Timestamp) -> CheckIn {
    let held = device.connection.held.iter();
    let on_card = held.map(|held| CardProfile {
        iccid: held.iccid,
        enabled: held.state == localize::HeldState::Enabled,
        home: None,
    });
    let stay = device.connection.history.present(now).unwrap();
    let iccid = device.connection.held[0].iccid;
    CheckIn {
        registered: Some(Registration { network: stay.plmn, iccid, imsi: None, imei: None }),
        profiles: Some(on_card.collect()),
        ..CheckIn::new(device.eid, now)
    }
}

/// Octets of memory of a fleet, measured by copying the fleet. The first copies are not measured,
/// because they fill space that the import left free.
fn live(fleet: &Fleet) -> u64 {
    let mut copies: Vec<Fleet> = (0..12).map(|_| fleet.clone()).collect();
    let before = resident();
    copies.extend((0..3).map(|_| fleet.clone()));
    let octets = resident().saturating_sub(before) / 3;
    drop(copies);
    octets
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn timed(name: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    println!("{name:<34} {:>8.2} s", start.elapsed().as_secs_f64());
}

/// CSV files with two profiles and three stays per device.
fn csv(devices: usize, now: Timestamp) -> (String, String) {
    let mut rows = String::from("eid,label,group,model,account,criticality,latency,profiles,last_seen\n");
    let mut stays = String::from("eid,network,home,from,until\n");
    let day = |back: usize| Day::of(Timestamp(now.0 - back as i64 * 86_400_000));
    for n in 0..devices {
        let eid = Eid::with_check_digits(&format!("89049032{n:022}")).unwrap();
        let profile = |prefix: &str| Iccid::with_luhn(&format!("{prefix}{n:012}")).unwrap();
        let (a, b, c) = (NETWORKS[n % 12], NETWORKS[(n / 12) % 12], NETWORKS[(n / 144 + 5) % 12]);
        let (first, second) = (20 + n % 200, 20 + n % 200 + n % 90);
        let _ = writeln!(
            rows,
            "{eid},device {n},group {},model {},account {},{},{},{} 234-15 bootstrap enabled; {} 724-05 local disabled,2026-11-20",
            n % 40,
            n % 7,
            n % 3,
            ["low", "normal", "high"][n % 3],
            ["relaxed", "interactive", "tight"][n % 50 / 24],
            profile("894444"),
            profile("895503"),
        );
        let _ = writeln!(stays, "{eid},{c},234-15,{},{}", day(second + 30), day(second));
        let _ = writeln!(stays, "{eid},{b},GB,{},{}", day(second), day(first));
        let _ = writeln!(stays, "{eid},{a},234-15,{},", day(first));
    }
    (rows, stays)
}
