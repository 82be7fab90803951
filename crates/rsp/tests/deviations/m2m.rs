//! Deviations in the messages of SGP.02 that are not XML: messages of and to cards, and the packets,
//! short messages and headers that transport them.

use std::{cell::RefCell, collections::BTreeSet};

use bytes::Bytes;
use http::{Request, header};
use rsp::{
    StatusWord,
    der::{DecodeError, Tag, tlv, tlv_bytes},
    finding::{self, Finding, FindingKind},
    ids::{Aid, Eid, Oid},
    ota::{
        admin::{self, AgentId, Post, Reply, ReplyReader, ScriptStatus},
        cat::{self, AccessPoint, Bearer, ChannelParameters, TextString, TransportLevel, TransportProtocol},
        octets::Octets,
        script::{Answer, BadFormat, ChainingFailure, Command, Form, ResponseApdu, Script, ScriptResponse},
        secured_packet::{CommandPacket, ResponsePacket, ResponseStatus, Spi},
        sms::{
            FAILURE_DATA_DOWNLOAD, InformationElement, PacketKind, Reference, SmsDeliver, SmsDeliverReport,
            SmsSubmit, UserData, segments,
        },
        trigger::{
            DnsResolution, HttpParameters, RetryPolicy, SecurityParameters, SessionParameters, SessionTrigger,
        },
    },
    sgp02::{
        certificate::{self, CardCertificate, CurveReference, Day, Owner},
        connectivity::ConnectivityParameters,
        es5::{self, CardResources, IsdPStatus, Receipt},
        keys::{KeyVersion, PskIdentity},
        notification::{DefaultNotification, NotificationType},
    },
};

/// An element that no version defines, as a TLV and as an object of TS 102 223.
const UNKNOWN: [u8; 4] = [0x9F, 0x7F, 0x01, 0x00];
const UNKNOWN_OBJECT: [u8; 3] = [0x7E, 0x01, 0x00];

/// The octets by which a value is made longer.
const LONGER: [u8; 40] = [0x41; 40];

/// The contents of an element.
#[derive(Clone, Copy)]
enum Contents {
    /// Elements with these tags.
    Elements(&'static [(u32, Contents)]),
    /// Objects of TS 102 223 with these tags.
    Objects(&'static [(u8, Contents)]),
    /// A value whose length has no effect. A longer one is a finding.
    Long,
    /// A value of any length.
    Any,
    /// A value whose length is required by the clause. A longer one is refused.
    Bounded(&'static str),
}

use Contents::{Any, Bounded, Elements, Long, Objects};

/// A message, and its decoder.
struct Sample {
    name: &'static str,
    octets: Vec<u8>,
    /// The tag of the whole message; `None` if it is a sequence of elements.
    tag: Option<u32>,
    contents: Contents,
    decode: fn(&[u8]) -> Result<(), DecodeError>,
}

/// Returns the contents to try instead of those of an element.
type Change<'a> = &'a dyn Fn(Contents, &[u8]) -> Vec<Vec<u8>>;

impl Sample {
    fn decode(&self, octets: &[u8]) -> Result<Vec<Finding>, DecodeError> {
        let (decoded, findings) = finding::collect(|| (self.decode)(octets));
        decoded.map(|()| findings)
    }

    /// Returns the messages in which `change` has replaced the contents of one element.
    fn changed(&self, change: Change<'_>) -> Vec<Vec<u8>> {
        match self.tag {
            None => changed(&self.octets, self.contents, change),
            Some(tag) => {
                let (found, contents) = tlv::split(&self.octets).unwrap();
                assert_eq!(found, Tag(tag), "{}", self.name);
                let all = changed(contents, self.contents, change);
                all.iter().map(|contents| tlv_bytes(found, contents)).collect()
            }
        }
    }
}

fn changed(octets: &[u8], contents: Contents, change: Change<'_>) -> Vec<Vec<u8>> {
    let mut all = change(contents, octets);
    let parts = parts(octets, contents);
    for (at, part) in parts.iter().enumerate() {
        let (tag, value) = tlv::split(part).unwrap();
        let known = match contents {
            Elements(known) => known.iter().find(|(known, _)| Tag(*known) == tag).map(|(_, it)| *it),
            Objects(known) => {
                known.iter().find(|(known, _)| u32::from(*known) == tag.0 & 0x7F).map(|(_, it)| *it)
            }
            _ => None,
        };
        let known = known.unwrap_or_else(|| panic!("no contents are given for {tag}"));
        for value in changed(value, known, change) {
            let mut parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
            parts[at] = tlv_bytes(tag, &value);
            all.push(parts.concat());
        }
    }
    all
}

fn parts(octets: &[u8], contents: Contents) -> Vec<&[u8]> {
    match contents {
        Elements(_) | Objects(_) => tlv::each(octets).unwrap(),
        Long | Any | Bounded(_) => Vec::new(),
    }
}

fn eid() -> Eid {
    "89001012012341234012345678901224".parse().unwrap()
}

fn channel() -> ChannelParameters {
    ChannelParameters {
        bearer: Some(Bearer::default_bearer()),
        buffer_size: Some(1400),
        access_point: Some(AccessPoint("m2m.example".to_owned())),
        login: Some(TextString("user".to_owned())),
        password: Some(TextString("secret".to_owned())),
        transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 443 }),
        destination: Some([192, 0, 2, 1].into()),
    }
}

const ADDRESS: Contents = Bounded("TS 23.040 9.1.2.5: at most 20 digits");
const CHANNEL: Contents = Objects(&[
    (0x35, Any),
    (0x39, Long),
    (0x47, Bounded("TS 23.003 9.1: labels with their lengths")),
    (0x0D, Any),
    (0x3C, Long),
    (0x3E, Long),
]);
const ONE_OCTET: Contents = Bounded("SGP.02 4.1.1: 1 octet");
const EID: Contents = Bounded("SGP.02 2.2.2: 16 octets");

fn status(aid: &Aid) -> Vec<u8> {
    let element = |tag, value: &[u8]| tlv_bytes(Tag(tag), value);
    let contents = [
        element(0x4F, &aid.0),
        element(0x9F70, &[0x3F]),
        element(0x53, &[0x01]),
        element(0x8F, &1000_u32.to_be_bytes()),
        element(0x91, &10_u32.to_be_bytes()),
    ];
    element(0xE3, &contents.concat())
}

fn card_certificate() -> Vec<u8> {
    let contents = certificate::Contents {
        serial_number: vec![2],
        authority: vec![3; 3],
        subject: "2.999.10".parse::<Oid>().unwrap().der_contents().to_vec(),
        key_usage: certificate::USAGE_OF_SERVERS.to_vec(),
        effective: Day::of("2020-01-01T00:00:00Z".parse().unwrap()),
        expires: Day::of("2045-01-01T00:00:00Z".parse().unwrap()).unwrap(),
        owner: Some(Owner::SmDp),
        authority_key: Some(vec![7; 20]),
        point: [vec![4], vec![0x11; 64]].concat(),
        curve: CurveReference::P256,
    };
    contents.signed(&[0x33; 64])
}

fn trigger() -> SessionTrigger {
    SessionTrigger {
        session: Some(SessionParameters {
            connection: Some(channel()),
            security: Some(SecurityParameters {
                psk_identity: vec![0xDE; 4],
                key_version: 0x40,
                key_identifier: 1,
            }),
            retry: Some(RetryPolicy {
                attempts: 3,
                delay: cat::TimerValue::of_seconds(30),
                failure_report: Vec::new(),
            }),
            http: Some(HttpParameters {
                host: Some("admin.host".to_owned()),
                agent_id: Some("//se-id/eid/89".to_owned()),
                uri: Some("/agent".to_owned()),
            }),
        }),
        dns: Some(DnsResolution { name: "m2m.example".to_owned(), servers: vec![channel()] }),
    }
}

fn response() -> ScriptResponse {
    let data = vec![0xE3, 0];
    let answers = vec![
        Answer::Apdu(ResponseApdu { data, status: StatusWord::OK }),
        Answer::SecureChannel(vec![0x86, 0x01, 0x00]),
        Answer::ImmediateAction(vec![0x01]),
    ];
    ScriptResponse {
        bad_format: Some(BadFormat::UnknownTag),
        chaining: Some(ChainingFailure::NotSupported),
        ..ScriptResponse::of(Form::Definite, answers)
    }
}

const RESPONSE: Contents = Elements(&[
    (0x80, Bounded("TS 102 226 5.2.2: a number of at most FFFF")),
    (0x23, Any),
    (0x86, Any),
    (0x81, Any),
    (0x90, Bounded("TS 102 226 5.2.2: 1 octet")),
    (0x83, Bounded("TS 102 226 5.2.2: 1 octet")),
]);

/// Every message that consists of elements.
fn samples() -> Vec<Sample> {
    let sample = |name, octets, tag, contents, decode| Sample { name, octets, tag, contents, decode };
    let number = |tag, value: u32| tlv_bytes(Tag(tag), &value.to_be_bytes());
    let identity = PskIdentity { eid: eid(), key_version: KeyVersion(0x40), key_identifier: 1 };
    let connectivity =
        ConnectivityParameters { sms: "+4912".parse().ok(), https: Some(channel()), cat_tp: Some(channel()) };
    let aids = [tlv_bytes(Tag(0x4F), &Aid::isd_p(0x11).0), tlv_bytes(Tag(0x4F), &Aid::isd_p(0x12).0)];
    vec![
        sample(
            "DefaultNotification",
            DefaultNotification {
                eid: eid(),
                kind: NotificationType::EuiccDeclaration,
                sequence_number: 1,
                isd_p: Aid::isd_p(0x10),
                imei: Some(vec![0x4A, 9, 8, 7, 6, 5, 4, 3].into()),
                meid: Some(vec![1; 7].into()),
            }
            .to_bytes(),
            Some(0xE1),
            Elements(&[
                (0x4C, EID),
                (0x4D, ONE_OCTET),
                (0x4E, Bounded("SGP.02 4.1.1.11: 2 octets")),
                (0x2F, Long),
                (0x14, Long),
                (0x6D, Long),
            ]),
            |octets| DefaultNotification::parse(octets).map(drop),
        ),
        sample(
            "GET STATUS",
            [status(&Aid::isd_p(0x10)), status(&Aid::isd_p(0x11))].concat(),
            None,
            Elements(&[(
                0xE3,
                Elements(&[(0x4F, Long), (0x9F70, Long), (0x53, Long), (0x8F, Long), (0x91, Long)]),
            )]),
            |octets| IsdPStatus::parse_all(octets).map(drop),
        ),
        sample(
            "GET DATA, FF21",
            tlv_bytes(Tag(0xFF21), &[number(0x81, 3), number(0x82, 1000), number(0x83, 500)].concat()),
            Some(0xFF21),
            Elements(&[(0x81, Long), (0x82, Long), (0x83, Long)]),
            |octets| CardResources::parse(octets).map(drop),
        ),
        sample(
            "HandleNotificationConfirmation",
            tlv_bytes(Tag(0x80), &aids.concat()),
            Some(0x80),
            Elements(&[(0x4F, Long)]),
            |octets| es5::deleted_isd_ps(octets).map(drop),
        ),
        sample(
            "random challenge",
            tlv_bytes(Tag(0x85), &[7; 16]),
            None,
            Elements(&[(0x85, Bounded("SGP.02 4.1.3.1: 16 or 32 octets"))]),
            |octets| es5::random_challenge(octets).map(drop),
        ),
        sample(
            "receipt",
            [tlv_bytes(Tag(0x85), &[7; 16]), tlv_bytes(Tag(0x86), &[8; 16])].concat(),
            None,
            Elements(&[(0x85, Any), (0x86, Any)]),
            |octets| Receipt::parse(octets).map(drop),
        ),
        sample(
            "certificate",
            card_certificate(),
            Some(0x7F21),
            Elements(&[
                (0x93, Bounded("GPC Amendment A: 1 to 16 octets")),
                (0x42, Bounded("GPC Amendment A: 1 to 16 octets")),
                (0x5F20, Bounded("GPC Amendment A: 1 to 16 octets")),
                (0x95, Long),
                (0x5F25, Bounded("GPC Amendment A: 4 octets")),
                (0x5F24, Bounded("GPC Amendment A: 4 octets")),
                (0x73, Elements(&[(0xC8, ONE_OCTET), (0xC9, Long)])),
                (0x7F49, Elements(&[(0xB0, Any), (0xF0, Bounded("GPC Amendment E: 1 octet"))])),
                (0x5F37, Any),
            ]),
            |octets| CardCertificate::parse(octets).map(drop),
        ),
        sample(
            "PSK identity",
            hex::decode(identity.to_string()).unwrap(),
            None,
            Elements(&[
                (0x80, ONE_OCTET),
                (0x81, EID),
                (0x4F, Bounded("SGP.02 2.4.4.1: the AID of the ISD-R")),
                (0x82, ONE_OCTET),
                (0x83, ONE_OCTET),
            ]),
            |octets| {
                let bad = rsp::der::Problem::BadValue("not an identity");
                let parsed = hex::encode_upper(octets).parse::<PskIdentity>();
                parsed.map(drop).map_err(|_| DecodeError::new(0, bad))
            },
        ),
        sample(
            "connectivity parameters",
            connectivity.to_bytes(),
            None,
            Elements(&[(0xA0, Objects(&[(0x06, ADDRESS)])), (0xA1, CHANNEL), (0xA2, CHANNEL)]),
            |octets| ConnectivityParameters::parse(octets).map(drop),
        ),
        sample(
            "session trigger",
            trigger().to_bytes(),
            Some(0x81),
            Elements(&[
                (
                    0x83,
                    Elements(&[
                        (0x84, CHANNEL),
                        (0x85, Long),
                        (0x86, Any),
                        (0x89, Elements(&[(0x8A, Any), (0x8B, Any), (0x8C, Any)])),
                    ]),
                ),
                (0xB3, Elements(&[(0xD6, Any), (0xFA, CHANNEL)])),
            ]),
            |octets| SessionTrigger::parse(octets).map(drop),
        ),
        sample("response script", response().to_bytes(), Some(0xAB), RESPONSE, |octets| {
            ScriptResponse::parse(octets).map(drop)
        }),
        // The same contents with indefinite length.
        sample("response script over HTTPS", response().to_bytes(), Some(0xAB), RESPONSE, |octets| {
            let (_, contents) = tlv::split(octets).unwrap_or((Tag(0xAB), &[]));
            ScriptResponse::parse(&[&[0xAF, 0x80], contents, &[0, 0]].concat()).map(drop)
        }),
        sample(
            "ENVELOPE (SMS-PP download)",
            cat::Envelope::SmsPpDownload { service_centre: "+4912".parse().ok(), tpdu: vec![7; 20] }
                .to_bytes(),
            Some(0xD1),
            Objects(&[(0x02, Any), (0x06, ADDRESS), (0x0B, Any)]),
            |octets| cat::Envelope::parse(octets).map(drop),
        ),
    ]
}

fn kinds(findings: &[Finding]) -> BTreeSet<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn the_samples_have_no_findings() {
    for sample in samples() {
        assert_eq!(sample.decode(&sample.octets), Ok(Vec::new()), "{}", sample.name);
    }
}

#[test]
fn an_unknown_element_is_accepted_in_every_template() {
    let mut count = 0;
    for sample in samples() {
        let with_unknown = sample.changed(&|contents, octets| {
            let unknown: &[u8] = match contents {
                Elements(_) => &UNKNOWN,
                Objects(_) => &UNKNOWN_OBJECT,
                Long | Any | Bounded(_) => return Vec::new(),
            };
            let parts = parts(octets, contents);
            let insert = |at: usize| [&parts[..at].concat()[..], unknown, &parts[at..].concat()].concat();
            (0..=parts.len()).map(insert).collect()
        });
        assert!(!with_unknown.is_empty(), "{}", sample.name);
        for message in with_unknown {
            let findings = sample
                .decode(&message)
                .unwrap_or_else(|e| panic!("{} {}: {e}", sample.name, hex::encode(&message)));
            assert_eq!(
                kinds(&findings),
                [FindingKind::UnknownElement].into(),
                "{}: {findings:?}",
                sample.name
            );
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_longer_value_is_accepted_in_every_template_unless_the_standard_bounds_it() {
    for sample in samples() {
        // Each message has one value of a single kind that is longer.
        let longer = |wanted: fn(Contents) -> bool| {
            sample.changed(&move |contents, octets| {
                if wanted(contents) { vec![[octets, &LONGER].concat()] } else { Vec::new() }
            })
        };
        for message in longer(|contents| matches!(contents, Long)) {
            let findings = sample
                .decode(&message)
                .unwrap_or_else(|e| panic!("{} {}: {e}", sample.name, hex::encode(&message)));
            assert!(
                kinds(&findings).contains(&FindingKind::LongValue),
                "{} {}: {findings:?}",
                sample.name,
                hex::encode(&message)
            );
        }
        for message in longer(|contents| matches!(contents, Any)) {
            assert_eq!(sample.decode(&message), Ok(Vec::new()), "{} {}", sample.name, hex::encode(&message));
        }
        // The clauses are in the order of the messages.
        let clauses = RefCell::new(Vec::new());
        let messages = sample.changed(&|contents, octets| match contents {
            Bounded(clause) => {
                clauses.borrow_mut().push(clause);
                vec![[octets, &LONGER].concat()]
            }
            _ => Vec::new(),
        });
        for (message, clause) in messages.iter().zip(clauses.into_inner()) {
            assert!(sample.decode(message).is_err(), "{} {}: {clause}", sample.name, hex::encode(message));
        }
    }
}

#[test]
fn octets_after_a_template_are_accepted() {
    for sample in samples().iter().filter(|sample| sample.tag.is_some()) {
        if sample.name == "response script over HTTPS" {
            continue;
        }
        let findings = sample.decode(&[&sample.octets[..], &[0, 0]].concat());
        let expected = Finding::new(FindingKind::TrailingOctets, "2 octets");
        assert_eq!(findings, Ok(vec![expected]), "{}", sample.name);
    }
}

#[test]
fn a_length_in_another_form_is_accepted_in_every_template() {
    for sample in samples().iter().filter(|sample| sample.tag.is_some()) {
        let (tag, contents) = tlv::split(&sample.octets).unwrap();
        let mut message = Vec::new();
        tag.write(&mut message);
        message.extend([0x83, 0]);
        message.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
        message.extend(contents);
        if sample.name == "response script over HTTPS" {
            continue;
        }
        let findings = sample.decode(&message).unwrap_or_else(|e| panic!("{}: {e}", sample.name));
        assert_eq!(kinds(&findings), [FindingKind::NotDer].into(), "{}", sample.name);
    }
}

/// Decodes octets, and returns the kinds of the findings.
fn accepted<T>(decode: impl FnOnce() -> Result<T, DecodeError>) -> (T, BTreeSet<FindingKind>) {
    let (decoded, findings) = finding::collect(decode);
    (decoded.unwrap_or_else(|e| panic!("{e}")), kinds(&findings))
}

#[test]
fn values_that_a_later_version_may_define_are_accepted_from_a_card() {
    let notification = |kind: u8| {
        let whole = samples().remove(0).octets;
        let at = whole.windows(2).position(|it| it == [0x4D, 1]).unwrap();
        let mut whole = whole;
        whole[at + 2] = kind;
        accepted(|| DefaultNotification::parse(&whole)).1
    };
    assert_eq!(notification(0x02), [].into());
    assert_eq!(notification(0x42), [FindingKind::UnknownValue].into());
    let state = hex::encode(status(&Aid::isd_p(0x10))).replace("9f70013f", "9f700177");
    let (found, findings) = accepted(|| IsdPStatus::parse_all(&hex::decode(&state).unwrap()));
    assert_eq!((found[0].state, findings), (None, [FindingKind::UnknownValue].into()));
    for (octets, kind) in [
        ("AB03 900107", FindingKind::UnknownValue),
        ("AB03 830107", FindingKind::UnknownValue),
        ("AB05 8003000001", FindingKind::LongValue),
    ] {
        let octets = hex::decode(octets.replace(' ', "")).unwrap();
        assert_eq!(accepted(|| ScriptResponse::parse(&octets)).1, [kind].into(), "{}", hex::encode(&octets));
    }
    let (status, findings) = finding::collect(|| ResponseStatus::of(0x42));
    assert_eq!(status, ResponseStatus::Reserved(0x42));
    assert_eq!(kinds(&findings), [FindingKind::UnknownValue].into());
}

#[test]
fn an_unknown_tag_in_a_command_script_is_refused_and_octets_after_it_are_accepted() {
    let script = Script::of_apdus([vec![0x80, 0xCA, 0xFF, 0x21, 0x00]]);
    for form in [Form::Definite, Form::Indefinite] {
        let octets = script.clone().in_form(form).to_bytes();
        let (found, findings) = accepted(|| Script::parse(&[&octets[..], &[1, 2, 3]].concat()));
        assert_eq!(found.commands, script.commands);
        assert_eq!(findings, [FindingKind::TrailingOctets].into());
        let response = response();
        let octets = ScriptResponse { form, ..response }.to_bytes();
        let findings = accepted(|| ScriptResponse::parse(&[&octets[..], &[1]].concat())).1;
        assert_eq!(findings, [FindingKind::TrailingOctets].into());
    }
    let unknown = [&[0xAA, 0x04][..], &UNKNOWN].concat();
    let error = Script::parse(&unknown).unwrap_err();
    assert_eq!(BadFormat::of(&error), BadFormat::UnknownTag);
    // A command of any length is one command.
    let long = Script { commands: vec![Command::Apdu(vec![0x80; 5000])], ..script };
    assert_eq!(accepted(|| Script::parse(&long.to_bytes())), (long, [].into()));
}

#[test]
fn reserved_bits_of_a_secured_packet_are_ignored() {
    let packet = |spi: [u8; 2]| {
        let body = [&spi[..], &[0x12, 0x12, 0, 0, 1], &[0; 6], &[0; 8], &[7; 10]].concat();
        let chl = u8::try_from(2 + 2 + 3 + 6 + 8).unwrap();
        [&u16::try_from(body.len() + 1).unwrap().to_be_bytes()[..], &[chl], &body].concat()
    };
    let [first, second] = Spi::COMMAND_ANSWERED_BY_SUBMIT.to_bytes();
    let octets = packet([first, second]);
    let (parsed, findings) = accepted(|| CommandPacket::parse(&octets));
    assert_eq!((parsed.header.spi, findings), (Spi::COMMAND_ANSWERED_BY_SUBMIT, [].into()));
    for spi in [
        [first | 0x20, second],
        [first | 0x40, second],
        [first | 0x80, second],
        [first, second | 0x40],
        [first, second | 0x80],
    ] {
        let octets = packet(spi);
        let (parsed, findings) = accepted(|| CommandPacket::parse(&octets));
        assert_eq!(parsed.header.spi, Spi::COMMAND_ANSWERED_BY_SUBMIT);
        // The checksum covers the octets as received.
        assert_eq!(parsed.clear[..2], spi);
        assert_eq!(findings, [FindingKind::ReservedBit].into());
    }
    assert!(CommandPacket::parse(&packet([first, second | 0x03])).is_err());
    assert!(ResponsePacket::parse(&[&[0, 15, 10][..], &[0; 13]].concat()).is_err());
}

#[test]
fn short_messages_may_have_unknown_elements_reserved_bits_and_further_octets() {
    let part = segments(&[7; 20], PacketKind::Command, Reference::Short(0)).unwrap().remove(0);
    let with_unknown = |identifier| {
        let mut user_data = part.clone();
        user_data.header.push(InformationElement { identifier, data: vec![1, 2] });
        user_data
    };
    let octets = |user_data: UserData| {
        let deliver = SmsDeliver::data_download("+4912".parse().unwrap(), [0x22; 7], user_data.clone());
        let submit = SmsSubmit::data("+4912".parse().unwrap(), user_data.clone());
        let report = SmsDeliverReport::of_card(user_data, None);
        [deliver.to_bytes(), submit.to_bytes(), report.to_bytes()]
    };
    type Parse = fn(&[u8]) -> Result<UserData, DecodeError>;
    let parse: [Parse; 3] = [
        |tpdu| SmsDeliver::parse(tpdu).map(|it| it.user_data),
        |tpdu| SmsSubmit::parse(tpdu).map(|it| it.user_data),
        |tpdu| SmsDeliverReport::parse(tpdu).map(|it| it.user_data.unwrap()),
    ];
    for (tpdu, parse) in octets(part.clone()).into_iter().zip(parse) {
        assert_eq!(accepted(|| parse(&tpdu)), (part.clone(), [].into()));
        let (found, findings) = accepted(|| parse(&[&tpdu[..], &[0]].concat()));
        assert_eq!((found, findings), (part.clone(), [FindingKind::TrailingOctets].into()));
    }
    for identifier in [0x30, 0xA5, 0xFF] {
        for (tpdu, parse) in octets(with_unknown(identifier)).into_iter().zip(parse) {
            let (found, findings) = accepted(|| parse(&tpdu));
            assert_eq!(found.octets, part.octets);
            assert_eq!(findings, [FindingKind::UnknownElement].into(), "{identifier:02X}");
        }
    }
    // TP-PI with reserved parameters, and with a further octet.
    let [.., report] = octets(part.clone());
    let whole = SmsDeliverReport::parse(&report).unwrap();
    assert_eq!(report[1], 0x07);
    for indicator in [0x0F, 0x7F] {
        let tpdu = [&report[..1], &[indicator], &report[2..]].concat();
        let (found, findings) = accepted(|| SmsDeliverReport::parse(&tpdu));
        assert_eq!((found, findings), (whole.clone(), [FindingKind::ReservedBit].into()), "{indicator:02X}");
    }
    let whole = SmsDeliverReport { failure_cause: Some(FAILURE_DATA_DOWNLOAD), ..whole };
    for more in [vec![0x00], vec![0x80, 0x01]] {
        let tpdu = [&report[..1], &[FAILURE_DATA_DOWNLOAD, 0x87], &more, &report[2..]].concat();
        let (found, findings) = accepted(|| SmsDeliverReport::parse(&tpdu));
        assert_eq!((found, findings), (whole.clone(), [FindingKind::ReservedBit].into()), "{more:02X?}");
    }
}

#[test]
fn objects_with_tags_of_three_octets_are_skipped() {
    let whole = channel();
    let mut octets = Vec::new();
    whole.write(&mut octets);
    octets.extend([0x7F, 0x01, 0x23, 0x02, 0xAA, 0xBB]);
    let (found, findings) = accepted(|| ChannelParameters::parse(Octets::new(&octets)));
    assert_eq!((found, findings), (whole, [FindingKind::UnknownElement].into()));
}

/// The request of a card with these headers changed or added.
fn post(changes: &[(&'static str, String)]) -> Request<Bytes> {
    let mut request = Request::post("/es5/next/1").body(Bytes::from_static(&[0xAB, 0])).unwrap();
    let agent = AgentId { eid: eid() }.to_string();
    for (name, value) in [
        (admin::X_PROTOCOL, admin::PROTOCOL.to_owned()),
        (admin::X_FROM, agent),
        (admin::X_SCRIPT_STATUS, "ok".to_owned()),
        (header::CONTENT_TYPE.as_str(), admin::RESPONSES.to_owned()),
    ]
    .iter()
    .chain(changes)
    {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[test]
fn headers_of_remote_administration_may_have_other_forms() {
    use FindingKind as Kind;
    let decode = |changes: &[(&'static str, String)]| {
        let request = post(changes);
        let (found, findings) = finding::collect(|| {
            let post = Post::of_http(&request)?;
            assert_eq!(post.agent.parse::<AgentId>(), Ok(AgentId { eid: eid() }));
            Ok::<_, DecodeError>(post)
        });
        found.map(|post| (post.result.map(|(status, _)| status), kinds(&findings)))
    };
    assert_eq!(decode(&[]), Ok((Some(ScriptStatus::Ok), [].into())));
    let agent = AgentId { eid: eid() };
    for (name, value, status, kind) in [
        ("x-admin-later", "1".to_owned(), ScriptStatus::Ok, Kind::UnknownElement),
        (
            admin::X_PROTOCOL,
            "globalplatform-remote-admin/1.1".to_owned(),
            ScriptStatus::Ok,
            Kind::AdminHeader,
        ),
        (
            admin::X_PROTOCOL,
            "GlobalPlatform-Remote-Admin/1.0".to_owned(),
            ScriptStatus::Ok,
            Kind::AdminHeader,
        ),
        (admin::X_FROM, format!("{agent};//later/1"), ScriptStatus::Ok, Kind::AdminHeader),
        (admin::X_SCRIPT_STATUS, "OK".to_owned(), ScriptStatus::Ok, Kind::AdminHeader),
        (admin::X_SCRIPT_STATUS, "not-yet".to_owned(), ScriptStatus::Unknown, Kind::UnknownValue),
        ("content-type", format!("{}; charset=x", admin::RESPONSES), ScriptStatus::Ok, Kind::ContentType),
    ] {
        let found = decode(&[(name, value.clone())]);
        assert_eq!(found, Ok((Some(status), [kind].into())), "{name}: {value}");
    }
    for (name, value) in [
        (admin::X_PROTOCOL, "globalplatform-remote-admin/2.0"),
        (admin::X_PROTOCOL, "gsma/rsp/v2.2.0"),
        ("content-type", "text/plain"),
    ] {
        assert!(decode(&[(name, value.to_owned())]).is_err(), "{name}: {value}");
    }
}

#[test]
fn responses_of_remote_administration_may_have_other_forms() {
    use FindingKind as Kind;
    let decode = |status: &str, headers: &str, body: &str| {
        let text = format!("HTTP/1.1 {status}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{body}");
        accepted(|| ReplyReader::default().push(text.as_bytes()))
    };
    let headers = format!("X-Admin-Protocol: {}\r\nContent-Type: {}\r\n", admin::PROTOCOL, admin::COMMANDS);
    let body = "2\r\nab\r\n0\r\n\r\n";
    let expected = Some(Reply::Commands { target: None, next_uri: None, script: b"ab".to_vec() });
    assert_eq!(decode("200 OK", &headers, body), (expected.clone(), [].into()));
    for (status, headers, body, kind) in [
        ("200 OK", format!("{headers}X-Admin-Later: 1\r\n"), body, Kind::UnknownElement),
        ("202 Accepted", headers.clone(), body, Kind::HttpStatus),
        ("200 OK", headers.replace("1.0\r\nContent", "1.2\r\nContent"), body, Kind::AdminHeader),
        ("200 OK", headers.replace(";version=1.0", ""), body, Kind::ContentType),
        ("200 OK", headers.clone(), "2\r\nab\r\n0\r\nTrailer: x\r\nMore: y\r\n\r\n", Kind::AdminHeader),
    ] {
        assert_eq!(decode(status, &headers, body), (expected.clone(), [kind].into()), "{headers} {body}");
    }
    // Chunk extensions are no deviation.
    let extended = format!("2;later={}\r\nab\r\n0\r\n\r\n", "x".repeat(100));
    assert_eq!(decode("200 OK", &headers, &extended), (expected, [].into()));
}
