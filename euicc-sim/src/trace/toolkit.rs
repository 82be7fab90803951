//! The card application toolkit: TS 102 223 sections 8 and 9.

use rsp::der::Shown;

/// What FETCH brought: the proactive command and its parts.
pub(super) fn proactive_command(octets: &[u8]) -> Option<(String, Shown)> {
    let [0xD0, rest @ ..] = octets else { return None };
    let (contents, _) = object(rest)?;
    let parts = parts(contents);
    let details = parts.iter().find(|(tag, _)| *tag == 0x01).map(|(_, value)| *value)?;
    let [_, kind, qualifier] = details else { return None };
    let mut name = command_name(*kind).to_owned();
    if *kind == REFRESH {
        name.push_str(", ");
        name.push_str(refresh_mode(*qualifier));
    }
    Some((name, shown(&parts)))
}

/// TERMINAL RESPONSE: to what, and how it went.
pub(super) fn terminal_response(octets: &[u8]) -> Option<(String, Shown)> {
    let parts = parts(octets);
    let value = |wanted: u8| parts.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let [_, kind, ..] = value(0x01)? else { return None };
    let result = match value(0x03)?.first()? {
        0x00 => "performed",
        0x01..=0x0F => "performed, partly or with something missing",
        0x10 => "the user ended the session",
        0x12 => "no answer from the user",
        0x20 => "the terminal cannot now",
        0x21 => "the network cannot now",
        0x30 => "beyond the terminal's capabilities",
        0x31 => "type not understood",
        0x32 => "data not understood",
        _ => "not performed",
    };
    Some((format!("{}: {result}", command_name(*kind)), shown(&parts)))
}

/// ENVELOPE: what the terminal tells.
pub(super) fn envelope(octets: &[u8]) -> &'static str {
    match octets.first() {
        Some(0xD1) => "SMS-PP download",
        Some(0xD2) => "cell broadcast download",
        Some(0xD3) => "menu selection",
        Some(0xD4) => "call control",
        Some(0xD5) => "MO short message control",
        Some(0xD6) => "event download",
        Some(0xD7) => "timer expiration",
        Some(0xE4) => "profile container",
        _ => "",
    }
}

const REFRESH: u8 = 0x01;

/// TS 102 223 section 9.4.
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
        0x26 => "PROVIDE LOCAL INFORMATION",
        0x27 => "TIMER MANAGEMENT",
        0x40 => "OPEN CHANNEL",
        0x41 => "CLOSE CHANNEL",
        0x42 => "RECEIVE DATA",
        0x43 => "SEND DATA",
        0x44 => "GET CHANNEL STATUS",
        _ => "a proactive command",
    }
}

/// TS 102 223 section 8.6, which leaves 7 and 8 to 3GPP: TS 31.111 section 8.6.
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

/// COMPREHENSION-TLVs, without the flag: TS 101 220 section 7.1.1.
fn parts(mut octets: &[u8]) -> Vec<(u8, &[u8])> {
    let mut parts = Vec::new();
    while let [tag, rest @ ..] = octets {
        let Some((value, rest)) = object(rest) else { break };
        parts.push((tag & 0x7F, value));
        octets = rest;
    }
    parts
}

/// A length, so many octets, and what follows.
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
        0x12 => "fileList".to_owned(),
        0x19 => "eventList".to_owned(),
        _ => format!("[{tag:02X}]"),
    };
    Shown::Fields(parts.iter().map(|(tag, value)| (name(*tag), Shown::Octets(value.to_vec()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_named_by_its_qualifier() {
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
