//! Secured packets in short messages to and from the card: TS 31.111 section 7.1.1, TS 31.115, TS
//! 102 225; SGP.02 section 2.4.
//!
//! A packet is reassembled, verified and executed, all in response to the message that completes
//! it. The counter and all effects of the packet are stored in one batch, before any response
//! leaves the card.
//!
//! The response to a refused packet has a status for the reason. A packet without valid keys gets
//! an unsecured response (TS 102 225 section 5.2 leaves this open).

mod packet;

use rsp::der::{DecodeError, tlv};
use rsp::ids::Aid;
use rsp::ota::cat::{Command, Elements, Tag, TerminalCapability};
use rsp::ota::octets::Octets;
use rsp::ota::script::{self, BadFormat, Form, ResponseApdu, Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandPacket, PorBearer, PorRule, ResponseStatus, Tar};
use rsp::ota::sms::{Accepted, Address, PacketKind, Reference, SmsDeliver, SmsSubmit, UserData, segments};
use rsp::ota::trigger::SessionTrigger;

use super::handlers::PacketHandlers;
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::state::cat::queue::Owner;

use packet::{Answer, Opened, Refused};

/// Maximum length of a response packet in the delivery report in octets: TS 31.111 section 7.1.1.2
/// (value unconfirmed).
const MAX_REPORT: usize = 128;

/// ENVELOPE (SMS-PP download). Returns the contents of the delivery report.
pub(super) fn short_message(
    context: &mut M2mContext<'_>,
    tpdu: &[u8],
    handlers: PacketHandlers,
) -> Result<Vec<u8>, StatusWord> {
    let message = SmsDeliver::parse(tpdu).map_err(|_| StatusWord::INCORRECT_DATA)?;
    let originator = message.originator;
    let reassembler = &mut context.volatile.cat.toolkit.messages.reassembler;
    match reassembler.accept(&originator, message.user_data).map_err(|_| StatusWord::INCORRECT_DATA)? {
        Accepted::Waiting { .. } | Accepted::Duplicate => Ok(Vec::new()),
        Accepted::Whole(PacketKind::Command, octets) => command(context, &originator, &octets, handlers),
        // There is no application for other messages.
        Accepted::Whole(PacketKind::Response, _) | Accepted::Unsecured => {
            Err(StatusWord::FUNCTION_NOT_SUPPORTED)
        }
    }
}

/// Processes a complete command packet.
fn command(
    context: &mut M2mContext<'_>,
    originator: &Address,
    octets: &[u8],
    handlers: PacketHandlers,
) -> Result<Vec<u8>, StatusWord> {
    let packet = CommandPacket::parse(octets).map_err(|_| StatusWord::INCORRECT_DATA)?;
    let answer = match packet::open(context, &packet) {
        Ok(opened) => {
            packet::take_counter(context, &opened);
            let data = execute(context, &opened, handlers);
            Answer { status: ResponseStatus::Ok, counter: opened.counter, keys: Some(opened.keys), data }
        }
        Err(Refused { status, counter, keys }) => {
            tracing::debug!(%status, "a command packet was refused");
            Answer { status, counter, keys, data: Vec::new() }
        }
    };
    let is_wanted = match packet.header.spi.por {
        PorRule::Never => false,
        PorRule::Always => true,
        PorRule::OnError => answer.status != ResponseStatus::Ok,
    };
    Ok(if is_wanted { respond(context, originator, &packet, answer) } else { Vec::new() })
}

fn execute(context: &mut M2mContext<'_>, opened: &Opened, handlers: PacketHandlers) -> Vec<u8> {
    // Only the ISD-R can open sessions. For an ISD-P, a session trigger is an invalid script.
    if opened.target.0 == Aid::ISD_R && SessionTrigger::is_one(&opened.data) {
        return match (handlers.trigger)(context, &opened.data) {
            Ok(()) => Vec::new(),
            Err(error) => bad_format(&error),
        };
    }
    match Script::parse(&opened.data) {
        Ok(script) => (handlers.run_script)(context, &opened.target, opened.key_version, &script).to_bytes(),
        Err(error) => bad_format(&error),
    }
}

fn bad_format(error: &DecodeError) -> Vec<u8> {
    let nothing = ScriptResponse::of(Form::Definite, Vec::new());
    ScriptResponse { bad_format: Some(BadFormat::of(error)), ..nothing }.to_bytes()
}

/// Sends the response packet in the delivery report, or in short messages that the card submits. A
/// response that is too long for either is shortened to the number of executed commands and the
/// last status.
fn respond(
    context: &mut M2mContext<'_>,
    originator: &Address,
    command: &CommandPacket<'_>,
    mut answer: Answer,
) -> Vec<u8> {
    if command.header.spi.por_bearer == PorBearer::Submit {
        if !submit(context, originator, command, &answer) {
            answer.data = shortened(&answer.data);
            submit(context, originator, command, &answer);
        }
        return Vec::new();
    }
    let report = in_report(command, &answer);
    if report.len() <= MAX_REPORT {
        return report;
    }
    if submit(context, originator, command, &answer) {
        let status = ResponseStatus::ActualResponseBySubmit;
        return in_report(command, &Answer { status, data: Vec::new(), ..answer });
    }
    answer.data = shortened(&answer.data);
    in_report(command, &answer)
}

fn in_report(command: &CommandPacket<'_>, answer: &Answer) -> Vec<u8> {
    [PacketKind::Response.header().as_slice(), &packet::response(command, answer)].concat()
}

/// Shortens a response script to the number of executed commands and the last status (TS 102 226
/// section 5.2.2), with 62F1 instead of 9000 because data are missing.
fn shortened(response: &[u8]) -> Vec<u8> {
    let Ok(mut response) = ScriptResponse::parse(response) else { return Vec::new() };
    let last = response.last_apdu().map(|last| match last.status {
        StatusWord::OK => StatusWord::MORE_DATA_AVAILABLE,
        other => other,
    });
    let last = last.map(|status| script::Answer::Apdu(ResponseApdu::status(status)));
    response.answers = last.into_iter().collect();
    response.to_bytes()
}

/// Sends a response packet. Returns `false` if that is not possible.
fn submit(context: &mut M2mContext<'_>, to: &Address, command: &CommandPacket<'_>, answer: &Answer) -> bool {
    let packet = packet::response(command, answer);
    let is_sent = send(context, Owner::ResponsePacket, to, &packet, PacketKind::Response);
    if !is_sent {
        tracing::debug!(
            "the card cannot send a response packet: it is too long, or the terminal did not announce SEND SHORT MESSAGE"
        );
    }
    is_sent
}

/// Queues all short messages of a packet. Sends nothing and returns `false` if not all of them
/// fit into the queue or if the terminal does not support them.
fn send(context: &mut M2mContext<'_>, owner: Owner, to: &Address, packet: &[u8], kind: PacketKind) -> bool {
    let service_centre = service_centre(context);
    let messages = &mut context.volatile.cat.toolkit.messages;
    messages.last_reference = messages.last_reference.wrapping_add(1);
    let Ok(parts) = segments(packet, kind, Reference::Short(messages.last_reference)) else { return false };
    let message = |part: UserData| Command::SendShortMessage {
        service_centre: service_centre.clone(),
        tpdu: SmsSubmit::data(to.clone(), part).to_bytes(),
    };
    context.volatile.cat.queue.has_room(parts.len())
        && parts.into_iter().all(|part| context.volatile.cat.queue_command(owner, message(part)))
}

/// The service centre in the connectivity parameters of the enabled profile. If there is none, the
/// terminal uses EF.SMSP.
fn service_centre(context: &M2mContext<'_>) -> Option<Address> {
    const SMS: rsp::der::Tag = rsp::der::Tag(0xA0);
    let parameters = context.connectivity()?;
    let (_, sms) = tlv::split(tlv::find(&parameters, SMS).ok()??)?;
    let elements = Elements::parse(Octets::new(sms)).ok()?;
    Address::from_value(elements.find(Tag::ADDRESS)?.rest()).ok()
}

/// True if notifications can be sent by short message.
pub(super) fn can_notify(context: &M2mContext<'_>) -> bool {
    context.volatile.cat.terminal.can(TerminalCapability::SEND_SHORT_MESSAGE)
        && notification_address(context).is_some()
}

/// The SMS address of the SM-SR.
fn notification_address(context: &M2mContext<'_>) -> Option<Address> {
    address(context.state.addressing.sms.as_ref()?)
}

/// True if the octets are a usable address: type of number and digits.
pub(super) fn is_address(octets: &[u8]) -> bool {
    address(octets).is_some()
}

fn address(octets: &[u8]) -> Option<Address> {
    Address::from_value(octets).ok().filter(|address| !address.digits().is_empty())
}

/// Sends a notification to the SM-SR in a command packet of the ISD-R. Returns `false` if that is
/// not possible.
pub(super) fn send_notification(context: &mut M2mContext<'_>, notification: &[u8]) -> bool {
    let Some(address) = notification_address(context) else { return false };
    let Some(packet) = packet::notification(&context.state, notification) else { return false };
    send(context, Owner::Notification, &address, &packet, PacketKind::Command)
}

/// The application of this card with this TAR.
fn target(context: &M2mContext<'_>, tar: Tar) -> Option<Aid> {
    let of_card = [Aid::ISD_R, Aid::ECASD].map(|aid| Aid(aid.to_vec()));
    let all = of_card.iter().chain(context.state.isd_ps.iter().map(|isd_p| &isd_p.aid));
    all.into_iter().find(|aid| Tar::of_aid(&aid.0) == Some(tar)).cloned()
}
