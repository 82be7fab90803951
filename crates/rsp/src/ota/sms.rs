//! Short messages between a card and a server: TS 23.040 section 9.2, with user data as used by TS
//! 31.115 section 4.

mod address;
pub mod alphabet;
mod segments;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use address::Address;
pub use segments::{Accepted, MAX_PARTIAL, PacketKind, Partial, Reassembler, Reference, TooLong, segments};

use super::octets::{Octets, hex_text};
use crate::der::{DecodeError, Problem};
use crate::finding::{FindingKind, report};

/// The maximum length of TP-User-Data in octets.
pub const MAX_USER_DATA: usize = 140;

/// TP-PID of a message for the card: (U)SIM data download.
pub const PID_DATA_DOWNLOAD: u8 = 0x7F;
/// TP-DCS of a message for the card: 8-bit data, class 2.
pub const DCS_CLASS_2_DATA: u8 = 0xF6;

/// An information element of the user data header: TS 23.040 section 9.2.3.24.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InformationElement {
    /// The information element identifier.
    pub identifier: u8,
    /// The information element data.
    #[serde(with = "hex_text")]
    pub data: Vec<u8>,
}

/// The identifiers of information elements that TS 23.040 reserves. A receiver ignores the elements.
const RESERVED_ELEMENTS: [RangeInclusive<u8>; 3] = [0x26..=0x6F, 0xA0..=0xBF, 0xE0..=0xFF];

/// TP-User-Data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserData {
    /// The elements of the user data header. An empty list means no header.
    pub header: Vec<InformationElement>,
    /// The octets after the header: 8-bit data, or text in the alphabet indicated by TP-DCS.
    #[serde(with = "hex_text")]
    pub octets: Vec<u8>,
    /// TP-UDL if it counts septets, for text in the 7-bit alphabet.
    pub septets: Option<u8>,
}

impl UserData {
    /// Creates user data without a header.
    pub fn plain(octets: Vec<u8>) -> Self {
        Self { octets, ..Self::default() }
    }

    /// Encodes the header with its length, followed by the data, as in a delivery report and in
    /// `short_message` of SMPP.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_USER_DATA);
        if !self.header.is_empty() {
            let elements: Vec<u8> = self.header.iter().flat_map(element_bytes).collect();
            out.push(u8::try_from(elements.len()).unwrap_or(u8::MAX));
            out.extend(elements);
        }
        out.extend_from_slice(&self.octets);
        out
    }

    /// Decodes the octets of TP-UD. `has_header` is TP-UDHI.
    ///
    /// # Errors
    /// The header is malformed.
    pub fn parse(octets: &[u8], has_header: bool) -> Result<Self, DecodeError> {
        Self::read(&mut Octets::new(octets), has_header)
    }

    fn read(reader: &mut Octets<'_>, has_header: bool) -> Result<Self, DecodeError> {
        let mut header = Vec::new();
        if has_header {
            let empty = reader.bad("a user data header has at least one element");
            let mut elements = reader.field().map_err(|e| e.within("TP-UDH"))?;
            // req: TS.23.040-9.2-Header
            if elements.is_empty() {
                return Err(empty.within("TP-UDH"));
            }
            while !elements.is_empty() {
                let identifier = elements.octet()?;
                let data = elements.field().map_err(|e| e.within("TP-UDH"))?.rest().to_vec();
                if RESERVED_ELEMENTS.iter().any(|reserved| reserved.contains(&identifier)) {
                    report(FindingKind::UnknownElement, || format!("TP-UDH: element {identifier:02X}"));
                }
                header.push(InformationElement { identifier, data });
            }
        }
        Ok(Self { header, octets: reader.take_rest().to_vec(), septets: None })
    }

    /// Returns the data of the element with this identifier.
    pub fn element(&self, identifier: u8) -> Option<&[u8]> {
        self.header.iter().find(|each| each.identifier == identifier).map(|each| each.data.as_slice())
    }

    /// Writes TP-UDL and TP-UD.
    fn write(&self, out: &mut Vec<u8>) {
        let octets = self.to_bytes();
        out.push(self.septets.unwrap_or_else(|| u8::try_from(octets.len()).unwrap_or(u8::MAX)));
        out.extend(octets);
    }

    /// Reads TP-UDL and TP-UD up to the end of the input.
    fn read_with_length(reader: &mut Octets<'_>, has_header: bool, dcs: u8) -> Result<Self, DecodeError> {
        let start = *reader;
        let length = reader.octet()?;
        let (octets, septets) = match counts_septets(dcs) {
            true => ((usize::from(length) * 7).div_ceil(8), Some(length)),
            false => (usize::from(length), None),
        };
        if octets > MAX_USER_DATA {
            return Err(start.bad("user data have at most 140 octets").within("TP-UDL"));
        }
        let offset = reader.offset();
        let data = reader.take(octets).map_err(|e| e.within("TP-UD"))?;
        reader.report_trailing();
        Ok(Self { septets, ..Self::read(&mut Octets::at(data, offset), has_header)? })
    }
}

fn element_bytes(element: &InformationElement) -> Vec<u8> {
    let length = u8::try_from(element.data.len()).unwrap_or(u8::MAX);
    [&[element.identifier, length], element.data.as_slice()].concat()
}

/// True if TP-UDL counts septets, because the text is in the 7-bit alphabet: TS 23.038 section 4.
pub const fn counts_septets(dcs: u8) -> bool {
    match dcs >> 4 {
        // General data coding, also with automatic deletion: b3 and b4 indicate the alphabet.
        0x0..=0x7 => dcs & 0x2C == 0,
        // Reserved groups are treated as the default alphabet, as are the "message waiting" groups
        // 1100 and 1101.
        0x8..=0xD => true,
        0xE => false,
        _ => dcs & 0x04 == 0,
    }
}

/// True if the text is in UCS2: TS 23.038 section 4.
pub const fn is_ucs2(dcs: u8) -> bool {
    match dcs >> 4 {
        0x0..=0x7 => dcs & 0x2C == 0x08,
        0xE => true,
        _ => false,
    }
}

/// SMS-DELIVER: from the service centre to the card, section 9.2.2.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmsDeliver {
    /// True if more messages are waiting in the service centre.
    pub more_messages: bool,
    /// TP-OA.
    pub originator: Address,
    /// TP-PID.
    pub pid: u8,
    /// TP-DCS.
    pub dcs: u8,
    /// TP-SCTS: year, month, day, hour, minute, second and time zone, with swapped digits.
    pub timestamp: [u8; 7],
    /// TP-UD.
    pub user_data: UserData,
}

/// b1 and b2 of the first octet.
const MESSAGE_TYPE: u8 = 0x03;
const DELIVER: u8 = 0x00;
const SUBMIT: u8 = 0x01;
/// TP-MMS: set if no more messages are waiting.
const NO_MORE_MESSAGES: u8 = 0x04;
/// TP-UDHI.
const HAS_HEADER: u8 = 0x40;
/// TP-RD.
const REJECT_DUPLICATES: u8 = 0x04;
/// TP-SRR.
const STATUS_REPORT_REQUEST: u8 = 0x20;

impl SmsDeliver {
    /// Creates a message for (U)SIM data download.
    pub fn data_download(originator: Address, timestamp: [u8; 7], user_data: UserData) -> Self {
        Self {
            more_messages: false,
            originator,
            pid: PID_DATA_DOWNLOAD,
            dcs: DCS_CLASS_2_DATA,
            timestamp,
            user_data,
        }
    }

    /// Encodes the TPDU.
    pub fn to_bytes(&self) -> Vec<u8> {
        let more = if self.more_messages { 0 } else { NO_MORE_MESSAGES };
        let mut out = vec![DELIVER | more | header_bit(&self.user_data)];
        self.originator.write_sms(&mut out);
        out.extend([self.pid, self.dcs]);
        out.extend(self.timestamp);
        self.user_data.write(&mut out);
        out
    }

    /// Decodes the TPDU. TP-LP, TP-SRI and TP-RP are ignored.
    ///
    /// # Errors
    /// The octets are another TPDU or malformed.
    pub fn parse(tpdu: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(tpdu);
        let other = reader.bad("not an SMS-DELIVER");
        let first = reader.octet()?;
        if first & MESSAGE_TYPE != DELIVER {
            return Err(other.within("TP-MTI"));
        }
        let originator = Address::read_sms(&mut reader).map_err(|e| e.within("TP-OA"))?;
        let [pid, dcs] = reader.array()?;
        let timestamp = reader.array().map_err(|e| e.within("TP-SCTS"))?;
        let user_data = UserData::read_with_length(&mut reader, first & HAS_HEADER != 0, dcs)?;
        Ok(Self { more_messages: first & NO_MORE_MESSAGES == 0, originator, pid, dcs, timestamp, user_data })
    }

    /// True if the terminal has to pass the message to the card: TS 31.111 section 7.1.1.
    pub const fn is_data_download(&self) -> bool {
        let class_2 = match self.dcs >> 4 {
            0x1 | 0x3 | 0x5 | 0x7 | 0xF => self.dcs & 0x03 == 2,
            _ => false,
        };
        (self.pid == PID_DATA_DOWNLOAD || self.pid == 0x7C) && class_2
    }
}

const fn header_bit(user_data: &UserData) -> u8 {
    if user_data.header.is_empty() { 0 } else { HAS_HEADER }
}

/// TP-VP: the validity period in the service centre, section 9.2.3.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValidityPeriod {
    /// A relative period in one octet.
    Relative(u8),
    /// The enhanced format: seven octets with several sub-formats.
    Enhanced([u8; 7]),
    /// An absolute time in the format of TP-SCTS.
    Absolute([u8; 7]),
}

/// SMS-SUBMIT: from the card to the service centre, section 9.2.2.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmsSubmit {
    /// TP-RD.
    pub reject_duplicates: bool,
    /// TP-SRR.
    pub status_report_request: bool,
    /// TP-MR. The terminal overwrites it with its own value.
    pub message_reference: u8,
    /// TP-DA.
    pub destination: Address,
    /// TP-PID.
    pub pid: u8,
    /// TP-DCS.
    pub dcs: u8,
    /// TP-VP.
    pub validity: Option<ValidityPeriod>,
    /// TP-UD.
    pub user_data: UserData,
}

impl SmsSubmit {
    /// Creates a message with 8-bit data from the card to a server.
    pub fn data(destination: Address, user_data: UserData) -> Self {
        Self {
            reject_duplicates: false,
            status_report_request: false,
            message_reference: 0,
            destination,
            pid: 0,
            dcs: DCS_CLASS_2_DATA,
            validity: None,
            user_data,
        }
    }

    /// Encodes the TPDU.
    pub fn to_bytes(&self) -> Vec<u8> {
        let format = match self.validity {
            None => 0x00,
            Some(ValidityPeriod::Enhanced(_)) => 0x08,
            Some(ValidityPeriod::Relative(_)) => 0x10,
            Some(ValidityPeriod::Absolute(_)) => 0x18,
        };
        let duplicates = if self.reject_duplicates { REJECT_DUPLICATES } else { 0 };
        let report = if self.status_report_request { STATUS_REPORT_REQUEST } else { 0 };
        let mut out =
            vec![SUBMIT | format | duplicates | report | header_bit(&self.user_data), self.message_reference];
        self.destination.write_sms(&mut out);
        out.extend([self.pid, self.dcs]);
        match self.validity {
            None => {}
            Some(ValidityPeriod::Relative(octet)) => out.push(octet),
            Some(ValidityPeriod::Enhanced(octets) | ValidityPeriod::Absolute(octets)) => out.extend(octets),
        }
        self.user_data.write(&mut out);
        out
    }

    /// Decodes the TPDU. TP-RP is ignored.
    ///
    /// # Errors
    /// The octets are another TPDU or malformed.
    pub fn parse(tpdu: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(tpdu);
        let other = reader.bad("not an SMS-SUBMIT");
        let first = reader.octet()?;
        if first & MESSAGE_TYPE != SUBMIT {
            return Err(other.within("TP-MTI"));
        }
        let message_reference = reader.octet()?;
        let destination = Address::read_sms(&mut reader).map_err(|e| e.within("TP-DA"))?;
        let [pid, dcs] = reader.array()?;
        let validity = match first & 0x18 {
            0x00 => None,
            0x08 => Some(ValidityPeriod::Enhanced(reader.array()?)),
            0x10 => Some(ValidityPeriod::Relative(reader.octet()?)),
            _ => Some(ValidityPeriod::Absolute(reader.array()?)),
        };
        let user_data = UserData::read_with_length(&mut reader, first & HAS_HEADER != 0, dcs)?;
        Ok(Self {
            reject_duplicates: first & REJECT_DUPLICATES != 0,
            status_report_request: first & STATUS_REPORT_REQUEST != 0,
            message_reference,
            destination,
            pid,
            dcs,
            validity,
            user_data,
        })
    }
}

/// SMS-DELIVER-REPORT: the terminal's response to a delivery, section 9.2.2.1a.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SmsDeliverReport {
    /// TP-FCS. If it is present, the report is negative (sent in RP-ERROR instead of RP-ACK).
    pub failure_cause: Option<u8>,
    /// TP-PID.
    pub pid: Option<u8>,
    /// TP-DCS.
    pub dcs: Option<u8>,
    /// TP-UD: the response data of the card, if the card responded.
    pub user_data: Option<UserData>,
}

/// The bit of TP-PI that indicates a further octet of TP-PI.
const EXTENDED: u8 = 0x80;

/// TP-FCS: (U)SIM data download error, section 9.2.3.22.
pub const FAILURE_DATA_DOWNLOAD: u8 = 0xD5;
/// TP-FCS: the (U)SIM toolkit is busy.
pub const FAILURE_BUSY: u8 = 0xD4;

impl SmsDeliverReport {
    /// Creates the report with user data of the card: TS 31.111 section 7.1.1.2.
    pub fn of_card(user_data: UserData, failure_cause: Option<u8>) -> Self {
        Self {
            failure_cause,
            pid: Some(PID_DATA_DOWNLOAD),
            dcs: Some(DCS_CLASS_2_DATA),
            user_data: Some(user_data),
        }
    }

    /// Encodes the TPDU.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![DELIVER | self.user_data.as_ref().map_or(0, header_bit)];
        out.extend(self.failure_cause);
        let bit = |present: bool, bit: u8| if present { bit } else { 0 };
        out.push(
            bit(self.pid.is_some(), 0x01)
                | bit(self.dcs.is_some(), 0x02)
                | bit(self.user_data.is_some(), 0x04),
        );
        out.extend(self.pid);
        out.extend(self.dcs);
        if let Some(user_data) = &self.user_data {
            user_data.write(&mut out);
        }
        out
    }

    /// Decodes the TPDU. The enclosing RP message shows whether the report is negative; this
    /// function uses the second octet instead, which is 80 or more in a negative report and a
    /// parameter indicator without extension otherwise.
    ///
    /// # Errors
    /// The octets are another TPDU or malformed.
    pub fn parse(tpdu: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(tpdu);
        let other = reader.bad("not an SMS-DELIVER-REPORT");
        let first = reader.octet()?;
        if first & MESSAGE_TYPE != DELIVER {
            return Err(other.within("TP-MTI"));
        }
        let failure_cause = match reader.peek() {
            Some(cause @ 0x80..) => {
                reader.octet()?;
                Some(cause)
            }
            _ => None,
        };
        let indicator = reader.octet()?;
        // Section 9.2.3.27: further octets of TP-PI and reserved parameters are ignored. The octets of
        // such parameters follow TP-UD.
        if indicator & 0xF8 != 0 {
            report(FindingKind::ReservedBit, || format!("TP-PI: {indicator:02X}"));
        }
        let mut extended = indicator;
        while extended & EXTENDED != 0 {
            extended = reader.octet()?;
        }
        let mut when = |bit: u8| if indicator & bit == 0 { Ok(None) } else { reader.octet().map(Some) };
        let (pid, dcs) = (when(0x01)?, when(0x02)?);
        let user_data = match indicator & 0x04 {
            0 => None,
            // Section 9.2.3.10: an absent TP-DCS means 00.
            _ => Some(UserData::read_with_length(&mut reader, first & HAS_HEADER != 0, dcs.unwrap_or(0))?),
        };
        if user_data.is_none() {
            reader.report_trailing();
        }
        Ok(Self { failure_cause, pid, dcs, user_data })
    }
}

/// True if the first octet of the TPDU is that of an SMS-SUBMIT. Fails if the TPDU is empty.
pub fn is_submit(tpdu: &[u8]) -> Result<bool, DecodeError> {
    match tpdu.first() {
        Some(first) => Ok(first & MESSAGE_TYPE == SUBMIT),
        None => Err(DecodeError::new(0, Problem::Truncated)),
    }
}

#[cfg(test)]
mod tests;
