//! Live sessions of SGP.02: an operator has a profile downloaded and enabled. One message is mutated
//! on its way: SOAP between the servers, HTTPS of the card (SCP81), or a short message (SCP80). The
//! parties must end the procedure, and an honest audit afterwards must succeed.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ::testbed::m2m::recording::{Message, Recording};
use ::testbed::m2m::{Bearer, M2m, Setup, Start};
use ::testbed::time::run;
use bytes::Bytes;
use certs::{Pki, PkiOptions};
use rsp::sgp02::eis::ProfileState;
use rsp::time::Timestamp;

use crate::random::Random;
use crate::run::Run;

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// Validity period of all requests.
const VALIDITY: Duration = Duration::from_secs(3 * 3600);

/// The number of messages among which one is mutated. A download has about as many.
const MESSAGES: usize = 60;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"docs/m2m.md", &PkiOptions::default()).unwrap()));

#[test]
fn a_procedure_with_a_mutated_message_ends_and_the_card_can_be_audited() {
    let mut fuzz = Run::of("a_procedure_with_a_mutated_message_ends_and_the_card_can_be_audited", 4, 800);
    let interference = Arc::new(Interference::default());
    let prepared = [Bearer::Sms, Bearer::Https].map(|bearer| prepared(bearer, &interference));
    let (mut rounds, mut downloads) = (0, 0);
    while let Some(mut round) = fuzz.round() {
        rounds += 1;
        let (setup, start) = round.random.pick(&prepared);
        let number = round.random.number(MESSAGES);
        let what = format!("message {number} over {:?} is mutated", setup.bearer);
        let random = Random(round.random.0.branch("interference"));
        let ended = round.step(what, || {
            run("m2m", BEGIN.plus(Duration::from_secs(3600)), async |simulation| {
                let run = M2m::begin(&simulation, setup, start).unwrap();
                run.until(Duration::from_secs(300), |state| state.is_registered).await.unwrap();
                tokio::time::sleep(Duration::from_secs(600)).await;
                procedure(&run, &interference, random, number).await
            })
            .unwrap()
        });
        downloads += usize::from(ended);
    }
    println!("{downloads} of {rounds} downloads with a mutated message succeeded");
    fuzz.end();
}

fn prepared(bearer: Bearer, interference: &Arc<Interference>) -> (Setup, Start) {
    let own = Arc::clone(interference);
    let recording = Recording::altering(Arc::new(move |message| own.pass(message)));
    let setup = Setup { recording: Some(recording), ..Setup::new(Arc::clone(&PKI), bearer) };
    let start = run("m2m", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
    (setup, start.unwrap().unwrap())
}

/// Returns true if the download with the mutated message succeeded.
async fn procedure(run: &M2m, interference: &Interference, random: Random, number: usize) -> bool {
    interference.begin(random, number);
    let downloaded = run.download(true, VALIDITY).await;
    // Retries and timers of the procedure end within its validity period.
    tokio::time::sleep(2 * VALIDITY).await;
    let done = interference.end();
    let eis = run.audit(VALIDITY).await.unwrap_or_else(|why| panic!("the audit fails: {why}; {done}"));
    let enabled = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).count();
    assert_eq!(enabled, 1, "{:?}; {done}", eis.profile_info);
    downloaded.is_ok_and(|response| response.base.is_done())
}

/// Mutates one message.
#[derive(Default)]
struct Interference(Mutex<Option<State>>);

struct State {
    random: Random,
    /// The number of messages before the one that is mutated.
    left: usize,
    done: String,
}

impl Interference {
    fn begin(&self, random: Random, number: usize) {
        *self.state() = Some(State { random, left: number, done: "nothing was mutated".to_owned() });
    }

    /// Stops the interference. Returns a description of the mutation.
    fn end(&self) -> String {
        self.state().take().map(|state| state.done).unwrap_or_default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, message: &mut Message) {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return };
        match state.left.checked_sub(1) {
            Some(left) => state.left = left,
            None if state.done.starts_with("nothing") => {
                mutate(&state.random, message);
                state.done = format!("{message:?}");
            }
            None => {}
        }
    }
}

fn mutate(random: &Random, message: &mut Message) {
    match message {
        Message::Soap(text) => *text = mutated_xml(random, text),
        Message::ToCard(octets) | Message::FromCard(octets) => *octets = random.mutate_octets(octets),
        Message::Request(request) => {
            match random.chance(30).then(|| request.headers().keys().next().cloned()).flatten() {
                Some(name) => drop(request.headers_mut().remove(name)),
                None => *request.body_mut() = mutated(random, request.body()),
            }
        }
        Message::Response(response) => {
            match random.chance(30).then(|| response.headers().keys().next().cloned()).flatten() {
                Some(name) => drop(response.headers_mut().remove(name)),
                None => *response.body_mut() = mutated(random, response.body()),
            }
        }
    }
}

fn mutated(random: &Random, body: &Bytes) -> Bytes {
    random.mutate_octets(body).into()
}

/// Removes, repeats or replaces an element without elements inside, or mutates the octets.
fn mutated_xml(random: &Random, text: &str) -> String {
    // The positions of "<name>text</name>".
    let ends: Vec<usize> = text.match_indices("</").map(|(at, _)| at).collect();
    let leaf = |end: usize| {
        let begin = text[..end].rfind('<')?;
        let inside = begin + text[begin..end].find('>')? + 1;
        let is_leaf = !text[begin..].starts_with("</") && inside <= end;
        is_leaf.then_some((begin, inside, end, end + text[end..].find('>')? + 1))
    };
    let leaves: Vec<_> = ends.into_iter().filter_map(leaf).collect();
    if leaves.is_empty() || random.chance(20) {
        return String::from_utf8_lossy(&random.mutate_octets(text.as_bytes())).into_owned();
    }
    let (begin, inside, end, after) = *random.pick(&leaves);
    let other = random.pick(&leaves);
    match random.number(5) {
        0 => [&text[..begin], &text[after..]].concat(),
        1 => [&text[..after], &text[begin..after], &text[after..]].concat(),
        2 => [&text[..inside], &text[other.1..other.2], &text[end..]].concat(),
        3 => {
            let values =
                ["", "0", "-1", "99999999999999999999", "FF", "true", "A0000005591010FFFFFFFF8900000100"];
            [&text[..inside], *random.pick(&values), &text[end..]].concat()
        }
        _ => {
            let value = random.mutate_octets(&text.as_bytes()[inside..end]);
            let value: String = String::from_utf8_lossy(&value).replace(['<', '&'], "");
            [&text[..inside], &value, &text[end..]].concat()
        }
    }
}
