//! What a card is told by its new SM-SR: where that is, its key for HTTPS, and to forget the keys of the old one. SGP.02
//! sections 3.8, 4.1.1.9 and 4.1.1.10.
//!
//! The card is ours whatever becomes of it, and whoever waits for the end of the handover is told how the first attempt
//! went. But as long as the keys of the old SM-SR are on the card it obeys that as well, so what has not been done is told
//! again, day after day. A card stops at the first command that it refuses; what comes after it is told by itself.

use std::fmt;

use crypto::AesKey;
use rsp::{
    der::tlv,
    ids::Eid,
    ota::{
        script::{Script, StatusWord},
        sms::Address,
        trigger::{SecurityParameters, SessionParameters, SessionTrigger},
    },
    sgp02::{
        BaseResponse,
        eis::{Eis, OperationType},
        es5::{self, KeyType, SmsrAddressing},
        keys::{KeyVersion, PskIdentity},
        status::{Refusal, Status},
    },
};
use serde::{Deserialize, Serialize};
use world::Fault;

use super::{
    Purpose, answer,
    card_status::Answers,
    isd_r,
    takeover::{Awaits, PSK_ID, Takeover, current, described, free_version, respond},
};
use crate::{
    audit,
    config::{CardAddress, MOST_FAREWELLS},
    context::Context,
    es5::{self as bearer, Bearer, Effect, Job, JobOutcome},
    notifications,
    records::{Card, Deadline, Key, KeySet, Keys, SCP80_VERSIONS, SCP81_VERSIONS},
};

/// What a card that is ours is still to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Farewell {
    /// Its key for HTTPS from then on, if it can that.
    pub psk: Option<Psk>,
    /// What it was told last, a command each.
    pub told: Vec<Order>,
    /// What it has not done, to be told another day.
    pub left: Vec<Order>,
    /// What went wrong first, in this attempt.
    pub trouble: Option<Refusal>,
    /// How many attempts there were.
    pub attempts: u32,
}

/// A key that the card is to take for HTTPS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Psk {
    /// The version number of its key set.
    pub version: u8,
    /// The key.
    pub key: Key,
}

/// Something that the card is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Take our address for its own SM-SR's.
    Address,
    /// Take the key for HTTPS.
    TakePsk,
    /// Forget all keys but those of its new SM-SR.
    Forget,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("to take the address of its new SM-SR"),
            Self::TakePsk => f.write_str("to take a key for HTTPS"),
            Self::Forget => f.write_str("to forget the keys of its former SM-SR"),
        }
    }
}

impl Farewell {
    /// What there is to tell a card that was the SM-SR's from which this EIS is.
    pub(super) fn of(context: &Context<'_, '_>, eis: &Eis) -> Self {
        let psk = offer_psk(context, eis);
        let has_address =
            addressing(&context.config.card_address, eis.eum_signed_info.eid, psk.as_ref()).is_some();
        let address = has_address.then_some(Order::Address);
        let take_psk = psk.as_ref().map(|_| Order::TakePsk);
        let told = address.into_iter().chain(take_psk).chain([Order::Forget]).collect();
        Self { psk, told, left: Vec::new(), trouble: None, attempts: 0 }
    }

    /// The commands of what is to be told. Where there is no such thing to tell any more, it is not told.
    fn commands(&mut self, context: &Context<'_, '_>, card: &Card) -> Result<Vec<Vec<u8>>, Fault> {
        let mut commands = Vec::new();
        for order in std::mem::take(&mut self.told) {
            if let Some(command) = self.command(context, card, order)? {
                self.told.push(order);
                commands.push(command);
            }
        }
        Ok(commands)
    }

    fn command(
        &self,
        context: &Context<'_, '_>,
        card: &Card,
        order: Order,
    ) -> Result<Option<Vec<u8>>, Fault> {
        Ok(match order {
            Order::Address => {
                let to = addressing(&context.config.card_address, card.eid(), self.psk.as_ref());
                to.map(|to| es5::update_smsr_addressing(&to))
            }
            Order::TakePsk => match (&self.psk, card.scp80().map(|set| &set.keys)) {
                (Some(psk), Some(Keys::Scp80 { dek, .. })) => {
                    let (dek, key) =
                        (AesKey::from(*dek.aes128()?.expose()), AesKey::from(*psk.key.aes128()?.expose()));
                    let wrapped = dek.wrap(&key);
                    Some(es5::put_key(psk.version, PSK_ID, KeyType::TlsPsk, 16, &wrapped, &key.check_value()))
                }
                _ => None,
            },
            // What is not named goes, whatever the old SM-SR has said of its keys.
            Order::Forget => {
                let ours = card.keys.iter().map(|set| set.version);
                let offered = self.psk.as_ref().map(|psk| psk.version);
                let offered = offered.filter(|version| card.keys.iter().all(|set| set.version != *version));
                let kept: Vec<_> = ours.chain(offered).map(range).collect();
                Some(es5::finalise_isd_r_handover(&kept))
            }
        })
    }

    /// What the card said to what it was told: what it has done; what comes after something it refused is told again at once.
    fn heard(&mut self, answers: &Answers) -> Vec<Order> {
        let told = std::mem::take(&mut self.told);
        let has_stopped = answers.commands.last().is_some_and(|(_, word)| !word.is_success());
        let mut done = Vec::new();
        for (position, order) in told.iter().enumerate() {
            match answers.commands.get(position) {
                Some((_, word)) if word.is_success() || self.was_done(*order, *word) => done.push(*order),
                Some((_, word)) => {
                    self.left.push(*order);
                    let why = format!("told {order}, the card answered {word}");
                    self.trouble.get_or_insert(Status::IsdRExecutionError.because(why));
                }
                // One that the card did not come to, though it has refused none before it, it will not come to again.
                None if position == answers.commands.len() && !has_stopped => {
                    self.left.push(*order);
                    let why = format!("told {order}, the card answered nothing");
                    self.trouble.get_or_insert(Status::EuiccExecutionError.because(why));
                }
                None => self.told.push(*order),
            }
        }
        done
    }

    /// Whether the card refuses what it has done before, when nothing was heard of it.
    fn was_done(&self, order: Order, word: StatusWord) -> bool {
        let said = match order {
            Order::Address | Order::Forget => return false,
            Order::TakePsk => StatusWord::CONDITIONS_NOT_SATISFIED,
        };
        self.attempts > 0 && word == said
    }
}

/// Tells the card what there is to tell. When that is nothing, this attempt is over.
pub(super) async fn tell(
    context: &mut Context<'_, '_>,
    card: Card,
    mut takeover: Takeover,
) -> Result<(), Fault> {
    let Awaits::Finalised(farewell) = &mut takeover.awaits else { return Ok(()) };
    let commands = farewell.commands(context, &card)?;
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
        // The card knows us by short messages alone until it has the key for HTTPS.
        via: Some(Bearer::Sms),
        effect: Effect::KeySet,
        purpose: Purpose::Takeover.to_text()?,
    };
    bearer::enqueue(context.tx, context.now, job).await?;
    takeover.keep(context)
}

/// The card has done what its new SM-SR told it, or has not: it is ours all the same.
pub(super) async fn ended(context: &mut Context<'_, '_>, eid: Eid, outcome: JobOutcome) -> Result<(), Fault> {
    let Some(mut takeover) = current(context, eid).await? else { return Ok(()) };
    let Awaits::Finalised(farewell) = &mut takeover.awaits else { return Ok(()) };
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let done = match outcome {
        JobOutcome::Answered(response) | JobOutcome::FoundDone(response) => {
            farewell.heard(&Answers::of(&response))
        }
        other => {
            farewell.left.append(&mut farewell.told);
            farewell.trouble.get_or_insert(answer::undelivered(other));
            Vec::new()
        }
    };
    if done.contains(&Order::TakePsk)
        && let Some(psk) = &farewell.psk
    {
        take_psk(&mut card, psk);
    }
    card.keep(context.tx)?;
    tell(context, card, takeover).await
}

/// From now on it is spoken to over HTTPS too.
fn take_psk(card: &mut Card, psk: &Psk) {
    let set = KeySet { version: psk.version, keys: Keys::Scp81 { psk: psk.key.clone(), dek: None } };
    if let Some(isd_r) = &mut card.eis.isd_r {
        isd_r.keyset.push(described(&set));
    }
    card.keys.push(set);
}

/// An attempt is over: whoever waits for it is told, once, and what is left is for another day.
async fn conclude(
    context: &mut Context<'_, '_>,
    mut card: Card,
    mut takeover: Takeover,
) -> Result<(), Fault> {
    let Awaits::Finalised(farewell) = &mut takeover.awaits else { return Ok(()) };
    let base = match &farewell.trouble {
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
    card.undone.clone_from(&farewell.left);
    card.keep(context.tx)?;
    let is_first = farewell.attempts == 0;
    farewell.attempts = farewell.attempts.saturating_add(1);
    let is_over = farewell.attempts >= MOST_FAREWELLS;
    let goes_on = !farewell.left.is_empty() && !is_over;
    for order in farewell.left.iter().filter(|_| is_over) {
        let (eid, why) = (card.eid(), farewell.trouble.as_ref().map(tracing::field::display));
        tracing::warn!(%eid, %order, why, "a card that was taken over is not told this again; while it has a key set of its former SM-SR, it obeys that as well");
    }
    if is_first {
        respond(context, &takeover, base).await?;
        takeover.ticket = None;
        if let Some(from) = context.peer(&takeover.from).await? {
            notifications::tell_of_takeover(context, &card, &from).await?;
        }
    }
    takeover.forget(context);
    if goes_on {
        takeover.expires = context.now.plus(context.config.own_function_again);
        context.set_deadline(takeover.expires, &Deadline::Takeover(card.eid()))?;
        takeover.keep(context)?;
    }
    Ok(())
}

/// The time has come to tell the card again.
pub(super) async fn again(context: &mut Context<'_, '_>, mut takeover: Takeover) -> Result<(), Fault> {
    let Some(card) = context.card(takeover.eid()).await? else {
        takeover.forget(context);
        return Ok(());
    };
    if let Awaits::Finalised(farewell) = &mut takeover.awaits {
        farewell.trouble = None;
        farewell.told = std::mem::take(&mut farewell.left);
    }
    tell(context, card, takeover).await
}

/// A key for HTTPS, for a card that can that, if there is an address to go to.
fn offer_psk(context: &Context<'_, '_>, eis: &Eis) -> Option<Psk> {
    let can = eis.eum_signed_info.euicc_capabilities.http_support;
    context.config.card_address.https.as_ref().filter(|_| can)?;
    let version = free_version(eis, &SCP81_VERSIONS)?;
    Some(Psk { version, key: Key::new(context.world.random::<16>().to_vec()) })
}

/// Where the card finds us, if there is anything to tell.
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

/// Type of number: international, of the ISDN plan.
const INTERNATIONAL: u8 = 0x91;

/// All keys that a set of this version can have.
fn range(version: u8) -> (u8, u8, u8) {
    (version, 1, if SCP80_VERSIONS.contains(&version) { 3 } else { 2 })
}
