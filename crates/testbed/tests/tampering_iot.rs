//! Injection of every fault of the family `tamper` between an IoT device and its eIM. Such a fault is a
//! false statement that a party makes under its own valid keys. The peer must refuse the statement with
//! the answer in the catalogue. Afterwards, card, eIM and SM-DP+ must agree, and the eIM must still be
//! able to manage the card.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the matrix uses more of it")]
mod iot_journey;

use std::time::Duration;

use faults::catalogue::{self, Entry};
use faults::{FalseStatement, FaultId};
use iot_journey::{Journey, Prepared};
use tokio::time::sleep;
use world::Outcome;

/// Time between two polls of the device.
const POLL: Duration = Duration::from_secs(600);

/// Maximum number of polls until everything agrees.
const POLLS: u32 = 9;

/// Injects the fault once, and returns an error if the outcome is wrong.
fn try_fault(entry: &Entry, function: &str, prepared: &Prepared) -> Result<(), String> {
    prepared.run(async |mut iot, executed| {
        iot.faults.install(format!("{}@{function}#1", entry.name).parse().unwrap());
        iot.events.take();
        let (mut said, mut wrong) = (String::new(), Vec::new());
        for _ in 0..POLLS {
            let report = iot.check_in().await;
            said.push_str(&format!("{report:?}\n"));
            wrong = prepared.wrong(&mut iot, &executed).await;
            if wrong.is_empty() {
                break;
            }
            sleep(POLL).await;
        }
        for event in iot.events.all() {
            if let Outcome::Refused(why) | Outcome::Failed(why) = &event.outcome {
                said.push_str(&format!("{} {}: {why}\n", event.party, event.function));
            }
        }
        if iot.faults.injected_count() != 1 {
            return Err(format!("the fault was not injected: {said}"));
        }
        if !said.contains(&entry.answer) {
            return Err(format!("no party answered {:?}: {said}", entry.answer));
        }
        if !wrong.is_empty() {
            return Err(format!("{}; {said}", wrong.join("; ")));
        }
        iot.faults.clear();
        prepared.can_still_be_managed(&mut iot, &executed, false).await
    })
}

#[test]
fn every_false_statement_on_esipa_has_the_answer_in_the_catalogue_and_no_lasting_effect() {
    let (direct, indirect) = (Prepared::new(Journey::Direct), Prepared::new(Journey::Indirect));
    let coap = Prepared::new(Journey::Coap);
    let mut tried = 0;
    let mut wrong = String::new();
    for entry in catalogue::all() {
        let FaultId::Tamper(FalseStatement::Eim(_) | FalseStatement::Iot(_)) = entry.id else { continue };
        for function in entry.places.forms().split(", ") {
            let journeys = match function {
                "ESipa.InitiateAuthentication" | "ESipa.AuthenticateClient" => vec![&indirect],
                _ => vec![&direct, &coap],
            };
            for prepared in journeys {
                tried += 1;
                if let Err(why) = try_fault(entry, function, prepared) {
                    wrong.push_str(&format!("{}@{function}: {why}\n\n", entry.name));
                }
            }
        }
    }
    assert!(tried >= 40 && wrong.is_empty(), "{tried} faults:\n{wrong}");
}
