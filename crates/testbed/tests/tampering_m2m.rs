//! Injection of every fault of the family `tamper` between servers of SGP.02. Such a fault is a false
//! statement that a party makes under its own valid keys. The peer must refuse the statement with
//! the answer in the catalogue. Afterwards, card and servers must agree, and it must still be
//! possible to move the device.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use certs::{Pki, PkiOptions};
use faults::catalogue::{self, Entry};
use faults::{FalseM2mStatement, FalseStatement, FaultId};
use rsp::time::Timestamp;
use testbed::m2m::{Bearer, M2m, Setup, Start};
use testbed::time::run;
use world::Outcome;

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// Validity period of all functions.
const VALIDITY: Duration = Duration::from_secs(3600);

/// Time within which card and servers must agree. It is long enough for the daily checks of the
/// SM-SR and the SM-DP.
const AGREE: Duration = Duration::from_secs(2 * 86_400);

/// All refusals and failures of the run.
fn refusals(run: &M2m) -> String {
    let events = run.events.all();
    let refused = events.iter().filter_map(|event| match &event.outcome {
        Outcome::Refused(why) | Outcome::Failed(why) => {
            Some(format!("\n{} {}: {why}", event.party, event.function))
        }
        _ => None,
    });
    refused.collect()
}

/// Injects the fault and returns an error if the outcome is wrong.
fn try_fault(
    entry: &Entry,
    statement: FalseM2mStatement,
    setup: &Setup,
    start: &Start,
) -> Result<(), String> {
    run("tampering", BEGIN.plus(Duration::from_secs(3600)), async |simulation| {
        let run = M2m::begin(&simulation, setup, start).map_err(|why| why.to_string())?;
        let began = run.until(Duration::from_secs(300), |truth| truth.is_registered).await;
        began.map_err(|why| why.to_string())?;
        run.events.take();
        run.faults.install(format!("{}@{}#1", entry.name, entry.places.forms()).parse().unwrap());
        let answer = run.download(true, VALIDITY).await.map_err(|why| why.to_string())?;
        let said = format!("{}{}", answer.base.function_execution_status, refusals(&run));
        if run.faults.injected_count() != 1 {
            return Err(format!("the fault was not injected: {said}"));
        }
        // If only the enabling fails, the profile is on the card, and the download succeeds with a
        // warning.
        let is_there = statement == FalseM2mStatement::NotEnabled;
        if answer.base.is_done() != is_there || !said.contains(&entry.answer) {
            return Err(format!("no party answered {:?}: {said}", entry.answer));
        }
        run.faults.clear();
        let is_well = run.until(AGREE, |truth| truth.wrong(start.bootstrap, start.local).is_empty()).await;
        is_well.map_err(|why| format!("{why}; {said}"))?;
        let truth = run.truth().await.map_err(|why| why.to_string())?;
        if truth.has(start.local) != is_there {
            return Err(format!("on the card: {:?}; {said}", truth.card));
        }
        if !truth.has(start.local) {
            let again = run.download(true, VALIDITY).await.map_err(|why| why.to_string())?;
            let truth = run.truth().await.map_err(|why| why.to_string())?;
            let wrong = truth.wrong(start.bootstrap, start.local);
            if !again.base.is_done() || !wrong.is_empty() {
                let status = again.base.function_execution_status;
                return Err(format!("cannot be moved any more: {status}; {}; {said}", wrong.join("; ")));
            }
        }
        Ok(())
    })
    .map_err(|fault| fault.to_string())?
}

#[test]
fn every_false_statement_between_servers_is_refused_with_the_answer_in_the_catalogue() {
    let pki = Arc::new(Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap());
    let setup = Setup::new(pki, Bearer::Sms);
    let start = run("tampering", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
    let start = start.unwrap().unwrap();
    let mut tried = 0;
    let mut wrong = String::new();
    for entry in catalogue::all() {
        let FaultId::Tamper(FalseStatement::M2m(statement)) = entry.id else { continue };
        tried += 1;
        if let Err(why) = try_fault(entry, statement, &setup, &start) {
            wrong.push_str(&format!("{}: {why}\n\n", entry.name));
        }
    }
    assert!(tried >= 20 && wrong.is_empty(), "{tried} faults:\n{wrong}");
}
