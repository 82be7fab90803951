//! Refusals of AT commands: V.250 section 5.7, TS 27.007 section 9.2.

use std::fmt;

use network::RpCause;
use world::CardInterfaceFault;

use super::line::Malformed;
use crate::terminal::CardError;
use crate::usim::UsimError;

/// A final result code other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The line or its parameters are malformed.
    Error,
    /// The call was not established, or it has ended.
    NoCarrier,
    /// A command for short messages failed: TS 27.005 section 3.2.5.
    ShortMessage(CmsError),
    /// The modem could not execute the command.
    MobileTermination(CmeError),
    /// The card could not execute the command, or requires a code. Modems of different
    /// manufacturers report this with different result codes.
    Card(CmeError),
}

/// The `<err>` of +CME ERROR.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CmeError(pub(super) u16);

macro_rules! errors {
    ($( $name:ident = $number:literal $text:literal ),+ $(,)?) => {
        impl CmeError {
            $( pub(super) const $name: Self = Self($number); )+

            /// Returns the text of the standard.
            pub(super) fn text(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "unknown",
                }
            }
        }
    };
}

errors! {
    OPERATION_NOT_ALLOWED = 3 "operation not allowed",
    OPERATION_NOT_SUPPORTED = 4 "operation not supported",
    SIM_NOT_INSERTED = 10 "SIM not inserted",
    SIM_PIN_REQUIRED = 11 "SIM PIN required",
    SIM_PUK_REQUIRED = 12 "SIM PUK required",
    SIM_FAILURE = 13 "SIM failure",
    INCORRECT_PASSWORD = 16 "incorrect password",
    MEMORY_FULL = 20 "memory full",
    NOT_FOUND = 22 "not found",
    NO_NETWORK_SERVICE = 30 "no network service",
    NETWORK_NOT_ALLOWED = 32 "network not allowed - emergency calls only",
    INCORRECT_PARAMETERS = 50 "Incorrect parameters",
    UNKNOWN = 100 "unknown",
    UNKNOWN_CONTEXT_TYPE = 128 "unknown PDP address or PDP type",
    UNKNOWN_CONTEXT = 143 "unknown PDP context",
}

/// The `<err>` of +CMS ERROR. It does not depend on +CMEE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CmsError(pub(super) u16);

impl CmsError {
    pub(super) const NOT_SUPPORTED: Self = Self(303);
    pub(super) const INVALID_PDU_PARAMETER: Self = Self(304);
    pub(super) const INVALID_TEXT_PARAMETER: Self = Self(305);
    pub(super) const INVALID_INDEX: Self = Self(321);
    pub(super) const NO_NETWORK_SERVICE: Self = Self(331);

    /// Returns the error for the RP-Cause of the network, which has the same number.
    pub(super) fn of_network(cause: RpCause) -> Self {
        Self(u16::from(cause.0))
    }
}

impl fmt::Debug for CmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.text())
    }
}

impl From<CmsError> for Refusal {
    fn from(error: CmsError) -> Self {
        Self::ShortMessage(error)
    }
}

impl From<CmeError> for Refusal {
    fn from(error: CmeError) -> Self {
        Self::MobileTermination(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Error
    }
}

impl From<CardError> for Refusal {
    fn from(_: CardError) -> Self {
        Self::Card(CmeError::SIM_FAILURE)
    }
}

impl From<CardInterfaceFault> for Refusal {
    fn from(_: CardInterfaceFault) -> Self {
        Self::Card(CmeError::SIM_FAILURE)
    }
}

impl From<UsimError> for Refusal {
    fn from(error: UsimError) -> Self {
        Self::Card(match error {
            UsimError::PinRequired => CmeError::SIM_PIN_REQUIRED,
            UsimError::WrongPin { .. } => CmeError::INCORRECT_PASSWORD,
            UsimError::NoUsim => CmeError::SIM_NOT_INSERTED,
            UsimError::Card(_) | UsimError::BadFile { .. } => CmeError::SIM_FAILURE,
        })
    }
}
