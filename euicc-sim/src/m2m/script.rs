//! Scripts in the expanded format: TS 102 226 section 5.2.1.2, and SGP.02 annex K for their
//! chaining.
//!
//! Commands are executed in order until one is refused. State created by a script (a key
//! establishment, a secure channel) is discarded at its end, unless the script is part of a chain.
//! In a chain, it is discarded at the end of the chain, or after the first refused command.

use rsp::ids::Aid;
use rsp::ota::script::{self, Answer, Chaining, ChainingFailure, ResponseApdu, Script, ScriptResponse};

use super::{isd_p, isd_r};
use crate::StatusWord;
use crate::apdu::Command;
use crate::m2m::context::M2mContext;
use crate::state::m2m::StoredEstablishment;
use crate::state::m2m::session::{Chain, IsdRState, Session};

/// Maximum number of commands in a script. An HTTPS session can contain any number of scripts.
const MAX_COMMANDS: usize = 256;

/// Runs a script for an application of the card ([`is_target`](crate::state::Persistent::is_target)).
/// `key_version` is the version of the ISD-R keys that secured it. All changes are made in
/// `context` and committed together with the command that completed the script.
pub(crate) fn run(
    context: &mut M2mContext<'_>,
    target: &Aid,
    key_version: u8,
    script: &Script,
) -> ScriptResponse {
    let Some(mut session) = session_for(context, target, script.chaining) else {
        forget_kept(context, target);
        let mut response = ScriptResponse::of(script.form, Vec::new());
        response.chaining = Some(ChainingFailure::NoPreviousScript);
        return response;
    };
    let mut answers = Vec::new();
    let mut is_refused = false;
    for (number, command) in script.commands.iter().enumerate() {
        let (answer, is_done) = match number {
            0..MAX_COMMANDS => run_command(context, &mut session, target, key_version, command),
            _ => (refused(StatusWord::NOT_ENOUGH_MEMORY), false),
        };
        answers.push(answer);
        if !is_done {
            is_refused = true;
            break;
        }
    }
    let continues =
        matches!(script.chaining, Some(Chaining::First | Chaining::FirstKept | Chaining::Following));
    if continues && !is_refused {
        keep(context, target, session);
    } else {
        forget_kept(context, target);
    }
    ScriptResponse::of(script.form, answers)
}

/// Returns the session with which the script starts; `None` if the script continues a chain that
/// does not exist.
fn session_for(context: &mut M2mContext<'_>, target: &Aid, chaining: Option<Chaining>) -> Option<Session> {
    let open = context.volatile.m2m.0.remove(target);
    match chaining {
        None => Some(Session::begin(None)),
        Some(Chaining::First) => Some(Session::begin(Some(Chain::UntilReset))),
        Some(Chaining::FirstKept) => Some(Session::begin(Some(Chain::AcrossReset))),
        Some(Chaining::Following | Chaining::Last) => open.or_else(|| after_reset(context, target)),
    }
}

/// Keeps the session for the next script of the chain. A chain that survives a reset also stores
/// its state. Only a key establishment survives a reset; the keys of a secure channel do not.
fn keep(context: &mut M2mContext<'_>, target: &Aid, session: Session) {
    let kept = match (&session.chain, &session.isd_r.establishing) {
        (Some(Chain::AcrossReset), Some(establishing)) if target.0 == Aid::ISD_R => {
            Some(StoredEstablishment {
                personalises: session.isd_r.personalises.clone(),
                next_block: session.isd_r.next_block(),
                establishing: establishing.clone(),
            })
        }
        _ => None,
    };
    match kept {
        Some(kept) => context.state.to_mut().kept = Some(kept),
        None => forget_kept(context, target),
    }
    context.volatile.m2m.0.insert(target.clone(), session);
}

fn after_reset(context: &M2mContext<'_>, target: &Aid) -> Option<Session> {
    let kept = context.state.kept.as_ref().filter(|_| target.0 == Aid::ISD_R)?;
    let mut session = Session::begin(Some(Chain::AcrossReset));
    session.isd_r = IsdRState::resumed(kept);
    Some(session)
}

fn forget_kept(context: &mut M2mContext<'_>, target: &Aid) {
    if target.0 == Aid::ISD_R && context.state.kept.is_some() {
        context.state.to_mut().kept = None;
    }
}

/// Runs one command. Returns its response, and true if the next command may follow.
fn run_command(
    context: &mut M2mContext<'_>,
    session: &mut Session,
    target: &Aid,
    key_version: u8,
    command: &script::Command,
) -> (Answer, bool) {
    match command {
        script::Command::Apdu(octets) => {
            let (data, status) = run_apdu(context, session, target, key_version, octets);
            (Answer::Apdu(ResponseApdu { data, status }), status.is_success())
        }
        script::Command::SecureChannel(tlv) => {
            let (answer, is_done) = isd_p::secure_channel(context, &mut session.isd_p, target, tlv);
            (Answer::SecureChannel(answer), is_done)
        }
        // Immediate actions are not supported, because nothing is executed before the response.
        // Error actions are not needed, because a failure ends the script.
        // req: TS.102.226-5.2.1-Actions
        script::Command::ImmediateAction(_) | script::Command::ErrorAction(_) => {
            (refused(StatusWord::FUNCTION_NOT_SUPPORTED), false)
        }
    }
}

fn refused(status: StatusWord) -> Answer {
    Answer::Apdu(ResponseApdu::status(status))
}

/// Runs one C-APDU and returns response data and status word.
fn run_apdu(
    context: &mut M2mContext<'_>,
    session: &mut Session,
    target: &Aid,
    key_version: u8,
    octets: &[u8],
) -> (Vec<u8>, StatusWord) {
    let answer = match target {
        _ if target.0 == Aid::ISD_R => {
            Command::parse(octets).and_then(|command| isd_r::answer(context, session, key_version, &command))
        }
        _ if target.0 == Aid::ECASD => Command::parse(octets).and_then(|command| match command.ins {
            isd_r::GET_DATA => {
                Ok(isd_r::Answer::from(isd_r::get_data(context, &command)?).truncated(&command))
            }
            _ => Err(StatusWord::INSTRUCTION_NOT_SUPPORTED),
        }),
        isd_p => isd_p::command(context, &mut session.isd_p, isd_p, octets),
    };
    answer.unwrap_or_else(|status| (Vec::new(), status))
}
