//! ES8.DownloadAndInstallation: SGP.02 section 4.1.3.3, SCP03t.
//!
//! INITIALIZE UPDATE is sent in a script of its own, because the next commands depend on the card's
//! response and on whether the card has the keys. EXTERNAL AUTHENTICATE and the segments of the
//! profile package follow in further scripts.
//!
//! The secure channel continues from one script to the next. On the card, script chaining keeps it
//! open. On the server, a record holds the state of the channel before the pending script. When the
//! response arrives, the server generates the pending script again from that state to verify the
//! response.

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

/// Maximum number of segments in one script.
const SEGMENTS: usize = 8;

/// An SCP03t session that waits for the response to INITIALIZE UPDATE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    keys: KeySet,
    host_challenge: [u8; 8],
}

/// An open SCP03t session with the progress of the download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    keys: KeySet,
    host_challenge: [u8; 8],
    card: CardHalf,
    /// The index of the pending script, counted from 0.
    number: usize,
    /// The total number of scripts.
    scripts: usize,
    /// The MAC chaining value before the pending script.
    mac_chaining_value: [u8; 16],
    /// The number of segments before the pending script.
    counter: u32,
}

/// The outcome of a script of segments.
pub(crate) enum Outcome {
    /// Another script follows.
    Next {
        /// The session, waiting for the response to this script.
        channel: Channel,
        /// The script in expanded format.
        script: Vec<u8>,
    },
    /// The profile is installed.
    Installed {
        /// The keys of the ISD-P.
        keys: KeySet,
        /// The sequence counter that the card used.
        sequence: u32,
    },
}

impl Opening {
    /// Starts a session with these keys.
    pub(crate) fn begin(keys: KeySet, world: &World) -> (Self, Vec<u8>) {
        let opening = Self { keys, host_challenge: world.random() };
        let script = script(vec![opening.initialize_update()], Chaining::FirstKept);
        (opening, script)
    }

    fn initialize_update(&self) -> Command {
        let data = [&[self.keys.version, 0x00], self.host_challenge.as_slice()].concat();
        Command::SecureChannel(tlv_bytes(Tag(INITIALIZE_UPDATE.into()), &data))
    }

    /// Evaluates the response to INITIALIZE UPDATE and starts sending the package.
    pub(crate) fn open(self, answer: &[u8], package: &[u8]) -> Result<(Channel, Vec<u8>), CardFault> {
        let answers = answers(answer)?;
        let Some(Answer::SecureChannel(tlv)) = answers.first() else {
            return Err(missing_response("INITIALIZE UPDATE"));
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
    /// True if the pending script is the last one.
    pub(crate) fn is_last(&self) -> bool {
        self.number.saturating_add(1) >= self.scripts
    }

    /// Generates the pending script.
    fn script(&self, package: &[u8]) -> Result<Vec<u8>, CardFault> {
        let mut commands = Vec::new();
        self.for_each_tlv(package, |_, tlv| {
            commands.push(Command::SecureChannel(tlv));
            Ok(())
        })?;
        Ok(script(commands, if self.is_last() { Chaining::Last } else { Chaining::Following }))
    }

    /// Evaluates the response to the pending script.
    pub(crate) fn answered(self, answer: &[u8], package: &[u8]) -> Result<Outcome, CardFault> {
        let answers = answers(answer)?;
        let mut answers = answers.iter();
        // True if the last command was answered with an EUICCResponse. An EUICCResponse before the
        // card has the whole profile does not end the download, unless the installation was
        // aborted.
        let mut is_installed = false;
        let chain = self.for_each_tlv(package, |session, sent| {
            let (tag, command) = match sent.first() {
                Some(&EXTERNAL_AUTHENTICATE) => (EXTERNAL_AUTHENTICATE, "EXTERNAL AUTHENTICATE"),
                _ => (scp03t::SEGMENT, "a profile segment"),
            };
            let Some(Answer::SecureChannel(tlv)) = answers.next() else {
                return Err(missing_response(command));
            };
            is_installed = match contents(tlv, tag, command)? {
                [] => false,
                _ if tag == EXTERNAL_AUTHENTICATE => return Err(missing_response(command)),
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
                    "the installation result is missing after the last segment".to_owned(),
                )),
            };
        }
        let Chain { mac_chaining_value, counter } = chain;
        let channel = Self { number: self.number.saturating_add(1), mac_chaining_value, counter, ..self };
        let script = channel.script(package)?;
        Ok(Outcome::Next { channel, script })
    }

    /// Calls `visit` for each TLV of the pending script, with the session state after that TLV was
    /// generated. Returns the chaining state after all of them.
    fn for_each_tlv(
        &self,
        package: &[u8],
        mut visit: impl FnMut(&scp03t::Channel, Vec<u8>) -> Result<(), CardFault>,
    ) -> Result<Chain, CardFault> {
        let Self { mac_chaining_value, counter, .. } = *self;
        let mut session = scp03t::Channel::resumed(
            self.card.session(&self.keys, self.host_challenge),
            Chain { mac_chaining_value, counter },
        );
        if self.number == 0 {
            let authenticate = session.external_authenticate();
            visit(&session, authenticate)?;
        }
        let before = self.number.saturating_mul(SEGMENTS);
        for segment in package.chunks(MAX_SEGMENT).skip(before).take(SEGMENTS) {
            let segment = session.protect(segment);
            visit(&session, segment)?;
        }
        Ok(session.chain())
    }
}

/// Evaluates an EUICCResponse.
fn installed(octets: &[u8]) -> Result<(), CardFault> {
    let response = EuiccResponse::from_der(octets)
        .map_err(|e| CardFault::Unreadable(format!("not an EUICCResponse: {e}")))?;
    let is_aborted = response.profile_installation_aborted.is_some();
    let failed = response.pe_status.iter().find(|pe| pe.status != profile::PeStatusCode::OK);
    match failed {
        Some(pe) if is_aborted => {
            let which =
                pe.identification.map_or("the package".to_owned(), |id| format!("profile element {id}"));
            let message = response.status_message.map(|message| format!(", {message}")).unwrap_or_default();
            Err(CardFault::NotInstalled(format!("{which}: {}{message}", pe.status)))
        }
        None if is_aborted => Err(CardFault::NotInstalled("no reason given".to_owned())),
        _ => Ok(()),
    }
}

/// Returns the contents of a response TLV with the expected tag.
fn contents<'a>(tlv: &'a [u8], tag: u8, command: &'static str) -> Result<&'a [u8], CardFault> {
    match tlv::split(tlv) {
        Some((found, contents)) if found == Tag(tag.into()) => Ok(contents),
        Some((Tag(0x9F44..=0x9F46), [code])) => Err(CardFault::Refused { command, code: *code }),
        _ => Err(missing_response(command)),
    }
}

fn missing_response(command: &str) -> CardFault {
    CardFault::Unreadable(format!("the response to {command} does not have the expected tag"))
}

#[cfg(test)]
mod tests {
    use rsp::ota::script::Script;

    use super::*;

    /// The worked example from the project's reference notes. The card side reproduces it with
    /// separate code.
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
    fn the_first_scripts_match_the_worked_example() {
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
    fn the_challenge_of_the_card_can_be_predicted() {
        let Opening { keys, host_challenge } = opening();
        let isd_p = hex::decode("A0000005591010FFFFFFFF8900001100").unwrap();
        let predicted = CardHalf::predicted(&keys, &isd_p, 1);
        let read = CardHalf::read(&keys, host_challenge, &hex::decode(&CARD[4..]).unwrap()).unwrap();
        let short = CardHalf::read(&keys, host_challenge, &[0; 20]).unwrap_err().to_string();
        assert!(short.contains("20 octets instead of 32"), "{short}");
        assert_eq!((predicted.challenge, predicted.sequence), (read.challenge, read.sequence));
    }

    #[test]
    fn a_card_without_the_keys_is_detected() {
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
    fn a_large_package_takes_several_scripts_and_every_response_is_checked() {
        let package = vec![0xA5; MAX_SEGMENT * SEGMENTS + 1];
        let (channel, _) = opening().open(&answer(CARD), &package).unwrap();
        assert!(!channel.is_last());
        let all = format!("8500{}", "8600".repeat(SEGMENTS));
        let short = format!("8500{}", "8600".repeat(SEGMENTS - 1));
        assert!(matches!(channel.clone().answered(&answer(&short), &package), Err(CardFault::Unreadable(_))));
        let refused = format!("8500{}9f460102", "8600".repeat(3));
        assert_eq!(
            channel.clone().answered(&answer(&refused), &package).err(),
            Some(CardFault::Refused { command: "a profile segment", code: 2 })
        );
        let Ok(Outcome::Next { channel, script }) = channel.answered(&answer(&all), &package) else {
            panic!()
        };
        assert!(channel.is_last());
        assert_eq!(hex::encode(&script[..5]), "aa1d830103");
        // The card has the whole package and returns no installation result.
        assert!(matches!(channel.clone().answered(&answer("8600"), &package), Err(CardFault::Unreadable(_))));
        let forged = channel.answered(&answer("86080000000000000000"), &package);
        assert_eq!(forged.err(), Some(CardFault::NotAuthentic("R-MAC")));
    }

    /// Decrypts a script with the card side of the session and returns the package octets.
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
    fn the_session_continues_across_scripts_and_stored_records() {
        let package: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_SEGMENT * (2 * SEGMENTS + 3)).collect();
        let Opening { keys, host_challenge } = opening();
        let half = CardHalf::predicted(&keys, &hex::decode("A0000005591010FFFFFFFF8900001100").unwrap(), 1);
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
        let response = card.protect_response(&EuiccResponse::installed(Vec::new()).to_der());
        let last = answer(&format!("86008600{}", hex::encode(response)));
        let Ok(Outcome::Installed { sequence: 1, .. }) = channel.answered(&last, &package) else { panic!() };
    }

    #[test]
    fn an_early_euicc_response_ends_the_download_only_if_it_aborts() {
        let package = vec![0xA5; MAX_SEGMENT * SEGMENTS + 1];
        let (channel, script) = opening().open(&answer(CARD), &package).unwrap();
        let warnings = vec![profile::PeStatus::new(profile::PeStatusCode::OK, Some(3))];
        let as_warning = EuiccResponse::installed(warnings);
        let aborted =
            EuiccResponse { profile_installation_aborted: Some(rsp::der::Null), ..as_warning.clone() };
        let bad_element = vec![profile::PeStatus::new(profile::PeStatusCode::BAD_VALUES, Some(3))];
        let with_bad_element = EuiccResponse::installed(bad_element);
        assert_eq!(installed(&with_bad_element.to_der()), Ok(()), "it is installed without this element");
        let fault = |response: EuiccResponse| {
            let aborted = Some(rsp::der::Null);
            let aborted = EuiccResponse { profile_installation_aborted: aborted, ..response };
            installed(&aborted.to_der()).unwrap_err().to_string()
        };
        assert!(fault(as_warning.clone()).ends_with("no reason given"));
        let with_reason = fault(with_bad_element);
        assert!(with_reason.contains("profile element 3: "), "{with_reason}");
        // The card returns an EUICCResponse after this number of segments.
        let response = |segments: usize, response: &EuiccResponse| {
            let Opening { keys, host_challenge } = opening();
            let half =
                CardHalf::predicted(&keys, &hex::decode("A0000005591010FFFFFFFF8900001100").unwrap(), 1);
            let mut card = scp03t::Channel::new(half.session(&keys, host_challenge));
            let mut commands = Script::parse(&script).unwrap().commands;
            commands.truncate(1 + segments);
            opened(&mut card, &Script { commands, ..Script::parse(&script).unwrap() }.to_bytes());
            let response = hex::encode(card.protect_response(&response.to_der()));
            let (before, after) = ("8600".repeat(segments - 1), "8600".repeat(SEGMENTS - segments));
            answer(&format!("8500{before}{response}{after}"))
        };
        for segments in [1, SEGMENTS] {
            let answered = channel.clone().answered(&response(segments, &as_warning), &package);
            let Ok(Outcome::Next { channel: next, .. }) = answered else { panic!("{segments}") };
            assert!(next.is_last());
            let answered = channel.clone().answered(&response(segments, &aborted), &package);
            assert!(matches!(answered, Err(CardFault::NotInstalled(_))), "{segments}");
        }
    }
}
