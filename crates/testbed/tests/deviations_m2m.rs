//! Procedures of SGP.02 in which one kind of message deviates from the standard in a way that no
//! standard requires to refuse. The procedures succeed, and the receiver of the message reports a
//! finding. `crates/rsp/tests/deviations/m2m.rs` has the deviations of every single message.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use crypto::scp80::Keys;
use http::{HeaderValue, Request, Response};
use rsp::der::{Tag, tlv, tlv_bytes};
use rsp::finding::{Finding, FindingKind as Kind};
use rsp::ids::Eid;
use rsp::ota::script::{Answer, Command, Script, ScriptResponse};
use rsp::ota::sms::{InformationElement, UserData};
use rsp::sgp02::BaseResponse;
use rsp::sgp02::es4;
use rsp::time::Timestamp;
use testbed::m2m::operator::blank;
use testbed::m2m::recording::{Message, Recording};
use testbed::m2m::secured_packet::SecuredPacket;
use testbed::m2m::{Bearer, M2m, Setup, Start};
use testbed::time::run;

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

/// Validity period of all functions.
const VALIDITY: Duration = Duration::from_secs(3600);

/// An element that no version defines.
const UNKNOWN: [u8; 4] = [0x9F, 0x7F, 0x01, 0x00];

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"scenario tests", &PkiOptions::default()).unwrap()));

/// The state before the procedures, over each bearer.
static STARTS: LazyLock<[(Setup, Start); 2]> = LazyLock::new(|| {
    [Bearer::Sms, Bearer::Https].map(|bearer| {
        let setup = Setup::new(Arc::clone(&PKI), bearer);
        let start = run("deviations", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
        (setup, start.unwrap().unwrap())
    })
});

fn setup(bearer: Bearer) -> &'static (Setup, Start) {
    STARTS.iter().find(|(setup, _)| setup.bearer == bearer).unwrap()
}

/// What happened in the procedures.
struct Outcome {
    /// The number of messages that were changed.
    changed: usize,
    messages: Vec<Message>,
    /// The findings of the servers and of the operator, and of the card.
    servers: Vec<(String, Finding)>,
    card: Vec<Finding>,
}

impl Outcome {
    fn of(&self, party: &str) -> Vec<&Finding> {
        match party {
            "card" => self.card.iter().collect(),
            party => self.servers.iter().filter(|(name, _)| *name == party).map(|(_, it)| it).collect(),
        }
    }
}

#[track_caller]
fn assert_done(function: &str, base: &BaseResponse) {
    assert!(base.is_done(), "{function}: {}", base.function_execution_status);
}

type Change = Box<dyn Fn(&mut Message) -> bool + Send + Sync>;

/// Audits the card, downloads, enables, disables and deletes the local profile, and audits it again. `change` changes each message
/// to which it applies, and returns true for it.
fn procedures(bearer: Bearer, change: impl Fn(&mut Message) -> bool + Send + Sync + 'static) -> Outcome {
    let (setup, start) = setup(bearer);
    recorded(setup, start, change, async |run| {
        assert_eq!(run.audit(VALIDITY).await.unwrap().profile_info.len(), 1);
        assert_done("DownloadProfile", &run.download(false, VALIDITY).await.unwrap().base);
        assert_done("EnableProfile", &run.enable(VALIDITY).await.unwrap().base);
        assert_eq!(run.truth().await.unwrap().enabled(), Some(start.local));
        assert_eq!(run.audit(VALIDITY).await.unwrap().profile_info.len(), 2);
        let disable = es4::DisableProfileRequest { base: blank(), eid: start.eid, iccid: start.local };
        let disabled = run.operator.call::<es4::DisableProfile>(run.sm_sr_id(), disable, VALIDITY).await;
        assert_done("DisableProfile", &disabled.unwrap().base);
        assert_eq!(run.truth().await.unwrap().enabled(), Some(start.bootstrap));
        assert_done("DeleteProfile", &run.delete(VALIDITY).await.unwrap().base);
        let truth = run.truth().await.unwrap();
        assert!(!truth.has(start.local));
        assert_eq!(truth.wrong(start.bootstrap, start.local), [""; 0]);
    })
}

/// Runs procedures while `change` changes messages.
fn recorded(
    setup: &Setup,
    start: &Start,
    change: impl Fn(&mut Message) -> bool + Send + Sync + 'static,
    procedures: impl AsyncFnOnce(&M2m),
) -> Outcome {
    let changed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&changed);
    let recording = Recording::altering(Arc::new(move |message| {
        if change(message) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let setup = Setup { recording: Some(recording.clone()), ..setup.clone() };
    let (servers, card) = run("deviations", BEGIN.plus(VALIDITY), async |simulation| {
        let run = M2m::begin(&simulation, &setup, start).unwrap();
        run.until(Duration::from_secs(300), |truth| truth.is_registered).await.unwrap();
        procedures(&run).await;
        // The last notifications arrive.
        tokio::time::sleep(Duration::from_secs(600)).await;
        let servers = run.events.all().into_iter().flat_map(|event| {
            let party = event.party.to_string();
            event.findings.into_iter().map(move |finding| (party.clone(), finding))
        });
        (servers.collect(), run.card_findings())
    })
    .unwrap();
    Outcome { changed: changed.load(Ordering::Relaxed), messages: recording.take(), servers, card }
}

/// Checks that the procedures succeed with a finding of this kind at `party` whose detail contains
/// `detail`.
#[track_caller]
fn check(
    what: &str,
    bearer: Bearer,
    party: &str,
    (kind, detail): (Kind, &str),
    change: impl Fn(&mut Message) -> bool + Send + Sync + 'static,
) {
    println!("{what}");
    let outcome = procedures(bearer, change);
    assert!(outcome.changed > 0, "{what}: no message was changed");
    let findings = outcome.of(party);
    let is_it = |finding: &&&Finding| finding.kind == kind && finding.detail.contains(detail);
    assert!(findings.iter().any(|finding| is_it(&finding)), "{what}: {findings:?}");
}

#[test]
fn procedures_without_deviations_have_no_findings() {
    for bearer in [Bearer::Sms, Bearer::Https] {
        let outcome = procedures(bearer, |_| false);
        assert_eq!(outcome.servers, [], "{bearer}");
        assert_eq!(outcome.card, [], "{bearer}");
    }
}

/// Returns the name of the message element in an envelope, and the position of its end tag.
fn element(text: &str) -> Option<(String, usize)> {
    let body = text.find("<soap:Body>")?;
    let start = body + text[body..].find("<rps:")? + 5;
    let name: String = text[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let end = text.rfind(&format!("</rps:{name}>"))?;
    Some((name, end))
}

/// Runs the procedures once for each name of a message, of which there are at least `least`, with an
/// unknown element in this message.
fn accepts_unknown_elements(least: usize, procedures: &dyn Fn(Change) -> Outcome) {
    let outcome = procedures(Box::new(|_| false));
    let names: BTreeSet<String> = outcome
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Soap(text) => Some(element(text)?.0),
            _ => None,
        })
        .collect();
    println!("{names:?}");
    assert!(names.len() >= least, "{names:?}");
    for name in names {
        let wanted = name.clone();
        let detail = format!("UnknownElement in {name}");
        let outcome = procedures(Box::new(move |message| match message {
            Message::Soap(text) => match element(text) {
                Some((found, end)) if found == wanted => {
                    text.insert_str(end, "<rps:UnknownElement>1</rps:UnknownElement>");
                    true
                }
                _ => false,
            },
            _ => false,
        }));
        assert!(outcome.changed > 0, "{name}");
        let is_it = |(_, finding): &&(String, Finding)| {
            finding.kind == Kind::UnknownElement && finding.detail == detail
        };
        assert!(outcome.servers.iter().any(|found| is_it(&found)), "{name}: {:?}", outcome.servers);
    }
}

#[test]
fn every_web_service_accepts_an_unknown_element() {
    accepts_unknown_elements(20, &|change| procedures(Bearer::Https, change));
}

#[test]
fn every_web_service_accepts_an_unknown_header() {
    let outcome = procedures(Bearer::Https, |message| match message {
        Message::Soap(text) => match text.find("</soap:Header>") {
            Some(at) => {
                text.insert_str(at, "<v:Later xmlns:v=\"urn:vendor\">1</v:Later>");
                true
            }
            None => false,
        },
        _ => false,
    });
    assert!(outcome.changed > 0);
    for party in ["SM-SR", "SM-DP", "operator"] {
        let findings = outcome.of(party);
        let is_it = |it: &&&Finding| it.kind == Kind::UnknownElement && it.detail.starts_with("header Later");
        assert!(findings.iter().any(|finding| is_it(&finding)), "{party}: {findings:?}");
    }
}

/// Hands the card over to the second SM-SR. `change` changes each message to which it applies, and
/// returns true for it.
fn handover(change: impl Fn(&mut Message) -> bool + Send + Sync + 'static) -> Outcome {
    static START: LazyLock<(Setup, Start)> = LazyLock::new(|| {
        let setup = Setup { has_second_sm_sr: true, ..Setup::new(Arc::clone(&PKI), Bearer::Https) };
        let start = run("deviations", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
        (setup, start.unwrap().unwrap())
    });
    let (setup, start) = &*START;
    recorded(setup, start, change, async |run| {
        assert_done("SMSRChange", &run.change_sm_sr(VALIDITY).await.unwrap());
        let [first, second] = [&run.sm_sr, run.second_sm_sr.as_ref().unwrap()].map(|it| it.party().unwrap());
        assert!(first.eis(start.eid).await.unwrap().is_none());
        let eis = second.eis(start.eid).await.unwrap().unwrap();
        assert_eq!(eis.profile_info.len(), 1);
    })
}

#[test]
fn every_web_service_of_a_handover_accepts_an_unknown_element() {
    accepts_unknown_elements(7, &|change| handover(change));
}

/// Changes the response of the SM-SR to a card, if it has a script.
fn with_script(
    change: impl Fn(&mut Response<Bytes>) -> bool + Send + Sync,
) -> impl Fn(&mut Message) -> bool + Send + Sync {
    move |message| match message {
        Message::Response(response) if !response.body().is_empty() => change(response),
        _ => false,
    }
}

/// Changes the request of a card, if it has a response script.
fn with_result(
    change: impl Fn(&mut Request<Bytes>) -> bool + Send + Sync,
) -> impl Fn(&mut Message) -> bool + Send + Sync {
    move |message| match message {
        Message::Request(request) if !request.body().is_empty() => change(request),
        _ => false,
    }
}

fn text(value: &str) -> HeaderValue {
    value.parse().unwrap()
}

#[test]
fn the_card_accepts_deviations_in_the_headers_and_scripts_of_a_session() {
    let https = Bearer::Https;
    check(
        "unknown header",
        https,
        "card",
        (Kind::UnknownElement, "header x-admin-later"),
        with_script(|it| {
            it.headers_mut().insert("x-admin-later", text("1"));
            true
        }),
    );
    check(
        "minor version",
        https,
        "card",
        (Kind::AdminHeader, "X-Admin-Protocol"),
        with_script(|it| {
            it.headers_mut().insert("x-admin-protocol", text("globalplatform-remote-admin/1.1"));
            true
        }),
    );
    check(
        "content type",
        https,
        "card",
        (Kind::ContentType, "charset"),
        with_script(|it| {
            let value = format!("{}; charset=x", it.headers()["content-type"].to_str().unwrap());
            it.headers_mut().insert("content-type", text(&value));
            true
        }),
    );
    check(
        "octets after a script",
        https,
        "card",
        (Kind::TrailingOctets, "2 octets"),
        with_script(|it| {
            *it.body_mut() = [it.body(), &[1, 2][..]].concat().into();
            true
        }),
    );
}

/// Changes the C-APDUs of the scripts that the card gets in single short messages.
fn with_apdus(
    change: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync,
) -> impl Fn(&mut Message) -> bool + Send + Sync {
    move |message| match message {
        Message::ToCard(octets) => resealed(octets, |_, data| {
            let Ok(mut script) = Script::parse(data) else { return false };
            let mut is_changed = false;
            for command in &mut script.commands {
                if let Command::Apdu(apdu) = command
                    && let Some(changed) = change(apdu)
                {
                    *apdu = changed;
                    is_changed = true;
                }
            }
            *data = script.to_bytes();
            is_changed
        }),
        _ => false,
    }
}

/// Appends octets to the data of a C-APDU with a short length.
fn appended(apdu: &[u8], more: &[u8]) -> Vec<u8> {
    let length = usize::from(apdu[4]);
    let (data, le) = apdu[5..].split_at(length);
    let longer = u8::try_from(length + more.len()).unwrap();
    [&apdu[..4], &[longer], data, more, le].concat()
}

/// Appends octets to the data group in STORE DATA.
fn appended_to_group(apdu: &[u8], more: &[u8]) -> Vec<u8> {
    let mut changed = appended(apdu, more);
    changed[7] += u8::try_from(more.len()).unwrap();
    changed
}

#[test]
fn the_card_accepts_an_unknown_element_in_each_command_to_the_isd_r() {
    let unknown = |detail| (Kind::UnknownElement, detail);
    for (what, group) in
        [("EnableProfile", 0x03), ("DisableProfile", 0x04), ("HandleNotificationConfirmation", 0x08)]
    {
        let detail = if group == 0x08 { what } else { "data group" };
        check(
            what,
            Bearer::Sms,
            "card",
            unknown(detail),
            with_apdus(move |apdu| {
                let is_it = apdu[1] == 0xE2 && apdu[5..7] == [0x3A, group];
                is_it.then(|| appended_to_group(apdu, &UNKNOWN))
            }),
        );
    }
    for (what, ins) in [("GET STATUS", 0xF2), ("DELETE", 0xE4)] {
        check(
            what,
            Bearer::Sms,
            "card",
            unknown(what),
            with_apdus(move |apdu| (apdu[1] == ins).then(|| appended(apdu, &UNKNOWN))),
        );
    }
    check(
        "a reserved bit of STORE DATA",
        Bearer::Sms,
        "card",
        (Kind::ReservedBit, "P1"),
        with_apdus(|apdu| (apdu[1] == 0xE2).then(|| [&apdu[..2], &[apdu[2] | 0x02], &apdu[3..]].concat())),
    );
}

#[test]
fn the_sm_sr_accepts_deviations_in_the_headers_of_a_card() {
    let https = Bearer::Https;
    check(
        "unknown header",
        https,
        "SM-SR",
        (Kind::UnknownElement, "header x-admin-later"),
        with_result(|it| {
            it.headers_mut().insert("x-admin-later", text("1"));
            true
        }),
    );
    check(
        "script status",
        https,
        "SM-SR",
        (Kind::AdminHeader, "X-Admin-Script-Status"),
        with_result(|it| {
            it.headers_mut().insert("x-admin-script-status", text("OK"));
            true
        }),
    );
    check(
        "content type",
        https,
        "SM-SR",
        (Kind::ContentType, "charset"),
        with_result(|it| {
            let value = format!("{}; charset=x", it.headers()["content-type"].to_str().unwrap());
            it.headers_mut().insert("content-type", text(&value));
            true
        }),
    );
    check("agent", https, "SM-SR", (Kind::AdminHeader, "X-Admin-From"), |message| match message {
        Message::Request(request) => {
            let value = format!("{};//later/1", request.headers()["x-admin-from"].to_str().unwrap());
            request.headers_mut().insert("x-admin-from", text(&value));
            true
        }
        _ => false,
    });
}

#[test]
fn the_servers_accept_deviations_in_the_responses_of_a_card() {
    check(
        "unknown element of a response script",
        Bearer::Https,
        "SM-SR",
        (Kind::UnknownElement, "ScriptResponse"),
        with_result(|it| {
            let end = it.body().len() - 2;
            *it.body_mut() = [&it.body()[..end], &UNKNOWN, &[0, 0]].concat().into();
            true
        }),
    );
    check(
        "octets after a response script",
        Bearer::Https,
        "SM-SR",
        (Kind::TrailingOctets, "1 octets"),
        with_result(|it| {
            *it.body_mut() = [it.body(), &[7][..]].concat().into();
            true
        }),
    );
    // An unknown element in the responses to the commands of a key establishment.
    for (what, tag) in [("RandomChallenge", 0x85), ("Receipt", 0x86)] {
        let change = move |it: &mut Request<Bytes>| {
            let (octets, is_changed) = with_unknown_after(it.body(), tag);
            *it.body_mut() = octets.into();
            is_changed
        };
        check(what, Bearer::Https, "SM-DP", (Kind::UnknownElement, what), with_result(change));
    }
    let (status, unknown) = ("GetStatusResponse", (Kind::UnknownElement, "GetStatusResponse"));
    check(status, Bearer::Sms, "SM-SR", unknown, |message| match message {
        Message::FromCard(octets) => resealed(octets, |_, data| {
            let (octets, is_changed) = with_unknown_after(data, 0xE3);
            *data = octets;
            is_changed
        }),
        _ => false,
    });
}

/// Adds an unknown element to each response whose data end with the element `tag`. Returns true if
/// there is one.
fn with_unknown_after(response: &[u8], tag: u32) -> (Vec<u8>, bool) {
    let Ok(mut response) = ScriptResponse::parse(response) else { return (response.to_vec(), false) };
    let mut is_changed = false;
    for answer in &mut response.answers {
        let Answer::Apdu(apdu) = answer else { continue };
        let last = tlv::each(&apdu.data).ok().and_then(|all| tlv::split(all.last()?));
        if last.is_some_and(|(found, _)| found == Tag(tag)) {
            apdu.data.extend(UNKNOWN);
            is_changed = true;
        }
    }
    (response.to_bytes(), is_changed)
}

/// Adds an unknown element at the end of a TLV.
fn with_unknown_element(octets: &[u8]) -> Vec<u8> {
    let (tag, contents) = tlv::split(octets).unwrap();
    tlv_bytes(tag, &[contents, &UNKNOWN].concat())
}

#[test]
fn short_messages_may_have_unknown_elements_in_their_header() {
    let with_element = |octets: &mut Vec<u8>| {
        let mut user_data = UserData::parse(octets, true).unwrap();
        // The element fits only into a message that is not full.
        let has_room = octets.len() <= 130;
        if has_room {
            user_data.header.push(InformationElement { identifier: 0xA5, data: vec![1] });
            *octets = user_data.to_bytes();
        }
        has_room
    };
    let unknown = (Kind::UnknownElement, "TP-UDH: element A5");
    check("to the card", Bearer::Sms, "card", unknown, move |message| match message {
        Message::ToCard(octets) => with_element(octets),
        _ => false,
    });
    check("from the card", Bearer::Sms, "SM-SR", unknown, move |message| match message {
        Message::FromCard(octets) => with_element(octets),
        _ => false,
    });
}

/// The keys of the ISD-R that protect secured packets.
fn keys(eid: Eid) -> Keys {
    let keys = PKI.isd_r_keys(eid).unwrap();
    Keys { kic: (*keys.kic.expose()).into(), kid: (*keys.kid.expose()).into() }
}

/// Opens the secured packet in a short message, changes its header and its data, and protects it
/// again. Returns false for a part of a longer packet, and for a packet that `change` refuses.
fn resealed(octets: &mut Vec<u8>, change: impl Fn(&mut [u8; 7], &mut Vec<u8>) -> bool) -> bool {
    let keys = keys(setup(Bearer::Sms).1.eid);
    let Some(mut packet) = SecuredPacket::open(octets, &keys) else { return false };
    if !change(&mut packet.clear, &mut packet.opened.data) {
        return false;
    }
    let Some(changed) = packet.seal(&keys) else { return false };
    *octets = changed;
    true
}

#[test]
fn secured_packets_may_have_reserved_bits_and_unknown_elements() {
    check("SPI", Bearer::Sms, "card", (Kind::ReservedBit, "SPI"), |message| match message {
        Message::ToCard(octets) => resealed(octets, |clear, _| {
            clear[0] |= 0x80;
            true
        }),
        _ => false,
    });
    check("notification", Bearer::Sms, "SM-SR", (Kind::UnknownElement, "DefaultNotification"), |message| {
        match message {
            Message::FromCard(octets) => resealed(octets, |_, data| {
                let is_notification = data.first() == Some(&0xE1);
                if is_notification {
                    *data = with_unknown_element(data);
                }
                is_notification
            }),
            _ => false,
        }
    });
    check("response script", Bearer::Sms, "SM-SR", (Kind::UnknownElement, "ScriptResponse"), |message| {
        match message {
            Message::FromCard(octets) => resealed(octets, |_, data| {
                let is_response = data.first() == Some(&0xAB);
                if is_response {
                    *data = with_unknown_element(data);
                }
                is_response
            }),
            _ => false,
        }
    });
    // A reserved bit in SPI of a packet from the card.
    check("SPI of the card", Bearer::Sms, "SM-SR", (Kind::ReservedBit, "SPI"), |message| match message {
        Message::FromCard(octets) => resealed(octets, |clear, data| {
            let is_notification = data.first() == Some(&0xE1);
            if is_notification {
                clear[1] |= 0x40;
            }
            is_notification
        }),
        _ => false,
    });
}
