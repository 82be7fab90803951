//! Messages from cards over short messages: responses to secured packets, as messages or in
//! delivery reports; delivery receipts; default notifications.

use rsp::{
    ids::Eid,
    ota::{
        script::ScriptResponse,
        secured_packet::ResponseStatus,
        sms::{Accepted, Address, PacketKind, UserData},
    },
};
use world::{
    Event, Fault, IncomingDelivery, MessageId, MessageState, Outcome, PhoneNumber, Receipt, ShortMessage,
};

use super::{
    Bearer, CardAccess, CardRefusal, JobId, JobOutcome,
    context::{Context, NOT_MANAGED},
    packet::{self, Response},
    policy::COUNTER_JUMP,
    records::{Awaits, JOBS, MESSAGES, Pending, TransmissionRef, What},
};

impl Context<'_, '_> {
    pub(super) async fn arrived(&mut self, arrived: &IncomingDelivery) -> Result<(), Fault> {
        match arrived {
            IncomingDelivery::Message(message) => {
                let eid = self.procedures.card_at(self.tx, &message.from).await?;
                self.message(eid, message).await
            }
            IncomingDelivery::Report(id, message) => {
                let eid = match self.tx.get(&MESSAGES, &id.0).await? {
                    Some(job) => Some(job.eid()),
                    None => self.procedures.card_at(self.tx, &message.from).await?,
                };
                self.message(eid, message).await
            }
            IncomingDelivery::Receipt(receipt) => self.receipt(receipt).await,
        }
    }

    async fn message(&mut self, eid: Option<Eid>, message: &ShortMessage) -> Result<(), Fault> {
        let Some(eid) = eid else {
            self.ignore(message.from.to_string(), "no card has the number of the sender");
            return Ok(());
        };
        self.outbound.card = Some(eid);
        let user_data = match UserData::parse(&message.user_data, message.has_header) {
            Ok(user_data) => user_data,
            Err(error) => {
                self.ignore(eid, format!("its user data is invalid: {error}"));
                return Ok(());
            }
        };
        let Some(from) = address(&message.from) else {
            self.ignore(eid, "the address of its sender is invalid");
            return Ok(());
        };
        let mut card = self.card(eid).await?;
        let before = card.partial.clone();
        let accepted = card.partial.accept(&from, user_data);
        if card.partial != before {
            self.put_card(eid, &card)?;
        }
        match accepted {
            Ok(Accepted::Whole(PacketKind::Response, octets)) => self.response(eid, &octets).await,
            Ok(Accepted::Whole(PacketKind::Command, octets)) => {
                self.command_by_packet(eid, &octets, &message.from).await
            }
            Ok(Accepted::Waiting { .. } | Accepted::Duplicate) => Ok(()),
            Ok(Accepted::Unsecured) => {
                self.ignore(eid, "it contains no secured packet");
                Ok(())
            }
            Err(error) => {
                self.ignore(eid, format!("its parts do not fit together: {error}"));
                Ok(())
            }
        }
    }

    /// Handles a response to a secured packet. The counter and the TAR identify the packet,
    /// whenever and on whichever way the response arrives.
    async fn response(&mut self, eid: Eid, octets: &[u8]) -> Result<(), Fault> {
        let Some(access) = self.managed(eid).await? else { return Ok(()) };
        // req: SGP.02-2.4.2-Forged
        let response = match packet::open_response(&access.scp80, octets) {
            Ok(response) => response,
            Err(why) => {
                self.ignore(eid, why.to_string());
                return Ok(());
            }
        };
        let answers = |by: &TransmissionRef| {
            matches!(by, TransmissionRef::Packet { kvn, counter, tar, .. }
                if (*kvn, *counter, *tar) == (response.kvn, response.counter, response.tar))
        };
        let found = self.jobs(eid).await?.into_iter().find_map(|(id, pending)| {
            let at = pending.sent.iter().position(|sent| answers(&sent.by))?;
            Some((id, pending, at))
        });
        let Some((id, pending, at)) = found else {
            // req: SGP.02-2.4.2-Late
            self.ignore_late(eid);
            return Ok(());
        };
        self.card_responded(eid).await?;
        self.answered_by_packet(&id, pending, at, &response).await?;
        self.step(eid).await
    }

    async fn answered_by_packet(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        at: usize,
        response: &Response,
    ) -> Result<(), Fault> {
        let Some(what) = pending.sent.get(at).map(|sent| sent.what) else { return Ok(()) };
        match response.status {
            ResponseStatus::Ok => match ScriptResponse::parse(&response.data) {
                Ok(script) => self.answered(id, pending, at, script).await,
                Err(error) => {
                    // The card executed the script, so it must not be sent again.
                    let why = format!("the card's answer cannot be read: {error}");
                    self.end(id, &pending, JobOutcome::NotDelivered(why)).await
                }
            },
            ResponseStatus::MoreTime => {
                let until = self.now.plus(self.config.slowest);
                pending.awaits = Awaits::Answer { until };
                self.put(id, &pending)
            }
            // The actual response is still to come.
            ResponseStatus::ActualResponseBySubmit | ResponseStatus::ActualResponseByUssd => Ok(()),
            ResponseStatus::CounterLow => self.counter_low(id, pending, at, response).await,
            status => match (what, pending.uncertain_response.clone()) {
                (What::Audit, Some(uncertain)) => {
                    self.end(id, &pending, JobOutcome::Answered(uncertain)).await
                }
                _ => {
                    let refusal = CardRefusal::Packet(status);
                    self.end(id, &pending, JobOutcome::Refused(refusal)).await
                }
            },
        }
    }

    /// Handles the status "counter low". The status has three possible causes. If the packet
    /// arrived twice, the response to the first copy is still to come or is lost. If the packet
    /// arrived after a later one, or if the server's counter is behind the card's, the card has not
    /// executed the packet. In any case, the next packet, which is sent at its regular time, gets a
    /// counter that is high enough.
    async fn counter_low(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        at: usize,
        response: &Response,
    ) -> Result<(), Fault> {
        let mut is_new = false;
        if let Some(TransmissionRef::Packet { low, .. }) = pending.sent.get_mut(at).map(|sent| &mut sent.by) {
            is_new = !*low;
            *low = true;
        }
        pending.last_failure = Some(ResponseStatus::CounterLow.to_string());
        self.put(id, &pending)?;
        let mut card = self.card(id.eid()).await?;
        if let Some(counter) = card.counters.get_mut(&response.kvn)
            && is_new
            && *counter == response.counter
        {
            let ahead = rsp::ota::secured_packet::Counter::new(counter.value().saturating_add(COUNTER_JUMP));
            *counter = ahead.unwrap_or(*counter);
            self.put_card(id.eid(), &card)?;
        }
        Ok(())
    }

    /// Handles a delivery receipt. A delivered message needs no action. A message that was not
    /// delivered is repeated earlier.
    async fn receipt(&mut self, receipt: &Receipt) -> Result<(), Fault> {
        let MessageId(name) = &receipt.id;
        let Some(id) = self.tx.get(&MESSAGES, name).await? else { return Ok(()) };
        self.tx.delete(&MESSAGES, name);
        let Some(mut pending) = self.tx.get(&JOBS, &id.to_string()).await? else { return Ok(()) };
        let is_lost = match receipt.state {
            MessageState::Expired
            | MessageState::Deleted
            | MessageState::Undeliverable
            | MessageState::Rejected => true,
            MessageState::Delivered | MessageState::Enroute | MessageState::Unknown => false,
        };
        // The job waits only for the response to the packet that was sent last.
        let is_last = matches!(pending.sent.last().map(|sent| &sent.by),
            Some(TransmissionRef::Packet { messages, .. }) if messages.contains(&receipt.id));
        if !is_lost || !is_last {
            return Ok(());
        }
        let soon = self.now.plus(self.config.answer_within);
        let (Awaits::Answer { until } | Awaits::Session { until }) = &mut pending.awaits else {
            return Ok(());
        };
        *until = (*until).min(soon);
        pending.last_failure = Some(match receipt.why.as_str() {
            "" => format!("the SMSC could not deliver a message ({:?})", receipt.state),
            why => format!("the SMSC could not deliver a message: {why}"),
        });
        self.put(&id, &pending)?;
        self.step(id.eid()).await
    }

    pub(super) fn ignore(&mut self, peer: impl ToString, why: impl Into<String>) {
        self.emit(
            Event::new(self.now, "SM-SR", "message ignored")
                .with_peer("ES5", peer.to_string())
                .with_outcome(Outcome::Refused(why.into())),
        );
    }

    /// Ignores a response whose job has ended.
    pub(super) fn ignore_late(&mut self, eid: Eid) {
        self.ignore(eid, "this response's job has ended");
    }

    /// Returns the access to the card. Ignores a message of a card that was handed over.
    pub(super) async fn managed(&mut self, eid: Eid) -> Result<Option<CardAccess>, Fault> {
        let access = self.procedures.card(self.tx, eid).await?;
        if access.is_none() {
            self.ignore(eid, NOT_MANAGED);
        }
        Ok(access)
    }

    async fn command_by_packet(&mut self, eid: Eid, octets: &[u8], from: &PhoneNumber) -> Result<(), Fault> {
        let Some(access) = self.managed(eid).await? else { return Ok(()) };
        match packet::open_command(&access.scp80, octets) {
            Ok(command) => {
                self.notification(eid, &command.data, Bearer::Sms, Some(from)).await?;
                self.step(eid).await
            }
            Err(why) => {
                self.ignore(eid, why.to_string());
                Ok(())
            }
        }
    }
}

/// Returns the sender's address for the reassembly of parts, which keeps the parts of different
/// senders apart: a card may have sent the first parts from another profile.
fn address(number: &PhoneNumber) -> Option<Address> {
    let type_of_address = 0x80 | number.ton() << 4 | number.npi();
    let of_digits = || Address::new(type_of_address, number.digits());
    // An alphanumeric address is represented by its first octets in hexadecimal.
    let of_text = || Address::new(ALPHANUMERIC, &hex::encode(number.digits().as_bytes().get(..10)?));
    of_digits().or_else(of_text)
}

const ALPHANUMERIC: u8 = 0xD0;
