//! Octets: APDUs, elements of ES10, notifications and certificates, in hexadecimal digits or base64.

use base64::{Engine, prelude::BASE64_STANDARD};
use certs::Certificate;
use rsp::{
    der::{Shape, Shown, tlv},
    ids::{Iccid, SubjectKeyIdentifier},
};
use trace::{Decoded, Decoder, Event, es10::Element};

use super::{Reading, codes, iccid_reading};

/// Returns the reading of `COMMAND > RESPONSE`.
pub(super) fn exchange(text: &str) -> Option<Reading> {
    let exchange = trace::read_line(text, false).ok()?;
    let Event::Command { answer, .. } = &exchange.event else { return None };
    let next = answer.last_chunk().map(|[sw1, sw2]| trace::status_advice(*sw1, *sw2).to_owned());
    let decoded = Decoder::new(false).decode(&exchange.event);
    let meaning = format!("The card responds: {}.", decoded.status);
    Some(Reading { meaning, next, ..apdu_reading(decoded) })
}

/// Returns the readings of the octets in the text.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let octets = octets(text).unwrap_or_default();
    if octets.len() < 2 {
        return Vec::new();
    }
    let readings = of_one_tlv(&octets);
    if !readings.is_empty() {
        return readings;
    }
    if let [0x98, ..] = octets.as_slice()
        && let Ok(iccid) = <[u8; 10]>::try_from(octets.as_slice())
    {
        return vec![iccid_reading(Iccid(iccid))];
    }
    // The status word after the data of a response.
    if let Some((data, [sw1, sw2])) = octets.split_last_chunk()
        && trace::is_known_status(*sw1, *sw2)
        && tlv::split(data).is_some()
    {
        let mut readings = of_one_tlv(data);
        readings.extend(codes::status_word(&format!("{sw1:02X}{sw2:02X}")));
        return readings;
    }
    let decoded = Decoder::new(false).decode(&Event::Command { command: octets, answer: Vec::new() });
    if decoded.channel.is_none() || decoded.name.starts_with("unknown") {
        return Vec::new();
    }
    vec![apdu_reading(decoded)]
}

/// Reads hexadecimal digits, with or without blanks and colons, PEM, or base64.
fn octets(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let text: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    hex::decode(text.replace(':', "")).ok().or_else(|| BASE64_STANDARD.decode(text).ok())
}

/// Returns the readings of one TLV.
fn of_one_tlv(octets: &[u8]) -> Vec<Reading> {
    let Some((tag, _)) = tlv::split(octets) else { return Vec::new() };
    if let Ok(certificate) = Certificate::from_der(octets.to_vec()) {
        return vec![certificate_reading(&certificate)];
    }
    let elements = trace::es10::elements(octets);
    if !elements.is_empty() {
        return elements.into_iter().flat_map(element_readings).collect();
    }
    // Two octets such as 9000 are well-formed too. Only a template is certainly a TLV.
    if !tag.is_constructed() {
        return Vec::new();
    }
    vec![Reading {
        title: format!("TLV with tag {tag}"),
        standard: "ITU-T X.690".to_owned(),
        meaning: "The type of the element is unknown.".to_owned(),
        sent_by: None,
        next: None,
        fields: vec![("content".to_owned(), Shape::Octets.show(tag, octets))],
    }]
}

/// Returns the reading of an element, and those of its result codes.
fn element_readings(element: Element) -> Vec<Reading> {
    let results = codes::results_in(&element.name, &element.content);
    let mut readings = vec![Reading {
        sent_by: sender(&element.name),
        title: element.name,
        standard: format!("SGP.22 section {}", element.section),
        meaning: String::new(),
        next: None,
        fields: vec![("content".to_owned(), element.content)],
    }];
    readings.extend(results);
    readings
}

fn sender(name: &str) -> Option<String> {
    if name.ends_with(" request") {
        return Some("LPA in STORE DATA to the ISD-R".to_owned());
    }
    if name.ends_with(" response") {
        return Some("eUICC in the response to STORE DATA".to_owned());
    }
    (name == "OtherSignedNotification")
        .then(|| "eUICC in ES10b.RetrieveNotificationsList, LPA in ES9+.HandleNotification".to_owned())
}

fn apdu_reading(decoded: Decoded) -> Reading {
    let what = if decoded.what.is_empty() { String::new() } else { format!(" {}", decoded.what) };
    let channel = decoded.channel.unwrap_or_default();
    Reading {
        title: format!("APDU {}{what}", decoded.name),
        standard: "TS 102 221 section 10.1, GlobalPlatform".to_owned(),
        meaning: format!("A command on logical channel {channel}."),
        sent_by: Some("terminal".to_owned()),
        next: None,
        fields: decoded.details,
    }
}

fn certificate_reading(certificate: &Certificate) -> Reading {
    let key = |key: Option<&SubjectKeyIdentifier>| key.map_or("none".to_owned(), ToString::to_string);
    let validity = certificate.validity();
    let fields = [
        ("subject", certificate.subject().to_string()),
        ("issuer", certificate.issuer().to_string()),
        ("serialNumber", certificate.serial_number().to_owned()),
        ("valid", format!("{} to {}", validity.from, validity.to)),
        ("curve", certificate.curve().to_string()),
        ("subjectKeyIdentifier", key(certificate.subject_key_id())),
        ("authorityKeyIdentifier", key(certificate.authority_key_id())),
    ];
    let role = certificate.role_or_tls_use().map(|role| format!("The certificate of: {role}."));
    Reading {
        title: "X.509 certificate".to_owned(),
        standard: "SGP.22 section 4.5.2".to_owned(),
        meaning: role.unwrap_or_else(|| "A certificate without a role of SGP.22.".to_owned()),
        sent_by: None,
        next: None,
        fields: fields.map(|(name, value)| (name.to_owned(), Shown::Text(value))).to_vec(),
    }
}
