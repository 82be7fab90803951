//! The messages on ESipa in the scenario of `landfall demo --iot`: a party decodes each without a finding,
//! and asn1tools (Python) with an ASN.1 module encodes each to the same octets. `LANDFALL_MATRIX=all`
//! plays all built-in IoT scenarios.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../rsp/tests/deviations/asn1_encoder.rs"]
mod asn1_encoder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use certs::Credential;
use http::{Request, Response};
use rsp::der::Asn1;
use rsp::finding;
use rsp::sgp22::asn1::PATH;
use rsp::sgp32::esipa::{MessageFromEim, MessageFromIpa};
use scenario::file::Scenario;
use scenario::play::{Environment, play_in};
use testbed::transport::{CardConnection, InProcess, Server, Transport, Transports};
use world::{Fault, Link, link_from};

#[test]
#[cfg_attr(
    not(has_sgp32_asn),
    ignore = "needs LANDFALL_SGP32_ASN, a folder with the ASN.1 modules of SGP.32"
)]
fn asn1tools_encodes_each_message_of_the_iot_scenarios_to_the_same_octets() {
    let results =
        asn1_encoder::encoded_again(MESSAGES.iter().map(|message| (message.name(), &*message.octets)));
    let wrong: Vec<String> = MESSAGES
        .iter()
        .zip(&results)
        .filter(|(_, result)| *result != "same")
        .map(|(message, result)| format!("{}: {result}", message.shown()))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MESSAGES.len(), wrong.join("\n"));
}

#[test]
fn each_message_of_the_iot_scenarios_is_decoded_without_a_finding() {
    let wrong: Vec<String> = MESSAGES.iter().filter_map(Message::wrong).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), MESSAGES.len(), wrong.join("\n"));
    // GetEimPackage and ProvideEimPackageResult.
    for (is_from_ipa, tag) in [(true, 0x4F), (false, 0x4F), (true, 0x50), (false, 0x50)] {
        let is_of = |message: &Message| {
            message.is_from_ipa == is_from_ipa && message.octets.starts_with(&[0xBF, tag])
        };
        assert!(MESSAGES.iter().any(is_of), "no message BF{tag:02X}, from the IPA: {is_from_ipa}");
    }
}

/// The different messages of the scenarios.
static MESSAGES: LazyLock<BTreeSet<Message>> = LazyLock::new(messages_of_the_iot_scenarios);

/// A message in the ASN.1 binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    is_from_ipa: bool,
    octets: Bytes,
}

impl Message {
    /// The name of its type in the module.
    fn name(&self) -> &'static str {
        if self.is_from_ipa { "EsipaMessageFromIpaToEim" } else { "EsipaMessageFromEimToIpa" }
    }

    fn shown(&self) -> String {
        format!("{} {}", self.name(), hex::encode(&self.octets))
    }

    /// The finding or error of the decoder, or the octets of the encoder if they differ.
    fn wrong(&self) -> Option<String> {
        fn encoded<T: Asn1>(octets: &[u8]) -> Result<Vec<u8>, String> {
            let (message, findings) = finding::collect(|| T::from_peer(octets));
            let message = message.map_err(|error| error.to_string())?;
            findings.first().map_or_else(|| Ok(message.to_der()), |finding| Err(finding.to_string()))
        }
        let encoded = if self.is_from_ipa { encoded::<MessageFromIpa> } else { encoded::<MessageFromEim> };
        match encoded(&self.octets) {
            Ok(octets) if octets == self.octets => None,
            Ok(octets) => Some(format!("{}: encoded as {}", self.shown(), hex::encode(octets))),
            Err(why) => Some(format!("{}: {why}", self.shown())),
        }
    }
}

/// Plays the scenarios in virtual time, and returns the different messages.
fn messages_of_the_iot_scenarios() -> BTreeSet<Message> {
    let recorder = Recorder::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("library");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let all = std::env::var("LANDFALL_MATRIX").is_ok_and(|value| value == "all");
    let wanted = if all { "iot-" } else { "iot-three-devices" };
    files.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with(wanted));
    files.sort();
    assert!(!files.is_empty(), "there is no scenario {wanted}");
    for file in files {
        let scenario = Scenario::parse("", &std::fs::read_to_string(&file).unwrap()).unwrap();
        let environment =
            Environment { transports: Arc::new(recorder.clone()), ..Environment::none().unwrap() };
        play_in(environment, &file.display().to_string(), &scenario, &scenario.seed).unwrap();
    }
    std::mem::take(&mut *recorder.messages.lock().unwrap())
}

/// Transports within the process that record the messages of the ASN.1 binding at the servers, before
/// faults of the way change them.
#[derive(Clone, Default)]
struct Recorder {
    messages: Arc<Mutex<BTreeSet<Message>>>,
}

impl Recorder {
    fn add(&self, is_from_ipa: bool, octets: &Bytes) {
        if !octets.is_empty() {
            self.messages.lock().unwrap().insert(Message { is_from_ipa, octets: octets.clone() });
        }
    }
}

impl Transports for Recorder {
    fn open(&self, server: Server) -> Result<Arc<dyn Transport>, Fault> {
        Ok(Arc::new(Recorded { server, recorder: self.clone() }))
    }

    fn connect_card(&self) -> Result<Box<dyn CardConnection>, Fault> {
        InProcess.connect_card()
    }
}

struct Recorded {
    server: Server,
    recorder: Recorder,
}

impl Transport for Recorded {
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault> {
        let (link, recorder) = (self.server.link(operator)?, self.recorder.clone());
        Ok(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (link, recorder) = (link.clone(), recorder.clone());
            async move {
                let is_asn1 = request.uri().path() == PATH;
                if is_asn1 {
                    recorder.add(true, request.body());
                }
                let response: Response<Bytes> = world::send(&link, request).await?;
                if is_asn1 && response.status().is_success() {
                    recorder.add(false, response.body());
                }
                Ok(response)
            }
        })))
    }
}
