//! Takeover of a card from another SM-SR, at the SM-SR that gets the card: SGP.02 section 3.8 and
//! ES7.
//!
//! The other SM-SR lets the card check this SM-SR's certificate and create a key set with this
//! SM-SR. The receipt for that key set is the point of no return. Any failure before the receipt ends
//! the handover, and nothing has changed. After the receipt the card belongs to this SM-SR, and any
//! failure is at most a warning.

use crypto::{Curve, PublicKey, SecretKey, key_establishment};
use rsp::{
    ids::{Eid, Oid},
    sgp02::{
        BaseResponse, Function, Octets, Response as _,
        eis::{Eis, OperationType, ProfileState},
        es5::{EphemeralKeyForm, KeyAgreement},
        es7,
        status::{Refusal, Status},
    },
};
use rsp_server::soap::{self, CallFailure, Rejection, Ticket};
use world::Fault;

use super::{
    check, create, handover_finalisation,
    key_sets::{description_of, free_version},
    takeover_record::{current, respond},
};
use crate::{
    audit, check_eis,
    context::Context,
    outgoing::{self, Continuation},
    records::{Card, Deadline, Key, KeySet, Keys, PREPARED, Prepared, SCP80_VERSIONS, TAKEOVERS, of_card},
    state::takeover::{Awaits, HandoverFinalisation, Takeover},
};

/// Scenario parameter: the card deletes an existing key set of the same version, contributes a
/// random number to the derivation, and has received a certificate before. Implementations differ,
/// and most of them send this value.
const SCENARIO_PARAMETER: u8 =
    KeyAgreement::DELETE_EXISTING | KeyAgreement::DERIVATION_RANDOM | KeyAgreement::CERTIFICATE;

/// Form in which the ephemeral key is sent to the card.
const KEY_FORM: EphemeralKeyForm = EphemeralKeyForm::Point;

/// Begins a takeover (ES7.HandoverEUICC). A refusal is sent as the response of this function.
pub(crate) async fn begin(
    context: &mut Context<'_, '_>,
    caller: &Oid,
    ticket: Ticket,
    eis: Eis,
) -> Result<(), Rejection> {
    let eid = eis.eum_signed_info.eid;
    if let Some(card) = context.card(eid).await? {
        return repeated_call(context, &card, caller, &ticket).await;
    }
    if context.tx.get(&TAKEOVERS, &eid.to_string()).await?.is_some() {
        return Err(Status::EuiccUnavailable
            .because("the handover of this card is already in progress")
            .about(eid)
            .into());
    }
    let prepared = context.tx.list(&PREPARED, &of_card(eid)).await?;
    let has_profile = |operator: &Oid| eis.profile_info.iter().any(|profile| profile.mno_id == *operator);
    let is_expected = |(_, prepared): &(String, Prepared)| {
        prepared.until > context.now && prepared.current == *caller && has_profile(&prepared.operator)
    };
    if !prepared.iter().any(is_expected) {
        // req: SGP.02-5.6-HandoverEuicc-Unprepared
        return Err(Status::EidNotAllowed
            .because("no operator with a profile on the card has called PrepareSMSRChange at this SM-SR")
            .about(eid)
            .into());
    }
    let ecasd = check_eis::check(context, &eis)?;
    // req: SGP.02-5.6-HandoverEuicc-Eis
    check_eis::check_contents(&eis, caller)?;
    Card::new(eis.clone()).check_addresses(context.tx).await?;
    let requested = ticket.expires.map(|until| until.since(context.now));
    let takeover = Takeover {
        from: caller.clone(),
        since: context.now,
        expires: context.now.plus(context.config.validity(requested)),
        ticket: Some(ticket),
        ecasd_key: Octets(ecasd.public_key.to_sec1().to_vec()),
        eis,
        awaits: Awaits::Challenge,
    };
    let request = es7::AuthenticateSmsrRequest {
        base: outgoing::base_request(context, takeover.expires),
        // The schema requires the EIS, but the text of the specification requires the EID. The
        // schema is followed, because peers validate messages against it.
        eid: None,
        eis: Some(takeover.eis.clone()),
        smsr_certificate: Octets(context.credentials.card_certificate().to_vec()),
    };
    call::<es7::AuthenticateSmsr>(context, &takeover, request, &Continuation::Challenge(eid)).await?;
    context.set_deadline(takeover.expires, &Deadline::Takeover(eid))?;
    Ok(takeover.store(context)?)
}

/// Handles a repeated call whose first response was lost: this SM-SR has the keys and the card
/// already.
async fn repeated_call(
    context: &mut Context<'_, '_>,
    card: &Card,
    caller: &Oid,
    ticket: &Ticket,
) -> Result<(), Rejection> {
    let in_use = check::already_managed(card.eid());
    if card.taken_from.as_ref() != Some(caller) {
        return Err(in_use.into());
    }
    let response = es7::HandoverEuiccResponse::only(BaseResponse::with_warning(&in_use));
    Ok(outgoing::reply::<es7::HandoverEuicc>(context, ticket, response).await?)
}

/// Sends a call to the SM-SR that manages the card.
async fn call<F: Function>(
    context: &mut Context<'_, '_>,
    takeover: &Takeover,
    request: F::Request,
    continuation: &Continuation,
) -> Result<(), Rejection> {
    let from: Option<soap::Peer> = context.peer(&takeover.from).await?.and_then(|peer| peer.endpoint());
    let Some(from) = from else {
        return Err(Status::SmsrInaccessible
            .because("this SM-SR has no endpoint of the other SM-SR")
            .about(&takeover.from)
            .into());
    };
    Ok(outgoing::send_call::<F>(context, &from, request, continuation, takeover.expires).await?)
}

/// Ends a takeover before the point of no return. Nothing has changed.
async fn abort(context: &mut Context<'_, '_>, takeover: &Takeover, base: BaseResponse) -> Result<(), Fault> {
    takeover.delete_record(context);
    respond(context, takeover, base).await
}

/// Returns the response for a failed call to the other SM-SR.
fn refused(base: &BaseResponse, function: &str) -> BaseResponse {
    let why = Status::SmsrExecutionError
        .because(format!("{function} ended with {}", base.function_execution_status));
    BaseResponse::failed(&why)
}

fn no_response(failure: &CallFailure) -> BaseResponse {
    BaseResponse::failed(
        &Status::SmsrInaccessible.because(format!("cannot reach the SM-SR that manages the card: {failure}")),
    )
}

/// Handles the card's challenge: signs it together with an ephemeral key.
pub(crate) async fn challenge_received(
    context: &mut Context<'_, '_>,
    eid: Eid,
    answer: Result<es7::AuthenticateSmsrResponse, CallFailure>,
) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    if !matches!(takeover.awaits, Awaits::Challenge) {
        return Ok(());
    }
    let challenge = match answer {
        Err(failure) => return abort(context, &takeover, no_response(&failure)).await,
        Ok(response) if !response.base.is_done() => {
            return abort(context, &takeover, refused(&response.base, "AuthenticateSMSR")).await;
        }
        Ok(response) => response.random_challenge.unwrap_or_default(),
    };
    let Some(version) = free_version(&takeover.eis, &SCP80_VERSIONS) else {
        let why = Status::IsdRExecutionError.because("all key version numbers of SCP80 are in use");
        return abort(context, &takeover, BaseResponse::failed(&why)).await;
    };
    let agreement = KeyAgreement::scp80(SCENARIO_PARAMETER, version, 0);
    let secret = SecretKey::generate(Curve::P256, &mut |octets| context.world.random.fill(octets));
    let public = KEY_FORM.contents(&secret.public_key().to_sec1());
    let signed = agreement.signed(&public, challenge.as_slice());
    let request = es7::CreateAdditionalKeySetRequest {
        base: outgoing::base_request(context, takeover.expires),
        eid,
        key_version_number: version,
        initial_sequence_counter: 0,
        ecc_key_length: es7::EccKeyLength::Ecc256,
        scenario_parameter: SCENARIO_PARAMETER,
        host_id: Octets::default(),
        ephemeral_public_key: Octets(public),
        signature: Octets(context.credentials.card_key().sign(&signed).as_bytes().to_vec()),
    };
    takeover.awaits = Awaits::Receipt { secret: Key::new(secret.to_bytes().expose().to_vec()), agreement };
    match call::<es7::CreateAdditionalKeySet>(context, &takeover, request, &Continuation::Receipt(eid)).await
    {
        Ok(()) => takeover.store(context),
        Err(Rejection::Refusal(refusal)) => abort(context, &takeover, BaseResponse::failed(&refusal)).await,
        Err(Rejection::Fault(fault)) => Err(fault),
    }
}

/// Handles the card's receipt for the key set. From here on the card belongs to this SM-SR.
pub(crate) async fn receipt_received(
    context: &mut Context<'_, '_>,
    eid: Eid,
    answer: Result<es7::CreateAdditionalKeySetResponse, CallFailure>,
) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    let Awaits::Receipt { secret, agreement } = &takeover.awaits else { return Ok(()) };
    let response = match answer {
        Err(failure) => return abort(context, &takeover, no_response(&failure)).await,
        Ok(response) if !response.base.is_done() => {
            return abort(context, &takeover, refused(&response.base, "CreateAdditionalKeySet")).await;
        }
        Ok(response) => response,
    };
    let set = match key_set(&takeover, secret, agreement, &response) {
        Ok(set) => set,
        Err(refusal) => return abort(context, &takeover, BaseResponse::failed(&refusal)).await,
    };
    let finalisation = HandoverFinalisation::of(context, &takeover.eis);
    let mut card = own_card(context, &takeover, set);
    let done = audit::CompletedOperation {
        kind: OperationType::ESTABLISH_ISDR_KEYSET,
        requester: Some(&takeover.from),
        status: &BaseResponse::default().function_execution_status,
        isd_p: None,
        iccid: None,
    };
    adopt_trail(context, &mut card, &takeover.eis)?;
    adopt_downloads(context, &mut card)?;
    audit::record_operation(context, &mut card, &done)?;
    card.store_addresses(context.tx).await?;
    card.store(context.tx)?;
    for (key, _) in context.tx.list(&PREPARED, &of_card(eid)).await? {
        context.tx.delete(&PREPARED, &key);
    }
    takeover.awaits = Awaits::Finalised(finalisation);
    handover_finalisation::send_commands(context, card, takeover).await
}

/// Derives the key set that the card has created with this SM-SR, and verifies the receipt.
fn key_set(
    takeover: &Takeover,
    secret: &Key,
    agreement: &KeyAgreement,
    response: &es7::CreateAdditionalKeySetResponse,
) -> Result<KeySet, Refusal> {
    let invalid = |why: &str| Status::EcasdCertificateVerificationFailed.because(why);
    let secret = <[u8; 32]>::try_from(secret.expose()).ok();
    let secret = secret.and_then(|secret| SecretKey::from_bytes(Curve::P256, &secret).ok());
    let card = PublicKey::from_sec1(Curve::P256, takeover.ecasd_key.as_slice()).ok();
    let shared = secret.zip(card).and_then(|(secret, card)| secret.agree(&card).ok());
    let shared = shared.ok_or_else(|| invalid("the key agreement with the ECASD failed"))?;
    let random = response.derivation_random.as_ref().map(Octets::as_slice);
    if random.is_none() {
        return Err(invalid("the card has contributed no random number to the derivation"));
    }
    let receipt = response.receipt.as_ref().map(Octets::as_slice).unwrap_or_default();
    // req: SGP.02-5.6-HandoverEuicc-Receipt
    let [kic, kid, dek] =
        key_establishment::verify_three_keys(&shared, &agreement.to_bytes(), random, receipt)
            .map_err(|e| invalid(&e.to_string()))?
            .map(|key| Key::new(key.expose().to_vec()));
    let keys = Keys::Scp80 { kic, kid, dek, counter: 0 };
    Ok(KeySet { version: agreement.key_version, keys })
}

/// Creates the record of the card that belongs to this SM-SR now.
fn own_card(context: &Context<'_, '_>, takeover: &Takeover, set: KeySet) -> Card {
    let mut eis = takeover.eis.clone();
    eis.smsr_id = context.config.id.clone();
    eis.audit_trail = None;
    if let Some(isd_r) = &mut eis.isd_r {
        isd_r.keyset = vec![description_of(&set)];
    }
    Card { keys: vec![set], taken_from: Some(takeover.from.clone()), ..Card::new(eis) }
}

/// Copies the audit trail that came with the card, up to the maximum length.
fn adopt_trail(context: &mut Context<'_, '_>, card: &mut Card, eis: &Eis) -> Result<(), Fault> {
    let records = eis.audit_trail.as_ref().map(|trail| trail.record.as_slice()).unwrap_or_default();
    let longest = usize::try_from(context.config.max_trail_records).unwrap_or(usize::MAX);
    for record in records.iter().skip(records.len().saturating_sub(longest)) {
        audit::append(context, card, record)?;
    }
    Ok(())
}

/// Sets deadlines for downloads that began at the other SM-SR, as if they had begun here.
fn adopt_downloads(context: &mut Context<'_, '_>, card: &mut Card) -> Result<(), Fault> {
    let profiles = card.eis.profile_info.clone();
    for profile in profiles.iter().filter(|profile| profile.state == ProfileState::Created) {
        create::set_download_deadline(context, card, profile.iccid, &profile.isd_p_aid)?;
    }
    Ok(())
}

/// Handles the deadline of a takeover. Before the receipt the takeover ends. After the receipt, the
/// other SM-SR gets its response, and the commands to the card are repeated.
pub(super) async fn expired(context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    if takeover.expires > context.now {
        return Ok(());
    }
    match takeover.awaits {
        Awaits::Challenge | Awaits::Receipt { .. } => {
            let base =
                BaseResponse::expired(None, "the handover was not completed within its validity period");
            abort(context, &takeover, base).await
        }
        Awaits::Finalised(HandoverFinalisation { attempts: 1.., .. }) => {
            handover_finalisation::retry(context, takeover).await
        }
        Awaits::Finalised(_) => {
            let why =
                Status::EuiccNoResponse.because("the card has not yet deleted the keys of its former SM-SR");
            respond(context, &takeover, BaseResponse::with_warning(&why)).await?;
            takeover.ticket = None;
            takeover.store(context)
        }
    }
}
