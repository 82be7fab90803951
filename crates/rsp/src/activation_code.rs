//! Activation codes: SGP.22 section 4.1.

use std::{fmt, str::FromStr};

use crate::ids::{Oid, SmdpAddress};

/// The code that a user scans or types to start a download: `1$<address>$<matching
/// id>[$<OID>[$1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationCode {
    /// The SM-DP+ that holds the profile.
    pub smdp_address: SmdpAddress,
    /// The MatchingID (AC_Token), empty if the order is linked to the EID only.
    pub matching_id: String,
    /// The OID that the SM-DP+ must present, if the code contains one.
    pub smdp_oid: Option<Oid>,
    /// True if the SM-DP+ requires a confirmation code.
    pub confirmation_code_required: bool,
}

/// The text is not a valid activation code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an activation code: {why}; the format is LPA:1$smdp.example.com$MATCHING-ID")]
pub struct InvalidActivationCode {
    text: String,
    why: &'static str,
}

impl fmt::Display for ActivationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1${}${}", self.smdp_address, self.matching_id)?;
        match (&self.smdp_oid, self.confirmation_code_required) {
            (Some(oid), false) => write!(f, "${oid}"),
            (Some(oid), true) => write!(f, "${oid}$1"),
            (None, true) => write!(f, "$$1"),
            (None, false) => Ok(()),
        }
    }
}

impl FromStr for ActivationCode {
    type Err = InvalidActivationCode;

    fn from_str(text: &str) -> Result<Self, InvalidActivationCode> {
        let bad = |why| InvalidActivationCode { text: text.to_owned(), why };
        let code = text.strip_prefix("LPA:").unwrap_or(text);
        let mut parts = code.split('$');
        // req: SGP.22-4.1-Format
        if parts.next() != Some("1") {
            return Err(bad("it does not start with 1$"));
        }
        let smdp_address = parts
            .next()
            .unwrap_or_default()
            .parse()
            .map_err(|_| bad("the SM-DP+ address is missing or malformed"))?;
        let matching_id = parts.next().ok_or_else(|| bad("the matching id is missing"))?.to_owned();
        // req: SGP.22-4.1-MatchingId
        if !matching_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') {
            return Err(bad("the matching id has characters other than A-Z, 0-9 and -"));
        }
        let smdp_oid = match parts.next() {
            None | Some("") => None,
            Some(oid) => Some(oid.parse().map_err(|_| bad("the SM-DP+ OID is malformed"))?),
        };
        let confirmation_code_required = match parts.next() {
            None | Some("") => false,
            Some("1") => true,
            // req: SGP.22-4.1-ConfirmationCode
            Some(_) => return Err(bad("the confirmation code flag is neither absent nor 1")),
        };
        Ok(Self { smdp_address, matching_id, smdp_oid, confirmation_code_required })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: SGP.22-4.1-Format, SGP.22-4.1-MatchingId, SGP.22-4.1-ConfirmationCode
    #[test]
    fn every_form_prints_as_it_was_read() {
        // The forms of the table in SGP.22 section 4.1, with other names.
        for code in [
            "1$smdp.example.com$04386-AGYFT-A74Y8-3F815",
            "1$smdp.example.com$04386-AGYFT-A74Y8-3F815$$1",
            "1$smdp.example.com$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746",
            "1$smdp.example.com$04386-AGYFT-A74Y8-3F815$1.3.6.1.4.1.31746$1",
            "1$smdp.example.com$",
        ] {
            assert_eq!(code.parse::<ActivationCode>().unwrap().to_string(), code);
            assert_eq!(format!("LPA:{code}").parse::<ActivationCode>().unwrap().to_string(), code);
        }
        for code in ["", "2$a$b", "1$", "1$a", "1$a$b$$2", "1$a$lower"] {
            assert!(code.parse::<ActivationCode>().is_err(), "{code}");
        }
    }
}
