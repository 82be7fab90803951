//! ES2+.ConfirmOrder: SGP.22 section 5.3.2.
//!
//! Completes an order: sets the EID, the MatchingID and the confirmation code, and optionally
//! releases the profile.

use crypto::ConfirmationCodeHash;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, SmdpAddress},
    sgp22::es2plus::{ConfirmOrderReply, ConfirmOrderRequest},
    status::{Refusal, Status},
};
use rsp_server::Decision;

use super::{Caller, own_profile, register_event, retry::CallId};
use crate::{
    config::Config,
    context::Context,
    profile_state::ProfileEvent,
    records::{MATCHING_IDS, ORDERS_BY_EID, Octets, OrderSnapshot, Profile, eid_key},
};

/// The number of groups in a generated MatchingID. Each group has five symbols. 25 symbols out of
/// 32 are 125 bits, which cannot be guessed.
const GROUPS: usize = 5;
/// The letters and digits of section 4.1.1 that are not easily confused with each other.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Maximum length of an activation code (section 4.1). The operator's MatchingID must fit into it.
const MAX_ACTIVATION_CODE: usize = 255;

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &ConfirmOrderRequest,
) -> Decision<ConfirmOrderReply> {
    caller.check(context, &request.header).await?;
    let call = CallId::of("ConfirmOrder", &request.header, request)?;
    let mut profile = own_profile(context, request.iccid, &request.header).await?;
    if let Some(answer) = call.answer(context, &profile).await? {
        return Ok(answer);
    }
    let event = match request.release_flag {
        true => ProfileEvent::OrderConfirmedAndReleased,
        false => ProfileEvent::OrderConfirmed,
    };
    profile.after(event)?;
    let eid = eid_of(&profile, request.eid)?;
    let matching_id = matching_id(context, request, eid).await?;
    check_event(context.config, request, eid, &matching_id)?;

    let before = OrderSnapshot::of(&profile);
    profile.apply(event)?;
    if let Ok(order) = profile.order_mut() {
        order.eid = eid;
        order.matching_id = Some(matching_id.clone());
        order.confirmation_code_hash = request
            .confirmation_code
            .as_deref()
            .filter(|code| !code.is_empty())
            .map(|code| Octets(ConfirmationCodeHash::of(code).expose().to_vec()));
        order.expires = Some(context.now.plus(context.config.order_lifetime));
        order.smds_address.clone_from(&request.smds_address);
    }
    if let Some(eid) = eid {
        context.tx.put(&ORDERS_BY_EID, &eid_key(eid, profile.iccid), &profile.iccid)?;
    }
    if !matching_id.is_empty() {
        context.tx.put(&MATCHING_IDS, &matching_id, &profile.iccid)?;
    }
    let reply =
        ConfirmOrderReply { eid, matching_id, smdp_address: Some(context.config.server.address.to_string()) };
    call.save(context, &mut profile, &reply)?;
    if request.release_flag {
        register_event(context, &mut profile, before).await?;
    }
    profile.save(context.tx)?;
    Ok(reply)
}

/// True if the user must enter a confirmation code. An empty code requires no confirmation.
fn requires_confirmation_code(request: &ConfirmOrderRequest) -> bool {
    request.confirmation_code.as_ref().is_some_and(|code| !code.is_empty())
}

/// Checks that an event can be registered. An event is for one eUICC, and its EventID is the
/// MatchingID.
fn check_event(
    config: &Config,
    request: &ConfirmOrderRequest,
    eid: Option<Eid>,
    matching_id: &str,
) -> Result<(), Refusal> {
    let Some(address) = &request.smds_address else { return Ok(()) };
    if address.parse::<SmdpAddress>().is_err() {
        // req: SGP.22-5.3.2-SmdsAddress
        return Err(Status::SmdsInaccessible.because("this is not an address of an SM-DS").about(address));
    }
    if !config.sm_ds_addresses.permit(address) {
        return Err(Status::SmdsInaccessible
            .because("this SM-DP+ registers no events at this SM-DS")
            .about(address));
    }
    if eid.is_none() {
        return Err(Status::EidMissing.because("an event at an SM-DS is for an EID, and the order has none"));
    }
    if matching_id.is_empty() {
        return Err(Status::MatchingIdRefused
            .because("an event at an SM-DS needs a MatchingID, and the order has none"));
    }
    Ok(())
}

/// Returns the EID of the order. The EID in this request must not differ from the EID of the order.
fn eid_of(profile: &Profile, now: Option<Eid>) -> Decision<Option<Eid>> {
    match (profile.order().ok().and_then(|order| order.eid), now) {
        // req: SGP.22-5.3.2-EidAssociation
        (Some(ordered), Some(now)) if ordered != now => {
            Err(Status::EidAssociation.because("the profile is ordered for another eUICC").about(now).into())
        }
        (ordered, now) => Ok(now.or(ordered)),
    }
}

/// Returns the MatchingID of the order: the operator's choice if it is not in use, or a generated
/// one. It is empty if the order is to be found by its EID alone.
async fn matching_id(
    context: &mut Context<'_, '_>,
    request: &ConfirmOrderRequest,
    eid: Option<Eid>,
) -> Decision<String> {
    let chosen = match &request.matching_id {
        Some(empty) if empty.is_empty() => {
            if eid.is_none() {
                // req: SGP.22-5.3.2-EidMissing
                return Err(Status::EidMissing
                    .because("without MatchingID an order can only be found by its EID, and it has none")
                    .into());
            }
            return Ok(String::new());
        }
        Some(chosen) => chosen.clone(),
        None => generated(context),
    };
    // req: SGP.22-5.3.2-MatchingIdFormat
    if !chosen.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') {
        return Err(Status::FormatInvalid
            .because("a MatchingID may only contain A-Z, 0-9 and - (section 4.1.1)")
            .about(&chosen)
            .into());
    }
    let code = ActivationCode {
        smdp_address: context.config.server.address.clone(),
        matching_id: chosen.clone(),
        smdp_oid: None,
        confirmation_code_required: requires_confirmation_code(request),
        findings: Vec::new(),
    };
    // req: SGP.22-5.3.2-MatchingIdLength
    if code.to_string().len() > MAX_ACTIVATION_CODE {
        return Err(Status::FormatInvalid
            .because(format!("an activation code has at most {MAX_ACTIVATION_CODE} characters"))
            .about(&chosen)
            .into());
    }
    match context.tx.get(&MATCHING_IDS, &chosen).await? {
        // req: SGP.22-5.3.2-MatchingIdInUse
        Some(taken) if taken != request.iccid => {
            Err(Status::MatchingIdInUse.because("another order has this MatchingID").about(&chosen).into())
        }
        _ => Ok(chosen),
    }
}

/// Generates an unguessable MatchingID.
pub(crate) fn generated(context: &Context<'_, '_>) -> String {
    let random = context.world.random::<{ GROUPS * 5 }>();
    let symbols: Vec<char> = random
        .iter()
        .filter_map(|octet| ALPHABET.get(usize::from(octet % 32)))
        .map(|symbol| char::from(*symbol))
        .collect();
    symbols.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}
