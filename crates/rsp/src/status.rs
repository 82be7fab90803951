//! Function execution status: SGP.22 sections 5.2.6 and 5.6, as one table of (subject, reason).

use std::fmt;

/// The longest subject identifier, in octets. A subject may be text of a peer's, as long as a body may be.
pub const MAX_SUBJECT_OCTETS: usize = 255;

/// The longest message, in octets. One may quote a peer's.
pub const MAX_MESSAGE_OCTETS: usize = 1024;

/// A protocol's "no": the answer a peer gets, and a reason a person can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which row of the table.
    pub status: Status,
    /// What identifies the subject, such as the address or the ICCID that was refused.
    pub subject_identifier: Option<String>,
    /// Why, for the person who reads the peer's log.
    pub message: String,
}

impl Refusal {
    /// Names the subject, by its first [`MAX_SUBJECT_OCTETS`].
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject_identifier = Some(cut(subject.to_string(), MAX_SUBJECT_OCTETS));
        self
    }
}

/// As much of the text as `octets` hold; no character is cut in two.
pub fn cut(mut text: String, octets: usize) -> String {
    if text.len() > octets {
        text.truncate(text.floor_char_boundary(octets));
        text.shrink_to_fit();
    }
    text
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.status)?;
        match &self.subject_identifier {
            Some(subject) => write!(f, ": {subject}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

macro_rules! statuses {
    ($( $(#[$meta:meta])* $name:ident = $subject:literal / $reason:literal ),+ $(,)?) => {
        /// The (subject, reason) pairs that SGP.22 functions answer with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status { $( $(#[$meta])* $name, )+ }

        impl Status {
            /// Every row, in the order of the table.
            pub const ALL: &[Self] = &[ $( Self::$name, )+ ];

            /// The dotted subject code.
            pub const fn subject(self) -> &'static str {
                match self { $( Self::$name => $subject, )+ }
            }

            /// The dotted reason code.
            pub const fn reason(self) -> &'static str {
                match self { $( Self::$name => $reason, )+ }
            }
        }
    };
}

statuses! {
    /// The Content-Type is not that of the binding.
    ContentTypeInvalid = "1.2.1" / "2.1",
    /// X-Admin-Protocol is missing or names a version that is not spoken.
    ProtocolInvalid = "1.2.2" / "2.1",
    /// The body is not of the function's format.
    FormatInvalid = "1.3.1" / "2.1",
    /// A mandatory element is missing.
    ElementMissing = "1.3.1" / "2.2",
    /// The function is not one this server has.
    FunctionUnsupported = "1.6" / "3.1",
    /// The function requester is not known.
    RequesterUnknown = "1.1" / "1.1",
    /// The function requester may not do this.
    RequesterNotAllowed = "1.1" / "1.2",
    /// No room on the eUICC.
    EuiccInsufficientMemory = "8.1" / "4.8",
    /// The eUICC could not do it.
    EuiccExecutionError = "8.1" / "4.2",
    /// The eUICC's signature or challenge does not verify.
    EuiccVerificationFailed = "8.1" / "6.1",
    /// An EID is needed and absent.
    EidMissing = "8.1.1" / "2.2",
    /// The EID is not the one tied to the order.
    EidNotAllowed = "8.1.1" / "3.8",
    /// The EID differs from the one already tied to the ICCID.
    EidAssociation = "8.1.1" / "3.10",
    /// The EUM certificate does not verify.
    EumCertificateVerificationFailed = "8.1.2" / "6.1",
    /// The EUM certificate has expired.
    EumCertificateExpired = "8.1.2" / "6.3",
    /// The eUICC certificate does not verify.
    EuiccCertificateVerificationFailed = "8.1.3" / "6.1",
    /// The eUICC certificate has expired.
    EuiccCertificateExpired = "8.1.3" / "6.3",
    /// The profile has not been released.
    ProfileNotReleased = "8.2" / "1.2",
    /// The profile was refused.
    ProfileRefused = "8.2" / "3.8",
    /// The profile cannot be bound again.
    ProfileUnavailable = "8.2" / "3.7",
    /// The caller may not touch this ICCID.
    IccidNotAllowed = "8.2.1" / "1.2",
    /// The ICCID is not available.
    IccidInUse = "8.2.1" / "3.3",
    /// The profile cannot be released in its present state.
    IccidInvalidTransition = "8.2.1" / "3.5",
    /// The ICCID is not known.
    IccidUnknown = "8.2.1" / "3.9",
    /// The ICCID is tied to another EID.
    IccidAssociation = "8.2.1" / "3.10",
    /// The caller may not order this profile type.
    ProfileTypeNotAllowed = "8.2.5" / "1.2",
    /// No profile of this type is left.
    ProfileTypeUnavailable = "8.2.5" / "3.7",
    /// The profile type does not fit the ICCID.
    ProfileTypeMismatch = "8.2.5" / "3.8",
    /// The profile type is not known.
    ProfileTypeUnknown = "8.2.5" / "3.9",
    /// No profile is eligible for this eUICC or device.
    ProfileNotEligible = "8.2.5" / "4.3",
    /// The MatchingID belongs to another order.
    MatchingIdInUse = "8.2.6" / "3.3",
    /// The MatchingID is refused.
    MatchingIdRefused = "8.2.6" / "3.8",
    /// Another MatchingID is tied to the ICCID.
    MatchingIdAssociation = "8.2.6" / "3.10",
    /// A confirmation code is needed and absent.
    ConfirmationCodeMissing = "8.2.7" / "2.2",
    /// The confirmation code is wrong.
    ConfirmationCodeRefused = "8.2.7" / "3.8",
    /// The confirmation code was wrong too often.
    ConfirmationCodeRetriesExceeded = "8.2.7" / "6.4",
    /// The SM-DP+ OID is not this server's.
    SmdpOidMismatch = "8.8" / "3.10",
    /// The SM-DP+ address is not this server's.
    SmdpAddressRefused = "8.8.1" / "3.8",
    /// No CI that the eUICC can sign under is trusted here.
    CiForSigningUnsupported = "8.8.2" / "3.1",
    /// The eUICC's SGP.22 version is not supported.
    SvnUnsupported = "8.8.3" / "3.1",
    /// No server certificate under a CI that the eUICC can verify.
    CiForVerificationUnavailable = "8.8.4" / "3.7",
    /// The download order has expired.
    OrderExpired = "8.8.5" / "4.10",
    /// The download was tried too often.
    DownloadAttemptsExceeded = "8.8.5" / "6.4",
    /// The SM-DS failed to do what it was asked.
    SmdsExecutionError = "8.9" / "4.2",
    /// The SM-DS could not be reached or its address is invalid.
    SmdsInaccessible = "8.9" / "5.1",
    /// The SM-DS address is not this server's.
    SmdsAddressRefused = "8.9.1" / "3.8",
    /// No CI that the eUICC can sign under is trusted by the SM-DS.
    SmdsCiForSigningUnsupported = "8.9.2" / "3.1",
    /// The eUICC's SGP.22 version is not supported by the SM-DS.
    SmdsSvnUnsupported = "8.9.3" / "3.1",
    /// The SM-DS has no certificate under a CI that the eUICC can verify.
    SmdsCiForVerificationUnavailable = "8.9.4" / "3.7",
    /// An event of this identity is registered already.
    EventInUse = "8.9.5" / "3.3",
    /// No event of this identity is registered.
    EventUnknown = "8.9.5" / "3.9",
    /// The transaction is not known.
    TransactionUnknown = "8.10.1" / "3.9",
    /// The CI is not known.
    CiUnknown = "8.11.1" / "3.9",
}

impl Status {
    /// A refusal for this reason, in the first [`MAX_MESSAGE_OCTETS`] of these words.
    pub fn because(self, message: impl Into<String>) -> Refusal {
        Refusal { status: self, subject_identifier: None, message: cut(message.into(), MAX_MESSAGE_OCTETS) }
    }

    /// The row for two codes, if the table has it.
    pub fn from_codes(subject: &str, reason: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.subject() == subject && s.reason() == reason)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject(), self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_share_their_codes() {
        for status in Status::ALL {
            assert_eq!(Status::from_codes(status.subject(), status.reason()), Some(*status));
        }
    }

    #[test]
    fn a_refusal_does_not_carry_all_that_a_peer_has_said() {
        let long = "é".repeat(MAX_MESSAGE_OCTETS);
        let refusal = Status::EidMissing.because(format!("x{long}")).about(&long);
        assert_eq!(refusal.subject_identifier, Some("é".repeat(127)));
        assert_eq!(refusal.message, format!("x{}", "é".repeat(511)));
        let whole = "x".repeat(MAX_SUBJECT_OCTETS);
        assert_eq!(Status::EidMissing.because("").about(&whole).subject_identifier, Some(whole));
    }
}
