//! ES8.DownloadAndInstallation: SGP.02 section 4.1.3.3, SCP03t.
//!
//! INITIALIZE UPDATE goes alone, because what follows depends on what the card answers and on whether it has the keys at
//! all; then EXTERNAL AUTHENTICATE and the segments of the profile package, a script at a time. The secure channel goes
//! on from one script to the next: script chaining keeps it on the card, and here a record says how far it had come
//! before the script that waits for its answer, which is made anew when that is there.

use crypto::{
    scp03::Chain,
    scp03t::{self, EXTERNAL_AUTHENTICATE, INITIALIZE_UPDATE, MAX_SEGMENT},
};
use profile::EuiccResponse;
use rsp::{
    der::{Asn1, Tag, tlv, tlv_bytes},
    ota::script::{Answer, Chaining, Command},
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{CardFault, answers, handshake::CardHalf, key_establishment::KeySet, script};

/// Segments in one script.
const SEGMENTS: usize = 8;

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
    card: CardHalf,
    /// The script that waits for its answer, counted from 0.
    number: usize,
    /// How many there are.
    scripts: usize,
    /// The MAC chaining value before that script.
    mac_chaining_value: [u8; 16],
    /// How many segments went before it.
    counter: u32,
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
        Command::SecureChannel(tlv_bytes(Tag(INITIALIZE_UPDATE.into()), &data))
    }

    /// Reads the card's half, and begins to send the package.
    pub(crate) fn open(self, answer: &[u8], package: &[u8]) -> Result<(Channel, Vec<u8>), CardFault> {
        let answers = answers(answer)?;
        let Some(Answer::SecureChannel(tlv)) = answers.first() else {
            return Err(nothing("INITIALIZE UPDATE"));
        };
        let card = contents(tlv, INITIALIZE_UPDATE, "INITIALIZE UPDATE")?;
        let card = CardHalf::read(&self.keys, self.host_challenge, card)?;
        let Chain { mac_chaining_value, counter } = Chain::default();
        let channel = Channel {
            keys: self.keys,
            host_challenge: self.host_challenge,
            card,
            number: 0,
            scripts: package.len().div_ceil(MAX_SEGMENT).div_ceil(SEGMENTS).max(1),
            mac_chaining_value,
            counter,
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
        self.each(package, |_, tlv| {
            commands.push(Command::SecureChannel(tlv));
            Ok(())
        })?;
        Ok(script(commands, if self.is_last() { Chaining::Last } else { Chaining::Following }))
    }

    /// Reads what the card answered to it.
    pub(crate) fn answered(self, answer: &[u8], package: &[u8]) -> Result<Outcome, CardFault> {
        let answers = answers(answer)?;
        let mut answers = answers.iter();
        // Whether the last command was answered with a EUICCResponse. What the card says before it has the whole profile
        // is no end, unless it has given up.
        let mut is_installed = false;
        let chain = self.each(package, |session, sent| {
            let (tag, command) = match sent.first() {
                Some(&EXTERNAL_AUTHENTICATE) => (EXTERNAL_AUTHENTICATE, "EXTERNAL AUTHENTICATE"),
                _ => (scp03t::SEGMENT, "a segment of the profile"),
            };
            let Some(Answer::SecureChannel(tlv)) = answers.next() else { return Err(nothing(command)) };
            is_installed = match contents(tlv, tag, command)? {
                [] => false,
                _ if tag == EXTERNAL_AUTHENTICATE => return Err(nothing(command)),
                _ => {
                    let response = session.unprotect_response(tlv);
                    installed(&response.map_err(|_| CardFault::NotAuthentic("R-MAC"))?)?;
                    true
                }
            };
            Ok(())
        })?;
        if self.is_last() {
            return match is_installed {
                true => Ok(Outcome::Installed { keys: self.keys, sequence: self.card.sequence }),
                false => Err(CardFault::Unreadable(
                    "it has the whole profile, and does not say what became of it".to_owned(),
                )),
            };
        }
        let Chain { mac_chaining_value, counter } = chain;
        let channel = Self { number: self.number.saturating_add(1), mac_chaining_value, counter, ..self };
        let script = channel.script(package)?;
        Ok(Outcome::Next { channel, script })
    }

    /// Every TLV of the script that waits for its answer, with the session as it was when that TLV had been made; and how
    /// far the session is after them.
    fn each(
        &self,
        package: &[u8],
        mut tell: impl FnMut(&scp03t::Channel, Vec<u8>) -> Result<(), CardFault>,
    ) -> Result<Chain, CardFault> {
        let Self { mac_chaining_value, counter, .. } = *self;
        let mut session = scp03t::Channel::resumed(
            self.card.session(&self.keys, self.host_challenge),
            Chain { mac_chaining_value, counter },
        );
        if self.number == 0 {
            let authenticate = session.external_authenticate();
            tell(&session, authenticate)?;
        }
        let before = self.number.saturating_mul(SEGMENTS);
        for segment in package.chunks(MAX_SEGMENT).skip(before).take(SEGMENTS) {
            let segment = session.protect(segment);
            tell(&session, segment)?;
        }
        Ok(session.chain())
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

/// What a TLV of the card's holds, which must be of this tag.
fn contents<'a>(tlv: &'a [u8], tag: u8, command: &'static str) -> Result<&'a [u8], CardFault> {
    match tlv::split(tlv) {
        Some((found, contents)) if found == Tag(tag.into()) => Ok(contents),
        Some((Tag(0x9F44..=0x9F46), [code])) => Err(CardFault::Refused { command, code: *code }),
        _ => Err(nothing(command)),
    }
}

fn nothing(command: &str) -> CardFault {
    CardFault::Unreadable(format!("{command} is not answered by a TLV of its kind"))
}

#[cfg(test)]
mod tests {
    use rsp::ota::script::Script;

    use super::*;

    /// The worked example of the project's own collection of facts, which the card's side reproduces with code of its own.
    fn opening() -> Opening {
        let key = |digits: &str| <[u8; 16]>::try_from(hex::decode(digits).unwrap()).unwrap().into();
        Opening {
            keys: KeySet {
                version: 0x30,
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
        let isd_p = hex::decode("A0000005591010FFFFFFFF8900001100").unwrap();
        let foreseen = CardHalf::foreseen(&keys, &isd_p, 1);
        let read = CardHalf::read(&keys, host_challenge, &hex::decode(&CARD[4..]).unwrap()).unwrap();
        let short = CardHalf::read(&keys, host_challenge, &[0; 20]).unwrap_err().to_string();
        assert!(short.contains("20 octets, and 32 belong there"), "{short}");
        assert_eq!((foreseen.challenge, foreseen.sequence), (read.challenge, read.sequence));
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
        let package = vec![0xA5; MAX_SEGMENT * SEGMENTS + 1];
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

    /// What the card's end of the session makes of a script.
    fn opened(card: &mut scp03t::Channel, script: &[u8]) -> Vec<u8> {
        let mut package = Vec::new();
        for command in Script::parse(script).unwrap().commands {
            match command {
                Command::SecureChannel(tlv) if tlv[0] == EXTERNAL_AUTHENTICATE => {
                    card.check_external_authenticate(&tlv).unwrap();
                }
                Command::SecureChannel(tlv) => package.extend(card.unprotect(&tlv).unwrap()),
                other => panic!("{other:?}"),
            }
        }
        package
    }

    #[test]
    fn the_session_goes_on_from_script_to_script_through_records() {
        let package: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_SEGMENT * (2 * SEGMENTS + 3)).collect();
        let Opening { keys, host_challenge } = opening();
        let half = CardHalf::foreseen(&keys, &hex::decode("A0000005591010FFFFFFFF8900001100").unwrap(), 1);
        let mut card = scp03t::Channel::new(half.session(&keys, host_challenge));
        let (mut channel, script) = opening().open(&answer(CARD), &package).unwrap();
        let mut received = opened(&mut card, &script);
        for answered in [format!("8500{}", "8600".repeat(SEGMENTS)), "8600".repeat(SEGMENTS)] {
            channel = serde_json::from_str(&serde_json::to_string(&channel).unwrap()).unwrap();
            let Ok(Outcome::Next { channel: next, script }) = channel.answered(&answer(&answered), &package)
            else {
                panic!()
            };
            received.extend(opened(&mut card, &script));
            channel = next;
        }
        assert!(channel.is_last() && received == package);
        let said = card.protect_response(&EuiccResponse::installed(Vec::new()).to_der());
        let last = answer(&format!("86008600{}", hex::encode(said)));
        let Ok(Outcome::Installed { sequence: 1, .. }) = channel.answered(&last, &package) else { panic!() };
    }

    #[test]
    fn what_the_card_says_before_it_has_the_whole_profile_is_no_end_unless_it_gives_up() {
        let package = vec![0xA5; MAX_SEGMENT * SEGMENTS + 1];
        let (channel, script) = opening().open(&answer(CARD), &package).unwrap();
        let warnings = vec![profile::PeStatus::new(profile::PeStatusCode::OK, Some(3))];
        let warned = EuiccResponse::installed(warnings);
        let aborted = EuiccResponse { profile_installation_aborted: Some(rsp::der::Null), ..warned.clone() };
        // The card remarks something after so many segments.
        let said = |segments: usize, response: &EuiccResponse| {
            let Opening { keys, host_challenge } = opening();
            let half =
                CardHalf::foreseen(&keys, &hex::decode("A0000005591010FFFFFFFF8900001100").unwrap(), 1);
            let mut card = scp03t::Channel::new(half.session(&keys, host_challenge));
            let mut commands = Script::parse(&script).unwrap().commands;
            commands.truncate(1 + segments);
            opened(&mut card, &Script { commands, ..Script::parse(&script).unwrap() }.to_bytes());
            let said = hex::encode(card.protect_response(&response.to_der()));
            let (before, after) = ("8600".repeat(segments - 1), "8600".repeat(SEGMENTS - segments));
            answer(&format!("8500{before}{said}{after}"))
        };
        for segments in [1, SEGMENTS] {
            let answered = channel.clone().answered(&said(segments, &warned), &package);
            let Ok(Outcome::Next { channel: next, .. }) = answered else { panic!("{segments}") };
            assert!(next.is_last());
            let answered = channel.clone().answered(&said(segments, &aborted), &package);
            assert!(matches!(answered, Err(CardFault::NotInstalled(_))), "{segments}");
        }
    }
}
