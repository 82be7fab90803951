//! Profiles with several identities: TS 102 223 sections 6.4.7, 6.4.15, 6.4.16 and 7.5.4, TS 31.111
//! section 6.4.7.1.

use std::sync::LazyLock;

use certs::Pki;
use crypto::aka::{Amf, Sqn};
use crypto::milenage::Milenage;
use profile::Description;
use rsp::ota::cat::{TerminalCapability, TerminalProfile};
use world::{Cells, Memory, RamMemory};

use super::cut_memory::CutMemory;
use super::testbed::{Testbed, pki};
use crate::CardDescription;

const DESCRIPTION: &str = r#"
iccid = "89724990000000000129"
imsi = "234150000000012"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
[usim]
spn = "Home"
smsc = "+447700900000"
home-plmns = ["234-15"]
[isim]
[[identity]]
countries = ["724"]
imsi = "724050000000001"
ki = "202122232425262728292A2B2C2D2E2F"
opc = "303132333435363738393A3B3C3D3E3F"
spn = "Local Brasil"
smsc = "+5511900000000"
home-plmns = ["724-05", "724-06"]
"#;

const HOME: &str = "HOME";
const BRAZIL: &str = "BRAZIL";

const FETCH: &str = "8012000000";
const PLI: &str = "D009 810304260082028182 9000";
const REFRESH: &str = "D009 810301010482028182 9000";
/// Location status: normal service in 724-05 and in 234-15, and limited service.
const IN_BRAZIL: &str = "80C2000017 D615 990103 82028281 9B0100 9309 27F450 000100000001";
const IN_BRITAIN: &str = "80C2000017 D615 990103 82028281 9B0100 9309 32F451 000100000001";
const LIMITED: &str = "80C200000C D60A 990103 82028281 9B0101";
/// The response to a location request: limited service, in 724-05.
const LIMITED_IN_BRAZIL: [&str; 2] = ["06", "9309 27F450 000100000001"];

static PKI: LazyLock<Pki> = LazyLock::new(pki);

/// A card with the enabled profile.
static START: LazyLock<Cells> = LazyLock::new(|| {
    let memory = RamMemory::default();
    let package = Description::parse(DESCRIPTION).unwrap().build().unwrap();
    let mut testbed = testbed(memory.clone());
    testbed.card.load_in_factory(&package.encode(), true).unwrap();
    memory.load().unwrap()
});

#[test]
fn the_manufacturer_loads_a_profile_once_and_into_sufficient_memory() {
    let package = Description::parse(DESCRIPTION).unwrap().build().unwrap().encode();
    let needed = start().card.persistent.profiles[0].memory;
    let load = |memory_size| {
        let change = |description: &mut CardDescription| description.memory_size = memory_size;
        let mut testbed = Testbed::with(PKI.clone(), change, RamMemory::default());
        testbed.card.load_in_factory(&package, true)?;
        testbed.card.load_in_factory(&package, true)
    };
    for (memory_size, why) in [
        (needed - 1, "the card has not enough memory"),
        (needed / 2, "the card has not enough memory"),
        (needed, "the card already has the profile"),
    ] {
        let fault = load(memory_size).unwrap_err().to_string();
        assert!(fault.contains(why), "{memory_size}: {fault}");
    }
}

fn testbed(memory: impl Memory + 'static) -> Testbed {
    Testbed::with(PKI.clone(), |description| description.credentials.truncate(1), memory)
}

fn start() -> Testbed {
    testbed(RamMemory::of(START.clone()))
}

fn terminal_profile(without: &[TerminalCapability]) -> String {
    let facilities = [
        TerminalCapability::PROFILE_DOWNLOAD,
        TerminalCapability::POLL_INTERVAL,
        TerminalCapability::REFRESH,
        TerminalCapability::LOCATION_AND_IMEI,
        TerminalCapability::SET_UP_EVENT_LIST,
        TerminalCapability::EVENT_LOCATION_STATUS,
    ];
    let facilities: Vec<_> = facilities.into_iter().filter(|facility| !without.contains(facility)).collect();
    let profile = TerminalProfile::of(&facilities, 0).0;
    format!("80100000{:02X}{}", profile.len(), hex::encode(profile))
}

/// TERMINAL RESPONSE to a command with these details.
fn respond(testbed: &mut Testbed, details: &str, result: &str, rest: &str) -> String {
    let data = format!("8103{details}82028281 83{:02X}{result}{rest}", result.len() / 2).replace(' ', "");
    testbed.apdu(&format!("80140000{:02X}{data}", data.len() / 2))
}

/// Starts the terminal. The applet requests polling, events and the location, which the terminal
/// does not know yet.
fn switch_on(testbed: &mut Testbed) {
    testbed.expect(&terminal_profile(&[]), "910F");
    testbed.expect(FETCH, "D00D 810302030082028182 8402011E 9000");
    assert_eq!(respond(testbed, "020300", "00", "8402011E"), "910E");
    testbed.expect(FETCH, "D00C 810303050082028182 990103 9000");
    assert_eq!(respond(testbed, "030500", "00", ""), "910B");
    testbed.expect(FETCH, PLI);
    assert_eq!(respond(testbed, "042600", "2004", ""), "9000");
}

fn identity(testbed: &mut Testbed) -> &'static str {
    let usim = "00A4040C0C A0000000871002FF49FF0589";
    let mut file = |fid: &str, length: &str| {
        testbed.expect(usim, "9000");
        testbed.expect(&format!("00A4000C02{fid}"), "9000");
        testbed.read(&format!("00B00000{length}"))
    };
    let (imsi, spn, classes) = (file("6F07", "09"), file("6F46", "11"), file("6F78", "02"));
    let (home, ad) = (file("6F62", "0A"), file("6FAD", "04"));
    testbed.expect(usim, "9000");
    testbed.expect("00A4000C026F42", "9000");
    let centre = testbed.read("00B2010400");
    let impi = {
        testbed.expect("00A4040C0C A0000000871004FF49FF0589", "9000");
        testbed.expect("00A4000C026F02", "9000");
        let impi = hex::decode(testbed.read("00B0000000")).unwrap();
        String::from_utf8_lossy(&impi[2..17]).into_owned()
    };
    let text = |text: &str| hex::encode_upper(text);
    let aka = testbed.card.persistent.enabled_profile().unwrap().content.facts.aka.clone();
    let keys: Vec<u8> = aka.iter().map(|aka| aka.key.expose()[0]).collect();
    assert_eq!(ad, "00000002");
    // Two networks, each followed by its access technologies.
    let networks = (&home[..6], &home[10..16]);
    // All values must belong to the same identity.
    if imsi == "082943510000000021" {
        let all = (classes.as_str(), networks, impi.as_str(), keys.as_slice());
        assert_eq!(all, ("0004", ("32F451", "FFFFFF"), "234150000000012", &[0, 0][..]));
        assert!(spn.contains(&text("Home")) && centre.contains("44770009000"), "{spn} {centre}");
        HOME
    } else {
        let all = (imsi.as_str(), classes.as_str(), networks, impi.as_str(), keys.as_slice());
        let expected =
            ("087942500000000010", "0002", ("27F450", "27F460"), "724050000000001", &[0x20, 0x20][..]);
        assert_eq!(all, expected);
        assert!(spn.contains(&text("Local Brasil")) && centre.contains("551109"), "{spn} {centre}");
        BRAZIL
    }
}

/// Authenticates with the keys of an identity and this sequence number. Returns the first octet of
/// the response.
fn authenticate(testbed: &mut Testbed, identity: &str, seq: u64) -> String {
    let octets = |first: u8| std::array::from_fn(|place| first + u8::try_from(place).unwrap());
    let (k, opc) = if identity == HOME { (octets(0), octets(0x10)) } else { (octets(0x20), octets(0x30)) };
    let sqn = Sqn::from_seq_ind(seq, 0).unwrap();
    let autn = crypto::aka::Algorithm::Milenage(Milenage::new(k, opc)).build_autn(
        &[7; 16],
        sqn,
        Amf::from_bytes([0x80, 0]),
    );
    testbed.expect("00A4040C0C A0000000871002FF49FF0589", "9000");
    let answer =
        testbed.apdu(&format!("0088008122 10{} 10{} 00", hex::encode([7; 16]), hex::encode(autn.to_bytes())));
    answer[..2].to_owned()
}

#[test]
fn in_another_country_an_identity_is_selected_and_a_reset_is_requested() {
    let mut testbed = start();
    switch_on(&mut testbed);
    assert_eq!(identity(&mut testbed), HOME);
    assert_eq!(authenticate(&mut testbed, HOME, 5), "DB");
    testbed.expect(IN_BRITAIN, "9000");
    // The terminal stores network data of the subscriber.
    testbed.expect("00A4040C0C A0000000871002FF49FF0589", "9000");
    for (fid, contents) in [("6F7E", "010203040506070809000A"), ("6F7B", "27F450FFFFFFFFFFFFFFFFFF")] {
        testbed.expect(&format!("00A4000C02{fid}"), "9000");
        testbed.expect(&format!("00D60000{:02X}{contents}", contents.len() / 2), "9000");
    }

    testbed.expect(IN_BRAZIL, "910B");
    // A repeated report has no effect.
    testbed.expect(IN_BRAZIL, "910B");
    testbed.expect(FETCH, REFRESH);
    // Until the reset nothing changes, and the terminal can authenticate.
    assert_eq!(identity(&mut testbed), HOME);
    assert_eq!(authenticate(&mut testbed, HOME, 6), "DB");
    testbed.reset();
    assert_eq!(identity(&mut testbed), BRAZIL);
    testbed.expect("00A4040C0C A0000000871002FF49FF0589", "9000");
    testbed.expect("00A4000C026F7E", "9000");
    assert!(!testbed.read("00B000000B").starts_with("01020304"), "EF.LOCI");
    testbed.expect("00A4000C026F7B", "9000");
    assert_eq!(testbed.read("00B000000C"), "FF".repeat(12), "EF.FPLMN");
    assert_eq!(authenticate(&mut testbed, BRAZIL, 1), "DB");
    assert_eq!(authenticate(&mut testbed, HOME, 7), "98");

    // After the return to the first identity, the counters of each key continue.
    switch_on(&mut testbed);
    testbed.expect(IN_BRAZIL, "9000");
    testbed.expect(IN_BRITAIN, "910B");
    testbed.expect(FETCH, REFRESH);
    testbed.reset();
    assert_eq!(identity(&mut testbed), HOME);
    assert_eq!(authenticate(&mut testbed, HOME, 6), "DC", "a challenge is valid only once");
    assert_eq!(authenticate(&mut testbed, HOME, 7), "DB");
}

#[test]
fn without_refresh_the_identity_changes_at_the_next_reset() {
    let mut testbed = start();
    testbed
        .expect(&terminal_profile(&[TerminalCapability::REFRESH, TerminalCapability::POLL_INTERVAL]), "910E");
    testbed.expect(FETCH, "D00C 810302050082028182 990103 9000");
    assert_eq!(respond(&mut testbed, "020500", "00", ""), "910B");
    testbed.expect(FETCH, "D009 810303260082028182 9000");
    // The terminal knows its location and has normal service.
    assert_eq!(respond(&mut testbed, "032600", "00", LIMITED_IN_BRAZIL[1]), "9000");
    assert_eq!(identity(&mut testbed), HOME);
    testbed.reset();
    assert_eq!(identity(&mut testbed), BRAZIL);
}

#[test]
fn after_a_refused_refresh_the_identity_changes_at_the_next_reset() {
    for (result, next) in [("30", "9000"), ("2001", "910B")] {
        let mut testbed = start();
        switch_on(&mut testbed);
        testbed.expect(IN_BRAZIL, "910B");
        testbed.expect(FETCH, REFRESH);
        assert_eq!(respond(&mut testbed, "010104", result, ""), "9000");
        // After a temporary failure, REFRESH is announced again with the next command; after a
        // permanent failure, it is not.
        testbed.expect("80F2000C", next);
        testbed.expect(FETCH, if next == "910B" { REFRESH } else { "6985" });
        assert_eq!(identity(&mut testbed), HOME);
        testbed.reset();
        assert_eq!(identity(&mut testbed), BRAZIL);
    }
}

#[test]
fn a_selected_identity_survives_a_loss_of_power() {
    let memory = RamMemory::of(START.clone());
    let mut before = testbed(memory.clone());
    switch_on(&mut before);
    before.expect(IN_BRAZIL, "910B");
    drop(before);
    let mut after = testbed(memory);
    after.reset();
    assert_eq!(identity(&mut after), BRAZIL);
}

/// The number of resets is limited, and in the end the profile's own identity is in use.
#[test]
fn a_rejected_identity_is_replaced_by_the_default_after_three_attempts() {
    let mut testbed = start();
    let mut resets = 0;
    for _ in 0..20 {
        switch_on(&mut testbed);
        // The network accepts the profile's own identity and always rejects the one for the
        // country.
        let refresh = if identity(&mut testbed) == HOME {
            testbed.apdu(IN_BRAZIL)
        } else {
            testbed.expect(LIMITED, "910B");
            testbed.expect(FETCH, "D009 810305260082028182 9000");
            respond(&mut testbed, "052600", LIMITED_IN_BRAZIL[0], LIMITED_IN_BRAZIL[1])
        };
        if refresh == "910B" {
            testbed.expect(FETCH, REFRESH);
            resets += 1;
        }
        testbed.reset();
    }
    assert_eq!((identity(&mut testbed), resets), (HOME, 6), "three attempts");
    // After a day of STATUS commands the identity is tried again.
    switch_on(&mut testbed);
    for _ in 0..2880 {
        testbed.expect("80F2000C", "9000");
    }
    testbed.expect(IN_BRAZIL, "910B");
}

#[test]
fn an_identity_without_service_is_abandoned_after_ten_minutes() {
    let mut testbed = start();
    switch_on(&mut testbed);
    testbed.expect(IN_BRAZIL, "910B");
    testbed.expect(FETCH, REFRESH);
    testbed.reset();
    switch_on(&mut testbed);
    testbed.expect("80C200000C D60A 990103 82028281 9B0102", "9000");
    for _ in 1..20 {
        testbed.expect("80F2000C", "9000");
    }
    testbed.expect("80F2000C", "910B");
    testbed.expect(FETCH, REFRESH);
    testbed.reset();
    assert_eq!(identity(&mut testbed), HOME);
}

#[test]
fn an_unusable_identities_file_has_no_effect() {
    for table in ["00", "A0", "A0FF", "A08400000000", "FFFF", "A00B8109082943510000000021"] {
        let mut testbed = start();
        let profile = testbed.card.persistent.enabled_profile_mut().unwrap();
        let file = profile.content.files.by_path(&[profile::Fid(0x7F4D), profile::Fid(0x6F1D)]).unwrap();
        let contents = profile.content.files.content_mut(file).unwrap();
        contents.fill(0xFF);
        let table = hex::decode(table).unwrap();
        contents[..table.len()].copy_from_slice(&table);
        switch_on(&mut testbed);
        testbed.expect(IN_BRAZIL, "9000");
        testbed.reset();
        assert_eq!(identity(&mut testbed), HOME);
    }
}

#[test]
fn the_identities_file_cannot_be_read() {
    let mut testbed = start();
    testbed.expect("00A4080C047F4D6F1D", "9000");
    testbed.expect("00B0000001", "6982");
    // The administrator can write it, but not read it.
    testbed.expect("0020000A083535353535353535", "9000");
    testbed.expect("00B0000001", "6982");
    testbed.expect("00D6000001A0", "9000");
}

/// A journey to Brazil and back. The responses are ignored, because the power may be cut.
fn journey(testbed: &mut Testbed) {
    for place in [IN_BRITAIN, IN_BRAZIL, IN_BRAZIL, IN_BRITAIN] {
        testbed.apdu(&terminal_profile(&[]));
        while testbed.apdu("80F2000C").starts_with("91") {
            let fetched = testbed.apdu(FETCH);
            let Some(details) = fetched.get(8..14).map(str::to_owned) else { break };
            if details == "010104" {
                break;
            }
            respond(testbed, &details, "30", "");
        }
        testbed.apdu(place);
        testbed.apdu(FETCH);
        testbed.reset();
    }
}

#[test]
fn after_a_power_cut_at_any_write_the_active_identity_authenticates() {
    let whole = CutMemory::intact(START.clone());
    journey(&mut testbed(whole.clone()));
    let mut states = vec![START.clone()];
    states.extend(whole.written());
    assert!(states.len() > 4, "both changes must be made");
    let mut seen = Vec::new();
    for write in 0..whole.writes() {
        for after in [false, true] {
            let memory = CutMemory::new(START.clone(), write, after);
            journey(&mut testbed(memory.clone()));
            assert!(memory.cells() == states[write + usize::from(after)], "write {write}");
            let mut testbed = testbed(RamMemory::of(memory.cells()));
            let now = identity(&mut testbed);
            seen.push(now);
            assert_eq!(authenticate(&mut testbed, now, 9), "DB", "write {write}, {now}");
            // The identity can still be changed.
            switch_on(&mut testbed);
            testbed.apdu(IN_BRAZIL);
            testbed.reset();
            assert_eq!(identity(&mut testbed), BRAZIL, "write {write}");
        }
    }
    assert!(seen.contains(&HOME) && seen.contains(&BRAZIL), "{seen:?}");
}

#[test]
fn after_a_memory_failure_at_a_reset_the_next_reset_changes_the_identity() {
    let memory = CutMemory::failing(START.clone(), 1, 1);
    let mut testbed = testbed(memory);
    switch_on(&mut testbed);
    testbed.expect(IN_BRAZIL, "910B");
    testbed.reset();
    assert_eq!(identity(&mut testbed), HOME);
    testbed.reset();
    assert_eq!(identity(&mut testbed), BRAZIL);
}

/// Requires `LANDFALL_PYSIM`, the path of a pySim checkout with its dependencies. pySim does not
/// decode location information.
#[test]
#[cfg_attr(not(has_pysim), ignore = "needs LANDFALL_PYSIM, a checkout of pySim")]
fn pysim_decodes_the_commands_the_events_and_the_imsi() {
    let pysim = std::env::var("LANDFALL_PYSIM").unwrap();
    let decode = |program: &str, octets: &str| {
        let imports = "from pySim.cat import *\nfrom pySim.ts_31_102 import EF_IMSI\nfrom osmocom.utils import h2b\nimport sys\n";
        let others = std::env::var("PYTHONPATH").unwrap_or_default();
        let output = std::process::Command::new("python3")
            .env("PYTHONPATH", format!("{pysim}:{others}"))
            .args(["-c", &format!("{imports}{program}"), &octets.replace(' ', "")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let command = "c = ProactiveCommand()\nc.from_tlv(h2b(sys.argv[1]))\nprint(c.to_dict())\n";
    let event = "c = EventDownload()\nc.from_tlv(h2b(sys.argv[1]))\nprint(c.to_dict())\n";
    for (program, octets, expected) in [
        (command, "D00D 810302030082028182 8402011E", "'time_unit': 'seconds', 'time_interval': 30"),
        (command, "D00C 810303050082028182 990103", "'event_list': ['location_status']"),
        (command, &PLI[..PLI.len() - 5], "'provide_local_info', 'command_qualifier': 0"),
        (command, &REFRESH[..REFRESH.len() - 5], "'type_of_command': 'refresh', 'command_qualifier': 4"),
        (event, &LIMITED[10..], "'location_status': 'limited_service'"),
    ] {
        let decoded = decode(program, octets);
        assert!(decoded.contains(expected), "{decoded}");
    }
    let mut testbed = start();
    let imsi = |testbed: &mut Testbed| {
        testbed.expect("00A4040C0C A0000000871002FF49FF0589", "9000");
        testbed.expect("00A4000C026F07", "9000");
        decode("print(EF_IMSI().decode_hex(sys.argv[1]))", &testbed.read("00B0000009"))
    };
    assert!(imsi(&mut testbed).contains("234150000000012"));
    switch_on(&mut testbed);
    testbed.expect(IN_BRAZIL, "910B");
    testbed.reset();
    assert!(imsi(&mut testbed).contains("724050000000001"));
}
