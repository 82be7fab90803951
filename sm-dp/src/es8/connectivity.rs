//! ES8.UpdateConnectivityParameters: SGP.02 sections 4.1.3.4 and 5.4.13, STORE DATA over SCP03.
//!
//! ES3 has one call for this function, so all commands go in one script. This is possible because
//! the card's challenge is pseudo-random and can be computed from the sequence counter. If the card
//! uses another sequence counter, its response contains that counter, and the next attempt
//! succeeds.

use crypto::scp03::{Channel, SecurityLevel};
use rsp::{
    StatusWord,
    ids::Aid,
    ota::script::{Answer, Command, Form, Script},
    sgp02::es5,
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{CardFault, answers, handshake::CardHalf, key_establishment::KeySet};

/// The DGI of the connectivity parameters.
const GROUP: u16 = 0x3A07;

/// STORE DATA with DGI format, last block.
const STORE_DATA: [u8; 4] = [0x80, 0xE2, 0x88, 0x00];

/// Maximum length of the parameters. With DGI and length (5), padding (16) and MAC (8) they fit
/// into one command.
pub(crate) const MAX_PARAMETERS: usize = 0xFFFF - 5 - 16 - 8;

/// An update that waits for the card's response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    keys: KeySet,
    isd_p: Aid,
    host_challenge: [u8; 8],
    /// The sequence counter that the card is expected to use.
    sequence: u32,
}

/// The result of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateResult {
    /// The parameters are changed.
    Done,
    /// The card uses this sequence counter instead of the expected one.
    OutOfStep(u32),
}

impl Update {
    /// Starts an update of an ISD-P. `last` is the sequence counter of its previous session.
    /// Returns the update and its script. `parameters` has at most [`MAX_PARAMETERS`] octets.
    pub(crate) fn begin(
        keys: &KeySet,
        isd_p: &Aid,
        last: u32,
        parameters: &[u8],
        world: &World,
    ) -> (Self, Vec<u8>) {
        let update = Self {
            keys: keys.clone(),
            isd_p: isd_p.clone(),
            host_challenge: world.random(),
            sequence: last.saturating_add(1),
        };
        let (_, script) = update.script(parameters);
        (update, script)
    }

    /// The expected sequence counter.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    fn script(&self, parameters: &[u8]) -> (Channel, Vec<u8>) {
        let card = CardHalf::predicted(&self.keys, &self.isd_p.0, self.sequence);
        let mut channel = Channel::new(card.session(&self.keys, self.host_challenge), SecurityLevel::FULL);
        let initialize = es5::apdu([0x80, 0x50, self.keys.version, 0x00], &self.host_challenge, true);
        let authenticate = channel.external_authenticate();
        let (header, data) = channel.protect(STORE_DATA, &es5::data_group(GROUP, parameters));
        let store = es5::apdu(header, &data, false);
        let script = Script {
            form: Form::Definite,
            chaining: None,
            commands: [initialize, authenticate, store].into_iter().map(Command::Apdu).collect(),
        };
        (channel, script.to_bytes())
    }

    /// Evaluates the card's response. `parameters` must be the same as in the script.
    pub(crate) fn answered(&self, answer: &[u8], parameters: &[u8]) -> Result<UpdateResult, CardFault> {
        let answers = answers(answer)?;
        let (channel, _) = self.script(parameters);
        let mut apdus = answers.iter().map(|answer| match answer {
            Answer::Apdu(apdu) => Ok(apdu),
            _ => Err(CardFault::Unreadable("the response to a C-APDU is not an R-APDU".to_owned())),
        });
        let mut done = |command: &'static str, is_done: fn(StatusWord) -> bool| {
            let missing_response = || CardFault::Unreadable(format!("there is no response to {command}"));
            let apdu = apdus.next().ok_or_else(missing_response)??;
            match apdu.status {
                status if is_done(status) => Ok(apdu),
                StatusWord(status_word) => Err(CardFault::StatusWord { command, status_word }),
            }
        };
        let initialized = done("INITIALIZE UPDATE", StatusWord::is_success)?;
        // This also verifies the card's cryptogram.
        let card = CardHalf::read(&self.keys, self.host_challenge, &initialized.data)?;
        if card.sequence != self.sequence {
            return Ok(UpdateResult::OutOfStep(card.sequence));
        }
        // For this command, 6300 means that the cryptogram is wrong, although it is a warning
        // elsewhere.
        done("EXTERNAL AUTHENTICATE", |status| status == StatusWord::OK)?;
        let stored = done("STORE DATA (connectivity parameters)", StatusWord::is_success)?;
        channel
            .unprotect_response(stored.status.0, &stored.data)
            .map_err(|_| CardFault::NotAuthentic("R-MAC"))?;
        Ok(UpdateResult::Done)
    }
}

#[cfg(test)]
mod tests {
    use rsp::ota::script::{ResponseApdu, ScriptResponse};

    use super::*;

    /// The keys and the session of the worked example. The card side reproduces it with separate
    /// code.
    fn update() -> Update {
        let key = |digits: &str| <[u8; 16]>::try_from(hex::decode(digits).unwrap()).unwrap().into();
        Update {
            keys: KeySet {
                version: 0x30,
                enc: key("c40b97be5c644ba3e2d06dac8747a6f3"),
                mac: key("5a4122852513f84be078b80c68056a4f"),
                dek: key("4ea9e6b34e49d419d81c095927a800e4"),
            },
            isd_p: Aid(hex::decode("A0000005591010FFFFFFFF8900001100").unwrap()),
            host_challenge: [1, 2, 3, 4, 5, 6, 7, 8],
            sequence: 1,
        }
    }

    const INITIALIZED: &str = "00000000000000000000300370ce2811c576f5fbb04cdbf8607d8abd6c000001";

    /// Builds a card response with these status words for the last two commands and an R-MAC on the
    /// last one.
    fn answer(authenticated: u16, stored: u16) -> Vec<u8> {
        let (channel, _) = update().script(&[]);
        let apdu = |data, status| Answer::Apdu(ResponseApdu { data, status: StatusWord(status) });
        let r_mac = channel.protect_response(stored, &[]);
        let answers = vec![
            apdu(hex::decode(INITIALIZED).unwrap(), 0x9000),
            apdu(vec![], authenticated),
            apdu(r_mac, stored),
        ];
        ScriptResponse::of(Form::Definite, answers).to_bytes()
    }

    #[test]
    fn a_known_session_produces_the_three_expected_commands() {
        let (_, script) = update().script(&[0xA0, 0x00]);
        let Script { commands, .. } = Script::parse(&script).unwrap();
        let [Command::Apdu(initialize), Command::Apdu(authenticate), Command::Apdu(store)] =
            commands.as_slice()
        else {
            panic!("{commands:?}")
        };
        assert_eq!(hex::encode(initialize), "8050300008010203040506070800");
        // The cryptogram is that of the worked example. The MAC differs, because it covers a C-APDU
        // here.
        assert_eq!(hex::encode(&authenticate[..13]), "8482330010b2169b5a8e068107");
        assert_eq!(hex::encode(&store[..5]), "84e2880018");
    }

    #[test]
    fn the_length_of_255_octets_of_parameters_is_encoded_in_three_octets() {
        let clear = es5::data_group(GROUP, &[0xA0; 255]);
        assert_eq!(hex::encode(&clear[..5]), "3a07ff00ff");
    }

    #[test]
    fn a_failure_names_the_command_that_failed() {
        assert_eq!(update().answered(&answer(0x9000, 0x9000), &[]), Ok(UpdateResult::Done));
        let refused = |command, status_word| Err(CardFault::StatusWord { command, status_word });
        // The cryptogram is wrong, so 6300 is not a warning.
        assert_eq!(update().answered(&answer(0x6300, 0x6982), &[]), refused("EXTERNAL AUTHENTICATE", 0x6300));
        assert_eq!(
            update().answered(&answer(0x9000, 0x6A80), &[]),
            refused("STORE DATA (connectivity parameters)", 0x6A80)
        );
        let mut forged = answer(0x9000, 0x9000);
        let at = forged.len() - 3;
        forged[at] ^= 1;
        assert_eq!(update().answered(&forged, &[]), Err(CardFault::NotAuthentic("R-MAC")));
        let ahead = Update { sequence: 2, ..update() };
        assert_eq!(ahead.answered(&answer(0x9000, 0x9000), &[]), Ok(UpdateResult::OutOfStep(1)));
    }
}
