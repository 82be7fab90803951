//! Live sessions: an LPA with a card downloads a profile from an SM-DP+. One message of the session
//! is mutated, and in most rounds signed again with the key of its sender. The parties must answer or
//! refuse, and an honest download afterwards must succeed.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ::testbed::Testbed;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::{Curve, SecretKey};
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use http::{Request, Response, StatusCode};
use rsp::der::{Tag, tlv_bytes};
use rsp::ids::SmdpAddress;
use rsp::sgp22::ProfileState;
use serde_json::Value;
use sm_dp::{ProfileOptions, SmDpPlus};
use world::{Fault, Link, LinkFault, RamMemory, link_from};

use crate::nodes::{Node, SignedMessage, encode};
use crate::random::Random;
use crate::run::{Round, Run};

const ADDRESS: &str = "smdp.example.com";

/// Messages of a download: request and reply of four functions.
const MESSAGES: usize = 8;

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"fuzz", &PkiOptions::default()).unwrap()));

#[test]
fn a_session_with_a_mutated_message_ends_and_the_next_download_succeeds() {
    let mut run = Run::of("a_session_with_a_mutated_message_ends_and_the_next_download_succeeds", 20, 100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let (mut rounds, mut downloads) = (0, 0);
    while let Some(mut round) = run.round() {
        rounds += 1;
        let number = round.random.number(MESSAGES);
        let interference = Interference::new(&round.random, number);
        downloads += usize::from(session(&mut round, &runtime, &interference));
    }
    println!("{downloads} of {rounds} downloads with a mutated message succeeded");
    run.end();
}

/// Returns true if the download with the mutated message succeeded.
fn session(round: &mut Round, runtime: &tokio::runtime::Runtime, interference: &Arc<Interference>) -> bool {
    let seed = format!("session {}", round.number);
    round.step(format!("message {} is mutated", interference.number), || {
        runtime.block_on(async {
            let testbed = Testbed::with_pki(Arc::clone(&PKI), &seed);
            let sm_dp = testbed.sm_dp_plus(ADDRESS).unwrap();
            let eid = testbed.eid().unwrap();
            let operator = testbed.operator(sm_dp.link()).unwrap();
            let mut codes = Vec::new();
            for number in [1, 2] {
                let package = ::testbed::subscription::own_package("724-99", number, "Session").unwrap();
                let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
                codes.push(operator.order(iccid, Some(eid), ADDRESS.parse().unwrap()).await.unwrap());
            }
            let link = interfered(sm_dp, Arc::clone(interference));
            let links = move |_: &SmdpAddress| Ok::<Link, Fault>(link.clone());
            let card = testbed.card(eid, RamMemory::default()).unwrap();
            let clock = testbed.world("device").clock;
            let mut lpa =
                Lpa::new(Slot::new(card), links, LpaSettings::default(), EventSource::silent(clock));

            let first = lpa.download(&codes[0], DownloadOptions::default()).await;
            interference.end();
            let listed = lpa.list().await.expect("the card lists its profiles");
            if let Ok(installed) = &first {
                assert!(listed.iter().any(|profile| profile.iccid == Some(installed.iccid)), "{listed:?}");
            }
            assert!(listed.len() <= 1, "{listed:?}");

            let second = lpa.download(&codes[1], DownloadOptions::default()).await;
            let second = second.unwrap_or_else(|why| panic!("the honest download fails: {why:?}"));
            lpa.enable(second.iccid).await.expect("the profile can be enabled");
            let listed = lpa.list().await.expect("the card lists its profiles");
            let enabled = listed.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
            assert_eq!(enabled.and_then(|profile| profile.iccid), Some(second.iccid), "{listed:?}");
            first.is_ok()
        })
    })
}

/// A layer in front of the SM-DP+ that mutates one message.
struct Interference {
    /// The number of the message that is mutated, from 0.
    number: usize,
    random: Random,
    euicc: SecretKey,
    auth: SecretKey,
    pb: SecretKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: usize,
    has_ended: bool,
    euicc_signature1: Vec<u8>,
    smdp_signature2: Vec<u8>,
    euicc_otpk: Vec<u8>,
    /// The mutation, for the output of a failed round.
    done: String,
}

impl Interference {
    fn new(random: &Random, number: usize) -> Arc<Self> {
        let eid = PKI.eids(Curve::P256)[0];
        let dp = PKI.dp(Curve::P256).unwrap();
        Arc::new(Self {
            number,
            random: Random(random.0.branch("interference")),
            euicc: PKI.euicc(Curve::P256, eid).unwrap().euicc.key,
            auth: dp.auth.key,
            pb: dp.pb.key,
            state: Mutex::default(),
        })
    }

    /// Stops the interference.
    fn end(&self) {
        self.state().has_ended = true;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes the body of a message on its way. Returns true if it was mutated.
    fn pass(&self, body: &mut Bytes) -> bool {
        let Ok(mut message) = serde_json::from_slice::<Value>(body) else { return false };
        self.learn(&message);
        let (number, has_ended) = {
            let mut state = self.state();
            state.seen += 1;
            (state.seen - 1, state.has_ended)
        };
        if has_ended || number != self.number {
            return false;
        }
        let done = self.mutate(&mut message);
        self.state().done = done;
        *body = serde_json::to_vec(&message).unwrap().into();
        // A few messages are no longer JSON.
        if self.random.chance(5) {
            *body = self.random.mutate_octets(body).into();
        }
        true
    }

    /// Keeps the values that later signatures cover.
    fn learn(&self, message: &Value) {
        let mut state = self.state();
        let found = |name: &str, tag: &[u8]| {
            message.get(name).and_then(decoded).and_then(|octets| SignedMessage::of(&octets)?.find(tag))
        };
        if let Some(signature) = found("authenticateServerResponse", &[0x5F, 0x37]) {
            state.euicc_signature1 = signature;
        }
        if let Some(signature) = found("smdpSignature2", &[0x5F, 0x37]) {
            state.smdp_signature2 = signature;
        }
        if let Some(key) = found("prepareDownloadResponse", &[0x5F, 0x49]) {
            state.euicc_otpk = key;
        }
    }

    /// Mutates a field, or an element in a field. Returns a description of the mutation.
    fn mutate(&self, message: &mut Value) -> String {
        let random = &self.random;
        let Some(fields) = message.as_object_mut() else { return "nothing".to_owned() };
        let names: Vec<String> = fields.keys().cloned().collect();
        let name = random.pick(&names).clone();
        if random.chance(20) {
            return match random.number(3) {
                0 => {
                    fields.remove(&name);
                    format!("{name} removed")
                }
                1 => {
                    let others = [Value::Null, Value::from(7), Value::from(""), Value::Array(Vec::new())];
                    let other = random.pick(&others).clone();
                    let done = format!("{name} is {other}");
                    fields.insert(name, other);
                    done
                }
                _ => {
                    let other = fields[random.pick(&names).as_str()].clone();
                    let done = format!("{name} has the value of another field");
                    fields.insert(name, other);
                    done
                }
            };
        }
        let elements: Vec<String> =
            names.into_iter().filter(|name| decoded(&fields[name.as_str()]).is_some()).collect();
        if elements.is_empty() {
            return "nothing".to_owned();
        }
        let name = random.pick(&elements).clone();
        let octets = decoded(&fields[name.as_str()]).unwrap();
        let Some(mut tree) = SignedMessage::of(&octets) else {
            fields.insert(name.clone(), encoded(&random.mutate_octets(&octets)));
            return format!("octets of {name}");
        };
        let done: Vec<String> = (0..1 + random.number(2)).map(|_| tree.mutate(random)).collect();
        let is_signed = random.chance(85);
        if is_signed {
            tree.sign_again(&|tag, before| self.signature(tag, before));
        }
        let octets = tree.encode();
        fields.insert(name.clone(), encoded(&octets));
        if is_signed {
            self.sign_field(fields, &name, &octets);
        }
        format!("{} in {name}, signed again: {is_signed}: {}", done.join(", "), hex::encode(octets))
    }

    /// Signs the data objects before a signature in a message of the eUICC or in
    /// InitialiseSecureChannel.
    fn signature(&self, tag: &[u8], before: &[Node]) -> Option<Vec<u8>> {
        let state = self.state();
        let last = encode(std::slice::from_ref(before.last()?));
        let (key, covered) = match tag {
            [0xBF, 0x23] => (&self.pb, [encode(before), tlv_bytes(Tag(0x5F49), &state.euicc_otpk)].concat()),
            // euiccSigned2 is followed by the signature of the SM-DP+.
            [0xA0] if !state.smdp_signature2.is_empty() => {
                (&self.euicc, [last, tlv_bytes(Tag(0x5F37), &state.smdp_signature2)].concat())
            }
            _ => (&self.euicc, last),
        };
        Some(key.sign(&covered).as_bytes().to_vec())
    }

    /// Signs the elements of the SM-DP+ whose signature is another field.
    fn sign_field(&self, fields: &mut serde_json::Map<String, Value>, name: &str, octets: &[u8]) {
        let (field, key, covered) = match name {
            "serverSigned1" => ("serverSignature1", &self.auth, octets.to_vec()),
            "smdpSigned2" => {
                let signature = tlv_bytes(Tag(0x5F37), &self.state().euicc_signature1);
                ("smdpSignature2", &self.pb, [octets, &signature].concat())
            }
            _ => return,
        };
        let signature = tlv_bytes(Tag(0x5F37), key.sign(&covered).as_bytes());
        fields.insert(field.to_owned(), encoded(&signature));
    }
}

impl Drop for Interference {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("message {}: {}", self.number, self.state().done);
        }
    }
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    let octets = BASE64_STANDARD.decode(value.as_str()?).ok()?;
    // A short text can be base64 by chance.
    (octets.len() > 12).then_some(octets)
}

fn encoded(octets: &[u8]) -> Value {
    Value::String(BASE64_STANDARD.encode(octets))
}

/// Returns the SM-DP+ behind the interference. Its replies to mutated requests must be defined.
fn interfered(sm_dp: SmDpPlus, interference: Arc<Interference>) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (sm_dp, interference) = (sm_dp.clone(), Arc::clone(&interference));
        async move {
            let (parts, mut body) = request.into_parts();
            let is_mutated = interference.pass(&mut body);
            let response = sm_dp.handle(Request::from_parts(parts, body)).await;
            if is_mutated {
                let defined = [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST];
                assert!(defined.contains(&response.status()), "HTTP {}", response.status());
            }
            let (parts, mut body) = response.into_parts();
            interference.pass(&mut body);
            Ok::<_, LinkFault>(Response::from_parts(parts, body))
        }
    }))
}
