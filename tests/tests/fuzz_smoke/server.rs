//! A minimal SM-DP+ for one card, which binds any package.

use certs::{DpCredentials, Pki};
use crypto::bsp::{BppSender, SessionKeys};
use crypto::{Curve, PublicKey, SecretKey};
use rsp::der::{Asn1, BitString, Raw, Tag, write_tlv};
use rsp::ids::{CertificateDer, Eid, Iccid, SubjectKeyIdentifier, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, ConfigureIsdpRequest, ControlRefTemplate, InitialiseSecureChannelRequest,
    ReplaceSessionKeysRequest, Segments, StoreMetadataRequest, store_data_segments,
};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, PrepareDownloadRequest, PrepareDownloadResponse,
    SmdpSigned2,
};
use rsp::sgp22::{
    CtxParams1, DeviceCapabilities, DeviceInfo, NotificationConfigurationInformation, ServerSigned1,
    notification_event,
};
use world::Random as _;

use crate::random::Random;

const ADDRESS: &str = "smdpp.example.com";

pub(crate) struct Server {
    dp: DpCredentials,
    ci: SubjectKeyIdentifier,
    pub(crate) transaction_id: TransactionId,
}

impl Server {
    pub(crate) fn new(pki: &Pki, random: &Random) -> Self {
        let curve = *random.pick(&[Curve::P256, Curve::P256, Curve::BrainpoolP256r1]);
        let ci = pki.ci(curve).unwrap().subject_key_id().unwrap().0.clone();
        Self {
            dp: pki.dp(curve).unwrap(),
            ci: SubjectKeyIdentifier(ci),
            transaction_id: TransactionId(random.octets(1 + random.number(16))),
        }
    }

    pub(crate) fn authenticate_server(&self, euicc_challenge: [u8; 16]) -> Vec<u8> {
        let signed = Raw::new(ServerSigned1 {
            transaction_id: self.transaction_id.clone(),
            euicc_challenge,
            server_address: ADDRESS.to_owned(),
            server_challenge: [0x5A; 16],
        });
        let device_capabilities = DeviceCapabilities::default();
        let device_info = DeviceInfo { tac: [0x35, 0x29, 0x06, 0x11], device_capabilities, imei: None };
        let request = AuthenticateServerRequest {
            server_signature1: self.dp.auth.key.sign(signed.bytes()).as_bytes().to_vec(),
            server_signed1: signed,
            euicc_ci_pk_id_to_be_used: self.ci.clone(),
            server_certificate: CertificateDer(self.dp.auth.certificate.der().to_vec()),
            ctx_params1: Raw::new(CtxParams1::download(Some("M".to_owned()), device_info)),
        };
        request.to_der()
    }

    /// Returns the PrepareDownload request, or `None` if the card did not authenticate.
    pub(crate) fn prepare_download(&self, answer: &[u8]) -> Option<Vec<u8>> {
        let Ok(AuthenticateServerResponse::AuthenticateResponseOk(ok)) =
            AuthenticateServerResponse::from_der(answer)
        else {
            return None;
        };
        let signed = Raw::new(SmdpSigned2 {
            transaction_id: self.transaction_id.clone(),
            cc_required_flag: false,
            bpp_euicc_otpk: None,
        });
        let mut covered = signed.bytes().to_vec();
        write_tlv(Tag(0x5F37), &ok.euicc_signature1, &mut covered);
        let request = PrepareDownloadRequest {
            smdp_signature2: self.dp.pb.key.sign(&covered).as_bytes().to_vec(),
            smdp_signed2: signed,
            hash_cc: None,
            smdp_certificate: CertificateDer(self.dp.pb.certificate.der().to_vec()),
        };
        Some(request.to_der())
    }

    /// Binds the package to the one-time key of the card. Returns the pieces in which an LPA
    /// sends it.
    pub(crate) fn bind(
        &self,
        random: &Random,
        eid: Eid,
        answer: &[u8],
        iccid: Iccid,
        package: &[u8],
    ) -> Option<Vec<Vec<u8>>> {
        let Ok(PrepareDownloadResponse::DownloadResponseOk(ok)) = PrepareDownloadResponse::from_der(answer)
        else {
            return None;
        };
        let curve = self.dp.pb.certificate.curve();
        let mut fill = |octets: &mut [u8]| random.0.fill(octets);
        let secret = SecretKey::generate(curve, &mut fill);
        let euicc_otpk = &ok.euicc_signed2.euicc_otpk;
        let shared = secret.agree(&PublicKey::from_sec1(curve, euicc_otpk).unwrap()).unwrap();
        let host_id = vec![0x80; 8];
        let mut bsp = BppSender::new(SessionKeys::derive(&shared, 0x88, 0x10, &host_id, &eid.0));
        let mut request = InitialiseSecureChannelRequest {
            remote_op_id: 1,
            transaction_id: self.transaction_id.clone(),
            control_ref_template: ControlRefTemplate { key_type: [0x88], key_len: [0x10], host_id },
            smdp_otpk: secret.public_key().to_sec1().to_vec(),
            smdp_sign: vec![],
        };
        request.smdp_sign = self.dp.pb.key.sign(&request.signed_octets(euicc_otpk)).as_bytes().to_vec();
        let configure = ConfigureIsdpRequest { dp_proprietary_data: None };
        let first = bsp.segments(0x87, &configure.to_der());
        let metadata = bsp.mac_only_segments(0x88, &metadata(iccid).to_der());
        let second = random.chance(50).then(|| {
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
        let bound = BoundProfilePackage {
            initialise_secure_channel_request: Raw::new(request),
            first_sequence_of87: Segments(first),
            sequence_of88: Segments(metadata),
            second_sequence_of87: second,
            sequence_of86: Segments(bsp.segments(0x86, package)),
        };
        Some(store_data_segments(&bound.to_der()).unwrap())
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
        profile_name: "Fuzz".to_owned(),
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
