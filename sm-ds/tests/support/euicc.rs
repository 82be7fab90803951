//! A well-behaved eUICC and its LPA. Each message is first a value that a test can change; then it
//! is signed and sent.

use certs::EuiccCredentials;
use crypto::SecretKey;
use rsp::der::{BitString, Raw};
use rsp::ids::{CertificateDer, Eid, TransactionId, Version};
use rsp::sgp22::Function;
use rsp::sgp22::es10b::{AuthenticateResponseOk, AuthenticateServerResponse};
use rsp::sgp22::es11::{
    AuthenticateClient, AuthenticateClientOk, AuthenticateClientRequest, InitiateAuthentication,
    InitiateAuthenticationOk, InitiateAuthenticationRequest,
};
use rsp::sgp22::json::{self, Answer};
use rsp::sgp22::{CtxParams1, DeviceCapabilities, DeviceInfo, EuiccInfo1, EuiccInfo2, EuiccSigned1};
use serde::{Serialize, de::DeserializeOwned};
use sm_ds::SmDs;
use world::{Random, SeededRandom};

use super::{ADDRESS, Expect, VERSION};

pub(crate) struct Euicc {
    pub(crate) credentials: EuiccCredentials,
    pub(crate) eid: Eid,
    info2: EuiccInfo2,
    random: SeededRandom,
}

/// euiccSigned1 and the certificates sent with it, to be signed by [`Proof::request`].
pub(crate) struct Proof {
    pub(crate) outer: TransactionId,
    pub(crate) signed: EuiccSigned1,
    pub(crate) euicc_certificate: Vec<u8>,
    pub(crate) eum_certificate: Vec<u8>,
    pub(crate) key: SecretKey,
    pub(crate) spoil_signature: bool,
}

impl Euicc {
    pub(crate) fn new(credentials: EuiccCredentials, random: SeededRandom) -> Self {
        let cis = vec![credentials.ci.subject_key_id().unwrap().clone()];
        let info2 = EuiccInfo2 {
            profile_version: Version([2, 3, 1]),
            svn: Version([2, 2, 1]),
            euicc_firmware_ver: Version([1, 0, 0]),
            ext_card_resource: vec![0x81, 1, 0, 0x82, 3, 8, 0, 0, 0x83, 2, 0x20, 0],
            uicc_capability: BitString::of(&[]),
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
        };
        Self { eid: credentials.eid, info2, credentials, random }
    }

    pub(crate) fn initiation(&self) -> InitiateAuthenticationRequest {
        let mut euicc_challenge = [0; 16];
        self.random.fill(&mut euicc_challenge);
        InitiateAuthenticationRequest {
            euicc_challenge,
            smds_address: ADDRESS.to_owned(),
            euicc_info1: EuiccInfo1 {
                svn: self.info2.svn,
                euicc_ci_pk_id_list_for_verification: self.info2.euicc_ci_pk_id_list_for_verification.clone(),
                euicc_ci_pk_id_list_for_signing: self.info2.euicc_ci_pk_id_list_for_signing.clone(),
            },
        }
    }

    pub(crate) async fn initiate(&self, server: &SmDs) -> InitiateAuthenticationOk {
        call::<InitiateAuthentication>(server, &self.initiation()).await.done()
    }

    pub(crate) fn proof(&self, ok: &InitiateAuthenticationOk, event_id: Option<&str>) -> Proof {
        Proof {
            outer: ok.transaction_id.clone(),
            signed: EuiccSigned1 {
                transaction_id: ok.transaction_id.clone(),
                server_address: ok.server_signed1.server_address.clone(),
                server_challenge: ok.server_signed1.server_challenge,
                euicc_info2: Raw::new(self.info2.clone()),
                ctx_params1: Raw::new(CtxParams1::download(
                    event_id.map(str::to_owned),
                    DeviceInfo {
                        tac: [0x53, 0x92, 0x60, 0x11],
                        device_capabilities: DeviceCapabilities::default(),
                        imei: None,
                    },
                )),
            },
            euicc_certificate: self.credentials.euicc.certificate.der().to_vec(),
            eum_certificate: self.credentials.eum.der().to_vec(),
            key: self.credentials.euicc.key.clone(),
            spoil_signature: false,
        }
    }

    /// Calls InitiateAuthentication and AuthenticateClient.
    pub(crate) async fn ask(&self, server: &SmDs, event_id: Option<&str>) -> Answer<AuthenticateClientOk> {
        let ok = self.initiate(server).await;
        call::<AuthenticateClient>(server, &self.proof(&ok, event_id).request()).await
    }

    /// Returns the IDs of the events that the server returns.
    pub(crate) async fn events(&self, server: &SmDs, event_id: Option<&str>) -> Vec<String> {
        let ok = self.ask(server, event_id).await.done();
        ok.event_entries.into_iter().map(|entry| entry.event_id).collect()
    }
}

impl Proof {
    pub(crate) fn request(&self) -> AuthenticateClientRequest {
        let signed = Raw::new(self.signed.clone());
        let mut signature = self.key.sign(signed.bytes()).as_bytes().to_vec();
        if self.spoil_signature {
            signature[40] ^= 1;
        }
        AuthenticateClientRequest {
            transaction_id: self.outer.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseOk(Box::new(
                AuthenticateResponseOk {
                    euicc_signature1: signature,
                    euicc_signed1: signed,
                    euicc_certificate: CertificateDer(self.euicc_certificate.clone()),
                    eum_certificate: CertificateDer(self.eum_certificate.clone()),
                },
            )),
        }
    }
}

/// Calls a function of ES11 at the path of ES9+, as most LPAs do.
pub(crate) async fn call<F: Function>(server: &SmDs, request: &F::Request) -> Answer<F::Reply>
where
    F::Request: Serialize,
    F::Reply: DeserializeOwned,
{
    let response = server.handle(json::request(&F::path(), VERSION, request)).await;
    json::answer(&response).unwrap()
}
