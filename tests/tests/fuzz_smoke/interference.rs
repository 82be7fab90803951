//! Interference with one message of a session: a value or a data object is mutated, and in most rounds
//! the message is signed again with the key of its sender, so that the mutation passes the check of the
//! signature.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use certs::Pki;
use crypto::{Curve, SecretKey};
use fuzz::iot::{EIM_ID, TOKEN};
use http::{Request, Response, StatusCode};
use rsp::der::{Tag, tlv_bytes};
use rsp::sgp32::signature::signed_octets;
use serde_json::Value;
use world::{Link, LinkFault, link_from};

use crate::nodes::{Node, SignedMessage, encode};
use crate::random::Random;

/// A layer in front of a server that mutates one message. The messages are JSON, or data objects of the
/// ASN.1 binding of ESipa.
pub(crate) struct Interference {
    /// The number of the message that is mutated, from 0.
    number: usize,
    random: Random,
    euicc: SecretKey,
    auth: SecretKey,
    pb: SecretKey,
    eim: SecretKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: usize,
    has_ended: bool,
    has_signed_for_eim: bool,
    euicc_signature1: Vec<u8>,
    smdp_signature2: Vec<u8>,
    euicc_otpk: Vec<u8>,
    /// The mutation, for the output of a failed round.
    done: String,
    /// The answer to a mutated request: `success`, a status code, or an HTTP status.
    answer: Option<String>,
}

impl Interference {
    /// Interferes with the message of this number between an SM-DP+ and its peers.
    pub(crate) fn new(pki: &Pki, random: &Random, number: usize) -> Arc<Self> {
        Self::with_server(pki, random, number, pki.dp(Curve::P256).unwrap().auth.key)
    }

    /// Interferes with the message of this number between an SM-DS and its peers.
    pub(crate) fn at_sm_ds(pki: &Pki, random: &Random, number: usize) -> Arc<Self> {
        Self::with_server(pki, random, number, pki.ds(Curve::P256).unwrap().auth.key)
    }

    fn with_server(pki: &Pki, random: &Random, number: usize, auth: SecretKey) -> Arc<Self> {
        let eid = pki.eids(Curve::P256)[0];
        let eim = pki.eim(EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap();
        Arc::new(Self {
            number,
            random: Random(random.0.branch("interference")),
            euicc: pki.euicc(Curve::P256, eid).unwrap().euicc.key,
            auth,
            pb: pki.dp(Curve::P256).unwrap().pb.key,
            eim: eim.signing.into_iter().next().unwrap(),
            state: Mutex::default(),
        })
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Stops the interference.
    pub(crate) fn end(&self) {
        self.state().has_ended = true;
    }

    /// Returns the answer to the mutated request, if a request was mutated.
    pub(crate) fn answer(&self) -> Option<String> {
        self.state().answer.clone()
    }

    /// True if a mutated package was signed with the key of the eIM: the card may have executed it.
    pub(crate) fn has_signed_for_eim(&self) -> bool {
        self.state().has_signed_for_eim
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes the body of a message on its way. Returns true if it was mutated.
    fn pass(&self, body: &mut Bytes) -> bool {
        let json = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
        let tree = json.is_none().then(|| SignedMessage::of(body)).flatten();
        match (&json, &tree) {
            (Some(message), _) => self.learn(message),
            (None, Some(tree)) => self.learn_from(tree),
            (None, None) => return false,
        }
        let (number, has_ended) = {
            let mut state = self.state();
            state.seen += 1;
            (state.seen - 1, state.has_ended)
        };
        if has_ended || number != self.number {
            return false;
        }
        let done = match (json, tree) {
            (Some(mut message), _) => {
                let done = self.mutate(&mut message);
                *body = serde_json::to_vec(&message).unwrap().into();
                done
            }
            (None, Some(tree)) => {
                let (octets, done) = self.mutate_tree(tree);
                *body = octets.into();
                done
            }
            (None, None) => return false,
        };
        self.state().done = done;
        // A few messages no longer have the form of the binding.
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

    /// Keeps the values that later signatures cover, from a message of the ASN.1 binding.
    fn learn_from(&self, message: &SignedMessage) {
        let mut state = self.state();
        if let Some(signature) = message.find(&[0x5F, 0x37])
            && message.contains(&[0xBF, 0x3B])
        {
            match message.contains(&[0xBF, 0x38]) {
                true => state.euicc_signature1 = signature,
                false => state.smdp_signature2 = signature,
            }
        }
        if let Some(key) = message.find(&[0x5F, 0x49])
            && message.contains(&[0xBF, 0x21])
        {
            state.euicc_otpk = key;
        }
    }

    /// Mutates a message of the ASN.1 binding. Returns its octets and a description of the mutation.
    fn mutate_tree(&self, mut tree: SignedMessage) -> (Vec<u8>, String) {
        let done: Vec<String> = (0..1 + self.random.number(2)).map(|_| tree.mutate(&self.random)).collect();
        let is_signed = self.random.chance(85);
        if is_signed {
            tree.sign_again(&|path, before| self.signature(path, before));
        }
        let octets = tree.encode();
        let done = format!("{}, signed again: {is_signed}: {}", done.join(", "), hex::encode(&octets));
        (octets, done)
    }

    /// Mutates a field, or an element in a field. Returns a description of the mutation.
    fn mutate(&self, message: &mut Value) -> String {
        let random = &self.random;
        let Some(fields) = message.as_object_mut() else { return "nothing".to_owned() };
        let names: Vec<String> = fields.keys().cloned().collect();
        if names.is_empty() {
            return "nothing".to_owned();
        }
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
        if elements.is_empty() || random.chance(10) {
            return mutate_value(random, message);
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
            tree.sign_again(&|path, before| self.signature(path, before));
        }
        let octets = tree.encode();
        fields.insert(name.clone(), encoded(&octets));
        if is_signed {
            self.sign_field(fields, &name, &octets);
        }
        format!("{} in {name}, signed again: {is_signed}: {}", done.join(", "), hex::encode(octets))
    }

    /// Signs the data objects before a signature. `path` has the tags of the enclosing data objects.
    fn signature(&self, path: &[Vec<u8>], before: &[Node]) -> Option<Vec<u8>> {
        let mut state = self.state();
        let last = encode(std::slice::from_ref(before.last()?));
        let with_token = |octets: &[u8]| signed_octets(octets, Some(TOKEN));
        let path: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
        let (key, covered) = match path[..] {
            // InitialiseSecureChannel.
            [.., [0xBF, 0x23]] => {
                (&self.pb, [encode(before), tlv_bytes(Tag(0x5F49), &state.euicc_otpk)].concat())
            }
            // A package of the eIM, and its result.
            [.., [0xBF, 0x51]] => {
                state.has_signed_for_eim = true;
                (&self.eim, with_token(&last))
            }
            [.., [0xBF, 0x51], [0xA0] | [0xA1]] => (&self.euicc, with_token(&last)),
            // serverSigned1 and smdpSigned2 in the ASN.1 binding of ESipa.
            [[0xBF, 0x39], [0xA0]] => (&self.auth, last),
            [[0xBF, 0x3B], [0xA0]] => {
                (&self.pb, [last, tlv_bytes(Tag(0x5F37), &state.euicc_signature1)].concat())
            }
            // euiccSigned2 is followed by the signature of the SM-DP+.
            [.., [0xBF, 0x21], [0xA0]] => {
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

/// Mutates one value of a JSON object, at any depth. Returns a description of the mutation.
fn mutate_value(random: &Random, message: &mut Value) -> String {
    let mut pointers = Vec::new();
    collect_pointers(message, "", &mut pointers);
    if pointers.is_empty() {
        return "nothing".to_owned();
    }
    let pointer = random.pick(&pointers).clone();
    let other = message.pointer(random.pick(&pointers).as_str()).cloned();
    let Some(value) = message.pointer_mut(&pointer) else { return "nothing".to_owned() };
    let texts = ["", "0", "-1", "99999999999999999999", "\u{0}", "\u{e9}", "2.999.99", "a.example:0"];
    let new = match (random.number(9), &*value) {
        (0, _) => random.pick(&[Value::Null, 7.into(), true.into(), Value::Array(Vec::new())]).clone(),
        (1, _) => other.unwrap_or_default(),
        (2, _) => (*random.pick(&texts)).into(),
        (3, Value::String(text)) => text.repeat(*random.pick(&[2, 20, 300])).into(),
        (4, Value::String(text)) => text.chars().rev().collect::<String>().into(),
        (5, Value::String(text)) => {
            String::from_utf8_lossy(&random.mutate_octets(text.as_bytes())).into_owned().into()
        }
        (_, Value::String(text)) => with_other_character(random, text).into(),
        (_, Value::Bool(value)) => (!value).into(),
        _ => Value::Object(serde_json::Map::new()),
    };
    let done = format!("{pointer} is {new}");
    *value = new;
    done
}

/// Replaces one character by another one of its kind, so that the text often keeps its form.
fn with_other_character(random: &Random, text: &str) -> String {
    let at = random.number(text.chars().count());
    let other = |character: char| match character {
        '0'..='9' => *random.pick(&['0', '1', '5', '9']),
        'a'..='z' => *random.pick(&['a', 'f', 'z']),
        'A'..='Z' => *random.pick(&['A', 'F', 'Z']),
        _ => *random.pick(&['.', '-', ':', '_']),
    };
    text.chars().enumerate().map(|(number, it)| if number == at { other(it) } else { it }).collect()
}

/// Collects the JSON pointers of all values inside.
fn collect_pointers(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(number, value)| (number.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inside {
        let pointer = format!("{at}/{name}");
        collect_pointers(value, &pointer, pointers);
        pointers.push(pointer);
    }
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    let octets = BASE64_STANDARD.decode(text).ok()?;
    // A short text can be base64 by chance, and so can an ICCID or an EID.
    (octets.len() > 12 && !text.bytes().all(|it| it.is_ascii_digit())).then_some(octets)
}

fn encoded(octets: &[u8]) -> Value {
    Value::String(BASE64_STANDARD.encode(octets))
}

/// Returns the outcome that a response reports: `success`, a status code, or an HTTP status.
fn answer_of(response: &Response<Bytes>) -> String {
    let http = || format!("HTTP {}", response.status().as_u16());
    let Ok(body) = serde_json::from_slice::<Value>(response.body()) else { return http() };
    let status = &body["header"]["functionExecutionStatus"];
    let data = &status["statusCodeData"];
    match (data["subjectCode"].as_str(), data["reasonCode"].as_str()) {
        (Some(subject), Some(reason)) => format!("{subject}/{reason}"),
        _ if status["status"] == "Executed-Success" => "success".to_owned(),
        _ => http(),
    }
}

/// Returns the server behind the interference. Its replies to mutated requests must be defined.
pub(crate) fn interfered(server: Link, interference: Arc<Interference>) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (server, interference) = (server.clone(), Arc::clone(&interference));
        async move {
            let (parts, mut body) = request.into_parts();
            let is_mutated = interference.pass(&mut body);
            let response = world::send(&server, Request::from_parts(parts, body)).await?;
            if is_mutated {
                let defined = [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_REQUEST];
                assert!(defined.contains(&response.status()), "HTTP {}", response.status());
                interference.state().answer = Some(answer_of(&response));
            }
            let (parts, mut body) = response.into_parts();
            interference.pass(&mut body);
            Ok::<_, LinkFault>(Response::from_parts(parts, body))
        }
    }))
}
