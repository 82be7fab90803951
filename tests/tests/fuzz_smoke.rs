//! Mutated octets at every door. Nothing panics, everything is answered. The seed is printed; LANDFALL_SEED repeats a run
//! and LANDFALL_FUZZ_ROUNDS says how long.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

use std::sync::Arc;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use euicc_sim::card::Card;
use http::{Request, StatusCode};
use profile::{Capabilities, InstalledProfile, Package};
use rsp::{
    der::Asn1,
    ids::{Aid, Version},
    sgp22::{
        EuiccInfo1, PendingNotification, asn1,
        es8plus::{BoundProfilePackage, loading_pieces},
        es9plus,
        es10b::{AuthenticateServerRequest, AuthenticateServerResponse, PrepareDownloadResponse},
    },
};
use serde::de::DeserializeOwned;
use sm_dp::{Config, Credentials, SmDpPlus};
use world::{Dice, ManualClock, MemoryRecords, NullEvents, RamMemory, SeededDice, World};

fn seed() -> String {
    let seed = std::env::var("LANDFALL_SEED").unwrap_or_else(|_| "smoke".to_owned());
    println!("seed: LANDFALL_SEED={seed}");
    seed
}

fn rounds() -> usize {
    std::env::var("LANDFALL_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(500)
}

/// The seeded hand that spoils octets.
struct Hand(SeededDice);

impl Hand {
    fn number(&self, below: usize) -> usize {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        usize::try_from(u64::from_be_bytes(octets) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    /// Up to four bits flipped, octets cut out, repeated, made up or cut off.
    fn spoil(&self, octets: &[u8]) -> Vec<u8> {
        let mut spoiled = octets.to_vec();
        for _ in 0..=self.number(4) {
            let at = self.number(spoiled.len());
            match self.number(6) {
                0 if !spoiled.is_empty() => spoiled[at] ^= 1 << self.number(8),
                1 => spoiled.truncate(at),
                2 if !spoiled.is_empty() => drop(spoiled.remove(at)),
                3 => spoiled.insert(at, u8::try_from(self.number(256)).unwrap()),
                4 => {
                    let piece: Vec<u8> = spoiled.iter().skip(at).take(self.number(40)).copied().collect();
                    let to = self.number(spoiled.len());
                    spoiled.splice(to..to, piece);
                }
                _ if !spoiled.is_empty() => {
                    spoiled[at] = [0x00, 0x7F, 0x80, 0x82, 0x84, 0xFF][self.number(6)]
                }
                _ => {}
            }
        }
        spoiled
    }
}

fn own_package() -> Vec<u8> {
    cli::demo::own_package("724-99", 1, "Smoke").unwrap()
}

#[test]
fn a_spoiled_package_is_read_or_refused() {
    let hand = Hand(SeededDice::from_text(&seed()).branch("package"));
    let whole = own_package();
    let mut read = 0;
    for _ in 0..rounds() {
        if let Ok(package) = Package::decode(&hand.spoil(&whole)) {
            read += usize::from(InstalledProfile::of(&package, &Capabilities::default()).is_ok());
        }
    }
    assert!(read < rounds(), "some of them must be refused");
    assert!(InstalledProfile::of(&Package::decode(&whole).unwrap(), &Capabilities::default()).is_ok());
}

#[test]
fn spoiled_messages_are_read_or_refused() {
    let hand = Hand(SeededDice::from_text(&seed()).branch("messages"));
    let octets = [&[0x30, 0x82, 0x01, 0x00], own_package().as_slice()].concat();
    for _ in 0..rounds() {
        let spoiled = hand.spoil(&octets[hand.number(64)..]);
        for tag in [[0xBF, 0x36], [0xBF, 0x38], [0xBF, 0x21], [0xBF, 0x20], [0xBF, 0x37]] {
            let message = [&tag, spoiled.as_slice()].concat();
            let _ = BoundProfilePackage::from_der(&message);
            let _ = loading_pieces(&message);
            let _ = AuthenticateServerRequest::from_der(&message);
            let _ = AuthenticateServerResponse::from_der(&message);
            let _ = PrepareDownloadResponse::from_der(&message);
            let _ = EuiccInfo1::from_der(&message);
            let _ = PendingNotification::from_der(&message);
        }
    }
}

#[test]
fn the_card_answers_every_apdu_and_lives() {
    let hand = Hand(SeededDice::from_text(&seed()).branch("card"));
    let pki = Pki::from_seed(b"smoke", &PkiOptions::default()).unwrap();
    let eid = cli::parties::default_eid(&pki).unwrap();
    let world = World::new(
        ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()),
        SeededDice::from_text(&seed()).branch("challenge"),
    );
    let description = cli::parties::card_description(&pki, eid).unwrap();
    let mut card = Card::open(description, RamMemory::default(), world).unwrap();
    let select = [&[0x01, 0xA4, 0x04, 0x00, 0x10], Aid::ISD_R.as_slice()].concat();
    let open = vec![0x00, 0x70, 0x00, 0x00, 0x01];
    let store = |tlv: &[u8]| [&[0x81, 0xE2, 0x91, 0x00, u8::try_from(tlv.len()).unwrap()], tlv].concat();
    let known = [
        open.clone(),
        select.clone(),
        store(&[0xBF, 0x2E, 0x00]),
        store(&[0xBF, 0x20, 0x00]),
        store(&[0xBF, 0x2D, 0x00]),
        store(&[0xBF, 0x31, 0x03, 0xA0, 0x00, 0x81]),
        store(&[0xBF, 0x38, 0x04, 0x30, 0x02, 0x80, 0x00]),
        store(&[0xBF, 0x36, 0x04, 0xBF, 0x23, 0x01, 0x00]),
        vec![0x00, 0xA4, 0x00, 0x04, 0x02, 0x3F, 0x00],
        vec![0x00, 0xB0, 0x00, 0x00, 0x00],
        vec![0x80, 0xF2, 0x00, 0x00, 0x00],
    ];
    for _ in 0..rounds() {
        // Mostly on an open channel with the ISD-R selected, where there is most to break.
        card.transmit(&open);
        card.transmit(&select);
        let answer = card.transmit(&hand.spoil(&known[hand.number(known.len())]));
        assert!(answer.len() >= 2, "every APDU has a status word");
    }
    card.reset();
    assert_eq!(card.transmit(&open), [0x01, 0x90, 0x00]);
    let answer = card.transmit(&select);
    assert!(matches!(answer.as_slice(), [.., 0x90, 0x00] | [0x61, _]), "{answer:02X?}");
}

#[tokio::test]
async fn the_sm_dp_plus_answers_every_request() {
    let hand = Hand(SeededDice::from_text(&seed()).branch("sm-dp"));
    let pki = Pki::from_seed(b"smoke", &PkiOptions::default()).unwrap();
    let world = World::new(
        ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()),
        SeededDice::from_text(&seed()).branch("transaction"),
    );
    let config = Config::new("smdp.example.com".parse().unwrap());
    let credentials = Credentials::from_pki(&pki).unwrap();
    let server =
        SmDpPlus::new(config, credentials, Arc::new(MemoryRecords::default()), world, Arc::new(NullEvents));
    let bodies = [
        r#"{"euiccChallenge":"AAAAAAAAAAAAAAAAAAAAAA==","euiccInfo1":"vyAJggMCAgCpAKoA","smdpAddress":"smdp.example.com"}"#,
        r#"{"transactionId":"0102","authenticateServerResponse":"vzgXoRWAEAECAwQFBgcICQoLDA0ODxACAX8="}"#,
        r#"{"transactionId":"0102","prepareDownloadResponse":"vyEXoRWAEAECAwQFBgcICQoLDA0ODxACAQQ="}"#,
        r#"{"transactionId":"0102","cancelSessionResponse":"v0EDgQEF"}"#,
        r#"{"pendingNotification":"MAA="}"#,
    ];
    let functions = [
        "initiateAuthentication",
        "authenticateClient",
        "getBoundProfilePackage",
        "cancelSession",
        "handleNotification",
    ];
    for _ in 0..rounds() {
        let which = hand.number(functions.len());
        let request = Request::post(format!("/gsma/rsp2/es9plus/{}", functions[which]))
            .header("content-type", "application/json")
            .header("x-admin-protocol", "gsma/rsp/v2.2.0")
            .body(Bytes::from(hand.spoil(bodies[hand.number(bodies.len())].as_bytes())))
            .unwrap();
        let status = server.handle(request).await.status();
        assert!(
            [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST].contains(&status),
            "{status} to {}",
            functions[which]
        );
    }

    // The same four in the ASN.1 binding.
    fn asn1_body<T: DeserializeOwned + Asn1>(json: &str) -> Bytes {
        asn1::request(Version([2, 2, 0]), &serde_json::from_str::<T>(json).unwrap()).into_body()
    }
    let bodies = [
        asn1_body::<es9plus::InitiateAuthenticationRequest>(bodies[0]),
        asn1_body::<es9plus::AuthenticateClientRequest>(bodies[1]),
        asn1_body::<es9plus::GetBoundProfilePackageRequest>(bodies[2]),
        asn1_body::<es9plus::CancelSessionRequestEs9>(bodies[3]),
    ];
    for _ in 0..rounds() {
        let request = Request::post(asn1::PATH)
            .header("content-type", asn1::CONTENT_TYPE)
            .header("x-admin-protocol", "gsma/rsp/v2.2.0")
            .body(Bytes::from(hand.spoil(&bodies[hand.number(bodies.len())])))
            .unwrap();
        let status = server.handle(request).await.status();
        assert!(
            [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST].contains(&status),
            "{status}"
        );
    }
}
