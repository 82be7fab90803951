//! Tests of the EUM's signature on an EIS.

use certs::{Certificate, Pki, PkiOptions, Role};
use crypto::Curve;
use rsp::{
    ids::{Aid, Version},
    sgp02::{
        Message, Namespace, Octets,
        eis::{Eis, EuiccCapabilities, EumSignedInfo, SdRole, SecurityDomain},
        es1::RegisterEisRequest,
        signature::{Canonical, SignatureError},
    },
};
use rsp_server::soap::eum;

use crate::testbed::{START, eid, pki};

fn eis(namespace: Namespace) -> Eis {
    let eum = pki().credential(Role::Eum, Curve::P256).unwrap();
    let info = EumSignedInfo {
        eid: eid(),
        eum_id: "2.999.2".parse().unwrap(),
        production_date: START.parse().unwrap(),
        platform_type: "Landfall & \"co\" <1>\r\n\tü".to_owned(),
        platform_version: Version([1, 0, 0]),
        isd_p_loadfile_aid: Aid::isd_p(0x0D),
        isd_p_module_aid: Aid::isd_p(0x0E),
        ecasd: SecurityDomain {
            aid: Aid(Aid::ECASD.to_vec()),
            tar: Vec::new(),
            sin: Octets(vec![1]),
            sdin: Octets(vec![2]),
            role: SdRole::Ecasd,
            keyset: Vec::new(),
        },
        euicc_capabilities: EuiccCapabilities {
            cattp_support: false,
            cattp_version: None,
            http_support: true,
            http_version: None,
            secure_packet_version: Version([12, 0, 0]),
            remote_provisioning_version: Version([4, 2, 0]),
        },
    };
    let eum_signed_info = Canonical::eum_signed_info(info, namespace);
    let eum_signature = eum::sign(&eum_signed_info, &eum.key, Some(eum.certificate.der()));
    Eis {
        eum_signed_info,
        eum_signature,
        remaining_memory: 1,
        available_memory_for_profiles: 1,
        last_audit_date: None,
        smsr_id: "2.999.20".parse().unwrap(),
        profile_info: Vec::new(),
        isd_r: None,
        audit_trail: None,
        additional_properties: None,
    }
}

// req: SGP.02-5.1.1.3-Digest
#[test]
fn a_signature_survives_transport_and_does_not_verify_altered_data() {
    let eum = pki().credential(Role::Eum, Curve::P256).unwrap();
    let key = eum.certificate.public_key();
    for namespace in Namespace::ALL {
        let request = RegisterEisRequest { base: rsp::sgp02::BaseRequest::new("1"), eis: eis(namespace) };
        let text = request.to_xml(namespace);
        if let Some(folder) = std::env::var_os("LANDFALL_KEEP_SIGNED") {
            // The signed EIS is kept for verification with third-party XML signature software.
            let folder = std::path::PathBuf::from(folder);
            std::fs::write(folder.join(format!("{namespace:?}.xml")), &text).unwrap();
            std::fs::write(folder.join("eum.der"), eum.certificate.der()).unwrap();
        }
        let (_, received) = RegisterEisRequest::from_xml(&text).unwrap();
        assert_eq!(eum::check(&received.eis, key), Ok(()));
        assert_eq!(received.eis.eum_signature.certificates(), [eum.certificate.der().to_vec()]);

        let (_, altered) = RegisterEisRequest::from_xml(&text.replace("12.0.0", "12.0.1")).unwrap();
        assert_eq!(eum::check(&altered.eis, key), Err(SignatureError::Digest));
        let other = pki().credential(Role::Ci, Curve::P256).unwrap();
        let wrong_key = eum::check(&received.eis, other.certificate.public_key());
        assert!(matches!(wrong_key, Err(SignatureError::Value(_))), "{wrong_key:?}");
        let (_, weaker) = RegisterEisRequest::from_xml(&text.replace("ecdsa-sha256", "ecdsa-sha1")).unwrap();
        assert!(matches!(eum::check(&weaker.eis, key), Err(SignatureError::Unsupported { .. })));
    }
}

#[test]
fn the_reason_why_the_signer_is_not_trusted_precedes_that_of_certificates_that_have_not_signed() {
    let signer = pki().credential(Role::Eum, Curve::P256).unwrap();
    let other = pki().credential(Role::Ci, Curve::P256).unwrap().certificate;
    let mut eis = eis(Namespace::V3);
    eis.eum_signature = eum::sign(&eis.eum_signed_info, &signer.key, None);
    let anchors = Pki::from_seed(b"another PKI", &PkiOptions::default()).unwrap().anchors().unwrap();
    let reason = |known: &[Certificate]| {
        eum::check_eis(&eis, &anchors, known, START.parse().unwrap()).unwrap_err().message
    };
    let from_ref = std::slice::from_ref;
    let (none, untrusted, not_signed) =
        (reason(&[]), reason(from_ref(&signer.certificate)), reason(from_ref(&other)));
    assert!(none != untrusted && none != not_signed && untrusted != not_signed);
    assert_eq!(reason(&[signer.certificate.clone(), other.clone()]), untrusted);
    assert_eq!(reason(&[other, signer.certificate.clone()]), untrusted);
}
