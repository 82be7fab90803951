//! The jobs of a card: put, taken out, ended; which one is next, and when.

use rsp::{ids::Eid, time::Timestamp};
use world::{Event, Fault, Outcome, Tx};

use super::{
    Bearer, Effect, Job, JobId, JobOutcome,
    engine::Context,
    records::{Awaits, By, CARDS, DUE, JOBS, MESSAGES, Pending, Sent, What, key},
};

/// Puts a job behind the others of its card; an urgent one before those that are not. It is begun by
/// [`Engine::wake`](super::Engine::wake) after the commit.
///
/// # Errors
/// The records fail.
pub async fn enqueue(tx: &mut Tx<'_>, now: Timestamp, job: Job) -> Result<JobId, Fault> {
    let of_card = key(job.eid);
    let mut card = tx.get(&CARDS, &of_card).await?.unwrap_or_default();
    let id = JobId { eid: job.eid, urgent: job.urgent, number: card.next_job };
    card.next_job = card.next_job.saturating_add(1);
    if let (Effect::ConfirmNotification(number), Some(noticed)) = (&job.effect, &mut card.notification)
        && noticed.sequence_number == *number
    {
        // Should the card tell the same again, it is confirmed again without anybody being asked.
        noticed.confirmation = Some(job.clone());
    }
    tx.put(&CARDS, &of_card, &card)?;
    let pending = Pending {
        job,
        since: now,
        awaits: Awaits::Turn,
        tries: 0,
        sent: Vec::new(),
        doubt: None,
        trouble: None,
    };
    tx.put(&JOBS, &id.to_string(), &pending)?;
    tx.put(&DUE, &of_card, &now)?;
    Ok(id)
}

/// Takes a job out without [`job_ended`](super::Procedures::job_ended), because what it was for has come about otherwise or
/// is not wanted any more. If it was on its way the card may run it all the same; what it says to it is not heard. There
/// need not be such a job.
///
/// # Errors
/// The records fail.
pub async fn cancel(tx: &mut Tx<'_>, now: Timestamp, id: &JobId) -> Result<(), Fault> {
    if let Some(pending) = tx.get(&JOBS, &id.to_string()).await? {
        remove(tx, id, &pending);
        tx.put(&DUE, &key(id.eid), &now)?;
    }
    Ok(())
}

/// Forgets a card that is managed elsewhere from now on: its jobs, without telling of their end, and everything else that
/// is known of it here. Should it come back it is a new one.
///
/// # Errors
/// The records fail.
pub async fn forget(tx: &mut Tx<'_>, eid: Eid) -> Result<(), Fault> {
    for (name, pending) in tx.list(&JOBS, &format!("{eid}/")).await? {
        tx.delete(&JOBS, &name);
        forget_messages(tx, &pending.sent);
    }
    tx.delete(&CARDS, &key(eid));
    tx.delete(&DUE, &key(eid));
    Ok(())
}

fn remove(tx: &mut Tx<'_>, id: &JobId, pending: &Pending) {
    tx.delete(&JOBS, &id.to_string());
    forget_messages(tx, &pending.sent);
}

/// What the message centre says of them will mean nothing any more.
pub(super) fn forget_messages<'a>(tx: &mut Tx<'_>, sent: impl IntoIterator<Item = &'a Sent>) {
    for sent in sent {
        if let By::Packet { messages, .. } = &sent.by {
            for message in messages {
                tx.delete(&MESSAGES, &message.0);
            }
        }
    }
}

/// What became of a job that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Waiting,
    Ended,
}

impl Context<'_, '_> {
    /// The jobs of a card, in their order.
    pub(super) async fn jobs(&mut self, eid: Eid) -> Result<Vec<(JobId, Pending)>, Fault> {
        let stored = self.tx.list(&JOBS, &format!("{eid}/")).await?;
        stored
            .into_iter()
            .map(|(name, pending)| {
                let id = name.parse().map_err(|error| {
                    Fault::caused_by(
                        error,
                        "cannot understand the name of a job",
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

    /// A job is over: it goes, and whoever wanted it is told.
    pub(super) async fn end(
        &mut self,
        id: &JobId,
        pending: &Pending,
        outcome: JobOutcome,
    ) -> Result<(), Fault> {
        remove(self.tx, id, pending);
        let (told, note) = match &outcome {
            JobOutcome::Answered(_) | JobOutcome::AnsweredAgain(_) => (Outcome::Done, String::new()),
            JobOutcome::FoundDone(_) => {
                (Outcome::Done, "its answer was lost; an audit shows that it is done".into())
            }
            JobOutcome::Refused(refusal) => (Outcome::Refused(refusal.to_string()), String::new()),
            JobOutcome::Expired => {
                (Outcome::Failed("expired".into()), pending.trouble.clone().unwrap_or_default())
            }
            JobOutcome::NotDelivered(why) => (Outcome::Failed(why.clone()), String::new()),
        };
        self.tell(
            Event::new(self.now, "SM-SR", pending.job.effect.name())
                .with_peer("ES5", id.eid.to_string())
                .with_outcome(told)
                .with_note(note),
        );
        self.procedures.job_ended(self.tx, self.now, id, &pending.job, outcome).await
    }

    /// Does for a card what is to be done now, and notes when there is something to do next.
    pub(super) async fn step(&mut self, eid: Eid) -> Result<(), Fault> {
        while let Some((id, pending)) = self.next_to_do(eid).await? {
            let left = if pending.job.valid_until <= self.now {
                self.end(&id, &pending, JobOutcome::Expired).await?;
                Left::Ended
            } else {
                self.bring(&id, pending).await?
            };
            // What has ended makes room for the next.
            if left == Left::Waiting {
                break;
            }
        }
        self.note_due(eid).await
    }

    /// Whatever has expired; else the first job, if it is time for it.
    async fn next_to_do(&mut self, eid: Eid) -> Result<Option<(JobId, Pending)>, Fault> {
        let now = self.now;
        let in_session = self.card(eid).await?.session_until.is_some_and(|until| until > now);
        let jobs = self.jobs(eid).await?;
        let expired = jobs.iter().find(|(_, pending)| pending.job.valid_until <= now);
        let Some((id, pending)) = expired.or(first(&jobs)).cloned() else { return Ok(None) };
        let is_due = pending.job.valid_until <= now
            || match pending.awaits {
                // The session asks for it by itself.
                Awaits::Turn => !in_session,
                Awaits::Answer { until } | Awaits::Session { until } | Awaits::Response { until } => {
                    until <= now
                }
                Awaits::Card => false,
            };
        Ok(is_due.then_some((id, pending)))
    }

    pub(super) async fn note_due(&mut self, eid: Eid) -> Result<(), Fault> {
        let session_until = self.card(eid).await?.session_until;
        let jobs = self.jobs(eid).await?;
        let first = first(&jobs).and_then(|(_, pending)| match pending.awaits {
            Awaits::Turn => Some(session_until.unwrap_or(self.now)),
            Awaits::Answer { until } | Awaits::Session { until } | Awaits::Response { until } => Some(until),
            Awaits::Card => None,
        });
        let due = jobs.iter().map(|(_, pending)| pending.job.valid_until).chain(first).min();
        match due {
            Some(due) => self.tx.put(&DUE, &key(eid), &due),
            None => {
                self.tx.delete(&DUE, &key(eid));
                Ok(())
            }
        }
    }

    /// The card is there: what waited for it has its turn again.
    pub(super) async fn heard_of(&mut self, eid: Eid) -> Result<(), Fault> {
        for (id, mut pending) in self.jobs(eid).await? {
            if pending.awaits == Awaits::Card {
                pending.awaits = Awaits::Turn;
                pending.tries = 0;
                self.put(&id, &pending)?;
            }
        }
        Ok(())
    }

    /// What is to be sent for a job now.
    pub(super) fn what(pending: &Pending) -> What {
        if pending.doubt.is_some() { What::Audit } else { What::Script }
    }

    /// Whether a session may be given this job.
    pub(super) fn is_for_session(&self, pending: &Pending) -> bool {
        let under_way = matches!(pending.awaits, Awaits::Answer { until } if until > self.now);
        pending.job.via != Some(Bearer::Sms) && !under_way && !pending.is_out()
    }
}

/// The job whose turn it is: the first, unless one is out. One that waits for a sign of life holds up nobody that is
/// urgent: such a one may be that sign.
pub(super) fn first(jobs: &[(JobId, Pending)]) -> Option<&(JobId, Pending)> {
    let out = |(_, pending): &&(JobId, Pending)| pending.is_out() && pending.awaits != Awaits::Card;
    jobs.iter().find(out).or(jobs.first())
}
