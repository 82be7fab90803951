//! Function execution status: SGP.02 section 5.1, as one table of (subject, reason) pairs.
//!
//! No published table per function was available. Subjects and reasons are those that SGP.22 shares
//! with SGP.02. Their assignment to situations comes from open-source implementations and is not
//! verified against the text of the standard; rows with particularly low confidence are marked
//! "(low)". Corrections are necessary only in this table.

use serde::{Deserialize, Serialize};

use super::execution_status::{ExecutionStatus, FunctionExecutionStatus, StatusCodeData};
use crate::status::{self, statuses};

/// A refusal of a function of SGP.02.
pub type Refusal = status::Refusal<Status>;

impl Refusal {
    /// Converts the refusal to the execution status of a response.
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

statuses! {
    /// The (subject, reason) pairs with which functions respond.
    #[derive(Serialize, Deserialize)]
    pub enum Status {
        /// The function requester is unknown.
        RequesterUnknown = "1.1" / "1.1",
        /// The function requester is not allowed to do this.
        RequesterNotAllowed = "1.1" / "1.2",
        /// The call is addressed to another function provider.
        ProviderUnknown = "1.2" / "1.1",
        /// The function provider is busy with the eUICC, for example with a handover.
        ProviderBusy = "1.2" / "4.4",
        /// The message does not have the format of the function.
        FormatInvalid = "1.3.1" / "2.1",
        /// A mandatory element is missing.
        ElementMissing = "1.3.1" / "2.2",
        /// Both of two alternative elements are missing.
        ConditionalElementMissing = "1.3.1" / "2.3",
        /// This server does not provide the function.
        FunctionUnsupported = "1.6" / "3.1",
        /// The function is blocked by another running function, for example a change of the SM-SR
        /// (low).
        FunctionUnavailable = "1.6" / "3.7",
        /// The validity period has ended.
        FunctionExpired = "1.6" / "5.3",
        /// The requested validity period is too short (low).
        ValidityPeriodRefused = "1.6" / "3.8",
        /// The eUICC does not have enough memory.
        EuiccInsufficientMemory = "8.1" / "4.8",
        /// The eUICC failed to execute the operation.
        EuiccExecutionError = "8.1" / "4.2",
        /// The eUICC is unreachable.
        EuiccInaccessible = "8.1" / "5.1",
        /// The eUICC did not respond in time.
        EuiccTimeout = "8.1" / "5.2",
        /// The eUICC was reached but did not respond.
        EuiccNoResponse = "8.1" / "5.4",
        /// Another operation on the eUICC is in progress, or the eUICC is being handed over (low).
        EuiccUnavailable = "8.1" / "3.7",
        /// The eUICC does not support the operation (low).
        EuiccUnsupported = "8.1" / "3.1",
        /// The EID is unknown to this SM-SR.
        EidUnknown = "8.1.1" / "3.9",
        /// The caller is not allowed to use this EID.
        EidNotAllowed = "8.1.1" / "1.2",
        /// The EID is already registered.
        EidInUse = "8.1.1" / "3.3",
        /// The EID is invalid.
        EidInvalid = "8.1.1" / "2.1",
        /// The EUM is unknown.
        EumUnknown = "8.1.2" / "3.9",
        /// The EUM certificate, or a signature made with it, does not verify.
        EumVerificationFailed = "8.1.2" / "6.1",
        /// The EUM certificate has expired.
        EumCertificateExpired = "8.1.2" / "6.3",
        /// The eUICC's certificate does not verify.
        EuiccCertificateVerificationFailed = "8.1.3" / "6.1",
        /// The profile was refused.
        ProfileRefused = "8.2" / "3.8",
        /// The profile belongs to another eUICC.
        ProfileAssociation = "8.2" / "3.10",
        /// The profile could not be installed.
        ProfileExecutionError = "8.2" / "4.2",
        /// No profile of this kind is available.
        ProfileUnavailable = "8.2" / "3.7",
        /// The caller is not allowed to use this profile.
        IccidNotAllowed = "8.2.1" / "1.2",
        /// The profile is already on the eUICC.
        IccidInUse = "8.2.1" / "3.3",
        /// The state of the profile does not allow the operation.
        IccidInvalidTransition = "8.2.1" / "3.5",
        /// The profile has the fall-back attribute and must not be disabled or deleted (low).
        IccidRefused = "8.2.1" / "3.8",
        /// The profile is unknown.
        IccidUnknown = "8.2.1" / "3.9",
        /// The profile belongs to another eUICC.
        IccidAssociation = "8.2.1" / "3.10",
        /// POL1 does not allow the operation.
        Pol1Refused = "8.2.2" / "3.8",
        /// POL2 does not allow the operation.
        Pol2Refused = "8.2.3" / "3.8",
        /// A POL2 rule is invalid.
        Pol2Invalid = "8.2.3" / "2.1",
        /// The profile type is unknown.
        ProfileTypeUnknown = "8.2.5" / "3.9",
        /// No profile of this type is available.
        ProfileTypeUnavailable = "8.2.5" / "3.7",
        /// The caller is not allowed to order this profile type.
        ProfileTypeNotAllowed = "8.2.5" / "1.2",
        /// Both ICCID and profile type are missing.
        ProfileTypeMissing = "8.2.5" / "2.3",
        /// The subscription address is invalid.
        SubscriptionAddressInvalid = "8.2.6" / "2.1",
        /// Another profile has the subscription address.
        SubscriptionAddressInUse = "8.2.6" / "3.3",
        /// The connectivity parameters are invalid (low).
        ConnectivityParametersInvalid = "8.2.7" / "2.1",
        /// The ISD-P is unknown.
        IsdPUnknown = "8.3.1" / "3.9",
        /// The caller is not allowed to address this security domain.
        IsdPNotAllowed = "8.3.1" / "1.2",
        /// The personalisation of the ISD-P failed.
        IsdPExecutionError = "8.3" / "4.2",
        /// The eUICC responded with an error; the status word is in the message.
        IsdRExecutionError = "8.4" / "4.2",
        /// The ECASD's certificate does not verify.
        EcasdCertificateVerificationFailed = "8.5.2" / "6.1",
        /// The ECASD's certificate has expired.
        EcasdCertificateExpired = "8.5.2" / "6.3",
        /// The ECASD refused the operation.
        EcasdExecutionError = "8.5" / "4.2",
        /// The EIS is invalid.
        EisInvalid = "8.6" / "2.1",
        /// The EIS already exists.
        EisInUse = "8.6" / "3.3",
        /// The EIS is unknown.
        EisUnknown = "8.6" / "3.9",
        /// The SM-SR is unknown.
        SmsrUnknown = "8.7" / "3.9",
        /// The SM-SR does not manage the eUICC, or the target SM-SR is the current one (low).
        SmsrRefused = "8.7" / "3.8",
        /// The SM-SR is unreachable.
        SmsrInaccessible = "8.7" / "5.1",
        /// The SM-SR failed to execute the request.
        SmsrExecutionError = "8.7" / "4.2",
        /// The SM-SR is not allowed to manage the eUICC.
        SmsrNotAllowed = "8.7" / "1.2",
        /// The SM-SR's certificate was rejected by the ECASD, or its receipt does not verify (low).
        SmsrCertificateRefused = "8.7.1" / "6.1",
        /// The SM-DP is unknown.
        SmdpUnknown = "8.8" / "3.9",
        /// The SM-DP is unreachable.
        SmdpInaccessible = "8.8" / "5.1",
        /// The SM-DP's certificate was rejected by the ECASD (low).
        SmdpCertificateRefused = "8.8.1" / "6.1",
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
}
