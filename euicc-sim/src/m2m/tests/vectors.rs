//! Comparison of the card, octet by octet, with worked examples of key establishment scenario 3 and
//! of SCP03t for SGP.02. The examples were computed independently of this project's code.

use profile::{EuiccResponse, PeStatusCode};
use rsp::der::Asn1;
use rsp::ota::script::Chaining;
use world::{RamMemory, Random};

use super::oce::{Host, Plan, derive, establish, initialize_update, tlvs};
use super::testbed::{NEW, Testbed, unhex};

/// A random source that returns 00 to 0F repeatedly.
struct Counting;

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        (0..16).cycle().zip(bytes).for_each(|(number, octet)| *octet = number);
    }
}

fn testbed(isd_p: u16) -> Testbed {
    let mut testbed = Testbed::with_random(|_| {}, RamMemory::default(), Counting);
    if isd_p == 0x11 {
        testbed.expect(&format!("80E40040124F10{}", super::testbed::aid(0x11)), "9000");
    }
    assert_eq!(testbed.create(isd_p, None), "009000");
    testbed
}

fn keys_of(testbed: &Testbed, isd_p: u16, version: u8) -> Vec<String> {
    let isd_p = testbed.state().isd_p(&rsp::ids::Aid::isd_p(isd_p)).unwrap();
    let set = isd_p.key_set(version).unwrap();
    set.keys.iter().map(|key| hex::encode(key.value.expose())).collect()
}

#[test]
fn scenario_3_without_a_random_value_of_the_card() {
    let mut testbed = testbed(NEW);
    let plan = Plan::for_isd_p(NEW);
    assert_eq!(hex::encode(plan.crt()), "a615900203099501108001888101108201018301309100");
    let (_, answer) = establish(&mut testbed, &plan);
    assert_eq!(answer, "861064E6D742F0583A58A9D74821E3C0304B9000");
    let keys = [
        "c40b97be5c644ba3e2d06dac8747a6f3",
        "5a4122852513f84be078b80c68056a4f",
        "4ea9e6b34e49d419d81c095927a800e4",
    ];
    assert_eq!(keys_of(&testbed, NEW, 0x30), keys);
    // The off-card entity of the other tests derives the same keys.
    let (receipt, derived) = derive(&plan, &[], &[]);
    assert_eq!(hex::encode(receipt), "64e6d742f0583a58a9d74821e3c0304b");
    assert_eq!(derived.iter().map(hex::encode).collect::<Vec<_>>(), keys);
}

#[test]
fn scenario_3_with_a_random_value_of_the_card() {
    let mut testbed = testbed(NEW);
    let (_, answer) = establish(&mut testbed, &Plan { scenario: 0x0B, ..Plan::for_isd_p(NEW) });
    assert_eq!(answer, "8510000102030405060708090A0B0C0D0E0F861037DFE69D0E8D3FFA2309F6D5827B3D1D9000");
    assert_eq!(
        keys_of(&testbed, NEW, 0x30),
        [
            "3ef9de61436e79e678d15459f2df5de0",
            "e6e0ea49cdd5d931745a3614655aff70",
            "077c8f478632387f8e28e7a0656fc6d9"
        ]
    );
}

#[test]
fn scp03t_matches_the_worked_example() {
    let mut testbed = testbed(0x11);
    establish(&mut testbed, &Plan::for_isd_p(0x11));
    let command = initialize_update(0x30);
    assert_eq!(hex::encode(&command), "840a30000102030405060708");
    let answer = tlvs(&mut testbed, 0x11, Some(Chaining::First), &[command]).concat();
    assert_eq!(answer.to_lowercase(), "842000000000000000000000300370ce2811c576f5fbb04cdbf8607d8abd6c000001");
    // Everything that the host sends is copied from the example.
    let authenticate = unhex("851133b2169b5a8e068107e9b7d2041530b344");
    assert_eq!(tlvs(&mut testbed, 0x11, Some(Chaining::Following), &[authenticate]), ["8500"]);
    let segment = unhex("86189861d386b19dfe3779395c3c9373eff56d36468ae290cb2f");
    let refusal = tlvs(&mut testbed, 0x11, Some(Chaining::Last), &[segment]).concat();

    // The off-card entity of the other tests produces the same octets.
    let keys = derive(&Plan::for_isd_p(0x11), &[], &[]).1.try_into().unwrap();
    let mut host = Host::new(keys, 0x11, &unhex(&answer[4..]));
    assert_eq!(hex::encode(host.authenticate(0x33)), "851133b2169b5a8e068107e9b7d2041530b344");
    assert_eq!(
        hex::encode(host.segment(&unhex("a0058001018101"))),
        "86189861d386b19dfe3779395c3c9373eff56d36468ae290cb2f"
    );
    // The plaintext is an invalid profile header, so the secured response of the card is an error.
    let response = EuiccResponse::from_der(&host.response(&unhex(&refusal))).unwrap();
    assert_eq!(response.pe_status[0].status, PeStatusCode::INVALID_REQUEST_FORMAT);
}
