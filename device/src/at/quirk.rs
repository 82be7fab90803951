//! Deviations of real modems from each other and from TS 27.007.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! quirks {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal ),+ $(,)?) => {
        /// A deviation of some manufacturers' modems from the default behaviour of this modem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Quirk {
            $( $(#[doc = $doc])+ #[serde(rename = $name)] $variant, )+
        }

        impl Quirk {
            /// All quirks with their descriptions.
            pub const ALL: &[(Self, &str)] = &[ $( (Self::$variant, concat!($($doc),+)), )+ ];
        }

        impl fmt::Display for Quirk {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $( Self::$variant => $name, )+ })
            }
        }

        impl FromStr for Quirk {
            type Err = UnknownQuirk;

            fn from_str(text: &str) -> Result<Self, UnknownQuirk> {
                match text {
                    $( $name => Ok(Self::$variant), )+
                    _ => Err(UnknownQuirk(text.to_owned())),
                }
            }
        }
    };
}

quirks! {
    /// +CCHO answers with the number alone, as in TS 27.007 table 105. Most modems put `+CCHO: `
    /// before the number.
    BareSession = "bare-session",
    /// Sessions are numbered from 1; without this quirk a session has the number of its logical
    /// channel.
    CountedSessions = "counted-sessions",
    /// Session 0 of +CGLA is the basic channel; without this quirk only sessions opened by +CCHO
    /// exist.
    SessionZero = "session-zero",
    /// Hexadecimal characters in answers are not quoted.
    UnquotedHex = "unquoted-hex",
    /// Hexadecimal characters in answers are in lower case.
    LowercaseHex = "lowercase-hex",
    /// The length of an APDU is in octets; without this quirk it is in characters.
    LengthInOctets = "length-in-octets",
    /// The length of an APDU is ignored.
    AnyLength = "any-length",
    /// The modem sends GET RESPONSE itself, once per APDU, so that long answers are cut after 256
    /// octets.
    OwnGetResponse = "own-get-response",
    /// A status word 91xx, which announces a proactive command, is reported as 9000: the modem fetches
    /// the command itself later.
    HidesProactive = "hides-proactive",
    /// A refusal by the card is reported as ERROR, regardless of +CMEE.
    PlainErrors = "plain-errors",
    /// A refusal by the card is reported as +CME ERROR: 13, regardless of the reason.
    SimFailure = "sim-failure",
    /// If no profile is enabled, +CPIN? answers EMPTY_EUICC; without this quirk it answers +CME
    /// ERROR: 10.
    EmptyEuicc = "empty-euicc",
    /// A change of the card is reported unsolicited: +CPIN: NOT READY, +CPIN: READY.
    TellsSimState = "tells-sim-state",
}

/// The error for an unknown quirk. Its message lists the known quirks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownQuirk(String);

impl std::error::Error for UnknownQuirk {}

impl fmt::Display for UnknownQuirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown modem quirk {:?}; the known quirks are", self.0)?;
        Quirk::ALL
            .iter()
            .try_for_each(|(quirk, what)| write!(f, "\n  {:<18}{}", quirk.to_string(), what.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_is_found_by_its_name() {
        for (quirk, _) in Quirk::ALL {
            assert_eq!(quirk.to_string().parse(), Ok(*quirk));
            assert_eq!(serde_json::to_value(quirk).unwrap(), quirk.to_string());
        }
        assert!("quoted".parse::<Quirk>().unwrap_err().to_string().contains("unquoted-hex"));
    }
}
