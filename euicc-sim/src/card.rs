//! The card: a software eUICC. An APDU goes in, an APDU comes out, and there is no other way in.
//!
//! [`Card::transmit`] takes a command apart, lets the selected application decide, commits what it
//! changed, and only then answers. What survives a power cut is one value, `Persistent`; what a command changed in it is
//! stored in one batch, so that a cut at any moment leaves the card before a command or after it. What a reset clears is
//! another, `Volatile`.
//!
//! | part | clause |
//! |---|---|
//! | `apdu`, `channel`, `iso7816` | ISO/IEC 7816-4, TS 102 221 section 11 |
//! | `authenticate` | TS 31.102 section 7.1 |
//! | `get_identity` | TS 31.102 section 7.5 |
//! | `cat` | TS 102 223: REFRESH only |
//! | `isd_r` | SGP.22 sections 5.7.1 to 5.7.22 (ES10a, ES10b, ES10c) |
//! | `install` | SGP.22 sections 2.5 and 5.5 (ES8+) |
//! | `ecasd` | SGP.22 section 2.4.2 |
//! | `notifications` | SGP.22 section 3.5 |
//! | `state`, `stored`, `shared` | what a card remembers, in which cells of its memory, and what cards have in common |

mod apdu;
mod authenticate;
mod cat;
mod channel;
mod context;
mod description;
mod ecasd;
mod get_identity;
mod install;
mod isd_r;
mod iso7816;
mod notifications;
mod session;
mod shared;
mod state;
mod status_word;
mod stored;
mod switch;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::{fmt, mem};

use rsp::ids::Eid;
use world::{Atr, CardDoor, DoorFault, Fault, Memory, World};

pub use description::{
    AllowedOperator, AuthorisationRule, Capabilities, CardCredential, CardDescription, Quirk,
};
pub use shared::Shared;
pub use status_word::StatusWord;

use apdu::{Command, Le};
use channel::Channel;
use context::Context;
use ecasd::Ecasd;
use state::{Persistent, Volatile};

/// A card in its reader.
pub struct Card {
    description: CardDescription,
    ecasd: Ecasd,
    world: World,
    shared: Arc<Shared>,
    memory: Box<dyn Memory>,
    /// Whether the memory holds the card at all: a new one is not written before something has changed.
    is_stored: bool,
    persistent: Persistent,
    volatile: Volatile,
}

impl Card {
    /// The card that `description` describes, with what `memory` holds; a new one if the memory is empty.
    ///
    /// The card has been reset once when this returns.
    ///
    /// # Errors
    /// The memory cannot be read, is not this card's, or the description's keys and certificates do not fit.
    pub fn open(
        description: CardDescription,
        memory: impl Memory + 'static,
        world: World,
    ) -> Result<Self, Fault> {
        Self::open_among(description, memory, world, &Arc::default())
    }

    /// As [`open`](Self::open): one of many cards, which hold once what is equal among them.
    pub fn open_among(
        description: CardDescription,
        memory: impl Memory + 'static,
        world: World,
        shared: &Arc<Shared>,
    ) -> Result<Self, Fault> {
        let ecasd = Ecasd::load(&description)?;
        let stored = stored::load(memory.load()?, description.eid, shared)?;
        let is_stored = stored.is_some();
        let persistent = stored
            .unwrap_or_else(|| Persistent::new(description.eid, description.default_dp_address.clone()));
        let volatile = Volatile::after_reset(Channel::fresh(&persistent));
        let (shared, memory) = (Arc::clone(shared), Box::new(memory));
        let mut card = Self { description, ecasd, world, shared, memory, is_stored, persistent, volatile };
        card.power_on();
        Ok(card)
    }

    /// Who the card is.
    pub fn eid(&self) -> Eid {
        self.description.eid
    }

    /// Gives the card power: the answer to reset.
    pub fn power_on(&mut self) -> Atr {
        self.volatile = Volatile::after_reset(Channel::default());
        // A REFRESH that never came is made good by the reset. If the memory fails the switch stays due.
        let committed = self.commit(switch::make_due);
        if let Err(fault) = committed {
            tracing::warn!(%fault, "the card could not switch profiles at reset");
        }
        self.volatile = Volatile::after_reset(Channel::fresh(&self.persistent));
        Atr(self.description.atr.to_vec())
    }

    /// Takes the power away and gives it back.
    pub fn reset(&mut self) -> Atr {
        self.power_on()
    }

    /// One command, one answer, status word included. Every octet string has an answer.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        let command = match Command::parse(command) {
            Ok(command) => command,
            Err(status) => return status.to_bytes().to_vec(),
        };
        // A session is not kept twice, it can be as large as a profile: if the memory fails, it ends.
        let session = mem::take(&mut self.volatile.session);
        let before = self.volatile.clone();
        self.volatile.session = session;
        match self.commit(|context| run(context, command)) {
            Ok(answer) => answer,
            Err(fault) => {
                tracing::warn!(%fault, "the card's memory failed");
                self.volatile = before;
                StatusWord::MEMORY_PROBLEM.to_bytes().to_vec()
            }
        }
    }

    /// Lets `decide` run, stores what it changed, and only then lets its result out.
    fn commit<T>(&mut self, decide: impl FnOnce(&mut Context<'_>) -> T) -> Result<T, Fault> {
        let mut context = Context {
            description: &self.description,
            ecasd: &self.ecasd,
            world: &self.world,
            persistent: Cow::Borrowed(&self.persistent),
            volatile: &mut self.volatile,
            channel: 0,
        };
        let result = decide(&mut context);
        match context.persistent {
            Cow::Owned(mut changed) if changed != self.persistent => {
                self.shared.share(&mut changed, &self.persistent);
                let before = self.is_stored.then_some(&self.persistent);
                self.memory.commit(stored::changes(before, &changed, &self.shared)?)?;
                (self.persistent, self.is_stored) = (changed, true);
            }
            // Nothing changed: no wear.
            Cow::Owned(_) | Cow::Borrowed(_) => {}
        }
        Ok(result)
    }
}

/// One command, from the channel to the answer.
fn run(context: &mut Context<'_>, command: Command<'_>) -> Vec<u8> {
    context.channel = command.class.channel;
    let Some(channel) = context.volatile.channels.get_mut(&command.class.channel) else {
        return StatusWord::LOGICAL_CHANNEL_NOT_SUPPORTED.to_bytes().to_vec();
    };
    let waiting = std::mem::take(&mut channel.waiting);
    let outcome = match command.ins {
        iso7816::GET_RESPONSE => get_response(&command, waiting),
        _ => iso7816::dispatch(context, &command).map(|data| (data, Rest::Asked)),
    };
    let (data, rest) = match outcome {
        Ok(outcome) => outcome,
        Err(status) => return status.to_bytes().to_vec(),
    };
    answer(context, &command, data, rest)
}

/// Who asked for the data: the command itself, or GET RESPONSE after it.
enum Rest {
    Asked,
    Waiting,
}

/// GET RESPONSE: TS 102 221 section 11.1.20 and ISO/IEC 7816-4 section 11.2.
fn get_response(command: &Command<'_>, waiting: Vec<u8>) -> Result<(Vec<u8>, Rest), StatusWord> {
    if command.p1 != 0 || command.p2 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    if waiting.is_empty() {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    Ok((waiting, Rest::Waiting))
}

/// Puts data and status word together; what does not fit waits for GET RESPONSE.
fn answer(context: &mut Context<'_>, command: &Command<'_>, mut data: Vec<u8>, rest: Rest) -> Vec<u8> {
    let available = data.len();
    let taken = match command.le {
        // T=0 carries no Le beside a data field, so its absence says nothing: 61xx offers the data.
        None => 0,
        Some(Le::Exactly(asked)) if asked > available => {
            if matches!(rest, Rest::Waiting) {
                keep_waiting(context, data);
                return StatusWord::wrong_le(available).to_bytes().to_vec();
            }
            available
        }
        Some(le) => le.limit().min(available),
    };
    let left = data.split_off(taken);
    let status = if left.is_empty() { context.volatile.cat.status() } else { StatusWord::more(left.len()) };
    keep_waiting(context, left);
    data.extend(status.to_bytes());
    data
}

fn keep_waiting(context: &mut Context<'_>, data: Vec<u8>) {
    if let Some(channel) = context.channel() {
        channel.waiting = data;
    }
}

impl CardDoor for Card {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        Ok(Self::transmit(self, command))
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        Ok(Self::reset(self))
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({}, {} profiles)", self.description.eid, self.persistent.profiles.len())
    }
}
