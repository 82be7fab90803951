//! An SM-DP+ for the tests. It builds each message of a download, so that a test can modify any of
//! them.

use certs::{Certificate, DpCredentials, check_euicc};
use crypto::bsp::{BppSender, MAX_ENCRYPTED, SessionKeys};
use crypto::{Curve, PublicKey, SecretKey, Signature};
use profile::element::{End, PeHeader, ProfileHeader, ServicesList, UnknownElement};
use profile::{Package, ProfileElement};
use rsp::der::{Asn1, BitString, Raw, Tag, tlv_bytes, write_tlv};
use rsp::ids::{CertificateDer, Iccid, Oid, SubjectKeyIdentifier, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ConfigureIsdpRequest, ControlRefTemplate, ErrorReason, FinalResult,
    InitialiseSecureChannelRequest, ProfileInstallationResult, ReplaceSessionKeysRequest, Segments,
    StoreMetadataRequest, store_data_segments,
};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, GetEuiccChallengeRequest,
    GetEuiccChallengeResponse, PrepareDownloadRequest, PrepareDownloadResponse, PrepareDownloadResponseOk,
    SmdpSigned2,
};
use rsp::sgp22::{
    CtxParams1, DeviceCapabilities, DeviceInfo, DpProprietaryData, NotificationConfigurationInformation,
    ServerSigned1, notification_event,
};
use world::{Random, SeededRandom};

use super::testbed::Testbed;

pub(super) const ADDRESS: &str = "smdpp.landfall.example";

pub(super) struct Server {
    pub(super) dp: DpCredentials,
    pub(super) ci: SubjectKeyIdentifier,
    pub(super) transaction_id: TransactionId,
    /// True if the package has its own session keys, sent in A2.
    pub(super) own_keys: bool,
    /// The number of data octets in a segment of the profile package.
    pub(super) segment_octets: usize,
    pub(super) bpp_euicc_otpk: Option<Vec<u8>>,
    pub(super) random: SeededRandom,
}

/// A profile package with its metadata.
#[derive(Clone)]
pub(super) struct TestPackage {
    pub(super) metadata: StoreMetadataRequest,
    pub(super) package: Vec<u8>,
    /// The OID that ConfigureISDP stores in the ISD-P.
    pub(super) dp_oid: Option<Oid>,
}

impl TestPackage {
    /// The smallest valid package.
    pub(super) fn small(iccid: &str) -> Self {
        let iccid: Iccid = iccid.parse().unwrap();
        let header = ProfileElement::Header(ProfileHeader {
            major_version: 2,
            minor_version: 3,
            profile_type: Some("nothing".to_owned()),
            iccid: iccid.to_profile_header().into(),
            pol: None,
            mandatory_services: ServicesList::default(),
            mandatory_gfste_list: vec![],
            connectivity_parameters: None,
            mandatory_aids: None,
            iot_options: None,
            unknown: rsp::der::Unknown::default(),
        });
        let end = End { header: PeHeader::mandated(1), unknown: rsp::der::Unknown::default() };
        let package = Package { elements: vec![header, ProfileElement::End(end)] };
        Self { metadata: metadata(iccid), package: package.encode(), dp_oid: None }
    }

    /// An existing package with its own ICCID.
    pub(super) fn of(package: Vec<u8>) -> Self {
        let decoded = Package::decode(&package).unwrap();
        let octets: [u8; 10] = decoded.header().unwrap().iccid.0.as_slice().try_into().unwrap();
        let metadata = metadata(Iccid::from_profile_header(&octets).unwrap());
        Self { metadata, package, dp_oid: None }
    }

    /// Enlarges the package by an unknown element that is not mandated.
    pub(super) fn pad(&mut self, octets: usize) {
        let mut package = Package::decode(&self.package).unwrap();
        let contents = tlv_bytes(Tag(0x80), &vec![0; octets]);
        let unknown = UnknownElement { tag: Tag(0xAB), contents: contents.into() };
        package.elements.insert(1, ProfileElement::Unknown(unknown));
        self.package = package.encode();
    }

    pub(super) fn iccid(&self) -> Iccid {
        self.metadata.iccid
    }
}

fn metadata(iccid: Iccid) -> StoreMetadataRequest {
    let all = [
        notification_event::INSTALL,
        notification_event::ENABLE,
        notification_event::DISABLE,
        notification_event::DELETE,
    ];
    StoreMetadataRequest {
        iccid,
        service_provider_name: "Landfall".to_owned(),
        profile_name: "Test".to_owned(),
        icon_type: None,
        icon: None,
        profile_class: None,
        notification_configuration_info: Some(vec![NotificationConfigurationInformation {
            profile_management_operation: BitString::of(&all),
            notification_address: ADDRESS.to_owned(),
        }]),
        profile_owner: None,
        profile_policy_rules: None,
        ecall_indication: None,
        fallback_allowed: None,
    }
}

impl Server {
    pub(super) fn new(testbed: &Testbed, curve: Curve) -> Self {
        let ci = testbed.pki.ci(curve).unwrap().subject_key_id().unwrap().0.clone();
        Self {
            dp: testbed.pki.dp(curve).unwrap(),
            ci: SubjectKeyIdentifier(ci),
            transaction_id: TransactionId(vec![1, 2, 3, 4]),
            own_keys: true,
            segment_octets: MAX_ENCRYPTED,
            bpp_euicc_otpk: None,
            random: SeededRandom::from_text("server"),
        }
    }

    /// The AuthenticateServer request after ES9+.InitiateAuthentication.
    pub(super) fn authenticate_server(&self, euicc_challenge: [u8; 16]) -> AuthenticateServerRequest {
        let signed = Raw::new(ServerSigned1 {
            transaction_id: self.transaction_id.clone(),
            euicc_challenge,
            server_address: ADDRESS.to_owned(),
            server_challenge: [0x5A; 16],
        });
        AuthenticateServerRequest {
            server_signature1: self.dp.auth.key.sign(signed.bytes()).as_bytes().to_vec(),
            server_signed1: signed,
            euicc_ci_pk_id_to_be_used: self.ci.clone(),
            server_certificate: CertificateDer(self.dp.auth.certificate.der().to_vec()),
            ctx_params1: Raw::new(CtxParams1::download(
                Some("M".to_owned()),
                DeviceInfo {
                    tac: [0x35, 0x29, 0x06, 0x11],
                    device_capabilities: DeviceCapabilities::default(),
                    imei: None,
                },
            )),
        }
    }

    /// Verifies the card's response and returns the PrepareDownload request after
    /// ES9+.AuthenticateClient.
    pub(super) fn prepare_download(
        &self,
        testbed: &Testbed,
        answer: &AuthenticateServerResponse,
        hash_cc: Option<[u8; 32]>,
    ) -> PrepareDownloadRequest {
        let AuthenticateServerResponse::AuthenticateResponseOk(ok) = answer else { panic!("{answer:?}") };
        let certificate = |der: &CertificateDer| Certificate::from_der(der.0.clone()).unwrap();
        let euicc = certificate(&ok.euicc_certificate);
        let eum = certificate(&ok.eum_certificate);
        let now = world::Clock::now(&testbed.clock);
        let euicc = check_euicc(&testbed.pki.anchors().unwrap(), &euicc, &eum, now).unwrap();
        let signature = Signature::from_slice(&ok.euicc_signature1).unwrap();
        euicc.public_key.verify(ok.euicc_signed1.bytes(), &signature).unwrap();
        assert_eq!(ok.euicc_signed1.server_challenge, [0x5A; 16]);

        let signed = Raw::new(SmdpSigned2 {
            transaction_id: self.transaction_id.clone(),
            cc_required_flag: hash_cc.is_some(),
            bpp_euicc_otpk: self.bpp_euicc_otpk.clone(),
        });
        let mut covered = signed.bytes().to_vec();
        write_tlv(Tag(0x5F37), &ok.euicc_signature1, &mut covered);
        PrepareDownloadRequest {
            smdp_signature2: self.dp.pb.key.sign(&covered).as_bytes().to_vec(),
            smdp_signed2: signed,
            hash_cc,
            smdp_certificate: CertificateDer(self.dp.pb.certificate.der().to_vec()),
        }
    }

    /// Binds the package to the card's one-time key.
    pub(super) fn bind(
        &self,
        testbed: &Testbed,
        answer: &PrepareDownloadResponse,
        test_package: &TestPackage,
    ) -> BoundProfilePackage {
        let PrepareDownloadResponse::DownloadResponseOk(ok) = answer else { panic!("{answer:?}") };
        self.bind_to(testbed, ok, test_package, |_| {})
    }

    /// Binds the package. `change` modifies the first request before it is signed.
    pub(super) fn bind_to(
        &self,
        testbed: &Testbed,
        ok: &PrepareDownloadResponseOk,
        test_package: &TestPackage,
        change: impl FnOnce(&mut InitialiseSecureChannelRequest),
    ) -> BoundProfilePackage {
        let curve = self.dp.pb.certificate.curve();
        let mut fill = |octets: &mut [u8]| self.random.fill(octets);
        let secret = SecretKey::generate(curve, &mut fill);
        let euicc_otpk = &ok.euicc_signed2.euicc_otpk;
        let shared = secret.agree(&PublicKey::from_sec1(curve, euicc_otpk).unwrap()).unwrap();
        let host_id = vec![0x80; 8];
        let keys = SessionKeys::derive(&shared, 0x88, 0x10, &host_id, &testbed.card.eid().0);
        let mut bsp = BppSender::new(keys);

        let mut request = InitialiseSecureChannelRequest {
            remote_op_id: 1,
            transaction_id: self.transaction_id.clone(),
            control_ref_template: ControlRefTemplate { key_type: [0x88], key_len: [0x10], host_id },
            smdp_otpk: secret.public_key().to_sec1().to_vec(),
            smdp_sign: vec![],
        };
        change(&mut request);
        request.smdp_sign = self.dp.pb.key.sign(&request.signed_octets(euicc_otpk)).as_bytes().to_vec();

        let configure = ConfigureIsdpRequest {
            dp_proprietary_data: test_package.dp_oid.clone().map(|dp_oid| DpProprietaryData { dp_oid }),
        };
        let first = bsp.segments(0x87, &configure.to_der());
        let metadata = bsp.mac_only_segments(0x88, &test_package.metadata.to_der());
        let second = self.own_keys.then(|| {
            let own = SessionKeys::generate(&mut fill);
            let replace = ReplaceSessionKeysRequest {
                initial_mac_chaining_value: own.initial_mac_chaining_value,
                ppk_enc: own.s_enc,
                ppk_cmac: own.s_mac,
            };
            let segments = bsp.segments(0x87, &replace.to_der());
            bsp.replace_session_keys(own);
            Segments(segments)
        });
        BoundProfilePackage {
            initialise_secure_channel_request: Raw::new(request),
            first_sequence_of87: Segments(first),
            sequence_of88: Segments(metadata),
            second_sequence_of87: second,
            sequence_of86: Segments(
                test_package
                    .package
                    .chunks(self.segment_octets)
                    .map(|octets| bsp.encrypt_and_mac(0x86, octets))
                    .collect(),
            ),
        }
    }

    /// Performs mutual authentication and PrepareDownload.
    pub(super) fn prepare(&self, testbed: &mut Testbed) -> PrepareDownloadResponse {
        self.try_prepare(testbed).unwrap()
    }

    pub(super) fn try_prepare(&self, testbed: &mut Testbed) -> Result<PrepareDownloadResponse, String> {
        let challenge: GetEuiccChallengeResponse = testbed.try_call(&GetEuiccChallengeRequest {})?;
        let answer = testbed.try_call(&self.authenticate_server(challenge.euicc_challenge))?;
        let request = self.prepare_download(testbed, &answer, None);
        testbed.try_call(&request)
    }

    /// Performs a complete download.
    pub(super) fn download(
        &self,
        testbed: &mut Testbed,
        test_package: &TestPackage,
    ) -> ProfileInstallationResult {
        self.try_download(testbed, test_package).unwrap()
    }

    /// Performs a complete download. Returns the status word if a command failed.
    pub(super) fn try_download(
        &self,
        testbed: &mut Testbed,
        test_package: &TestPackage,
    ) -> Result<ProfileInstallationResult, String> {
        let prepared = self.try_prepare(testbed)?;
        let package = self.bind(testbed, &prepared, test_package);
        let result = try_send(testbed, &store_data_segments(&package.to_der()).unwrap())?;
        Ok(result.expect("an installation result"))
    }
}

/// Sends a package like an LPA until the card returns a result.
pub(super) fn load(testbed: &mut Testbed, package: &[u8]) -> Option<ProfileInstallationResult> {
    send(testbed, &store_data_segments(package).unwrap())
}

pub(super) fn send(testbed: &mut Testbed, pieces: &[Vec<u8>]) -> Option<ProfileInstallationResult> {
    try_send(testbed, pieces).unwrap()
}

pub(super) fn try_send(
    testbed: &mut Testbed,
    pieces: &[Vec<u8>],
) -> Result<Option<ProfileInstallationResult>, String> {
    for piece in pieces {
        let answer = testbed.es10(piece)?;
        if !answer.is_empty() {
            return Ok(Some(ProfileInstallationResult::from_der(&answer).unwrap()));
        }
    }
    Ok(None)
}

/// The outcome of the installation.
pub(super) fn outcome(result: &ProfileInstallationResult) -> Result<(), (BppCommandId, ErrorReason)> {
    match &result.profile_installation_result_data.final_result {
        FinalResult::SuccessResult(_) => Ok(()),
        FinalResult::ErrorResult(error) => Err((error.bpp_command_id, error.error_reason)),
    }
}
