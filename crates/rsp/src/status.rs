//! Function execution status: SGP.22 sections 5.2.6 and 5.6, as one table of (subject, reason)
//! pairs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of a subject identifier in octets. A subject may quote text of a peer, which
/// may be as long as a body.
pub const MAX_SUBJECT_OCTETS: usize = 255;

/// The maximum length of a message in octets. A message may quote text of a peer.
pub const MAX_MESSAGE_OCTETS: usize = 1024;

/// A refusal of a function by the protocol: the status sent to the peer, and a readable reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal<S = Status> {
    /// The status code pair, of SGP.22 or SGP.02.
    pub status: S,
    /// The identifier of the subject, such as the refused address or ICCID.
    pub subject_identifier: Option<String>,
    /// The reason, for the reader of the peer's log.
    pub message: String,
}

impl<S> Refusal<S> {
    /// Sets the subject identifier, truncated to [`MAX_SUBJECT_OCTETS`].
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject_identifier = Some(cut(subject.to_string(), MAX_SUBJECT_OCTETS));
        self
    }
}

/// Truncates the text to at most `octets` octets, at a character boundary.
pub fn cut(mut text: String, octets: usize) -> String {
    if text.len() > octets {
        text.truncate(text.floor_char_boundary(octets));
        text.shrink_to_fit();
    }
    text
}

impl<S: fmt::Display> fmt::Display for Refusal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.status)?;
        match &self.subject_identifier {
            Some(subject) => write!(f, ": {subject}"),
            None => Ok(()),
        }
    }
}

impl<S: fmt::Debug + fmt::Display> std::error::Error for Refusal<S> {}

/// Defines the table of the (subject, reason) pairs of a standard.
macro_rules! statuses {
    (
        $(#[$enum_meta:meta])*
        pub enum Status { $( $(#[$meta:meta])* $name:ident = $subject:literal / $reason:literal ),+ $(,)? }
    ) => {
        $(#[$enum_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status { $( $(#[$meta])* $name, )+ }

        impl Status {
            /// All status code pairs in the order of the table.
            pub const ALL: &[Self] = &[ $( Self::$name, )+ ];

            /// The dotted subject code.
            pub const fn subject(self) -> &'static str {
                match self { $( Self::$name => $subject, )+ }
            }

            /// The dotted reason code.
            pub const fn reason(self) -> &'static str {
                match self { $( Self::$name => $reason, )+ }
            }

            /// Returns the status with these two codes, if the table contains it.
            pub fn from_codes(subject: &str, reason: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|s| s.subject() == subject && s.reason() == reason)
            }

            /// Returns a refusal with this status and message. The message is truncated to
            /// [`MAX_MESSAGE_OCTETS`]($crate::status::MAX_MESSAGE_OCTETS).
            pub fn because(self, message: impl Into<String>) -> $crate::status::Refusal<Self> {
                let message = $crate::status::cut(message.into(), $crate::status::MAX_MESSAGE_OCTETS);
                $crate::status::Refusal { status: self, subject_identifier: None, message }
            }
        }

        impl std::fmt::Display for Status {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}/{}", self.subject(), self.reason())
            }
        }
    };
}

pub(crate) use statuses;

statuses! {
    /// The (subject, reason) pairs with which SGP.22 functions respond.
    pub enum Status {
        /// The Content-Type is not that of the binding.
        ContentTypeInvalid = "1.2.1" / "2.1",
        /// X-Admin-Protocol is missing or names an unsupported version.
        ProtocolInvalid = "1.2.2" / "2.1",
        /// The body does not have the format of the function.
        FormatInvalid = "1.3.1" / "2.1",
        /// A mandatory element is missing.
        ElementMissing = "1.3.1" / "2.2",
        /// This server does not provide the function.
        FunctionUnsupported = "1.6" / "3.1",
        /// The function requester is unknown.
        RequesterUnknown = "1.1" / "1.1",
        /// The function requester is not allowed to do this.
        RequesterNotAllowed = "1.1" / "1.2",
        /// The eUICC does not have enough memory.
        EuiccInsufficientMemory = "8.1" / "4.8",
        /// The eUICC failed to execute the operation.
        EuiccExecutionError = "8.1" / "4.2",
        /// The eUICC's signature or challenge does not verify.
        EuiccVerificationFailed = "8.1" / "6.1",
        /// The EID is required but missing.
        EidMissing = "8.1.1" / "2.2",
        /// The EID is not the one linked to the order.
        EidNotAllowed = "8.1.1" / "3.8",
        /// The EID differs from the one already linked to the ICCID.
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
        /// The caller is not allowed to use this ICCID.
        IccidNotAllowed = "8.2.1" / "1.2",
        /// The ICCID is not available.
        IccidInUse = "8.2.1" / "3.3",
        /// The profile cannot be released in its current state.
        IccidInvalidTransition = "8.2.1" / "3.5",
        /// The ICCID is unknown.
        IccidUnknown = "8.2.1" / "3.9",
        /// The ICCID is linked to another EID.
        IccidAssociation = "8.2.1" / "3.10",
        /// The caller is not allowed to order this profile type.
        ProfileTypeNotAllowed = "8.2.5" / "1.2",
        /// No profile of this type is available.
        ProfileTypeUnavailable = "8.2.5" / "3.7",
        /// The profile type does not match the ICCID.
        ProfileTypeMismatch = "8.2.5" / "3.8",
        /// The profile type is unknown.
        ProfileTypeUnknown = "8.2.5" / "3.9",
        /// No profile is eligible for this eUICC or device.
        ProfileNotEligible = "8.2.5" / "4.3",
        /// The MatchingID belongs to another order.
        MatchingIdInUse = "8.2.6" / "3.3",
        /// The MatchingID is refused.
        MatchingIdRefused = "8.2.6" / "3.8",
        /// Another MatchingID is linked to the ICCID.
        MatchingIdAssociation = "8.2.6" / "3.10",
        /// The confirmation code is required but missing.
        ConfirmationCodeMissing = "8.2.7" / "2.2",
        /// The confirmation code is wrong.
        ConfirmationCodeRefused = "8.2.7" / "3.8",
        /// The maximum number of wrong confirmation codes was exceeded.
        ConfirmationCodeRetriesExceeded = "8.2.7" / "6.4",
        /// The SM-DP+ OID is not this server's.
        SmdpOidMismatch = "8.8" / "3.10",
        /// The SM-DP+ address is not this server's.
        SmdpAddressRefused = "8.8.1" / "3.8",
        /// This server trusts none of the CIs that the eUICC can use for signing.
        CiForSigningUnsupported = "8.8.2" / "3.1",
        /// The eUICC's SGP.22 version is not supported.
        SvnUnsupported = "8.8.3" / "3.1",
        /// This server has no certificate of a CI that the eUICC can verify.
        CiForVerificationUnavailable = "8.8.4" / "3.7",
        /// The download order has expired.
        OrderExpired = "8.8.5" / "4.10",
        /// The maximum number of download attempts was exceeded.
        DownloadAttemptsExceeded = "8.8.5" / "6.4",
        /// The SM-DS failed to execute the request.
        SmdsExecutionError = "8.9" / "4.2",
        /// The SM-DS could not be reached or its address is invalid.
        SmdsInaccessible = "8.9" / "5.1",
        /// The SM-DS address is not this server's.
        SmdsAddressRefused = "8.9.1" / "3.8",
        /// The SM-DS trusts none of the CIs that the eUICC can use for signing.
        SmdsCiForSigningUnsupported = "8.9.2" / "3.1",
        /// The eUICC's SGP.22 version is not supported by the SM-DS.
        SmdsSvnUnsupported = "8.9.3" / "3.1",
        /// The SM-DS has no certificate of a CI that the eUICC can verify.
        SmdsCiForVerificationUnavailable = "8.9.4" / "3.7",
        /// An event with this identifier is already registered.
        EventInUse = "8.9.5" / "3.3",
        /// No event with this identifier is registered.
        EventUnknown = "8.9.5" / "3.9",
        /// The transaction is unknown.
        TransactionUnknown = "8.10.1" / "3.9",
        /// The CI is unknown.
        CiUnknown = "8.11.1" / "3.9",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_statuses_have_the_same_codes() {
        for status in Status::ALL {
            assert_eq!(Status::from_codes(status.subject(), status.reason()), Some(*status));
        }
    }

    #[test]
    fn a_refusal_truncates_long_peer_text() {
        let long = "é".repeat(MAX_MESSAGE_OCTETS);
        let refusal = Status::EidMissing.because(format!("x{long}")).about(&long);
        assert_eq!(refusal.subject_identifier, Some("é".repeat(127)));
        assert_eq!(refusal.message, format!("x{}", "é".repeat(511)));
        let whole = "x".repeat(MAX_SUBJECT_OCTETS);
        assert_eq!(Status::EidMissing.because("").about(&whole).subject_identifier, Some(whole));
    }
}
