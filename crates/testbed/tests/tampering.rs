//! Injection of every fault of the family `tamper` in SGP.22. Such a fault is a false statement
//! that a party makes under its own valid keys. The peer must refuse the statement with the answer
//! in the catalogue, the statement must have no other effect, and afterwards everything must work
//! again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::Duration;

use device::Ending;
use device::lpa::{Consent, Decision, DownloadOptions};
use faults::catalogue::{self, Entry};
use faults::{FalseCardStatement, FalseStatement, Family, FaultId};
use testbed::consumer::{Consumer, Start};
use testbed::time::run;
use world::Outcome;

mod support;

use support::{BEGIN, SETUP, abroad, can_still_be_moved, deliver, needs_a_reconciler};

static START: LazyLock<Start> = LazyLock::new(|| {
    run("tampering", BEGIN, async |simulation| Start::prepare(&simulation, &SETUP).await).unwrap().unwrap()
});

fn tamper_faults() -> impl Iterator<Item = &'static Entry> {
    use FalseStatement::{Eim, Iot, M2m};
    let is_of_sgp22 = |entry: &&Entry| !matches!(entry.id, FaultId::Tamper(M2m(_) | Eim(_) | Iot(_)));
    catalogue::all().filter(move |entry| entry.id.family() == Family::Tamper && is_of_sgp22(entry))
}

/// A false statement in one function, or the same one in every function that can contain it.
#[derive(Clone, Debug)]
struct TamperCase {
    entry: &'static Entry,
    place: &'static str,
    /// The expected refusal.
    answer: &'static str,
}

fn all() -> Vec<TamperCase> {
    let mut all = Vec::new();
    for entry in tamper_faults() {
        let functions: Vec<_> = entry.places.forms().split(", ").collect();
        let is_of_metadata = matches!(entry.id, FaultId::Tamper(FalseStatement::Metadata(_)));
        for place in &functions {
            let answer =
                if is_of_metadata { answer_to_one_function(entry, place) } else { entry.answer.as_str() };
            all.push(TamperCase { entry, place, answer });
        }
        if is_of_metadata && functions.len() > 1 {
            all.push(TamperCase { entry, place: "ES9+", answer: &entry.answer });
        }
    }
    all
}

/// The expected answer to false metadata in only one function. If the metadata has a false policy
/// rule in AuthenticateClient, the LPA refuses it at once. Otherwise the LPA finds that the
/// metadata of AuthenticateClient and of the package differ.
fn answer_to_one_function(entry: &'static Entry, place: &str) -> &'static str {
    match entry.answer.starts_with("ppr") && place.ends_with("AuthenticateClient") {
        true => &entry.answer,
        false => "metadata-mismatch(4)",
    }
}

impl TamperCase {
    fn act(&self) -> FalseStatement {
        match self.entry.id {
            FaultId::Tamper(act) => act,
            _ => panic!("the entry is not of the family tamper"),
        }
    }

    fn is_of_cancelling(&self) -> bool {
        self.place.ends_with("CancelSession")
    }

    /// True if the message is sent after the installation.
    fn is_afterwards(&self) -> bool {
        self.place.ends_with("HandleNotification")
    }
}

/// All refusals and failures of the run.
fn refusals(run: &Consumer, ending: Option<&Ending>) -> String {
    let mut said = match ending {
        Some(Ending::NotInstalled(why)) => why.to_string(),
        ending => format!("{ending:?}"),
    };
    for event in run.events.all() {
        if let Outcome::Refused(why) | Outcome::Failed(why) = &event.outcome {
            said.push_str(&format!("\n{} {}: {why}", event.party, event.function));
        }
    }
    said
}

/// Injects the fault and returns an error if the outcome is wrong.
fn try_case(case: &TamperCase) -> Result<(), String> {
    run("tampering", BEGIN, async |simulation| {
        let TamperCase { entry, place, answer } = case;
        let mut run = abroad(&simulation, &START).await;
        let when = match case.act() {
            // The fault happens once in each of the two functions.
            _ if *place == "ES9+" => "#1-2",
            // The first notification concerns the bootstrap profile.
            FalseStatement::Card(FalseCardStatement::NotificationDeleted) => "#2",
            _ => "#1",
        };
        run.faults.install(format!("{}@{place}{when}", entry.name).parse().unwrap());
        run.events.take();
        let consent = match case.is_of_cancelling() {
            true => Consent::Ask(Box::new(|_| Decision::Postpone)),
            false => Consent::Given,
        };
        let options = DownloadOptions { consent, ..DownloadOptions::default() };
        let ending = run.move_to_local(&START.code, options).await;
        let said = refusals(&run, ending.as_ref());
        if run.faults.injected_count() == 0 {
            return Err(format!("the fault was not injected: {said}"));
        }
        if !said.contains(answer) {
            return Err(format!("no party answered {answer:?}: {said}"));
        }
        let truth = run.truth().await.map_err(|why| why.to_string())?;
        let is_installed = truth.has(START.local);
        // If the session is unknown to the server, the device starts a new session, in which the
        // fault does not happen.
        let is_begun_again = answer.starts_with("8.10.1") && !case.is_of_cancelling();
        if is_installed != (case.is_afterwards() || is_begun_again) {
            return Err(format!("on the card: {:?}; {said}", truth.profiles));
        }
        if !is_installed && truth.installations > 0 {
            return Err(format!("the server has recorded an installation: {truth:?}"));
        }

        run.faults.clear();
        run.settle(Duration::from_secs(600)).await.map_err(|why| why.to_string())?;
        deliver(&mut run).await?;
        let truth = run.truth().await.map_err(|why| why.to_string())?;
        let mut wrong = truth.wrong(START.bootstrap, START.local);
        if needs_a_reconciler(case.act()) {
            if wrong.is_empty() {
                return Err("the reconciler has nothing to find".to_owned());
            }
            // The next notification of the card shows that the profile was not deleted.
            let back = run.device.switch_to(START.bootstrap, Some(START.local)).await;
            if !matches!(back.ending, Ending::Moved(_)) {
                return Err(format!("{:?}", back.ending));
            }
            deliver(&mut run).await?;
            wrong = run.truth().await.map_err(|why| why.to_string())?.wrong(START.bootstrap, START.local);
        }
        if !wrong.is_empty() {
            return Err(format!("{}; {said}", wrong.join("; ")));
        }
        if !truth.has(START.local) {
            can_still_be_moved(&mut run, &START, truth.state).await?;
        }
        Ok(())
    })
    .map_err(|fault| fault.to_string())?
}

#[test]
fn every_false_statement_is_refused_with_the_answer_in_the_catalogue() {
    let all = all();
    assert!(tamper_faults().count() >= 40);
    // A run in virtual time cannot be started inside another one.
    LazyLock::force(&START);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let work: Vec<_> = all
            .chunks(all.len().div_ceil(threads))
            .map(|share| {
                scope.spawn(move || {
                    let tried = share.iter().map(|case| (case, try_case(case)));
                    tried.filter_map(|(case, result)| Some((case, result.err()?))).collect::<Vec<_>>()
                })
            })
            .collect();
        work.into_iter().flat_map(|work| work.join().unwrap()).collect()
    });
    let failures: String =
        wrong.iter().map(|(case, why)| format!("{}@{}: {why}\n\n", case.entry.name, case.place)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{failures}", wrong.len(), all.len());
}
