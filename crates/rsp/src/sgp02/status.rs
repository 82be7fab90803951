//! Function execution status: SGP.02 section 5.1, as one table of (subject, reason).
//!
//! No published table per function was to be had. Subjects and reasons are those that SGP.22 shares with SGP.02; which
//! of them a situation gets is from open implementations and memory (confidence medium, where it is low the row says
//! so). This table is the only place to correct.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::common::{ExecutionStatus, FunctionExecutionStatus, StatusCodeData};
use crate::status::{MAX_MESSAGE_OCTETS, MAX_SUBJECT_OCTETS, cut};

/// A function's "no": the answer that the caller gets, and a reason that a person can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which row of the table.
    pub status: Status,
    /// What identifies the subject, such as the ICCID that was refused.
    pub subject_identifier: Option<String>,
    /// Why, for the person who reads the caller's log.
    pub message: String,
}

impl Refusal {
    /// Names the subject, by its first [`MAX_SUBJECT_OCTETS`].
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject_identifier = Some(cut(subject.to_string(), MAX_SUBJECT_OCTETS));
        self
    }

    /// As the status of a response.
    pub fn to_status(&self, status: ExecutionStatus) -> FunctionExecutionStatus {
        FunctionExecutionStatus {
            status,
            status_code_data: Some(StatusCodeData {
                subject: self.status.subject().to_owned(),
                reason: self.status.reason().to_owned(),
                subject_identifier: self.subject_identifier.clone(),
                message: Some(self.message.clone()),
            }),
        }
    }
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
        /// The (subject, reason) pairs that functions answer with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The function requester is not known.
    RequesterUnknown = "1.1" / "1.1",
    /// The function requester may not do this.
    RequesterNotAllowed = "1.1" / "1.2",
    /// The function provider is another than the one that was asked.
    ProviderUnknown = "1.2" / "1.1",
    /// The function provider is busy with the eUICC, such as with a handover.
    ProviderBusy = "1.2" / "4.4",
    /// The message is not of the function's format.
    FormatInvalid = "1.3.1" / "2.1",
    /// A mandatory element is missing.
    ElementMissing = "1.3.1" / "2.2",
    /// Neither of two elements is there, of which one must be.
    ConditionalElementMissing = "1.3.1" / "2.3",
    /// The function is not one this server has.
    FunctionUnsupported = "1.6" / "3.1",
    /// The function stands still because another one is running, such as a change of the SM-SR (low).
    FunctionUnavailable = "1.6" / "3.7",
    /// The validity period has run out.
    FunctionExpired = "1.6" / "5.3",
    /// The validity period that was offered is too short to try (low).
    ValidityPeriodRefused = "1.6" / "3.8",
    /// No room on the eUICC.
    EuiccInsufficientMemory = "8.1" / "4.8",
    /// The eUICC could not do it.
    EuiccExecutionError = "8.1" / "4.2",
    /// The eUICC cannot be reached.
    EuiccInaccessible = "8.1" / "5.1",
    /// The eUICC did not answer in time.
    EuiccTimeout = "8.1" / "5.2",
    /// The eUICC was reached, and no answer came.
    EuiccNoResponse = "8.1" / "5.4",
    /// The eUICC is under another operation that has not ended, or is being handed over (low).
    EuiccUnavailable = "8.1" / "3.7",
    /// The eUICC does not have what it would take (low).
    EuiccUnsupported = "8.1" / "3.1",
    /// The EID is not one this SM-SR knows.
    EidUnknown = "8.1.1" / "3.9",
    /// The caller may not touch this EID.
    EidNotAllowed = "8.1.1" / "1.2",
    /// The EID is registered already.
    EidInUse = "8.1.1" / "3.3",
    /// The EID is not one.
    EidInvalid = "8.1.1" / "2.1",
    /// The EUM is not known.
    EumUnknown = "8.1.2" / "3.9",
    /// The EUM certificate, or a signature made with it, does not verify.
    EumVerificationFailed = "8.1.2" / "6.1",
    /// The EUM certificate has expired.
    EumCertificateExpired = "8.1.2" / "6.3",
    /// The eUICC's certificate does not verify.
    EuiccCertificateVerificationFailed = "8.1.3" / "6.1",
    /// The profile was refused.
    ProfileRefused = "8.2" / "3.8",
    /// The profile is of another eUICC.
    ProfileAssociation = "8.2" / "3.10",
    /// The profile could not be installed.
    ProfileExecutionError = "8.2" / "4.2",
    /// No profile of that kind is left.
    ProfileUnavailable = "8.2" / "3.7",
    /// The caller may not touch this profile.
    IccidNotAllowed = "8.2.1" / "1.2",
    /// The profile is on the eUICC already.
    IccidInUse = "8.2.1" / "3.3",
    /// The profile is in a state from which there is no such way.
    IccidInvalidTransition = "8.2.1" / "3.5",
    /// The profile is the one with the fall-back attribute, which may not be disabled or deleted (low).
    IccidRefused = "8.2.1" / "3.8",
    /// The profile is not known.
    IccidUnknown = "8.2.1" / "3.9",
    /// The profile belongs to another eUICC.
    IccidAssociation = "8.2.1" / "3.10",
    /// POL1 refuses it.
    Pol1Refused = "8.2.2" / "3.8",
    /// POL2 refuses it.
    Pol2Refused = "8.2.3" / "3.8",
    /// A rule that is none.
    Pol2Invalid = "8.2.3" / "2.1",
    /// The profile type is not known.
    ProfileTypeUnknown = "8.2.5" / "3.9",
    /// No profile of the type is left.
    ProfileTypeUnavailable = "8.2.5" / "3.7",
    /// The caller may not order the profile type.
    ProfileTypeNotAllowed = "8.2.5" / "1.2",
    /// Neither an ICCID nor a profile type is given.
    ProfileTypeMissing = "8.2.5" / "2.3",
    /// The subscription address is not one.
    SubscriptionAddressInvalid = "8.2.6" / "2.1",
    /// Another profile has the subscription address.
    SubscriptionAddressInUse = "8.2.6" / "3.3",
    /// The connectivity parameters are none (low).
    ConnectivityParametersInvalid = "8.2.7" / "2.1",
    /// The ISD-P is not known.
    IsdPUnknown = "8.3.1" / "3.9",
    /// The caller may not address this security domain.
    IsdPNotAllowed = "8.3.1" / "1.2",
    /// The ISD-P could not be personalised.
    IsdPExecutionError = "8.3" / "4.2",
    /// The eUICC answered an error; the status word is in the message.
    IsdRExecutionError = "8.4" / "4.2",
    /// The ECASD's certificate does not verify.
    EcasdCertificateVerificationFailed = "8.5.2" / "6.1",
    /// The ECASD's certificate has expired.
    EcasdCertificateExpired = "8.5.2" / "6.3",
    /// The ECASD refused what it was to do.
    EcasdExecutionError = "8.5" / "4.2",
    /// The EIS is none.
    EisInvalid = "8.6" / "2.1",
    /// The EIS is there already.
    EisInUse = "8.6" / "3.3",
    /// The EIS is not known.
    EisUnknown = "8.6" / "3.9",
    /// The SM-SR is not known.
    SmsrUnknown = "8.7" / "3.9",
    /// The SM-SR is another than the one that manages the eUICC, or is meant for itself (low).
    SmsrRefused = "8.7" / "3.8",
    /// The SM-SR cannot be reached.
    SmsrInaccessible = "8.7" / "5.1",
    /// The SM-SR failed to do what it was asked.
    SmsrExecutionError = "8.7" / "4.2",
    /// The SM-SR may not have the eUICC.
    SmsrNotAllowed = "8.7" / "1.2",
    /// The SM-SR's certificate was rejected by the ECASD, or its receipt does not verify (low).
    SmsrCertificateRefused = "8.7.1" / "6.1",
    /// The SM-DP is not known.
    SmdpUnknown = "8.8" / "3.9",
    /// The SM-DP cannot be reached.
    SmdpInaccessible = "8.8" / "5.1",
    /// The SM-DP's certificate was rejected by the ECASD (low).
    SmdpCertificateRefused = "8.8.1" / "6.1",
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
}
