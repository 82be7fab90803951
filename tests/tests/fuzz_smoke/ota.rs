//! Data over the air: short messages, secured packets, scripts, triggers, toolkit commands, and the
//! HTTP of card sessions.

use std::fmt::Debug;

use rsp::{
    der::DecodeError,
    ota::{
        admin::{PROTOCOL, ReplyReader},
        cat::{
            AccessPoint, Bearer, ChannelParameters, Command, Duration, Envelope, Proactive, TerminalResponse,
            TextString, TimerValue, TransportLevel, TransportProtocol,
        },
        script::{Script, ScriptResponse},
        secured_packet::{CommandPacket, ResponsePacket},
        sms::{Reassembler, SmsDeliver, SmsDeliverReport, SmsSubmit, UserData},
        trigger::{
            DnsResolution, HttpParameters, RetryPolicy, SecurityParameters, SessionParameters, SessionTrigger,
        },
    },
    sgp02::{
        certificate::CardCertificate,
        connectivity::ConnectivityParameters,
        es5::{self, CardResources, IsdPStatus},
        notification::DefaultNotification,
    },
};

use crate::run::Run;

/// Examples of each format, from standards and real traces.
const EXAMPLES: [&str; 14] = [
    // SMS-DELIVER, SMS-SUBMIT and a delivery report, each with a packet.
    "400881214365877FF6227052000000002D02700000281506192222B00011E87CCEEBB2D93083011CE294F93FC4D8DE80DA1ABAE8C37CA3E72EC4432E5058",
    "41000881214365877FF629027100002412B00011EBC6B497E2CAD7AEDF36ACE0E3A29B38853F0FE9CCDE81913BE5702B73ABCE1F",
    "40077FF629027100002412B00011EBC6B497E2CAD7AEDF36ACE0E3A29B38853F0FE9CCDE81913BE5702B73ABCE1F",
    // The packets of these messages without the message headers, and the first part of a packet.
    "00281506192222B00011E87CCEEBB2D93083011CE294F93FC4D8DE80DA1ABAE8C37CA3E72EC4432E5058",
    "002412B00011EBC6B497E2CAD7AEDF36ACE0E3A29B38853F0FE9CCDE81913BE5702B73ABCE1F",
    "0700030702017000 00C81516391212000001",
    // Scripts and their responses.
    "AA1C221A80E28800153A03124F10A0000005591010FFFFFFFF8900001100",
    "AE80 2205 80CAFF2100 0000",
    "AF80 800101 2304 93059000 0000",
    "AB0E 800102 8405 0102030405 9F4501 02",
    // A notification, and the states of two ISD-Ps.
    "E12B4C10890490321234512345123451234512354D01024E0200072F10A0000005591010FFFFFFFF8900001100",
    "E3194F10A0000005591010FFFFFFFF89000010009F70013F530101E3194F10A0000005591010FFFFFFFF89000011009F70011F530100",
    // The response to a proactive command, and an envelope with an expired timer.
    "810301130082028281830100",
    "D70C 82028281 A40101 A503010000",
];

/// Returns a trigger with all optional parameters.
fn trigger() -> SessionTrigger {
    let channel = ChannelParameters {
        bearer: Some(Bearer::default_bearer()),
        buffer_size: Some(1400),
        access_point: Some(AccessPoint("m2m.example".into())),
        login: Some(TextString("user".into())),
        password: Some(TextString("word".into())),
        transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 443 }),
        destination: Some([127, 0, 0, 1].into()),
    };
    let session = SessionParameters {
        connection: Some(channel.clone()),
        security: Some(SecurityParameters {
            psk_identity: b"8001028110".to_vec(),
            key_version: 0x40,
            key_identifier: 1,
        }),
        retry: Some(RetryPolicy {
            attempts: 3,
            delay: TimerValue::of_seconds(30),
            failure_report: Vec::new(),
        }),
        http: Some(HttpParameters {
            host: Some("sm-sr.example".into()),
            agent_id: Some("//se-id/eid/89".into()),
            uri: Some("/es5".into()),
        }),
    };
    let dns = DnsResolution { name: "sm-sr.example".into(), servers: vec![channel] };
    SessionTrigger { session: Some(session), dns: Some(dns) }
}

fn examples() -> Vec<Vec<u8>> {
    let mut examples: Vec<Vec<u8>> = EXAMPLES
        .iter()
        .map(|text| hex::decode(text.replace(' ', "")).unwrap_or_else(|why| panic!("{text}: {why}")))
        .collect();
    examples.push(trigger().to_bytes());
    let interval = Command::PollInterval(Duration::Seconds(30));
    examples.push(Proactive { number: 1, command: interval }.to_bytes());
    let reply = format!(
        "HTTP/1.1 200 OK\r\nX-Admin-Protocol: {PROTOCOL}\r\nX-Admin-Next-URI: /next\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/vnd.globalplatform.card-content-mgt;version=1.0\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    examples.push(reply.into_bytes());
    examples
}

/// Returns true if the data can be parsed, after checking that encoding and parsing it again gives
/// the same value.
fn stable<T: PartialEq + Debug>(
    octets: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DecodeError>,
    write: impl Fn(&T) -> Vec<u8>,
) -> bool {
    let Ok(read) = parse(octets) else { return false };
    let written = write(&read);
    assert_eq!(parse(&written).as_ref(), Ok(&read), "written as {}", hex::encode(&written));
    true
}

/// Returns the number of formats as which the data can be parsed.
fn read_as_anything(octets: &[u8]) -> usize {
    let header = |has_header| {
        let Ok(user_data) = UserData::parse(octets, has_header) else { return false };
        assert_eq!(user_data.to_bytes(), octets);
        Reassembler::default().accept(&"+49100".parse().unwrap(), user_data).is_ok()
    };
    // Data without a header can always be parsed.
    header(false);
    let read = [
        // A script without its template may have other data after it; one with a template
        // may not.
        stable(octets, Script::parse, Script::to_bytes),
        stable(octets, ScriptResponse::parse, ScriptResponse::to_bytes),
        stable(octets, SessionTrigger::parse, SessionTrigger::to_bytes),
        stable(octets, DefaultNotification::parse, DefaultNotification::to_bytes),
        stable(octets, ConnectivityParameters::parse, ConnectivityParameters::to_bytes),
        stable(octets, SmsDeliver::parse, SmsDeliver::to_bytes),
        stable(octets, SmsSubmit::parse, SmsSubmit::to_bytes),
        stable(octets, SmsDeliverReport::parse, SmsDeliverReport::to_bytes),
        stable(octets, Proactive::parse, Proactive::to_bytes),
        stable(octets, TerminalResponse::parse, TerminalResponse::to_bytes),
        stable(octets, Envelope::parse, |read| {
            read.as_ref().map_or_else(|| octets.to_vec(), Envelope::to_bytes)
        }),
        header(true),
        // These formats have no encoder.
        CardCertificate::parse(octets).is_ok(),
        IsdPStatus::parse_all(octets).is_ok_and(|found| !found.is_empty()),
        CardResources::parse(octets).is_ok(),
        es5::deleted_isd_ps(octets).is_ok_and(|found| !found.is_empty()),
        CommandPacket::parse(octets).is_ok_and(|packet| packet.body.len() < octets.len()),
        ResponsePacket::parse(octets).is_ok_and(|packet| packet.body.len() < octets.len()),
        ReplyReader::default().push(octets).is_ok_and(|reply| reply.is_some()),
    ];
    read.into_iter().filter(|read| *read).count()
}

#[test]
fn mutated_ota_data_is_parsed_or_refused() {
    let mut run = Run::of("mutated_ota_data_is_parsed_or_refused", 3000, 1);
    let examples = examples();
    for example in &examples {
        assert!(read_as_anything(example) > 0, "no parser accepts {}", hex::encode(example));
    }
    while let Some(mut round) = run.round() {
        let example: &Vec<u8> = round.random.pick(&examples);
        let mutated = round.random.mutate_octets(example);
        round.step(hex::encode(&mutated), || read_as_anything(&mutated));
    }
    run.end();
}
