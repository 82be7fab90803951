//! In what modems differ from each other, and from TS 27.007.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! quirks {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal ),+ $(,)?) => {
        /// Something that modems of some make do otherwise than ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Quirk {
            $( $(#[doc = $doc])+ #[serde(rename = $name)] $variant, )+
        }

        impl Quirk {
            /// All of them, with what each does.
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
    /// +CCHO answers with the number alone, as TS 27.007 table 105 has it; most modems put `+CCHO: ` before it.
    BareSession = "bare-session",
    /// Sessions are counted from 1 on; otherwise a session has the number of its logical channel.
    CountedSessions = "counted-sessions",
    /// Session 0 of +CGLA is the basic channel; otherwise there is none that +CCHO has not opened.
    SessionZero = "session-zero",
    /// Hexadecimal characters in answers stand without quotation marks.
    UnquotedHex = "unquoted-hex",
    /// Hexadecimal characters in answers are in lower case.
    LowercaseHex = "lowercase-hex",
    /// The length of an APDU counts octets; otherwise its characters.
    LengthInOctets = "length-in-octets",
    /// The length of an APDU is not looked at.
    AnyLength = "any-length",
    /// The modem does GET RESPONSE itself, once for each APDU, so that of a long answer 256 octets are seen.
    OwnGetResponse = "own-get-response",
    /// A card that refuses is ERROR, whatever +CMEE says.
    PlainErrors = "plain-errors",
    /// A card that refuses is +CME ERROR: 13, whatever the reason.
    SimFailure = "sim-failure",
    /// Without an enabled profile +CPIN? answers EMPTY_EUICC; otherwise +CME ERROR: 10.
    EmptyEuicc = "empty-euicc",
    /// A change of the card is told unasked: +CPIN: NOT READY, +CPIN: READY.
    TellsSimState = "tells-sim-state",
}

/// There is no quirk of this name. The message lists those that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownQuirk(String);

impl std::error::Error for UnknownQuirk {}

impl fmt::Display for UnknownQuirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no quirk of a modem; there are", self.0)?;
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
