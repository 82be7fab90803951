//! The place of an IPA inside the card (IPAe): SGP.31, SGP.32 section 3.8.
//!
//! This module has no procedures of an IPA. It starts the IPA, reports the events of the toolkit to
//! it, and gives it access to the ISD-R, to proactive commands and to a part of the memory. The
//! program that uses this access runs above the card.
//!
//! The IPA is active unless the terminal has announced its own IPA (IPAd) in TERMINAL CAPABILITY.
//! Such a terminal can activate the IPA of the card with IpaeActivation; then only a reset makes
//! the IPAd active again.

use rsp::ota::cat::{Command as ProactiveCommand, Duration, Envelope, Event, LocalInformation, Response};
use rsp::ota::cat::{Proactive, TerminalCapability, TerminalResponse};
use world::Fault;

use super::apdu::Command;
use super::context::Context;
use super::description::IpaeDescription;
use super::kind::CardKind;
use super::state::cat::Cat;
use super::state::cat::facilities::{reports_event, supports_tcp_channels};
pub use super::state::cat::ipae::ToolkitEvent;
use super::state::cat::queue::{Owner, is_done};
use super::{Card, StatusWord, run};

/// The interval of STATUS commands of a terminal that reports none: TS 102 223 section 4.2.
const DEFAULT_STATUS_SECONDS: u64 = 30;

/// The access of an IPA inside the card to its card.
#[derive(Debug)]
pub struct IpaePort<'a>(&'a mut Card);

impl Card {
    /// Returns the access for an IPA inside the card; `None` if the card has none.
    pub fn ipae(&mut self) -> Option<IpaePort<'_>> {
        let port = IpaePort(self);
        port.settings().is_some().then_some(port)
    }

    /// The status word of a successful command: it announces the next proactive command, if there
    /// is one.
    pub fn status(&self) -> StatusWord {
        self.volatile.cat.status()
    }
}

impl IpaePort<'_> {
    /// The settings of the IPA.
    pub fn settings(&self) -> Option<&IpaeDescription> {
        self.0.description.iot.as_ref()?.ipae.as_ref()
    }

    /// True if the IPA of the card is active.
    pub fn is_active(&self) -> bool {
        self.0.volatile.ipae_may_run()
    }

    /// True if the terminal reports the location of the device, at the start or when it changes.
    pub fn reports_location(&self) -> bool {
        let terminal = &self.0.volatile.cat.terminal;
        let has_event = terminal.can(TerminalCapability::SET_UP_EVENT_LIST)
            && reports_event(terminal, Event::LOCATION_STATUS);
        has_event || terminal.can(TerminalCapability::LOCATION_AND_IMEI)
    }

    /// True if the terminal supports TCP channels and reports their events.
    pub fn supports_channels(&self) -> bool {
        supports_tcp_channels(&self.0.volatile.cat.terminal)
    }

    /// Takes the events since the last call, oldest first.
    pub fn take_events(&mut self) -> Vec<ToolkitEvent> {
        self.0.volatile.cat.ipae.take()
    }

    /// Queues a proactive command. Returns its command number, or `None` if the terminal does not
    /// support the command or if the queue is full.
    pub fn queue(&mut self, command: ProactiveCommand) -> Option<u8> {
        self.0.volatile.cat.queue_numbered(Owner::Ipae, command)
    }

    /// Removes the commands of the IPA that the terminal has not fetched.
    pub fn withdraw(&mut self) {
        self.0.volatile.cat.queue.withdraw(Owner::Ipae);
    }

    /// Requests a reset by the terminal: REFRESH "UICC Reset".
    pub fn request_reset(&mut self) {
        self.0.volatile.cat.announce_reset();
    }

    /// Processes a command of the IPA to an application of the card, and returns the response
    /// including the status word.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        self.0.transmit_from(true, command)
    }

    /// The data that the IPA keeps when the power is off; empty at first.
    pub fn memory(&self) -> Vec<u8> {
        match &self.0.kind {
            CardKind::Consumer(card) => card.state.iot().ipae.to_vec(),
            CardKind::M2m(_) => Vec::new(),
        }
    }

    /// Stores the data that the IPA keeps.
    ///
    /// # Errors
    /// The memory of the card fails. The former data are kept.
    pub fn store(&mut self, data: Vec<u8>) -> Result<(), Fault> {
        self.0.commit(|context| {
            if let super::kind::CardContext::Consumer(context) = context {
                context.state.to_mut().iot_mut().ipae = data.into();
            }
        })
    }
}

/// The settings of the IPA, if it is active.
// req: SGP.32-3.8.4-Mode
fn active<'a>(context: &Context<'a>) -> Option<&'a IpaeDescription> {
    context.description.iot().ipae.as_ref().filter(|_| context.volatile.ipae_may_run())
}

/// True if the IPA of the card is active.
pub(crate) fn is_active(context: &Context<'_>) -> bool {
    active(context).is_some()
}

/// True if this command to the ISD-R must be refused: the IPA of the card is active, and the
/// command comes from the terminal.
pub(crate) fn excludes_terminal(context: &Context<'_>) -> bool {
    is_active(context) && !context.is_from_ipae
}

/// Starts the IPA after TERMINAL PROFILE. The card requests STATUS commands, the events of channels
/// and of the location, and the present location. Returns false if the IPA of the card is not
/// active.
pub(crate) fn begin(context: &mut Context<'_>) -> bool {
    let Some(settings) = active(context) else { return false };
    let interval = std::time::Duration::from_secs(settings.status_seconds);
    let cat = &mut context.volatile.cat;
    cat.restart();
    cat.ipae.push(ToolkitEvent::Started);
    cat.queue_command(Owner::Ipae, ProactiveCommand::PollInterval(Duration::nearest(interval)));
    subscribe(cat);
    let location = ProactiveCommand::ProvideLocalInformation(LocalInformation::Location);
    cat.queue_command(Owner::Ipae, location);
    true
}

/// Requests the events that the terminal can report.
fn subscribe(cat: &mut Cat) {
    let wanted = [Event::LOCATION_STATUS, Event::DATA_AVAILABLE, Event::CHANNEL_STATUS];
    let events: Vec<_> = wanted.into_iter().filter(|event| reports_event(&cat.terminal, *event)).collect();
    if !events.is_empty() {
        cat.queue_command(Owner::Ipae, ProactiveCommand::SetUpEventList(events));
    }
}

/// Processes STATUS.
pub(crate) fn status_received(context: &mut Context<'_>) {
    if is_active(context) {
        let events = &mut context.volatile.cat.ipae;
        let seconds = events.status_seconds.unwrap_or(DEFAULT_STATUS_SECONDS);
        events.push(ToolkitEvent::Status(seconds));
    }
}

/// Processes an ENVELOPE. Returns false if it is not for the IPA.
pub(crate) fn envelope(context: &mut Context<'_>, data: &[u8]) -> bool {
    if !is_active(context) {
        return false;
    }
    let event = match Envelope::parse(data) {
        Ok(Some(Envelope::EventDownload(event))) => ToolkitEvent::Event(event),
        Ok(Some(Envelope::TimerExpiration { timer, .. })) => ToolkitEvent::TimerExpired(timer),
        Ok(Some(Envelope::SmsPpDownload { .. }) | None) | Err(_) => return false,
    };
    context.volatile.cat.ipae.push(event);
    true
}

/// Processes the response to a proactive command of the IPA.
pub(crate) fn response_received(
    context: &mut Context<'_>,
    proactive: Box<Proactive>,
    response: Option<TerminalResponse>,
) {
    let events = &mut context.volatile.cat.ipae;
    if let Some(response) = &response
        && let Response::PollInterval(interval) = response.response
        && is_done(response.result)
    {
        events.status_seconds = Some(interval.as_time().as_secs().max(1));
    }
    events.push(ToolkitEvent::Response(proactive, response));
}

impl Card {
    /// Processes a command of the terminal or of the IPA.
    pub(super) fn run_from(&mut self, is_from_ipae: bool, command: Command<'_>) -> Result<Vec<u8>, Fault> {
        self.commit(|context| {
            context.is_from_ipae = is_from_ipae;
            run(context, command)
        })
    }
}
