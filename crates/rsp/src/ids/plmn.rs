//! Network and subscriber identities: PLMN identities (3GPP TS 23.003 clause 12.1, TS 24.008 clause
//! 10.5.1.13) and IMSIs (TS 23.003 clause 2.2, TS 31.102 clause 4.2.2).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::InvalidId;

as_text!(Mcc, Plmn, Imsi);

/// A mobile country code (ITU-T E.212): three digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mcc([u8; 3]);

impl Mcc {
    /// Encodes the code to two octets as in TS 24.008 clause 10.5.1.13: swapped nibbles, F in the
    /// place of a fourth digit.
    pub fn to_bytes(self) -> [u8; 2] {
        let [first, second, third] = self.0;
        [second << 4 | first, 0xF0 | third]
    }

    /// Decodes the two octets of TS 24.008 clause 10.5.1.13. Returns `None` if they are not a
    /// country code.
    pub fn from_bytes([low, high]: [u8; 2]) -> Option<Self> {
        let digits = [low & 0xF, low >> 4, high & 0xF];
        (high >> 4 == 0xF && digits.iter().all(|digit| *digit <= 9)).then_some(Self(digits))
    }
}

impl fmt::Display for Mcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl FromStr for Mcc {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        digits(text)
            .and_then(|found| <[u8; 3]>::try_from(found).ok())
            .map(Self)
            .ok_or_else(|| InvalidId::new(text, "a mobile country code (3 digits)"))
    }
}

/// A PLMN identity: mobile country code and mobile network code of two or three digits.
///
/// 310-04 and 310-004 are different networks. The parser accepts `00101`, `001-01`, `310004` and
/// `310-004`; `Display` prints the dash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plmn {
    mcc: Mcc,
    mnc: [u8; 2],
    mnc_third: Option<u8>,
}

impl Plmn {
    /// The mobile country code.
    pub fn mcc(self) -> Mcc {
        self.mcc
    }

    /// The mobile network code, as text because its leading zeros and its length are significant.
    pub fn mnc(self) -> String {
        self.mnc.iter().chain(&self.mnc_third).map(u8::to_string).collect()
    }

    /// Encodes the identity to three octets as in TS 24.008 clause 10.5.1.13: swapped nibbles, F
    /// for an absent third digit.
    pub fn to_bytes(self) -> [u8; 3] {
        let [c1, c2, c3] = self.mcc.0;
        let [n1, n2] = self.mnc;
        let n3 = self.mnc_third.unwrap_or(0xF);
        [c2 << 4 | c1, n3 << 4 | c3, n2 << 4 | n1]
    }

    /// Decodes the three octets of TS 24.008 clause 10.5.1.13.
    ///
    /// # Errors
    /// The octets do not identify one network. Wildcards (EEEEEE) and unused entries (FFFFFF) are
    /// refused as well.
    pub fn from_bytes(bytes: [u8; 3]) -> Result<Self, InvalidId> {
        let [a, b, c] = bytes;
        let (c1, c2, c3, n1, n2, n3) = (a & 0xF, a >> 4, b & 0xF, c & 0xF, c >> 4, b >> 4);
        if [c1, c2, c3, n1, n2].iter().any(|digit| *digit > 9) || (10..15).contains(&n3) {
            return Err(InvalidId::new(&hex::encode_upper(bytes), "a PLMN identity according to TS 24.008"));
        }
        Ok(Self { mcc: Mcc([c1, c2, c3]), mnc: [n1, n2], mnc_third: (n3 != 0xF).then_some(n3) })
    }
}

fn digits(text: &str) -> Option<Vec<u8>> {
    text.bytes().map(|byte| byte.is_ascii_digit().then(|| byte - b'0')).collect()
}

impl fmt::Display for Plmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.mcc, self.mnc())
    }
}

impl FromStr for Plmn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || {
            InvalidId::new(
                text,
                "a network (3 digits of country code and 2 or 3 digits of network code, such as 001-01 or 310004)",
            )
        };
        let (mcc, mnc) = text.split_once('-').or_else(|| text.split_at_checked(3)).ok_or_else(bad)?;
        let mcc = mcc.parse().map_err(|_| bad())?;
        match *digits(mnc).ok_or_else(bad)? {
            [a, b] => Ok(Self { mcc, mnc: [a, b], mnc_third: None }),
            [a, b, third] => Ok(Self { mcc, mnc: [a, b], mnc_third: Some(third) }),
            _ => Err(bad()),
        }
    }
}

/// An IMSI: up to 15 digits, of which the first five or six identify the home network.
///
/// The number itself does not show whether the network code has two or three digits. EF.AD and the
/// home network contain that information.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imsi {
    /// The digits as in EF.IMSI after the length octet: nibble-swapped, padded with F.
    octets: [u8; 8],
}

impl Imsi {
    /// Returns the home network, assuming a network code of `mnc_digits` digits (2 or 3).
    pub fn plmn(&self, mnc_digits: usize) -> Option<Plmn> {
        let text = self.to_string();
        text.get(..mnc_digits.saturating_add(3)).and_then(|prefix| prefix.parse().ok())
    }

    /// True if the number starts with the country and network codes of this network.
    pub fn is_of(&self, plmn: Plmn) -> bool {
        self.plmn(plmn.mnc().len()) == Some(plmn)
    }

    /// Encodes the nine octets of EF.IMSI: the length, then the type nibble and the swapped digits
    /// (TS 31.102 clause 4.2.2).
    pub fn to_ef(self) -> [u8; 9] {
        let length = self.octets.iter().rposition(|octet| *octet != 0xFF).map_or(0, |last| last + 1);
        let mut ef = [0xFF; 9];
        for (to, from) in ef.iter_mut().zip(u8::try_from(length).iter().chain(&self.octets)) {
            *to = *from;
        }
        ef
    }

    /// Decodes the octets of EF.IMSI.
    ///
    /// # Errors
    /// The octets are not the contents of EF.IMSI.
    pub fn from_ef(ef: &[u8]) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new(&hex::encode_upper(ef), "the contents of EF.IMSI");
        let (length, rest) = ef.split_first().ok_or_else(bad)?;
        let swapped = rest.get(..usize::from(*length)).filter(|octets| (1..=8).contains(&octets.len()));
        let nibbles: String =
            swapped.ok_or_else(bad)?.iter().map(|octet| format!("{:02x}", octet.rotate_left(4))).collect();
        // The type nibble: one bit for the parity of the number of digits, 001 (IMSI) in the other
        // three.
        let (kind, number) = nibbles.split_at_checked(1).ok_or_else(bad)?;
        let number = number.strip_suffix('f').unwrap_or(number);
        let expected_kind = if number.len() % 2 == 1 { "9" } else { "1" };
        if kind != expected_kind {
            return Err(bad());
        }
        number.parse().map_err(|_| bad())
    }
}

impl fmt::Display for Imsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.octets.iter().map(|octet| format!("{:02x}", octet.rotate_left(4))).collect();
        f.write_str(text.get(1..).unwrap_or_default().trim_end_matches('f'))
    }
}

impl FromStr for Imsi {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = || InvalidId::new(text, "an IMSI (6 to 15 digits)");
        if !(6..=15).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let kind = if text.len() % 2 == 1 { '9' } else { '1' };
        let mut octets = [0; 8];
        hex::decode_to_slice(format!("{kind}{text:f<15}"), &mut octets).map_err(|_| bad())?;
        Ok(Self { octets: octets.map(|octet| octet.rotate_left(4)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_code_encodes_as_the_start_of_a_plmn() {
        for text in ["001", "724", "310", "999"] {
            let mcc: Mcc = text.parse().unwrap();
            assert_eq!(Mcc::from_bytes(mcc.to_bytes()), Some(mcc));
            let plmn: Plmn = format!("{text}-05").parse().unwrap();
            assert_eq!((mcc, mcc.to_bytes()), (plmn.mcc(), [plmn.to_bytes()[0], plmn.to_bytes()[1]]));
        }
        for none in [[0x27, 0x04], [0xA7, 0xF4], [0x27, 0xFA], [0xFF, 0xFF]] {
            assert_eq!(Mcc::from_bytes(none), None, "{none:02X?}");
        }
    }

    #[test]
    fn a_plmn_parses_with_and_without_the_dash() {
        for (text, shown) in [
            ("00101", "001-01"),
            ("001-01", "001-01"),
            ("310410", "310-410"),
            ("310-004", "310-004"),
            ("72405", "724-05"),
        ] {
            assert_eq!(text.parse::<Plmn>().unwrap().to_string(), shown);
        }
        assert_ne!("310-04".parse::<Plmn>().unwrap(), "310-004".parse::<Plmn>().unwrap());
        for text in [
            "", "001", "0010", "001-0", "001-0101", "0010101", "00-101", "0a101", "001--01", "٠٠١01", "é0101",
        ] {
            assert!(text.parse::<Plmn>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_plmn_encodes_as_in_ts_24_008() {
        for (text, bytes) in
            [("001-01", [0x00, 0xF1, 0x10]), ("310-410", [0x13, 0x00, 0x14]), ("262-42", [0x62, 0xF2, 0x24])]
        {
            let plmn: Plmn = text.parse().unwrap();
            assert_eq!(plmn.to_bytes(), bytes, "{text}");
            assert_eq!(Plmn::from_bytes(bytes), Ok(plmn));
        }
        assert!(Plmn::from_bytes([0xEE; 3]).is_err());
        assert!(Plmn::from_bytes([0xFF; 3]).is_err());
    }

    /// IMSI and EF.IMSI of the TS.48 generic test profile.
    #[test]
    fn an_imsi_encodes_as_in_ef_imsi() {
        let imsi: Imsi = "001010123456789".parse().unwrap();
        assert_eq!(hex::encode(imsi.to_ef()), "080910101032547698");
        assert_eq!(Imsi::from_ef(&imsi.to_ef()), Ok(imsi));
        assert_eq!(imsi.to_string(), "001010123456789");
        assert!(imsi.is_of("001-01".parse().unwrap()) && imsi.is_of("001-010".parse().unwrap()));
        assert!(!imsi.is_of("001-02".parse().unwrap()));
        for shorter in ["00101012345678", "0010101", "001010"] {
            let imsi: Imsi = shorter.parse().unwrap();
            assert_eq!(imsi.to_string(), shorter);
            assert_eq!(Imsi::from_ef(&imsi.to_ef()), Ok(imsi), "{shorter}");
        }
        for bad in [
            &[] as &[u8],
            &[8, 9],
            &[0xFF; 9],
            &[8, 0x01, 0x10, 0x10, 0x10, 0x32, 0x54, 0x76, 0x98],
            &[9; 10],
        ] {
            assert!(Imsi::from_ef(bad).is_err(), "{bad:?}");
        }
    }
}
