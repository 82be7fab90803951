//! ES3.SendData: SGP.02 sections 3.1.2, 3.1.3 and 5.4.6. What the SM-DP has for the card, carried but not understood.
//!
//! What can be seen is seen to: the ISD-P must be the caller's, and at the ISD-R and the ECASD an SM-DP has nothing to
//! do but establish the keys of its own ISD-P.

use rsp::{
    der::DecodeError,
    ids::{Aid, Oid},
    ota::script::{Command, Script, ScriptResponse},
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Rejection;

use super::{
    Function, Operation, Started, ToCard,
    answer::{self, Outcome},
    personalisation,
};
use crate::{config::LONGEST_SCRIPT, es5::Effect, records::Card};

pub(super) fn start(card: &Card, operation: &Operation) -> Result<Started, Rejection> {
    let Function::SendData { sd_aid, data, more_to_do } = &operation.function else {
        return Err(Status::FunctionUnsupported.because("this is another function").into());
    };
    if data.0.len() > LONGEST_SCRIPT {
        return Err(Status::FormatInvalid
            .because(format!("Data has {} octets, and {LONGEST_SCRIPT} are the most", data.0.len()))
            .into());
    }
    let script = script_of(data.as_slice())
        .map_err(|e| Status::FormatInvalid.because(format!("Data is no command script: {e}")))?;
    let caller = operation.asker_id();
    if sd_aid.0 == Aid::ISD_R || sd_aid.0 == Aid::ECASD {
        for_key_establishment(card, caller, sd_aid, &script)?;
    } else {
        let profile = card
            .profile_in(sd_aid)
            .ok_or_else(|| Status::IsdPUnknown.because("the card has no such ISD-P").about(sd_aid))?;
        if caller.is_none() || profile.smdp_id.as_ref() != caller {
            return Err(Status::IsdPNotAllowed
                .because("another SM-DP has made this ISD-P")
                .about(sd_aid)
                .into());
        }
    }
    Ok(Started::AtCard(ToCard {
        target: sd_aid.clone(),
        script,
        more_to_do: *more_to_do,
        effect: Effect::Data,
    }))
}

/// Every form in which a script comes: definite, indefinite, and the commands by themselves.
pub(super) fn script_of(octets: &[u8]) -> Result<Script, DecodeError> {
    Script::parse(octets)
}

/// At the ISD-R the keys of an ISD-P that is still empty are established; at the ECASD there is only reading for that.
fn for_key_establishment(
    card: &Card,
    caller: Option<&Oid>,
    sd_aid: &Aid,
    script: &Script,
) -> Result<Option<Aid>, Refusal> {
    let no = |why: &str| Status::IsdPNotAllowed.because(why).about(sd_aid);
    if !card.eis.profile_info.iter().any(|profile| is_empty_and_of(profile, caller)) {
        return Err(no("only an SM-DP whose ISD-P has no keys yet sends anything to this security domain"));
    }
    if sd_aid.0 == Aid::ECASD {
        let reads =
            |command: &Command| matches!(command, Command::Apdu(apdu) if apdu.starts_with(&[0x80, 0xCA]));
        return match script.commands.iter().all(reads) {
            true => Ok(None),
            false => Err(no("an SM-DP reads data of the ECASD (GET DATA) and does nothing else there")),
        };
    }
    let may = |aid: &Aid| card.profile_in(aid).is_some_and(|profile| is_empty_and_of(profile, caller));
    personalisation::read(script, card.personalised.as_ref(), &may).map_err(no)
}

fn is_empty_and_of(profile: &ProfileInfo, caller: Option<&Oid>) -> bool {
    caller.is_some() && profile.smdp_id.as_ref() == caller && profile.state == ProfileState::Created
}

/// Whatever the card says is for the SM-DP to judge.
pub(super) fn answered(card: &mut Card, operation: &Operation, response: &ScriptResponse) -> Outcome {
    if let Function::SendData { sd_aid, data, .. } = &operation.function
        && sd_aid.0 == Aid::ISD_R
    {
        // With the first command that is refused, or that the card does not come to, a chain is over.
        let done = response.apdus().filter(|apdu| apdu.status.is_success()).count();
        let script = script_of(data.as_slice()).ok().filter(|script| script.commands.len() == done);
        let named = script.and_then(|script| {
            for_key_establishment(card, operation.asker_id(), sd_aid, &script).ok().flatten()
        });
        card.personalised = named;
    }
    Outcome::done().with_data(answer::octets_of(response))
}
