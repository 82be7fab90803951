//! ES8.DownloadAndInstallation: SGP.02 section 4.1.3.3, SCP03t.
//!
//! INITIALIZE UPDATE goes alone, because what follows depends on what the card answers and on whether it has the keys at
//! all; then EXTERNAL AUTHENTICATE and the segments of the profile package, a script at a time. The secure channel goes
//! on from one script to the next: script chaining keeps it on the card, and here it is made anew from what it began
//! with, so that a record of it is small and the same after a restart.

use profile::EuiccResponse;
use rsp::{
    der::{Asn1, Tag, tlv, tlv_bytes},
    ota::script::{Answer, Chaining, Command},
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{
    CardFault, answers,
    channel::{SECURITY_LEVEL, Session},
    key_establishment::KeySet,
    script,
};
use crate::records::Octets;

/// Octets of the package in one segment: encrypted and with its MAC the TLV stays within 1024.
const SEGMENT: usize = 1007;
/// Segments in one script.
const SEGMENTS: usize = 8;

const INITIALIZE_UPDATE: Tag = Tag(0x84);
const EXTERNAL_AUTHENTICATE: Tag = Tag(0x85);
const PROFILE_SEGMENT: Tag = Tag(0x86);

/// An SCP03t session that waits for the card's half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    keys: KeySet,
    host_challenge: [u8; 8],
}

/// An SCP03t session, and how much of the package the card has been sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    keys: KeySet,
    host_challenge: [u8; 8],
    /// What the card answered to INITIALIZE UPDATE.
    card: Octets,
    /// The script that waits for its answer, counted from 0.
    number: usize,
    /// How many there are.
    scripts: usize,
}

/// What comes after a script of segments.
pub(crate) enum Outcome {
    /// The next one.
    Next {
        /// Which waits for its answer.
        channel: Channel,
        /// Expanded format.
        script: Vec<u8>,
    },
    /// The profile is on the card.
    Installed {
        /// With which keys the ISD-P is spoken to from now on.
        keys: KeySet,
        /// The sequence counter that the card used.
        sequence: u32,
    },
}

impl Opening {
    /// Begins a session under these keys.
    pub(crate) fn begin(keys: KeySet, world: &World) -> (Self, Vec<u8>) {
        let opening = Self { keys, host_challenge: world.random() };
        let script = script(vec![opening.initialize_update()], Chaining::FirstKept);
        (opening, script)
    }

    fn initialize_update(&self) -> Command {
        let data = [&[self.keys.version, 0x00], self.host_challenge.as_slice()].concat();
        Command::SecureChannel(tlv_bytes(INITIALIZE_UPDATE, &data))
    }

    /// Reads the card's half, and begins to send the package.
    pub(crate) fn open(self, answer: &[u8], package: &[u8]) -> Result<(Channel, Vec<u8>), CardFault> {
        let answers = answers(answer)?;
        let card = match answers.first() {
            Some(Answer::SecureChannel(tlv)) => {
                contents(tlv, INITIALIZE_UPDATE, "INITIALIZE UPDATE")?.to_vec()
            }
            _ => return Err(nothing("INITIALIZE UPDATE")),
        };
        Session::open(&self.keys, self.host_challenge, &card)?;
        let channel = Channel {
            keys: self.keys,
            host_challenge: self.host_challenge,
            card: Octets(card),
            number: 0,
            scripts: package.len().div_ceil(SEGMENT).div_ceil(SEGMENTS).max(1),
        };
        let script = channel.script(package)?;
        Ok((channel, script))
    }
}

impl Channel {
    /// Whether the script that waits for its answer is the last one.
    pub(crate) fn is_last(&self) -> bool {
        self.number.saturating_add(1) >= self.scripts
    }

    /// The script that waits for its answer.
    fn script(&self, package: &[u8]) -> Result<Vec<u8>, CardFault> {
        let mut commands = Vec::new();
        self.each(package, |_, number, tlv| {
            if number == self.number {
                commands.push(Command::SecureChannel(tlv));
            }
            Ok(())
        })?;
        Ok(script(commands, if self.is_last() { Chaining::Last } else { Chaining::Following }))
    }

    /// Reads what the card answered to it.
    pub(crate) fn answered(self, answer: &[u8], package: &[u8]) -> Result<Outcome, CardFault> {
        let answers = answers(answer)?;
        let mut answers = answers.iter();
        let mut euicc_response = Vec::new();
        let session = self.each(package, |session, number, sent| {
            // Once the card has said how it ended, it says no more.
            if number != self.number || !euicc_response.is_empty() {
                return Ok(());
            }
            let (tag, command) = match tlv::split(&sent) {
                Some((EXTERNAL_AUTHENTICATE, _)) => (EXTERNAL_AUTHENTICATE, "EXTERNAL AUTHENTICATE"),
                _ => (PROFILE_SEGMENT, "a segment of the profile"),
            };
            let tlv = match answers.next() {
                Some(Answer::SecureChannel(tlv)) => tlv,
                Some(_) | None => return Err(nothing(command)),
            };
            match contents(tlv, tag, command)? {
                [] => Ok(()),
                protected => {
                    let header = tlv.get(..tlv.len().saturating_sub(protected.len())).unwrap_or_default();
                    euicc_response = session.unprotect(header, protected, &[])?;
                    Ok(())
                }
            }
        })?;
        if !euicc_response.is_empty() {
            installed(&euicc_response)?;
            return Ok(Outcome::Installed { keys: self.keys, sequence: session.sequence });
        }
        if self.is_last() {
            return Err(CardFault::Unreadable(
                "it has the whole profile, and does not say what became of it".to_owned(),
            ));
        }
        let channel = Self { number: self.number.saturating_add(1), ..self };
        let script = channel.script(package)?;
        Ok(Outcome::Next { channel, script })
    }

    /// Every TLV up to the end of the script that waits for its answer, with the number of its script and the session as
    /// it was when that TLV had been made.
    fn each(
        &self,
        package: &[u8],
        mut tell: impl FnMut(&Session, usize, Vec<u8>) -> Result<(), CardFault>,
    ) -> Result<Session, CardFault> {
        let mut session = Session::open(&self.keys, self.host_challenge, &self.card.0)?;
        // The MAC covers tag, length and security level.
        let data = session.authenticate(|length| {
            [header(EXTERNAL_AUTHENTICATE, length.saturating_add(1)), vec![SECURITY_LEVEL]].concat()
        });
        let authenticate = tlv_bytes(EXTERNAL_AUTHENTICATE, &[&[SECURITY_LEVEL], data.as_slice()].concat());
        tell(&session, 0, authenticate)?;
        let upto = self.number.saturating_add(1).saturating_mul(SEGMENTS);
        for (at, segment) in package.chunks(SEGMENT).enumerate().take(upto) {
            let data = session.protect(|length| header(PROFILE_SEGMENT, length), segment);
            tell(&session, at / SEGMENTS, tlv_bytes(PROFILE_SEGMENT, &data))?;
        }
        Ok(session)
    }
}

/// What EUICCResponse says.
fn installed(octets: &[u8]) -> Result<(), CardFault> {
    let response = EuiccResponse::from_der(octets)
        .map_err(|e| CardFault::Unreadable(format!("this is no EUICCResponse: {e}")))?;
    let is_aborted = response.profile_installation_aborted.is_some();
    let failed = response.pe_status.iter().find(|pe| pe.status != profile::PeStatusCode::OK);
    match failed {
        Some(pe) if is_aborted => {
            let which =
                pe.identification.map_or("the package".to_owned(), |id| format!("profile element {id}"));
            let message = response.status_message.map(|message| format!(", {message}")).unwrap_or_default();
            Err(CardFault::NotInstalled(format!("{which}: {}{message}", pe.status)))
        }
        None if is_aborted => Err(CardFault::NotInstalled("it does not say why".to_owned())),
        _ => Ok(()),
    }
}

/// Tag and length of a TLV.
fn header(tag: Tag, length: usize) -> Vec<u8> {
    let mut whole = tlv_bytes(tag, &vec![0; length]);
    whole.truncate(whole.len().saturating_sub(length));
    whole
}

/// What a TLV of the card's holds, which must be of this tag.
fn contents<'a>(tlv: &'a [u8], tag: Tag, command: &'static str) -> Result<&'a [u8], CardFault> {
    match tlv::split(tlv) {
        Some((found, contents)) if found == tag => Ok(contents),
        Some((Tag(0x9F44..=0x9F46), [code])) => Err(CardFault::Refused { command, code: *code }),
        _ => Err(nothing(command)),
    }
}

fn nothing(command: &str) -> CardFault {
    CardFault::Unreadable(format!("{command} is not answered by a TLV of its kind"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::es8::key_establishment::SCP03_KEY_VERSION;

    /// The worked example of the project's own collection of facts, which the card's side reproduces with code of its own.
    fn opening() -> Opening {
        let key = |digits: &str| hex::decode(digits).unwrap().try_into().unwrap();
        Opening {
            keys: KeySet {
                version: SCP03_KEY_VERSION,
                enc: key("c40b97be5c644ba3e2d06dac8747a6f3"),
                mac: key("5a4122852513f84be078b80c68056a4f"),
                dek: key("4ea9e6b34e49d419d81c095927a800e4"),
            },
            host_challenge: [1, 2, 3, 4, 5, 6, 7, 8],
        }
    }

    const CARD: &str = "842000000000000000000000300370ce2811c576f5fbb04cdbf8607d8abd6c000001";

    fn answer(tlvs: &str) -> Vec<u8> {
        tlv_bytes(Tag(0xAB), &hex::decode(tlvs).unwrap())
    }

    #[test]
    fn the_worked_example() {
        let Command::SecureChannel(first) = opening().initialize_update() else { panic!() };
        assert_eq!(hex::encode(first), "840a30000102030405060708");
        let package = hex::decode("a0058001018101").unwrap();
        let (channel, script) = opening().open(&answer(CARD), &package).unwrap();
        assert!(channel.is_last());
        assert_eq!(
            hex::encode(&script),
            concat!(
                "aa30830103",
                "851133b2169b5a8e068107e9b7d2041530b344",
                "86189861d386b19dfe3779395c3c9373eff56d36468ae290cb2f"
            )
        );
    }

    #[test]
    fn the_challenge_of_the_card_can_be_foreseen() {
        let Opening { keys, host_challenge } = opening();
        let isd_p = rsp::ids::Aid(hex::decode("A0000005591010FFFFFFFF8900001100").unwrap());
        let mut foreseen = Session::foreseen(&keys, host_challenge, &isd_p, 1);
        let mut opened = Session::open(&keys, host_challenge, &hex::decode(&CARD[4..]).unwrap()).unwrap();
        let header = |length| header(EXTERNAL_AUTHENTICATE, length);
        assert_eq!(foreseen.authenticate(header), opened.authenticate(header));
    }

    #[test]
    fn a_card_without_the_keys_is_found_out() {
        let other = CARD.replace("4cdb", "4cdc");
        assert_eq!(
            opening().open(&answer(&other), &[0; 10]).unwrap_err(),
            CardFault::NotAuthentic("cryptogram")
        );
        let refused = opening().open(&answer("9f440103"), &[0; 10]).unwrap_err();
        assert_eq!(refused, CardFault::Refused { command: "INITIALIZE UPDATE", code: 3 });
        assert!(matches!(opening().open(&answer("8500"), &[0; 10]), Err(CardFault::Unreadable(_))));
    }

    #[test]
    fn a_large_package_goes_in_several_scripts_and_every_answer_counts() {
        let package = vec![0xA5; SEGMENT * SEGMENTS + 1];
        let (channel, _) = opening().open(&answer(CARD), &package).unwrap();
        assert!(!channel.is_last());
        let all = format!("8500{}", "8600".repeat(SEGMENTS));
        let short = format!("8500{}", "8600".repeat(SEGMENTS - 1));
        assert!(matches!(channel.clone().answered(&answer(&short), &package), Err(CardFault::Unreadable(_))));
        let refused = format!("8500{}9f460102", "8600".repeat(3));
        assert_eq!(
            channel.clone().answered(&answer(&refused), &package).err(),
            Some(CardFault::Refused { command: "a segment of the profile", code: 2 })
        );
        let Ok(Outcome::Next { channel, script }) = channel.answered(&answer(&all), &package) else {
            panic!()
        };
        assert!(channel.is_last());
        assert_eq!(hex::encode(&script[..5]), "aa1d830103");
        // The card has all of it and says nothing of the installation.
        assert!(matches!(channel.clone().answered(&answer("8600"), &package), Err(CardFault::Unreadable(_))));
        let forged = channel.answered(&answer("86080000000000000000"), &package);
        assert_eq!(forged.err(), Some(CardFault::NotAuthentic("R-MAC")));
    }
}
