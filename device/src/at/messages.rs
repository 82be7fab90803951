//! AT commands for short messages: TS 27.005.
//!
//! Received messages are stored in the memory of the modem, "ME", until they are deleted or the
//! modem is switched off. There is no storage on the card ("SM"), and messages are not stored before
//! they are sent. Messages for the card (SMS-PP data download) are passed on to it.

mod format;

use network::smsc::tpdu;
use network::{
    AttachId, MobileOriginated, MobileTerminated, RadioFault, RadioFuture, RpAnswer, RpCause, RpReport,
};
use rsp::ota::sms::{Address, SmsDeliver, SmsDeliverReport, SmsSubmit, ValidityPeriod};
use world::CardInterface;

use super::line::{Parameters, Verb};
use super::refusal::{CmsError, Refusal};
use super::registration_state::RegistrationState;
use super::{Answer, AtModem};
use crate::data_download;
use format::{Stored, number};

/// Maximum number of messages in "ME".
const MAX_MESSAGES: usize = 100;
/// Maximum number of result codes that wait for the end of data mode or of a prompt. Further
/// messages stay in the network.
const MAX_UNSOLICITED: usize = 100;
/// Maximum octets that are accepted after the prompt: the longest TPDU in hexadecimal, with the
/// address of the service centre, or the longest text.
const MAX_PROMPT: usize = 1024;

const CTRL_Z: u8 = 0x1A;
const ESCAPE: u8 = 0x1B;

/// TP-PID of a message that is acknowledged and discarded: TS 23.040 section 9.2.3.9.
const PID_TYPE_0: u8 = 0x40;

/// The settings of the message commands.
#[derive(Clone, Debug)]
pub(super) struct MessageSettings {
    /// +CMGF: true for text mode.
    is_text_mode: bool,
    /// +CSDH: true if text mode shows all header values.
    is_detailed: bool,
    /// `<mode>`, `<mt>`, `<bm>`, `<ds>` and `<bfr>` of +CNMI.
    indications: [u8; 5],
    /// `<vp>`, `<pid>` and `<dcs>` of +CSMP.
    submission: [u8; 3],
    /// +CSCA. Without an address the network chooses the service centre.
    service_centre: Option<Address>,
}

impl Default for MessageSettings {
    fn default() -> Self {
        Self {
            is_text_mode: false,
            is_detailed: false,
            indications: [0; 5],
            // 24 hours, no protocol, 7-bit alphabet.
            submission: [167, 0, 0],
            service_centre: None,
        }
    }
}

/// The text or TPDU that the modem awaits after its prompt.
pub(super) struct Prompt {
    awaited: Awaited,
    octets: Vec<u8>,
}

enum Awaited {
    /// The text of a message to this address.
    Text(Address),
    /// A TPDU of this length.
    Tpdu(usize),
}

/// The stored messages, and the connection to the network.
#[derive(Default)]
pub(super) struct Messages {
    /// The index of a message is its place in this list, counted from 1.
    stored: Vec<Option<Stored>>,
    /// TP-MR of the last message that was sent.
    reference: u8,
    /// The request for the next message, with the attachment that it belongs to.
    listening: Option<(AttachId, RadioFuture<'static, MobileTerminated>)>,
    arrived: Option<Result<MobileTerminated, RadioFault>>,
}

impl Messages {
    fn used(&self) -> usize {
        self.stored.iter().flatten().count()
    }

    /// Stores a message and returns its index, or `None` if the memory is full.
    fn store(&mut self, message: Stored) -> Option<usize> {
        let free = self.stored.iter().position(Option::is_none);
        let place = match free {
            Some(place) => place,
            None if self.stored.len() < MAX_MESSAGES => {
                self.stored.push(None);
                self.stored.len().checked_sub(1)?
            }
            None => return None,
        };
        *self.stored.get_mut(place)? = Some(message);
        place.checked_add(1)
    }

    fn at(&mut self, index: usize) -> Result<&mut Option<Stored>, Refusal> {
        let place = index.checked_sub(1).and_then(|place| self.stored.get_mut(place));
        Ok(place.filter(|stored| stored.is_some()).ok_or(CmsError::INVALID_INDEX)?)
    }
}

impl<D: CardInterface> AtModem<D> {
    /// Waits until the network has a short message for the device, or has lost the device. The next
    /// [`settle`](Self::settle) processes the event. The future can be dropped at any time.
    pub async fn network_event(&mut self) {
        if self.messages.arrived.is_some() {
            return;
        }
        let Some((plmn, attach)) = self.modem.attachment() else {
            self.messages.listening = None;
            return std::future::pending().await;
        };
        if self.messages.listening.as_ref().is_none_or(|(own, _)| *own != attach) {
            let (radio, own) = (self.modem.radio(), attach.clone());
            let listening = Box::pin(async move { radio.next_short_message(plmn, attach).await });
            self.messages.listening = Some((own, listening));
        }
        if let Some((_, listening)) = &mut self.messages.listening {
            self.messages.arrived = Some(listening.await);
            self.messages.listening = None;
        }
    }

    /// Processes the event of [`network_event`](Self::network_event).
    pub(super) async fn take_arrived(&mut self) {
        match self.messages.arrived.take() {
            None => {}
            Some(Ok(message)) => self.deliver(message).await,
            Some(Err(fault)) => self.network_lost(&fault),
        }
    }

    fn network_lost(&mut self, fault: &RadioFault) {
        tracing::warn!(%fault, "the modem has lost its network");
        self.modem.deregister();
        self.registration_state = RegistrationState::Searching;
        self.release_contexts();
        // If the host of the networks does not answer, the next periodic search tries again.
        self.search_due = !matches!(fault, RadioFault::Lost(_));
    }

    async fn deliver(&mut self, message: MobileTerminated) {
        let MobileTerminated { reference, service_centre, tpdu } = message;
        let answer = match SmsDeliver::parse(&tpdu) {
            Ok(deliver) if deliver.is_data_download() => {
                let terminal = self.modem.terminal();
                match data_download::deliver(terminal, &deliver, service_centre, tpdu).await {
                    Ok(download) => download.answer,
                    Err(error) => {
                        tracing::warn!(%error, "the card did not accept a short message");
                        RpAnswer::Error(RpCause::PROTOCOL_ERROR, Vec::new())
                    }
                }
            }
            Ok(deliver) => self.keep_or_show(Stored { is_read: false, service_centre, tpdu, deliver }),
            Err(error) => {
                tracing::warn!(%error, "the network sent a malformed short message");
                RpAnswer::Error(RpCause::INVALID_MESSAGE, Vec::new())
            }
        };
        if let Some((plmn, attach)) = self.modem.attachment() {
            let report = RpReport { attach, reference, answer };
            let radio = self.modem.radio();
            if let Err(fault) = radio.report_short_message(plmn, report).await {
                self.network_lost(&fault);
            }
        }
    }

    /// Stores a message, or shows it at once, as +CNMI requests: section 3.4.1.
    fn keep_or_show(&mut self, message: Stored) -> RpAnswer {
        let accepted = RpAnswer::Ack(SmsDeliverReport::default().to_bytes());
        if message.deliver.pid == PID_TYPE_0 {
            return accepted;
        }
        let [_, mt, ..] = self.settings.messages.indications;
        let is_shown = mt == 2 || (mt == 3 && message.class() == Some(3));
        if is_shown {
            if self.unsolicited.len() >= MAX_UNSOLICITED {
                return RpAnswer::Error(RpCause::MEMORY_CAPACITY_EXCEEDED, Vec::new());
            }
            self.unsolicited.push(message.shown(&self.settings.messages));
            return accepted;
        }
        let Some(index) = self.messages.store(message) else {
            return RpAnswer::Error(RpCause::MEMORY_CAPACITY_EXCEEDED, Vec::new());
        };
        if mt != 0 {
            self.unsolicited.push(format!("+CMTI: \"ME\",{index}"));
        }
        accepted
    }

    /// +CMGF, message format: section 3.2.3.
    pub(super) fn cmgf(&mut self, verb: &Verb) -> Answer {
        let is_text_mode = &mut self.settings.messages.is_text_mode;
        switch("+CMGF", is_text_mode, verb)
    }

    /// +CSDH, show text mode parameters: section 3.3.3.
    pub(super) fn csdh(&mut self, verb: &Verb) -> Answer {
        switch("+CSDH", &mut self.settings.messages.is_detailed, verb)
    }

    /// +CSMS, select message service: section 3.2.1. Only service 0 is supported, without
    /// acknowledgements by the program.
    pub(super) fn csms(&self, verb: &Verb) -> Answer {
        match verb {
            Verb::Read => Ok(vec!["+CSMS: 0,1,1,0".to_owned()]),
            Verb::Test => Ok(vec!["+CSMS: (0)".to_owned()]),
            Verb::Set(parameters) if parameters.number::<u8>(0)? == Some(0) => {
                Ok(vec!["+CSMS: 1,1,0".to_owned()])
            }
            Verb::Set(_) => Err(CmsError::NOT_SUPPORTED.into()),
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CPMS, preferred message storage: section 3.2.2.
    pub(super) fn cpms(&self, verb: &Verb) -> Answer {
        let usage = format!("{},{MAX_MESSAGES}", self.messages.used());
        match verb {
            Verb::Read => Ok(vec![format!("+CPMS: \"ME\",{usage},\"ME\",{usage},\"ME\",{usage}")]),
            Verb::Test => Ok(vec!["+CPMS: (\"ME\"),(\"ME\"),(\"ME\")".to_owned()]),
            Verb::Set(parameters) => {
                let mut named = (0..parameters.len()).map(|at| parameters.text(at));
                match parameters.len() <= 3 && named.all(|name| name == Some("ME")) {
                    true => Ok(vec![format!("+CPMS: {usage},{usage},{usage}")]),
                    false => Err(CmsError::NOT_SUPPORTED.into()),
                }
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CSCA, service centre address: section 3.3.1.
    pub(super) fn csca(&mut self, verb: &Verb) -> Answer {
        let address = &mut self.settings.messages.service_centre;
        match verb {
            Verb::Read => Ok(vec![match address {
                Some(address) => format!("+CSCA: \"{}\",{}", number(address), address.type_of_address()),
                None => "+CSCA: \"\",129".to_owned(),
            }]),
            Verb::Test => Ok(vec![]),
            Verb::Set(parameters) => {
                *address = Some(destination(parameters)?);
                Ok(vec![])
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CSMP, text mode parameters for messages that are sent: section 3.3.2.
    pub(super) fn csmp(&mut self, verb: &Verb) -> Answer {
        let [vp, pid, dcs] = self.settings.messages.submission;
        match verb {
            Verb::Read => Ok(vec![format!("+CSMP: {SUBMIT_WITH_VALIDITY},{vp},{pid},{dcs}")]),
            Verb::Test => Ok(vec![]),
            Verb::Set(parameters) => {
                // <fo> has no other value that this modem can use.
                if parameters.number::<u8>(0)?.is_some_and(|fo| fo != SUBMIT_WITH_VALIDITY) {
                    return Err(CmsError::INVALID_TEXT_PARAMETER.into());
                }
                self.settings.messages.submission = [
                    parameters.number(1)?.unwrap_or(vp),
                    parameters.number(2)?.unwrap_or(pid),
                    parameters.number(3)?.unwrap_or(dcs),
                ];
                Ok(vec![])
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CNMI, new message indications: section 3.4.1. Indications wait while the port is in data
    /// mode, whatever `<mode>` is. The networks send neither cell broadcasts nor status reports.
    pub(super) fn cnmi(&mut self, verb: &Verb) -> Answer {
        const MAXIMA: [u8; 5] = [2, 3, 3, 2, 1];
        let indications = &mut self.settings.messages.indications;
        match verb {
            Verb::Read => {
                let values = indications.map(|value| value.to_string());
                Ok(vec![format!("+CNMI: {}", values.join(","))])
            }
            Verb::Test => Ok(vec!["+CNMI: (0-2),(0-3),(0-3),(0-2),(0,1)".to_owned()]),
            Verb::Set(parameters) => {
                let mut requested = *indications;
                for (at, (value, maximum)) in requested.iter_mut().zip(MAXIMA).enumerate() {
                    *value = parameters.number(at)?.unwrap_or(*value);
                    if *value > maximum {
                        return Err(CmsError::NOT_SUPPORTED.into());
                    }
                }
                *indications = requested;
                Ok(vec![])
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CMGL, list messages: sections 3.4.2 and 4.1.
    pub(super) fn cmgl(&mut self, verb: &Verb) -> Answer {
        const NAMES: [&str; 5] = ["REC UNREAD", "REC READ", "STO UNSENT", "STO SENT", "ALL"];
        let settings = &self.settings.messages;
        let status = match verb {
            Verb::Test => {
                let names = NAMES.map(|name| format!("\"{name}\"")).join(",");
                return Ok(vec![match settings.is_text_mode {
                    true => format!("+CMGL: ({names})"),
                    false => "+CMGL: (0-4)".to_owned(),
                }]);
            }
            Verb::Execute => 0,
            Verb::Set(parameters) if settings.is_text_mode => {
                let named = parameters.text(0).unwrap_or_default();
                let status = NAMES.iter().position(|name| *name == named);
                status.ok_or(CmsError::INVALID_TEXT_PARAMETER)?
            }
            Verb::Set(parameters) => {
                let status = parameters.number::<usize>(0)?.unwrap_or(0);
                Some(status).filter(|status| *status < NAMES.len()).ok_or(CmsError::INVALID_PDU_PARAMETER)?
            }
            Verb::Read => return Err(Refusal::Error),
        };
        let mut lines = Vec::new();
        for (place, stored) in self.messages.stored.iter_mut().enumerate() {
            let Some(message) = stored else { continue };
            if status == 4 || status == usize::from(message.is_read) {
                lines.push(message.listed(place.saturating_add(1), settings));
                message.is_read = true;
            }
        }
        Ok(lines)
    }

    /// +CMGR, read message: sections 3.4.3 and 4.2.
    pub(super) fn cmgr(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Set(parameters) => parameters,
            Verb::Test => return Ok(vec![]),
            Verb::Execute | Verb::Read => return Err(Refusal::Error),
        };
        let index = parameters.number::<usize>(0)?.ok_or(CmsError::INVALID_INDEX)?;
        let message = self.messages.at(index)?.as_mut().ok_or(CmsError::INVALID_INDEX)?;
        let line = message.read(&self.settings.messages);
        message.is_read = true;
        Ok(vec![line])
    }

    /// +CMGD, delete message: section 3.5.4.
    pub(super) fn cmgd(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Set(parameters) => parameters,
            Verb::Test => {
                let used = self.messages.stored.iter().enumerate().filter(|(_, stored)| stored.is_some());
                let used: Vec<String> = used.map(|(place, _)| place.saturating_add(1).to_string()).collect();
                return Ok(vec![format!("+CMGD: ({}),(0-4)", used.join(","))]);
            }
            Verb::Execute | Verb::Read => return Err(Refusal::Error),
        };
        let stored = &mut self.messages.stored;
        match parameters.number::<u8>(1)?.unwrap_or(0) {
            0 => {
                let index = parameters.number::<usize>(0)?.ok_or(CmsError::INVALID_INDEX)?;
                *self.messages.at(index)? = None;
            }
            // 1 to 3 delete what was read, and also messages of kinds that are not stored here.
            1..=3 => stored.iter_mut().for_each(|place| drop(place.take_if(|message| message.is_read))),
            4 => stored.clear(),
            _ => return Err(CmsError::NOT_SUPPORTED.into()),
        }
        Ok(vec![])
    }

    /// +CMGS, send message: sections 3.5.1 and 4.3. The modem answers with a prompt.
    pub(super) fn cmgs(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Set(parameters) => parameters,
            Verb::Test => return Ok(vec![]),
            Verb::Execute | Verb::Read => return Err(Refusal::Error),
        };
        let awaited = if self.settings.messages.is_text_mode {
            Awaited::Text(destination(parameters)?)
        } else {
            Awaited::Tpdu(parameters.number(0)?.ok_or(CmsError::INVALID_PDU_PARAMETER)?)
        };
        self.prompt = Some(Prompt { awaited, octets: Vec::new() });
        Ok(vec![])
    }

    /// Processes an octet after the prompt.
    pub(super) async fn prompted(&mut self, octet: u8, out: &mut Vec<u8>) {
        let backspace = self.settings.backspace();
        let Some(prompt) = &mut self.prompt else { return };
        match octet {
            CTRL_Z => {
                let Some(prompt) = self.prompt.take() else { return };
                match self.send(prompt).await {
                    Ok(reference) => {
                        self.write_text(&format!("+CMGS: {reference}"), out);
                        self.write_result(Ok(()), out);
                    }
                    Err(refusal) => self.write_result(Err(refusal), out),
                }
            }
            // The message is not sent: section 3.5.1.
            ESCAPE => {
                self.prompt = None;
                self.write_result(Ok(()), out);
            }
            octet if octet == backspace => drop(prompt.octets.pop()),
            octet if prompt.octets.len() <= MAX_PROMPT => prompt.octets.push(octet),
            // Over the limit the message is refused as too long.
            _ => {}
        }
    }

    /// Sends a message and returns its reference.
    async fn send(&mut self, Prompt { awaited, octets }: Prompt) -> Result<u8, Refusal> {
        let (service_centre, mut tpdu) = match awaited {
            Awaited::Text(to) => {
                (self.settings.messages.service_centre.clone(), self.submission(to, &octets)?)
            }
            Awaited::Tpdu(length) => {
                let (service_centre, tpdu) =
                    with_service_centre(&octets).ok_or(CmsError::INVALID_PDU_PARAMETER)?;
                if tpdu.len() != length {
                    return Err(CmsError::INVALID_PDU_PARAMETER.into());
                }
                (service_centre.or_else(|| self.settings.messages.service_centre.clone()), tpdu)
            }
        };
        let (plmn, attach) = self.modem.attachment().ok_or(CmsError::NO_NETWORK_SERVICE)?;
        self.messages.reference = self.messages.reference.wrapping_add(1);
        let reference = self.messages.reference;
        // The modem assigns TP-MR: TS 23.040 section 9.2.3.6.
        *tpdu.get_mut(1).ok_or(CmsError::INVALID_PDU_PARAMETER)? = reference;
        let message = MobileOriginated { attach, service_centre, tpdu };
        match self.modem.radio().submit_short_message(plmn, message).await {
            Ok(RpAnswer::Ack(_)) => Ok(reference),
            Ok(RpAnswer::Error(cause, _)) => Err(CmsError::of_network(cause).into()),
            Err(fault) => {
                self.network_lost(&fault);
                Err(CmsError::NO_NETWORK_SERVICE.into())
            }
        }
    }

    /// Encodes a text as SMS-SUBMIT. With the default TP-DCS the characters decide the alphabet. With
    /// any other TP-DCS of 8-bit data or UCS2, the text is the hexadecimal form of the octets (section
    /// 3.1, `<data>`).
    fn submission(&self, destination: Address, octets: &[u8]) -> Result<Vec<u8>, Refusal> {
        let [vp, pid, dcs] = self.settings.messages.submission;
        let text = String::from_utf8_lossy(octets).replace('\r', "\n");
        let (dcs, user_data) = if dcs == 0 {
            tpdu::user_data_of_text(&text).ok_or(CmsError::INVALID_TEXT_PARAMETER)?
        } else {
            (dcs, format::user_data_with(&text, dcs).ok_or(CmsError::INVALID_TEXT_PARAMETER)?)
        };
        let validity = Some(ValidityPeriod::Relative(vp));
        let submit = SmsSubmit {
            reject_duplicates: false,
            status_report_request: false,
            message_reference: 0,
            destination,
            pid,
            dcs,
            validity,
            user_data,
        };
        Ok(submit.to_bytes())
    }
}

/// `<fo>` of an SMS-SUBMIT with a relative validity period.
const SUBMIT_WITH_VALIDITY: u8 = 17;

/// Executes a command with one parameter that is 0 or 1.
fn switch(name: &str, value: &mut bool, verb: &Verb) -> Answer {
    match verb {
        Verb::Read => return Ok(vec![format!("{name}: {}", u8::from(*value))]),
        Verb::Test => return Ok(vec![format!("{name}: (0,1)")]),
        Verb::Set(parameters) => match parameters.number::<u8>(0)?.unwrap_or(0) {
            0 => *value = false,
            1 => *value = true,
            _ => return Err(CmsError::NOT_SUPPORTED.into()),
        },
        Verb::Execute => return Err(Refusal::Error),
    }
    Ok(vec![])
}

/// Returns the address in the first two parameters, `<da>[,<toda>]`.
fn destination(parameters: &Parameters) -> Result<Address, Refusal> {
    let text = parameters.text(0).ok_or(CmsError::INVALID_TEXT_PARAMETER)?;
    let (implied, digits) = match text.strip_prefix('+') {
        Some(digits) => (0x91, digits),
        None => (0x81, text),
    };
    let kind = parameters.number::<u8>(1)?.unwrap_or(implied);
    Ok(Address::new(kind, digits).ok_or(CmsError::INVALID_TEXT_PARAMETER)?)
}

/// Splits a PDU in hexadecimal into the address of the service centre and the TPDU.
fn with_service_centre(octets: &[u8]) -> Option<(Option<Address>, Vec<u8>)> {
    let text: Vec<u8> = octets.iter().copied().filter(u8::is_ascii_graphic).collect();
    let octets = hex::decode(text).ok()?;
    let (length, rest) = octets.split_first()?;
    let (address, tpdu) = rest.split_at_checked(usize::from(*length))?;
    let address = if address.is_empty() { None } else { Some(Address::from_value(address).ok()?) };
    Some((address, tpdu.to_vec()))
}
