//! ES1.RegisterEIS: SGP.02 section 5.2, and the visibility of an EIS.

use certs::m2m::CardDefect;
use rsp::sgp02::{
    BaseRequest, Namespace, Octets, Response as _,
    eis::{AdditionalProperties, Eis, ProfileState, Property},
    es1, es3, es4,
    signature::{Canonical, SignatureError},
};
use rsp_server::soap::eum;
use world::Tx;

use super::testbed::{
    BOOTSTRAP, EUM, OPERATOR, OTHER_OPERATOR, OTHER_SM_DP, SM_DP, SM_SR, Testbed, UNKNOWN_PEER, codes, eid,
    isd_r_of, response_message, scp80_set, scp81_set,
};
use crate::records::{CARDS, Keys, PeerRole};

async fn register(testbed: &Testbed, from: &str, eis: Eis) -> es1::RegisterEisResponse {
    response_message(&testbed.call::<es1::RegisterEis>(from, testbed.register_request(eis)).await)
}

#[tokio::test]
async fn registering_a_card_decrypts_its_keys() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let card = Tx::begin(testbed.records()).get(&CARDS, &eid().to_string()).await.unwrap().unwrap();
    let Keys::Scp80 { kic, kid, dek, counter } = &card.scp80().unwrap().keys else { panic!() };
    assert_eq!(
        (kic.expose(), kid.expose(), dek.expose()),
        (&[0x11; 16][..], &[0x12; 16][..], &[0x13; 16][..])
    );
    assert_eq!(*counter, 7);
    assert!(matches!(&card.scp81().unwrap().keys, Keys::Scp81 { psk, .. } if psk.expose() == [0x40; 16]));
    // The EIS contains no keys, and no debug output shows them.
    let eis = serde_json::to_string(&card.eis).unwrap();
    assert!(!eis.contains(&"11".repeat(16)));
    assert!(!format!("{card:?}").contains(&"11".repeat(16)));
    assert!(format!("{card:?}").contains("Key(Secret(..))"));
}

#[tokio::test]
async fn registering_in_the_other_namespace_keeps_the_signed_data() {
    let testbed = Testbed::with_namespace(Namespace::V1).await;
    testbed.register().await;
    let request = es3::GetEisRequest { base: BaseRequest::new("1"), eid: eid() };
    let response: es3::GetEisResponse = response_message(&testbed.call::<es3::GetEis>(SM_DP, request).await);
    let shown = response.eis.unwrap();
    let eum = testbed.pki.credential(certs::Role::Eum, crypto::Curve::P256).unwrap();
    eum::check(&shown, eum.certificate.public_key()).unwrap();
}

#[tokio::test]
async fn registration_requires_the_eum_that_signed_the_eis() {
    let testbed = Testbed::new().await;
    // req: SGP.02-5.2-Requester
    let response = register(&testbed, SM_DP, testbed.eis()).await;
    assert_eq!(codes(&response), ("1.1".into(), "1.2".into()));
    // The caller is not the EUM of the card.
    testbed.add_peer("another EUM", PeerRole::Eum { transport_key: None }, false).await;
    // req: SGP.02-5.2-OtherEum
    let response = register(&testbed, "another EUM", testbed.eis()).await;
    assert_eq!(codes(&response), ("8.1.2".into(), "6.1".into()));
    // The caller is unknown.
    let response =
        testbed.call::<es1::RegisterEis>(UNKNOWN_PEER, testbed.register_request(testbed.eis())).await;
    assert_eq!(response.status(), http::StatusCode::FORBIDDEN);
    assert!(testbed.server().cards().await.unwrap().is_empty());
}

// req: SGP.02-5.2-EidInUse
#[tokio::test]
async fn a_card_can_be_registered_only_once() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let response = register(&testbed, EUM, testbed.eis()).await;
    assert_eq!(codes(&response), ("8.1.1".into(), "3.3".into()));
}

// req: SGP.02-5.2-EumSignature
#[tokio::test]
async fn an_eis_without_a_valid_signature_of_the_eum_is_refused() {
    let testbed = Testbed::new().await;
    // The data was changed after it was signed.
    let mut eis = testbed.eis();
    let mut info = testbed.signed_info();
    info.platform_type = "better".to_owned();
    eis.eum_signed_info = Canonical::eum_signed_info(info, testbed.namespace);
    let refused = register(&testbed, EUM, eis).await;
    assert_eq!(codes(&refused), ("8.1.2".into(), "6.1".into()));
    let reason = refused.base.function_execution_status.to_string();
    assert!(reason.contains(&SignatureError::Digest.to_string()), "{reason}");
    // A signature with the key and certificate of a party that is not an EUM.
    let mut eis = testbed.eis();
    let other = testbed.credential(OPERATOR);
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &other.key, Some(other.certificate.der()));
    assert_eq!(codes(&register(&testbed, EUM, eis).await), ("8.1.2".into(), "6.1".into()));
    // The signature contains no certificate.
    let mut eis = testbed.eis();
    let key = testbed.pki.credential(certs::Role::Eum, crypto::Curve::P256).unwrap().key;
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &key, None);
    assert_eq!(codes(&register(&testbed, EUM, eis).await), ("8.1.2".into(), "6.1".into()));
}

// req: SGP.02-5.2-EcasdCertificate
#[tokio::test]
async fn the_certificate_of_the_ecasd_must_be_valid_and_issued_by_the_eum() {
    let testbed = Testbed::new().await;
    let eum_key = testbed.pki.credential(certs::Role::Eum, crypto::Curve::P256).unwrap();
    let with = |certificate: Option<Vec<u8>>| {
        let mut info = testbed.signed_info();
        let set = &mut info.ecasd.keyset[0];
        match certificate {
            Some(certificate) => set.certificate[0].value = Octets(certificate),
            None => set.certificate.clear(),
        }
        let mut eis = testbed.eis();
        eis.eum_signed_info = Canonical::eum_signed_info(info, testbed.namespace);
        eis.eum_signature = eum::sign(&eis.eum_signed_info, &eum_key.key, Some(eum_key.certificate.der()));
        eis
    };
    let of = |defect| testbed.pki.ecasd_with(defect, eid()).unwrap().0;
    for defect in CardDefect::ALL {
        let reason = if defect == CardDefect::Expired { "6.3" } else { "6.1" };
        let codes = codes(&register(&testbed, EUM, with(Some(of(defect)))).await);
        assert_eq!(codes, ("8.5.2".into(), reason.into()), "{defect:?}");
    }
    // The ECASD has the certificate of another card.
    let other = testbed.pki.ecasd(testbed.pki.eids(crypto::Curve::P256)[1]).unwrap();
    for bad in [other.certificate.octets().to_vec(), vec![]] {
        assert_eq!(codes(&register(&testbed, EUM, with(Some(bad))).await), ("8.5.2".into(), "6.1".into()));
    }
    assert_eq!(codes(&register(&testbed, EUM, with(None)).await), ("8.6".into(), "2.1".into()));
}

// req: SGP.02-5.2-Eis
#[tokio::test]
async fn an_inconsistent_eis_is_refused() {
    let testbed = Testbed::new().await;
    type Defect = fn(&mut Eis);
    let broken: [(&str, Defect); 9] = [
        ("no ISD-R", |eis| eis.isd_r = None),
        ("no SCP80", |eis| eis.isd_r = Some(isd_r_of(&[scp81_set(0x40)]))),
        ("no DEK", |eis| drop(eis.isd_r.as_mut().unwrap().keyset[0].key.pop())),
        ("a wrong check value", |eis| eis.isd_r.as_mut().unwrap().keyset[0].key[0].kcv = Octets(vec![0; 3])),
        ("half a key", |eis| {
            eis.isd_r.as_mut().unwrap().keyset[0].key[0].key_components[0].value = Octets(vec![0; 8]);
        }),
        ("a key of triple DES", |eis| {
            eis.isd_r.as_mut().unwrap().keyset[0].key[0].key_components[0].r#type = 0x82;
        }),
        ("a profile twice", |eis| eis.profile_info.push(eis.profile_info[0].clone())),
        ("two enabled", |eis| {
            let mut other = eis.profile_info[0].clone();
            (other.iccid, other.isd_p_aid) = (super::testbed::iccid(9), super::testbed::isd_p(9));
            other.fallback_attribute = false;
            eis.profile_info.push(other);
        }),
        ("two fall-backs", |eis| {
            let mut other = eis.profile_info[0].clone();
            (other.iccid, other.isd_p_aid) = (super::testbed::iccid(9), super::testbed::isd_p(9));
            other.state = ProfileState::Disabled;
            eis.profile_info.push(other);
        }),
    ];
    for (what, defect) in broken {
        let mut eis = testbed.eis();
        defect(&mut eis);
        assert_eq!(codes(&register(&testbed, EUM, eis).await), ("8.6".into(), "2.1".into()), "{what}");
    }
    let mut eis = testbed.eis();
    eis.smsr_id = testbed.id(OPERATOR);
    // req: SGP.02-5.2-SmSr
    assert_eq!(codes(&register(&testbed, EUM, eis).await), ("8.7".into(), "3.8".into()));
    // Key sets of other kinds are ignored.
    let mut eis = testbed.eis();
    eis.isd_r = Some(isd_r_of(&[scp80_set(1), rsp::sgp02::eis::Keyset { r#type: None, ..scp80_set(0x30) }]));
    assert!(register(&testbed, EUM, eis).await.base.is_done());
}

// req: SGP.02-5.2-Properties
#[tokio::test]
async fn the_eum_can_update_additional_properties() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let properties = AdditionalProperties {
        property: vec![Property { key: "colour".to_owned(), value: "blue".to_owned() }],
    };
    let request = es1::UpdateEisAdditionalPropertiesRequest {
        base: BaseRequest::new(""),
        eid: eid(),
        additional_properties: properties.clone(),
    };
    let response = testbed.call::<es1::UpdateEisAdditionalProperties>(EUM, request.clone()).await;
    assert!(response_message::<es1::UpdateEisAdditionalPropertiesResponse>(&response).base.is_done());
    assert_eq!(testbed.server().eis(eid()).await.unwrap().unwrap().additional_properties, Some(properties));
    testbed.add_peer("another EUM", PeerRole::Eum { transport_key: None }, false).await;
    let response = testbed.call::<es1::UpdateEisAdditionalProperties>("another EUM", request).await;
    let response: es1::UpdateEisAdditionalPropertiesResponse = response_message(&response);
    assert_eq!(codes(&response), ("8.1.1".into(), "1.2".into()));
}

// req: SGP.02-E-Profiles
#[tokio::test]
async fn every_caller_sees_its_own_profiles() {
    let testbed = Testbed::new().await;
    testbed
        .register_with([
            testbed.profile(2, OPERATOR, ProfileState::Disabled, false),
            testbed.profile(3, OTHER_OPERATOR, ProfileState::Disabled, false),
        ])
        .await;
    let numbers = |eis: &Eis| eis.profile_info.iter().map(|profile| profile.iccid).collect::<Vec<_>>();
    let es3 = |peer_name: &'static str| {
        let testbed = &testbed;
        async move {
            let request = es3::GetEisRequest { base: BaseRequest::new(""), eid: eid() };
            response_message::<es3::GetEisResponse>(&testbed.call::<es3::GetEis>(peer_name, request).await)
        }
    };
    let es4 = |peer_name: &'static str| {
        let testbed = &testbed;
        async move {
            let request = es4::GetEisRequest { base: BaseRequest::new(""), eid: eid() };
            response_message::<es4::GetEisResponse>(&testbed.call::<es4::GetEis>(peer_name, request).await)
        }
    };
    use super::testbed::iccid;
    let eis = es3(SM_DP).await.eis.unwrap();
    assert_eq!(numbers(&eis), [iccid(2), iccid(3)]);
    let sets = eis.isd_r.unwrap().keyset;
    assert!(sets.iter().all(|set| set.cntr.is_none()));
    let mut keys = sets.iter().flat_map(|set| &set.key);
    assert!(keys.all(|key| key.kcv.0.is_empty() && key.key_components[0].value.0.is_empty()));
    assert_eq!(eis.audit_trail, None);
    assert_eq!(eis.smsr_id, testbed.id(SM_SR));
    assert!(numbers(&es3(OTHER_SM_DP).await.eis.unwrap()).is_empty());
    assert_eq!(numbers(&es4(OPERATOR).await.eis.unwrap()), [iccid(BOOTSTRAP), iccid(2)]);
    assert_eq!(numbers(&es4(OTHER_OPERATOR).await.eis.unwrap()), [iccid(3)]);
    // Every caller can verify the data that the EUM signed.
    let eum = testbed.pki.credential(certs::Role::Eum, crypto::Curve::P256).unwrap();
    eum::check(&es4(OPERATOR).await.eis.unwrap(), eum.certificate.public_key()).unwrap();
    // Each role can only use its own interface.
    assert_eq!(codes(&es3(OPERATOR).await), ("1.1".into(), "1.2".into()));
    assert_eq!(codes(&es4(SM_DP).await), ("1.1".into(), "1.2".into()));
}

#[tokio::test]
async fn an_unmanaged_card_is_unknown() {
    let testbed = Testbed::new().await;
    let request = es3::GetEisRequest { base: BaseRequest::new(""), eid: eid() };
    let response: es3::GetEisResponse = response_message(&testbed.call::<es3::GetEis>(SM_DP, request).await);
    assert_eq!(codes(&response), ("8.1.1".into(), "3.9".into()));
    assert!(response.base().function_execution_status.status_code_data.clone().unwrap().message.is_some());
}
