//! The decoder, which interprets an exchange in the context of the previous ones with the same
//! card.

use std::collections::BTreeMap;
use std::ops::Range;

use rsp::der::{Reader, Shape, Shown, Tag, tlv};

use super::command::{self, Apdu};
use super::files::{Application, holds_keys};
use super::{Event, es10, status, toolkit};

/// Maximum length of an assembled request or answer. Further octets are ignored.
const MAX_TOGETHER: usize = 1 << 20;

/// A decoded exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The logical channel of a command.
    pub channel: Option<u8>,
    /// The name of the command in its standard.
    pub name: String,
    /// The object of the command: the file, the function, the PIN. Can be empty.
    pub what: String,
    /// The meaning of the status word, or the reason why there was no answer.
    pub status: String,
    /// Decoded elements of command and answer by name.
    pub details: Vec<(String, Shown)>,
    /// The range of hidden octets in the command.
    pub secret_in_command: Range<usize>,
    /// The range of hidden octets in the answer.
    pub secret_in_answer: Range<usize>,
}

/// Decodes the exchanges of one card.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    with_secrets: bool,
    channels: BTreeMap<u8, Channel>,
}

/// The state of a logical channel.
#[derive(Clone, Debug, Default)]
struct Channel {
    /// True if the trace contains the reset of the card or the selection on this channel.
    is_known: bool,
    /// The application that determines the file names. It is the MF in all directories outside an
    /// ADF.
    application: Application,
    /// The ADF that 7FFF stands for.
    adf: Application,
    /// The current directory in the application; 0 for the application itself.
    directory: u16,
    /// The current EF.
    file: Option<String>,
    /// The STORE DATA blocks received so far.
    request: Vec<u8>,
    /// The incomplete answer, which GET RESPONSE continues.
    unfinished: Option<Answer>,
}

/// The data of an answer received so far.
#[derive(Clone, Debug)]
struct Answer {
    of: String,
    kind: AnswerKind,
    is_secret: bool,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerKind {
    ControlParameters,
    Es10,
    Authentication,
    ProactiveCommand,
    Other,
}

impl Decoder {
    /// Creates a decoder. PINs and keys are hidden unless `with_secrets` is set.
    pub fn new(with_secrets: bool) -> Self {
        Self { with_secrets, channels: BTreeMap::new() }
    }

    /// Decodes the next exchange.
    pub fn decode(&mut self, event: &Event) -> Decoded {
        match event {
            Event::Reset { atr } => {
                self.channels = BTreeMap::from([(0, Channel { is_known: true, ..Channel::default() })]);
                let details = vec![("atr".to_owned(), Shown::Octets(atr.clone()))];
                Decoded { name: "reset".to_owned(), details, ..Decoded::default() }
            }
            Event::Fault { command, why } => {
                let apdu = Apdu::parse(command);
                let no_apdu = if command.is_empty() { "reset" } else { NO_APDU };
                Decoded {
                    channel: apdu.map(Apdu::channel),
                    name: apdu.map_or(no_apdu, Apdu::name).to_owned(),
                    status: why.clone(),
                    secret_in_command: self.secret_in_command(command),
                    ..Decoded::default()
                }
            }
            Event::Command { command, answer } => self.command(command, answer),
        }
    }

    fn command(&mut self, command: &[u8], answer: &[u8]) -> Decoded {
        let (data, status) =
            answer.split_last_chunk::<2>().map_or((answer, None), |(data, sw)| (data, Some(*sw)));
        let status_text = status.map_or("no status word".to_owned(), |[sw1, sw2]| status::status(sw1, sw2));
        let secret_in_command = self.secret_in_command(command);
        let Some(apdu) = Apdu::parse(command) else {
            let name = NO_APDU.to_owned();
            return Decoded { name, status: status_text, secret_in_command, ..Decoded::default() };
        };
        let sw1 = status.map_or(0, |[sw1, _]| sw1);
        let mut decoded = Decoded {
            channel: Some(apdu.channel()),
            name: apdu.name().to_owned(),
            what: apdu.parameters(),
            status: status_text,
            secret_in_command,
            ..Decoded::default()
        };
        let channel = self.channels.entry(apdu.channel()).or_default();
        let unfinished = channel.unfinished.take();
        let mut whole = match (apdu.ins, unfinished) {
            (GET_RESPONSE, Some(answer)) => {
                decoded.what = format!("to {}", answer.of);
                answer
            }
            _ => channel.begin(&apdu, data, sw1, &mut decoded),
        };
        whole.is_secret |= whole.kind == AnswerKind::Authentication
            && data.first().is_some_and(|tag| *tag != SYNCHRONISATION_FAILURE);
        if whole.is_secret && !self.with_secrets {
            decoded.secret_in_answer = 0..data.len();
        }
        whole.data.extend_from_slice(data);
        whole.data.truncate(MAX_TOGETHER);
        // A GET RESPONSE with a wrong length does not lose the answer: ISO/IEC 7816-4 section 5.6.
        if sw1 == 0x61 || (apdu.ins, sw1) == (GET_RESPONSE, 0x6C) {
            channel.unfinished = Some(whole);
        } else if !whole.data.is_empty() {
            let hidden = whole.is_secret && !self.with_secrets;
            decoded.details.extend(whole.shown(hidden));
        }
        if apdu.ins == 0x70 && sw1 & 0xFE == 0x90 {
            self.manage_channel(&apdu, data);
        }
        decoded
    }

    /// Returns the range of a command that contains PINs, or data for a file with keys. If the
    /// lengths are inconsistent, neither the file nor the beginning of its data is known, so the
    /// whole body is hidden.
    fn secret_in_command(&self, command: &[u8]) -> Range<usize> {
        let is_secret = |apdu: &Apdu<'_>| {
            let channel = self.channels.get(&apdu.channel());
            let file = channel.filter(|_| is_update(apdu.ins)).and_then(|channel| channel.file_of(apdu));
            command::holds_codes(apdu.ins) || file.is_some_and(|file| holds_keys(&file))
        };
        match (Apdu::parse(command), command) {
            _ if self.with_secrets => 0..0,
            (Some(apdu), _) if is_secret(&apdu) => apdu.data_at..apdu.data_at.saturating_add(apdu.data.len()),
            (None, [_, ins, _, _, _, ..]) if command::holds_codes(*ins) || is_update(*ins) => {
                4..command.len()
            }
            _ => 0..0,
        }
    }

    /// Forgets the state of a channel that is opened or closed.
    fn manage_channel(&mut self, apdu: &Apdu<'_>, data: &[u8]) {
        let number = if apdu.p1 == 0x80 { apdu.p2 } else { data.first().copied().unwrap_or(apdu.p2) };
        self.channels.insert(number, Channel { is_known: true, ..Channel::default() });
    }
}

/// The tag of an authentication failure because of the sequence number. It is followed by AUTS,
/// which is sent in clear over the air.
const SYNCHRONISATION_FAILURE: u8 = 0xDC;

const GET_RESPONSE: u8 = 0xC0;

const NO_APDU: &str = "not an APDU";

fn is_update(ins: u8) -> bool {
    matches!(ins, 0xD6 | 0xDC | 0xDB)
}

impl Channel {
    /// Processes a command, or a GET RESPONSE whose command is not in the trace. `data` is the data
    /// of the answer. Returns the answer to be completed.
    fn begin(&mut self, apdu: &Apdu<'_>, data: &[u8], sw1: u8, decoded: &mut Decoded) -> Answer {
        let is_done = matches!(sw1, 0x90..=0x92 | 0x61..=0x63);
        self.assume_application(apdu, sw1, decoded);
        let mut answer = Answer {
            of: apdu.name().to_owned(),
            kind: AnswerKind::Other,
            is_secret: false,
            data: Vec::new(),
        };
        match apdu.ins {
            0xA4 => {
                answer.kind = AnswerKind::ControlParameters;
                let before = self.clone();
                decoded.what = self.select(apdu);
                if !is_done {
                    *self = before;
                }
            }
            0xE2 if self.application == Application::IsdR => {
                answer.kind = AnswerKind::Es10;
                answer.of = self.store_data(apdu, decoded);
            }
            0x88 | 0x89 => {
                answer.kind = AnswerKind::Authentication;
                if let [16, rand @ ..] = apdu.data
                    && let Some((rand, rest)) = rand.split_at_checked(16)
                {
                    decoded.details.push(("RAND".to_owned(), Shown::Octets(rand.to_vec())));
                    if let [16, autn @ ..] = rest {
                        decoded.details.push(("AUTN".to_owned(), Shown::Octets(autn.to_vec())));
                    }
                }
            }
            GET_RESPONSE => {
                "an unknown command".clone_into(&mut answer.of);
                decoded.what = format!("to {}", answer.of);
                // The preceding command is unknown, so the answer may contain secrets, unless its
                // tag belongs to a type without secrets.
                answer.kind = self.kind_of_continued(data);
                answer.is_secret = answer.kind == AnswerKind::Other;
            }
            0x12 => answer.kind = AnswerKind::ProactiveCommand,
            0x14 => {
                if let Some((what, shown)) = toolkit::terminal_response(apdu.data) {
                    decoded.what = what;
                    decoded.details.push(("terminalResponse".to_owned(), shown));
                }
            }
            0xC2 => {
                let (what, shown) = toolkit::envelope(apdu.data);
                decoded.what = what;
                decoded.details.push(("envelope".to_owned(), shown));
            }
            0xF2 => answer.kind = AnswerKind::ControlParameters,
            _ if command::holds_codes(apdu.ins) => {}
            _ => {
                let hidden = self.file_command(apdu, decoded, &mut answer);
                if !apdu.data.is_empty() && !hidden {
                    decoded.details.push(("data".to_owned(), Shown::Octets(apdu.data.to_vec())));
                }
            }
        }
        answer
    }

    /// Returns the kind of an answer by its first octets. The ISD-R is assumed if they are the
    /// response of one of its functions.
    fn kind_of_continued(&mut self, data: &[u8]) -> AnswerKind {
        if es10::has_response(data) {
            (self.is_known, self.application) = (true, Application::IsdR);
            return AnswerKind::Es10;
        }
        match data {
            [0x62 | 0x6F, ..] if control_parameters(data).is_some() => AnswerKind::ControlParameters,
            _ => AnswerKind::Other,
        }
    }

    /// Assumes an application if the trace begins after its selection and the command belongs to one
    /// application. The details say so.
    fn assume_application(&mut self, apdu: &Apdu<'_>, sw1: u8, decoded: &mut Decoded) {
        // The MF has no STORE DATA. If the card has executed the command, then the trace lacks the
        // selection of an application. Otherwise the terminal may have omitted the selection.
        let is_for_isd_r = apdu.ins == 0xE2
            && apdu.is_proprietary()
            && self.application == Application::Mf
            && matches!(sw1, 0x61 | 0x90 | 0x91);
        if self.is_known && !is_for_isd_r {
            return;
        }
        let selects_adf = apdu.data.as_chunks::<2>().0.contains(&[0x7F, 0xFF]);
        let is_usim_file = || match apdu.data {
            [high, low] => {
                let fid = u16::from_be_bytes([*high, *low]);
                Application::Mf.file(0, fid).is_none() && Application::Usim.file(0, fid).is_some()
            }
            _ => false,
        };
        let application = match (apdu.ins, apdu.p1) {
            (0xE2, _) if apdu.is_proprietary() => Application::IsdR,
            (0x88 | 0x89, _) => Application::Usim,
            (0x78, _) if apdu.is_proprietary() => Application::Usim,
            (0xA4, 0x00 | 0x08 | 0x09) if selects_adf || is_usim_file() => Application::Usim,
            _ => return,
        };
        (self.is_known, self.application, self.adf) = (true, application, application);
        let text =
            format!("{}, assumed because the trace does not contain its selection", application.name());
        decoded.details.push(("application".to_owned(), Shown::Text(text)));
    }

    /// Describes a command for an EF. Returns true if the command writes keys.
    fn file_command(&mut self, apdu: &Apdu<'_>, decoded: &mut Decoded, answer: &mut Answer) -> bool {
        let Some(name) = self.file_of(apdu) else { return false };
        answer.is_secret = holds_keys(&name);
        decoded.what = if decoded.what.is_empty() { name } else { format!("{name}, {}", decoded.what) };
        answer.is_secret && is_update(apdu.ins)
    }

    /// Returns the EF that a command concerns, if it concerns one and the EF is known.
    fn file_of(&self, apdu: &Apdu<'_>) -> Option<String> {
        if !apdu.is_for_file() {
            return None;
        }
        match apdu.short_identifier() {
            0 => self.file.clone(),
            sfi => {
                let named = self.application.short_file(self.directory, sfi);
                Some(named.unwrap_or_else(|| format!("file with SFI {sfi:02X}")))
            }
        }
    }

    fn select(&mut self, apdu: &Apdu<'_>) -> String {
        let digits = hex::encode_upper(apdu.data);
        match apdu.p1 {
            0x04 => {
                let application = Application::of(apdu.data);
                *self = Self { is_known: true, application, adf: application, ..Self::default() };
                format!("by name {digits}: {}", application.name())
            }
            0x03 => {
                (self.directory, self.file) = (0, None);
                "parent directory".to_owned()
            }
            0x08 | 0x09 => {
                if apdu.p1 == 0x08 {
                    (self.application, self.directory, self.file) = (Application::Mf, 0, None);
                }
                let (steps, _) = apdu.data.as_chunks::<2>();
                let mut name = String::new();
                for step in steps {
                    name = self.step(u16::from_be_bytes(*step));
                }
                let steps: Vec<String> = steps.iter().map(hex::encode_upper).collect();
                format!("by path {}: {name}", steps.join("/"))
            }
            _ => match apdu.data {
                [high, low] => {
                    let name = self.step(u16::from_be_bytes([*high, *low]));
                    format!("by identifier {digits}: {name}")
                }
                [] => {
                    let name = self.step(0x3F00);
                    format!("without identifier: {name}")
                }
                _ => format!("by identifier {digits}"),
            },
        }
    }

    /// Selects the file with this identifier and returns its name.
    fn step(&mut self, fid: u16) -> String {
        let name = self.application.file(self.directory, fid).unwrap_or_else(|| "unknown file".to_owned());
        match fid {
            0x3F00 => (self.application, self.directory, self.file) = (Application::Mf, 0, None),
            0x7FFF => {
                (self.application, self.directory, self.file) = (self.adf, 0, None);
                return self.adf.name().to_owned();
            }
            0x7F00..0x7FFF => (self.application, self.directory, self.file) = (Application::Mf, fid, None),
            0x5F00..=0x5FFF => (self.directory, self.file) = (fid, None),
            _ => self.file = Some(name.clone()),
        }
        name
    }

    /// Processes a STORE DATA block and returns the name of the function. The last block adds the
    /// decoded request.
    fn store_data(&mut self, apdu: &Apdu<'_>, decoded: &mut Decoded) -> String {
        if apdu.p2 == 0 {
            self.request.clear();
        } else if self.request.is_empty() {
            let name = "rest of a request that began before the trace";
            decoded.what = format!("{name}, {}", decoded.what);
            return name.to_owned();
        }
        self.request.extend_from_slice(apdu.data);
        self.request.truncate(MAX_TOGETHER);
        let (name, shown) = es10::request(&self.request);
        decoded.what = format!("{name}, {}", decoded.what);
        if apdu.p1 & 0x80 != 0 {
            decoded.details.extend(shown.map(|shown| ("request".to_owned(), shown)));
            self.request.clear();
        }
        name
    }
}

impl Answer {
    /// Decodes the complete answer.
    fn shown(&self, hidden: bool) -> Option<(String, Shown)> {
        let data = &self.data;
        let octets = || Some(("answer".to_owned(), Shown::Octets(data.clone())));
        if hidden {
            let text = format!("{} octets, hidden", data.len());
            return Some(("answer".to_owned(), Shown::Text(text)));
        }
        match self.kind {
            AnswerKind::Es10 => {
                es10::response(data).map(|shown| ("response".to_owned(), shown)).or_else(octets)
            }
            AnswerKind::ControlParameters => {
                control_parameters(data).map(|shown| ("controlParameters".to_owned(), shown)).or_else(octets)
            }
            AnswerKind::ProactiveCommand => toolkit::proactive_command(data).or_else(octets),
            AnswerKind::Authentication if data.first() == Some(&SYNCHRONISATION_FAILURE) => {
                Some(("AUTS".to_owned(), Shown::Octets(data.get(2..).unwrap_or_default().to_vec())))
            }
            AnswerKind::Authentication => octets(),
            AnswerKind::Other => match tlv::split(data) {
                Some((tag, _)) if tag.is_constructed() => {
                    Some((format!("answer [{tag}]"), Shape::Octets.show(tag, data)))
                }
                _ => octets(),
            },
        }
    }
}

/// Decodes the answer to SELECT and STATUS: TS 102 221 section 11.1.1.3.
fn control_parameters(octets: &[u8]) -> Option<Shown> {
    let (Tag(0x62 | 0x6F), contents) = tlv::split(octets)? else { return None };
    let elements = tlv::each(contents).ok()?;
    let shown = elements.into_iter().map(|element| {
        let mut reader = Reader::new(element);
        let (Tag(tag), value) = reader.tlv().unwrap_or((Tag::CHOICE, element));
        let octets = Shown::Octets(value.to_vec());
        let (name, shown) = match tag {
            0x80 => ("fileSize", Shown::Text(number(value))),
            0x81 => ("totalFileSize", Shown::Text(number(value))),
            0x82 => ("fileDescriptor", Shown::Text(file_descriptor(value))),
            0x83 => ("fileIdentifier", octets),
            0x84 => ("dfName", octets),
            0x88 => ("shortFileIdentifier", octets),
            0x8A => ("lifeCycleStatus", octets),
            0x8B => ("securityAttributesReferenced", octets),
            0x8C => ("securityAttributesCompact", octets),
            0xA5 => ("proprietaryInformation", Shape::Octets.show(Tag(tag), element)),
            0xAB => ("securityAttributesExpanded", octets),
            0xC6 => ("pinStatusTemplate", octets),
            0xE0 => ("isdrProprietaryApplicationTemplate", isd_r_template(value)),
            _ => return (format!("[{}]", Tag(tag)), octets),
        };
        (name.to_owned(), shown)
    });
    Some(Shown::Fields(shown.collect()))
}

/// ISDRProprietaryApplicationTemplate: SGP.22 section 5.7.1.
fn isd_r_template(contents: &[u8]) -> Shown {
    let Ok(elements) = tlv::each(contents) else { return Shown::Octets(contents.to_vec()) };
    let shown = elements.into_iter().map(|element| {
        let (tag, value) = tlv::split(element).unwrap_or((Tag::CHOICE, element));
        match (tag, value) {
            (Tag(0x82), [major, minor, revision]) => {
                ("svn".to_owned(), Shown::Text(format!("{major}.{minor}.{revision}")))
            }
            (Tag::BIT_STRING, [_, bits @ ..]) => {
                let has = |bit: u8| bits.first().is_some_and(|octet| octet & bit != 0);
                let ways = [(0x80, "lpaeUsingCat"), (0x40, "lpaeUsingScws")];
                let ways: Vec<&str> = ways.iter().filter(|(bit, _)| has(*bit)).map(|(_, way)| *way).collect();
                ("lpaeSupport".to_owned(), Shown::Text(ways.join(", ")))
            }
            _ => (format!("[{tag}]"), Shown::Octets(value.to_vec())),
        }
    });
    Shown::Fields(shown.collect())
}

fn number(octets: &[u8]) -> String {
    octets.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet)).to_string()
}

/// Describes a file descriptor: TS 102 221 section 11.1.1.4.3.
fn file_descriptor(octets: &[u8]) -> String {
    let kind = match octets.first().map(|octet| octet & 0x7F) {
        Some(0x38 | 0x78) => "directory",
        Some(0x39 | 0x79) => "BER-TLV",
        Some(octet) => match octet & 0x07 {
            1 => "transparent",
            2 => "linear fixed",
            6 => "cyclic",
            _ => "unknown structure",
        },
        None => "unknown structure",
    };
    match octets {
        [_, _, high, low, records] => {
            format!("{kind}, {records} records of {}", u16::from_be_bytes([*high, *low]))
        }
        _ => kind.to_owned(),
    }
}
