//! The text forms of a received message: TS 27.005 sections 3.4 and 4.

use network::smsc::tpdu;
use rsp::ota::sms::{Address, MAX_USER_DATA, SmsDeliver, UserData, counts_septets};

use super::MessageSettings;

/// A received message.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) is_read: bool,
    pub(super) service_centre: Address,
    pub(super) tpdu: Vec<u8>,
    /// The decoded TPDU.
    pub(super) deliver: SmsDeliver,
}

impl Stored {
    /// Returns the message class: TS 23.038 section 4.
    pub(super) fn class(&self) -> Option<u8> {
        let dcs = self.deliver.dcs;
        matches!(dcs >> 4, 0x1 | 0x3 | 0x5 | 0x7 | 0xF).then_some(dcs & 0x03)
    }

    /// Returns the unsolicited result code that contains the message.
    pub(super) fn shown(&self, settings: &MessageSettings) -> String {
        match settings.is_text_mode {
            true => {
                let details = if settings.is_detailed { self.details() } else { String::new() };
                format!("+CMT: {}{details}\n{}", self.sender_and_time(), self.data())
            }
            false => format!("+CMT: ,{}\n{}", self.tpdu.len(), self.pdu()),
        }
    }

    /// Returns the entry of +CMGL.
    pub(super) fn listed(&self, index: usize, settings: &MessageSettings) -> String {
        match settings.is_text_mode {
            true => {
                let kind = self.deliver.originator.type_of_address();
                let details = match settings.is_detailed {
                    true => format!(",{kind},{}", self.length()),
                    false => String::new(),
                };
                let status = self.status();
                format!("+CMGL: {index},\"{status}\",{}{details}\n{}", self.sender_and_time(), self.data())
            }
            false => {
                format!("+CMGL: {index},{},,{}\n{}", u8::from(self.is_read), self.tpdu.len(), self.pdu())
            }
        }
    }

    /// Returns the answer of +CMGR.
    pub(super) fn read(&self, settings: &MessageSettings) -> String {
        match settings.is_text_mode {
            true => {
                let details = if settings.is_detailed { self.details() } else { String::new() };
                format!("+CMGR: \"{}\",{}{details}\n{}", self.status(), self.sender_and_time(), self.data())
            }
            false => format!("+CMGR: {},,{}\n{}", u8::from(self.is_read), self.tpdu.len(), self.pdu()),
        }
    }

    fn status(&self) -> &'static str {
        if self.is_read { "REC READ" } else { "REC UNREAD" }
    }

    fn sender_and_time(&self) -> String {
        format!("\"{}\",,\"{}\"", number(&self.deliver.originator), time(&self.deliver.timestamp))
    }

    /// Returns `,<tooa>,<fo>,<pid>,<dcs>,<sca>,<tosca>,<length>`.
    fn details(&self) -> String {
        let (originator, centre) = (&self.deliver.originator, &self.service_centre);
        format!(
            ",{},{},{},{},\"{}\",{},{}",
            originator.type_of_address(),
            self.tpdu.first().copied().unwrap_or(0),
            self.deliver.pid,
            self.deliver.dcs,
            number(centre),
            centre.type_of_address(),
            self.length(),
        )
    }

    /// Returns `<length>` of text mode: the characters of the text, or the octets of the data.
    fn length(&self) -> usize {
        self.deliver.user_data.septets.map_or(self.deliver.user_data.octets.len(), usize::from)
    }

    /// Returns `<data>` of text mode: text in the 7-bit alphabet as text, anything else in
    /// hexadecimal.
    fn data(&self) -> String {
        match counts_septets(self.deliver.dcs) {
            true => tpdu::text(&self.deliver.user_data, self.deliver.dcs),
            false => hex::encode_upper(self.deliver.user_data.to_bytes()),
        }
    }

    /// Returns `<pdu>`: the address of the service centre with its length, and the TPDU.
    fn pdu(&self) -> String {
        let centre = self.service_centre.value();
        let length = u8::try_from(centre.len()).unwrap_or(0);
        hex::encode_upper([&[length], centre.as_slice(), self.tpdu.as_slice()].concat())
    }
}

/// Returns the text form of an address in quotation marks: `+` stands for an international number.
pub(super) fn number(address: &Address) -> String {
    const INTERNATIONAL: u8 = 1;
    const ALPHANUMERIC: u8 = 5;
    match address.ton() {
        INTERNATIONAL => format!("+{}", address.digits()),
        ALPHANUMERIC => {
            let name = tpdu::number(address).map(|name| name.digits().replace('"', "'"));
            name.unwrap_or_default()
        }
        _ => address.digits().to_owned(),
    }
}

/// Returns a TP-SCTS as `yy/MM/dd,hh:mm:ss±zz`, where zz are quarters of an hour: section 3.1.
fn time(stamp: &[u8; 7]) -> String {
    const NEGATIVE: u8 = 0x08;
    let [year, month, day, hour, minute, second] =
        [0, 1, 2, 3, 4, 5].map(|at| stamp.get(at).map_or(0, |octet| digits(*octet)));
    let zone = stamp[6];
    let (sign, zone) = if zone & NEGATIVE == 0 { ('+', zone) } else { ('-', zone & !NEGATIVE) };
    let zone = digits(zone);
    format!("{year:02}/{month:02}/{day:02},{hour:02}:{minute:02}:{second:02}{sign}{zone:02}")
}

/// Returns the number of two swapped digits.
fn digits(octet: u8) -> u8 {
    (octet & 0x0F).saturating_mul(10).saturating_add(octet >> 4)
}

/// Encodes the data of a message with a TP-DCS other than 0: text in the 7-bit alphabet is text,
/// anything else is in hexadecimal.
pub(super) fn user_data_with(text: &str, dcs: u8) -> Option<UserData> {
    if counts_septets(dcs) {
        let (alphabet, user_data) = tpdu::user_data_of_text(text)?;
        return (alphabet == 0).then_some(user_data);
    }
    let octets = hex::decode(text.trim()).ok()?;
    (octets.len() <= MAX_USER_DATA).then(|| UserData::plain(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_has_its_time_zone() {
        assert_eq!(time(&[0x62, 0x11, 0x22, 0x11, 0x21, 0x31, 0x00]), "26/11/22,11:12:13+00");
        assert_eq!(time(&[0x62, 0x11, 0x22, 0x11, 0x21, 0x31, 0x8A]), "26/11/22,11:12:13-28");
    }
    /// The 7-bit text of an alphanumeric address is packed. A string of AT commands has no quotation mark.
    #[test]
    fn an_alphanumeric_sender_is_shown_as_text() {
        let shown = |value: &[u8]| number(&Address::from_value(value).unwrap());
        assert_eq!(shown(&[0xD0, 0x41, 0x21]), "AB");
        assert_eq!(shown(&[0xD0, 0x41, 0x11]), "A'");
        assert_eq!((shown(&[0x91, 0x21]), shown(&[0x81, 0x21])), ("+12".to_owned(), "12".to_owned()));
    }
}
