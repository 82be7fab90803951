//! The terminal's side of the card interface: ISO/IEC 7816-4, TS 102 221 section 11, TS 102 223
//! section 6.
//!
//! A command returns its complete answer: GET RESPONSE and the repetition with the correct Le are
//! handled here. A pending proactive command (`91xx`) is remembered until
//! [`Terminal::serve_proactive`].

use std::ops::{Add, Sub};

use rsp::der::{DecodeError, tlv};
use serde::Serialize;
use world::{CardInterface, CardInterfaceFault};

pub use rsp::StatusWord;

/// Maximum length of an answer. Without a limit a card could occupy a device forever.
const MAX_ANSWER: usize = 1 << 20;

/// Maximum proactive commands executed in a row. A card that begins a session sends a handful.
const MAX_PROACTIVE: usize = 16;

/// The capabilities that a terminal announces to the card when it starts.
#[derive(Clone, Debug)]
pub(crate) struct Abilities {
    /// TERMINAL CAPABILITY (TS 102 221 section 11.1.19.2).
    pub(crate) capability: Vec<u8>,
    /// TERMINAL PROFILE (TS 102 223 section 5.2).
    pub(crate) profile: Vec<u8>,
}

impl Abilities {
    /// The capabilities of a device with an LPA: LUId, LPDd and LDSd. The toolkit supports profile
    /// download (octet 1) and REFRESH (octet 3).
    fn of_lpa() -> Self {
        Self::serving(vec![0x01, 0x00, 0x80])
    }

    /// The capabilities of a device with an IPA (SGP.32 section 3.8.4). The toolkit is that of a device
    /// with an LPA.
    pub(crate) fn of_ipa() -> Self {
        Self { capability: vec![0xA9, 0x03, 0x84, 0x01, 0x01], ..Self::of_lpa() }
    }

    /// The capabilities of a modem: as those of a device with an LPA, and SMS-PP data download (octet
    /// 1).
    pub(crate) fn of_modem() -> Self {
        Self::serving(vec![0x03, 0x00, 0x80])
    }

    /// The capabilities of a device with an LPA and this toolkit profile.
    pub(crate) fn serving(profile: Vec<u8>) -> Self {
        Self { capability: vec![0xA9, 0x03, 0x83, 0x01, 0x07], profile }
    }
}

/// A terminal with a card.
#[derive(Debug)]
pub struct Terminal<D> {
    card_interface: D,
    traffic: Traffic,
    /// The length of the pending proactive command.
    proactive: Option<u8>,
    is_started: bool,
    /// `None` for a client inside the card, which announces nothing.
    abilities: Option<Abilities>,
}

/// The number of APDUs and octets exchanged with the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Command APDUs. Each has one response.
    pub apdus: u64,
    /// Octets sent to the card.
    pub to_card: u64,
    /// Octets received from the card.
    pub from_card: u64,
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            apdus: self.apdus.saturating_add(other.apdus),
            to_card: self.to_card.saturating_add(other.to_card),
            from_card: self.from_card.saturating_add(other.from_card),
        }
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            apdus: self.apdus.saturating_sub(other.apdus),
            to_card: self.to_card.saturating_sub(other.to_card),
            from_card: self.from_card.saturating_sub(other.from_card),
        }
    }
}

/// The reason why a command failed. The variant identifies the party at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// There was no response APDU.
    #[error("{command}: {fault}")]
    Interface {
        /// The command.
        command: &'static str,
        /// The reason.
        fault: CardInterfaceFault,
    },
    /// The card answered with an error status word.
    #[error("{command}: the card answered {status}; look the status word up in TS 102 221 section 10.2")]
    Status {
        /// The command.
        command: &'static str,
        /// The status word.
        status: StatusWord,
    },
    /// The card's answer is malformed.
    #[error(
        "{command}: the card's answer violates the standard: {why}; record the APDUs and contact the manufacturer of the card"
    )]
    Answer {
        /// The command.
        command: &'static str,
        /// The violation.
        why: String,
    },
}

impl CardError {
    /// Creates the error for an answer to `command` that cannot be decoded.
    pub(crate) fn undecodable(command: &'static str, error: &DecodeError) -> Self {
        Self::Answer { command, why: error.to_string() }
    }

    /// Returns the status word, if there was one.
    pub fn status(&self) -> Option<StatusWord> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Interface { .. } | Self::Answer { .. } => None,
        }
    }

    /// True if the card may have executed the command although its answer is unknown.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Interface { .. } | Self::Answer { .. })
    }
}

/// A command to the card.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command<'a> {
    /// The name, for error messages.
    pub(crate) name: &'static str,
    /// 00 (ISO/IEC 7816-4) or 80 (TS 102 221, GlobalPlatform), without the channel.
    pub(crate) class: u8,
    pub(crate) channel: u8,
    pub(crate) ins: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    /// At most 255 octets.
    pub(crate) data: &'a [u8],
    pub(crate) le: Option<u8>,
}

/// The final answer to a command. The status is never `61xx` or `6Cxx`, and a status `91xx` is
/// replaced by `9000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) data: Vec<u8>,
    pub(crate) status: StatusWord,
}

impl<D: CardInterface> Terminal<D> {
    /// Creates a terminal with this card.
    pub fn new(card_interface: D) -> Self {
        Self {
            card_interface,
            traffic: Traffic::default(),
            proactive: None,
            is_started: false,
            abilities: Some(Abilities::of_lpa()),
        }
    }

    /// Sets the capabilities that are announced at the next start.
    pub(crate) fn set_abilities(&mut self, abilities: Abilities) {
        self.abilities = Some(abilities);
    }

    /// Announces no capabilities to the card.
    pub(crate) fn announce_nothing(&mut self) {
        self.abilities = None;
    }

    /// Returns the traffic so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Cycles the card's power. Channels, selections and verified PINs are lost.
    pub async fn reset(&mut self) -> Result<(), CardError> {
        self.was_reset();
        self.card_interface
            .reset()
            .await
            .map(drop)
            .map_err(|fault| CardError::Interface { command: "reset", fault })
    }

    /// Discards the state of the card after a reset by another user of the same card.
    pub(crate) fn was_reset(&mut self) {
        self.proactive = None;
        self.is_started = false;
    }

    /// Announces the capabilities, even if they were announced before. Returns true if a proactive
    /// command is pending.
    pub(crate) async fn start_anew(&mut self) -> Result<bool, CardError> {
        self.was_reset();
        self.start().await?;
        Ok(self.proactive.is_some())
    }

    /// Announces the capabilities once.
    ///
    /// An old card may not support TERMINAL CAPABILITY or TERMINAL PROFILE, so their status words
    /// are ignored.
    pub async fn start(&mut self) -> Result<(), CardError> {
        if self.is_started {
            return Ok(());
        }
        let Some(Abilities { capability, profile }) = self.abilities.clone() else { return Ok(()) };
        for (name, ins, data) in [
            ("TERMINAL CAPABILITY", 0xAA, capability.as_slice()),
            ("TERMINAL PROFILE", 0x10, profile.as_slice()),
        ] {
            self.exchange(Command { name, class: 0x80, channel: 0, ins, p1: 0, p2: 0, data, le: None })
                .await?;
        }
        self.is_started = true;
        Ok(())
    }

    /// Sends a command. Returns the data after `90xx` and `91xx`; any other status is an error.
    pub(crate) async fn command(&mut self, command: Command<'_>) -> Result<Vec<u8>, CardError> {
        let Answer { data, status } = self.exchange(command).await?;
        match status.0 >> 8 {
            0x90 | 0x91 => Ok(data),
            _ => Err(CardError::Status { command: command.name, status }),
        }
    }

    /// Sends a command and returns the answer with any status word.
    pub(crate) async fn exchange(&mut self, command: Command<'_>) -> Result<Answer, CardError> {
        let Command { name, class, channel, ins, p1, p2, data, mut le } = command;
        let mut apdu = header(class, channel, ins, p1, p2);
        let lc = u8::try_from(data.len()).map_err(|_| CardError::Interface {
            command: name,
            fault: CardInterfaceFault::Garbled(format!("{} octets do not fit into one command", data.len())),
        })?;
        if lc > 0 {
            apdu.push(lc);
            apdu.extend_from_slice(data);
        }
        let mut answer = self.transmit(name, &apdu, le).await?;
        if let [0x6C, right] = answer.status.to_bytes() {
            le = Some(right);
            answer = self.transmit(name, &apdu, le).await?;
        }
        while let [0x61, waiting] = answer.status.to_bytes() {
            let get_response = header(0x00, channel, 0xC0, 0, 0);
            let mut more = self.transmit(name, &get_response, Some(waiting)).await?;
            if let [0x6C, right] = more.status.to_bytes() {
                more = self.transmit(name, &get_response, Some(right)).await?;
            }
            if more.data.is_empty() && more.status.0 >> 8 == 0x61 {
                return Err(CardError::Answer { command: name, why: "61xx repeatedly without data".into() });
            }
            answer.data.extend(more.data);
            answer.status = more.status;
            if answer.data.len() > MAX_ANSWER {
                return Err(CardError::Answer {
                    command: name,
                    why: format!("more than {MAX_ANSWER} octets"),
                });
            }
        }
        if let [0x91, length] = answer.status.to_bytes() {
            // The command is complete. The pending proactive command is remembered, because the
            // caller does not handle it.
            self.proactive = Some(length);
            answer.status = StatusWord::OK;
        }
        Ok(answer)
    }

    /// Sends an APDU unchanged and returns the response unchanged, for a caller that interprets
    /// status words itself.
    ///
    /// If the response announces a proactive command, the terminal remembers it.
    pub(crate) async fn raw(&mut self, apdu: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        self.traffic.apdus = self.traffic.apdus.saturating_add(1);
        self.traffic.to_card = self.traffic.to_card.saturating_add(octets(apdu));
        let answer = self.card_interface.transmit(apdu).await?;
        self.traffic.from_card = self.traffic.from_card.saturating_add(octets(&answer));
        match (apdu, answer.as_slice()) {
            (_, [.., 0x91, length]) => self.proactive = Some(*length),
            // The caller sent FETCH itself, so no proactive command is pending any more.
            ([0x80, 0x12, ..], _) => self.proactive = None,
            _ => {}
        }
        Ok(answer)
    }

    async fn transmit(
        &mut self,
        command: &'static str,
        apdu: &[u8],
        le: Option<u8>,
    ) -> Result<Answer, CardError> {
        let apdu: Vec<u8> = apdu.iter().copied().chain(le).collect();
        self.traffic.apdus = self.traffic.apdus.saturating_add(1);
        self.traffic.to_card = self.traffic.to_card.saturating_add(octets(&apdu));
        let mut data = self
            .card_interface
            .transmit(&apdu)
            .await
            .map_err(|fault| CardError::Interface { command, fault })?;
        self.traffic.from_card = self.traffic.from_card.saturating_add(octets(&data));
        let (Some(sw2), Some(sw1)) = (data.pop(), data.pop()) else {
            let fault = CardInterfaceFault::Garbled("a response has at least two octets".into());
            return Err(CardError::Interface { command, fault });
        };
        Ok(Answer { data, status: StatusWord(u16::from_be_bytes([sw1, sw2])) })
    }

    /// Executes the pending proactive commands: REFRESH is performed, all others are declined.
    ///
    /// Returns true if the card was reset.
    pub async fn serve_proactive(&mut self) -> Result<bool, CardError> {
        for _ in 0..MAX_PROACTIVE {
            let Some(fetched) = self.fetch().await? else { return Ok(false) };
            match ProactiveCommand::read(&fetched)? {
                // There is no TERMINAL RESPONSE: the reset takes its place (TS 102 223 section
                // 6.4.7).
                ProactiveCommand::UiccReset => {
                    self.reset().await?;
                    return Ok(true);
                }
                ProactiveCommand::OtherRefresh(details) => self.terminal_response(details, PERFORMED).await?,
                ProactiveCommand::Other(details) => {
                    self.terminal_response(details, BEYOND_CAPABILITIES).await?
                }
            }
        }
        Err(CardError::Answer {
            command: "FETCH",
            why: "the card sends proactive commands without end".into(),
        })
    }

    async fn terminal_response(&mut self, details: [u8; 3], result: u8) -> Result<(), CardError> {
        let [number, kind, qualifier] = details;
        // Command details, device identities (terminal to UICC), result.
        let data = [0x81, 0x03, number, kind, qualifier, 0x82, 0x02, 0x82, 0x81, 0x83, 0x01, result];
        self.respond(&data).await
    }

    /// Fetches the pending proactive command, if there is one.
    pub(crate) async fn fetch(&mut self) -> Result<Option<Vec<u8>>, CardError> {
        let Some(length) = self.proactive.take() else { return Ok(None) };
        self.command(toolkit_command("FETCH", 0x12, &[], Some(length))).await.map(Some)
    }

    /// Sends TERMINAL RESPONSE.
    pub(crate) async fn respond(&mut self, data: &[u8]) -> Result<(), CardError> {
        self.command(toolkit_command("TERMINAL RESPONSE", 0x14, data, None)).await.map(drop)
    }

    /// Sends ENVELOPE. Any status word is accepted.
    pub(crate) async fn envelope(&mut self, data: &[u8]) -> Result<Answer, CardError> {
        self.exchange(toolkit_command("ENVELOPE", 0xC2, data, None)).await
    }

    /// Sends STATUS without data, which gives the card the opportunity to announce a proactive
    /// command.
    pub(crate) async fn status(&mut self) -> Result<(), CardError> {
        let status = Command { p2: 0x0C, ..toolkit_command("STATUS", 0xF2, &[], None) };
        self.exchange(status).await.map(drop)
    }
}

fn toolkit_command<'a>(name: &'static str, ins: u8, data: &'a [u8], le: Option<u8>) -> Command<'a> {
    Command { name, class: 0x80, channel: 0, ins, p1: 0, p2: 0, data, le }
}

/// General results: TS 102 223 section 8.12.
const PERFORMED: u8 = 0x00;
const BEYOND_CAPABILITIES: u8 = 0x30;

/// The kinds of proactive commands that this module distinguishes.
enum ProactiveCommand {
    /// REFRESH, "UICC reset".
    UiccReset,
    /// REFRESH of another kind: files must be read again. The modem reads them after every change,
    /// so no action is needed here.
    OtherRefresh([u8; 3]),
    /// Any other command.
    Other([u8; 3]),
}

impl ProactiveCommand {
    const REFRESH: u8 = 0x01;
    const UICC_RESET: u8 = 0x04;

    fn read(bytes: &[u8]) -> Result<Self, CardError> {
        let bad = |why: &str| CardError::Answer { command: "FETCH", why: why.into() };
        let (_, contents) =
            tlv::split(bytes).filter(|(tag, _)| tag.0 == 0xD0).ok_or_else(|| bad("not D0"))?;
        let elements = tlv::each(contents).map_err(|error| CardError::undecodable("FETCH", &error))?;
        let details = elements
            .iter()
            .filter_map(|element| tlv::split(element))
            .find(|(tag, _)| tag.0 & 0x7F == 0x01)
            .and_then(|(_, details)| <[u8; 3]>::try_from(details).ok())
            .ok_or_else(|| bad("no command details"))?;
        Ok(match details {
            [_, Self::REFRESH, Self::UICC_RESET] => Self::UiccReset,
            [_, Self::REFRESH, _] => Self::OtherRefresh(details),
            _ => Self::Other(details),
        })
    }
}

fn header(class: u8, channel: u8, ins: u8, p1: u8, p2: u8) -> Vec<u8> {
    vec![on_channel(class, channel), ins, p1, p2]
}

/// Returns the class byte with this channel. Channels from 4 on use class bytes of another form (TS
/// 102 221 section 10.1.1). That form encodes secure messaging differently, so the secure messaging
/// bits are not copied.
pub(crate) fn on_channel(class: u8, channel: u8) -> u8 {
    const FURTHER: u8 = 0x40;
    match (class & FURTHER != 0, channel < 4) {
        (false, true) => class & 0xFC | channel,
        (true, true) => class & 0x90 | channel,
        (_, false) => class & 0x90 | FURTHER | channel.saturating_sub(4) & 0x0F,
    }
}

fn octets(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
