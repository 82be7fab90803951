//! Default notifications: SGP.02 section 4.1.1.11, and their confirmation, section 4.1.1.12.
//!
//! A card repeats a notification until it is confirmed, with the same sequence number. Each
//! repetition is confirmed again and not reported to the procedures again. The packet has no
//! counter, so an old one could be replayed: a sequence number lower than the last one is refused.

use rsp::{ids::Eid, sgp02::notification::DefaultNotification};
use world::{Event, Fault, Outcome, PhoneNumber};

use super::{
    Bearer, Job,
    context::Context,
    enqueue,
    records::{Awaits, Card, LastNotification},
};

/// Validity of a repeated confirmation: the time that a card may wait for it.
const CONFIRMATION_LIFETIME: std::time::Duration = std::time::Duration::from_secs(600);

/// Age of a notification according to its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    New,
    Repeated,
    Old,
}

impl Context<'_, '_> {
    /// Handles a notification (tag E1) of an authenticated card.
    pub(super) async fn notification(
        &mut self,
        eid: Eid,
        octets: &[u8],
        via: Bearer,
        from: Option<&PhoneNumber>,
    ) -> Result<(), Fault> {
        let notification = match DefaultNotification::parse(octets) {
            Ok(notification) => notification,
            Err(error) => {
                self.ignore(eid, format!("it is not a valid notification: {error}"));
                return Ok(());
            }
        };
        // req: SGP.02-4.1.1.11-Eid
        if notification.eid != eid {
            self.ignore(eid, format!("it has the EID of another card, {}", notification.eid));
            return Ok(());
        }
        let number = notification.sequence_number;
        let mut card = self.card(eid).await?;
        let age = age(&card, number);
        let event = Event::new(self.now, "SM-SR", "HandleDefaultNotification")
            .with_peer("ES5", eid.to_string())
            .with_bytes(0, octets.len());
        // req: SGP.02-4.1.1.11-Sequence
        if age == Age::Old {
            let why = format!("number {number} is lower than the last one");
            self.emit(event.with_outcome(Outcome::Refused(why)));
            return Ok(());
        }
        let again = if age == Age::Repeated { ", again" } else { "" };
        self.emit(event.with_note(format!("{:?}, number {number}{again}, by {via}", notification.kind)));
        let confirmation = match (age, card.notification.take()) {
            (Age::Repeated, Some(last_notification)) => last_notification.confirmation,
            _ => None,
        };
        card.notification = Some(LastNotification {
            sequence_number: number,
            from: from.cloned(),
            confirmation: confirmation.clone(),
        });
        self.put_card(eid, &card)?;
        self.card_responded(eid).await?;
        match (age, confirmation) {
            (Age::New, _) => self.procedures.notified(self.tx, self.now, eid, notification, via).await,
            // req: SGP.02-4.1.1.11-Repetition
            (_, Some(confirmation)) => self.confirm_again(confirmation, via).await,
            // No confirmation was requested for it.
            (_, None) => Ok(()),
        }
    }

    /// Confirms a notification again: the card has not received the confirmation, or received it
    /// too late.
    async fn confirm_again(&mut self, confirmation: Job, via: Bearer) -> Result<(), Fault> {
        for (id, mut pending) in self.jobs(confirmation.eid).await? {
            if pending.job.effect == confirmation.effect {
                pending.job.via = Some(via);
                pending.awaits = Awaits::Turn;
                pending.tries = 0;
                return self.put(&id, &pending);
            }
        }
        let valid_until = self.now.plus(CONFIRMATION_LIFETIME);
        let job = Job { valid_until, via: Some(via), urgent: true, more_to_do: false, ..confirmation };
        enqueue(self.tx, self.now, job).await.map(|_| ())
    }
}

/// Compares a sequence number with the last one. Numbers wrap around after 65535.
fn age(card: &Card, number: u16) -> Age {
    let Some(last) = card.notification.as_ref().map(|last_notification| last_notification.sequence_number)
    else {
        return Age::New;
    };
    match number.wrapping_sub(last) {
        0 => Age::Repeated,
        1..0x8000 => Age::New,
        _ => Age::Old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_is_new_repeated_or_old_also_after_wrap_around() {
        let age_after = |last: Option<u16>, number| {
            let last_notification =
                |sequence_number| LastNotification { sequence_number, from: None, confirmation: None };
            age(&Card { notification: last.map(last_notification), ..Card::default() }, number)
        };
        assert_eq!(age_after(None, 0), Age::New);
        assert_eq!(age_after(Some(7), 7), Age::Repeated);
        assert_eq!(age_after(Some(7), 8), Age::New);
        assert_eq!(age_after(Some(7), 6), Age::Old);
        assert_eq!(age_after(Some(0xFFFF), 0), Age::New);
        assert_eq!(age_after(Some(0), 0xFFFF), Age::Old);
    }
}
