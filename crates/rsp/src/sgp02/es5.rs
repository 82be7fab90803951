//! ES5, SM-SR to eUICC: SGP.02 section 4.1.1. The C-APDUs to the ISD-R, and what is in its answers.
//!
//! Every function gives one C-APDU, with Lc and Le written out as TS 102 226 wants it. The tags are from open servers
//! and from live traces of one (see the marks at each); none was read in the text itself.

mod answers;
mod establishment;

pub use answers::{CardResources, IsdPState, IsdPStatus, deleted_isd_ps};
pub use establishment::{
    DERIVATION_RANDOM_TAG, EphemeralKeyForm, KeyAgreement, RECEIPT_TAG, Receipt, is_certificate,
    random_challenge, store_certificate,
};

use crate::{
    der::{Tag, tlv_bytes},
    ids::Aid,
};

/// Data groups of STORE DATA.
pub mod group {
    /// The certificate of an SM-DP or SM-SR.
    pub const CERTIFICATE: u16 = 0x3A01;
    /// The key establishment itself.
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
    /// SetEmergencyProfileAttribute (version 4); the value is a guess, in the order of the others.
    pub const SET_EMERGENCY: u16 = 0x3A09;
}

/// P1 of STORE DATA: the last block, of data groups, without an answer, and with one.
const LAST: u8 = 0x88;
const LAST_WITH_ANSWER: u8 = 0x89;
/// The same, more follows.
const MORE_WITH_ANSWER: u8 = 0x09;

const AID: Tag = Tag(0x4F);

/// A C-APDU with data, at most 65535 octets; if an answer is wanted, with an Le that asks for whatever there is. Both
/// lengths are short or both are extended (ISO/IEC 7816-4 section 5.1).
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

/// A data group: its identifier, its length (three octets from 255 on), its contents.
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

/// ES5.CreateISDP: INSTALL [for install and make selectable]. The memory stands in EF/83 (two servers); 0 asks for none in
/// particular.
pub fn create_isd_p(load_file: &Aid, module: &Aid, isd_p: &Aid, memory: u32) -> Vec<u8> {
    // A security domain with a trusted path; SCP03 with i = 70.
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

/// INSTALL [for personalization]: STORE DATA that follow are for this ISD-P.
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

/// By what the ISD-P knows that its SM-DP has agreed to a deletion: GlobalPlatform section C.4.7.
#[derive(Clone, Copy, Debug)]
pub struct DeleteToken<'a> {
    /// Security domain image number (42).
    pub sin: &'a [u8],
    /// Security domain provider identifier (45).
    pub sdin: &'a [u8],
    /// Application provider identifier (5F20).
    pub provider: &'a [u8],
    /// Number of the token (93), never used before.
    pub id: &'a [u8],
}

impl DeleteToken<'_> {
    /// The template that names the owner and the token.
    fn template(&self) -> Vec<u8> {
        let elements = [(0x42, self.sin), (0x45, self.sdin), (0x5F20, self.provider), (0x93, self.id)];
        let contents: Vec<u8> =
            elements.into_iter().flat_map(|(tag, value)| tlv_bytes(Tag(tag), value)).collect();
        tlv_bytes(Tag(0xB6), &contents)
    }

    /// What the token is a MAC over (AES-CMAC): P1, P2, the length of what follows, and that: all data before the token.
    pub fn covered(&self, isd_p: &Aid) -> Vec<u8> {
        let data = [tlv_bytes(AID, &isd_p.0), self.template()].concat();
        [&[0x00, 0x40, u8::try_from(data.len()).unwrap_or(u8::MAX)], data.as_slice()].concat()
    }

    /// ES5.MasterDelete: DELETE with the token, which is [`covered`](Self::covered)'s MAC.
    pub fn master_delete(&self, isd_p: &Aid, token: &[u8]) -> Vec<u8> {
        let data = [tlv_bytes(AID, &isd_p.0), self.template(), tlv_bytes(Tag(0x9E), token)].concat();
        apdu([0x80, 0xE4, 0x00, 0x40], &data, true)
    }
}

/// ES5.HandleNotificationConfirmation. The answer names what [`deleted_isd_ps`] reads.
pub fn handle_notification_confirmation(sequence_number: u16) -> Vec<u8> {
    let contents = tlv_bytes(Tag(0x4E), &sequence_number.to_be_bytes());
    apdu([0x80, 0xE2, LAST_WITH_ANSWER, 0x00], &data_group(group::CONFIRMATION, &contents), true)
}

/// Which element of a status is asked for.
const STATUS_TAGS: [u8; 6] = [0x4F, 0x9F, 0x70, 0x53, 0x8F, 0x91];

/// ES5.eUICCCapabilityAudit: GET STATUS of an ISD-P, or of all. The answer is [`IsdPStatus::parse_all`]'s.
pub fn get_status(isd_p: Option<&Aid>) -> Vec<u8> {
    status(isd_p, 0x02)
}

/// What GET STATUS of all has not told yet: after 6310, in the same script.
pub fn get_next_status() -> Vec<u8> {
    status(None, 0x03)
}

fn status(isd_p: Option<&Aid>, p2: u8) -> Vec<u8> {
    let aid = isd_p.map(|aid| aid.0.as_slice()).unwrap_or_default();
    let data = [tlv_bytes(AID, aid), tlv_bytes(Tag(0x5C), &STATUS_TAGS)].concat();
    apdu([0x80, 0xF2, 0x40, p2], &data, true)
}

/// ES5.eUICCCapabilityAudit: GET DATA of the card's resources. The answer is [`CardResources::parse`]'s.
pub fn get_card_resources() -> Vec<u8> {
    vec![0x80, 0xCA, 0xFF, 0x21, 0x00]
}

/// ES5.FinaliseISDRhandover: DELETE of all keys of the ISD-R but those in these ranges, as (version, first key, last key)
/// each. SGP.02 section 4.1.1.9.
pub fn finalise_isd_r_handover(kept: &[(u8, u8, u8)]) -> Vec<u8> {
    let data: Vec<u8> = kept
        .iter()
        .flat_map(|(version, first, last)| tlv_bytes(Tag(0xF2), &[*version, *first, *last]))
        .collect();
    apdu([0x80, 0xE4, 0x00, 0x00], &data, true)
}

/// Where a card finds its SM-SR. What is not named stays as it is.
///
/// Only the address for short messages was seen in use; the tags of the others are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmsrAddressing {
    /// 81: type of number and digits, as [`Address::value`](crate::ota::sms::Address::value) gives them.
    pub sms: Option<Vec<u8>>,
    /// 82: what the trigger of an HTTPS session has in its 81 (parameters of connection, security, retry and POST).
    pub https: Option<Vec<u8>>,
    /// 83: what the trigger has in its B3.
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

/// PUT KEY of one new key: `wrapped` under the DEK of the key set by which it comes, `length` octets of it the key's.
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
    // Amendment D: the length of the key before what is wrapped.
    let mut data = vec![version, kind, octets(wrapped).saturating_add(1), length];
    data.extend_from_slice(wrapped);
    data.push(octets(check_value));
    data.extend_from_slice(check_value);
    apdu([0x80, 0xD8, 0x00, key_id], &data, true)
}

#[cfg(test)]
mod tests;
