//! Status words: ISO/IEC 7816-4 section 5.6, TS 102 221 section 10.2.1.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The status word of a response APDU: SW1 and SW2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Normal processing.
    pub const OK: Self = Self(0x9000);
    /// No record matches the search.
    pub const UNSUCCESSFUL_SEARCH: Self = Self(0x6282);
    /// The file or application is deactivated.
    pub const SELECTED_FILE_INVALIDATED: Self = Self(0x6283);
    /// The file or application is terminated.
    pub const SELECTED_FILE_IN_TERMINATION_STATE: Self = Self(0x6285);
    /// Another block of the data object can be retrieved.
    pub const MORE_DATA_AVAILABLE: Self = Self(0x62F1);
    /// Another block can be retrieved, and a proactive command is pending.
    pub const MORE_DATA_AVAILABLE_AND_PROACTIVE: Self = Self(0x62F2);
    /// The data object is incomplete.
    pub const MORE_DATA_EXPECTED: Self = Self(0x63F1);
    /// The data object is incomplete, and a proactive command is pending.
    pub const MORE_DATA_EXPECTED_AND_PROACTIVE: Self = Self(0x63F2);
    /// The memory could not be written; nothing was changed.
    pub const MEMORY_PROBLEM: Self = Self(0x6581);
    /// A length is wrong.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// The logical channel does not exist or is not open.
    pub const LOGICAL_CHANNEL_NOT_SUPPORTED: Self = Self(0x6881);
    /// Secure messaging is not supported.
    pub const SECURE_MESSAGING_NOT_SUPPORTED: Self = Self(0x6882);
    /// Command chaining by class byte is not supported.
    pub const COMMAND_CHAINING_NOT_SUPPORTED: Self = Self(0x6884);
    /// The command does not apply to the structure of the file.
    pub const COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE: Self = Self(0x6981);
    /// An access condition is not satisfied.
    pub const SECURITY_STATUS_NOT_SATISFIED: Self = Self(0x6982);
    /// No attempts remain.
    pub const AUTHENTICATION_METHOD_BLOCKED: Self = Self(0x6983);
    /// The referenced data are deactivated.
    pub const REFERENCED_DATA_INVALIDATED: Self = Self(0x6984);
    /// The command is not allowed in the current state.
    pub const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    /// Another part of the list can be retrieved with the next GET STATUS.
    pub const MORE_STATUS_AVAILABLE: Self = Self(0x6310);
    /// POL1 of a profile prevents the operation; defined only by SGP.02.
    pub const POL1_PREVENTS: Self = Self(0x69E1);
    /// No EF is selected.
    pub const NO_EF_SELECTED: Self = Self(0x6986);
    /// The command data are incorrect.
    pub const INCORRECT_DATA: Self = Self(0x6A80);
    /// The function is not supported.
    pub const FUNCTION_NOT_SUPPORTED: Self = Self(0x6A81);
    /// The file or application does not exist.
    pub const FILE_NOT_FOUND: Self = Self(0x6A82);
    /// The record does not exist.
    pub const RECORD_NOT_FOUND: Self = Self(0x6A83);
    /// Not enough memory.
    pub const NOT_ENOUGH_MEMORY: Self = Self(0x6A84);
    /// P1 or P2 is incorrect.
    pub const INCORRECT_P1_P2: Self = Self(0x6A86);
    /// The referenced data do not exist.
    pub const REFERENCED_DATA_NOT_FOUND: Self = Self(0x6A88);
    /// The offset is outside the file.
    pub const WRONG_P1_P2: Self = Self(0x6B00);
    /// The instruction is not supported.
    pub const INSTRUCTION_NOT_SUPPORTED: Self = Self(0x6D00);
    /// The class is not supported.
    pub const CLASS_NOT_SUPPORTED: Self = Self(0x6E00);
    /// A technical problem without a precise diagnosis.
    pub const TECHNICAL_PROBLEM: Self = Self(0x6F00);
    /// The value would exceed the maximum of its record.
    pub const MAX_VALUE_REACHED: Self = Self(0x9850);
    /// The network's MAC is wrong.
    pub const AUTHENTICATION_ERROR_INCORRECT_MAC: Self = Self(0x9862);
    /// The security context is not supported.
    pub const AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED: Self = Self(0x9864);

    /// `61xx`: this many octets can be retrieved; 256 or more are encoded as 00.
    pub fn more(octets: usize) -> Self {
        Self(0x6100 | short(octets))
    }

    /// `6Cxx`: repeat the command with Le set to this many octets.
    pub fn wrong_le(octets: usize) -> Self {
        Self(0x6C00 | short(octets))
    }

    /// `63Cx`: wrong code, with the number of remaining attempts.
    pub fn attempts_left(attempts: u8) -> Self {
        Self(0x63C0 | u16::from(attempts.min(15)))
    }

    /// `91xx`: normal processing, and a proactive command of this many octets is pending.
    pub fn proactive(octets: usize) -> Self {
        Self(0x9100 | short(octets))
    }

    /// True if the warning concerns the data themselves, so that it is repeated when the data are
    /// retrieved later.
    pub fn is_repeated_with_data(self) -> bool {
        matches!(self, Self::MORE_DATA_AVAILABLE | Self::MORE_DATA_AVAILABLE_AND_PROACTIVE)
    }

    /// True for 9000 and for the warnings 62xx and 63xx.
    pub const fn is_success(self) -> bool {
        matches!(self.0 >> 8, 0x90 | 0x62 | 0x63)
    }

    /// Encodes SW1 and SW2.
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
