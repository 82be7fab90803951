//! The jobs of a card: enqueuing, cancelling, ending; their order and times.

use rsp::{ids::Eid, time::Timestamp};
use world::{Event, Fault, Outcome, Tx};

use super::{
    Bearer, Effect, Job, JobId, JobOutcome,
    context::Context,
    records::{Awaits, CARDS, Card, DUE, JOBS, MESSAGES, Pending, Sent, TransmissionRef, What, key},
};

/// Enqueues a job behind the others of its card. An urgent job is enqueued before the jobs that are
/// not urgent. [`Engine::wake`](super::Engine::wake) starts it after the commit.
///
/// # Errors
/// Returns a fault if the records fail.
pub async fn enqueue(tx: &mut Tx<'_>, now: Timestamp, job: Job) -> Result<JobId, Fault> {
    let of_card = key(job.eid);
    let mut card = tx.get(&CARDS, &of_card).await?.unwrap_or_default();
    let id = JobId { eid: job.eid, urgent: job.urgent, number: card.next_job };
    card.next_job = card.next_job.saturating_add(1);
    if let (Effect::ConfirmNotification(number), Some(last_notification)) =
        (&job.effect, &mut card.notification)
        && last_notification.sequence_number == *number
    {
        // If the card repeats the notification, it is confirmed again without involving the
        // procedures.
        last_notification.confirmation = Some(job.clone());
    }
    tx.put(&CARDS, &of_card, &card)?;
    let pending = Pending {
        job,
        since: now,
        awaits: Awaits::Turn,
        tries: 0,
        sent: Vec::new(),
        uncertain_response: None,
        last_failure: None,
    };
    tx.put(&JOBS, &id.to_string(), &pending)?;
    tx.put(&DUE, &of_card, &now)?;
    Ok(id)
}

/// Removes a job without [`job_ended`](super::Procedures::job_ended), because it is not needed any
/// more. If it has been sent, the card may execute it, and its response is ignored. Does nothing if
/// the job does not exist.
///
/// # Errors
/// Returns a fault if the records fail.
pub async fn cancel(tx: &mut Tx<'_>, now: Timestamp, id: &JobId) -> Result<(), Fault> {
    if let Some(pending) = tx.get(&JOBS, &id.to_string()).await? {
        remove(tx, id, &pending);
        tx.put(&DUE, &key(id.eid), &now)?;
    }
    Ok(())
}

/// Deletes all data of a card that another SM-SR manages from now on. Its jobs end without being
/// reported. If the card comes back, it is a new one.
///
/// # Errors
/// Returns a fault if the records fail.
pub async fn forget(tx: &mut Tx<'_>, eid: Eid) -> Result<(), Fault> {
    for (name, pending) in tx.list(&JOBS, &format!("{eid}/")).await? {
        tx.delete(&JOBS, &name);
        delete_message_references(tx, &pending.sent);
    }
    tx.delete(&CARDS, &key(eid));
    tx.delete(&DUE, &key(eid));
    Ok(())
}

fn remove(tx: &mut Tx<'_>, id: &JobId, pending: &Pending) {
    tx.delete(&JOBS, &id.to_string());
    delete_message_references(tx, &pending.sent);
}

/// Deletes the references of submitted messages, whose receipts do not matter any more.
pub(super) fn delete_message_references<'a>(tx: &mut Tx<'_>, sent: impl IntoIterator<Item = &'a Sent>) {
    for sent in sent {
        if let TransmissionRef::Packet { messages, .. } = &sent.by {
            for message in messages {
                tx.delete(&MESSAGES, &message.0);
            }
        }
    }
}

/// Result of processing a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Waiting,
    Ended,
}

impl Context<'_, '_> {
    /// Returns the jobs of a card, in order.
    pub(super) async fn jobs(&mut self, eid: Eid) -> Result<Vec<(JobId, Pending)>, Fault> {
        let stored = self.tx.list(&JOBS, &format!("{eid}/")).await?;
        stored
            .into_iter()
            .map(|(name, pending)| {
                let id = name.parse().map_err(|error| {
                    Fault::caused_by(
                        error,
                        "cannot read the identifier of a job",
                        "restore the records from a copy",
                    )
                })?;
                Ok((id, pending))
            })
            .collect()
    }

    pub(super) fn put(&mut self, id: &JobId, pending: &Pending) -> Result<(), Fault> {
        self.tx.put(&JOBS, &id.to_string(), pending)
    }

    /// Ends a job: deletes its record and reports the outcome to the procedures.
    pub(super) async fn end(
        &mut self,
        id: &JobId,
        pending: &Pending,
        outcome: JobOutcome,
    ) -> Result<(), Fault> {
        remove(self.tx, id, pending);
        let mut card = self.card(id.eid).await?;
        let chain = card.chain.clone();
        card.note_chain(&pending.job, &outcome, self.now.plus(self.config.chain));
        if card.chain != chain {
            self.put_card(id.eid, &card)?;
        }
        let (reported, note) = match &outcome {
            JobOutcome::Answered(_) | JobOutcome::AnsweredAgain(_) => (Outcome::Done, String::new()),
            JobOutcome::FoundDone(_) => {
                (Outcome::Done, "its response was lost; an audit shows that it was executed".into())
            }
            JobOutcome::Refused(refusal) => (Outcome::Refused(refusal.to_string()), String::new()),
            JobOutcome::Expired => {
                (Outcome::Failed("expired".into()), pending.last_failure.clone().unwrap_or_default())
            }
            JobOutcome::NotDelivered(why) => (Outcome::Failed(why.clone()), String::new()),
        };
        self.emit(
            Event::new(self.now, "SM-SR", pending.job.effect.name())
                .with_peer("ES5", id.eid.to_string())
                .with_outcome(reported)
                .with_note(note),
        );
        self.procedures.job_ended(self.tx, self.now, id, &pending.job, outcome).await
    }

    /// Does all work that is due for a card, and stores the time of its next work.
    pub(super) async fn step(&mut self, eid: Eid) -> Result<(), Fault> {
        while let Some((id, pending)) = self.next_to_do(eid).await? {
            let left = if pending.job.valid_until <= self.now {
                self.end(&id, &pending, JobOutcome::Expired).await?;
                JobState::Ended
            } else {
                self.send_job(&id, pending).await?
            };
            // After the end of a job, the next one can begin.
            if left == JobState::Waiting {
                break;
            }
        }
        self.note_due(eid).await
    }

    /// Returns an expired job if there is one, otherwise the first job if it is due.
    async fn next_to_do(&mut self, eid: Eid) -> Result<Option<(JobId, Pending)>, Fault> {
        let now = self.now;
        let card = self.card(eid).await?;
        let in_session = card.session_until.is_some_and(|until| until > now);
        let jobs = self.jobs(eid).await?;
        let expired = jobs.iter().find(|(_, pending)| pending.job.valid_until <= now);
        let Some((id, pending)) = expired.or(first(&jobs, &card, now)).cloned() else { return Ok(None) };
        let is_due = pending.job.valid_until <= now
            || match pending.awaits {
                // The session fetches the job itself.
                Awaits::Turn => !in_session,
                Awaits::Answer { until } | Awaits::Session { until } | Awaits::Response { until } => {
                    until <= now
                }
                Awaits::Card => false,
            };
        Ok(is_due.then_some((id, pending)))
    }

    pub(super) async fn note_due(&mut self, eid: Eid) -> Result<(), Fault> {
        let card = self.card(eid).await?;
        let jobs = self.jobs(eid).await?;
        let first = first(&jobs, &card, self.now).and_then(|(_, pending)| match pending.awaits {
            Awaits::Turn => Some(card.session_until.unwrap_or(self.now)),
            Awaits::Answer { until } | Awaits::Session { until } | Awaits::Response { until } => Some(until),
            Awaits::Card => None,
        });
        let held = jobs.iter().filter_map(|(_, pending)| card.waits_for_chain(pending, self.now));
        let due = jobs.iter().map(|(_, pending)| pending.job.valid_until).chain(first).chain(held).min();
        match due {
            Some(due) => self.tx.put(&DUE, &key(eid), &due),
            None => {
                self.tx.delete(&DUE, &key(eid));
                Ok(())
            }
        }
    }

    /// Makes the jobs that wait for a message of the card eligible again.
    pub(super) async fn card_responded(&mut self, eid: Eid) -> Result<(), Fault> {
        for (id, mut pending) in self.jobs(eid).await? {
            if pending.awaits == Awaits::Card {
                pending.awaits = Awaits::Turn;
                pending.tries = 0;
                self.put(&id, &pending)?;
            }
        }
        Ok(())
    }

    /// Returns the content to send for a job now.
    pub(super) fn what(pending: &Pending) -> What {
        if pending.uncertain_response.is_some() { What::Audit } else { What::Script }
    }

    /// Returns true if a session can be given this job.
    pub(super) fn is_for_session(&self, pending: &Pending) -> bool {
        let awaits_answer = matches!(pending.awaits, Awaits::Answer { until } if until > self.now);
        pending.job.via != Some(Bearer::Sms) && !awaits_answer && !pending.is_unrepeatable()
    }
}

/// Returns the job to execute: the first one, unless another one has been sent and cannot be
/// executed twice. A job that waits for a message of the card does not delay an urgent one, whose
/// response could be that message. A job that could end a chain of scripts is left out.
pub(super) fn first<'a>(
    jobs: &'a [(JobId, Pending)],
    card: &Card,
    now: Timestamp,
) -> Option<&'a (JobId, Pending)> {
    let unrepeatable =
        |(_, pending): &&(JobId, Pending)| pending.is_unrepeatable() && pending.awaits != Awaits::Card;
    let may_begin = |(_, pending): &&(JobId, Pending)| card.waits_for_chain(pending, now).is_none();
    jobs.iter().find(unrepeatable).or_else(|| jobs.iter().find(may_begin))
}
