//! Sending over short messages: scripts in secured packets, and triggers of HTTPS sessions
//! (GlobalPlatform Amendment B section 3.7, SGP.02 section 2.4.3).

use rsp::ota::{
    script::Form,
    secured_packet::{Counter, Tar},
    sms::{PacketKind, Reference, UserData, segments},
};
use rsp::{ids::Aid, sgp02::es5};
use world::{Event, Fault, MessageId, PhoneNumber, Receipts, ShortMessage, Submission, SubmitFault};

use super::{
    Bearer, CardAccess, Effect, JobId, JobOutcome, Scp80KeySet,
    context::{Context, NOT_MANAGED, Packet},
    packet,
    policy::{self, Repetition},
    queue::{JobState, delete_message_references},
    records::{Awaits, JOBS, MESSAGES, Pending, Sent, TransmissionRef, What},
};

/// Key set and address for sending a job.
struct Means {
    keys: Scp80KeySet,
    address: PhoneNumber,
}

/// A command to be secured.
struct Command {
    what: What,
    tar: Tar,
    data: Vec<u8>,
}

impl Context<'_, '_> {
    /// Sends a job to its card, for the first time or again.
    pub(super) async fn send_job(&mut self, id: &JobId, mut pending: Pending) -> Result<JobState, Fault> {
        if let Some(why) = unrecoverable(&pending) {
            return self.give_up(id, &pending, why).await;
        }
        if pending.tries >= self.config.tries {
            pending.last_failure.get_or_insert_with(|| "the card does not answer".into());
            return self.suspend(id, pending);
        }
        let Some(card) = self.procedures.card(self.tx, id.eid()).await? else {
            return self.give_up(id, &pending, NOT_MANAGED).await;
        };
        let Some(keys) = card.scp80.first().cloned() else {
            return self.give_up(id, &pending, "the card has no SCP80 key set").await;
        };
        let Some(address) = self.address(id, &pending, &card).await? else {
            pending.last_failure = Some("the card has no number for short messages".into());
            return self.suspend(id, pending);
        };
        let (script, target) = pending.script_now();
        let Some(tar) = Tar::of_aid(&target.0) else {
            return self.give_up(id, &pending, "the target's AID is too short to have a TAR").await;
        };
        let data = script.in_form(Form::Definite).to_bytes();
        let bearer = policy::bearer(self.config, &card, &pending.job, packet::messages(data.len()));
        let means = Means { keys, address };
        match (bearer, &self.config.https) {
            (Ok(Bearer::Https), Some(endpoint)) => {
                // The agent that opens sessions belongs to the ISD-R.
                let tar = Tar::of_aid(&Aid::ISD_R).unwrap_or(tar);
                let command = Command { what: What::Trigger, tar, data: endpoint.trigger.to_bytes() };
                self.send_command(id, pending, &means, command).await
            }
            (Ok(_), _) => {
                let command = Command { what: Self::what(&pending), tar, data };
                self.send_command(id, pending, &means, command).await
            }
            (Err(why), _) => self.give_up(id, &pending, &why).await,
        }
    }

    async fn give_up(&mut self, id: &JobId, pending: &Pending, why: &str) -> Result<JobState, Fault> {
        self.end(id, pending, JobOutcome::NotDelivered(why.to_owned())).await?;
        Ok(JobState::Ended)
    }

    /// Suspends a job until the card sends a message or the validity ends.
    fn suspend(&mut self, id: &JobId, mut pending: Pending) -> Result<JobState, Fault> {
        let why = pending.last_failure.clone().unwrap_or_default();
        self.emit(
            Event::new(self.now, "SM-SR", pending.job.effect.name())
                .with_peer("ES5", id.eid().to_string())
                .with_note(format!("waits for a message of the card: {why}")),
        );
        pending.awaits = Awaits::Card;
        self.put(id, &pending)?;
        Ok(JobState::Waiting)
    }

    /// Returns the number to send to. A confirmation goes to the sender of its notification,
    /// because the card may have changed its profile, and its number, since the procedures were
    /// informed.
    async fn address(
        &mut self,
        id: &JobId,
        pending: &Pending,
        card: &CardAccess,
    ) -> Result<Option<PhoneNumber>, Fault> {
        if let Effect::ConfirmNotification(number) = pending.job.effect
            && let Some(last_notification) = self.card(id.eid()).await?.notification
            && last_notification.sequence_number == number
            && last_notification.from.is_some()
        {
            return Ok(last_notification.from);
        }
        Ok(card.address.clone())
    }

    /// Allocates a counter, records its use, and has the packet sent after the commit.
    async fn send_command(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        means: &Means,
        command: Command,
    ) -> Result<JobState, Fault> {
        let row = policy::row(&pending.job.effect);
        let spi = match command.what {
            What::Trigger => policy::TRIGGER,
            What::Script | What::Audit => match self.config.por_bearer {
                Some(por_bearer) => rsp::ota::secured_packet::Spi { por_bearer, ..row.spi },
                None => row.spi,
            },
        };
        let kvn = means.keys.kvn;
        let mut card = self.card(id.eid()).await?;
        let used = card.counters.get(&kvn).copied().unwrap_or(means.keys.initial_counter);
        let is_unrepeatable = pending.is_unrepeatable();
        let same = pending.repeated_packet(command.what, row.repetition, kvn, used);
        let counter = match same {
            Some(times) => {
                *times = times.saturating_add(1);
                used
            }
            None if is_unrepeatable => return self.give_up(id, &pending, UNKNOWN).await,
            None => {
                let Some(counter) = used.next() else {
                    return self
                        .give_up(id, &pending, "the counter of the card's key set is exhausted")
                        .await;
                };
                card.counters.insert(kvn, counter);
                let by = TransmissionRef::Packet {
                    kvn,
                    counter,
                    tar: command.tar,
                    times: 1,
                    messages: Vec::new(),
                    low: false,
                };
                let sent = Sent { at: self.now, what: command.what, by };
                delete_message_references(self.tx, pending.record(sent).as_ref());
                counter
            }
        };
        self.put_card(id.eid(), &card)?;
        let sealed = packet::seal(&means.keys, spi, command.tar, counter, &command.data);
        // Lowest octet of the counter: different packets have different references, and a repeated
        // packet has the same one.
        let [.., reference] = counter.to_bytes();
        let parts = match segments(&sealed, PacketKind::Command, Reference::Short(reference)) {
            Ok(parts) => parts,
            Err(too_long) => return self.give_up(id, &pending, &too_long.to_string()).await,
        };
        pending.tries = pending.tries.saturating_add(1);
        let tries = pending.tries;
        let until = match command.what {
            What::Trigger => self.now.plus(self.config.wait(self.config.session_within, tries)),
            What::Script | What::Audit => self.now.plus(self.config.wait(self.config.answer_within, tries)),
        };
        pending.awaits = match command.what {
            What::Trigger => Awaits::Session { until },
            What::Script | What::Audit => Awaits::Answer { until },
        };
        self.put(id, &pending)?;
        self.emit(
            Event::new(self.now, "SM-SR", pending.name(command.what))
                .with_peer("ES5", id.eid().to_string())
                .with_bytes(sealed.len(), 0)
                .with_note(format!("SMS x {}, counter {}, try {tries}", parts.len(), counter.value())),
        );
        // The SMSC need not store a message that will be repeated. The last one is stored for a
        // device that becomes reachable later.
        let is_last = tries >= self.config.tries;
        let end = if is_last { pending.job.valid_until } else { until.min(pending.job.valid_until) };
        let submission = |part: &UserData| Submission {
            message: ShortMessage::to_card(
                self.config.address.clone(),
                means.address.clone(),
                part.to_bytes(),
            ),
            validity: Some(end.since(self.now)),
            receipts: Receipts::Always,
        };
        let parts = parts.iter().map(submission).collect();
        self.send(Packet { id: id.clone(), kvn, counter }, parts);
        Ok(JobState::Waiting)
    }

    /// Handles the result of submitting the parts of a packet to the SMSC.
    pub(super) async fn submitted(
        &mut self,
        packet: &Packet,
        results: &[Result<MessageId, SubmitFault>],
    ) -> Result<(), Fault> {
        let Some(mut pending) = self.tx.get(&JOBS, &packet.id.to_string()).await? else { return Ok(()) };
        let is_it = |by: &TransmissionRef| matches!(by, TransmissionRef::Packet { kvn, counter, .. } if (*kvn, *counter) == (packet.kvn, packet.counter));
        let fault = results.iter().find_map(|result| result.as_ref().err());
        if let Some(fault) = fault
            && fault.is_temporary()
            && fault.is_certain()
        {
            pending.undo_transmission(is_it);
            let soon = self.now.since(pending.since).max(self.config.unbound).min(self.config.answer_within);
            if let Awaits::Answer { until } | Awaits::Session { until } = &mut pending.awaits {
                *until = (*until).min(self.now.plus(soon));
            }
            pending.last_failure = Some(fault.to_string());
            self.put(&packet.id, &pending)?;
            return self.note_due(packet.id.eid()).await;
        }
        for message in results.iter().flatten() {
            self.tx.put(&MESSAGES, &message.0, &packet.id)?;
        }
        if let Some(TransmissionRef::Packet { messages, .. }) =
            pending.sent.iter_mut().map(|sent| &mut sent.by).find(|by| is_it(by))
        {
            messages.extend(results.iter().flatten().cloned());
        }
        match fault {
            Some(fault) if !fault.is_temporary() => {
                self.end(&packet.id, &pending, JobOutcome::NotDelivered(fault.to_string())).await?;
                self.step(packet.id.eid()).await
            }
            fault => {
                // The packet is repeated at its regular time even if the SMSC did not accept it.
                if let Some(fault) = fault {
                    pending.last_failure = Some(fault.to_string());
                }
                self.put(&packet.id, &pending)
            }
        }
    }
}

/// Reason for giving up a script that cannot be executed twice.
const UNKNOWN: &str = "the script was sent without a response, and it is unknown if the card has executed it";

/// Returns the reason if a script cannot be repeated and will not be answered any more, after its
/// time has ended: either the card has answered a repeated packet with "counter low", or it got the
/// script in a session that was interrupted.
fn unrecoverable(pending: &Pending) -> Option<&'static str> {
    let last = pending.sent.iter().rfind(|sent| sent.what == What::Script)?;
    match last.by {
        _ if !pending.is_unrepeatable() => None,
        TransmissionRef::Packet { low: true, times, .. } if times > 1 => {
            Some("the card has executed the script, but its response is lost")
        }
        TransmissionRef::Packet { low: true, .. } | TransmissionRef::Session { .. } => Some(UNKNOWN),
        TransmissionRef::Packet { .. } => None,
    }
}

impl Pending {
    /// Removes a transmission that did not take place or took place only in part.
    fn undo_transmission(&mut self, is_it: impl Fn(&TransmissionRef) -> bool) {
        self.tries = self.tries.saturating_sub(1);
        let Some(at) = self.sent.iter().position(|sent| is_it(&sent.by)) else { return };
        match self.sent.get_mut(at).map(|sent| &mut sent.by) {
            Some(TransmissionRef::Packet { times, .. }) if *times > 1 => *times -= 1,
            _ => drop(self.sent.remove(at)),
        }
    }

    /// Returns the number of transmissions of the packet if it must be repeated unchanged; `None`
    /// if a new one must be created. Only the last packet sent to the card can be repeated, because
    /// a later packet would have made its counter too low.
    fn repeated_packet(
        &mut self,
        what: What,
        repetition: Repetition,
        of_kvn: u8,
        used: Counter,
    ) -> Option<&mut u32> {
        if what != What::Script || repetition != Repetition::Same {
            return None;
        }
        let last = self.sent.iter_mut().rfind(|sent| sent.what == What::Script)?;
        match &mut last.by {
            TransmissionRef::Packet { kvn, counter, times, low: false, .. }
                if (*kvn, *counter) == (of_kvn, used) =>
            {
                Some(times)
            }
            _ => None,
        }
    }

    /// Returns the script to execute now and its target: the job's script, or the audit that shows
    /// if it was executed.
    pub(super) fn script_now(&self) -> (rsp::ota::script::Script, Aid) {
        match (&self.uncertain_response, self.job.effect.visible_effect()) {
            (Some(_), Some((aid, _))) => {
                let audit = rsp::ota::script::Script::of_apdus([es5::get_status(Some(aid))]);
                (audit, Aid(Aid::ISD_R.to_vec()))
            }
            _ => (self.job.script.clone(), self.job.target.clone()),
        }
    }
}
