//! AT commands for card access: +CSIM and +CRSM on the basic channel; +CCHO, +CGLA and +CCHC on
//! logical channels.

use world::CardInterface;

use super::general::action;
use super::line::{Parameters, Verb};
use super::quirk::Quirk;
use super::refusal::{CmeError, Refusal};
use super::registration::Functionality;
use super::{Answer, AtModem};
use crate::terminal::{self, StatusWord, Terminal};
use crate::usim::{self, Usim};

/// A session opened by +CCHO.
pub(super) struct Session {
    id: u32,
    channel: u8,
}

/// Instructions.
const MANAGE_CHANNEL: u8 = 0x70;
const SELECT: u8 = 0xA4;
const AUTHENTICATE: u8 = 0x88;
const GET_RESPONSE: u8 = 0xC0;
const STATUS: u8 = 0xF2;

impl<D: CardInterface> AtModem<D> {
    /// Returns the card, after the terminal's capabilities were announced to it.
    pub(super) async fn card(&mut self) -> Result<&mut Terminal<D>, Refusal> {
        if self.functionality == Functionality::Minimum {
            return Err(Refusal::Card(CmeError::SIM_FAILURE));
        }
        let terminal = self.modem.terminal();
        terminal.start().await?;
        Ok(terminal)
    }

    /// +CSIM, generic SIM access: section 8.17.
    pub(super) async fn csim(&mut self, verb: &Verb) -> Answer {
        let Some(parameters) = set_or_test(verb)? else { return Ok(vec![]) };
        let command = self.apdu(parameters, 0)?;
        let response = self.transmit(&command).await?;
        Ok(vec![format!("+CSIM: {}", self.in_hex(&response))])
    }

    /// +CCHO, open logical channel: section 8.45.
    pub(super) async fn ccho(&mut self, verb: &Verb) -> Answer {
        let Some(parameters) = set_or_test(verb)? else { return Ok(vec![]) };
        let df_name = parameters.octets(0)?.filter(|name| (1..=16).contains(&name.len()));
        let df_name = df_name.ok_or(CmeError::INCORRECT_PARAMETERS)?;
        let card = self.card().await?;
        let opened = card.command(usim::basic("MANAGE CHANNEL", MANAGE_CHANNEL, 0, 0, &[], Some(1))).await;
        let Ok([channel]) = opened.as_deref() else { return Err(Refusal::Card(CmeError::MEMORY_FULL)) };
        let channel = *channel;
        let select = terminal::Command { channel, ..usim::basic("SELECT", SELECT, 4, 0, &df_name, None) };
        if card.command(select).await.is_err() {
            // The selection failed, so the channel is closed. If the close fails too, the next
            // reset closes the channel.
            let _ = close(card, channel).await;
            return Err(Refusal::Card(CmeError::NOT_FOUND));
        }
        self.sessions_so_far = self.sessions_so_far.saturating_add(1);
        let id = if self.has(Quirk::CountedSessions) { self.sessions_so_far } else { u32::from(channel) };
        // If there is an earlier session on this channel, the program has closed that session's
        // channel itself with MANAGE CHANNEL.
        self.sessions.retain(|session| session.channel != channel);
        self.sessions.push(Session { id, channel });
        let prefix = if self.has(Quirk::BareSession) { "" } else { "+CCHO: " };
        Ok(vec![format!("{prefix}{id}")])
    }

    /// +CGLA, generic UICC logical channel access: section 8.43.
    pub(super) async fn cgla(&mut self, verb: &Verb) -> Answer {
        let Some(parameters) = set_or_test(verb)? else { return Ok(vec![]) };
        let channel = self.channel_of(parameters)?;
        let mut command = self.apdu(parameters, 1)?;
        if let [class, ins, _, p2, ..] = command.as_mut_slice() {
            // The GSM context of AUTHENTICATE is reserved for the modem.
            if *ins == AUTHENTICATE && *p2 & 0x07 == 0 {
                return Err(CmeError::OPERATION_NOT_ALLOWED.into());
            }
            *class = terminal::on_channel(*class, channel);
        }
        let response = self.transmit(&command).await?;
        Ok(vec![format!("+CGLA: {}", self.in_hex(&response))])
    }

    /// +CCHC, close logical channel: section 8.46.
    pub(super) async fn cchc(&mut self, verb: &Verb) -> Answer {
        let Some(parameters) = set_or_test(verb)? else { return Ok(vec![]) };
        let id = parameters.number::<u32>(0)?.ok_or(CmeError::INCORRECT_PARAMETERS)?;
        let at = self.sessions.iter().position(|session| session.id == id);
        let at = at.ok_or(Refusal::Card(CmeError::NOT_FOUND))?;
        let Session { channel, .. } = self.sessions.swap_remove(at);
        close(self.card().await?, channel).await?;
        Ok(vec!["+CCHC".to_owned()])
    }

    fn channel_of(&self, parameters: &Parameters) -> Result<u8, Refusal> {
        let id = parameters.number::<u32>(0)?.ok_or(CmeError::INCORRECT_PARAMETERS)?;
        match self.sessions.iter().find(|session| session.id == id) {
            Some(session) => Ok(session.channel),
            None if id == 0 && self.has(Quirk::SessionZero) => Ok(0),
            None => Err(Refusal::Card(CmeError::NOT_FOUND)),
        }
    }

    /// Parses `<length>,<command>`, beginning with parameter `at`.
    fn apdu(&self, parameters: &Parameters, at: usize) -> Result<Vec<u8>, Refusal> {
        let length = parameters.number::<usize>(at)?.ok_or(CmeError::INCORRECT_PARAMETERS)?;
        let text = parameters.text(at.saturating_add(1)).ok_or(CmeError::INCORRECT_PARAMETERS)?;
        let command = hex::decode(text).map_err(|_| CmeError::INCORRECT_PARAMETERS)?;
        let right = if self.has(Quirk::LengthInOctets) { command.len() } else { text.len() };
        if command.len() < 4 || (length != right && !self.has(Quirk::AnyLength)) {
            return Err(CmeError::INCORRECT_PARAMETERS.into());
        }
        Ok(command)
    }

    /// Formats `<length>,<response>`.
    fn in_hex(&self, response: &[u8]) -> String {
        let text = self.hex(response);
        let length = if self.has(Quirk::LengthInOctets) { response.len() } else { response.len() * 2 };
        format!("{length},{text}")
    }

    fn hex(&self, octets: &[u8]) -> String {
        let text = match self.has(Quirk::LowercaseHex) {
            true => hex::encode(octets),
            false => hex::encode_upper(octets),
        };
        if self.has(Quirk::UnquotedHex) { text } else { format!("\"{text}\"") }
    }

    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (gets_response, hides) = (self.has(Quirk::OwnGetResponse), self.has(Quirk::HidesProactive));
        let card = self.card().await?;
        let response = card.raw(command).await?;
        let response = match (response.as_slice(), command) {
            ([data @ .., 0x61, waiting], [class, ..]) if gets_response => {
                let more = card.raw(&[*class & 0x4F, GET_RESPONSE, 0, 0, *waiting]).await?;
                // If the card announces more data (61xx), this status is replaced by 9000, and the
                // rest of the response is lost.
                let more = match more.as_slice() {
                    [more @ .., 0x61, _] => [more, &[0x90, 0x00]].concat(),
                    more => more.to_vec(),
                };
                [data, &more].concat()
            }
            _ => response,
        };
        Ok(match response.as_slice() {
            [data @ .., 0x91, _] if hides => [data, &[0x90, 0x00]].concat(),
            _ => response,
        })
    }

    /// +CRSM, restricted SIM access: section 8.18. Each command begins with the selection of its
    /// file.
    pub(super) async fn crsm(&mut self, verb: &Verb) -> Answer {
        let Some(parameters) = set_or_test(verb)? else { return Ok(vec![]) };
        let incorrect = || Refusal::from(CmeError::INCORRECT_PARAMETERS);
        let ins = parameters.number::<u8>(0)?.ok_or_else(incorrect)?;
        let fid = parameters.number::<u16>(1)?;
        let [p1, p2, p3] = [parameters.number::<u8>(2)?, parameters.number(3)?, parameters.number(4)?]
            .map(Option::unwrap_or_default);
        let data = parameters.octets(5)?.unwrap_or_default();
        let path = parameters.octets(6)?.unwrap_or_default();
        let card = self.card().await?;
        let selected = match fid {
            Some(fid) => select_file(card, fid, &path).await?,
            None if ins == STATUS => terminal::Answer { data: vec![], status: StatusWord::OK },
            None => return Err(incorrect()),
        };
        let answer = match (ins, selected.status) {
            (GET_RESPONSE, _) => selected,
            (_, status) if status != StatusWord::OK => selected,
            // READ BINARY, READ RECORD, RETRIEVE DATA, STATUS
            (0xB0 | 0xB2 | 0xCB | STATUS, _) => {
                let class = if ins == STATUS { 0x80 } else { 0x00 };
                let read = usim::basic("+CRSM", ins, p1, p2, &data, Some(p3));
                card.exchange(terminal::Command { class, ..read }).await?
            }
            // UPDATE BINARY, UPDATE RECORD, SET DATA
            (0xD6 | 0xDC | 0xDB, _) if usize::from(p3) == data.len() => {
                card.exchange(usim::basic("+CRSM", ins, p1, p2, &data, None)).await?
            }
            _ => return Err(incorrect()),
        };
        let [sw1, sw2] = answer.status.to_bytes();
        let response = match answer.data.as_slice() {
            [] => String::new(),
            data => format!(",{}", self.hex(data)),
        };
        Ok(vec![format!("+CRSM: {sw1},{sw2}{response}")])
    }

    /// +CIMI, international mobile subscriber identity: section 5.6.
    pub(super) async fn cimi(&mut self, verb: &Verb) -> Answer {
        if *verb != Verb::Execute {
            return action(verb, Vec::new);
        }
        self.must_be_ready().await?;
        let usim = Usim::read(self.card().await?, None).await;
        Ok(vec![usim?.imsi.to_string()])
    }

    /// +CCID and similar commands, the ICCID. No standard defines such a command, so each
    /// manufacturer uses its own.
    pub(super) async fn ccid(&mut self, name: &str, verb: &Verb) -> Answer {
        match verb {
            Verb::Execute | Verb::Read => {
                let iccid = usim::read_iccid(self.card().await?).await?;
                Ok(vec![format!("{name}: {iccid}")])
            }
            Verb::Test => Ok(vec![]),
            Verb::Set(_) => Err(Refusal::Error),
        }
    }
}

/// Returns the parameters, or `None` for a test command.
fn set_or_test(verb: &Verb) -> Result<Option<&Parameters>, Refusal> {
    match verb {
        Verb::Set(parameters) => Ok(Some(parameters)),
        Verb::Test => Ok(None),
        Verb::Execute | Verb::Read => Err(Refusal::Error),
    }
}

async fn close<D: CardInterface>(card: &mut Terminal<D>, channel: u8) -> Result<(), terminal::CardError> {
    card.command(usim::basic("MANAGE CHANNEL", MANAGE_CHANNEL, 0x80, channel, &[], None)).await.map(drop)
}

/// Selects a file by its path from the MF. Without a path, an identifier 2Fxx is selected under the
/// MF, and any other identifier under the USIM and then under DF.TELECOM: TS 31.102 section 4.7.
async fn select_file<D: CardInterface>(
    card: &mut Terminal<D>,
    fid: u16,
    path: &[u8],
) -> Result<terminal::Answer, terminal::CardError> {
    // 7FFF in a path stands for the application of this channel.
    if usim::select_usim(card).await.is_err() {
        card.exchange(usim::basic("SELECT MF", SELECT, 0, 0x0C, &[0x3F, 0x00], None)).await?;
    }
    let path = path.strip_prefix(&[0x3F, 0x00]).unwrap_or(path);
    let candidates: &[&[u8]] = match (path, fid >> 8) {
        ([], 0x2F | 0x3F) => &[&[]],
        ([], _) => &[&[0x7F, 0xFF], &[0x7F, 0x10]],
        (path, _) => &[path],
    };
    let mut answer = terminal::Answer { data: vec![], status: StatusWord::FILE_NOT_FOUND };
    for path in candidates {
        let whole = [path, fid.to_be_bytes().as_slice()].concat();
        let (p1, whole) = match fid {
            0x3F00 => (0, vec![0x3F, 0x00]),
            _ => (8, whole),
        };
        answer = card.exchange(usim::basic("SELECT", SELECT, p1, 4, &whole, Some(0))).await?;
        if answer.status != StatusWord::FILE_NOT_FOUND {
            break;
        }
    }
    Ok(answer)
}
