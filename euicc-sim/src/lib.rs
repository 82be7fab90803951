//! The software eUICC. Its only interface is the APDU: command in, response out.
//!
//! [`Card::transmit`] parses a command, dispatches it to the selected application, commits the
//! changes to the memory, and only then returns the response. `Persistent` holds everything that
//! survives a power cut. The changes of one command are stored in one batch, so a power cut leaves
//! the card in the state before or after the command. `Volatile` holds everything that a reset
//! clears.
//!
//! The kind of a card is an enum (`kind`). A command is dispatched with a `CardContext`; below the
//! dispatch, functions of SGP.22 get a `ConsumerContext` and functions of SGP.02 an `M2mContext`.
//! Each of them contains the common `Context` and the state that only this kind of card has. An IoT
//! card is a consumer card with an IoT part: the description and the state have this part, and the
//! dispatch of the ISD-R chooses the functions of SGP.32 for it.
//!
//! | part | clause |
//! |---|---|
//! | `apdu`, `channel`, `iso7816` | ISO/IEC 7816-4, TS 102 221 section 11 |
//! | `authenticate` | TS 31.102 section 7.1 |
//! | `get_identity` | TS 31.102 section 7.5 |
//! | `cat` | TS 102 221 section 11.2, TS 102 223: REFRESH; all proactive commands of an M2M eUICC |
//! | `ipae` | SGP.32 section 3.8: the place of an IPA inside the card |
//! | `isd_r` | SGP.22 sections 5.7.1 to 5.7.22 (ES10a, ES10b, ES10c) |
//! | `isd_r::iot` | SGP.32 section 5.9 (ES10b of an IoT eUICC) |
//! | `install` | SGP.22 sections 2.5 and 5.5 (ES8+) |
//! | `ecasd` | SGP.22 section 2.4.2 |
//! | `notifications` | SGP.22 section 3.5 |
//! | `m2m` | SGP.02, for an M2M eUICC |
//! | `multi_imsi` | the applet of a profile with several IMSIs |
//! | `state` | the persistent and the volatile state: data types without command handlers |
//! | `tag_list` | GlobalPlatform section 11.3, SGP.22 section 5.7.15: lists of requested tags |
//! | `stored`, `shared` | the cells of the state in the memory, and data shared between cards |
//!
//! The modules form a tree of dependencies. `state` and the protocol engines (TLS, SCP03, the package
//! parser) are at the bottom and do not import the command context. Command handlers are above them,
//! and the command table in `iso7816` is at the top. Two files never import each other, except a
//! parent module and its child.

mod apdu;
mod authenticate;
mod cat;
mod channel;
mod consumer;
mod context;
mod description;
mod ecasd;
mod factory;
mod get_identity;
mod install;
mod ipae;
mod isd_r;
mod iso7816;
mod kind;
pub mod m2m;
mod multi_imsi;
mod notifications;
mod shared;
mod state;
mod stored;
mod switch;
mod tag_list;
#[cfg(test)]
mod tests;
mod trust;

use std::borrow::Cow;
use std::sync::Arc;
use std::{fmt, mem};

use rsp::finding::{self, Finding};
use rsp::ids::Eid;
use world::{Atr, CardInterface, CardInterfaceFault, Event, Events, Fault, Memory, NullEvents, World};

pub use description::{
    AfterFailure, AllowedOperator, AuthorisationRule, Capabilities, CardCredential, CardDescription,
    IotDescription, IotVersion, IpaeDescription, Preset, SizeError, TerminalCapabilityRule, TokenInUpdateEim,
    V3Elements,
};
pub use ipae::{IpaePort, ToolkitEvent};
pub use rsp::StatusWord;
pub use shared::Shared;

use apdu::{Command, Le, SHORT_MAXIMUM};

use consumer::ConsumerContext;
use context::Context;
use ecasd::Ecasd;
use kind::{CardContext, CardKind, ConsumerCard, M2mCard};
use m2m::context::{FactoryData, M2mContext};
use state::channel::{Channel, PendingResponse, Selection};
use state::{ConsumerState, Persistent, Volatile};
use stored::{KindState, StoredKind};

/// A card in its reader.
pub struct Card {
    /// The description without the parts that are moved to `kind`.
    description: CardDescription,
    world: World,
    shared: Arc<Shared>,
    memory: Box<dyn Memory>,
    /// True if the memory contains the state of the card. The state of a new card is written with
    /// its first change.
    is_stored: bool,
    persistent: Persistent,
    kind: CardKind,
    volatile: Volatile,
    findings: Vec<Finding>,
    events: Box<dyn Events>,
}

impl Card {
    /// Opens the card of `description` with the contents of `memory`. Creates a new card if the
    /// memory is empty.
    ///
    /// The returned card has been reset once.
    ///
    /// # Errors
    /// Fails if the memory cannot be read, if it belongs to another card, or if the keys and
    /// certificates of the description do not match.
    pub fn open(
        description: CardDescription,
        memory: impl Memory + 'static,
        world: World,
    ) -> Result<Self, Fault> {
        Self::open_among(description, memory, world, &Arc::default())
    }

    /// Opens a card like [`open`](Self::open), and shares equal data with the other cards of
    /// `shared`.
    pub fn open_among(
        mut description: CardDescription,
        memory: impl Memory + 'static,
        world: World,
        shared: &Arc<Shared>,
    ) -> Result<Self, Fault> {
        if description.m2m.is_some() && description.iot.is_some() {
            let why = "the description has an M2M part and an IoT part";
            return Err(Fault::new(
                format!("cannot open card {}", description.eid),
                why,
                "remove one of them",
            ));
        }
        if description.m2m.is_some() && description.strict {
            return Err(Fault::usage(
                format!("cannot open card {}", description.eid),
                "an M2M card cannot be strict",
                "omit --strict, or use a consumer card or an IoT eUICC",
            ));
        }
        let load = |description: &CardDescription| stored::load(memory.load()?, description.eid, shared);
        let (persistent, kind, is_stored) = match description.m2m.take() {
            None => {
                let ecasd = Ecasd::take(&mut description, shared)?;
                let stored = load(&description)?;
                let is_stored = stored.is_some();
                let is_iot = description.iot.is_some();
                let (persistent, state) = match stored {
                    None => {
                        let mut state = ConsumerState::new(description.default_dp_address.clone());
                        if is_iot {
                            state.iot = Some(Box::new(isd_r::iot::initial_state(&description, &ecasd)?));
                        }
                        (Persistent::new(description.eid), state)
                    }
                    Some((persistent, StoredKind::Consumer(state))) if state.iot.is_some() == is_iot => {
                        (persistent, state)
                    }
                    Some((_, stored)) => return Err(card_kind_mismatch(description.eid, &stored)),
                };
                (persistent, CardKind::Consumer(Box::new(ConsumerCard { ecasd, state })), is_stored)
            }
            Some(mut m2m) => {
                let factory = FactoryData::take(&mut m2m)?;
                let stored = load(&description)?;
                let is_stored = stored.is_some();
                let (persistent, state) = match stored {
                    None => m2m::factory::state(&description, &m2m)?,
                    Some((persistent, StoredKind::M2m(state))) => (persistent, *state),
                    Some((_, stored)) => return Err(card_kind_mismatch(description.eid, &stored)),
                };
                (persistent, CardKind::M2m(Box::new(M2mCard { factory, state })), is_stored)
            }
        };
        // The ECASD of a consumer card contains these data now; an M2M eUICC does not need them.
        (description.credentials, description.trusted_cis) = (Vec::new(), Vec::new());
        let volatile = Volatile::after_reset(Channel::fresh(&persistent));
        let (shared, memory) = (Arc::clone(shared), Box::new(memory));
        let (findings, events) = (Vec::new(), Box::new(NullEvents));
        let mut card = Self {
            description,
            world,
            shared,
            memory,
            is_stored,
            persistent,
            kind,
            volatile,
            findings,
            events,
        };
        card.power_on();
        Ok(card)
    }

    /// Returns the card with a receiver of its events. The card reports the first accepted deviation
    /// of each kind.
    #[must_use]
    pub fn with_events(self, events: impl Events + 'static) -> Self {
        Self { events: Box::new(events), ..self }
    }

    /// The EID of the card.
    pub fn eid(&self) -> Eid {
        self.description.eid
    }

    /// True if the memory contains the state of the card. After opening, it is true if the memory
    /// was not empty.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Powers the card on and returns the answer to reset.
    pub fn power_on(&mut self) -> Atr {
        self.volatile = Volatile::after_reset(Channel::default());
        // The reset applies a change whose REFRESH was never performed. If the memory fails, the
        // change stays pending.
        let committed = self.commit(apply_pending);
        self.volatile = Volatile::after_reset(Channel::fresh(&self.persistent));
        if let Err(fault) = committed {
            tracing::warn!(%fault, "the card could not switch profile or identity at reset");
            self.volatile.cat.is_switch_late = true;
        }
        Atr(self.description.atr.to_vec())
    }

    /// Powers the card off and on again.
    pub fn reset(&mut self) -> Atr {
        self.power_on()
    }

    /// Processes one command and returns the response including the status word. Any octet string
    /// gets a response.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        self.transmit_from(false, command)
    }

    /// Processes a command of the terminal, or of an IPA inside the card.
    fn transmit_from(&mut self, is_from_ipae: bool, command: &[u8]) -> Vec<u8> {
        let command = match Command::parse(command) {
            Ok(command) => command,
            Err(status) => return status.to_bytes().to_vec(),
        };
        let before = snapshot(&mut self.volatile);
        let (committed, findings) = finding::collect(|| self.run_from(is_from_ipae, command));
        self.keep(findings);
        match committed {
            Ok(answer) => answer,
            Err(fault) => {
                tracing::warn!(%fault, "the card's memory failed");
                self.volatile = before;
                self.volatile.cat.deferred.keep(&command);
                StatusWord::MEMORY_PROBLEM.to_bytes().to_vec()
            }
        }
    }

    /// Returns the deviations that the card has accepted since it was opened, each once, up to
    /// [`MAX_FINDINGS`](finding::MAX_FINDINGS).
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn keep(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            if self.findings.len() >= finding::MAX_FINDINGS || self.findings.contains(&finding) {
                continue;
            }
            tracing::info!(eid = %self.description.eid, %finding, "accepted a deviation");
            // A card can accept the same kind of deviation in every command.
            if self.findings.iter().all(|earlier| earlier.kind != finding.kind) {
                self.events.emit(
                    Event::new(self.world.now(), "card", "accepted a deviation")
                        .with_note(self.description.eid.to_string())
                        .with_findings(vec![finding.clone()]),
                );
            }
            self.findings.push(finding);
        }
    }

    /// Runs `decide`, stores its changes, and only then returns its result.
    fn commit<T>(&mut self, decide: impl FnOnce(&mut CardContext<'_, '_>) -> T) -> Result<T, Fault> {
        let common = Context {
            description: &self.description,
            world: &self.world,
            persistent: Cow::Borrowed(&self.persistent),
            volatile: &mut self.volatile,
            channel: 0,
            warning: None,
            is_from_ipae: false,
        };
        let storage =
            Storage { memory: &mut *self.memory, is_stored: &mut self.is_stored, shared: &self.shared };
        match &mut self.kind {
            CardKind::Consumer(card) => {
                let state = Cow::Borrowed(&card.state);
                let mut context = ConsumerContext { common, ecasd: &card.ecasd, state };
                let result = decide(&mut CardContext::Consumer(&mut context));
                let changes = (changed(context.common.persistent), changed(context.state));
                storage.store((&mut self.persistent, &mut card.state), changes)?;
                Ok(result)
            }
            CardKind::M2m(card) => {
                let state = Cow::Borrowed(&card.state);
                let mut context = M2mContext { common, factory: &card.factory, state };
                let result = decide(&mut CardContext::M2m(&mut context));
                let changes = (changed(context.common.persistent), changed(context.state));
                storage.store((&mut self.persistent, &mut card.state), changes)?;
                Ok(result)
            }
        }
    }
}

/// The changed copy; `None` if the command did not start a change.
fn changed<T: Clone>(state: Cow<'_, T>) -> Option<T> {
    match state {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    }
}

/// Stores the changes of one command.
struct Storage<'a> {
    memory: &'a mut dyn Memory,
    is_stored: &'a mut bool,
    shared: &'a Shared,
}

impl Storage<'_> {
    /// Stores the changed states in one batch, and then applies them.
    fn store<K: KindState>(
        self,
        (persistent, kind): (&mut Persistent, &mut K),
        (new_persistent, new_kind): (Option<Persistent>, Option<K>),
    ) -> Result<(), Fault> {
        let mut new_persistent = new_persistent.filter(|new| new != persistent);
        let new_kind = new_kind.filter(|new| new != kind);
        // Skip the write if nothing changed, to avoid memory wear.
        if new_persistent.is_none() && new_kind.is_none() {
            return Ok(());
        }
        if let Some(new) = &mut new_persistent {
            self.shared.share(new, persistent);
        }
        let before = self.is_stored.then_some((&*persistent, &*kind));
        let after = (new_persistent.as_ref().unwrap_or(persistent), new_kind.as_ref().unwrap_or(kind));
        self.memory.commit(stored::changes(before, after, self.shared)?)?;
        *self.is_stored = true;
        if let Some(new) = new_persistent {
            *persistent = new;
        }
        if let Some(new) = new_kind {
            *kind = new;
        }
        Ok(())
    }
}

/// Applies the changes that wait for a reset: the profile switch, then a change of the identity in
/// the enabled profile.
fn apply_pending(context: &mut CardContext<'_, '_>) {
    switch::apply_pending(context);
    multi_imsi::apply_pending(context);
}

/// The kind of the card to which a memory belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryKind {
    /// A consumer card (SGP.22).
    Consumer,
    /// An IoT eUICC (SGP.32).
    Iot,
    /// An M2M eUICC (SGP.02).
    M2m,
}

/// The memory belongs to a card of another kind.
#[derive(Debug, thiserror::Error)]
#[error("the memory is of {}, and the description is of another kind of card", match .0 {
    MemoryKind::Consumer => "a consumer card",
    MemoryKind::Iot => "an IoT eUICC",
    MemoryKind::M2m => "an M2M eUICC",
})]
struct CardKindMismatch(MemoryKind);

fn card_kind_mismatch(eid: Eid, stored: &StoredKind) -> Fault {
    let kind = match stored {
        StoredKind::Consumer(state) if state.iot.is_some() => MemoryKind::Iot,
        StoredKind::Consumer(_) => MemoryKind::Consumer,
        StoredKind::M2m(_) => MemoryKind::M2m,
    };
    Fault::caused_by(
        CardKindMismatch(kind),
        format!("cannot use the memory of card {eid}"),
        "use the description with which the card was created, or another memory",
    )
}

/// The kind of the memory, if a card could not be opened because its description is of another kind.
/// The caller can handle this case separately.
pub fn mismatched_memory_kind(fault: &Fault) -> Option<MemoryKind> {
    let cause = std::error::Error::source(fault)?.downcast_ref::<CardKindMismatch>()?;
    Some(cause.0)
}

/// Copies the volatile state except for data that arrive in segments: a session, a data object or a
/// chain of STORE DATA can be large, and each command brings one segment. If the memory fails, these
/// transfers are aborted.
fn snapshot(volatile: &mut Volatile) -> Volatile {
    let session = mem::take(&mut volatile.session);
    let scripts = mem::take(&mut volatile.m2m);
    let take = |channel: &mut Channel| (channel.transfer.take(), channel.selection.take_chain());
    let transfers: Vec<_> = volatile.channels.values_mut().map(take).collect();
    let copy = volatile.clone();
    (volatile.session, volatile.m2m) = (session, scripts);
    for (channel, (transfer, chain)) in volatile.channels.values_mut().zip(transfers) {
        channel.transfer = transfer;
        if chain.is_some() {
            channel.selection = Selection::IsdR(chain);
        }
    }
    copy
}

/// Processes one parsed command and returns its response.
fn run(context: &mut CardContext<'_, '_>, command: Command<'_>) -> Vec<u8> {
    context.channel = command.class.channel;
    if !context.volatile.channels.contains_key(&command.class.channel) {
        return StatusWord::LOGICAL_CHANNEL_NOT_SUPPORTED.to_bytes().to_vec();
    }
    let pending = take_pending_response(context);
    let outcome = match command.ins {
        iso7816::GET_RESPONSE => get_response(context, &command, pending),
        _ => iso7816::dispatch(context, &command).map(|data| answer(context, &command, data)),
    };
    outcome.unwrap_or_else(|status| status.to_bytes().to_vec())
}

/// Takes the pending response of the current channel and discards those of all channels: a pending
/// response is available to the next command only, regardless of the channel of that command (TS
/// 102 221 section 12.1.1).
fn take_pending_response(context: &mut Context<'_>) -> PendingResponse {
    let mut own = PendingResponse::default();
    for (number, channel) in &mut context.volatile.channels {
        let pending = std::mem::take(&mut channel.pending_response);
        if *number == context.channel {
            own = pending;
        }
    }
    own
}

/// GET RESPONSE: TS 102 221 section 12.1.1 and ISO/IEC 7816-4 section 11.2.
fn get_response(
    context: &mut Context<'_>,
    command: &Command<'_>,
    mut pending: PendingResponse,
) -> Result<Vec<u8>, StatusWord> {
    if command.p1 != 0 || command.p2 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    // GET RESPONSE out of sequence gets the status word of section 12.1.1.1.
    let available =
        Some(pending.data.len()).filter(|octets| *octets > 0).ok_or(StatusWord::TECHNICAL_PROBLEM)?;
    let taken = match command.le {
        None => return Err(StatusWord::WRONG_LENGTH),
        // GET RESPONSE with Le 00 requests exactly 256 octets, while READ BINARY and similar
        // commands return all available data. The terminal learns the number of octets from 6Cxx.
        Some(Le::Maximum(SHORT_MAXIMUM) | Le::Exactly(_)) if command.le_limit() > available => {
            keep_pending_response(context, pending);
            return Err(StatusWord::wrong_le(available));
        }
        Some(le) => le.limit().min(available),
    };
    let left = pending.data.split_off(taken);
    let mut answer = pending.data;
    let status = match left.len() {
        0 => pending.status.unwrap_or(context.volatile.cat.status()),
        octets => StatusWord::more(octets),
    };
    keep_pending_response(context, PendingResponse { data: left, status: pending.status });
    answer.extend(status.to_bytes());
    Ok(answer)
}

/// Builds the response from data and status word. Data that exceed Le are kept for GET RESPONSE.
///
/// The card offers only T=0, as eUICCs do, and infers from the command whether a reader driver
/// handles the T=0 procedure bytes for the terminal. A T=0 command with a data field has no Le, so
/// a missing Le has no meaning, and the card offers the data with 61xx. If there is an Le, as in
/// every T=1 APDU, the card returns the data at once.
fn answer(context: &mut Context<'_>, command: &Command<'_>, mut data: Vec<u8>) -> Vec<u8> {
    let warning = context.warning;
    let left = data.split_off(command.le_limit().min(data.len()));
    let status = match (left.len(), warning) {
        (0, warning) => warning.unwrap_or(context.volatile.cat.status()),
        // The warning is returned at once; the data follow with GET RESPONSE (TS 102 221 section
        // 7.3.1.1.4, case 4).
        (_, Some(warning)) => warning,
        (octets, None) => StatusWord::more(octets),
    };
    let status_of_rest = warning.filter(|warning| warning.is_repeated_with_data());
    keep_pending_response(context, PendingResponse { data: left, status: status_of_rest });
    data.extend(status.to_bytes());
    data
}

fn keep_pending_response(context: &mut Context<'_>, pending: PendingResponse) {
    if let Some(channel) = context.channel() {
        channel.pending_response = pending;
    }
}

impl CardInterface for Card {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        Ok(Self::transmit(self, command))
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(Self::reset(self))
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({}, {} profiles)", self.description.eid, self.persistent.profiles.len())
    }
}
