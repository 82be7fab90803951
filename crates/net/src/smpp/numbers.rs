//! Numbers of SMPP 3.4: status codes, commands and optional parameters.

use std::fmt;

/// Result of a request: section 5.1.3.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($( $(#[$meta:meta])* $name:ident = $number:literal $text:literal ),+ $(,)?) => {
        impl Status {
            $( $(#[$meta])* pub const $name: Self = Self($number); )+

            fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "unknown status",
                }
            }
        }
    };
}

statuses! {
    /// No error.
    OK = 0x00 "ESME_ROK",
    /// The message is too long.
    INVALID_MESSAGE_LENGTH = 0x01 "ESME_RINVMSGLEN",
    /// The length of the PDU is impossible.
    INVALID_COMMAND_LENGTH = 0x02 "ESME_RINVCMDLEN",
    /// The command is unknown.
    INVALID_COMMAND_ID = 0x03 "ESME_RINVCMDID",
    /// The command is not allowed in this state of the session.
    INCORRECT_BIND_STATUS = 0x04 "ESME_RINVBNDSTS",
    /// The session is already bound.
    ALREADY_BOUND = 0x05 "ESME_RALYBND",
    /// The SMSC has an internal error.
    SYSTEM_ERROR = 0x08 "ESME_RSYSERR",
    /// The originator is not a valid address.
    INVALID_SOURCE_ADDRESS = 0x0A "ESME_RINVSRCADR",
    /// The destination is not a valid address, or has no subscriber.
    INVALID_DESTINATION_ADDRESS = 0x0B "ESME_RINVDSTADR",
    /// The message ID is unknown.
    INVALID_MESSAGE_ID = 0x0C "ESME_RINVMSGID",
    /// The bind failed for another reason.
    BIND_FAILED = 0x0D "ESME_RBINDFAIL",
    /// The password is wrong.
    INVALID_PASSWORD = 0x0E "ESME_RINVPASWD",
    /// The account is unknown.
    INVALID_SYSTEM_ID = 0x0F "ESME_RINVSYSID",
    /// The message can no longer be cancelled.
    CANCEL_FAILED = 0x11 "ESME_RCANCELFAIL",
    /// The queue is full.
    QUEUE_FULL = 0x14 "ESME_RMSGQFUL",
    /// Replacing messages is not supported.
    INVALID_REPLACEMENT = 0x42 "ESME_RINVSUBREP",
    /// Flags exclude each other or are not supported.
    INVALID_ESM_CLASS = 0x43 "ESME_RINVESMCLASS",
    /// The message was refused.
    SUBMIT_FAILED = 0x45 "ESME_RSUBMITFAIL",
    /// The message rate is too high.
    THROTTLED = 0x58 "ESME_RTHROTTLED",
    /// Scheduled delivery is not supported.
    INVALID_SCHEDULE = 0x61 "ESME_RINVSCHED",
    /// The validity period is invalid.
    INVALID_EXPIRY = 0x62 "ESME_RINVEXPIRY",
    /// No message is stored under this number.
    INVALID_DEFAULT_MESSAGE = 0x63 "ESME_RINVDFTMSGID",
    /// From the ESME: a temporary error.
    TEMPORARY_RECEIVER_ERROR = 0x64 "ESME_RX_T_APPN",
    /// From the ESME: a permanent error.
    PERMANENT_RECEIVER_ERROR = 0x65 "ESME_RX_P_APPN",
    /// The optional parameters are inconsistent.
    INVALID_OPTIONAL_PART = 0xC0 "ESME_RINVOPTPARSTREAM",
    /// A field or parameter has an invalid length.
    INVALID_PARAMETER_LENGTH = 0xC2 "ESME_RINVPARLEN",
    /// A mandatory parameter is missing.
    MISSING_PARAMETER = 0xC3 "ESME_RMISSINGOPTPARAM",
    /// A parameter has an invalid value.
    INVALID_PARAMETER_VALUE = 0xC4 "ESME_RINVOPTPARAMVAL",
    /// Unknown error.
    UNKNOWN_ERROR = 0xFF "ESME_RUNKNOWNERR",
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#010x})", self.name(), self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A command: section 5.1.2.1. An answer has the number of its request with the highest bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u32);

impl CommandId {
    const ANSWER: u32 = 0x8000_0000;
    /// `generic_nack`.
    pub const GENERIC_NACK: Self = Self(0x8000_0000);
    /// `bind_receiver`.
    pub const BIND_RECEIVER: Self = Self(0x01);
    /// `bind_transmitter`.
    pub const BIND_TRANSMITTER: Self = Self(0x02);
    /// `query_sm`.
    pub const QUERY_SM: Self = Self(0x03);
    /// `submit_sm`.
    pub const SUBMIT_SM: Self = Self(0x04);
    /// `deliver_sm`.
    pub const DELIVER_SM: Self = Self(0x05);
    /// `unbind`.
    pub const UNBIND: Self = Self(0x06);
    /// `cancel_sm`.
    pub const CANCEL_SM: Self = Self(0x08);
    /// `bind_transceiver`.
    pub const BIND_TRANSCEIVER: Self = Self(0x09);
    /// `enquire_link`.
    pub const ENQUIRE_LINK: Self = Self(0x15);

    /// Returns the command of the answer to this command.
    #[must_use]
    pub const fn answer(self) -> Self {
        Self(self.0 | Self::ANSWER)
    }

    /// True if the command is an answer.
    pub const fn is_answer(self) -> bool {
        self.0 & Self::ANSWER != 0
    }
}

/// Number of an optional parameter: section 5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u16);

impl Tag {
    /// `receipted_message_id`.
    pub const RECEIPTED_MESSAGE_ID: Self = Self(0x001E);
    /// `sc_interface_version`.
    pub const SC_INTERFACE_VERSION: Self = Self(0x0210);
    /// `message_payload`.
    pub const MESSAGE_PAYLOAD: Self = Self(0x0424);
    /// `message_state`.
    pub const MESSAGE_STATE: Self = Self(0x0427);
}
