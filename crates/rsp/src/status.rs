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
        pub enum Status { $(
            $( #[doc = $meaning:literal] )+
            $name:ident = $subject:literal / $reason:literal $( in $functions:literal next $next:literal )?
        ),+ $(,)? }
    ) => {
        $(#[$enum_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status { $( $( #[doc = $meaning] )+ $name, )+ }

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

            /// The meaning, as a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$name => concat!($( $meaning ),+).trim_start(), )+ }
            }

            /// The functions that respond with the status, if the table names them.
            pub fn functions(self) -> Option<&'static str> {
                let functions: &[&'static str] = match self { $( Self::$name => &[ $( $functions )? ], )+ };
                functions.first().copied()
            }

            /// Advice to the reader of the status: that of the table, or else that of the reason code.
            pub fn next(self) -> &'static str {
                let advice: &[&'static str] = match self { $( Self::$name => &[ $( $next )? ], )+ };
                advice.first().copied().unwrap_or_else(|| $crate::status::reason(self.reason()).1)
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

/// Returns the name of a reason code, which is the same for all subjects, and advice for it:
/// SGP.02 section 5.1.6, SGP.22 section 5.2.6.
///
/// A third-party SM-SR uses the same name for 3.4. No second source was available for the names of
/// 3.6 and 3.11.
pub fn reason(code: &str) -> (&'static str, &'static str) {
    match code {
        "1.1" => ("unknown", "register the requester at the server, or correct the addressee of the call"),
        "1.2" => (
            "not allowed",
            "use the client certificate of the owner, or change the permissions at the server",
        ),
        "2.1" => ("invalid", "compare the element with its definition; the message of the status names it"),
        "2.2" => ("mandatory element missing", "add the element; the message of the status names it"),
        "2.3" => ("conditional element missing", "add one of the alternative elements"),
        "3.1" => ("unsupported", "use a function or a version that the peer supports"),
        "3.3" => ("already in use", "choose another identifier, or remove the existing object first"),
        "3.4" => ("invalid destination", "check the address or identifier of the recipient in the request"),
        "3.5" => ("invalid transition", "read the current state first; it does not allow the operation"),
        "3.6" => ("related objects exist", "delete the objects that depend on this one first"),
        "3.7" => ("unavailable", "wait until the running operation ends, or order from another stock"),
        "3.8" => ("refused", "compare the value with the value that the server stored"),
        "3.9" => {
            ("unknown", "check the identifier for typing errors, and that this server manages the object")
        }
        "3.10" => ("invalid association", "check which objects the server has linked to each other"),
        "3.11" => ("value has changed", "read the current value, and send the request again with it"),
        "4.2" => ("execution error", "read the message of the status and the log of the sender"),
        "4.3" => ("stopped on warning", "read the message of the status"),
        "4.4" => ("busy", "retry after the running operation has ended"),
        "4.8" => ("insufficient memory", "delete a profile on the eUICC, or use a smaller profile"),
        "4.10" => ("time to live expired", "create a new order"),
        "5.1" => ("inaccessible", "check the address, and that the peer is running and reachable"),
        "5.2" => ("time-out", "check that the device is on and registered in a network, and retry"),
        "5.3" => ("time to live expired", "send the request again with a longer validity period"),
        "5.4" => ("no response", "check that the device is on and registered in a network, and retry"),
        "6.1" => ("verification failed", "check that both parties use certificates of the same CI"),
        "6.3" => ("expired", "issue a new certificate, and check the clock of the server"),
        "6.4" => ("maximum of attempts exceeded", "create a new order"),
        _ => ("unknown reason", "ask the operator of the sender for the meaning"),
    }
}

statuses! {
    /// The (subject, reason) pairs with which SGP.22 functions respond.
    pub enum Status {
        /// The Content-Type is not that of the binding.
        ContentTypeInvalid = "1.2.1" / "2.1"
            in "all functions of ES2+, ES9+, ES11 and ES12"
            next "send Content-Type application/json, or application/x-gsma-rsp-asn1 in the ASN.1 binding",
        /// X-Admin-Protocol is missing or names an unsupported version.
        ProtocolInvalid = "1.2.2" / "2.1"
            in "all functions of ES2+, ES9+, ES11 and ES12"
            next "send X-Admin-Protocol: gsma/rsp/vX.Y.Z with a version that the server supports",
        /// The body does not have the format of the function.
        FormatInvalid = "1.3.1" / "2.1"
            in "all functions of ES2+, ES9+, ES11 and ES12"
            next "correct the element that the message of the status names",
        /// A mandatory element is missing.
        ElementMissing = "1.3.1" / "2.2"
            in "all functions of ES2+, ES9+, ES11 and ES12"
            next "add the element that the message of the status names",
        /// This server does not provide the function.
        FunctionUnsupported = "1.6" / "3.1"
            in "all functions of ES2+, ES9+, ES11 and ES12"
            next "check the path and the version; this server does not have the function",
        /// The function requester is unknown.
        RequesterUnknown = "1.1" / "1.1"
            in "ES2+, ES12"
            next "use a client certificate that the server knows, and the functionRequesterIdentifier of its owner",
        /// The function requester is not allowed to do this.
        RequesterNotAllowed = "1.1" / "1.2"
            in "ES2+, ES12"
            next "use the client certificate of the owner of the order or the event",
        /// The eUICC does not have enough memory.
        EuiccInsufficientMemory = "8.1" / "4.8"
            in "ES9+.AuthenticateClient, ES9+.HandleNotification"
            next "delete a profile on the eUICC, or order a smaller one",
        /// The eUICC failed to execute the operation.
        EuiccExecutionError = "8.1" / "4.2"
            in "ES9+.CancelSession, ES2+.HandleDownloadProgressInfo"
            next "read the result code of the eUICC in the message, and explain that",
        /// The eUICC's signature or challenge does not verify.
        EuiccVerificationFailed = "8.1" / "6.1"
            in "ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage, ES9+.CancelSession, ES11.AuthenticateClient"
            next "check that the LPA forwards the elements of the eUICC unchanged and uses the challenge of this session",
        /// The EID is required but missing.
        EidMissing = "8.1.1" / "2.2"
            in "ES2+.ConfirmOrder, ES2+.CancelOrder"
            next "add the EID, which the order requires",
        /// The EID is not the one linked to the order.
        EidNotAllowed = "8.1.1" / "3.8"
            in "ES9+.AuthenticateClient"
            next "download with the eUICC that the order names, or place the order for this EID",
        /// The EID differs from the one already linked to the ICCID.
        EidAssociation = "8.1.1" / "3.10"
            in "ES2+.ConfirmOrder, ES2+.CancelOrder"
            next "repeat the EID of ES2+.DownloadOrder",
        /// The EUM certificate does not verify.
        EumCertificateVerificationFailed = "8.1.2" / "6.1"
            in "ES9+.AuthenticateClient, ES11.AuthenticateClient"
            next "check that the server trusts the CI of the EUM, and that the EUM may issue for this EID",
        /// The EUM certificate has expired.
        EumCertificateExpired = "8.1.2" / "6.3"
            in "ES9+.AuthenticateClient, ES11.AuthenticateClient"
            next "check the clock of the server; otherwise the card can no longer be used with it",
        /// The eUICC certificate does not verify.
        EuiccCertificateVerificationFailed = "8.1.3" / "6.1"
            in "ES9+.AuthenticateClient, ES11.AuthenticateClient"
            next "check that CERT.EUICC and CERT.EUM belong together and are of the CI that the server chose",
        /// The eUICC certificate has expired.
        EuiccCertificateExpired = "8.1.3" / "6.3"
            in "ES9+.AuthenticateClient, ES11.AuthenticateClient"
            next "check the clock of the server; otherwise the card can no longer be used with it",
        /// The profile has not been released.
        ProfileNotReleased = "8.2" / "1.2"
            in "ES9+.AuthenticateClient"
            next "call ES2+.ReleaseProfile, or ES2+.ConfirmOrder with releaseFlag true",
        /// The profile was refused.
        ProfileRefused = "8.2" / "3.8"
            in "ES2+.HandleDownloadProgressInfo"
            next "ask why the user or the device rejected the profile, and place a new order",
        /// The profile cannot be bound again.
        ProfileUnavailable = "8.2" / "3.7"
            in "ES9+.GetBoundProfilePackage"
            next "download with the eUICC to which the profile is bound, or place a new order",
        /// The caller is not allowed to use this ICCID.
        IccidNotAllowed = "8.2.1" / "1.2"
            in "ES2+"
            next "use the client certificate of the owner of the profile",
        /// The ICCID is not available.
        IccidInUse = "8.2.1" / "3.3"
            in "ES2+.DownloadOrder"
            next "choose another ICCID, or cancel the order that has reserved this one",
        /// The profile cannot be released in its current state.
        IccidInvalidTransition = "8.2.1" / "3.5"
            in "ES2+.ConfirmOrder, ES2+.CancelOrder, ES2+.ReleaseProfile"
            next "read the state of the order; an installed profile cannot be ordered or cancelled",
        /// The ICCID is unknown.
        IccidUnknown = "8.2.1" / "3.9"
            in "ES2+, ES9+.HandleNotification"
            next "check the ICCID, and that the profile was loaded into this SM-DP+",
        /// The ICCID is linked to another EID.
        IccidAssociation = "8.2.1" / "3.10"
            in "ES2+"
            next "check the EID that the SM-DP+ has linked to the ICCID",
        /// The caller is not allowed to order this profile type.
        ProfileTypeNotAllowed = "8.2.5" / "1.2"
            in "ES2+.DownloadOrder"
            next "use the client certificate of the owner of the profile type",
        /// No profile of this type is available.
        ProfileTypeUnavailable = "8.2.5" / "3.7"
            in "ES2+.DownloadOrder"
            next "load more profiles of this type into the SM-DP+",
        /// The profile type does not match the ICCID.
        ProfileTypeMismatch = "8.2.5" / "3.8"
            in "ES2+.DownloadOrder"
            next "omit the profile type, or give that of the ICCID",
        /// The profile type is unknown.
        ProfileTypeUnknown = "8.2.5" / "3.9"
            in "ES2+.DownloadOrder"
            next "check the profile type, and that profiles of this type were loaded into this SM-DP+",
        /// No profile is eligible for this eUICC or device.
        ProfileNotEligible = "8.2.5" / "4.3"
            in "ES9+.AuthenticateClient"
            next "compare the capabilities of eUICC and device with the requirements of the profile",
        /// The MatchingID belongs to another order.
        MatchingIdInUse = "8.2.6" / "3.3"
            in "ES2+.ConfirmOrder"
            next "choose another MatchingID, or let the SM-DP+ generate one",
        /// The MatchingID is refused.
        MatchingIdRefused = "8.2.6" / "3.8"
            in "ES9+.AuthenticateClient, ES2+.ConfirmOrder"
            next "compare the MatchingID with the activation code; the order may be used, cancelled, or at another SM-DP+",
        /// Another MatchingID is linked to the ICCID.
        MatchingIdAssociation = "8.2.6" / "3.10"
            in "ES2+.CancelOrder"
            next "repeat the MatchingID of ES2+.ConfirmOrder",
        /// The confirmation code is required but missing.
        ConfirmationCodeMissing = "8.2.7" / "2.2"
            in "ES9+.GetBoundProfilePackage"
            next "ask the user for the confirmation code, and send its hash in ES10b.PrepareDownload",
        /// The confirmation code is wrong.
        ConfirmationCodeRefused = "8.2.7" / "3.8"
            in "ES9+.GetBoundProfilePackage"
            next "enter the confirmation code again; the number of attempts is limited",
        /// The maximum number of wrong confirmation codes was exceeded.
        ConfirmationCodeRetriesExceeded = "8.2.7" / "6.4"
            in "ES9+.GetBoundProfilePackage"
            next "place a new order; this one cannot be downloaded any more",
        /// The SM-DP+ OID is not this server's.
        SmdpOidMismatch = "8.8" / "3.10"
            in "ES9+.CancelSession, ES9+.HandleNotification"
            next "send the notification to the SM-DP+ that it names",
        /// The SM-DP+ address is not this server's.
        SmdpAddressRefused = "8.8.1" / "3.8"
            in "ES9+.InitiateAuthentication"
            next "use the address of the activation code, and configure it at the SM-DP+ as one of its names",
        /// This server trusts none of the CIs that the eUICC can use for signing.
        CiForSigningUnsupported = "8.8.2" / "3.1"
            in "ES9+.InitiateAuthentication"
            next "compare euiccCiPKIdListForSigning of EUICCInfo1 with the CIs of the SM-DP+",
        /// The eUICC's SGP.22 version is not supported.
        SvnUnsupported = "8.8.3" / "3.1"
            in "ES9+.InitiateAuthentication"
            next "compare svn of EUICCInfo1 with the versions of the SM-DP+",
        /// This server has no certificate of a CI that the eUICC can verify.
        CiForVerificationUnavailable = "8.8.4" / "3.7"
            in "ES9+.InitiateAuthentication, ES9+.AuthenticateClient"
            next "compare euiccCiPKIdListForVerification of EUICCInfo1 with the certificates of the SM-DP+",
        /// The download order has expired.
        OrderExpired = "8.8.5" / "4.10"
            in "ES9+.AuthenticateClient"
            next "place a new order",
        /// The maximum number of download attempts was exceeded.
        DownloadAttemptsExceeded = "8.8.5" / "6.4"
            in "ES9+.AuthenticateClient"
            next "place a new order",
        /// The SM-DS failed to execute the request.
        SmdsExecutionError = "8.9" / "4.2"
            in "ES2+.ConfirmOrder, ES12.RegisterEvent"
            next "read the log of the SM-DS, and repeat the call",
        /// The SM-DS could not be reached or its address is invalid.
        SmdsInaccessible = "8.9" / "5.1"
            in "ES2+.ConfirmOrder"
            next "check smdsAddress, and that the SM-DS is running and reachable",
        /// The SM-DS address is not this server's.
        SmdsAddressRefused = "8.9.1" / "3.8"
            in "ES11.InitiateAuthentication"
            next "use the root SM-DS address of the eUICC, and configure it at the SM-DS as one of its names",
        /// The SM-DS trusts none of the CIs that the eUICC can use for signing.
        SmdsCiForSigningUnsupported = "8.9.2" / "3.1"
            in "ES11.InitiateAuthentication"
            next "compare euiccCiPKIdListForSigning of EUICCInfo1 with the CIs of the SM-DS",
        /// The eUICC's SGP.22 version is not supported by the SM-DS.
        SmdsSvnUnsupported = "8.9.3" / "3.1"
            in "ES11.InitiateAuthentication"
            next "compare svn of EUICCInfo1 with the versions of the SM-DS",
        /// The SM-DS has no certificate of a CI that the eUICC can verify.
        SmdsCiForVerificationUnavailable = "8.9.4" / "3.7"
            in "ES11.InitiateAuthentication"
            next "compare euiccCiPKIdListForVerification of EUICCInfo1 with the certificates of the SM-DS",
        /// An event with this identifier is already registered.
        EventInUse = "8.9.5" / "3.3"
            in "ES12.RegisterEvent"
            next "use another EventID, or delete the event first",
        /// No event with this identifier is registered.
        EventUnknown = "8.9.5" / "3.9"
            in "ES12.DeleteEvent, ES11.AuthenticateClient"
            next "check the EventID; the event may have been deleted already",
        /// The transaction is unknown.
        TransactionUnknown = "8.10.1" / "3.9"
            in "ES9+, ES11"
            next "start again with InitiateAuthentication; the session has ended or belongs to another server",
        /// The CI is unknown.
        CiUnknown = "8.11.1" / "3.9"
            in "ES9+.AuthenticateClient, ES11.AuthenticateClient"
            next "check that the server trusts the CI whose key the eUICC used",
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

    /// The reason codes of the table in SGP.22 section 5.2.6.2 that servers of either standard send.
    #[test]
    fn every_reason_code_of_the_standard_has_a_name() {
        for code in [
            "1.1", "1.2", "2.1", "2.2", "2.3", "3.1", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9",
            "3.10", "3.11", "4.2", "4.3", "4.8", "4.10", "5.1", "6.1", "6.3", "6.4",
        ] {
            assert_ne!(reason(code), reason(""), "{code}");
        }
        assert_eq!(reason("3.4").0, "invalid destination");
        assert_eq!(reason("3.6").0, "related objects exist");
        assert_eq!(reason("3.11").0, "value has changed");
    }

    #[test]
    fn every_status_has_a_meaning_and_advice() {
        let status = Status::MatchingIdRefused;
        assert_eq!(status.meaning(), "The MatchingID is refused.");
        assert!(status.functions().is_some_and(|functions| functions.contains("ES9+.AuthenticateClient")));
        let unknown = reason("").1;
        for status in Status::ALL {
            assert!(status.functions().is_some() && status.next() != unknown, "{status}");
        }
        // The table of SGP.02 has the advice of the reason codes.
        for status in crate::sgp02::status::Status::ALL {
            assert!(status.functions().is_none() && status.next() != unknown, "{status}");
            assert!(!status.meaning().starts_with(' '), "{status}");
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
