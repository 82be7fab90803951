//! Refusals of an eIM in both bindings: SGP.32 sections 6.3 and 6.4.
//!
//! The ASN.1 binding has an error code in each reply. The JSON binding has a status of SGP.22 in
//! `header`. Only the replies about packages have the error code as a member in JSON too.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    super::ipa_data::ProfileDownloadTriggerRequest,
    download::{
        AuthenticateClientError, AuthenticateClientOkDp, AuthenticateClientOkDs, AuthenticateClientResponse,
        CancelSessionError, CancelSessionOk, CancelSessionResponse, GetBoundProfilePackageError,
        GetBoundProfilePackageOk, GetBoundProfilePackageResponse, InitiateAuthenticationError,
        InitiateAuthenticationOk, InitiateAuthenticationResponse,
    },
    members::{optional_der, optional_signature},
    package::{
        EimPackageError, EmptyResponse, GetEimPackageResponse, ProvideEimPackageResultError,
        ProvideEimPackageResultResponse,
    },
};
use crate::{
    der::{Asn1, Raw},
    ids::{CertificateDer, TransactionId},
    sgp22::{SignatureOctets, es8plus::StoreMetadataRequest, es10b::SmdpSigned2},
    status::{Refusal, Status},
};

/// A reply of an eIM, with its output data and its refusals.
pub trait Reply: Asn1 {
    /// The output data in the JSON binding.
    type Output: Serialize + DeserializeOwned;

    /// Returns the output data, or the refusal for `header`.
    ///
    /// # Errors
    /// The reply is a refusal that JSON has in `header`.
    fn into_output(self) -> Result<Self::Output, Refusal>;

    /// Creates a reply from the output data.
    ///
    /// # Errors
    /// The members contradict each other.
    fn of_output(output: Self::Output) -> Result<Self, &'static str>;

    /// Creates a refusal. `None` is a status that this crate does not know.
    fn of_status(status: Option<Status>) -> Self;

    /// Returns the meaning of a response without a body, if it has one.
    fn of_nothing() -> Option<Self> {
        None
    }
}

/// Returns the refusal in JSON for an error code of the ASN.1 binding. A code without a status of its
/// own becomes 8.1/4.2, and the message contains its name.
fn refusal<E>(code: E, undefined: E) -> Refusal
where
    E: From<Status> + PartialEq + Copy + fmt::Display,
{
    let known = Status::ALL.iter().copied().find(|status| code != undefined && E::from(*status) == code);
    known.unwrap_or(Status::EuiccExecutionError).because(code.to_string())
}

/// Implements [`Reply`] for a reply with one kind of output data.
macro_rules! replies {
    ($($reply:ident: $output:ty, $error:ident, $into:expr, $from:expr, $nothing:expr;)+) => { $(
        impl Reply for $reply {
            type Output = $output;

            fn into_output(self) -> Result<$output, Refusal> {
                match self {
                    Self::Ok(output) => Ok($into(output)),
                    Self::Error(code) => Err(refusal(code, $error::UNDEFINED_ERROR)),
                }
            }

            fn of_output(output: $output) -> Result<Self, &'static str> {
                Ok(Self::Ok($from(output)))
            }

            fn of_status(status: Option<Status>) -> Self {
                Self::Error(status.map_or($error::UNDEFINED_ERROR, $error::from))
            }

            fn of_nothing() -> Option<Self> {
                $nothing
            }
        }
    )+ };
}

replies! {
    InitiateAuthenticationResponse: InitiateAuthenticationOk, InitiateAuthenticationError, |ok: Box<_>| *ok, Box::new, None;
    GetBoundProfilePackageResponse: GetBoundProfilePackageOk, GetBoundProfilePackageError, |ok| ok, |ok| ok, None;
    CancelSessionResponse: CancelSessionOk, CancelSessionError, |ok| ok, |ok| ok, Some(Self::Ok(CancelSessionOk {}));
}

/// The members of AuthenticateClient in JSON: section 6.4.1.2. Those of an SM-DP+ and those of an SM-DS
/// are in the same object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuthenticateClientMembers {
    #[serde(rename = "transactionId", default, skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    #[serde(
        rename = "profileMetadata",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    profile_metadata: Option<StoreMetadataRequest>,
    #[serde(rename = "smdpSigned2", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
    smdp_signed2: Option<Raw<SmdpSigned2>>,
    #[serde(
        rename = "smdpSignature2",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_signature"
    )]
    smdp_signature2: Option<SignatureOctets>,
    #[serde(
        rename = "smdpCertificate",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    smdp_certificate: Option<CertificateDer>,
    #[serde(rename = "hashCc", default, skip_serializing_if = "Option::is_none", with = "optional_der")]
    hash_cc: Option<[u8; 32]>,
    #[serde(
        rename = "profileDownloadTrigger",
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_der"
    )]
    profile_download_trigger: Option<ProfileDownloadTriggerRequest>,
}

impl Reply for AuthenticateClientResponse {
    type Output = AuthenticateClientMembers;

    fn into_output(self) -> Result<AuthenticateClientMembers, Refusal> {
        match self {
            Self::OkDp(ok) => Ok(AuthenticateClientMembers {
                transaction_id: ok.transaction_id,
                profile_metadata: ok.profile_metadata,
                smdp_signed2: Some(ok.smdp_signed2),
                smdp_signature2: Some(ok.smdp_signature2),
                smdp_certificate: Some(ok.smdp_certificate),
                hash_cc: ok.hash_cc,
                profile_download_trigger: None,
            }),
            Self::OkDs(ok) => Ok(AuthenticateClientMembers {
                transaction_id: Some(ok.transaction_id),
                profile_download_trigger: ok.profile_download_trigger,
                ..AuthenticateClientMembers::default()
            }),
            Self::Error(code) => Err(refusal(code, AuthenticateClientError::UNDEFINED_ERROR)),
        }
    }

    fn of_output(members: AuthenticateClientMembers) -> Result<Self, &'static str> {
        match (members.smdp_signed2, members.smdp_signature2, members.smdp_certificate) {
            (Some(smdp_signed2), Some(smdp_signature2), Some(smdp_certificate)) => {
                Ok(Self::OkDp(Box::new(AuthenticateClientOkDp {
                    transaction_id: members.transaction_id,
                    profile_metadata: members.profile_metadata,
                    smdp_signed2,
                    smdp_signature2,
                    smdp_certificate,
                    hash_cc: members.hash_cc,
                })))
            }
            (None, None, None) => Ok(Self::OkDs(AuthenticateClientOkDs {
                transaction_id: members.transaction_id.ok_or("transactionId is missing")?,
                profile_download_trigger: members.profile_download_trigger,
            })),
            _ => Err("smdpSigned2, smdpSignature2 and smdpCertificate are expected together"),
        }
    }

    fn of_status(status: Option<Status>) -> Self {
        Self::Error(status.map_or(AuthenticateClientError::UNDEFINED_ERROR, Into::into))
    }
}

impl Reply for GetEimPackageResponse {
    type Output = Self;

    fn into_output(self) -> Result<Self, Refusal> {
        Ok(self)
    }

    fn of_output(output: Self) -> Result<Self, &'static str> {
        Ok(output)
    }

    fn of_status(status: Option<Status>) -> Self {
        Self::EimPackageError(status.map_or(EimPackageError::UNDEFINED_ERROR, Into::into))
    }
}

impl Reply for ProvideEimPackageResultResponse {
    type Output = Self;

    fn into_output(self) -> Result<Self, Refusal> {
        Ok(self)
    }

    fn of_output(output: Self) -> Result<Self, &'static str> {
        Ok(output)
    }

    fn of_status(status: Option<Status>) -> Self {
        let code = status.map_or(ProvideEimPackageResultError::UNDEFINED_ERROR, Into::into);
        Self::ProvideEimPackageResultError(code)
    }

    /// In v1.0 the acknowledgements are optional. Some eIMs respond with status 204.
    fn of_nothing() -> Option<Self> {
        Some(Self::EmptyResponse(EmptyResponse {}))
    }
}
