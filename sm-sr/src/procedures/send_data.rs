//! ES3.SendData: SGP.02 sections 3.1.2, 3.1.3 and 5.4.6. Forwards a command script of the SM-DP to
//! the card.
//!
//! Two checks are made. An ISD-P must belong to the caller. At the ISD-R and the ECASD, an SM-DP can
//! only establish the keys of its own ISD-P.

use rsp::{
    ids::{Aid, Oid},
    ota::script::{Command, Script, ScriptResponse},
    sgp02::{
        Octets,
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Rejection;

use super::{
    CardScript, Function, Operation, Started,
    answer::{self, Outcome},
    personalisation,
};
use crate::{config::MAX_SCRIPT_OCTETS, es5::Effect, records::Card};

pub(super) fn start(
    card: &Card,
    caller: Option<&Oid>,
    sd_aid: &Aid,
    data: &Octets,
    more_to_do: bool,
) -> Result<Started, Rejection> {
    // req: SGP.02-5.4-SendData-Size
    if data.0.len() > MAX_SCRIPT_OCTETS {
        return Err(Status::FormatInvalid
            .because(format!("Data has {} octets, the maximum is {MAX_SCRIPT_OCTETS}", data.0.len()))
            .into());
    }
    // req: SGP.02-5.4-SendData-Script
    let script = Script::parse(data.as_slice())
        .map_err(|e| Status::FormatInvalid.because(format!("Data is not a valid command script: {e}")))?;
    if sd_aid.0 == Aid::ISD_R || sd_aid.0 == Aid::ECASD {
        for_key_establishment(card, caller, sd_aid, &script)?;
    } else {
        // req: SGP.02-5.4-SendData-IsdP
        let profile = card
            .profile_in(sd_aid)
            .ok_or_else(|| Status::IsdPUnknown.because("the card does not have this ISD-P").about(sd_aid))?;
        // req: SGP.02-5.4-SendData-Owner
        if caller.is_none() || profile.smdp_id.as_ref() != caller {
            return Err(Status::IsdPNotAllowed
                .because("this ISD-P belongs to another SM-DP")
                .about(sd_aid)
                .into());
        }
    }
    Ok(Started::AtCard(CardScript { target: sd_aid.clone(), script, more_to_do, effect: Effect::Data }))
}

/// Checks a script for the ISD-R or the ECASD. At the ISD-R it can establish the keys of an ISD-P
/// that is still empty; at the ECASD it can only read the data that it needs for this.
// req: SGP.02-5.4-SendData-KeyEstablishment
fn for_key_establishment(
    card: &Card,
    caller: Option<&Oid>,
    sd_aid: &Aid,
    script: &Script,
) -> Result<Option<Aid>, Refusal> {
    let not_allowed = |why: &str| Status::IsdPNotAllowed.because(why).about(sd_aid);
    if !card.eis.profile_info.iter().any(|profile| is_empty_and_of(profile, caller)) {
        return Err(not_allowed(
            "only an SM-DP whose ISD-P has no keys yet can send data to this security domain",
        ));
    }
    if sd_aid.0 == Aid::ECASD {
        let reads =
            |command: &Command| matches!(command, Command::Apdu(apdu) if apdu.starts_with(&[0x80, 0xCA]));
        return match script.commands.iter().all(reads) {
            true => Ok(None),
            false => Err(not_allowed("an SM-DP can only read data of the ECASD (GET DATA)")),
        };
    }
    let may = |aid: &Aid| card.profile_in(aid).is_some_and(|profile| is_empty_and_of(profile, caller));
    personalisation::read(script, card.personalised.as_ref(), &may).map_err(not_allowed)
}

fn is_empty_and_of(profile: &ProfileInfo, caller: Option<&Oid>) -> bool {
    caller.is_some() && profile.smdp_id.as_ref() == caller && profile.state == ProfileState::Created
}

/// Handles the card's response. The SM-DP evaluates the response.
pub(super) fn answered(card: &mut Card, operation: &Operation, response: &ScriptResponse) -> Outcome {
    if let Function::SendData { sd_aid, data, .. } = &operation.function
        && sd_aid.0 == Aid::ISD_R
    {
        // A command that is refused or not executed ends a chain of scripts.
        let done = response.apdus().filter(|apdu| apdu.status.is_success()).count();
        let script = Script::parse(data.as_slice()).ok().filter(|script| script.commands.len() == done);
        let named = script.and_then(|script| {
            for_key_establishment(card, operation.caller_id(), sd_aid, &script).ok().flatten()
        });
        card.personalised = named;
    }
    Outcome::done().with_data(answer::octets_of(response))
}
