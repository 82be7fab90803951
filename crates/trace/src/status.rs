//! Meaning of status words, and advice for them: TS 102 221 section 10.2.1, ISO/IEC 7816-4 section
//! 5.6, GlobalPlatform.

/// Returns the meaning of a status word in a few words.
pub fn status(sw1: u8, sw2: u8) -> String {
    let octets = if sw2 == 0 { 256 } else { u16::from(sw2) };
    match (sw1, sw2) {
        (0x61, _) => format!("ok, {octets} octets available"),
        (0x63, 0xC0..=0xCF) => format!("wrong, {} attempts left", sw2 & 0x0F),
        (0x6C, _) => format!("wrong Le, correct value {octets}"),
        (0x91, _) => format!("ok, proactive command of {octets} octets pending"),
        (0x92, 0x00..=0x0F) => format!("ok after {sw2} attempts"),
        _ => row(sw1, sw2).0.to_owned(),
    }
}

/// Returns advice to the sender of the command.
pub fn status_advice(sw1: u8, sw2: u8) -> &'static str {
    row(sw1, sw2).1
}

/// True if the table contains the status word.
pub fn is_known_status(sw1: u8, sw2: u8) -> bool {
    row(sw1, sw2) != UNKNOWN
}

const UNKNOWN: (&str, &str) =
    ("unknown status", "look the status word up in the specification of the application that returned it");

/// The rows with a number in their meaning have none here: [`status`] has it.
fn row(sw1: u8, sw2: u8) -> (&'static str, &'static str) {
    match (sw1, sw2) {
        (0x90, 0x00) => ("ok", "nothing: the command was executed"),
        (0x61, _) => ("", "send GET RESPONSE with this length (SW2) to retrieve the answer"),
        (0x91, _) => ("", "send FETCH with this length (SW2) to retrieve the proactive command"),
        (0x92, 0x00..=0x0F) => ("", "nothing: the memory was written"),
        (0x93, 0x00) => {
            ("the toolkit is busy", "send the ENVELOPE again after the proactive command has ended")
        }
        (0x62, 0x00) => ("warning, memory unchanged", "read the answer, if there is one"),
        (0x62, 0x81) => ("part of the data may be corrupted", "read the file again"),
        (0x62, 0x82) => {
            ("end reached before Le octets, or nothing found", "use the octets that were returned")
        }
        (0x62, 0x83) => ("the selected file is deactivated", "send ACTIVATE FILE"),
        (0x62, 0x85) => {
            ("the selected file is terminated", "select another file; this one cannot be restored")
        }
        (0x62, 0xF1) => ("more data available", "send RETRIEVE DATA for the next block"),
        (0x62, 0xF2) => (
            "more data available, proactive command pending",
            "send RETRIEVE DATA for the next block, then FETCH",
        ),
        (0x62, 0xF3) => ("response data available", "send GET RESPONSE"),
        (0x63, 0x10) => ("more entries available", "send GET STATUS for the next occurrence (P2 bit 1)"),
        (0x63, 0xC0) => ("", "unblock the PIN with the PUK (UNBLOCK PIN)"),
        (0x63, 0xC1..=0xCF) => ("", "check the code before the next attempt: the last wrong one blocks it"),
        (0x63, 0xF1) => ("more data expected", "send SET DATA with the next block"),
        (0x63, 0xF2) => {
            ("more data expected, proactive command pending", "send SET DATA with the next block, then FETCH")
        }
        (0x64, _) => ("not executed, memory unchanged", "send the command again"),
        (0x65, 0x00) => {
            ("not executed, memory changed", "read the state of the card, then repeat the command")
        }
        (0x65, 0x81) => ("memory problem", "reset the card and repeat the command; the card may be worn out"),
        (0x67, 0x00) => ("wrong length", "correct Lc, or the length of the data objects inside"),
        (0x67, _) => {
            ("wrong length for this command", "correct Lc, or the length of the data objects inside")
        }
        (0x68, 0x81) => {
            ("logical channel not supported", "open the channel with MANAGE CHANNEL, or correct CLA")
        }
        (0x68, 0x82) => ("secure messaging not supported", "send the command without secure messaging"),
        (0x68, 0x84) => ("command chaining not supported", "send the data in blocks of the command itself"),
        (0x69, 0x81) => (
            "command incompatible with the file structure",
            "use READ RECORD for linear and cyclic files, and READ BINARY for transparent files",
        ),
        (0x69, 0x82) => (
            "security status not satisfied",
            "verify the PIN or ADM key of the file, or open the secure channel",
        ),
        (0x69, 0x83) => ("the code is blocked", "unblock the PIN with the PUK (UNBLOCK PIN)"),
        (0x69, 0x84) => ("referenced data not usable", "enable the PIN, or activate the file first"),
        (0x69, 0x85) => (
            "conditions of use not satisfied",
            "check the state before the command: a proactive session, a profile state or a missing earlier step",
        ),
        (0x69, 0x86) => ("no EF selected", "SELECT the file first, on the same logical channel"),
        (0x69, 0x89) => ("command not permitted from this terminal", "pair the terminal with the card first"),
        (0x69, 0xE1) => (
            "POL1 prevents the operation",
            "change POL1 of the profile, or use the operation that it permits",
        ),
        (0x6A, 0x80) => ("wrong data", "compare the data field with the definition of the command"),
        (0x6A, 0x81) => ("not supported", "check the capabilities of the card"),
        (0x6A, 0x82) => (
            "file not found",
            "select the parent directory or the application first; check the identifier or AID",
        ),
        (0x6A, 0x83) => ("record not found", "read the number of records from the answer to SELECT"),
        (0x6A, 0x84) => ("not enough memory", "delete a profile, a file or an application"),
        (0x6A, 0x86) => ("wrong P1 or P2", "correct P1 and P2"),
        (0x6A, 0x87) => ("Lc inconsistent with P1 and P2", "correct Lc, or P1 and P2"),
        (0x6A, 0x88) => (
            "referenced data not found",
            "check the key, PIN, tag or profile that P1, P2 or the data field refer to",
        ),
        (0x6A, 0x89) => {
            ("the file exists already", "choose another file identifier, or delete the file first")
        }
        (0x6B, 0x00) => ("wrong P1 or P2", "correct P1 and P2; the offset must be inside the file"),
        (0x6C, _) => ("", "send the command again with this length (SW2) as Le"),
        (0x6D, 0x00) => (
            "instruction not supported",
            "select the application that has the instruction; check CLA and INS",
        ),
        (0x6E, 0x00) => {
            ("class not supported", "correct CLA, or select the application that uses this class")
        }
        (0x6F, 0x00) => ("technical problem", "reset the card and repeat the command"),
        (0x98, 0x50) => ("the counter has reached its maximum", "reset the counter with UPDATE RECORD"),
        (0x98, 0x62) => (
            "authentication error: wrong MAC",
            "check that K and OP or OPc of card and subscriber server are equal",
        ),
        (0x98, 0x63) => ("security session invalid", "start the security session again"),
        (0x98, 0x64) => (
            "authentication error: security context not supported",
            "use an authentication context (P2) that the application has",
        ),
        (0x98, 0x65) => ("key freshness failure", "generate a new key"),
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_words_are_described_with_their_numbers() {
        assert_eq!(status(0x61, 0x00), "ok, 256 octets available");
        assert_eq!(status(0x63, 0xC2), "wrong, 2 attempts left");
        assert_eq!(status(0x91, 0x0B), "ok, proactive command of 11 octets pending");
        assert_eq!(status(0x98, 0x62), "authentication error: wrong MAC");
        assert_eq!(status(0x62, 0xF2), "more data available, proactive command pending");
        assert_eq!(status(0x63, 0xF2), "more data expected, proactive command pending");
    }

    #[test]
    fn every_known_status_word_has_a_meaning_and_advice() {
        for word in 0x6000..=u16::MAX {
            let [sw1, sw2] = word.to_be_bytes();
            assert!(!status(sw1, sw2).is_empty() && !status_advice(sw1, sw2).is_empty(), "{word:04X}");
        }
        assert!(is_known_status(0x6A, 0x88) && is_known_status(0x91, 0x0B) && !is_known_status(0x6A, 0xFF));
    }
}
