//! Every lie of SGP.22: it is told, the peer says no in the very word that the catalogue has, nothing is changed by it
//! that must not be, and afterwards all goes well again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

use std::sync::LazyLock;
use std::time::Duration;

use device::Ending;
use device::lpa::{Consent, Decision, DownloadOptions};
use faults::catalogue::{self, Entry};
use faults::{CardLie, Family, FaultId, LieAct};
use scenario::consumer::{Consumer, Start};
use scenario::time::run;
use world::Outcome;

mod support;

use support::{BEGIN, SETUP, abroad, can_still_be_moved, deliver, needs_a_reconciler};

static START: LazyLock<Start> = LazyLock::new(|| {
    run("lies", BEGIN, async |simulation| Start::prepare(&simulation, &SETUP).await).unwrap().unwrap()
});

fn lies() -> impl Iterator<Item = &'static Entry> {
    let is_of_m2m = |entry: &&Entry| matches!(entry.id, FaultId::Lie(LieAct::M2m(_)));
    catalogue::all().filter(move |entry| entry.id.family() == Family::Lie && !is_of_m2m(entry))
}

/// A lie, told in one function; or in all of its functions, so that it agrees with itself.
#[derive(Clone, Debug)]
struct Told {
    entry: &'static Entry,
    place: &'static str,
    /// The word of refusal.
    answer: &'static str,
}

fn all() -> Vec<Told> {
    let mut all = Vec::new();
    for entry in lies() {
        let functions: Vec<_> = entry.places.forms().split(", ").collect();
        let is_of_metadata = matches!(entry.id, FaultId::Lie(LieAct::Metadata(_)));
        for place in &functions {
            let answer = if is_of_metadata { told_alone(entry, place) } else { entry.answer };
            all.push(Told { entry, place, answer });
        }
        if is_of_metadata && functions.len() > 1 {
            all.push(Told { entry, place: "ES9+", answer: entry.answer });
        }
    }
    all
}

/// What the LPA objects to in an offer it says at once; otherwise offer and package differ.
fn told_alone(entry: &Entry, place: &str) -> &'static str {
    match entry.answer.starts_with("ppr") && place.ends_with("AuthenticateClient") {
        true => entry.answer,
        false => "metadata-mismatch(4)",
    }
}

impl Told {
    fn act(&self) -> LieAct {
        match self.entry.id {
            FaultId::Lie(act) => act,
            _ => panic!("no lie"),
        }
    }

    fn is_of_cancelling(&self) -> bool {
        self.place.ends_with("CancelSession")
    }

    /// What is told once the profile is on the card.
    fn is_afterwards(&self) -> bool {
        self.place.ends_with("HandleNotification")
    }
}

/// Everything that anybody said no with.
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

/// What is wrong with what came of a lie.
fn try_lie(told: &Told) -> Result<(), String> {
    run("lies", BEGIN, async |simulation| {
        let Told { entry, place, answer } = told;
        let mut run = abroad(&simulation, &START).await;
        let when = match told.act() {
            // Told in all of its functions it is told twice.
            _ if *place == "ES9+" => "#1-2",
            // The first is of the profile that the device has come with.
            LieAct::Card(CardLie::NotificationDeleted) => "#2",
            _ => "#1",
        };
        run.mishaps.put(format!("{}@{place}{when}", entry.name).parse().unwrap());
        run.events.take();
        let consent = match told.is_of_cancelling() {
            true => Consent::Ask(Box::new(|_| Decision::Postpone)),
            false => Consent::Given,
        };
        let options = DownloadOptions { consent, ..DownloadOptions::default() };
        let ending = run.move_to_local(&START.code, options).await;
        let said = refusals(&run, ending.as_ref());
        if run.mishaps.strikes() == 0 {
            return Err(format!("was not told: {said}"));
        }
        if !said.contains(answer) {
            return Err(format!("nobody said {answer:?}: {said}"));
        }
        let truth = run.truth().await.map_err(|why| why.to_string())?;
        let is_installed = truth.has(START.local);
        // A session that is not known is begun again, without the lie.
        let is_begun_again = answer.starts_with("8.10.1") && !told.is_of_cancelling();
        if is_installed != (told.is_afterwards() || is_begun_again) {
            return Err(format!("on the card: {:?}; {said}", truth.profiles));
        }
        if !is_installed && truth.installations > 0 {
            return Err(format!("the server believes in an installation: {truth:?}"));
        }

        run.mishaps.clear();
        run.settle(Duration::from_secs(600)).await.map_err(|why| why.to_string())?;
        deliver(&mut run).await?;
        let truth = run.truth().await.map_err(|why| why.to_string())?;
        let mut wrong = truth.wrong(START.bootstrap, START.local);
        if needs_a_reconciler(told.act()) {
            if wrong.is_empty() {
                return Err("nothing is left for a reconciler".to_owned());
            }
            // What the card tells of the profile next proves that it was not deleted.
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
fn every_lie_is_found_out_in_the_word_of_the_catalogue() {
    let all = all();
    assert!(lies().count() >= 40);
    // A run in virtual time cannot be within another.
    LazyLock::force(&START);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let work: Vec<_> = all
            .chunks(all.len().div_ceil(threads))
            .map(|share| {
                scope.spawn(move || {
                    let tried = share.iter().map(|told| (told, try_lie(told)));
                    tried.filter_map(|(told, result)| Some((told, result.err()?))).collect::<Vec<_>>()
                })
            })
            .collect();
        work.into_iter().flat_map(|work| work.join().unwrap()).collect()
    });
    let told: String =
        wrong.iter().map(|(told, why)| format!("{}@{}: {why}\n\n", told.entry.name, told.place)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{told}", wrong.len(), all.len());
}
