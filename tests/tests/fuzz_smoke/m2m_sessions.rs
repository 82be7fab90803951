//! Live sessions of SGP.02: an operator has a profile downloaded and enabled. One message is mutated
//! on its way: SOAP between the servers, HTTPS of the card (SCP81), or a short message (SCP80). In
//! most rounds the secured packet in a short message is protected again with the keys of the card, so
//! that the mutation passes the check of the checksum. The parties must end the procedure, and an
//! honest audit afterwards must succeed.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use ::testbed::m2m::recording::{Message, Recording};
use ::testbed::m2m::secured_packet::SecuredPacket;
use ::testbed::m2m::{Bearer, M2m, Setup, Start};
use ::testbed::time::run;
use certs::{Pki, PkiOptions};
use crypto::scp80::Keys;
use rsp::StatusWord;
use rsp::ids::Eid;
use rsp::ota::script::{Answer, Command, Script, ScriptResponse};
use rsp::ota::secured_packet::ResponseStatus;
use rsp::ota::sms::PacketKind;
use rsp::sgp02::eis::ProfileState;
use rsp::time::Timestamp;
use world::{Event, MemoryEvents, Outcome};

use crate::random::Random;
use crate::run::Run;

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// Validity period of all requests.
const VALIDITY: Duration = Duration::from_secs(3 * 3600);

/// The number of messages among which one is mutated. A download has about as many.
const MESSAGES: usize = 60;

/// The number of packets of one kind among which one is mutated.
const PACKETS: usize = 6;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"docs/m2m.md", &PkiOptions::default()).unwrap()));

#[test]
fn a_procedure_with_a_mutated_message_ends_and_the_card_can_be_audited() {
    let mut fuzz = Run::of("a_procedure_with_a_mutated_message_ends_and_the_card_can_be_audited", 4, 800);
    let all = [Bearer::Sms, Bearer::Https];
    let reached = procedures(&mut fuzz, &all, |random| Target::Message(random.number(MESSAGES)));
    println!("{reached}");
    fuzz.end();
}

/// Only a packet that is protected again is mutated, in a command of the SM-SR or in a response or
/// notification of the card.
#[test]
fn mutations_of_the_contents_of_packets_reach_the_card_and_the_sm_sr() {
    let mut fuzz = Run::of("mutations_of_the_contents_of_packets_reach_the_card_and_the_sm_sr", 12, 800);
    let reached = procedures(&mut fuzz, &[Bearer::Sms], |random| Target::Packet {
        kind: *random.pick(&[PacketKind::Command, PacketKind::Response]),
        number: random.number(PACKETS),
    });
    println!("{reached}");
    // A single repeated round may have no further packet, or a packet that the card does not answer.
    if reached.rounds > 1 {
        let Reached { resealed, at_card, at_sm_sr, .. } = reached;
        assert!(at_card > 0 && at_sm_sr > 0, "{reached}");
        assert!(2 * (at_card + at_sm_sr) > resealed, "{reached}");
    }
    fuzz.end();
}

/// The numbers of mutations that reached a party.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    rounds: usize,
    /// Downloads that succeeded.
    downloads: usize,
    /// Packets that were mutated and protected again.
    resealed: usize,
    /// Commands among them that the card has opened: it answered with the response of a script.
    at_card: usize,
    /// Responses and notifications among them whose checksum the SM-SR has accepted.
    at_sm_sr: usize,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, downloads, resealed, at_card, at_sm_sr } = self;
        write!(
            f,
            "{downloads} of {rounds} downloads with a mutated message succeeded; \
             of {resealed} mutated packets, {at_card} reached the card and {at_sm_sr} the SM-SR"
        )
    }
}

/// Runs a procedure in each round. `target` chooses the message that is mutated.
fn procedures(fuzz: &mut Run, bearers: &[Bearer], target: impl Fn(&Random) -> Target) -> Reached {
    let interference = Arc::new(Interference::default());
    let prepared: Vec<_> = bearers.iter().map(|bearer| prepared(*bearer, &interference)).collect();
    let mut reached = Reached::default();
    while let Some(mut round) = fuzz.round() {
        let (setup, start) = round.random.pick(&prepared);
        let target = target(&round.random);
        let what = format!("{target:?} over {:?} is mutated", setup.bearer);
        let random = Random(round.random.0.branch("interference"));
        let keys = keys(start.eid);
        let begun = State { random, keys, target, mutated: None, is_answered: false };
        let (ended, is_downloaded, refusals) = round.step(what, || {
            run("m2m", BEGIN.plus(Duration::from_secs(3600)), async |simulation| {
                let run = M2m::begin(&simulation, setup, start).unwrap();
                run.until(Duration::from_secs(300), |state| state.is_registered).await.unwrap();
                tokio::time::sleep(Duration::from_secs(600)).await;
                let (ended, is_downloaded) = procedure(&run, &interference, begun).await;
                (ended, is_downloaded, refusals(&run.events))
            })
            .unwrap()
        });
        reached.rounds += 1;
        reached.downloads += usize::from(is_downloaded);
        if let Some(Mutated { resealed: Some((kind, _)), .. }) = ended.mutated {
            reached.resealed += 1;
            match kind {
                PacketKind::Command => reached.at_card += usize::from(ended.is_answered),
                PacketKind::Response => reached.at_sm_sr += usize::from(refusals == 0),
            }
        }
    }
    reached
}

/// Returns the number of packets whose checksum the SM-SR has refused.
fn refusals(events: &MemoryEvents) -> usize {
    let is_refused = |event: &Event| match &event.outcome {
        Outcome::Refused(why) => why.contains("key sets authenticates") || why.contains("secured packet"),
        _ => false,
    };
    events.all().iter().filter(|event| event.party == "SM-SR" && is_refused(event)).count()
}

fn prepared(bearer: Bearer, interference: &Arc<Interference>) -> (Setup, Start) {
    let own = Arc::clone(interference);
    let recording = Recording::altering(Arc::new(move |message| own.pass(message)));
    let setup = Setup { recording: Some(recording), ..Setup::new(Arc::clone(&PKI), bearer) };
    let start = run("m2m", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
    (setup, start.unwrap().unwrap())
}

/// The keys of the ISD-R that protect secured packets.
fn keys(eid: Eid) -> Keys {
    let keys = PKI.isd_r_keys(eid).unwrap();
    Keys { kic: (*keys.kic.expose()).into(), kid: (*keys.kid.expose()).into() }
}

/// Runs the download with the mutated message. Returns the interference at its end, and true if the
/// download succeeded.
async fn procedure(run: &M2m, interference: &Interference, begun: State) -> (State, bool) {
    interference.begin(begun);
    let downloaded = run.download(true, VALIDITY).await;
    // Retries and timers of the procedure end within its validity period.
    tokio::time::sleep(2 * VALIDITY).await;
    let ended = interference.end();
    let done = &ended.mutated;
    let eis = run.audit(VALIDITY).await.unwrap_or_else(|why| panic!("the audit fails: {why}; {done:?}"));
    let enabled = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).count();
    assert_eq!(enabled, 1, "{:?}; {done:?}", eis.profile_info);
    (ended, downloaded.is_ok_and(|response| response.base.is_done()))
}

/// The message that is mutated, with the number of those before it.
#[derive(Clone, Copy, Debug)]
enum Target {
    Message(usize),
    /// A packet in one short message.
    Packet {
        kind: PacketKind,
        number: usize,
    },
}

/// Mutates one message.
#[derive(Default)]
struct Interference(Mutex<Option<State>>);

struct State {
    random: Random,
    keys: Keys,
    target: Target,
    mutated: Option<Mutated>,
    /// True if the card has answered with the response of a script since the mutation.
    is_answered: bool,
}

/// A mutation.
#[derive(Debug)]
struct Mutated {
    /// The message after the mutation, for the output of a failed round.
    #[allow(dead_code, reason = "it is printed")]
    message: Message,
    /// The kind and the counter of the packet that was protected again.
    resealed: Option<(PacketKind, [u8; 5])>,
}

impl Interference {
    fn begin(&self, begun: State) {
        *self.state() = Some(begun);
    }

    /// Stops the interference.
    fn end(&self) -> State {
        self.state().take().unwrap()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, message: &mut Message) {
        let mut state = self.state();
        let Some(state) = state.as_mut() else { return };
        match state.mutated {
            Some(_) => state.observe(message),
            None => state.mutate_target(message),
        }
    }
}

impl State {
    /// Looks for the response of the card to a mutated command.
    fn observe(&mut self, message: &Message) {
        if let Message::FromCard(octets) = message
            && let Some(packet) = SecuredPacket::open(octets, &self.keys)
            && let Some(Mutated { resealed: Some((_, counter)), .. }) = &self.mutated
            && (packet.kind, packet.opened.counter) == (PacketKind::Response, *counter)
            && ResponseStatus::of(packet.opened.status) == ResponseStatus::Ok
        {
            self.is_answered = true;
        }
    }

    /// Mutates the message if it is the target, or counts it.
    fn mutate_target(&mut self, message: &mut Message) {
        let packet = match message {
            Message::ToCard(octets) | Message::FromCard(octets) => SecuredPacket::open(octets, &self.keys),
            _ => None,
        };
        let left = match &mut self.target {
            Target::Message(left) => left,
            Target::Packet { kind, number } if packet.as_ref().is_some_and(|it| it.kind == *kind) => number,
            Target::Packet { .. } => return,
        };
        if let Some(fewer) = left.checked_sub(1) {
            *left = fewer;
            return;
        }
        let is_packet = matches!(self.target, Target::Packet { .. });
        let mut resealed = None;
        match packet {
            Some(packet) if is_packet || self.random.chance(85) => {
                let reference = (packet.kind, packet.opened.counter);
                // A packet that has become too long is not sent, and the next one is mutated.
                let Some(octets) = self.mutate_packet(packet) else { return };
                match message {
                    Message::ToCard(it) | Message::FromCard(it) => *it = octets,
                    _ => return,
                }
                resealed = Some(reference);
            }
            _ => mutate(&self.random, message),
        }
        self.mutated = Some(Mutated { message: message.clone(), resealed });
    }

    /// Mutates the contents of a packet. Returns the user data with the packet, protected again.
    fn mutate_packet(&self, mut packet: SecuredPacket) -> Option<Vec<u8>> {
        let data = &packet.opened.data;
        packet.opened.data = match packet.kind {
            PacketKind::Command => mutated_script(&self.random, data),
            PacketKind::Response => mutated_response(&self.random, data),
        };
        packet.seal(&self.keys)
    }
}

fn mutate(random: &Random, message: &mut Message) {
    match message {
        Message::Soap(text) => *text = mutated_xml(random, text),
        Message::ToCard(octets) | Message::FromCard(octets) => *octets = random.mutate_octets(octets),
        Message::Request(request) => {
            match random.chance(30).then(|| request.headers().keys().next().cloned()).flatten() {
                Some(name) => drop(request.headers_mut().remove(name)),
                None => *request.body_mut() = mutated_response(random, request.body()).into(),
            }
        }
        Message::Response(response) => {
            match random.chance(30).then(|| response.headers().keys().next().cloned()).flatten() {
                Some(name) => drop(response.headers_mut().remove(name)),
                None => *response.body_mut() = mutated_script(random, response.body()).into(),
            }
        }
    }
}

/// Mutates one command of a script, or octets.
fn mutated_script(random: &Random, octets: &[u8]) -> Vec<u8> {
    let script = Script::parse(octets).ok().filter(|script| !script.commands.is_empty());
    let Some(mut script) = script.filter(|_| random.chance(75)) else {
        return random.mutate_octets(octets);
    };
    let at = random.number(script.commands.len());
    match &mut script.commands[at] {
        Command::Apdu(apdu) => *apdu = mutated_apdu(random, apdu),
        Command::SecureChannel(octets) | Command::ImmediateAction(octets) | Command::ErrorAction(octets) => {
            *octets = random.mutate_octets(octets);
        }
    }
    script.to_bytes()
}

/// Mutates the header of a C-APDU, or its data with the right Lc.
fn mutated_apdu(random: &Random, apdu: &[u8]) -> Vec<u8> {
    let Some((header, [length, body @ ..])) = apdu.split_at_checked(4) else {
        return random.mutate_octets(apdu);
    };
    let Some((data, le)) = body.split_at_checked((*length).into()).filter(|_| random.chance(70)) else {
        let mut mutated = apdu.to_vec();
        mutated[random.number(4)] = random.octet();
        return mutated;
    };
    let data = random.mutate_octets(data);
    match u8::try_from(data.len()) {
        Ok(length) => [header, &[length], &data, le].concat(),
        Err(_) => apdu.to_vec(),
    }
}

/// Mutates the answer to one command in the response to a script, or octets.
fn mutated_response(random: &Random, octets: &[u8]) -> Vec<u8> {
    let response = ScriptResponse::parse(octets).ok().filter(|response| !response.answers.is_empty());
    let Some(mut response) = response.filter(|_| random.chance(75)) else {
        return random.mutate_octets(octets);
    };
    let at = random.number(response.answers.len());
    match &mut response.answers[at] {
        Answer::Apdu(apdu) if random.chance(70) => apdu.data = random.mutate_octets(&apdu.data),
        Answer::Apdu(apdu) => apdu.status = StatusWord(u16::from_be_bytes([random.octet(), random.octet()])),
        Answer::SecureChannel(octets) | Answer::ImmediateAction(octets) => {
            *octets = random.mutate_octets(octets);
        }
    }
    response.to_bytes()
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
