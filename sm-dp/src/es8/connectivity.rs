//! ES8.UpdateConnectivityParameters: SGP.02 sections 4.1.3.4 and 5.4.13, STORE DATA over SCP03.
//!
//! One script, because ES3 has one call for it: the challenge of the card is pseudo-random and can be foreseen from the
//! sequence counter. If the card counts otherwise, its answer says how, and the next attempt is right.

use rsp::{
    ids::Aid,
    ota::script::{Answer, Command, Form, Script},
};
use serde::{Deserialize, Serialize};
use world::World;

use super::{
    CardFault, answers,
    channel::{SECURITY_LEVEL, Session},
    key_establishment::{KeySet, apdu},
};

/// DGI 3A07.
const GROUP: [u8; 2] = [0x3A, 0x07];

/// An update that waits for the card's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Update {
    keys: KeySet,
    isd_p: Aid,
    host_challenge: [u8; 8],
    /// The sequence counter that the card is expected to use.
    sequence: u32,
}

/// What the card answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The parameters are changed.
    Done,
    /// The card uses this sequence counter, and not the one that was expected.
    OutOfStep(u32),
}

impl Update {
    /// The script for an ISD-P whose last session had this sequence counter.
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

    /// The sequence counter that was foreseen.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    fn script(&self, parameters: &[u8]) -> (Session, Vec<u8>) {
        let mut session = Session::foreseen(&self.keys, self.host_challenge, &self.isd_p, self.sequence);
        let initialize = apdu([0x80, 0x50, self.keys.version, 0x00], &self.host_challenge, true);
        let secured = |header: [u8; 4], data: &[u8]| apdu(header, data, false);
        let authenticate = [0x84, 0x82, SECURITY_LEVEL, 0x00];
        let data = session.authenticate(|length| with_length(authenticate, length));
        let authenticate = secured(authenticate, &data);
        let length = u8::try_from(parameters.len()).map_or_else(
            |_| [&[0xFF][..], &u16::try_from(parameters.len()).unwrap_or(u16::MAX).to_be_bytes()].concat(),
            |short| vec![short],
        );
        let clear = [&GROUP, length.as_slice(), parameters].concat();
        let store = [0x84, 0xE2, 0x88, 0x00];
        let data = session.protect(|length| with_length(store, length), &clear);
        let store = secured(store, &data);
        let script = Script {
            form: Form::Definite,
            chaining: None,
            commands: [initialize, authenticate, store].into_iter().map(Command::Apdu).collect(),
        };
        (session, script.to_bytes())
    }

    /// Reads what the card answered. The parameters are those that were sent.
    pub(crate) fn answered(&self, answer: &[u8], parameters: &[u8]) -> Result<Answered, CardFault> {
        let answers = answers(answer)?;
        let (session, _) = self.script(parameters);
        let mut apdus = answers.iter().map(|answer| match answer {
            Answer::Apdu(apdu) => Ok(apdu),
            _ => Err(CardFault::Unreadable("a C-APDU is not answered by an R-APDU".to_owned())),
        });
        let mut next = |command: &'static str| {
            apdus.next().unwrap_or_else(|| Err(CardFault::Unreadable(format!("nothing answers {command}"))))
        };
        let initialized = next("INITIALIZE UPDATE")?;
        if !initialized.status.is_success() {
            return Err(CardFault::StatusWord {
                command: "INITIALIZE UPDATE",
                status_word: initialized.status.0,
            });
        }
        // Checks the card's cryptogram too.
        let opened = Session::open(&self.keys, self.host_challenge, &initialized.data)?;
        if opened.sequence != self.sequence {
            return Ok(Answered::OutOfStep(opened.sequence));
        }
        for command in ["EXTERNAL AUTHENTICATE", "STORE DATA (connectivity parameters)"] {
            let done = next(command)?;
            if !done.status.is_success() {
                return Err(CardFault::StatusWord { command, status_word: done.status.0 });
            }
            if command != "EXTERNAL AUTHENTICATE" {
                session.unprotect(&[], &done.data, &done.status.0.to_be_bytes())?;
            }
        }
        Ok(Answered::Done)
    }
}

/// The header of a command with its Lc, which the MAC covers.
fn with_length(header: [u8; 4], length: usize) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    if length <= 0xFF { [&header[..], &[low]].concat() } else { [&header[..], &[0, high, low]].concat() }
}
