//! The contents of responses from the ISD-R.

use crate::{
    der::{DecodeError, Elements, Problem, Reader, Tag, usually},
    finding::{FindingKind, report},
    ids::Aid,
    sgp02::eis::ProfileState,
};

const AID: Tag = Tag(0x4F);
const STATUS: Tag = Tag(0xE3);

/// The life cycle state of an ISD-P in 9F70: GlobalPlatform section 11.1.1 and SGP.02.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsdPState {
    /// 03: installed.
    Installed,
    /// 07: selectable.
    Selectable,
    /// 0F: the keys are established.
    Personalized,
    /// 1F: contains a disabled profile.
    Disabled,
    /// 3F: contains the enabled profile.
    Enabled,
}

impl IsdPState {
    fn of(octet: u8) -> Option<Self> {
        Some(match octet {
            0x03 => Self::Installed,
            0x07 => Self::Selectable,
            0x0F => Self::Personalized,
            0x1F => Self::Disabled,
            0x3F => Self::Enabled,
            _ => return None,
        })
    }

    /// Decodes the contents of 9F70. Only the first octet has a meaning.
    fn read(contents: &[u8]) -> Option<Self> {
        usually(&contents.to_vec(), 1, "IsdPStatus.state");
        let state = contents.first().copied().and_then(Self::of);
        if state.is_none() {
            report(FindingKind::UnknownValue, || {
                format!("IsdPStatus.state: {}", hex::encode_upper(contents))
            });
        }
        state
    }

    /// Returns the profile state for an EIS.
    pub const fn profile_state(self) -> ProfileState {
        match self {
            Self::Installed | Self::Selectable | Self::Personalized => ProfileState::Created,
            Self::Disabled => ProfileState::Disabled,
            Self::Enabled => ProfileState::Enabled,
        }
    }
}

/// The status of one ISD-P in the response to GET STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsdPStatus {
    /// The AID of the ISD-P.
    pub aid: Aid,
    /// The life cycle state; absent if the octet has no defined meaning.
    pub state: Option<IsdPState>,
    /// True if the ISD-P has the fall-back attribute.
    pub fallback: Option<bool>,
    /// The memory granted to the ISD-P in octets.
    pub granted_memory: Option<u32>,
    /// The remaining memory of the ISD-P in octets.
    pub free_memory: Option<u32>,
}

impl IsdPStatus {
    /// Decodes every `E3` in the response.
    ///
    /// # Errors
    /// The response is not a sequence of TLVs, or a status has no AID. Such a status cannot be
    /// skipped, because an ISD-P that is not listed does not exist.
    pub fn parse_all(answer: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let mut elements = Elements::of("GetStatusResponse", Reader::new(answer))?;
        let found = elements.all(STATUS).map(Self::read).collect();
        elements.finish();
        found
    }

    /// True if the ISD-P contains the enabled profile.
    pub fn is_enabled(&self) -> bool {
        self.state == Some(IsdPState::Enabled)
    }

    /// True if the ISD-P contains a disabled profile.
    pub fn is_disabled(&self) -> bool {
        self.state == Some(IsdPState::Disabled)
    }

    fn read(status: Reader<'_>) -> Result<Self, DecodeError> {
        let mut elements = Elements::of("IsdPStatus", status)?;
        let found = Self {
            aid: Aid::of_peer(elements.contents(AID)?),
            state: elements.optional(Tag(0x9F70), |it| Ok(IsdPState::read(it.rest())))?.flatten(),
            fallback: elements.optional(Tag(0x53), |it| Ok(flag(it.rest())))?,
            granted_memory: elements.optional(Tag(0x8F), |it| number(&it))?,
            free_memory: elements.optional(Tag(0x91), |it| number(&it))?,
        };
        elements.finish();
        Ok(found)
    }
}

/// The available resources of a card: TS 102 226 section 8.2.1.7.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardResources {
    /// The number of installed applications.
    pub applications: u32,
    /// The free non-volatile memory in octets.
    pub free_non_volatile: u32,
    /// The free volatile memory in octets.
    pub free_volatile: u32,
}

impl CardResources {
    /// Decodes the TLV `FF21`.
    ///
    /// # Errors
    /// The response is another TLV, or a number is missing.
    pub fn parse(answer: &[u8]) -> Result<Self, DecodeError> {
        let mut elements = Elements::within("CardResources", Tag(0xFF21), answer)?;
        let mut find = |tag| elements.require(Tag(tag)).and_then(|it| number(&it));
        let found =
            Self { applications: find(0x81)?, free_non_volatile: find(0x82)?, free_volatile: find(0x83)? };
        elements.finish();
        Ok(found)
    }
}

/// Returns the ISD-Ps that the card deleted because of POL1, from the response to
/// HandleNotificationConfirmation. Cards that deleted none respond with no data or with an empty
/// list.
///
/// # Errors
/// The response is another TLV.
pub fn deleted_isd_ps(answer: &[u8]) -> Result<Vec<Aid>, DecodeError> {
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let mut elements = Elements::within("DeletedIsdPs", Tag(0x80), answer)?;
    let deleted = elements.all(AID).map(|aid| Aid::of_peer(aid.rest())).collect();
    elements.finish();
    Ok(deleted)
}

/// Decodes a flag, in which any octet other than 0 means true.
fn flag(octets: &[u8]) -> bool {
    if octets.len() != 1 {
        report(FindingKind::LongValue, || format!("IsdPStatus.fallback: {} octets", octets.len()));
    }
    octets.iter().any(|octet| *octet != 0)
}

/// Decodes a number. Numbers of more than four octets are limited to the maximum of `u32`.
fn number(value: &Reader<'_>) -> Result<u32, DecodeError> {
    let octets = value.rest();
    if octets.is_empty() {
        return Err(value.error(Problem::BadValue("a number in a card's response must have octets")));
    }
    usually(&octets.to_vec(), 4, "a number in a card's response");
    let number =
        octets.iter().try_fold(0_u32, |number, octet| Some(number.checked_mul(0x100)? | u32::from(*octet)));
    Ok(number.unwrap_or(u32::MAX))
}
