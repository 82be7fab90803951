//! The card's notifications: SGP.02 sections 3.15 and 4.1.1.11.
//!
//! The EIS follows what the card says. Whether the card is confirmed is decided here: what nobody waits for any more is
//! not, so that the card goes back to the profile it came from.

use rsp::{
    ids::{Aid, Eid, Iccid},
    ota::script::ScriptResponse,
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        es5,
        notification::{DefaultNotification, NotificationType},
    },
};
use world::Fault;

use super::{
    Function, Purpose,
    card_status::{Answers, Command},
    isd_r, one,
    queue::{self, advance, submit, under_way},
    switch::{self, Told},
};
use crate::{
    audit,
    context::Context,
    es5::{self as bearer, Bearer, Effect, Job, JobOutcome},
    notifications::{self, News},
    policy,
    records::{Card, TakenNotification},
};

/// The card has told something.
pub(crate) async fn notified(
    context: &mut Context<'_, '_>,
    eid: Eid,
    notification: DefaultNotification,
    via: Bearer,
) -> Result<(), Fault> {
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    if let Some(last) = &card.last_notification
        && last.sequence == notification.sequence_number
    {
        // It has not heard the confirmation, or there was none and will be none.
        if last.confirmed {
            confirm(context, &card, notification.sequence_number, via).await?;
        }
        return Ok(());
    }
    audit::told(context, &mut card, &notification)?;
    if let Some(imei) = &notification.imei {
        card.imei = Some(imei.clone());
    }
    let confirmed = !is_abandoned(&mut card, &notification);
    let mut taken = TakenNotification {
        sequence: notification.sequence_number,
        kind: notification.kind,
        confirmed,
        left: None,
    };
    if !confirmed {
        card.last_notification = Some(taken);
        return card.keep(context.tx);
    }
    let changes = changed(&mut card, &notification.isd_p);
    taken.left = changes.left(notification.kind);
    card.last_notification = Some(taken);
    card.keep(context.tx)?;
    let told = match under_way(context, eid).await? {
        Some(operation) => {
            switch::notified(
                context,
                &card,
                operation,
                notification.kind,
                &notification.isd_p,
                notification.sequence_number,
            )
            .await?
        }
        None => Told::Nothing,
    };
    // While a function waits for the confirmation, the change is not yet certain; it is told when the function ends.
    // After a roll-back nothing has changed, as far as others know.
    if told != Told::Confirming && notification.kind != NotificationType::ProfileChangeFailed {
        changes.tell(context, eid).await?;
    }
    confirm(context, &card, notification.sequence_number, via).await?;
    if told == Told::Ended { advance(context, eid).await } else { Ok(()) }
}

/// Whether the card says that a change succeeded for which nobody waits any more.
fn is_abandoned(card: &mut Card, notification: &DefaultNotification) -> bool {
    match (&card.abandoned, notification.kind) {
        (Some(abandoned), NotificationType::ProfileChangeSucceeded) => *abandoned == notification.isd_p,
        // It has gone back, or to another one: whatever it was, it is over.
        (Some(_), NotificationType::ProfileChangeFailed | NotificationType::ProfileChangeAfterFallback) => {
            card.abandoned = None;
            false
        }
        _ => false,
    }
}

/// Which profiles have changed their state.
#[derive(Clone, Debug, Default)]
struct Changes {
    disabled: Option<ProfileInfo>,
    enabled: Option<ProfileInfo>,
}

/// Writes into the EIS that the profile in this ISD-P is the enabled one.
fn changed(card: &mut Card, enabled: &Aid) -> Changes {
    let mut changes = Changes::default();
    if card.profile_in(enabled).is_none() {
        tracing::warn!(eid = %card.eid(), %enabled, "the card has enabled an ISD-P that is not in its EIS");
        return changes;
    }
    for profile in &mut card.eis.profile_info {
        if profile.isd_p_aid == *enabled {
            if profile.state != ProfileState::Enabled {
                profile.state = ProfileState::Enabled;
                changes.enabled = Some(profile.clone());
            }
        } else if profile.state == ProfileState::Enabled {
            profile.state = ProfileState::Disabled;
            changes.disabled = Some(profile.clone());
        }
    }
    changes
}

impl Changes {
    /// The profile to which POL2 may apply once the card has been confirmed; not after a fall-back or a roll-back.
    fn left(&self, kind: NotificationType) -> Option<Iccid> {
        match kind {
            NotificationType::ProfileChangeSucceeded => self.disabled.as_ref().map(|profile| profile.iccid),
            _ => None,
        }
    }

    async fn tell(&self, context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
        for (profile, news) in [(&self.disabled, News::Disabled), (&self.enabled, News::Enabled)] {
            if let Some(profile) = profile {
                notifications::tell_owner(context, eid, profile, news, None).await?;
            }
        }
        Ok(())
    }
}

async fn confirm(
    context: &mut Context<'_, '_>,
    card: &Card,
    sequence: u16,
    via: Bearer,
) -> Result<(), Fault> {
    let job = Job {
        eid: card.eid(),
        target: isd_r(),
        script: one(es5::handle_notification_confirmation(sequence)),
        valid_until: context.now.plus(context.config.confirmation_time),
        more_to_do: false,
        urgent: true,
        via: Some(via),
        effect: Effect::ConfirmNotification(sequence),
        purpose: Purpose::Confirmation { sequence }.to_text()?,
    };
    bearer::enqueue(context.tx, context.now, job).await?;
    Ok(())
}

/// The card has answered a confirmation, or has not.
///
/// Without an answer nothing is known: the card goes back and says so, or it has heard and will not say more.
pub(super) async fn confirmed(
    context: &mut Context<'_, '_>,
    eid: Eid,
    sequence: u16,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let JobOutcome::Answered(response) = outcome else { return Ok(()) };
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let deleted = deleted_by_pol1(&mut card, &response);
    let left = match &mut card.last_notification {
        Some(taken) if taken.sequence == sequence => taken.left.take(),
        _ => None,
    };
    card.keep(context.tx)?;
    for profile in &deleted {
        notifications::tell_owner(context, eid, profile, News::Deleted, None).await?;
    }
    if let Some(operation) = under_way(context, eid).await? {
        switch::confirmed(context, card, operation, sequence).await?;
    }
    let Some(card) = context.card(eid).await? else { return Ok(()) };
    let deletes_itself = |profile: &&ProfileInfo| policy::deletes_itself(&profile.pol2);
    if let Some(profile) = left.and_then(|iccid| card.profile(iccid)).filter(deletes_itself) {
        let until = context.now.plus(context.config.own_function_time);
        submit(context, eid, Function::AutoDelete(profile.iccid), None, until).await?;
    }
    queue::advance(context, eid).await
}

/// The ISD-Ps that the card has deleted because their POL1 asks for it.
fn deleted_by_pol1(card: &mut Card, response: &ScriptResponse) -> Vec<ProfileInfo> {
    let answers = Answers::of(response);
    let Ok(data) = answers.only(Command::Confirm) else { return Vec::new() };
    let deleted = match es5::deleted_isd_ps(data) {
        Ok(deleted) => deleted,
        Err(e) => {
            tracing::warn!(eid = %card.eid(), %e, "the card's answer to a confirmation cannot be read");
            return Vec::new();
        }
    };
    let iccids: Vec<Iccid> =
        deleted.iter().filter_map(|aid| card.profile_in(aid)).map(|profile| profile.iccid).collect();
    iccids.into_iter().filter_map(|iccid| card.remove(iccid)).collect()
}
