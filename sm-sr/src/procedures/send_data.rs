//! ES3.SendData: SGP.02 sections 3.1.2, 3.1.3 and 5.4.6. What the SM-DP has for the card, carried but not understood.
//!
//! What can be seen is seen to: the ISD-P must be the caller's, and at the ISD-R and the ECASD an SM-DP has nothing to
//! do but establish the keys of its own ISD-P.

use rsp::{
    der::DecodeError,
    ids::Aid,
    ota::script::{Command, Script, ScriptResponse},
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::No;

use super::{
    Function, Operation, Started, ToCard,
    answer::{self, Outcome},
};
use crate::{config::LONGEST_SCRIPT, es5::Effect, records::Card};

pub(super) fn start(card: &Card, operation: &Operation) -> Result<Started, No> {
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
    let own = |profile: &&ProfileInfo| caller.is_some() && profile.smdp_id.as_ref() == caller;
    let own: Vec<&ProfileInfo> = card.eis.profile_info.iter().filter(own).collect();
    if sd_aid.0 == Aid::ISD_R || sd_aid.0 == Aid::ECASD {
        for_key_establishment(&own, sd_aid, &script)?;
    } else if card.profile_in(sd_aid).is_none() {
        return Err(Status::IsdPUnknown.because("the card has no such ISD-P").about(sd_aid).into());
    } else if !own.iter().any(|profile| profile.isd_p_aid == *sd_aid) {
        return Err(Status::IsdPNotAllowed.because("another SM-DP has made this ISD-P").about(sd_aid).into());
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

/// The commands of SGP.02 section 3.1.2 at the ISD-R, and reading at the ECASD; for a caller that has an empty ISD-P.
fn for_key_establishment(own: &[&ProfileInfo], sd_aid: &Aid, script: &Script) -> Result<(), Refusal> {
    let no = |why: &str| Err(Status::IsdPNotAllowed.because(why).about(sd_aid));
    if !own.iter().any(|profile| profile.state == ProfileState::Created) {
        return no("only an SM-DP whose ISD-P has no keys yet sends anything to this security domain");
    }
    for command in &script.commands {
        let allowed = match command {
            Command::Apdu(apdu) if sd_aid.0 == Aid::ECASD => matches!(apdu.as_slice(), [0x80, 0xCA, ..]),
            Command::Apdu(apdu) => match apdu.as_slice() {
                // INSTALL [for personalization], of one of its own.
                [0x80, 0xE6, 0x20, 0x00, _, data @ ..] => names_own(own, data),
                // STORE DATA with DGI 3A01 (its certificate) or 3A02 (its one-time key).
                [0x80, 0xE2, _, _, _, 0x3A, 0x01 | 0x02, ..] => true,
                _ => false,
            },
            _ => false,
        };
        if !allowed {
            return no("this command is none by which an SM-DP establishes the keys of its ISD-P");
        }
    }
    Ok(())
}

/// The data of INSTALL [for personalization]: three fields, of which the last holds the AID.
fn names_own(own: &[&ProfileInfo], data: &[u8]) -> bool {
    let [0, 0, length, rest @ ..] = data else { return false };
    let Some(aid) = rest.get(..usize::from(*length)) else { return false };
    own.iter().any(|profile| profile.isd_p_aid.0 == aid)
}

/// Whatever the card says is for the SM-DP to judge.
pub(super) fn answered(response: &ScriptResponse) -> Outcome {
    Outcome::done().with_data(answer::octets_of(response))
}
