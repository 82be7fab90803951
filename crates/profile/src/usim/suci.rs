//! The data with which a USIM conceals its subscription: TS 31.102 sections 4.4.11.8 to 4.4.11.10,
//! TCA profile package annex D.

use rsp::der::{Reader, Tag, tlv};

use super::Usim;
use crate::files::FileIndex;
use crate::octets::Fid;

const DF_5GS: Fid = Fid(0x5FC0);
const DF_SAIP: Fid = Fid(0x5FD0);

/// Location of EF.SUCI_Calc_Info, under DF.5GS.
const EF_SUCI_CALC_INFO: Fid = Fid(0x4F07);
const EF_SUPI_NAI: Fid = Fid(0x4F09);
const EF_ROUTING_INDICATOR: Fid = Fid(0x4F0A);
/// Location of EF.SUCI_Calc_Info_USIM, under DF.SAIP.
const EF_SUCI_CALC_INFO_USIM: Fid = Fid(0x4F01);

/// The routing indicator if none is configured: the digit 0 (TS 24.501 section 9.11.3.4).
const NO_ROUTING_INDICATOR: [u8; 2] = [0xF0, 0xFF];

/// EF.SUCI_Calc_Info.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuciCalcInfo<'a> {
    /// The permitted schemes, in order of preference.
    pub schemes: Vec<ProtectionScheme>,
    /// The keys, in the order of the schemes' indices.
    pub keys: Vec<HomeNetworkKey<'a>>,
}

/// An entry of the Protection Scheme Identifier List.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectionScheme {
    /// Protection Scheme Identifier: 0 null, 1 and 2 the profiles A and B of TS 33.501.
    pub identifier: u8,
    /// The index of the key in the list, from 1; 0 for the null scheme.
    pub key_index: u8,
}

/// An entry of the Home Network Public Key List.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeNetworkKey<'a> {
    /// Home Network Public Key Identifier.
    pub identifier: u8,
    /// The key in the coding of its scheme.
    pub key: &'a [u8],
}

impl<'a> Usim<'a> {
    /// The data with which the USIM itself computes a SUCI: EF.SUCI_Calc_Info_USIM in DF.SAIP, or
    /// EF.SUCI_Calc_Info in DF.5GS if the profile has none. `None` if it cannot be parsed.
    pub fn suci_calc_info(self) -> Option<SuciCalcInfo<'a>> {
        let own = self.content_in(DF_SAIP, EF_SUCI_CALC_INFO_USIM);
        SuciCalcInfo::of(own.or_else(|| self.content_in(DF_5GS, EF_SUCI_CALC_INFO))?)
    }

    /// EF.Routing_Indicator: its two bytes of digits, 0 if it is empty.
    pub fn routing_indicator(self) -> [u8; 2] {
        let digits = self.content_in(DF_5GS, EF_ROUTING_INDICATOR).and_then(|content| content.first_chunk());
        digits.filter(|digits| **digits != [0xFF; 2]).copied().unwrap_or(NO_ROUTING_INDICATOR)
    }

    /// The network specific identifier in EF.SUPI_NAI.
    pub fn network_specific_identifier(self) -> Option<&'a str> {
        const NETWORK_SPECIFIC_IDENTIFIER: Tag = Tag(0x80);
        let found = tlv::find(self.content_in(DF_5GS, EF_SUPI_NAI)?, NETWORK_SPECIFIC_IDENTIFIER).ok()??;
        let (_, text) = tlv::split(found)?;
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }

    fn content_in(self, directory: Fid, fid: Fid) -> Option<&'a [u8]> {
        let directory: FileIndex = self.files.child(self.adf, directory)?;
        self.files.child(directory, fid).and_then(|file| self.files.content(file))
    }
}

impl<'a> SuciCalcInfo<'a> {
    /// Parses the bytes of the file. The rest after the two data objects is padding.
    pub(crate) fn of(content: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(content);
        let schemes = reader.contents(Tag(0xA0)).ok()?;
        let (pairs, []) = schemes.as_chunks::<2>() else { return None };
        let schemes =
            pairs.iter().map(|&[identifier, key_index]| ProtectionScheme { identifier, key_index }).collect();
        let keys = match reader.peek() {
            Ok(Some(Tag(0xA1))) => keys(reader.contents(Tag(0xA1)).ok()?)?,
            _ => Vec::new(),
        };
        Some(Self { schemes, keys })
    }

    /// The key of a scheme.
    pub fn key(&self, scheme: ProtectionScheme) -> Option<HomeNetworkKey<'a>> {
        self.keys.get(usize::from(scheme.key_index).checked_sub(1)?).copied()
    }
}

/// Parses a list of pairs of identifier and key.
fn keys(list: &[u8]) -> Option<Vec<HomeNetworkKey<'_>>> {
    let mut reader = Reader::new(list);
    let mut keys = Vec::new();
    while !reader.is_empty() {
        let &[identifier] = reader.contents(Tag(0x80)).ok()? else { return None };
        keys.push(HomeNetworkKey { identifier, key: reader.contents(Tag(0x81)).ok()? });
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in pySim's tests of EF.SUCI_Calc_Info: profile A with key 1, then the null
    /// scheme; two keys. Here with padding.
    #[test]
    fn schemes_and_keys_are_decoded() {
        let one = "4E858C4D49D1343E6181284C47CA721730C98742CB7C6182D2E8126E08088D36";
        let two = "D1BC365F4997D17CE4374E72181431CBFEBA9E1B98D7618F79D48561B144672A";
        let text = format!("A00401010000A14A80010A8120{one}80010B8120{two}FFFFFF");
        let (content, one, two) =
            (hex::decode(text).unwrap(), hex::decode(one).unwrap(), hex::decode(two).unwrap());
        let info = SuciCalcInfo::of(&content).unwrap();
        let scheme = |identifier, key_index| ProtectionScheme { identifier, key_index };
        assert_eq!(info.schemes, [scheme(1, 1), scheme(0, 0)]);
        assert_eq!(info.key(scheme(1, 1)), Some(HomeNetworkKey { identifier: 10, key: &one }));
        assert_eq!(info.key(scheme(1, 2)), Some(HomeNetworkKey { identifier: 11, key: &two }));
        assert_eq!((info.key(scheme(0, 0)), info.key(scheme(1, 3))), (None, None));
        // As in TS.48.
        let null = SuciCalcInfo::of(&[0xA0, 2, 0, 0, 0xFF, 0xFF]).unwrap();
        assert_eq!(null, SuciCalcInfo { schemes: vec![scheme(0, 0)], keys: vec![] });
        for broken in ["", "FFFF", "A003010100", "A0020101A103800101", "A0020101A105800201018100", "A1028000"]
        {
            assert_eq!(SuciCalcInfo::of(&hex::decode(broken).unwrap()), None, "{broken}");
        }
    }
}
