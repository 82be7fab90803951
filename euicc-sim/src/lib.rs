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
//! | `cat` | TS 102 221 section 11.2, TS 102 223: of proactive commands REFRESH, and what a card for M2M is about |
//! | `isd_r` | SGP.22 sections 5.7.1 to 5.7.22 (ES10a, ES10b, ES10c) |
//! | `install` | SGP.22 sections 2.5 and 5.5 (ES8+) |
//! | `ecasd` | SGP.22 section 2.4.2 |
//! | `notifications` | SGP.22 section 3.5 |
//! | `m2m` | SGP.02, of a card that is an M2M eUICC |
//! | `multi_imsi` | the applet of a profile with several identities |
//! | `state`, `stored`, `shared` | what a card remembers, in which cells of its memory, and what cards have in common |

mod apdu;
mod authenticate;
mod cat;
mod channel;
mod context;
mod description;
mod ecasd;
mod factory;
mod get_identity;
mod install;
mod isd_r;
mod iso7816;
pub mod m2m;
mod multi_imsi;
mod notifications;
mod session;
mod shared;
mod state;
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
    AllowedOperator, AuthorisationRule, Capabilities, CardCredential, CardDescription, Preset, Quirk,
    V3Elements,
};
pub use rsp::StatusWord;
pub use shared::Shared;

use apdu::{Command, Le, SHORT_MAXIMUM};
use channel::{Channel, Waiting};
use context::Context;
use ecasd::Ecasd;
use state::{Persistent, Volatile};

/// A card in its reader.
pub struct Card {
    /// Without keys and certificates, which are the ECASD's.
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
        mut description: CardDescription,
        memory: impl Memory + 'static,
        world: World,
        shared: &Arc<Shared>,
    ) -> Result<Self, Fault> {
        let ecasd = Ecasd::take(&mut description, shared)?;
        let stored = stored::load(memory.load()?, description.eid, shared)?;
        let is_stored = stored.is_some();
        let persistent = match (stored, &description.m2m) {
            (Some(stored), m2m) if stored.m2m.is_some() == m2m.is_some() => stored,
            (Some(_), _) => return Err(another_kind(description.eid)),
            (None, Some(m2m)) => m2m::factory::persistent(&description, m2m)?,
            (None, None) => Persistent::new(description.eid, description.default_dp_address.clone()),
        };
        if let Some(m2m) = &mut description.m2m {
            m2m::factory::forget(m2m);
        }
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

    /// Whether its memory holds it: of a card that was just opened, whether it was there before.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Gives the card power: the answer to reset.
    pub fn power_on(&mut self) -> Atr {
        self.volatile = Volatile::after_reset(Channel::default());
        // A REFRESH that never came is made good by the reset. If the memory fails the switch stays due.
        let committed = self.commit(make_due);
        self.volatile = Volatile::after_reset(Channel::fresh(&self.persistent));
        if let Err(fault) = committed {
            tracing::warn!(%fault, "the card could not switch profile or identity at reset");
            self.volatile.cat.announce_change_later();
        }
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
        let before = at_rest(&mut self.volatile);
        match self.commit(|context| run(context, command)) {
            Ok(answer) => answer,
            Err(fault) => {
                tracing::warn!(%fault, "the card's memory failed");
                self.volatile = before;
                self.volatile.cat.keep(&command);
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
            warning: None,
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

/// What waits for a reset: another profile, then another identity in the profile that is enabled.
fn make_due(context: &mut Context<'_>) {
    switch::make_due(context);
    multi_imsi::make_due(context);
}

/// A memory that is another kind of card's.
#[derive(Debug, thiserror::Error)]
#[error("of the memory and the description one is a consumer card's, the other an M2M eUICC's")]
struct AnotherKind;

fn another_kind(eid: Eid) -> Fault {
    Fault::caused_by(
        AnotherKind,
        format!("cannot use the memory of card {eid}"),
        "give the card the description it was made with, or another memory",
    )
}

/// Whether a card was not opened because its memory is a consumer card's and its description an M2M eUICC's, or the other way
/// round: who opens it knows what to do about that.
pub fn is_another_kind(fault: &Fault) -> bool {
    std::error::Error::source(fault).is_some_and(|cause| cause.is::<AnotherKind>())
}

/// A copy, but for what is on its way in pieces: a session or a data object can be as large as a profile, and each
/// command brings a piece. If the memory fails, it ends.
fn at_rest(volatile: &mut Volatile) -> Volatile {
    let session = mem::take(&mut volatile.session);
    let scripts = mem::take(&mut volatile.m2m);
    let transfers: Vec<_> = volatile.channels.values_mut().map(|channel| channel.transfer.take()).collect();
    let copy = volatile.clone();
    (volatile.session, volatile.m2m) = (session, scripts);
    for (channel, transfer) in volatile.channels.values_mut().zip(transfers) {
        channel.transfer = transfer;
    }
    copy
}

/// One command, from the channel to the answer.
fn run(context: &mut Context<'_>, command: Command<'_>) -> Vec<u8> {
    context.channel = command.class.channel;
    if !context.volatile.channels.contains_key(&command.class.channel) {
        return StatusWord::LOGICAL_CHANNEL_NOT_SUPPORTED.to_bytes().to_vec();
    }
    let waiting = take_waiting(context);
    let outcome = match command.ins {
        iso7816::GET_RESPONSE => get_response(context, &command, waiting),
        _ => iso7816::dispatch(context, &command).map(|data| answer(context, &command, data)),
    };
    outcome.unwrap_or_else(|status| status.to_bytes().to_vec())
}

/// A response waits for the next command only, on whatever channel that comes (TS 102 221 section 12.1.1).
fn take_waiting(context: &mut Context<'_>) -> Waiting {
    let mut own = Waiting::default();
    for (number, channel) in &mut context.volatile.channels {
        let waiting = std::mem::take(&mut channel.waiting);
        if *number == context.channel {
            own = waiting;
        }
    }
    own
}

/// GET RESPONSE: TS 102 221 section 12.1.1 and ISO/IEC 7816-4 section 11.2.
fn get_response(
    context: &mut Context<'_>,
    command: &Command<'_>,
    mut waiting: Waiting,
) -> Result<Vec<u8>, StatusWord> {
    if command.p1 != 0 || command.p2 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    // Out of sequence: the status word is that of section 12.1.1.1.
    let available =
        Some(waiting.data.len()).filter(|octets| *octets > 0).ok_or(StatusWord::TECHNICAL_PROBLEM)?;
    let taken = match command.le {
        None => return Err(StatusWord::WRONG_LENGTH),
        // 00 asks for 256 octets and no fewer, where READ BINARY and its like give all there is: a terminal learns the
        // number from 6Cxx.
        Some(Le::Maximum(SHORT_MAXIMUM) | Le::Exactly(_)) if command.le_limit() > available => {
            keep_waiting(context, waiting);
            return Err(StatusWord::wrong_le(available));
        }
        Some(le) => le.limit().min(available),
    };
    let left = waiting.data.split_off(taken);
    let mut answer = waiting.data;
    let status = match left.len() {
        0 => waiting.status.unwrap_or(context.volatile.cat.status()),
        octets => StatusWord::more(octets),
    };
    keep_waiting(context, Waiting { data: left, status: waiting.status });
    answer.extend(status.to_bytes());
    Ok(answer)
}

/// Puts data and status word together; what does not fit waits for GET RESPONSE.
///
/// The card offers T=0 alone, as eUICCs do, and learns from the command whether a door has taken the work of
/// T=0 off the terminal: in T=0 no Le stands beside a data field, so its absence says nothing, and 61xx offers the
/// data; where there is one, as in every APDU of T=1, the data come at once.
fn answer(context: &mut Context<'_>, command: &Command<'_>, mut data: Vec<u8>) -> Vec<u8> {
    let warning = context.warning;
    let left = data.split_off(command.le_limit().min(data.len()));
    let status = match (left.len(), warning) {
        (0, warning) => warning.unwrap_or(context.volatile.cat.status()),
        // Said at once; the data come after it (TS 102 221 section 7.3.1.1.4, case 4).
        (_, Some(warning)) => warning,
        (octets, None) => StatusWord::more(octets),
    };
    let status_of_rest = warning.filter(|warning| warning.is_repeated_with_data());
    keep_waiting(context, Waiting { data: left, status: status_of_rest });
    data.extend(status.to_bytes());
    data
}

fn keep_waiting(context: &mut Context<'_>, waiting: Waiting) {
    if let Some(channel) = context.channel() {
        channel.waiting = waiting;
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
