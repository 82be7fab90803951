//! Finalisation of a handover on the card: the card gets the address of its new SM-SR and a key for
//! HTTPS, and deletes the keys of the old SM-SR. SGP.02 sections 3.8, 4.1.1.9 and 4.1.1.10.
//!
//! The card belongs to this SM-SR whatever the result is, and the caller of the handover gets the
//! result of the first attempt. While the keys of the old SM-SR are on the card, the card also
//! accepts commands of that SM-SR. Commands that the card has not executed are therefore repeated
//! every day. A card stops at the first command that it refuses; the commands after it are sent
//! again separately.

use crypto::AesKey;
use rsp::{
    StatusWord,
    der::tlv,
    ids::Eid,
    ota::{
        script::Script,
        sms::Address,
        trigger::{SecurityParameters, SessionParameters, SessionTrigger},
    },
    sgp02::{
        BaseResponse,
        eis::{Eis, OperationType},
        es5::{self, KeyType, SmsrAddressing},
        keys::{KeyVersion, PskIdentity},
        status::Status,
    },
};
use world::Fault;

use super::{
    Purpose, answer,
    card_status::Answers,
    isd_r,
    key_sets::{PSK_ID, description_of, free_version},
    takeover_record::{current, respond},
};
use crate::{
    audit,
    config::{CardAddress, MAX_FINALISATION_ATTEMPTS},
    context::Context,
    es5::{self as es5_engine, Bearer, Effect, Job, JobOutcome},
    notifications,
    records::{Card, Deadline, Key, KeySet, Keys, SCP80_VERSIONS, SCP81_VERSIONS},
    state::takeover::{Awaits, FinalisationCommand, HandoverFinalisation, Psk, Takeover},
};

impl HandoverFinalisation {
    /// Returns the commands for a card. `eis` is the EIS that its former SM-SR sent.
    pub(super) fn of(context: &Context<'_, '_>, eis: &Eis) -> Self {
        let psk = offer_psk(context, eis);
        let has_address =
            addressing(&context.config.card_address, eis.eum_signed_info.eid, psk.as_ref()).is_some();
        let address = has_address.then_some(FinalisationCommand::StoreAddress);
        let store_psk = psk.as_ref().map(|_| FinalisationCommand::StorePsk);
        let sent =
            address.into_iter().chain(store_psk).chain([FinalisationCommand::DeleteOtherKeys]).collect();
        Self { psk, sent, failed: Vec::new(), failure: None, attempts: 0 }
    }

    /// Returns the C-APDUs of the commands to send. Commands that do not apply any more are removed.
    fn apdus(&mut self, context: &Context<'_, '_>, card: &Card) -> Result<Vec<Vec<u8>>, Fault> {
        let mut apdus = Vec::new();
        for command in std::mem::take(&mut self.sent) {
            if let Some(apdu) = self.apdu(context, card, command)? {
                self.sent.push(command);
                apdus.push(apdu);
            }
        }
        Ok(apdus)
    }

    fn apdu(
        &self,
        context: &Context<'_, '_>,
        card: &Card,
        command: FinalisationCommand,
    ) -> Result<Option<Vec<u8>>, Fault> {
        Ok(match command {
            FinalisationCommand::StoreAddress => {
                let to = addressing(&context.config.card_address, card.eid(), self.psk.as_ref());
                to.map(|to| es5::update_smsr_addressing(&to))
            }
            FinalisationCommand::StorePsk => match (&self.psk, card.scp80().map(|set| &set.keys)) {
                (Some(psk), Some(Keys::Scp80 { dek, .. })) => {
                    let (dek, key) =
                        (AesKey::from(*dek.aes128()?.expose()), AesKey::from(*psk.key.aes128()?.expose()));
                    let wrapped = dek.wrap(&key);
                    Some(es5::put_key(psk.version, PSK_ID, KeyType::TlsPsk, 16, &wrapped, &key.check_value()))
                }
                _ => None,
            },
            // The command lists the keys to keep and deletes all others, whatever the old SM-SR
            // reported about its keys.
            FinalisationCommand::DeleteOtherKeys => {
                let ours = card.keys.iter().map(|set| set.version);
                let offered = self.psk.as_ref().map(|psk| psk.version);
                let offered = offered.filter(|version| card.keys.iter().all(|set| set.version != *version));
                let kept: Vec<_> = ours.chain(offered).map(range).collect();
                Some(es5::finalise_isd_r_handover(&kept))
            }
        })
    }

    /// Evaluates the card's responses and returns the executed commands. The commands after a refused
    /// command stay in `sent` and are sent again at once.
    fn evaluate(&mut self, answers: &Answers) -> Vec<FinalisationCommand> {
        let sent = std::mem::take(&mut self.sent);
        let has_stopped = answers.commands.last().is_some_and(|(_, status)| !status.is_success());
        let mut done = Vec::new();
        for (position, command) in sent.iter().enumerate() {
            match answers.commands.get(position) {
                Some((_, status)) if status.is_success() || self.was_executed_before(*command, *status) => {
                    done.push(*command)
                }
                Some((_, status)) => {
                    self.failed.push(*command);
                    let why = format!("the card answered {status} to the command {command}");
                    self.failure.get_or_insert(Status::IsdRExecutionError.because(why));
                }
                // The card did not execute this command although it refused none before it. It will
                // not execute it in another attempt today.
                None if position == answers.commands.len() && !has_stopped => {
                    self.failed.push(*command);
                    let why = format!("the card did not answer the command {command}");
                    self.failure.get_or_insert(Status::EuiccExecutionError.because(why));
                }
                None => self.sent.push(*command),
            }
        }
        done
    }

    /// Returns true if the status word means that the card has executed the command before, in an
    /// attempt whose response was lost.
    fn was_executed_before(&self, command: FinalisationCommand, status: StatusWord) -> bool {
        let expected = match command {
            FinalisationCommand::StoreAddress | FinalisationCommand::DeleteOtherKeys => return false,
            FinalisationCommand::StorePsk => StatusWord::CONDITIONS_NOT_SATISFIED,
        };
        self.attempts > 0 && status == expected
    }
}

/// Sends the commands to the card. If there are none, the attempt ends.
pub(super) async fn send_commands(
    context: &mut Context<'_, '_>,
    card: Card,
    mut takeover: Takeover,
) -> Result<(), Fault> {
    let Awaits::Finalised(finalisation) = &mut takeover.awaits else { return Ok(()) };
    let commands = finalisation.apdus(context, &card)?;
    if commands.is_empty() {
        return conclude(context, card, takeover).await;
    }
    let job = Job {
        eid: card.eid(),
        target: isd_r(),
        script: Script::of_apdus(commands),
        valid_until: context.now.plus(context.config.own_function_time),
        more_to_do: false,
        urgent: true,
        // The card can be reached by short messages only until it has the key for HTTPS.
        via: Some(Bearer::Sms),
        effect: Effect::KeySet,
        purpose: Purpose::Takeover.to_text()?,
    };
    es5_engine::enqueue(context.tx, context.now, job).await?;
    takeover.store(context)
}

/// Handles the card's response to the commands. The card belongs to this SM-SR in any case.
pub(super) async fn ended(context: &mut Context<'_, '_>, eid: Eid, outcome: JobOutcome) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    let Awaits::Finalised(finalisation) = &mut takeover.awaits else { return Ok(()) };
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let done = match outcome {
        JobOutcome::Answered(response) | JobOutcome::FoundDone(response) => {
            finalisation.evaluate(&Answers::of(&response))
        }
        other => {
            finalisation.failed.append(&mut finalisation.sent);
            finalisation.failure.get_or_insert(answer::undelivered(other));
            Vec::new()
        }
    };
    if done.contains(&FinalisationCommand::StorePsk)
        && let Some(psk) = &finalisation.psk
    {
        store_psk(&mut card, psk);
    }
    card.store(context.tx)?;
    send_commands(context, card, takeover).await
}

/// Adds the key set for HTTPS to the card's record.
fn store_psk(card: &mut Card, psk: &Psk) {
    let set = KeySet { version: psk.version, keys: Keys::Scp81 { psk: psk.key.clone(), dek: None } };
    if let Some(isd_r) = &mut card.eis.isd_r {
        isd_r.keyset.push(description_of(&set));
    }
    card.keys.push(set);
}

/// Ends an attempt. After the first one, the caller of the handover gets the response. Failed
/// commands are scheduled for another day.
async fn conclude(
    context: &mut Context<'_, '_>,
    mut card: Card,
    mut takeover: Takeover,
) -> Result<(), Fault> {
    let Awaits::Finalised(finalisation) = &mut takeover.awaits else { return Ok(()) };
    let base = match &finalisation.failure {
        None => BaseResponse::default(),
        Some(refusal) => BaseResponse::with_warning(refusal),
    };
    let done = audit::CompletedOperation {
        kind: OperationType::FINALISE_ISDR_HANDOVER,
        requester: None,
        status: &base.function_execution_status,
        isd_p: None,
        iccid: None,
    };
    audit::record_operation(context, &mut card, &done)?;
    card.undone.clone_from(&finalisation.failed);
    card.store(context.tx)?;
    let is_first = finalisation.attempts == 0;
    finalisation.attempts = finalisation.attempts.saturating_add(1);
    let is_over = finalisation.attempts >= MAX_FINALISATION_ATTEMPTS;
    let will_retry = !finalisation.failed.is_empty() && !is_over;
    for command in finalisation.failed.iter().filter(|_| is_over) {
        let (eid, why) = (card.eid(), finalisation.failure.as_ref().map(tracing::field::display));
        tracing::warn!(%eid, %command, why, "a card that was taken over has not executed this command, and the command is not repeated any more; while the card has a key set of its former SM-SR, it also accepts commands of that SM-SR");
    }
    if is_first {
        respond(context, &takeover, base).await?;
        takeover.ticket = None;
        if let Some(from) = context.peer(&takeover.from).await? {
            notifications::notify_of_takeover(context, &card, &from).await?;
        }
    }
    takeover.delete_record(context);
    if will_retry {
        takeover.expires = context.now.plus(context.config.own_function_retry_delay);
        context.set_deadline(takeover.expires, &Deadline::Takeover(card.eid()))?;
        takeover.store(context)?;
    }
    Ok(())
}

/// Sends the failed commands again.
pub(super) async fn retry(context: &mut Context<'_, '_>, mut takeover: Takeover) -> Result<(), Fault> {
    let Some(card) = context.card(takeover.eid()).await? else {
        takeover.delete_record(context);
        return Ok(());
    };
    if let Awaits::Finalised(finalisation) = &mut takeover.awaits {
        finalisation.failure = None;
        finalisation.sent = std::mem::take(&mut finalisation.failed);
    }
    send_commands(context, card, takeover).await
}

/// Creates a key for HTTPS if the card supports HTTPS and this SM-SR has an HTTPS address.
fn offer_psk(context: &Context<'_, '_>, eis: &Eis) -> Option<Psk> {
    let supports_https = eis.eum_signed_info.euicc_capabilities.http_support;
    context.config.card_address.https.as_ref().filter(|_| supports_https)?;
    let version = free_version(eis, &SCP81_VERSIONS)?;
    Some(Psk { version, key: Key::new(context.world.random::<16>().to_vec()) })
}

/// Returns the address of this SM-SR for the card, if there is one.
fn addressing(address: &CardAddress, eid: Eid, psk: Option<&Psk>) -> Option<SmsrAddressing> {
    let sms = address.sms.as_ref().and_then(|digits| Address::new(INTERNATIONAL, digits));
    let https = address.https.as_ref().zip(psk).map(|(session, psk)| {
        let identity = PskIdentity { eid, key_version: KeyVersion(psk.version), key_identifier: PSK_ID };
        let session = SessionParameters {
            security: Some(SecurityParameters {
                psk_identity: identity.to_string().into_bytes(),
                key_version: psk.version,
                key_identifier: PSK_ID,
            }),
            ..session.clone()
        };
        let trigger = SessionTrigger { session: Some(session), dns: None }.to_bytes();
        tlv::split(&trigger).map(|(_, contents)| contents.to_vec()).unwrap_or_default()
    });
    let to = SmsrAddressing { sms: sms.map(|address| address.value()), https, dns: None };
    (to != SmsrAddressing::default()).then_some(to)
}

/// Type of number: international, ISDN numbering plan.
const INTERNATIONAL: u8 = 0x91;

/// Returns the key range that a key set of this version can have.
fn range(version: u8) -> (u8, u8, u8) {
    (version, 1, if SCP80_VERSIONS.contains(&version) { 3 } else { 2 })
}
