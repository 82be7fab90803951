//! Activation codes: SGP.22 section 4.1.

use std::{fmt, str::FromStr};

use crate::{
    finding::{Finding, FindingKind},
    ids::{Oid, SmdpAddress},
};

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
    /// Deviations of the text that the code was read from.
    pub findings: Vec<Finding>,
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

/// The prefix of a code that a user scans.
const PREFIX: &str = "LPA:";

impl FromStr for ActivationCode {
    type Err = InvalidActivationCode;

    fn from_str(text: &str) -> Result<Self, InvalidActivationCode> {
        let bad = |why| InvalidActivationCode { text: text.to_owned(), why };
        let mut findings = Vec::new();
        let mut report = |kind, detail: &str| findings.push(Finding::new(kind, detail));
        let trimmed = text.trim();
        if trimmed != text {
            report(FindingKind::ActivationCodeBlanks, "");
        }
        let code = match trimmed.split_at_checked(PREFIX.len()) {
            Some((prefix, code)) if prefix.eq_ignore_ascii_case(PREFIX) => {
                if prefix != PREFIX {
                    report(FindingKind::ActivationCodePrefix, prefix);
                }
                code
            }
            _ => trimmed,
        };
        let mut parts = code.split('$');
        // req: SGP.22-4.1-Format
        if parts.next() != Some("1") {
            return Err(bad("it does not start with 1$"));
        }
        let smdp_address: SmdpAddress = parts
            .next()
            .unwrap_or_default()
            .parse()
            .map_err(|_| bad("the SM-DP+ address is missing or malformed"))?;
        if smdp_address.as_str().contains('_') {
            report(FindingKind::HostNameCharacters, smdp_address.as_str());
        }
        let matching_id = parts.next().ok_or_else(|| bad("the matching id is missing"))?.to_owned();
        // req: SGP.22-4.1-MatchingId
        if !matching_id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err(bad("the matching id has characters other than letters, digits, -, _ and ."));
        }
        if !matching_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') {
            report(FindingKind::MatchingIdCharacters, &matching_id);
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
        // Version 3 of SGP.22 adds parts. An empty one has no meaning.
        if let Some(further) = parts.find(|part| !part.is_empty()) {
            report(FindingKind::UnknownElement, further);
        }
        Ok(Self { smdp_address, matching_id, smdp_oid, confirmation_code_required, findings })
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
        for code in
            ["", "LPA:", "2$a$b", "1$", "1$a", "1$a$b$$2", "1$a$b c", "1$a$b'", "1$a$b/c", "1$a$\u{e9}"]
        {
            assert!(code.parse::<ActivationCode>().is_err(), "{code}");
        }
    }

    #[test]
    fn the_first_part_that_is_not_defined_is_the_detail_of_the_finding() {
        let code: ActivationCode = "1$a$B$$1$$665A1433$1".parse().unwrap();
        assert_eq!(code.findings, [Finding::new(FindingKind::UnknownElement, "665A1433")]);
    }

    #[test]
    fn codes_as_third_parties_write_them_are_accepted_with_a_finding() {
        use FindingKind::*;
        let found = |code: &str| {
            let code: ActivationCode = code.parse().unwrap();
            let kinds: Vec<_> = code.findings.iter().map(|finding| finding.kind).collect();
            (code.to_string(), kinds)
        };
        for (code, printed, kinds) in [
            ("LPA:1$smdp.example.com$A-1", "1$smdp.example.com$A-1", vec![]),
            ("lpa:1$smdp.example.com$A-1", "1$smdp.example.com$A-1", vec![ActivationCodePrefix]),
            (" \tLPA:1$a$B\r\n", "1$a$B", vec![ActivationCodeBlanks]),
            ("LPA:1$a$TS48v1_A.der", "1$a$TS48v1_A.der", vec![MatchingIdCharacters]),
            ("1$my_smdp.example.com$B", "1$my_smdp.example.com$B", vec![HostNameCharacters]),
            ("1$a$B$$1$665A1433$1", "1$a$B$$1", vec![UnknownElement]),
            ("1$a$B$$$", "1$a$B", vec![]),
            (
                " Lpa:1$my_smdp$b",
                "1$my_smdp$b",
                vec![ActivationCodeBlanks, ActivationCodePrefix, HostNameCharacters, MatchingIdCharacters],
            ),
        ] {
            assert_eq!(found(code), (printed.to_owned(), kinds), "{code}");
        }
    }
}
