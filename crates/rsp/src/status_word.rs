//! Status words: ISO/IEC 7816-4 section 5.6, TS 102 221 section 10.2.1.

use std::fmt;

/// SW1 and SW2.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// No record has what was searched for.
    pub const UNSUCCESSFUL_SEARCH: Self = Self(0x6282);
    /// The file or application is deactivated.
    pub const SELECTED_FILE_INVALIDATED: Self = Self(0x6283);
    /// The file or application is terminated.
    pub const SELECTED_FILE_IN_TERMINATION_STATE: Self = Self(0x6285);
    /// Another block of the data object can be retrieved.
    pub const MORE_DATA_AVAILABLE: Self = Self(0x62F1);
    /// Another block can be retrieved, and a proactive command waits.
    pub const MORE_DATA_AVAILABLE_AND_PROACTIVE: Self = Self(0x62F2);
    /// The data object is not complete yet.
    pub const MORE_DATA_EXPECTED: Self = Self(0x63F1);
    /// The data object is not complete yet, and a proactive command waits.
    pub const MORE_DATA_EXPECTED_AND_PROACTIVE: Self = Self(0x63F2);
    /// The memory could not be written; nothing has changed.
    pub const MEMORY_PROBLEM: Self = Self(0x6581);
    /// The lengths do not add up.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// There is no such logical channel, or it is not open.
    pub const LOGICAL_CHANNEL_NOT_SUPPORTED: Self = Self(0x6881);
    /// No secure messaging here.
    pub const SECURE_MESSAGING_NOT_SUPPORTED: Self = Self(0x6882);
    /// No chaining by class byte here.
    pub const COMMAND_CHAINING_NOT_SUPPORTED: Self = Self(0x6884);
    /// The file has another structure than the command is for.
    pub const COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE: Self = Self(0x6981);
    /// A right is missing.
    pub const SECURITY_STATUS_NOT_SATISFIED: Self = Self(0x6982);
    /// No more attempts.
    pub const AUTHENTICATION_METHOD_BLOCKED: Self = Self(0x6983);
    /// The referenced data are deactivated.
    pub const REFERENCED_DATA_INVALIDATED: Self = Self(0x6984);
    /// Not now.
    pub const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    /// Another part of the list comes with the next GET STATUS.
    pub const MORE_STATUS_AVAILABLE: Self = Self(0x6310);
    /// POL1 of a profile does not allow it.
    pub const POL1_PREVENTS: Self = Self(0x69E1);
    /// No EF is selected.
    pub const NO_EF_SELECTED: Self = Self(0x6986);
    /// The data are not what the command needs.
    pub const INCORRECT_DATA: Self = Self(0x6A80);
    /// Not supported in this place.
    pub const FUNCTION_NOT_SUPPORTED: Self = Self(0x6A81);
    /// No such file or application.
    pub const FILE_NOT_FOUND: Self = Self(0x6A82);
    /// No such record.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);
    /// No room.
    pub const NOT_ENOUGH_MEMORY: Self = Self(0x6A84);
    /// P1 or P2 are wrong.
    pub const INCORRECT_P1_P2: Self = Self(0x6A86);
    /// What is referred to is not there.
    pub const REFERENCED_DATA_NOT_FOUND: Self = Self(0x6A88);
    /// The offset lies outside the file.
    pub const WRONG_P1_P2: Self = Self(0x6B00);
    /// No such instruction here.
    pub const INSTRUCTION_NOT_SUPPORTED: Self = Self(0x6D00);
    /// No such class here.
    pub const CLASS_NOT_SUPPORTED: Self = Self(0x6E00);
    /// No explanation.
    pub const TECHNICAL_PROBLEM: Self = Self(0x6F00);
    /// The value would not fit its record any more.
    pub const MAX_VALUE_REACHED: Self = Self(0x9850);
    /// The network's MAC is wrong.
    pub const AUTHENTICATION_ERROR_INCORRECT_MAC: Self = Self(0x9862);
    /// No such security context.
    pub const AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED: Self = Self(0x9864);

    /// `61xx`: so many octets are waiting, 256 or more shown as 00.
    pub fn more(octets: usize) -> Self {
        Self(0x6100 | short(octets))
    }

    /// `6Cxx`: ask again for so many octets.
    pub fn wrong_le(octets: usize) -> Self {
        Self(0x6C00 | short(octets))
    }

    /// `63Cx`: wrong code, so many attempts left.
    pub fn attempts_left(attempts: u8) -> Self {
        Self(0x63C0 | u16::from(attempts.min(15)))
    }

    /// `91xx`: done, and a proactive command of so many octets waits.
    pub fn proactive(octets: usize) -> Self {
        Self(0x9100 | short(octets))
    }

    /// Whether the warning says something about the data themselves, so that they carry it too when they come after it.
    pub fn is_repeated_with_data(self) -> bool {
        matches!(self, Self::MORE_DATA_AVAILABLE | Self::MORE_DATA_AVAILABLE_AND_PROACTIVE)
    }

    /// SW1 and SW2 as they go out.
    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

fn short(octets: usize) -> u16 {
    u8::try_from(octets).map_or(0, u16::from)
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusWord({self})")
    }
}
