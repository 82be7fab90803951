//! The test eUICC. It follows the standard. Each message is a value that a test can modify before
//! it is signed. The tests of the SM-DP+ and of the SM-DS use this eUICC too.

use certs::{EuiccCredentials, Pki, numbered_eid};
use crypto::{Curve, SecretKey, hash_cc};
use rsp::der::{Asn1, BitString, Raw, Reader, Tag, tlv, tlv_bytes};
use rsp::ids::{Aid, CertificateDer, Eid, Iccid, Oid, SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::es8plus::{
    BppCommandId, ErrorReason, ErrorResult, FinalResult, ProfileInstallationResult,
    ProfileInstallationResultData, SuccessResult,
};
use rsp::sgp22::es9plus::{
    AuthenticateClientOk, AuthenticateClientRequest, CancelSessionRequestEs9, GetBoundProfilePackageRequest,
    InitiateAuthenticationOk, InitiateAuthenticationRequest,
};
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateResponseError, AuthenticateResponseOk, AuthenticateServerResponse,
    CancelSessionResponse, CancelSessionResponseOk, EuiccSigned2, PrepareDownloadResponse,
    PrepareDownloadResponseOk,
};
use rsp::sgp22::{
    CancelSessionReason, CtxParams1, DeviceCapabilities, DeviceInfo, EuiccCancelSessionSigned, EuiccInfo1,
    EuiccInfo2, EuiccSigned1, NotificationMetadata, OtherSignedNotification, PendingNotification,
    notification_event, rsp_capability, uicc_capability,
};
use world::{Random, SeededRandom};

use crate::verdict::Stop;

/// An eUICC with its certificate and capabilities.
#[derive(Clone)]
pub struct Euicc {
    /// The certificate, its key, and the certificates above it.
    pub credentials: EuiccCredentials,
    /// The EID.
    pub eid: Eid,
    /// The capabilities.
    pub info2: EuiccInfo2,
    random: SeededRandom,
}

/// The contents of euiccSigned1 and its envelope. [`Authenticate::request`] signs them.
pub struct Authenticate {
    /// The TransactionID in the envelope.
    pub outer: TransactionId,
    /// The TransactionID in euiccSigned1.
    pub inner: TransactionId,
    /// The serverAddress of the server.
    pub server_address: String,
    /// The serverChallenge of the server.
    pub server_challenge: [u8; 16],
    /// euiccInfo2.
    pub info2: EuiccInfo2,
    /// matchingId.
    pub matching_id: Option<String>,
    /// deviceInfo.
    pub device_info: DeviceInfo,
    /// A ctxParams1 that replaces the MatchingID and deviceInfo.
    pub ctx_params1: Option<CtxParams1>,
    /// Elements of a later version, each with the path of tags to the element that it is appended
    /// to.
    pub later: Vec<(Vec<Tag>, Vec<u8>)>,
    /// CERT.EUICC.
    pub euicc_certificate: Vec<u8>,
    /// CERT.EUM.
    pub eum_certificate: Vec<u8>,
    /// The key that signs.
    pub key: SecretKey,
    /// True if the signature is corrupted.
    pub corrupt_signature: bool,
}

/// The contents of euiccSigned2 and its envelope. [`Prepare::request`] signs them.
pub struct Prepare {
    /// The TransactionID in the envelope.
    pub outer: TransactionId,
    /// euiccSigned2.
    pub signed: EuiccSigned2,
    /// The smdpSignature2, which the signature covers too.
    pub smdp_signature2: Vec<u8>,
    /// The key that signs.
    pub key: SecretKey,
    /// True if the signature is corrupted.
    pub corrupt_signature: bool,
}

/// The contents of euiccCancelSessionSigned and its envelope. [`Cancel::request`] signs them.
pub struct Cancel {
    /// The TransactionID in the envelope.
    pub outer: TransactionId,
    /// euiccCancelSessionSigned.
    pub signed: EuiccCancelSessionSigned,
    /// The key that signs.
    pub key: SecretKey,
    /// True if the signature is corrupted.
    pub corrupt_signature: bool,
}

impl Euicc {
    /// Creates a card with free memory and support for USIM and Milenage.
    ///
    /// # Errors
    /// Fails if the CI certificate has no subject key identifier.
    pub fn new(credentials: EuiccCredentials, random: SeededRandom) -> Result<Self, Stop> {
        let ci = credentials.ci.subject_key_id().cloned();
        let ci = ci.ok_or_else(|| Stop::needs("a CI certificate with a subject key identifier"))?;
        Ok(Self { eid: credentials.eid, info2: info2(vec![ci]), credentials, random })
    }

    /// Creates a card with a random EID in the range of the EUM of the PKI, and issues its certificate.
    ///
    /// # Errors
    /// Fails if the PKI has no EUM for this curve, or cannot issue the certificate.
    pub fn random(pki: &Pki, curve: Curve, random: SeededRandom) -> Result<Self, Stop> {
        let eum = pki.eum(curve)?;
        let prefix = eum.eid_range().prefixes().next().map(str::to_owned);
        let mut number = [0; 8];
        random.fill(&mut number);
        let eid = numbered_eid(&prefix.unwrap_or_default(), u64::from_be_bytes(number) >> 16)
            .map_err(|e| Stop::needs(format!("an EUM with a valid EID range: {e}")))?;
        Self::new(pki.issue_euicc(curve, eid, eum.validity())?, random)
    }

    /// Returns the curve of the certificate.
    pub fn curve(&self) -> Curve {
        self.credentials.euicc.key.curve()
    }

    /// Generates a random otSK.EUICC.ECKA.
    pub fn one_time_key(&self) -> SecretKey {
        SecretKey::generate(self.curve(), &mut |octets| self.random.fill(octets))
    }

    /// Returns the same card with another SGP.22 version.
    #[must_use]
    pub fn of_version(mut self, svn: [u8; 3]) -> Self {
        self.info2.svn = Version(svn);
        self
    }

    /// Builds an InitiateAuthentication request with a random challenge.
    pub fn initiation(&self, address: &str) -> InitiateAuthenticationRequest {
        let mut euicc_challenge = [0; 16];
        self.random.fill(&mut euicc_challenge);
        InitiateAuthenticationRequest {
            euicc_challenge,
            smdp_address: address.to_owned(),
            euicc_info1: EuiccInfo1 {
                svn: self.info2.svn,
                euicc_ci_pk_id_list_for_verification: self.info2.euicc_ci_pk_id_list_for_verification.clone(),
                euicc_ci_pk_id_list_for_signing: self.info2.euicc_ci_pk_id_list_for_signing.clone(),
            },
        }
    }

    /// Builds the response to the server's challenge.
    pub fn authenticate(&self, ok: &InitiateAuthenticationOk, matching_id: &str) -> Authenticate {
        Authenticate {
            outer: ok.transaction_id.clone(),
            inner: ok.transaction_id.clone(),
            server_address: ok.server_signed1.server_address.clone(),
            server_challenge: ok.server_signed1.server_challenge,
            info2: self.info2.clone(),
            matching_id: Some(matching_id.to_owned()),
            device_info: DeviceInfo {
                tac: [0x53, 0x92, 0x60, 0x11],
                device_capabilities: DeviceCapabilities::default(),
                imei: None,
            },
            ctx_params1: None,
            later: Vec::new(),
            euicc_certificate: self.credentials.euicc.certificate.der().to_vec(),
            eum_certificate: self.credentials.eum.der().to_vec(),
            key: self.credentials.euicc.key.clone(),
            corrupt_signature: false,
        }
    }

    /// Builds the package request for a one-time key.
    pub fn prepare(&self, ok: &AuthenticateClientOk, one_time: &SecretKey) -> Prepare {
        Prepare {
            outer: ok.transaction_id.clone(),
            signed: EuiccSigned2 {
                transaction_id: ok.transaction_id.clone(),
                euicc_otpk: one_time.public_key().to_sec1().to_vec(),
                hash_cc: None,
            },
            smdp_signature2: ok.smdp_signature2.clone(),
            key: self.credentials.euicc.key.clone(),
            corrupt_signature: false,
        }
    }

    /// Builds the cancellation of a session.
    pub fn cancel(&self, id: &TransactionId, smdp_oid: &Oid, reason: CancelSessionReason) -> Cancel {
        Cancel {
            outer: id.clone(),
            signed: EuiccCancelSessionSigned {
                transaction_id: id.clone(),
                smdp_oid: smdp_oid.clone(),
                reason,
            },
            key: self.credentials.euicc.key.clone(),
            corrupt_signature: false,
        }
    }

    /// Builds a successful installation result.
    pub fn installed(
        &self,
        id: &TransactionId,
        smdp_oid: &Oid,
        address: &str,
        iccid: Iccid,
    ) -> ProfileInstallationResultData {
        ProfileInstallationResultData {
            transaction_id: id.clone(),
            notification_metadata: metadata(1, notification_event::INSTALL, address, iccid),
            smdp_oid: Some(smdp_oid.clone()),
            final_result: FinalResult::SuccessResult(SuccessResult {
                aid: Aid::isd_p(0x10),
                // An EUICCResponse with one status, "ok", and no warning.
                sima_response: vec![0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00],
            }),
        }
    }

    /// Builds a failed installation result.
    pub fn not_installed(
        &self,
        id: &TransactionId,
        smdp_oid: &Oid,
        address: &str,
        iccid: Iccid,
        (command, reason): (BppCommandId, ErrorReason),
    ) -> ProfileInstallationResultData {
        ProfileInstallationResultData {
            final_result: FinalResult::ErrorResult(ErrorResult {
                bpp_command_id: command,
                error_reason: reason,
                sima_response: None,
            }),
            ..self.installed(id, smdp_oid, address, iccid)
        }
    }

    /// Signs an installation result.
    pub fn signed_result(&self, data: ProfileInstallationResultData) -> PendingNotification {
        self.signed_result_with(Raw::new(data))
    }

    /// Signs the encoding of an installation result.
    pub fn signed_result_with(&self, data: Raw<ProfileInstallationResultData>) -> PendingNotification {
        PendingNotification::ProfileInstallationResult(ProfileInstallationResult {
            euicc_sign_pir: sign(&self.credentials.euicc.key, data.bytes(), false),
            profile_installation_result_data: data,
        })
    }

    /// Builds a signed notification that a profile was enabled, disabled or deleted.
    pub fn notification(
        &self,
        seq_number: i64,
        event: usize,
        address: &str,
        iccid: Iccid,
    ) -> OtherSignedNotification {
        self.notification_with(Raw::new(metadata(seq_number, event, address, iccid)))
    }

    /// Signs the encoding of a notification.
    pub fn notification_with(&self, tbs: Raw<NotificationMetadata>) -> OtherSignedNotification {
        OtherSignedNotification {
            euicc_notification_signature: sign(&self.credentials.euicc.key, tbs.bytes(), false),
            tbs_other_notification: tbs,
            euicc_certificate: CertificateDer(self.credentials.euicc.certificate.der().to_vec()),
            eum_certificate: CertificateDer(self.credentials.eum.der().to_vec()),
        }
    }
}

impl Authenticate {
    /// Signs the contents.
    ///
    /// # Errors
    /// Fails if the modified contents cannot be encoded.
    pub fn request(&self) -> Result<AuthenticateClientRequest, Stop> {
        Ok(self.request_with(self.signed()?))
    }

    /// Encodes euiccSigned1.
    ///
    /// # Errors
    /// Fails if the modified contents cannot be encoded.
    pub fn signed(&self) -> Result<Raw<EuiccSigned1>, Stop> {
        let signed = EuiccSigned1 {
            transaction_id: self.inner.clone(),
            server_address: self.server_address.clone(),
            server_challenge: self.server_challenge,
            euicc_info2: Raw::new(self.info2.clone()),
            ctx_params1: Raw::new(self.ctx_params1.clone().unwrap_or_else(|| self.download_params())),
        };
        let mut der = signed.to_der();
        for (path, element) in &self.later {
            der = extended(&der, path, element)?;
        }
        Raw::from_der(&der).map_err(|e| Stop::needs(format!("an euiccSigned1 that can be encoded: {e}")))
    }

    /// Signs an euiccSigned1 instead of the contents.
    pub fn request_with(&self, signed: Raw<EuiccSigned1>) -> AuthenticateClientRequest {
        AuthenticateClientRequest {
            transaction_id: self.outer.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseOk(Box::new(
                AuthenticateResponseOk {
                    euicc_signature1: sign(&self.key, signed.bytes(), self.corrupt_signature),
                    euicc_signed1: signed,
                    euicc_certificate: CertificateDer(self.euicc_certificate.clone()),
                    eum_certificate: CertificateDer(self.eum_certificate.clone()),
                },
            )),
        }
    }

    /// Builds the ctxParams1 of a normal download.
    pub fn download_params(&self) -> CtxParams1 {
        CtxParams1::download(self.matching_id.clone(), self.device_info.clone())
    }
}

impl Prepare {
    /// Adds the hash of the confirmation code that the user entered.
    #[must_use]
    pub fn code<'a>(mut self, code: impl Into<Option<&'a str>>) -> Self {
        self.signed.hash_cc = code.into().map(|code| hash_cc(code, &self.signed.transaction_id.0));
        self
    }

    /// Signs the contents.
    pub fn request(&self) -> GetBoundProfilePackageRequest {
        self.request_with(Raw::new(self.signed.clone()))
    }

    /// Signs an euiccSigned2 instead of the contents.
    pub fn request_with(&self, signed: Raw<EuiccSigned2>) -> GetBoundProfilePackageRequest {
        let covered = [signed.bytes(), &tlv_bytes(SIGNATURE, &self.smdp_signature2)].concat();
        GetBoundProfilePackageRequest {
            transaction_id: self.outer.clone(),
            prepare_download_response: PrepareDownloadResponse::DownloadResponseOk(
                PrepareDownloadResponseOk {
                    euicc_signature2: sign(&self.key, &covered, self.corrupt_signature),
                    euicc_signed2: signed,
                },
            ),
        }
    }
}

impl Cancel {
    /// Signs the contents.
    pub fn request(&self) -> CancelSessionRequestEs9 {
        self.request_with(Raw::new(self.signed.clone()))
    }

    /// Signs an euiccCancelSessionSigned instead of the contents.
    pub fn request_with(&self, signed: Raw<EuiccCancelSessionSigned>) -> CancelSessionRequestEs9 {
        CancelSessionRequestEs9 {
            transaction_id: self.outer.clone(),
            cancel_session_response: CancelSessionResponse::CancelSessionResponseOk(
                CancelSessionResponseOk {
                    euicc_cancel_session_signature: sign(&self.key, signed.bytes(), self.corrupt_signature),
                    euicc_cancel_session_signed: signed,
                },
            ),
        }
    }
}

/// Builds an error response to the server's challenge, with the TransactionIDs in the envelope and in
/// the response.
pub fn authentication_error(outer: &TransactionId, inner: &TransactionId) -> AuthenticateClientRequest {
    AuthenticateClientRequest {
        transaction_id: outer.clone(),
        authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseError(
            AuthenticateResponseError {
                transaction_id: inner.clone(),
                authenticate_error_code: AuthenticateErrorCode::INVALID_CERTIFICATE,
            },
        ),
    }
}

/// The tag of all signatures.
pub(crate) const SIGNATURE: Tag = Tag(0x5F37);

fn sign(key: &SecretKey, octets: &[u8], corrupt: bool) -> Vec<u8> {
    let mut signature = key.sign(octets).as_bytes().to_vec();
    if let Some(octet) = signature.get_mut(40).filter(|_| corrupt) {
        *octet ^= 1;
    }
    signature
}

/// Appends `addition` to the inner element at this path of tags, and returns the new outer element.
///
/// # Errors
/// Fails if `element` is not a TLV or has no element at this path.
pub(crate) fn extended(element: &[u8], path: &[Tag], addition: &[u8]) -> Result<Vec<u8>, Stop> {
    let no_such_element = || Stop::needs("an element that can be extended");
    let (tag, contents) = tlv::split(element).ok_or_else(no_such_element)?;
    let Some((next, rest)) = path.split_first() else {
        return Ok(tlv_bytes(tag, &[contents, addition].concat()));
    };
    let mut inner = Vec::new();
    let mut is_found = false;
    let mut reader = Reader::new(contents);
    while let Ok(Some(tag)) = reader.peek() {
        let whole = reader.whole_tlv().map_err(|_| no_such_element())?;
        if tag == *next && !is_found {
            is_found = true;
            inner.extend(extended(whole, rest, addition)?);
        } else {
            inner.extend_from_slice(whole);
        }
    }
    if is_found { Ok(tlv_bytes(tag, &inner)) } else { Err(no_such_element()) }
}

fn metadata(seq_number: i64, event: usize, address: &str, iccid: Iccid) -> NotificationMetadata {
    NotificationMetadata {
        seq_number,
        profile_management_operation: BitString::of(&[event]),
        notification_address: address.to_owned(),
        iccid: Some(iccid),
    }
}

fn info2(cis: Vec<SubjectKeyIdentifier>) -> EuiccInfo2 {
    EuiccInfo2 {
        profile_version: Version([2, 3, 1]),
        svn: Version([2, 2, 2]),
        euicc_firmware_ver: Version([1, 0, 0]),
        // No applications, 512 KiB of non-volatile and 8 KiB of volatile memory.
        ext_card_resource: vec![0x81, 1, 0, 0x82, 3, 8, 0, 0, 0x83, 2, 0x20, 0],
        uicc_capability: BitString::of(&[uicc_capability::USIM, uicc_capability::AKA_MILENAGE]),
        ts102241_version: None,
        globalplatform_version: None,
        rsp_capability: BitString::of(&[rsp_capability::ADDITIONAL_PROFILE]),
        euicc_ci_pk_id_list_for_verification: cis.clone(),
        euicc_ci_pk_id_list_for_signing: cis,
        euicc_category: None,
        forbidden_profile_policy_rules: None,
        pp_version: Version([0, 0, 1]),
        sas_accreditation_number: "LF-XX-UP-0000".to_owned(),
        certification_data_object: None,
        tre_properties: None,
        tre_product_reference: None,
        additional_profile_package_versions: None,
        lpa_mode: None,
        euicc_ci_pk_id_list_for_signing_v3: None,
        additional_euicc_info: None,
        highest_svn: None,
        iot_specific_info: None,
        euicc_minimum_security_level: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_appended_at_its_path() {
        let element = [0x30, 7, 0x80, 1, 1, 0xA1, 2, 0x82, 0];
        let path = [Tag(0xA1)];
        let longer = [0x30, 10, 0x80, 1, 1, 0xA1, 5, 0x82, 0, 0x9E, 1, 7];
        assert_eq!(extended(&element, &path, &[0x9E, 1, 7]).unwrap(), longer);
        assert!(extended(&element, &[Tag(0xA2)], &[0x9E, 1, 7]).is_err());
    }
}
