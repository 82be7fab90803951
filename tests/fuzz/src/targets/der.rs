//! DER: every message of ES10, the messages of ES8+ and ES9+, and traces of them.

use std::fmt::Debug;

use rsp::der::Asn1;
use rsp::sgp22::es8plus::{BoundProfilePackage, ProfileInstallationResult, StoreMetadataRequest};
use rsp::sgp22::es9plus::{
    AuthenticateClientRequest, GetBoundProfilePackageRequest, HandleNotificationRequest,
    InitiateAuthenticationRequest,
};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, PrepareDownloadResponse,
    RetrieveNotificationsListResponse,
};
use rsp::sgp22::es10c::ProfileInfoListResponse;
use rsp::sgp22::{EuiccInfo1, EuiccInfo2, PendingNotification};

pub(crate) fn run(octets: &[u8]) -> bool {
    // Shows every function of the ISD-R as request and as response.
    let elements = trace::es10::elements(octets);
    for element in &elements {
        let _ = trace::details(&[("content".to_owned(), element.content.clone())]);
    }
    let read = [
        stable::<InitiateAuthenticationRequest>(octets),
        stable::<AuthenticateClientRequest>(octets),
        stable::<GetBoundProfilePackageRequest>(octets),
        stable::<HandleNotificationRequest>(octets),
        stable::<AuthenticateServerRequest>(octets),
        stable::<AuthenticateServerResponse>(octets),
        stable::<PrepareDownloadResponse>(octets),
        stable::<RetrieveNotificationsListResponse>(octets),
        stable::<ProfileInfoListResponse>(octets),
        stable::<EuiccInfo1>(octets),
        stable::<EuiccInfo2>(octets),
        stable::<PendingNotification>(octets),
        stable::<ProfileInstallationResult>(octets),
        stable::<StoreMetadataRequest>(octets),
        stable::<BoundProfilePackage>(octets),
        stable::<profile::EuiccResponse>(octets),
    ];
    read.contains(&true)
}

/// Decodes a value, and checks that its encoding is decoded to the same value.
fn stable<T: Asn1 + PartialEq + Debug>(octets: &[u8]) -> bool {
    let Ok(value) = T::from_der(octets) else { return false };
    let again = T::from_der(&value.to_der());
    assert_eq!(again.as_ref(), Ok(&value), "decoded again");
    true
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let digits = [
        // EUICCResponse, the error of a list of profiles, and the same list with one profile.
        "300CA008300680010581010C8100",
        "BF2D03810101",
        "BF2D14A012E3105A0A989209012143658709F19F700101",
    ];
    digits.iter().filter_map(|digits| hex::decode(digits).ok()).chain(built()).collect()
}

/// Samples that the encoders build.
fn built() -> Vec<Vec<u8>> {
    use rsp::ids::{SubjectKeyIdentifier, Version};
    let ci = || vec![SubjectKeyIdentifier(vec![0x5A; 20])];
    let info = EuiccInfo1 {
        svn: Version([2, 6, 0]),
        euicc_ci_pk_id_list_for_verification: ci(),
        euicc_ci_pk_id_list_for_signing: ci(),
    };
    let initiate = InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: "smdp.example.com".to_owned(),
        euicc_info1: info.clone(),
    };
    let metadata = StoreMetadataRequest {
        iccid: "8929901012345678901".parse().unwrap_or(rsp::ids::Iccid([0x98; 10])),
        service_provider_name: "Example".to_owned(),
        profile_name: "Fuzz".to_owned(),
        icon_type: None,
        icon: None,
        profile_class: None,
        notification_configuration_info: None,
        profile_owner: None,
        profile_policy_rules: None,
        ecall_indication: None,
        fallback_allowed: None,
    };
    vec![info.to_der(), initiate.to_der(), metadata.to_der()]
}
