//! ES3.UpdateConnectivityParameters: SGP.02 sections 3.14 and 4.1.3.4.
//!
//! Only the SM-DP has the keys of the ISD-P. The parameters are therefore a command script that the
//! SM-DP has protected (SCP03), and the SM-SR forwards it to the ISD-P.

use rsp::{
    ids::Iccid,
    ota::script::{Script, ScriptResponse},
    sgp02::{Octets, eis::ProfileState, status::Status},
};
use rsp_server::soap::Rejection;

use super::{
    CardScript, Operation, Started,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
};
use crate::{es5::Effect, records::Card};

pub(super) fn start(
    card: &Card,
    operation: &Operation,
    iccid: Iccid,
    parameters: &Octets,
) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Disabled, ProfileState::Enabled])?;
    let script = Script::parse(parameters.as_slice()).map_err(|e| {
        Status::ConnectivityParametersInvalid
            .because(format!("the parameters are not a valid command script: {e}"))
    })?;
    Ok(Started::AtCard(CardScript {
        target: profile.isd_p_aid.clone(),
        script,
        more_to_do: false,
        effect: Effect::Data,
    }))
}

pub(super) fn answered(response: &ScriptResponse) -> Outcome {
    let data = answer::octets_of(response);
    let answers = Answers::of(response);
    let wrong = answers.commands.iter().position(|(_, status)| !status.is_success());
    match wrong.map(|position| answers.nth(position, Command::Personalise)) {
        Some(Err(refusal)) => Outcome::refused(refusal).with_data(data),
        _ => Outcome::done().with_data(data),
    }
}
