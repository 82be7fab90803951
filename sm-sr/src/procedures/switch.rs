//! Enabling and disabling of profiles: SGP.02 sections 3.2 to 3.5 and 4.1.1.2, 4.1.1.3.
//!
//! The card answers the command before it changes its profile. The result is known when its
//! notification arrives over the network of the new profile, and the change is final only if that
//! notification is confirmed. The caller therefore gets its response when the card has answered the
//! confirmation or has rolled back.

use rsp::{
    ids::{Aid, Iccid},
    sgp02::{
        Octets,
        eis::{Pol2Action, ProfileState},
        es5,
        notification::NotificationType,
        status::Status,
    },
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    AtCard, Function, Operation, Started, Step,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
    queue::end,
};
use crate::{
    context::Context,
    es5::{self as es5_engine, Effect, JobOutcome},
    policy,
    records::Card,
    state::switching::{SwitchStep, Switching},
};

pub(super) fn start_enable(card: &Card, operation: &Operation, iccid: Iccid) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Disabled])?;
    policy::check(profile, Pol2Action::Enable)?;
    if let Some(enabled) = card.enabled() {
        policy::check(enabled, Pol2Action::Disable)?;
    }
    let aid = &profile.isd_p_aid;
    Ok(Started::one_command(es5::enable_profile(aid), Effect::Enable(aid.clone())))
}

pub(super) fn start_disable(card: &Card, operation: &Operation, iccid: Iccid) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Enabled])?;
    check::not_fallback(profile)?;
    policy::check(profile, Pol2Action::Disable)?;
    if card.fallback().is_none() {
        // req: SGP.02-5.5-FallBack
        return Err(Status::IccidInvalidTransition
            .because("no profile has the fall-back attribute, so no other profile could be enabled")
            .about(iccid)
            .into());
    }
    let aid = &profile.isd_p_aid;
    Ok(Started::one_command(es5::disable_profile(aid), Effect::Disable(aid.clone())))
}

/// Returns the first step of a function whose script has been queued.
pub(super) fn first_step(card: &mut Card, function: &Function, at_card: AtCard) -> Step {
    let expected = match function {
        Function::EnableProfile(iccid) => card.profile(*iccid),
        Function::DisableProfile(_) => card.fallback(),
        _ => return Step::AtCard(at_card),
    };
    match expected.map(|profile| profile.isd_p_aid.clone()) {
        Some(expected) => {
            // A change that was given up earlier does not matter any more.
            card.abandoned = None;
            Step::Switching(Switching { expected, at: SwitchStep::Answer(at_card) })
        }
        // A missing profile cannot occur here, because both profiles were found when the function
        // began.
        None => Step::AtCard(at_card),
    }
}

/// Handles the card's response to the script.
pub(super) async fn answered(
    context: &mut Context<'_, '_>,
    card: Card,
    mut operation: Operation,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let Step::Switching(mut switching) = operation.step.clone() else { return Ok(()) };
    let data = match outcome {
        JobOutcome::Answered(response) => {
            let data = answer::octets_of(&response);
            if let Err(refusal) = Answers::of(&response).only(Command::Switch) {
                return end(context, card, operation, Outcome::refused(refusal).with_data(data)).await;
            }
            data
        }
        // An audit found the change. The notification will report it too.
        JobOutcome::FoundDone(_) => Octets::default(),
        other => {
            let refusal = answer::undelivered(other);
            return end(context, card, operation, Outcome::refused(refusal)).await;
        }
    };
    switching.at = SwitchStep::Notification { data };
    operation.step = Step::Switching(switching);
    operation.store(context)
}

/// Applies a notification to the function in progress: the card reports a changed profile, a
/// roll-back or a fall-back.
pub(super) async fn notified(
    context: &mut Context<'_, '_>,
    card: &Card,
    mut operation: Operation,
    kind: NotificationType,
    enabled: &Aid,
    sequence: u16,
) -> Result<NotificationEffect, Fault> {
    let Step::Switching(mut switching) = operation.step.clone() else {
        return Ok(NotificationEffect::Nothing);
    };
    if let Some(at_card) = switching.at_card() {
        // The response was lost or is late. The card has executed the command and reports the
        // result here.
        es5_engine::cancel(context.tx, context.now, &at_card.job).await?;
    }
    match kind {
        NotificationType::ProfileChangeSucceeded if *enabled == switching.expected => {
            let data = match switching.at {
                SwitchStep::Notification { data } => Some(data),
                SwitchStep::Answer(_) => None,
                SwitchStep::Confirmation { data, .. } => data,
            };
            switching.at = SwitchStep::Confirmation { data, sequence };
            operation.step = Step::Switching(switching);
            operation.store(context)?;
            Ok(NotificationEffect::Confirming)
        }
        NotificationType::ProfileChangeFailed => {
            let why = Status::EuiccExecutionError.because(
                "the card could not use the network of the profile, or got no confirmation, and has rolled back",
            );
            end(context, card.clone(), operation, Outcome::refused(why)).await?;
            Ok(NotificationEffect::Ended)
        }
        NotificationType::ProfileChangeAfterFallback => {
            let why = Status::EuiccExecutionError.because(
                "the card lost the network and has enabled the profile with the fall-back attribute",
            );
            end(context, card.clone(), operation, Outcome::refused(why)).await?;
            Ok(NotificationEffect::Ended)
        }
        // The card enabled another profile than the requested one.
        NotificationType::ProfileChangeSucceeded => {
            let why =
                Status::EuiccExecutionError.because(format!("the card has enabled ISD-P {enabled} instead"));
            end(context, card.clone(), operation, Outcome::refused(why)).await?;
            Ok(NotificationEffect::Ended)
        }
        _ => Ok(NotificationEffect::Nothing),
    }
}

/// Effect of a notification on the function in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotificationEffect {
    /// No effect, because the function does not concern the enabled profile.
    Nothing,
    /// The function continues when the confirmation has been accepted.
    Confirming,
    /// The function has ended.
    Ended,
}

/// Returns true if the function waits for the card to accept the confirmation of this notification.
pub(super) fn waits_for(operation: &Operation, confirmed: u16) -> bool {
    match &operation.step {
        Step::Switching(Switching { at: SwitchStep::Confirmation { sequence, .. }, .. }) => {
            *sequence == confirmed
        }
        _ => false,
    }
}

/// Ends the function after the card has accepted the confirmation that it [waits for](waits_for):
/// the change is final.
pub(super) async fn confirmed(
    context: &mut Context<'_, '_>,
    card: Card,
    operation: Operation,
) -> Result<(), Fault> {
    let data = match &operation.step {
        Step::Switching(Switching { at: SwitchStep::Confirmation { data, .. }, .. }) => data.clone(),
        _ => None,
    };
    end(context, card, operation, Outcome::done().with_data(data.unwrap_or_default())).await
}

/// Gives up a change. The card rolls back because its notification is not confirmed.
pub(super) async fn abandon(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    switching: &Switching,
) -> Result<(), Fault> {
    match &switching.at {
        SwitchStep::Answer(at_card) => {
            es5_engine::cancel(context.tx, context.now, &at_card.job).await?;
            card.abandoned = Some(switching.expected.clone());
        }
        SwitchStep::Notification { .. } => card.abandoned = Some(switching.expected.clone()),
        // The confirmation has been sent and may have arrived. The card's next message shows the
        // result.
        SwitchStep::Confirmation { .. } => {}
    }
    Ok(())
}
