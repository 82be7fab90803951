//! Handover of a card to another SM-SR, at the SM-SR that manages the card: SGP.02 section 3.8,
//! ES4.SMSRChange and ES7.
//!
//! While the function is in progress, no other function is executed on the card. The other SM-SR
//! makes two calls that the card must execute and finally reports that it manages the card. Then
//! this SM-SR deletes its records of the card.

use rsp::{
    ids::{Eid, Oid},
    ota::script::{Chaining, Script},
    sgp02::{
        BaseResponse, Octets, Response as _,
        eis::OperationType,
        es5::{self, KeyAgreement, Receipt},
        es7,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::{self, CallFailure, Rejection, Ticket};
use world::Fault;

use super::{
    AtCard, CardScript, Operation, Started, Step,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
    queue::{end, in_progress},
    single_command,
};
use crate::{
    audit,
    context::Context,
    es5::{self as es5_engine, Effect, JobOutcome},
    outgoing::{self, Continuation},
    records::{AUDIT, CARDS, Card, OPERATIONS, PeerRole, SCP80_VERSIONS, TAKEOVERS, numbered, of_card},
    state::handover::{Awaits, HandingOver},
    visibility::{self, Disclosure},
};

pub(super) async fn start(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    target: &Oid,
) -> Result<Started, Rejection> {
    let has_profile = |caller: &Oid| card.eis.profile_info.iter().any(|profile| profile.mno_id == *caller);
    if !operation.caller_id().is_some_and(has_profile) {
        // req: SGP.02-5.6-SmsrChange-Caller
        return Err(Status::EidNotAllowed
            .because("only an operator with a profile on the card can hand it over")
            .about(operation.eid)
            .into());
    }
    let target = target_peer(context, target).await?;
    let trail = audit::trail(context.tx, operation.eid).await?;
    let request = es7::HandoverEuiccRequest {
        base: outgoing::base_request(context, operation.expires),
        eis: visibility::visible_eis(&card.eis, trail, &target.id, Disclosure::HandoverToSmSr, &[]),
    };
    let continuation = Continuation::Handover { eid: operation.eid, number: operation.number };
    outgoing::send_call::<es7::HandoverEuicc>(context, &target, request, &continuation, operation.expires)
        .await?;
    let handing_over = HandingOver { target: target.id, jobs: 0, awaits: Awaits::Target };
    Ok(Started::Step(Step::HandingOver(Box::new(handing_over))))
}

/// Returns the SM-SR that gets the card. It must be registered, reachable, and not this one.
async fn target_peer(context: &mut Context<'_, '_>, target: &Oid) -> Result<soap::Peer, Rejection> {
    // req: SGP.02-5.6-SmsrChange-Self
    if *target == context.config.id {
        return Err(Status::SmsrRefused.because("this SM-SR already manages the card").about(target).into());
    }
    let peer = context.peer(target).await?;
    // req: SGP.02-5.6-SmsrChange-Target
    let peer = peer.filter(|peer| matches!(peer.role, PeerRole::SmSr));
    match peer.and_then(|peer| peer.endpoint()) {
        Some(peer) => Ok(peer),
        None => Err(Status::SmsrUnknown
            .because("the target SM-SR is not registered at this SM-SR")
            .about(target)
            .into()),
    }
}

/// Returns the handover of the card to the caller, with its function and card.
async fn handed_to(
    context: &mut Context<'_, '_>,
    eid: Eid,
    caller: &Oid,
) -> Result<(Card, Operation, Box<HandingOver>), Rejection> {
    let card = check::managed(context, eid).await?;
    let operation = in_progress(context, eid).await?;
    if let Some(operation) = operation
        && let Step::HandingOver(handing_over) = &operation.step
        && handing_over.target == *caller
    {
        if handing_over.at_card().is_some() {
            return Err(Status::FunctionUnavailable
                .because("the previous call for this card is still in progress")
                .about(eid)
                .into());
        }
        let handing_over = handing_over.clone();
        return Ok((card, operation, handing_over));
    }
    // req: SGP.02-5.6-AuthenticateSmsr-Caller
    Err(Status::EidNotAllowed.because("the card is not being handed over to the caller").about(eid).into())
}

/// ES7.AuthenticateSMSR: sends the other SM-SR's certificate to the card. The call is answered
/// after the card's response.
pub(crate) async fn authenticate(
    context: &mut Context<'_, '_>,
    caller: &Oid,
    ticket: Ticket,
    eid: Eid,
    certificate: &[u8],
) -> Result<(), Rejection> {
    let (mut card, mut operation, mut handing_over) = handed_to(context, eid, caller).await?;
    if !es5::is_certificate(certificate) {
        return Err(Status::FormatInvalid.because("SmsrCertificate is not a TLV 7F21").into());
    }
    if card.handed_to.is_some() {
        // The earlier handover was to the same SM-SR. A new request for a challenge shows that it
        // has no keys, so the card still belongs to this SM-SR.
        card.handed_to = None;
        card.store(context.tx)?;
    }
    let script = single_command(es5::store_certificate(certificate)).chained(Chaining::First);
    let at_card = send(context, &operation, &mut handing_over, &ticket, script).await?;
    handing_over.awaits = Awaits::Challenge { ticket, at_card };
    operation.step = Step::HandingOver(handing_over);
    Ok(operation.store(context)?)
}

/// ES7.CreateAdditionalKeySet: lets the card create a key set with the other SM-SR.
pub(crate) async fn create_key_set(
    context: &mut Context<'_, '_>,
    caller: &Oid,
    ticket: Ticket,
    request: &es7::CreateAdditionalKeySetRequest,
) -> Result<(), Rejection> {
    let (card, mut operation, mut handing_over) = handed_to(context, request.eid, caller).await?;
    let script = single_command(establishment(&card, request)?).chained(Chaining::Last);
    let at_card = send(context, &operation, &mut handing_over, &ticket, script).await?;
    handing_over.awaits = Awaits::Receipt { ticket, at_card };
    operation.step = Step::HandingOver(handing_over);
    Ok(operation.store(context)?)
}

async fn send(
    context: &mut Context<'_, '_>,
    operation: &Operation,
    handing_over: &mut HandingOver,
    ticket: &Ticket,
    script: Script,
) -> Result<AtCard, Fault> {
    let part = handing_over.jobs;
    handing_over.jobs = part.saturating_add(1);
    let until = ticket.expires.map_or(operation.expires, |until| until.min(operation.expires));
    let job = operation.send_until(context, until, part, CardScript::isd_r(script, Effect::KeySet)).await?;
    Ok(AtCard { job, part })
}

/// Handles the card's response, or its absence, and answers the other SM-SR's call.
pub(super) async fn answered(
    context: &mut Context<'_, '_>,
    mut card: Card,
    mut operation: Operation,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let Step::HandingOver(handing_over) = &mut operation.step else { return Ok(()) };
    let target = handing_over.target.clone();
    let awaited = std::mem::replace(&mut handing_over.awaits, Awaits::Target);
    let response = match outcome {
        JobOutcome::Answered(response) | JobOutcome::FoundDone(response) => Ok(response),
        JobOutcome::Expired => Err(Box::new(BaseResponse::expired(None, "the card did not answer in time"))),
        other => Err(Box::new(BaseResponse::failed(&answer::undelivered(other)))),
    };
    let data = response.and_then(|response| {
        let answers = Answers::of(&response);
        let data = answers.only(Command::EstablishKeySet).map(<[u8]>::to_vec);
        data.map_err(|refusal| Box::new(BaseResponse::failed(&refusal)))
    });
    let unreadable = |why: String| Box::new(BaseResponse::failed(&answer::unreadable(why)));
    match awaited {
        Awaits::Target => return Ok(()),
        Awaits::Challenge { ticket, .. } => {
            let challenge =
                data.and_then(|data| es5::random_challenge(&data).map_err(|e| unreadable(e.to_string())));
            let response = match challenge {
                Ok(challenge) => es7::AuthenticateSmsrResponse {
                    base: BaseResponse::default(),
                    random_challenge: Some(Octets(challenge)),
                },
                Err(base) => es7::AuthenticateSmsrResponse::only(*base),
            };
            outgoing::reply::<es7::AuthenticateSmsr>(context, &ticket, response).await?;
        }
        Awaits::Receipt { ticket, .. } => {
            let receipt = data.and_then(|data| Receipt::parse(&data).map_err(|e| unreadable(e.to_string())));
            let response = match receipt {
                Ok(receipt) => {
                    // From here on, the other SM-SR may manage the card, even if it does not report
                    // this.
                    card.handed_to = Some(target);
                    es7::CreateAdditionalKeySetResponse {
                        base: BaseResponse::default(),
                        derivation_random: receipt.derivation_random.map(Octets),
                        receipt: Some(Octets(receipt.receipt)),
                    }
                }
                Err(base) => es7::CreateAdditionalKeySetResponse::only(*base),
            };
            let status = response.base.function_execution_status.clone();
            let done = audit::CompletedOperation {
                kind: OperationType::ESTABLISH_ISDR_KEYSET,
                requester: operation.caller_id(),
                status: &status,
                isd_p: None,
                iccid: None,
            };
            audit::record_operation(context, &mut card, &done)?;
            outgoing::reply::<es7::CreateAdditionalKeySet>(context, &ticket, response).await?;
        }
    }
    card.store(context.tx)?;
    operation.store(context)
}

/// Handles the other SM-SR's response to HandoverEUICC, or its absence.
pub(crate) async fn resumed(
    context: &mut Context<'_, '_>,
    eid: Eid,
    number: u64,
    answer: Result<es7::HandoverEuiccResponse, CallFailure>,
) -> Result<(), Fault> {
    let Some(operation) = context.tx.get(&OPERATIONS, &numbered(eid, number)).await? else { return Ok(()) };
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let Step::HandingOver(handing_over) = &operation.step else { return Ok(()) };
    let outcome = match answer {
        Ok(response) if response.base.is_done() && card.handed_to.as_ref() == Some(&handing_over.target) => {
            let status = response.base.function_execution_status;
            return delete_card(context, &card, Some((operation, Outcome::with_status(status)))).await;
        }
        // Without a receipt the other SM-SR has no keys of the card.
        Ok(response) if response.base.is_done() => Outcome::refused(
            Status::SmsrExecutionError
                .because("the other SM-SR reports that it manages the card, but the card has created no key set with it")
                .about(&handing_over.target),
        ),
        Ok(response) => {
            // The other SM-SR reports that it does not manage the card.
            card.handed_to = None;
            Outcome::with_status(response.base.function_execution_status)
        }
        Err(failure) => Outcome::refused(
            Status::SmsrInaccessible
                .because(format!("the other SM-SR did not answer: {failure}"))
                .about(&handing_over.target),
        ),
    };
    abandon(context, handing_over).await?;
    end(context, card, operation, outcome).await
}

/// ES7.HandleSMSRChangeNotification: the other SM-SR manages the card. Its response to
/// HandoverEUICC reports the same, unless that response was lost or too late. Returns true if the
/// records of the card were deleted.
pub(crate) async fn changed(context: &mut Context<'_, '_>, caller: &Oid, eid: Eid) -> Result<bool, Fault> {
    let Some(card) = context.card(eid).await? else { return Ok(false) };
    if card.handed_to.as_ref() != Some(caller) {
        tracing::warn!(%eid, %caller, "an SM-SR reports that it manages a card that was not handed over to it");
        return Ok(false);
    }
    let handed_over = in_progress(context, eid).await?.filter(|operation| {
        matches!(&operation.step, Step::HandingOver(handing_over) if handing_over.target == *caller)
    });
    delete_card(context, &card, handed_over.map(|operation| (operation, Outcome::done()))).await?;
    Ok(true)
}

/// Deletes all records of a card that the other SM-SR manages now.
async fn delete_card(
    context: &mut Context<'_, '_>,
    card: &Card,
    ended: Option<(Operation, Outcome)>,
) -> Result<(), Fault> {
    let eid = card.eid();
    context.tx.delete(&CARDS, &eid.to_string());
    // Removes the commands of an earlier takeover that the card has not executed.
    context.tx.delete(&TAKEOVERS, &eid.to_string());
    es5_engine::forget(context.tx, eid).await?;
    for (key, _) in context.tx.list(&AUDIT, &of_card(eid)).await? {
        context.tx.delete(&AUDIT, &key);
    }
    if let Some((operation, outcome)) = ended {
        if let Step::HandingOver(handing_over) = &operation.step {
            abandon(context, handing_over).await?;
        }
        operation.delete_record(context);
        answer::answer(context, None, &operation, outcome).await?;
    }
    Ok(())
}

/// Withdraws the handover's job from the card and answers the call that waits for it.
pub(super) async fn abandon(context: &mut Context<'_, '_>, handing_over: &HandingOver) -> Result<(), Fault> {
    let ended = || BaseResponse::failed(&Status::FunctionUnavailable.because("the handover has ended"));
    match &handing_over.awaits {
        Awaits::Target => Ok(()),
        Awaits::Challenge { ticket, at_card } => {
            es5_engine::cancel(context.tx, context.now, &at_card.job).await?;
            let response = es7::AuthenticateSmsrResponse::only(ended());
            outgoing::reply::<es7::AuthenticateSmsr>(context, ticket, response).await
        }
        Awaits::Receipt { ticket, at_card } => {
            es5_engine::cancel(context.tx, context.now, &at_card.job).await?;
            let response = es7::CreateAdditionalKeySetResponse::only(ended());
            outgoing::reply::<es7::CreateAdditionalKeySet>(context, ticket, response).await
        }
    }
}

/// Returns the second STORE DATA of the key establishment, from the data that the other SM-SR
/// signed.
fn establishment(card: &Card, request: &es7::CreateAdditionalKeySetRequest) -> Result<Vec<u8>, Refusal> {
    // req: SGP.02-5.6-CreateAdditionalKeySet-Version
    let bad = |why: String| Status::FormatInvalid.because(why);
    let version = request.key_version_number;
    if !SCP80_VERSIONS.contains(&version) {
        return Err(bad(format!("KeyVersionNumber {version} is not one of SCP80")));
    }
    // The scenario parameter can make the card delete an existing key set of the same version. This
    // SM-SR needs its key sets to reach the card.
    if card.has_key_set(version) {
        return Err(bad(format!(
            "key set {version} of the ISD-R is in use; choose a KeyVersionNumber that is not in the EIS"
        )));
    }
    if request.ecc_key_length != es7::EccKeyLength::Ecc256 {
        return Err(bad(format!("keys of {} are not supported", request.ecc_key_length)));
    }
    let host_id = Some(request.host_id.clone()).filter(|host_id| !host_id.0.is_empty());
    let agreement = KeyAgreement {
        host_id,
        ..KeyAgreement::scp80(request.scenario_parameter, version, request.initial_sequence_counter)
    };
    Ok(agreement.store_data(request.ephemeral_public_key.as_slice(), request.signature.as_slice()))
}
