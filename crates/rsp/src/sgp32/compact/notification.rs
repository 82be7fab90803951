//! Compact forms of notifications.

use super::{KnownEuicc, Unknown};
use crate::{
    choice,
    der::{BitString, Raw},
    ids::{Aid, Eid, Iccid, Oid, SubjectKeyIdentifier, TransactionId},
    sequence,
    sgp22::{
        NotificationMetadata, OtherSignedNotification, SignatureOctets,
        es8plus::{
            ErrorResult, FinalResult, ProfileInstallationResult, ProfileInstallationResultData, SuccessResult,
        },
        notification_event,
    },
};

/// simaResponse of an installation without a remark: EUICCResponse with the status ok.
const SIMA_OK: [u8; 9] = [0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00];

sequence! {
    /// CompactProfileInstallationResult: section 5.14.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactProfileInstallationResult = 0x30 {
        /// The parts of the result that the eIM does not know.
        pub compact_profile_installation_result_data: CompactProfileInstallationResultData = 0xA0,
        /// The signature over the whole profileInstallationResultData.
        pub euicc_sign_pir: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// CompactProfileInstallationResultData: section 5.14.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactProfileInstallationResultData = 0x30 {
        /// The transaction ID of the session.
        pub transaction_id: TransactionId = 0x80,
        /// The sequence number of the notification.
        pub seq_number: i64 = 0x02,
        /// False if the metadata of the notification have no ICCID.
        pub iccid_present: Option<bool> = 0x01,
        /// The result.
        pub compact_final_result: CompactFinalResult = 0xA2,
    }
}

choice! {
    /// compactFinalResult: section 5.14.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CompactFinalResult = 0 {
        /// The profile was installed.
        CompactSuccessResult(CompactSuccessResult) = 0xA0,
        /// The profile was not installed.
        ErrorResult(ErrorResult) = 0xA1,
    }
}

sequence! {
    /// CompactSuccessResult: section 5.14.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactSuccessResult = 0x30 {
        /// The octets 14 and 15 of the AID of the ISD-P: its number.
        pub compact_aid: [u8; 2] = 0x4F,
        /// EUICCResponse of the profile package, if it is not the one without a remark.
        pub sima_response: Option<Vec<u8>> = 0x04 usually 256,
    }
}

/// What an eIM knows of the profile of a session, for the expansion of its result.
#[derive(Clone, Debug)]
pub struct KnownProfile {
    /// The ICCID.
    pub iccid: Iccid,
    /// The recipient of the notification of the installation.
    pub notification_address: String,
    /// The OID of the SM-DP+ according to CERT.DPpb.
    pub smdp_oid: Option<Oid>,
}

impl CompactProfileInstallationResult {
    /// Creates the compact form, if the result has one. A result has none if the AID of the ISD-P is
    /// not one of SGP.02, or if the notification is not that of an installation.
    pub fn of(full: &ProfileInstallationResult) -> Option<Self> {
        let data = &full.profile_installation_result_data;
        let metadata = &data.notification_metadata;
        if metadata.profile_management_operation != BitString::of(&[notification_event::INSTALL]) {
            return None;
        }
        let compact_final_result = match &data.final_result {
            FinalResult::SuccessResult(success) => {
                let number = success.aid.0.get(13..15).and_then(|number| number.try_into().ok())?;
                if success.aid != Aid::isd_p(u16::from_be_bytes(number)) {
                    return None;
                }
                CompactFinalResult::CompactSuccessResult(CompactSuccessResult {
                    compact_aid: number,
                    sima_response: Some(success.sima_response.clone()).filter(|sent| *sent != SIMA_OK),
                })
            }
            FinalResult::ErrorResult(error) => CompactFinalResult::ErrorResult(error.clone()),
        };
        Some(Self {
            compact_profile_installation_result_data: CompactProfileInstallationResultData {
                transaction_id: data.transaction_id.clone(),
                seq_number: metadata.seq_number,
                iccid_present: metadata.iccid.is_none().then_some(false),
                compact_final_result,
            },
            euicc_sign_pir: full.euicc_sign_pir.clone(),
        })
    }

    /// Expands the result of the download of `profile`.
    pub fn expand(&self, profile: &KnownProfile) -> ProfileInstallationResult {
        let data = &self.compact_profile_installation_result_data;
        let final_result = match &data.compact_final_result {
            CompactFinalResult::CompactSuccessResult(success) => FinalResult::SuccessResult(SuccessResult {
                aid: Aid::isd_p(u16::from_be_bytes(success.compact_aid)),
                sima_response: success.sima_response.clone().unwrap_or(SIMA_OK.to_vec()),
            }),
            CompactFinalResult::ErrorResult(error) => FinalResult::ErrorResult(error.clone()),
        };
        ProfileInstallationResult {
            profile_installation_result_data: Raw::new(ProfileInstallationResultData {
                transaction_id: data.transaction_id.clone(),
                notification_metadata: NotificationMetadata {
                    seq_number: data.seq_number,
                    profile_management_operation: BitString::of(&[notification_event::INSTALL]),
                    notification_address: profile.notification_address.clone(),
                    iccid: data.iccid_present.unwrap_or(true).then_some(profile.iccid),
                },
                smdp_oid: profile.smdp_oid.clone(),
                final_result,
            }),
            euicc_sign_pir: self.euicc_sign_pir.clone(),
        }
    }
}

sequence! {
    /// CompactOtherSignedNotification: section 5.14.7.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactOtherSignedNotification = 0x30 {
        /// The EID, if the connection does not identify the eUICC.
        pub eid_value: Option<Eid> = 0x5A,
        /// The metadata of the notification.
        pub tbs_other_notification: Raw<NotificationMetadata> = 0xBF2F,
        /// The signature over the previous element.
        pub euicc_notification_signature: SignatureOctets = 0x5F37 usually 64,
        /// v1.3: the CI to which the certificates lead, possibly truncated.
        pub euicc_ci_pk_identifier_to_be_used: Option<SubjectKeyIdentifier> = 0x04 usually 32,
    }
}

impl CompactOtherSignedNotification {
    /// Creates the compact form.
    pub fn of(full: &OtherSignedNotification, eid_value: Option<Eid>) -> Self {
        Self {
            eid_value,
            tbs_other_notification: full.tbs_other_notification.clone(),
            euicc_notification_signature: full.euicc_notification_signature.clone(),
            euicc_ci_pk_identifier_to_be_used: None,
        }
    }

    /// Expands the notification with the certificates of the eUICC.
    ///
    /// # Errors
    /// The eIM does not know the certificates.
    pub fn expand(&self, known: &KnownEuicc) -> Result<OtherSignedNotification, Unknown> {
        Ok(OtherSignedNotification {
            tbs_other_notification: self.tbs_other_notification.clone(),
            euicc_notification_signature: self.euicc_notification_signature.clone(),
            euicc_certificate: known
                .euicc_certificate
                .clone()
                .ok_or(Unknown { element: "euiccCertificate" })?,
            eum_certificate: known.eum_certificate.clone().ok_or(Unknown { element: "eumCertificate" })?,
        })
    }
}
