//! Taking a card over from another SM-SR, as the one that gets it: SGP.02 section 3.8 and ES7.
//!
//! The other SM-SR has the card check our certificate and make a key set with us. The receipt over that key set is the
//! point of no return: before it, whatever goes wrong ends the handover and nothing has changed; after it the card is
//! ours, and what could not be finished is at most a warning.

use crypto::{Curve, PublicKey, SecretKey};
use rsp::{
    ids::{Eid, Oid},
    sgp02::{
        BaseRequest, BaseResponse, Octets, Response as _,
        eis::{Eis, Keyset, KeysetType, OperationType, SecurityDomain},
        es7,
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use rsp_server::{No, soap::Ticket};
use serde::{Deserialize, Serialize};
use world::Fault;

use super::{
    Purpose, answer,
    card_status::{Answers, Command},
};
use crate::{
    audit, check_eis,
    context::Context,
    es5::{self as bearer, Effect, Job, JobOutcome},
    notifications,
    outward::{self, Continuation, NoAnswer},
    records::{Card, Deadline, Key, KeySet, Keys, PREPARED, SCP80_VERSIONS, SCP81_VERSIONS, TAKEOVERS},
};

/// A card that is being taken over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Takeover {
    /// The call of ES7.HandoverEUICC; none once it has been answered.
    pub ticket: Option<Ticket>,
    /// Who has the card.
    pub from: Oid,
    /// What it says of the card.
    pub eis: Eis,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// What is awaited.
    pub awaits: Awaits,
}

/// What a takeover waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Awaits {
    /// The card's challenge, from the other SM-SR.
    Challenge,
    /// The card's receipt, from the other SM-SR.
    Receipt {
        /// The private one-time key.
        secret: Key,
        /// What was signed.
        agreement: Agreement,
    },
    /// The card, which is ours: it is to forget the other SM-SR.
    Finalised {
        /// Its key for HTTPS from then on, if it can that.
        psk: Option<Psk>,
    },
}

/// How the key set is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Its version number.
    pub version: u8,
    /// Its first counter.
    pub counter: u64,
}

/// A key that the card is to take for HTTPS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Psk {
    /// The version number of its key set.
    pub version: u8,
    /// The key.
    pub key: Key,
}

/// ES7.HandoverEUICC: begins. Whatever is wrong is the answer.
pub(crate) async fn begin(
    context: &mut Context<'_, '_>,
    caller: &Oid,
    ticket: Ticket,
    eis: Eis,
) -> Result<(), No> {
    let eid = eis.eum_signed_info.eid;
    if let Some(card) = context.card(eid).await? {
        return already_here(context, &card, caller, &ticket).await;
    }
    if context.tx.get(&TAKEOVERS, &eid.to_string()).await?.is_some() {
        return Err(Status::EuiccUnavailable.because("this card is being handed over already").about(eid).into());
    }
    let prepared = context.tx.get(&PREPARED, &eid.to_string()).await?;
    let expected = prepared.filter(|prepared| prepared.until > context.now && prepared.current == *caller);
    if expected.is_none() {
        return Err(Status::EidNotAllowed
            .because("no operator has prepared this SM-SR for the card (PrepareSMSRChange)")
            .about(eid)
            .into());
    }
    if eis.smsr_id != *caller {
        return Err(Status::SmsrRefused
            .because("by its EIS another SM-SR manages the card")
            .about(&eis.smsr_id)
            .into());
    }
    check_eis::check(context, &eis)?;
    let takeover = Takeover {
        from: caller.clone(),
        since: context.now,
        expires: outward::expires(context, &ticket),
        ticket: Some(ticket),
        eis,
        awaits: Awaits::Challenge,
    };
    let request = es7::AuthenticateSmsrRequest {
        base: call(context, &takeover),
        eid: Some(eid),
        eis: None,
        smsr_certificate: Octets(context.credentials.card_certificate().to_vec()),
    };
    ask::<es7::AuthenticateSmsr>(context, &takeover, request, Continuation::Challenge(eid)).await?;
    context.set_deadline(takeover.expires, &Deadline::Takeover(eid))?;
    Ok(takeover.keep(context)?)
}

/// A repeat, because our answer was lost: the keys are there, and so is the card.
async fn already_here(
    context: &mut Context<'_, '_>,
    card: &Card,
    caller: &Oid,
    ticket: &Ticket,
) -> Result<(), No> {
    let in_use = Status::EidInUse.because("this SM-SR manages the card already").about(card.eid());
    if card.taken_from.as_ref() != Some(caller) {
        return Err(in_use.into());
    }
    let response = es7::HandoverEuiccResponse::only(BaseResponse::with_warning(&in_use));
    Ok(outward::reply::<es7::HandoverEuicc>(context, ticket, response).await?)
}

impl Takeover {
    fn eid(&self) -> Eid {
        self.eis.eum_signed_info.eid
    }

    fn keep(&self, context: &mut Context<'_, '_>) -> Result<(), Fault> {
        context.tx.put(&TAKEOVERS, &self.eid().to_string(), self)
    }

    fn forget(&self, context: &mut Context<'_, '_>) {
        context.tx.delete(&TAKEOVERS, &self.eid().to_string());
        context.clear_deadline(self.expires, &Deadline::Takeover(self.eid()));
    }
}

fn call(context: &Context<'_, '_>, takeover: &Takeover) -> BaseRequest {
    BaseRequest {
        validity_period: Some(takeover.expires.since(context.now).as_secs()),
        ..outward::call(context)
    }
}

async fn ask<F>(
    context: &mut Context<'_, '_>,
    takeover: &Takeover,
    request: F::Request,
    continuation: Continuation,
) -> Result<(), No>
where
    F: rsp::sgp02::Function,
{
    let Some(from) = context.peer(&takeover.from).await?.filter(|peer| peer.endpoint.is_some()) else {
        return Err(Status::SmsrInaccessible
            .because("this SM-SR does not know where the other one is")
            .about(&takeover.from)
            .into());
    };
    Ok(outward::ask::<F>(context, &from, request, continuation, takeover.expires).await?)
}

async fn current(context: &mut Context<'_, '_>, eid: Eid) -> Result<Option<Takeover>, Fault> {
    context.tx.get(&TAKEOVERS, &eid.to_string()).await
}

/// Ends what has not been committed: nothing has changed.
async fn abort(context: &mut Context<'_, '_>, takeover: &Takeover, base: BaseResponse) -> Result<(), Fault> {
    takeover.forget(context);
    respond(context, takeover, base).await
}

async fn respond(context: &mut Context<'_, '_>, takeover: &Takeover, base: BaseResponse) -> Result<(), Fault> {
    let Some(ticket) = &takeover.ticket else { return Ok(()) };
    let base = BaseResponse {
        processing_start: Some(takeover.since),
        processing_end: Some(context.now),
        ..base
    };
    outward::reply::<es7::HandoverEuicc>(context, ticket, es7::HandoverEuiccResponse::only(base)).await
}

/// Why the other SM-SR did not do what it was asked.
fn refused(base: &BaseResponse, what: &str) -> BaseResponse {
    let why = Status::SmsrExecutionError
        .because(format!("{what} ended with {}", base.function_execution_status));
    BaseResponse::failed(&why)
}

fn unanswered(no: &NoAnswer) -> BaseResponse {
    BaseResponse::failed(&Status::SmsrInaccessible.because(format!("the SM-SR that has the card: {no}")))
}

/// The card has checked our certificate and challenges us: we sign, with a one-time key.
pub(super) async fn challenged(
    context: &mut Context<'_, '_>,
    eid: Eid,
    answer: Result<es7::AuthenticateSmsrResponse, NoAnswer>,
) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    if !matches!(takeover.awaits, Awaits::Challenge) {
        return Ok(());
    }
    let challenge = match answer {
        Err(no) => return abort(context, &takeover, unanswered(&no)).await,
        Ok(response) if !response.base.is_done() => {
            return abort(context, &takeover, refused(&response.base, "AuthenticateSMSR")).await;
        }
        Ok(response) => response.random_challenge.unwrap_or_default(),
    };
    let Some(version) = free_version(&takeover.eis, &SCP80_VERSIONS) else {
        let why = Status::IsdRExecutionError.because("no key version number of SCP80 is free");
        return abort(context, &takeover, BaseResponse::failed(&why)).await;
    };
    let agreement = Agreement { version, counter: 0 };
    let secret = SecretKey::generate(Curve::P256, &mut |octets| context.world.dice.fill(octets));
    let signed = agreement.signed(&secret.public_key(), challenge.as_slice());
    let request = es7::CreateAdditionalKeySetRequest {
        base: call(context, &takeover),
        eid,
        key_version_number: version,
        initial_sequence_counter: agreement.counter,
        ecc_key_length: es7::EccKeyLength::Ecc256,
        scenario_parameter: SCENARIO_PARAMETER,
        host_id: Octets::default(),
        ephemeral_public_key: Octets(secret.public_key().to_sec1().to_vec()),
        signature: Octets(context.credentials.card_key().sign(&signed).as_bytes().to_vec()),
    };
    takeover.awaits =
        Awaits::Receipt { secret: Key::new(secret.to_bytes().expose().to_vec()), agreement };
    match ask::<es7::CreateAdditionalKeySet>(context, &takeover, request, Continuation::Receipt(eid)).await {
        Ok(()) => takeover.keep(context),
        Err(No::Refusal(refusal)) => abort(context, &takeover, BaseResponse::failed(&refusal)).await,
        Err(No::Fault(fault)) => Err(fault),
    }
}

/// The first number that no key set has.
fn free_version(eis: &Eis, of: &std::ops::RangeInclusive<u8>) -> Option<u8> {
    let taken = |version: &u8| {
        let sets = eis.isd_r.iter().flat_map(|isd_r| &isd_r.keyset);
        sets.map(|set| set.version).any(|taken| taken == *version)
    };
    of.clone().find(|version| !taken(version))
}

/// The card has made the key set and proves it: from here on it is ours.
pub(super) async fn receipted(
    context: &mut Context<'_, '_>,
    eid: Eid,
    answer: Result<es7::CreateAdditionalKeySetResponse, NoAnswer>,
) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    let Awaits::Receipt { secret, agreement } = &takeover.awaits else { return Ok(()) };
    let response = match answer {
        Err(no) => return abort(context, &takeover, unanswered(&no)).await,
        Ok(response) if !response.base.is_done() => {
            return abort(context, &takeover, refused(&response.base, "CreateAdditionalKeySet")).await;
        }
        Ok(response) => response,
    };
    let made = agreement.key_set(&takeover.eis, secret, &response);
    let set = match made {
        Ok(set) => set,
        Err(refusal) => return abort(context, &takeover, BaseResponse::failed(&refusal)).await,
    };
    let psk = offer_psk(context, &takeover.eis);
    let script = farewell(context, &takeover.eis, &set, psk.as_ref())?;
    let mut card = own_card(context, &takeover, set);
    let done = audit::Done {
        what: OperationType::ESTABLISH_ISDR_KEYSET,
        requester: Some(&takeover.from),
        status: &BaseResponse::default().function_execution_status,
        isd_p: None,
        iccid: None,
    };
    adopt_trail(context, &mut card, &takeover.eis)?;
    audit::done(context, &mut card, &done)?;
    card.keep_addresses(context.tx)?;
    card.keep(context.tx)?;
    context.tx.delete(&PREPARED, &eid.to_string());
    let job = Job {
        eid,
        target: rsp::ids::Aid(rsp::ids::Aid::ISD_R.to_vec()),
        script,
        valid_until: context.now.plus(context.config.own_function_time),
        more_to_do: false,
        urgent: true,
        // The card knows us by short messages alone until it has the key for HTTPS.
        via: Some(bearer::Bearer::Sms),
        effect: Effect::KeySet,
        purpose: Purpose::Takeover.to_text()?,
    };
    bearer::enqueue(context.tx, context.now, job).await?;
    takeover.awaits = Awaits::Finalised { psk };
    takeover.keep(context)
}

/// The records of the card that is ours now.
fn own_card(context: &Context<'_, '_>, takeover: &Takeover, set: KeySet) -> Card {
    let mut eis = takeover.eis.clone();
    eis.smsr_id = context.config.id.clone();
    eis.audit_trail = None;
    if let Some(isd_r) = &mut eis.isd_r {
        isd_r.keyset = vec![described(&set)];
    }
    Card { keys: vec![set], taken_from: Some(takeover.from.clone()), ..Card::new(eis) }
}

/// A key set as an EIS describes it, without its values.
pub(crate) fn described(set: &KeySet) -> Keyset {
    let (kind, counter, indexes) = match &set.keys {
        Keys::Scp80 { counter, .. } => (KeysetType::Scp80, Some(*counter), vec![1, 2, 3]),
        Keys::Scp81 { dek: None, .. } => (KeysetType::Scp81, None, vec![1]),
        Keys::Scp81 { dek: Some(_), .. } => (KeysetType::Scp81, None, vec![1, 2]),
    };
    let key = |index| rsp::sgp02::eis::Key { index, kcv: Octets::default(), key_components: Vec::new() };
    Keyset {
        version: set.version,
        r#type: Some(kind),
        cntr: counter,
        key: indexes.into_iter().map(key).collect(),
        certificate: Vec::new(),
    }
}

/// The trail that came with the card goes on here.
fn adopt_trail(context: &mut Context<'_, '_>, card: &mut Card, eis: &Eis) -> Result<(), Fault> {
    for record in eis.audit_trail.iter().flat_map(|trail| &trail.record) {
        audit::adopt(context, card, record)?;
    }
    Ok(())
}

/// A key for HTTPS, for a card that can that, if there is an address to go to.
fn offer_psk(context: &Context<'_, '_>, eis: &Eis) -> Option<Psk> {
    let can = eis.eum_signed_info.euicc_capabilities.http_support;
    context.config.card_address.https.as_ref().filter(|_| can)?;
    let version = free_version(eis, &SCP81_VERSIONS)?;
    Some(Psk { version, key: Key::new(context.world.random::<16>().to_vec()) })
}

/// What the card is told by its new SM-SR: where that is, its key for HTTPS, and to forget the old one's keys.
fn farewell(
    context: &Context<'_, '_>,
    eis: &Eis,
    set: &KeySet,
    psk: Option<&Psk>,
) -> Result<Script, Fault> {
    let mut apdus = Vec::new();
    if let Some(address) = addressing(&context.config.card_address) {
        apdus.push(address);
    }
    if let (Some(psk), Keys::Scp80 { dek, .. }) = (psk, &set.keys) {
        apdus.push(put_psk(psk, dek)?);
    }
    apdus.push(forget_keys(eis.isd_r.as_ref()));
    Ok(Script::of_apdus(apdus))
}

/// The card has done what its new SM-SR told it first, or has not: it is ours all the same.
pub(super) async fn finalised(
    context: &mut Context<'_, '_>,
    eid: Eid,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let Some(takeover) = current(context, eid).await? else { return Ok(()) };
    let Awaits::Finalised { psk } = &takeover.awaits else { return Ok(()) };
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let warning = match outcome {
        JobOutcome::Answered(response) | JobOutcome::FoundDone(response) => {
            let answers = Answers::of(&response);
            let commands = expected_commands(context, psk.is_some());
            let wrong = (0..commands).find_map(|nth| answers.nth(nth, Command::Finalise).err());
            // PUT KEY is the last but one.
            let has_psk = answers.nth(commands.saturating_sub(2), Command::Finalise).is_ok();
            if let Some(psk) = psk.as_ref().filter(|_| has_psk) {
                let set = KeySet {
                    version: psk.version,
                    keys: Keys::Scp81 { psk: psk.key.clone(), dek: None },
                };
                if let Some(isd_r) = &mut card.eis.isd_r {
                    isd_r.keyset.push(described(&set));
                }
                card.keys.push(set);
            }
            wrong
        }
        other => Some(answer::undelivered(other)),
    };
    let base = match &warning {
        None => BaseResponse::default(),
        Some(refusal) => BaseResponse::with_warning(refusal),
    };
    let done = audit::Done {
        what: OperationType::FINALISE_ISDR_HANDOVER,
        requester: None,
        status: &base.function_execution_status,
        isd_p: None,
        iccid: None,
    };
    audit::done(context, &mut card, &done)?;
    card.keep(context.tx)?;
    takeover.forget(context);
    respond(context, &takeover, base).await?;
    if let Some(from) = context.peer(&takeover.from).await? {
        notifications::tell_of_takeover(context, &card, &from).await?;
    }
    Ok(())
}

/// The time for a takeover is over. Before the point of no return it ends; after it the other SM-SR is told so, and the
/// card is still told.
pub(super) async fn expired(context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    if takeover.expires > context.now {
        return Ok(());
    }
    match takeover.awaits {
        Awaits::Challenge | Awaits::Receipt { .. } => {
            let base = BaseResponse::expired(None, "the handover was not done within its validity period");
            abort(context, &takeover, base).await
        }
        Awaits::Finalised { .. } => {
            let why = Status::EuiccNoResponse.because("the card has not yet forgotten its former SM-SR");
            respond(context, &takeover, BaseResponse::with_warning(&why)).await?;
            takeover.ticket = None;
            takeover.keep(context)
        }
    }
}
