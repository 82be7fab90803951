//! The additions of SGP.22 v3 to the types of v2: messages that pycrate 0.8.1 (Python) encoded from
//! the ASN.1 of SGP.22 v3.1, with made-up values. Known elements are decoded, unknown ones are
//! skipped, and every octet is kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use rsp::{
    der::{Asn1, BitString, Raw},
    sgp22::{CtxParams1, EuiccInfo1, MatchingIdSource, operation_type},
};

/// All elements of v3: vendorSpecificExtension, and DeviceInfo with languages, test mode and
/// capabilities.
const COMMON_AUTHENTICATION: &str = concat!(
    "a04c8003412d31a12c800435290611a1138b030301008c0205a08d0101ae058003010000a3080c02656e0c0264658400",
    "850306c040820206c05a0a98001032547698103214a305820388370fa400",
);
const DEVICE_CHANGE: &str = concat!(
    "a13a5a0a98001032547698103214a12c800435290611a1138b030301008c0205a08d0101ae058003010000a3080c0265",
    "6e0c0264658400850306c040",
);
/// EUICCInfo1 with euiccCiPKIdListForSigningV3, euiccRspCapability and highestSvn.
const EUICC_INFO1: &str = concat!(
    "bf20598203020202a91604141111111111111111111111111111111111111111aa160414111111111111111111111111",
    "1111111111111111b11604142222222222222222222222222222222222222222880507000000809303030100",
);

#[test]
fn the_parameters_of_a_v3_download_decode() {
    let octets = hex::decode(COMMON_AUTHENTICATION).unwrap();
    let params = Raw::<CtxParams1>::from_der(&octets).unwrap();
    assert_eq!(params.bytes(), octets);
    let CtxParams1::CtxParamsForCommonAuthentication(params) = &*params else {
        panic!("another alternative")
    };
    assert_eq!(params.matching_id.as_deref(), Some("A-1"));
    assert_eq!(params.device_info.tac, [0x35, 0x29, 0x06, 0x11]);
    assert_eq!(params.device_info.device_capabilities.lpa_svn.unwrap().to_string(), "3.1.0");
    let both = BitString::of(&[operation_type::PROFILE_DOWNLOAD, operation_type::RPM]);
    assert_eq!(params.operation_type, Some(both));
    assert_eq!(params.iccid.unwrap().to_string(), "89000123456789012341");
    assert_eq!(params.matching_id_source, Some(MatchingIdSource::SmdsOid("2.999.15".parse().unwrap())));
}

#[test]
fn other_v3_context_parameters_are_distinguished_from_a_download() {
    let params = CtxParams1::from_der(&hex::decode(DEVICE_CHANGE).unwrap()).unwrap();
    assert!(matches!(params, CtxParams1::CtxParamsForDeviceChange(_)), "{params:?}");
    assert_eq!(hex::encode(params.to_der()), DEVICE_CHANGE);
}

#[test]
fn euicc_info1_of_v3_decodes_as_that_of_v2_and_keeps_all_octets() {
    let octets = hex::decode(EUICC_INFO1).unwrap();
    let info = Raw::<EuiccInfo1>::from_der(&octets).unwrap();
    assert_eq!((info.svn.to_string(), info.euicc_ci_pk_id_list_for_signing.len()), ("2.2.2".to_owned(), 1));
    assert_eq!(info.to_der(), octets);
}
