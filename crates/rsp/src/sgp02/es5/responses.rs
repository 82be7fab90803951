//! The contents of responses from the ISD-R.

use crate::{
    der::{DecodeError, Problem, Tag, tlv},
    ids::Aid,
    sgp02::eis::ProfileState,
};

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
    /// The response has another structure.
    pub fn parse_all(answer: &[u8]) -> Result<Vec<Self>, DecodeError> {
        tlv::each(answer)?.into_iter().map(Self::parse).collect()
    }

    /// True if the ISD-P contains the enabled profile.
    pub fn is_enabled(&self) -> bool {
        self.state == Some(IsdPState::Enabled)
    }

    /// True if the ISD-P contains a disabled profile.
    pub fn is_disabled(&self) -> bool {
        self.state == Some(IsdPState::Disabled)
    }

    fn parse(status: &[u8]) -> Result<Self, DecodeError> {
        let bad = |what| DecodeError::new(0, Problem::BadValue(what));
        let Some((Tag(0xE3), contents)) = tlv::split(status) else {
            return Err(bad("the status of an application must be a TLV E3"));
        };
        let mut found = Self {
            aid: Aid(Vec::new()),
            state: None,
            fallback: None,
            granted_memory: None,
            free_memory: None,
        };
        for (tag, value) in tlv::each(contents)?.into_iter().filter_map(tlv::split) {
            match (tag, value) {
                (Tag(0x4F), aid) => found.aid = Aid(aid.to_vec()),
                (Tag(0x9F70), [state, ..]) => found.state = IsdPState::of(*state),
                (Tag(0x53), [fallback]) => found.fallback = Some(*fallback != 0),
                (Tag(0x8F), octets) => found.granted_memory = number(octets),
                (Tag(0x91), octets) => found.free_memory = number(octets),
                _ => {}
            }
        }
        if !(5..=16).contains(&found.aid.0.len()) {
            return Err(bad("an AID has 5 to 16 octets"));
        }
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
    /// The response has another structure.
    pub fn parse(answer: &[u8]) -> Result<Self, DecodeError> {
        let bad = |what| DecodeError::new(0, Problem::BadValue(what));
        let Some((Tag(0xFF21), contents)) = tlv::split(answer) else {
            return Err(bad("the resources of a card must be a TLV FF21"));
        };
        let find = |tag| -> Result<u32, DecodeError> {
            let found = tlv::find(contents, Tag(tag))?.and_then(tlv::split);
            let expected = DecodeError::new(0, Problem::Missing { expected: Tag(tag) });
            number(found.ok_or(expected)?.1)
                .ok_or(bad("a number in a card's resources must have 1 to 4 octets"))
        };
        Ok(Self { applications: find(0x81)?, free_non_volatile: find(0x82)?, free_volatile: find(0x83)? })
    }
}

/// Returns the ISD-Ps that the card deleted because of POL1, from the response to
/// HandleNotificationConfirmation. Cards that deleted none respond with no data or with an empty
/// list.
///
/// # Errors
/// The response has another structure.
pub fn deleted_isd_ps(answer: &[u8]) -> Result<Vec<Aid>, DecodeError> {
    let bad = |what| DecodeError::new(0, Problem::BadValue(what));
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let Some((Tag(0x80), list)) = tlv::split(answer) else {
        return Err(bad("the deleted ISD-Ps must be a TLV 80"));
    };
    tlv::each(list)?
        .into_iter()
        .map(|aid| match tlv::split(aid) {
            Some((Tag(0x4F), aid)) if (5..=16).contains(&aid.len()) => Ok(Aid(aid.to_vec())),
            _ => Err(bad("a deleted ISD-P must be identified by an AID in tag 4F")),
        })
        .collect()
}

fn number(octets: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&octets.len());
    fits.then(|| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}
