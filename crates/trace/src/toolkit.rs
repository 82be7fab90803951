//! The card application toolkit: TS 102 223 sections 8 and 9.

use rsp::der::Shown;

/// Decodes the answer to FETCH: the name of the proactive command, and its data objects.
pub(super) fn proactive_command(octets: &[u8]) -> Option<(String, Shown)> {
    let [0xD0, rest @ ..] = octets else { return None };
    let (contents, _) = object(rest)?;
    let parts = parts(contents);
    let details = parts.iter().find(|(tag, _)| *tag == 0x01).map(|(_, value)| *value)?;
    let [_, kind, qualifier] = details else { return None };
    let mut name = command_name(*kind).to_owned();
    let more = match *kind {
        REFRESH => Some(refresh_mode(*qualifier)),
        TIMER_MANAGEMENT => timer_action(*qualifier),
        PROVIDE_LOCAL_INFORMATION => local_information(*qualifier),
        _ => None,
    };
    if let Some(more) = more {
        name.push_str(", ");
        name.push_str(more);
    }
    Some((name, shown(&parts)))
}

/// Decodes TERMINAL RESPONSE: the name of the command and the result, and the data objects.
pub(super) fn terminal_response(octets: &[u8]) -> Option<(String, Shown)> {
    let parts = parts(octets);
    let value = |wanted: u8| parts.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let [_, kind, ..] = value(0x01)? else { return None };
    let result = match value(0x03)?.first()? {
        0x00 => "performed",
        0x01..=0x0F => "performed, partially or with limitations",
        0x10 => "the user ended the session",
        0x12 => "no answer from the user",
        0x20 => "terminal currently unable",
        0x21 => "network currently unable",
        0x30 => "beyond the terminal's capabilities",
        0x31 => "type not understood",
        0x32 => "data not understood",
        0x35 => "short message refused by the network",
        0x3A => "bearer independent protocol error",
        _ => "not performed",
    };
    Some((format!("{}: {result}", command_name(*kind)), shown(&parts)))
}

/// Decodes ENVELOPE: its name, and its data objects.
pub(super) fn envelope(octets: &[u8]) -> (String, Shown) {
    let name = match octets.first() {
        Some(0xD1) => "SMS-PP download",
        Some(0xD2) => "cell broadcast download",
        Some(0xD3) => "menu selection",
        Some(0xD4) => "call control",
        Some(0xD5) => "MO short message control",
        Some(0xD6) => "event download",
        Some(0xD7) => "timer expiration",
        Some(0xE4) => "profile container",
        _ => "",
    };
    let contents = octets.get(1..).and_then(object).map(|(contents, _)| contents);
    let Some(parts) = contents.map(parts).filter(|parts| !name.is_empty() && !parts.is_empty()) else {
        return (name.to_owned(), Shown::Octets(octets.to_vec()));
    };
    let event = parts.iter().find(|(tag, _)| *tag == EVENT_LIST).and_then(|(_, events)| events.first());
    let event = event.and_then(|event| event_name(*event)).map(|event| format!(", {event}"));
    (format!("{name}{}", event.unwrap_or_default()), shown(&parts))
}

const EVENT_LIST: u8 = 0x19;

/// Returns the name of an event: TS 102 223 section 8.25.
fn event_name(event: u8) -> Option<&'static str> {
    Some(match event {
        0x00 => "MT call",
        0x01 => "call connected",
        0x02 => "call disconnected",
        0x03 => "location status",
        0x04 => "user activity",
        0x05 => "idle screen available",
        0x09 => "data available",
        0x0A => "channel status",
        0x0B => "access technology change",
        0x12 => "network rejection",
        _ => return None,
    })
}

const REFRESH: u8 = 0x01;
const PROVIDE_LOCAL_INFORMATION: u8 = 0x26;
const TIMER_MANAGEMENT: u8 = 0x27;

/// Describes the qualifier of TIMER MANAGEMENT: TS 102 223 section 8.6.
fn timer_action(qualifier: u8) -> Option<&'static str> {
    match qualifier & 0x03 {
        0 => Some("start"),
        1 => Some("deactivate"),
        2 => Some("time left"),
        _ => None,
    }
}

/// Describes the qualifier of PROVIDE LOCAL INFORMATION: TS 102 223 section 8.6.
fn local_information(qualifier: u8) -> Option<&'static str> {
    match qualifier {
        0x00 => Some("location"),
        0x01 => Some("IMEI"),
        0x08 => Some("IMEISV"),
        _ => None,
    }
}

/// Returns the name of a proactive command: TS 102 223 section 9.4.
fn command_name(kind: u8) -> &'static str {
    match kind {
        REFRESH => "REFRESH",
        0x02 => "MORE TIME",
        0x03 => "POLL INTERVAL",
        0x04 => "POLLING OFF",
        0x05 => "SET UP EVENT LIST",
        0x10 => "SET UP CALL",
        0x11 => "SEND SS",
        0x12 => "SEND USSD",
        0x13 => "SEND SHORT MESSAGE",
        0x20 => "PLAY TONE",
        0x21 => "DISPLAY TEXT",
        0x22 => "GET INKEY",
        0x23 => "GET INPUT",
        0x24 => "SELECT ITEM",
        0x25 => "SET UP MENU",
        PROVIDE_LOCAL_INFORMATION => "PROVIDE LOCAL INFORMATION",
        TIMER_MANAGEMENT => "TIMER MANAGEMENT",
        0x40 => "OPEN CHANNEL",
        0x41 => "CLOSE CHANNEL",
        0x42 => "RECEIVE DATA",
        0x43 => "SEND DATA",
        0x44 => "GET CHANNEL STATUS",
        _ => "unknown proactive command",
    }
}

/// Describes the qualifier of REFRESH: TS 102 223 section 8.6, and TS 31.111 section 8.6 for the
/// values 7 and 8, which belong to 3GPP.
fn refresh_mode(qualifier: u8) -> &'static str {
    match qualifier & 0x0F {
        0 => "NAA initialization and full file change",
        1 => "file change",
        2 => "NAA initialization and file change",
        3 => "NAA initialization",
        4 => "UICC reset",
        5 => "NAA application reset",
        6 => "NAA session reset",
        7 => "steering of roaming",
        8 => "steering of roaming for I-WLAN",
        9 => "eUICC profile state change",
        10 => "application update",
        _ => "reserved mode",
    }
}

/// Splits COMPREHENSION-TLV data objects. The comprehension flag is removed from the tags: TS 101
/// 220 section 7.1.1.
fn parts(mut octets: &[u8]) -> Vec<(u8, &[u8])> {
    let mut parts = Vec::new();
    while let [tag, rest @ ..] = octets {
        let Some((value, rest)) = object(rest) else { break };
        parts.push((tag & 0x7F, value));
        octets = rest;
    }
    parts
}

/// Splits a length-prefixed value from the octets that follow it.
fn object(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    match octets {
        [0x81, length, rest @ ..] => rest.split_at_checked(usize::from(*length)),
        [length @ 0..=0x7F, rest @ ..] => rest.split_at_checked(usize::from(*length)),
        _ => None,
    }
}

fn shown(parts: &[(u8, &[u8])]) -> Shown {
    let name = |tag: u8| match tag {
        0x01 => "commandDetails".to_owned(),
        0x02 => "deviceIdentities".to_owned(),
        0x03 => "result".to_owned(),
        0x04 => "duration".to_owned(),
        0x06 => "address".to_owned(),
        0x0B => "smsTpdu".to_owned(),
        0x0D => "textString".to_owned(),
        0x12 => "fileList".to_owned(),
        0x13 => "locationInformation".to_owned(),
        0x14 => "imei".to_owned(),
        EVENT_LIST => "eventList".to_owned(),
        0x1B => "locationStatus".to_owned(),
        0x24 => "timerIdentifier".to_owned(),
        0x25 => "timerValue".to_owned(),
        0x35 => "bearerDescription".to_owned(),
        0x36 => "channelData".to_owned(),
        0x37 => "channelDataLength".to_owned(),
        0x38 => "channelStatus".to_owned(),
        0x39 => "bufferSize".to_owned(),
        0x3C => "transportLevel".to_owned(),
        0x3E => "otherAddress".to_owned(),
        0x47 => "networkAccessName".to_owned(),
        _ => format!("[{tag:02X}]"),
    };
    Shown::Fields(parts.iter().map(|(tag, value)| (name(*tag), Shown::Octets(value.to_vec()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proactive_commands_envelopes_and_responses_are_named() {
        let name = |octets: &str| {
            let (name, shown) = proactive_command(&hex::decode(octets).unwrap()).unwrap();
            assert!(!format!("{shown:?}").contains("(\"["), "{shown:?}");
            name
        };
        for (octets, expected) in [
            ("D011810307270082028182A40102A503102050", "TIMER MANAGEMENT, start"),
            ("D009810307260182028182", "PROVIDE LOCAL INFORMATION, IMEI"),
            ("D010810307430182028121B6050102030405", "SEND DATA"),
        ] {
            assert_eq!(name(octets), expected);
        }
        let envelope = |octets: &str| envelope(&hex::decode(octets).unwrap()).0;
        assert_eq!(envelope("D60E99010982028281B8028100B701FF"), "event download, data available");
        assert_eq!(envelope("D70A82028281A40101A50100"), "timer expiration");
        assert_eq!(envelope("D7FF"), "timer expiration");
        assert_eq!(envelope("00"), "");
        let refused = "810302400182028281 83023A01".replace(' ', "");
        let (what, _) = terminal_response(&hex::decode(refused).unwrap()).unwrap();
        assert_eq!(what, "OPEN CHANNEL: bearer independent protocol error");
    }

    #[test]
    fn a_refresh_is_described_by_its_qualifier() {
        let name = |qualifier: u8| {
            let command = [0xD0, 0x09, 0x81, 0x03, 0x01, REFRESH, qualifier, 0x82, 0x02, 0x81, 0x82];
            proactive_command(&command).unwrap().0
        };
        assert_eq!(name(0x04), "REFRESH, UICC reset");
        assert_eq!(name(0x07), "REFRESH, steering of roaming");
        assert_eq!(name(0x08), "REFRESH, steering of roaming for I-WLAN");
        assert_eq!(name(0x09), "REFRESH, eUICC profile state change");
        assert_eq!(name(0x0A), "REFRESH, application update");
        assert_eq!(name(0x0B), "REFRESH, reserved mode");
    }
}
