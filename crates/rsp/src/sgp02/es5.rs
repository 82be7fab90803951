//! ES5, SM-SR to eUICC: SGP.02 section 4.1.1. The C-APDUs to the ISD-R, and the contents of their
//! responses.
//!
//! Every function returns one C-APDU, with explicit Lc and Le as TS 102 226 requires. The tags come
//! from open-source servers and from live traces of one of them (see the remarks at each); none was
//! verified against the text of the standard.

mod establishment;
mod responses;

pub use establishment::{
    DERIVATION_RANDOM_TAG, EphemeralKeyForm, KeyAgreement, RECEIPT_TAG, Receipt, is_certificate,
    random_challenge, store_certificate,
};
pub use responses::{CardResources, IsdPState, IsdPStatus, deleted_isd_ps};

use crate::{
    der::{Tag, tlv_bytes},
    ids::Aid,
};

/// The data groups of STORE DATA.
pub mod group {
    /// The certificate of an SM-DP or SM-SR.
    pub const CERTIFICATE: u16 = 0x3A01;
    /// The parameters of a key establishment.
    pub const KEY_ESTABLISHMENT: u16 = 0x3A02;
    /// EnableProfile.
    pub const ENABLE: u16 = 0x3A03;
    /// DisableProfile.
    pub const DISABLE: u16 = 0x3A04;
    /// SetFallBackAttribute.
    pub const SET_FALLBACK: u16 = 0x3A05;
    /// UpdateSMSRAddressingParameters.
    pub const ADDRESSING: u16 = 0x3A07;
    /// HandleNotificationConfirmation.
    pub const CONFIRMATION: u16 = 0x3A08;
    /// SetEmergencyProfileAttribute (version 4). The value is an assumption that continues the
    /// order of the others.
    pub const SET_EMERGENCY: u16 = 0x3A09;
}

/// P1 of STORE DATA: last block, DGI format, without and with a response.
const LAST: u8 = 0x88;
const LAST_WITH_ANSWER: u8 = 0x89;
/// P1 of STORE DATA: more blocks follow, DGI format, with a response.
const MORE_WITH_ANSWER: u8 = 0x09;

const AID: Tag = Tag(0x4F);

/// Returns a C-APDU with at most 65535 octets of data. If `answer` is true, Le requests all
/// available response data. Lc and Le are either both short or both extended (ISO/IEC 7816-4
/// section 5.1).
pub fn apdu(header: [u8; 4], data: &[u8], answer: bool) -> Vec<u8> {
    let mut apdu = header.to_vec();
    let le: &[u8] = match u8::try_from(data.len()) {
        Ok(0) => &[0],
        Ok(short) => {
            apdu.push(short);
            &[0]
        }
        Err(_) => {
            apdu.push(0);
            apdu.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            &[0, 0]
        }
    };
    apdu.extend_from_slice(data);
    if answer {
        apdu.extend_from_slice(le);
    }
    apdu
}

/// Encodes a data group: its identifier, its length (three octets for 255 and more) and its
/// contents.
pub fn data_group(identifier: u16, contents: &[u8]) -> Vec<u8> {
    let mut group = identifier.to_be_bytes().to_vec();
    match u8::try_from(contents.len()) {
        Ok(short) if short < 0xFF => group.push(short),
        _ => {
            group.push(0xFF);
            group.extend(u16::try_from(contents.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    group.extend_from_slice(contents);
    group
}

fn on_isd_p(identifier: u16, isd_p: &Aid) -> Vec<u8> {
    apdu([0x80, 0xE2, LAST, 0x00], &data_group(identifier, &tlv_bytes(AID, &isd_p.0)), false)
}

/// ES5.CreateISDP: INSTALL [for install and make selectable]. The memory is encoded in EF/83
/// (confirmed by two servers); 0 omits it.
pub fn create_isd_p(load_file: &Aid, module: &Aid, isd_p: &Aid, memory: u32) -> Vec<u8> {
    // A security domain with a trusted path, and SCP03 with i = 70.
    const PRIVILEGES: [u8; 3] = [0x80, 0xC0, 0x00];
    const SCP03: [u8; 4] = [0x81, 0x02, 0x03, 0x70];
    let mut parameters = tlv_bytes(Tag(0xC9), &SCP03);
    if memory > 0 {
        parameters.extend(tlv_bytes(Tag(0xEF), &tlv_bytes(Tag(0x83), &memory.to_be_bytes())));
    }
    let mut data = Vec::new();
    for field in [&load_file.0[..], &module.0, &isd_p.0, &PRIVILEGES, &parameters, &[]] {
        data.push(u8::try_from(field.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(field);
    }
    apdu([0x80, 0xE6, 0x0C, 0x00], &data, true)
}

/// INSTALL [for personalization]: directs the following STORE DATA commands to this ISD-P.
pub fn install_for_personalization(isd_p: &Aid) -> Vec<u8> {
    let mut data = vec![0x00, 0x00, u8::try_from(isd_p.0.len()).unwrap_or(u8::MAX)];
    data.extend_from_slice(&isd_p.0);
    data.extend([0x00; 3]);
    apdu([0x80, 0xE6, 0x20, 0x00], &data, true)
}

/// ES5.EnableProfile.
pub fn enable_profile(isd_p: &Aid) -> Vec<u8> {
    on_isd_p(group::ENABLE, isd_p)
}

/// ES5.DisableProfile.
pub fn disable_profile(isd_p: &Aid) -> Vec<u8> {
    on_isd_p(group::DISABLE, isd_p)
}

/// ES5.SetFallBackAttribute.
pub fn set_fallback_attribute(isd_p: &Aid) -> Vec<u8> {
    on_isd_p(group::SET_FALLBACK, isd_p)
}

/// ES5.SetEmergencyProfileAttribute.
pub fn set_emergency_profile_attribute(isd_p: &Aid) -> Vec<u8> {
    on_isd_p(group::SET_EMERGENCY, isd_p)
}

/// ES5.DeleteProfile: DELETE [object and related].
pub fn delete_profile(isd_p: &Aid) -> Vec<u8> {
    apdu([0x80, 0xE4, 0x00, 0x40], &tlv_bytes(AID, &isd_p.0), true)
}

/// The delete token, with which the SM-DP authorises the deletion of a profile: GlobalPlatform
/// section C.4.7.
#[derive(Clone, Copy, Debug)]
pub struct DeleteToken<'a> {
    /// Security domain image number (42).
    pub sin: &'a [u8],
    /// Security domain provider identifier (45).
    pub sdin: &'a [u8],
    /// Application provider identifier (5F20).
    pub provider: &'a [u8],
    /// Token identifier (93), unique for each token.
    pub id: &'a [u8],
}

impl DeleteToken<'_> {
    /// Encodes the template with the owner and the token identifier.
    fn template(&self) -> Vec<u8> {
        let elements = [(0x42, self.sin), (0x45, self.sdin), (0x5F20, self.provider), (0x93, self.id)];
        let contents: Vec<u8> =
            elements.into_iter().flat_map(|(tag, value)| tlv_bytes(Tag(tag), value)).collect();
        tlv_bytes(Tag(0xB6), &contents)
    }

    /// Returns the input of the token's MAC (AES-CMAC): P1, P2, the length of the data before the
    /// token, and these data.
    pub fn covered(&self, isd_p: &Aid) -> Vec<u8> {
        let data = [tlv_bytes(AID, &isd_p.0), self.template()].concat();
        [&[0x00, 0x40, u8::try_from(data.len()).unwrap_or(u8::MAX)], data.as_slice()].concat()
    }

    /// ES5.MasterDelete: DELETE with the token, the MAC of [`covered`](Self::covered).
    pub fn master_delete(&self, isd_p: &Aid, token: &[u8]) -> Vec<u8> {
        let data = [tlv_bytes(AID, &isd_p.0), self.template(), tlv_bytes(Tag(0x9E), token)].concat();
        apdu([0x80, 0xE4, 0x00, 0x40], &data, true)
    }
}

/// ES5.HandleNotificationConfirmation. [`deleted_isd_ps`] decodes the response.
pub fn handle_notification_confirmation(sequence_number: u16) -> Vec<u8> {
    let contents = tlv_bytes(Tag(0x4E), &sequence_number.to_be_bytes());
    apdu([0x80, 0xE2, LAST_WITH_ANSWER, 0x00], &data_group(group::CONFIRMATION, &contents), true)
}

/// The requested elements of a status.
const STATUS_TAGS: [u8; 6] = [0x4F, 0x9F, 0x70, 0x53, 0x8F, 0x91];

/// ES5.eUICCCapabilityAudit: GET STATUS of one ISD-P or of all. [`IsdPStatus::parse_all`] decodes
/// the response.
pub fn get_status(isd_p: Option<&Aid>) -> Vec<u8> {
    status(isd_p, 0x02)
}

/// GET STATUS for the remaining entries after status word 6310, in the same script.
pub fn get_next_status() -> Vec<u8> {
    status(None, 0x03)
}

fn status(isd_p: Option<&Aid>, p2: u8) -> Vec<u8> {
    let aid = isd_p.map(|aid| aid.0.as_slice()).unwrap_or_default();
    let data = [tlv_bytes(AID, aid), tlv_bytes(Tag(0x5C), &STATUS_TAGS)].concat();
    apdu([0x80, 0xF2, 0x40, p2], &data, true)
}

/// ES5.eUICCCapabilityAudit: GET DATA of the card's resources. [`CardResources::parse`] decodes the
/// response.
pub fn get_card_resources() -> Vec<u8> {
    vec![0x80, 0xCA, 0xFF, 0x21, 0x00]
}

/// ES5.FinaliseISDRhandover: deletes all keys of the ISD-R except those in the given ranges of
/// (version, first key, last key). SGP.02 section 4.1.1.9.
pub fn finalise_isd_r_handover(kept: &[(u8, u8, u8)]) -> Vec<u8> {
    let data: Vec<u8> = kept
        .iter()
        .flat_map(|(version, first, last)| tlv_bytes(Tag(0xF2), &[*version, *first, *last]))
        .collect();
    apdu([0x80, 0xE4, 0x00, 0x00], &data, true)
}

/// The addresses of the card's SM-SR. Absent addresses are unchanged.
///
/// Only the address for short messages was observed in use; the tags of the others are assumptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmsrAddressing {
    /// 81: type of number and digits, as returned by
    /// [`Address::value`](crate::ota::sms::Address::value).
    pub sms: Option<Vec<u8>>,
    /// 82: the same contents as tag 81 in the trigger of an HTTPS session (connection, security,
    /// retry and POST parameters).
    pub https: Option<Vec<u8>>,
    /// 83: the same contents as tag B3 in the trigger.
    pub dns: Option<Vec<u8>>,
}

/// ES5.UpdateSMSRAddressingParameters.
pub fn update_smsr_addressing(parameters: &SmsrAddressing) -> Vec<u8> {
    let mut contents = Vec::new();
    for (tag, value) in [(0x81, &parameters.sms), (0x82, &parameters.https), (0x83, &parameters.dns)] {
        if let Some(value) = value {
            contents.extend(tlv_bytes(Tag(tag), value));
        }
    }
    apdu([0x80, 0xE2, LAST, 0x00], &data_group(group::ADDRESSING, &tlv_bytes(Tag(0xA3), &contents)), false)
}

/// The type of a key in PUT KEY: GlobalPlatform section 11.1.8, Amendment B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// 85: a pre-shared key of TLS.
    TlsPsk,
    /// 88: AES.
    Aes,
}

/// PUT KEY of one new key. `wrapped` is the key encrypted with the DEK of the current key set; the
/// key itself has `length` octets.
pub fn put_key(
    version: u8,
    key_id: u8,
    kind: KeyType,
    length: u8,
    wrapped: &[u8],
    check_value: &[u8],
) -> Vec<u8> {
    let kind = match kind {
        KeyType::TlsPsk => 0x85,
        KeyType::Aes => 0x88,
    };
    let octets = |value: &[u8]| u8::try_from(value.len()).unwrap_or(u8::MAX);
    // Amendment D: the length of the key precedes the wrapped key.
    let mut data = vec![version, kind, octets(wrapped).saturating_add(1), length];
    data.extend_from_slice(wrapped);
    data.push(octets(check_value));
    data.extend_from_slice(check_value);
    apdu([0x80, 0xD8, 0x00, key_id], &data, true)
}

#[cfg(test)]
mod tests;
