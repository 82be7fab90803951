//! What is in the answers of the ISD-R.

use crate::{
    der::{DecodeError, Problem, Tag, tlv},
    ids::Aid,
    sgp02::eis::ProfileState,
};

/// Life cycle of an ISD-P, as 9F70 tells it: GlobalPlatform section 11.1.1 and SGP.02.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsdPState {
    /// 03: made.
    Installed,
    /// 07: can be selected.
    Selectable,
    /// 0F: its keys are set.
    Personalized,
    /// 1F: there is a profile in it, not in use.
    Disabled,
    /// 3F: its profile is in use.
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

    /// As an EIS has it.
    pub const fn profile_state(self) -> ProfileState {
        match self {
            Self::Installed | Self::Selectable | Self::Personalized => ProfileState::Created,
            Self::Disabled => ProfileState::Disabled,
            Self::Enabled => ProfileState::Enabled,
        }
    }
}

/// What GET STATUS tells of one ISD-P.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsdPStatus {
    /// Which.
    pub aid: Aid,
    /// Where it stands; none for an octet that means nothing here.
    pub state: Option<IsdPState>,
    /// Whether it has the fall-back attribute.
    pub fallback: Option<bool>,
    /// Octets that were granted to it.
    pub granted_memory: Option<u32>,
    /// Octets of them that are left.
    pub free_memory: Option<u32>,
}

impl IsdPStatus {
    /// Every `E3` in the answer.
    ///
    /// # Errors
    /// The answer is something else.
    pub fn parse_all(answer: &[u8]) -> Result<Vec<Self>, DecodeError> {
        tlv::each(answer)?.into_iter().map(Self::parse).collect()
    }

    /// Whether its profile is in use.
    pub fn is_enabled(&self) -> bool {
        self.state == Some(IsdPState::Enabled)
    }

    /// Whether there is a profile in it that is not in use.
    pub fn is_disabled(&self) -> bool {
        self.state == Some(IsdPState::Disabled)
    }

    fn parse(status: &[u8]) -> Result<Self, DecodeError> {
        let bad = |what| DecodeError::new(0, Problem::BadValue(what));
        let Some((Tag(0xE3), contents)) = tlv::split(status) else {
            return Err(bad("the status of an application is a TLV E3"));
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

/// TS 102 226 section 8.2.1.7.2: what a card has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardResources {
    /// How many applications it has.
    pub applications: u32,
    /// Octets of non-volatile memory that are free.
    pub free_non_volatile: u32,
    /// Octets of volatile memory that are free.
    pub free_volatile: u32,
}

impl CardResources {
    /// From `FF21`.
    ///
    /// # Errors
    /// The answer is something else.
    pub fn parse(answer: &[u8]) -> Result<Self, DecodeError> {
        let bad = |what| DecodeError::new(0, Problem::BadValue(what));
        let Some((Tag(0xFF21), contents)) = tlv::split(answer) else {
            return Err(bad("the resources of a card are a TLV FF21"));
        };
        let find = |tag| -> Result<u32, DecodeError> {
            let found = tlv::find(contents, Tag(tag))?.and_then(tlv::split);
            let expected = DecodeError::new(0, Problem::Missing { expected: Tag(tag) });
            number(found.ok_or(expected)?.1).ok_or(bad("a number of a card's resources has 1 to 4 octets"))
        };
        Ok(Self { applications: find(0x81)?, free_non_volatile: find(0x82)?, free_volatile: find(0x83)? })
    }
}

/// The ISD-Ps that the card has deleted because of POL1, by its answer to HandleNotificationConfirmation. Cards that have
/// deleted none answer nothing, or an empty list.
///
/// # Errors
/// The answer is something else.
pub fn deleted_isd_ps(answer: &[u8]) -> Result<Vec<Aid>, DecodeError> {
    let bad = |what| DecodeError::new(0, Problem::BadValue(what));
    if answer.is_empty() {
        return Ok(Vec::new());
    }
    let Some((Tag(0x80), list)) = tlv::split(answer) else {
        return Err(bad("the deleted ISD-Ps are a TLV 80"));
    };
    tlv::each(list)?
        .into_iter()
        .map(|aid| match tlv::split(aid) {
            Some((Tag(0x4F), aid)) if (5..=16).contains(&aid.len()) => Ok(Aid(aid.to_vec())),
            _ => Err(bad("a deleted ISD-P is named by 4F")),
        })
        .collect()
}

fn number(octets: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&octets.len());
    fits.then(|| octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}
