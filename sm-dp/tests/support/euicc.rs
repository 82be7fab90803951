//! A simulated eUICC and its LPA that follow the standard. Each message is a value that a test can
//! modify before it is signed and sent.

use certs::EuiccCredentials;
use crypto::bsp::{BppReceiver, SessionKeys};
use crypto::{Curve, PublicKey, SecretKey, hash_cc};
use rsp::der::{Asn1, BitString, Raw, Reader, Tag, tlv_bytes};
use rsp::ids::{Aid, CertificateDer, Eid, Iccid, Oid, SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::asn1::Answer;
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ConfigureIsdpRequest, ErrorReason, ErrorResult, FinalResult,
    InitialiseSecureChannelRequest, ProfileInstallationResult, ProfileInstallationResultData,
    ReplaceSessionKeysRequest, StoreMetadataRequest, SuccessResult,
};
use rsp::sgp22::es9plus::{
    self, AuthenticateClientOk, AuthenticateClientRequest, CancelSessionRequestEs9,
    GetBoundProfilePackageRequest, HandleNotificationRequest, InitiateAuthenticationOk,
    InitiateAuthenticationRequest,
};
use rsp::sgp22::es10b::{
    AuthenticateResponseOk, AuthenticateServerResponse, CancelSessionResponse, CancelSessionResponseOk,
    EuiccSigned2, PrepareDownloadResponse, PrepareDownloadResponseOk,
};
use rsp::sgp22::{
    CancelSessionReason, CtxParams1, DeviceCapabilities, DeviceInfo, EuiccCancelSessionSigned, EuiccInfo1,
    EuiccInfo2, EuiccSigned1, NotificationMetadata, OtherSignedNotification, PendingNotification,
    notification_event, uicc_capability,
};
use sm_dp::SmDpPlus;
use world::{Random, SeededRandom};

use super::{ADDRESS, Expect, Rejection, call, send};

pub(crate) struct Euicc {
    pub(crate) credentials: EuiccCredentials,
    pub(crate) eid: Eid,
    pub(crate) info2: EuiccInfo2,
    random: SeededRandom,
}

/// The contents of euiccSigned1 and its envelope. [`Authenticate::request`] signs them.
pub(crate) struct Authenticate {
    pub(crate) outer: TransactionId,
    pub(crate) signed: EuiccSigned1,
    pub(crate) info2: EuiccInfo2,
    pub(crate) matching_id: Option<String>,
    /// Replaces the normal download with this MatchingID, if set.
    pub(crate) ctx_params1: Option<CtxParams1>,
    /// Adds elements of a later version to everything that is signed.
    pub(crate) later: bool,
    pub(crate) euicc_certificate: Vec<u8>,
    pub(crate) eum_certificate: Vec<u8>,
    pub(crate) key: SecretKey,
    pub(crate) spoil_signature: bool,
}

/// The contents of euiccSigned2 and its envelope. [`Prepare::request`] signs them.
pub(crate) struct Prepare {
    pub(crate) outer: TransactionId,
    pub(crate) signed: EuiccSigned2,
    pub(crate) smdp_signature2: Vec<u8>,
    /// Adds elements of a later version to everything that is signed.
    pub(crate) later: bool,
    pub(crate) key: SecretKey,
    pub(crate) spoil_signature: bool,
}

/// The decrypted contents of a Bound Profile Package.
pub(crate) struct Opened {
    pub(crate) channel: InitialiseSecureChannelRequest,
    pub(crate) configure: ConfigureIsdpRequest,
    pub(crate) metadata: StoreMetadataRequest,
    pub(crate) metadata_segments: usize,
    pub(crate) ppk: bool,
    pub(crate) package: Vec<u8>,
}

impl Euicc {
    pub(crate) fn new(credentials: EuiccCredentials, random: SeededRandom) -> Self {
        let ci = credentials.ci.subject_key_id().unwrap().clone();
        Self { eid: credentials.eid, info2: info2(vec![ci]), credentials, random }
    }

    pub(crate) fn curve(&self) -> Curve {
        self.credentials.euicc.key.curve()
    }

    /// Generates a random otSK.EUICC.ECKA.
    pub(crate) fn one_time_key(&self) -> SecretKey {
        SecretKey::generate(self.curve(), &mut |octets| self.random.fill(octets))
    }

    pub(crate) fn initiation(&self) -> InitiateAuthenticationRequest {
        let mut euicc_challenge = [0; 16];
        self.random.fill(&mut euicc_challenge);
        InitiateAuthenticationRequest {
            euicc_challenge,
            smdp_address: ADDRESS.to_owned(),
            euicc_info1: EuiccInfo1 {
                svn: self.info2.svn,
                euicc_ci_pk_id_list_for_verification: self.info2.euicc_ci_pk_id_list_for_verification.clone(),
                euicc_ci_pk_id_list_for_signing: self.info2.euicc_ci_pk_id_list_for_signing.clone(),
            },
        }
    }

    pub(crate) async fn initiate(&self, server: &SmDpPlus) -> InitiateAuthenticationOk {
        call::<es9plus::InitiateAuthentication>(server, &self.initiation()).await.done()
    }

    pub(crate) fn authenticate(&self, ok: &InitiateAuthenticationOk, matching_id: &str) -> Authenticate {
        Authenticate {
            outer: ok.transaction_id.clone(),
            signed: EuiccSigned1 {
                transaction_id: ok.transaction_id.clone(),
                server_address: ok.server_signed1.server_address.clone(),
                server_challenge: ok.server_signed1.server_challenge,
                euicc_info2: Raw::new(self.info2.clone()),
                ctx_params1: Raw::new(context(None)),
            },
            info2: self.info2.clone(),
            matching_id: Some(matching_id.to_owned()),
            ctx_params1: None,
            later: false,
            euicc_certificate: self.credentials.euicc.certificate.der().to_vec(),
            eum_certificate: self.credentials.eum.der().to_vec(),
            key: self.credentials.euicc.key.clone(),
            spoil_signature: false,
        }
    }

    /// Runs InitiateAuthentication and AuthenticateClient.
    pub(crate) async fn try_authenticate(
        &self,
        server: &SmDpPlus,
        matching_id: &str,
    ) -> Answer<AuthenticateClientOk, Rejection> {
        let ok = self.initiate(server).await;
        call::<es9plus::AuthenticateClient>(server, &self.authenticate(&ok, matching_id).request()).await
    }

    pub(crate) fn prepare(&self, ok: &AuthenticateClientOk, one_time: &SecretKey) -> Prepare {
        Prepare {
            outer: ok.transaction_id.clone(),
            signed: EuiccSigned2 {
                transaction_id: ok.transaction_id.clone(),
                euicc_otpk: one_time.public_key().to_sec1().to_vec(),
                hash_cc: None,
            },
            smdp_signature2: ok.smdp_signature2.clone(),
            later: false,
            key: self.credentials.euicc.key.clone(),
            spoil_signature: false,
        }
    }

    /// Runs a download up to the Bound Profile Package.
    pub(crate) async fn download(
        &self,
        server: &SmDpPlus,
        matching_id: &str,
        one_time: &SecretKey,
    ) -> (TransactionId, Vec<u8>) {
        let ok = self.try_authenticate(server, matching_id).await.done();
        let bound = self.get(server, &self.prepare(&ok, one_time)).await.done();
        (bound.transaction_id, bound.bound_profile_package.0)
    }

    pub(crate) async fn get(
        &self,
        server: &SmDpPlus,
        prepare: &Prepare,
    ) -> Answer<es9plus::GetBoundProfilePackageOk, Rejection> {
        call::<es9plus::GetBoundProfilePackage>(server, &prepare.request()).await
    }

    /// Decrypts a package like a card and verifies every signature and MAC.
    pub(crate) fn open(&self, bpp: &[u8], smdp_key: &PublicKey, one_time: &SecretKey) -> Opened {
        let bpp = BoundProfilePackage::from_der(bpp).unwrap();
        let channel = (*bpp.initialise_secure_channel_request).clone();
        let otpk = one_time.public_key().to_sec1();
        let signature = crypto::Signature::from_slice(&channel.smdp_sign).unwrap();
        smdp_key.verify(&channel.signed_octets(&otpk), &signature).unwrap();
        let peer = PublicKey::from_sec1(self.curve(), &channel.smdp_otpk).unwrap();
        let crt = &channel.control_ref_template;
        let keys = SessionKeys::derive(
            &one_time.agree(&peer).unwrap(),
            crt.key_type[0],
            crt.key_len[0],
            &crt.host_id,
            &self.eid.0,
        );
        let mut chain = BppReceiver::new(keys);
        let decrypt = |chain: &mut BppReceiver, segments: &[Vec<u8>]| -> Vec<u8> {
            segments.iter().flat_map(|segment| chain.decrypt(segment).unwrap()).collect()
        };
        let configure = decrypt(&mut chain, &bpp.first_sequence_of87.0);
        let metadata: Vec<u8> =
            bpp.sequence_of88.0.iter().flat_map(|segment| chain.verify_mac_only(segment).unwrap()).collect();
        if let Some(replace) = &bpp.second_sequence_of87 {
            let keys = ReplaceSessionKeysRequest::from_der(&decrypt(&mut chain, &replace.0)).unwrap();
            chain.replace_session_keys(SessionKeys {
                initial_mac_chaining_value: keys.initial_mac_chaining_value,
                s_enc: keys.ppk_enc,
                s_mac: keys.ppk_cmac,
            });
        }
        Opened {
            channel,
            configure: ConfigureIsdpRequest::from_der(&configure).unwrap(),
            metadata: StoreMetadataRequest::from_der(&metadata).unwrap(),
            metadata_segments: bpp.sequence_of88.0.len(),
            ppk: bpp.second_sequence_of87.is_some(),
            package: decrypt(&mut chain, &bpp.sequence_of86.0),
        }
    }

    pub(crate) fn result(
        &self,
        transaction_id: &TransactionId,
        iccid: Iccid,
        success: bool,
    ) -> ProfileInstallationResultData {
        ProfileInstallationResultData {
            transaction_id: transaction_id.clone(),
            notification_metadata: metadata(1, notification_event::INSTALL, iccid),
            smdp_oid: Some(smdp_oid()),
            final_result: match success {
                true => FinalResult::SuccessResult(SuccessResult {
                    aid: Aid::isd_p(0x10),
                    sima_response: vec![0x30, 0x07, 0xA0, 0x05, 0x30, 0x03, 0x80, 0x01, 0x00],
                }),
                false => FinalResult::ErrorResult(ErrorResult {
                    bpp_command_id: BppCommandId::LOAD_PROFILE_ELEMENTS,
                    error_reason: ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
                    sima_response: None,
                }),
            },
        }
    }

    pub(crate) fn signed_result(&self, data: ProfileInstallationResultData) -> PendingNotification {
        let data = Raw::new(data);
        PendingNotification::ProfileInstallationResult(ProfileInstallationResult {
            euicc_sign_pir: sign(&self.credentials.euicc.key, data.bytes(), false),
            profile_installation_result_data: data,
        })
    }

    pub(crate) fn notification(&self, seq_number: i64, event: usize, iccid: Iccid) -> PendingNotification {
        let tbs = Raw::new(metadata(seq_number, event, iccid));
        PendingNotification::OtherSignedNotification(OtherSignedNotification {
            euicc_notification_signature: sign(&self.credentials.euicc.key, tbs.bytes(), false),
            tbs_other_notification: tbs,
            euicc_certificate: CertificateDer(self.credentials.euicc.certificate.der().to_vec()),
            eum_certificate: CertificateDer(self.credentials.eum.der().to_vec()),
        })
    }

    pub(crate) fn cancellation(
        &self,
        transaction_id: &TransactionId,
        reason: CancelSessionReason,
    ) -> EuiccCancelSessionSigned {
        EuiccCancelSessionSigned { transaction_id: transaction_id.clone(), smdp_oid: smdp_oid(), reason }
    }

    pub(crate) fn signed_cancellation(
        &self,
        signed: EuiccCancelSessionSigned,
        spoil: bool,
    ) -> CancelSessionRequestEs9 {
        let signed = Raw::new(signed);
        CancelSessionRequestEs9 {
            transaction_id: signed.transaction_id.clone(),
            cancel_session_response: CancelSessionResponse::CancelSessionResponseOk(
                CancelSessionResponseOk {
                    euicc_cancel_session_signature: sign(&self.credentials.euicc.key, signed.bytes(), spoil),
                    euicc_cancel_session_signed: signed,
                },
            ),
        }
    }
}

/// Delivers a notification and returns the HTTP status, which is the whole response.
pub(crate) async fn notify(server: &SmDpPlus, notification: PendingNotification) -> u16 {
    let request = HandleNotificationRequest { pending_notification: Raw::new(notification) };
    send::<es9plus::HandleNotification>(server, &request).await.status().as_u16()
}

impl Authenticate {
    pub(crate) fn request(&self) -> AuthenticateClientRequest {
        let mut signed = self.signed.clone();
        signed.euicc_info2 = Raw::new(self.info2.clone());
        signed.ctx_params1 =
            Raw::new(self.ctx_params1.clone().unwrap_or_else(|| context(self.matching_id.clone())));
        let signed = if self.later { with_later_elements(&signed) } else { Raw::new(signed) };
        AuthenticateClientRequest {
            transaction_id: self.outer.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseOk(Box::new(
                AuthenticateResponseOk {
                    euicc_signature1: sign(&self.key, signed.bytes(), self.spoil_signature),
                    euicc_signed1: signed,
                    euicc_certificate: CertificateDer(self.euicc_certificate.clone()),
                    eum_certificate: CertificateDer(self.eum_certificate.clone()),
                },
            )),
        }
    }
}

impl Prepare {
    /// Adds the hash of the confirmation code that the user entered.
    pub(crate) fn code(mut self, code: &str) -> Self {
        self.signed.hash_cc = Some(hash_cc(code, &self.signed.transaction_id.0));
        self
    }

    pub(crate) fn request(&self) -> GetBoundProfilePackageRequest {
        let signed =
            if self.later { with_later_elements(&self.signed) } else { Raw::new(self.signed.clone()) };
        let covered = [signed.bytes(), &tlv_bytes(Tag(0x5F37), &self.smdp_signature2)].concat();
        GetBoundProfilePackageRequest {
            transaction_id: self.outer.clone(),
            prepare_download_response: PrepareDownloadResponse::DownloadResponseOk(
                PrepareDownloadResponseOk {
                    euicc_signed2: signed,
                    euicc_signature2: sign(&self.key, &covered, self.spoil_signature),
                },
            ),
        }
    }
}

/// Encodes the value with an unknown element at the end of every SEQUENCE, as a later version
/// might.
pub(crate) fn with_later_elements<T: Asn1>(value: &T) -> Raw<T> {
    /// Elements that are not extensible: finalResult is a CHOICE, and the others are lists.
    const NO_STRUCTURE: [Tag; 4] = [Tag(0xA2), Tag(0xA9), Tag(0xAA), Tag(0xAF)];
    fn later(der: &[u8]) -> Vec<u8> {
        let (tag, contents) = Reader::new(der).tlv().unwrap();
        if der[0] & 0x20 == 0 || NO_STRUCTURE.contains(&tag) {
            return der.to_vec();
        }
        let (mut elements, mut extended) = (Reader::new(contents), Vec::new());
        while !elements.is_empty() {
            extended.extend(later(elements.whole_tlv().unwrap()));
        }
        extended.extend([0x9F, 0x7E, 2, 0xAB, 0xCD]);
        tlv_bytes(tag, &extended)
    }
    Raw::from_der(&later(&value.to_der())).unwrap()
}

pub(crate) fn sign(key: &SecretKey, octets: &[u8], spoil: bool) -> Vec<u8> {
    let mut signature = key.sign(octets).as_bytes().to_vec();
    if spoil {
        signature[40] ^= 1;
    }
    signature
}

pub(crate) fn smdp_oid() -> Oid {
    "2.999.10".parse().unwrap()
}

pub(crate) fn context(matching_id: Option<String>) -> CtxParams1 {
    let device_info = DeviceInfo {
        tac: [0x53, 0x92, 0x60, 0x11],
        device_capabilities: DeviceCapabilities::default(),
        imei: None,
    };
    CtxParams1::download(matching_id, device_info)
}

fn metadata(seq_number: i64, event: usize, iccid: Iccid) -> NotificationMetadata {
    NotificationMetadata {
        seq_number,
        profile_management_operation: BitString::of(&[event]),
        notification_address: ADDRESS.to_owned(),
        iccid: Some(iccid),
    }
}

/// A card with free memory and support for USIM and Milenage.
fn info2(cis: Vec<SubjectKeyIdentifier>) -> EuiccInfo2 {
    EuiccInfo2 {
        profile_version: Version([2, 3, 1]),
        svn: Version([2, 2, 1]),
        euicc_firmware_ver: Version([1, 0, 0]),
        ext_card_resource: vec![0x81, 1, 0, 0x82, 3, 8, 0, 0, 0x83, 2, 0x20, 0],
        uicc_capability: BitString::of(&[uicc_capability::USIM, uicc_capability::AKA_MILENAGE]),
        ts102241_version: None,
        globalplatform_version: None,
        rsp_capability: BitString::of(&[0]),
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
    }
}
