//! The functions of ES10a, ES10b and ES10c: SGP.22 section 5.7.

use crypto::{Curve, Signature};
use rsp::der::{Asn1, BitString, List, Raw, Tag, tlv, tlv_bytes};
use rsp::finding::FindingKind;
use rsp::ids::{Aid, Iccid, TransactionId, Version};
use rsp::sgp22::es10b::{
    AuthenticateServerResponse, CancelSessionError, CancelSessionRequest, CancelSessionResponse,
    EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse, GetEuiccInfo1Request,
    GetEuiccInfo2Request, SetDefaultDpAddressRequest, SetDefaultDpAddressResponse, SetDefaultDpAddressResult,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DeleteResult, DisableProfileRequest, DisableProfileResponse,
    DisableResult, EnableProfileRequest, EnableProfileResponse, EnableResult, EuiccMemoryResetRequest,
    EuiccMemoryResetResponse, ProfileInfo, ProfileInfoListRequest, ProfileInfoListResponse, ProfileSearch,
    RefreshFlag, ResetResult, SetNicknameRequest, SetNicknameResponse, SetNicknameResult,
};
use rsp::sgp22::{
    CancelSessionReason, CtxParams1, EuiccInfo1, EuiccInfo2, IconType, OperatorId, ProfileClass,
    ProfileIdentifier, ProfileState, ppr, rsp_capability, tre_properties,
};
use world::RamMemory;

use super::download::ICCID;
use super::mutual_authentication::challenge;
use super::profiles::REFRESHES;
use super::server::{Server, TestPackage, outcome};
use super::testbed::{Testbed, pki};
use crate::{CardDescription, Preset};

const OTHER: &str = "8900012345678901242";
const THIRD: &str = "8900012345678901259";
const FOURTH: &str = "8900012345678901267";

fn install(testbed: &mut Testbed, test_package: &TestPackage) {
    let result = Server::new(testbed, Curve::P256).download(testbed, test_package);
    assert_eq!(outcome(&result), Ok(()));
}

fn of_class(iccid: &str, class: ProfileClass) -> TestPackage {
    let mut test_package = TestPackage::small(iccid);
    test_package.metadata.profile_class = Some(class);
    test_package
}

/// A package with these policy rules, which the RAT allows for every owner.
fn with_rules(iccid: &str, rules: &[usize]) -> TestPackage {
    let mut test_package = TestPackage::small(iccid);
    test_package.metadata.profile_policy_rules = Some(BitString::of(rules));
    test_package.metadata.profile_owner = Some(owner());
    test_package
}

fn owner() -> OperatorId {
    OperatorId { mcc_mnc: [0x00, 0xF1, 0x10], gid1: Some(vec![1]), gid2: None }
}

fn found(testbed: &mut Testbed, search: Option<ProfileSearch>, tags: Option<&[u8]>) -> Vec<ProfileInfo> {
    let request = ProfileInfoListRequest { search_criteria: search, tag_list: tags.map(<[u8]>::to_vec) };
    match testbed.call(&request) {
        ProfileInfoListResponse::ProfileInfoListOk(list) => list.0,
        ProfileInfoListResponse::ProfileInfoListError(code) => panic!("error {code}"),
    }
}

fn iccids(list: &[ProfileInfo]) -> Vec<String> {
    list.iter().map(|profile| profile.iccid.unwrap().to_string()).collect()
}

// req: SGP.22-5.7.15-Search
#[test]
fn profiles_are_found_by_iccid_aid_and_class() {
    let mut testbed = Testbed::new();
    install(&mut testbed, &TestPackage::small(ICCID));
    install(&mut testbed, &of_class(OTHER, ProfileClass::TEST));
    let aid = testbed.profiles()[1].isdp_aid.clone().unwrap();
    let by = |testbed: &mut Testbed, search| iccids(&found(testbed, Some(search), None));
    assert_eq!(by(&mut testbed, ProfileSearch::Iccid(ICCID.parse().unwrap())), [ICCID]);
    assert_eq!(by(&mut testbed, ProfileSearch::IsdpAid(aid)), [OTHER]);
    assert_eq!(by(&mut testbed, ProfileSearch::ProfileClass(ProfileClass::OPERATIONAL)), [ICCID]);
    assert_eq!(by(&mut testbed, ProfileSearch::ProfileClass(ProfileClass::TEST)), [OTHER]);
    for nothing in [
        ProfileSearch::Iccid(THIRD.parse().unwrap()),
        ProfileSearch::IsdpAid(Aid::isd_p(0x99)),
        ProfileSearch::ProfileClass(ProfileClass::PROVISIONING),
    ] {
        assert!(by(&mut testbed, nothing).is_empty());
    }
    // The result is an empty list, not an error.
    assert_eq!(testbed.es10_text("BF2D05A003950101"), "BF2D02A000");
}

/// Later versions of the standard add elements, so that not even a strict card refuses them.
#[test]
fn a_strict_card_accepts_unknown_elements() {
    for strict in [false, true] {
        let mut testbed = Testbed::with(pki(), |card| card.strict = strict, RamMemory::default());
        assert!(testbed.es10_text("BF2E03 9F7F00").starts_with("BF2E12"), "strict: {strict}");
        let findings: Vec<_> = testbed.card.findings().iter().map(|found| found.kind).collect();
        assert_eq!(findings, [FindingKind::UnknownElement], "strict: {strict}");
    }
}

#[test]
fn a_tag_list_selects_exactly_its_elements() {
    let mut testbed = Testbed::new();
    let mut test_package = with_rules(ICCID, &[ppr::PPR1]);
    test_package.metadata.icon_type = Some(IconType::PNG);
    test_package.metadata.icon = Some(b"\x89PNG icon".to_vec());
    test_package.dp_oid = Some("2.999.10".parse().unwrap());
    install(&mut testbed, &test_package);
    let nickname = SetNicknameRequest { iccid: test_package.iccid(), profile_nickname: "My SIM".to_owned() };
    testbed.call::<SetNicknameResponse>(&nickname);

    let elements = |testbed: &mut Testbed, tags: &[u8]| {
        let request = tlv_bytes(Tag(0xBF2D), &tlv_bytes(Tag(0x5C), tags));
        let answer = testbed.es10(&request).unwrap();
        let (_, list) = tlv::split(&answer).unwrap();
        let (_, info) = tlv::split(list).unwrap();
        let (_, contents) = tlv::split(info).unwrap();
        let tags = tlv::each(contents).unwrap().into_iter().map(|each| tlv::split(each).unwrap().0);
        tags.collect::<Vec<_>>()
    };
    let all = [0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0xB6, 0xB7, 0xB8, 0x99].map(Tag);
    let mut every = Vec::new();
    for tag in all {
        let mut octets = Vec::new();
        tag.write(&mut octets);
        assert_eq!(elements(&mut testbed, &octets), [tag]);
        every.splice(0..0, octets);
    }
    // The response has the order of the standard, regardless of the tag list.
    assert_eq!(elements(&mut testbed, &every), all);
    // Without a tag list the response has the default elements of the standard.
    let answer = testbed.es10(&[0xBF, 0x2D, 0]).unwrap();
    let list = ProfileInfoListResponse::from_der(&answer).unwrap();
    assert_eq!(
        list,
        ProfileInfoListResponse::ProfileInfoListOk(List(found(
            &mut testbed,
            None,
            Some(&[0x5A, 0x4F, 0x9F, 0x70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95],)
        )))
    );
    // Tags of v3 and SGP.32 select nothing and do not affect the others.
    let later =
        [0xBA, 0x9B, 0xBC, 0xBD, 0x9F, 0x1F, 0xBF, 0x20, 0xBF, 0x22, 0x9F, 0x24, 0x9F, 0x25, 0x9F, 0x7B];
    assert_eq!(elements(&mut testbed, &later), []);
    assert_eq!(elements(&mut testbed, &[&later[..], &[0x5A]].concat()), [Tag(0x5A)]);
    // An incomplete tag is refused.
    assert_eq!(testbed.es10_text("BF2D045C025A9F"), "BF2D03810101");
    let info = &found(&mut testbed, None, Some(&[0xB7, 0xB8, 0x99]))[0];
    assert_eq!(info.profile_owner, Some(owner()));
    assert_eq!(info.dp_proprietary_data.as_ref().unwrap().dp_oid.to_string(), "2.999.10");
    assert_eq!(info.profile_policy_rules, Some(BitString::of(&[ppr::PPR1])));
}

#[test]
fn a_profile_is_identified_by_iccid_or_aid() {
    let mut testbed = Testbed::new();
    install(&mut testbed, &TestPackage::small(ICCID));
    let aid = testbed.profiles()[0].isdp_aid.clone().unwrap();
    let by_aid = || ProfileIdentifier::IsdpAid(aid.clone());
    let unknown = || ProfileIdentifier::IsdpAid(Aid::isd_p(0x77));
    let enable = |testbed: &mut Testbed, profile_identifier| {
        let request = EnableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(false) };
        testbed.call::<EnableProfileResponse>(&request).enable_result
    };
    let disable = |testbed: &mut Testbed, profile_identifier| {
        let request = DisableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(false) };
        testbed.call::<DisableProfileResponse>(&request).disable_result
    };
    let delete = |testbed: &mut Testbed, aid| {
        testbed.call::<DeleteProfileResponse>(&DeleteProfileRequest::IsdpAid(aid)).delete_result
    };
    // req: SGP.22-5.7.16-NotFound
    assert_eq!(enable(&mut testbed, unknown()), EnableResult::ICCID_OR_AID_NOT_FOUND);
    assert_eq!(enable(&mut testbed, by_aid()), EnableResult::OK);
    // req: SGP.22-5.7.17-NotFound
    assert_eq!(disable(&mut testbed, unknown()), DisableResult::ICCID_OR_AID_NOT_FOUND);
    assert_eq!(disable(&mut testbed, by_aid()), DisableResult::OK);
    // req: SGP.22-5.7.18-NotFound
    assert_eq!(delete(&mut testbed, Aid::isd_p(0x77)), DeleteResult::ICCID_OR_AID_NOT_FOUND);
    assert_eq!(delete(&mut testbed, aid.clone()), DeleteResult::OK);
    assert!(testbed.profiles().is_empty());
}

#[test]
fn every_octet_except_zero_sets_the_refresh_flag() {
    let mut testbed = Testbed::new();
    install(&mut testbed, &TestPackage::small(ICCID));
    let iccid = hex::encode(ICCID.parse::<Iccid>().unwrap().to_der());
    let request = |flag: &str| format!("BF31 11 A0 0C {iccid} 81 01 {flag}");
    assert_eq!(testbed.es10_text(&request("01")), "BF3103800100");
    assert_eq!(testbed.profiles()[0].profile_state, Some(ProfileState::DISABLED));
    testbed.reset();
    assert_eq!(testbed.profiles()[0].profile_state, Some(ProfileState::ENABLED));
    assert_eq!(testbed.disable(ICCID.parse().unwrap(), false), DisableResult::OK);
    assert_eq!(testbed.es10_text(&request("00")), "BF3103800100");
    assert_eq!(testbed.profiles()[0].profile_state, Some(ProfileState::ENABLED));
}

#[test]
fn get_eid_returns_only_the_eid() {
    let mut testbed = Testbed::new();
    let eid = testbed.card.eid();
    assert_eq!(testbed.es10_text("BF3E035C015A"), format!("BF3E125A10{}", hex::encode_upper(eid.0)));
    for request in ["BF3E035C014F", "BF3E045C025A4F", "BF3E025C00", "BF3E00"] {
        assert_eq!(testbed.es10_text(request), "6A80", "{request}");
    }
}

#[test]
fn functions_of_later_versions_and_of_other_standards_are_unknown() {
    let mut testbed = Testbed::new();
    // v3: LoadRpmPackage, VerifySmdsResponse, CheckEvent, AlertData, device change,
    // VerifySmdpResponse ..; SGP.32: GetEimConfigurationData, GetCerts ..; LPAe.
    for tag in
        ["BF44", "BF45", "BF46", "BF4A", "BF4B", "BF4C", "BF4D", "BF60", "BF63", "BF55", "BF56", "BF42"]
    {
        assert_eq!(testbed.es10_text(&format!("{tag}00")), "6A88", "{tag}");
    }
}

#[test]
fn euicc_info_has_the_values_of_the_description() {
    let info2 = |preset: Preset| {
        let mut testbed =
            Testbed::with(pki(), |card| card.capabilities = preset.capabilities(), RamMemory::default());
        let info1: EuiccInfo1 = testbed.call(&GetEuiccInfo1Request {});
        let info2: EuiccInfo2 = testbed.call(&GetEuiccInfo2Request {});
        assert_eq!(info1.svn, info2.svn);
        assert_eq!(info1.euicc_ci_pk_id_list_for_signing, info2.euicc_ci_pk_id_list_for_signing);
        // The preferred curve comes first.
        let cis = [Curve::P256, Curve::BrainpoolP256r1]
            .map(|curve| testbed.pki.ci(curve).unwrap().subject_key_id().unwrap().clone());
        assert_eq!(info1.euicc_ci_pk_id_list_for_verification, cis);
        info2
    };
    let plain = info2(Preset::V2_2);
    assert_eq!(plain.svn, Version([2, 2, 0]));
    assert!(plain.tre_properties.is_none() && plain.additional_profile_package_versions.is_none());
    assert!(!plain.rsp_capability.has(rsp_capability::CRL) && plain.highest_svn.is_none());
    let full = info2(Preset::V2_6);
    assert_eq!(full.svn, Version([2, 6, 0]));
    assert_eq!(full.tre_properties, Some(BitString::of(&[tre_properties::IS_DISCRETE])));
    assert!(full.certification_data_object.is_some() && full.tre_product_reference.is_some());
    assert_eq!(full.additional_profile_package_versions, Some(vec![Version([3, 3, 1])]));
    assert!(full.rsp_capability.has(rsp_capability::CRL) && full.lpa_mode.is_none());
    let later = info2(Preset::V3Elements);
    assert_eq!(later.highest_svn, Some(Version([3, 1, 0])));
    assert_eq!(later.euicc_ci_pk_id_list_for_signing_v3, Some(full.euicc_ci_pk_id_list_for_signing));
}

#[test]
fn card_resources_contain_the_free_memory() {
    let small = |card: &mut CardDescription| card.memory_size = 5000;
    let mut testbed = Testbed::with(pki(), small, RamMemory::default());
    let info = |testbed: &mut Testbed| testbed.call::<EuiccInfo2>(&GetEuiccInfo2Request {});
    let before = info(&mut testbed);
    assert_eq!(hex::encode(&before.ext_card_resource), "8101008204000013888304 00004000".replace(' ', ""));
    assert!(before.rsp_capability.has(rsp_capability::ADDITIONAL_PROFILE));
    let mut test_package = TestPackage::small(ICCID);
    test_package.pad(2000);
    install(&mut testbed, &test_package);
    let full = info(&mut testbed);
    assert_ne!(full.ext_card_resource, before.ext_card_resource);
    assert!(!full.rsp_capability.has(rsp_capability::ADDITIONAL_PROFILE));
    testbed.delete(test_package.iccid());
    assert_eq!(info(&mut testbed), before);
}

// req: SGP.22-5.7.4-Address
#[test]
fn the_default_address_can_be_set_and_removed() {
    let mut testbed = Testbed::new();
    let set = |testbed: &mut Testbed, address: &str| {
        let request = SetDefaultDpAddressRequest { default_dp_address: address.to_owned() };
        testbed.call::<SetDefaultDpAddressResponse>(&request).set_default_dp_address_result
    };
    let address = |testbed: &mut Testbed| {
        let answer: EuiccConfiguredAddressesResponse = testbed.call(&EuiccConfiguredAddressesRequest {});
        assert_eq!(answer.root_ds_address, "smds.example.com");
        answer.default_dp_address
    };
    assert_eq!(address(&mut testbed), None);
    assert_eq!(set(&mut testbed, "smdp.example.com"), SetDefaultDpAddressResult::OK);
    for wrong in ["not an address", "https://smdp.example.com/", &"a.".repeat(200)] {
        assert_eq!(set(&mut testbed, wrong), SetDefaultDpAddressResult::UNDEFINED_ERROR, "{wrong}");
    }
    testbed.reset();
    assert_eq!(address(&mut testbed).as_deref(), Some("smdp.example.com"));
    assert_eq!(set(&mut testbed, ""), SetDefaultDpAddressResult::OK);
    assert_eq!(address(&mut testbed), None);
    // Invalid UTF-8 is no address.
    assert_eq!(testbed.es10_text("BF3F038001FF"), "BF3F0380017F");
}

#[test]
fn a_nickname_has_at_most_64_octets_of_utf8() {
    let mut testbed = Testbed::new();
    install(&mut testbed, &TestPackage::small(ICCID));
    let name = |testbed: &mut Testbed, iccid: &str, nickname: &str| {
        let request =
            SetNicknameRequest { iccid: iccid.parse().unwrap(), profile_nickname: nickname.to_owned() };
        testbed.call::<SetNicknameResponse>(&request).set_nickname_result
    };
    assert_eq!(name(&mut testbed, ICCID, &"ü".repeat(32)), SetNicknameResult::OK);
    // req: SGP.22-5.7.21-Length
    assert_eq!(name(&mut testbed, ICCID, &"ü".repeat(33)), SetNicknameResult::UNDEFINED_ERROR);
    // req: SGP.22-5.7.21-NotFound
    assert_eq!(name(&mut testbed, OTHER, "x"), SetNicknameResult::ICCID_NOT_FOUND);
    assert_eq!(testbed.profiles()[0].profile_nickname.as_deref(), Some("ü".repeat(32).as_str()));
}

// req: SGP.22-5.7.19-Nothing
#[test]
fn a_memory_reset_applies_each_of_its_options() {
    for options in 0..8_usize {
        let bits: Vec<usize> = (0..3).filter(|bit| options & (1 << bit) != 0).collect();
        let mut testbed = Testbed::new();
        install(&mut testbed, &with_rules(ICCID, &[ppr::PPR1, ppr::PPR2]));
        install(&mut testbed, &TestPackage::small(OTHER));
        install(&mut testbed, &of_class(THIRD, ProfileClass::TEST));
        install(&mut testbed, &of_class(FOURTH, ProfileClass::PROVISIONING));
        testbed.enable(ICCID.parse().unwrap(), false);
        let address = SetDefaultDpAddressRequest { default_dp_address: "smdp.example.com".to_owned() };
        testbed.call::<SetDefaultDpAddressResponse>(&address);
        let numbers = testbed.next_sequence_number();

        let request = EuiccMemoryResetRequest { reset_options: BitString::of(&bits) };
        let result = testbed.call::<EuiccMemoryResetResponse>(&request).reset_result;
        let expected = if bits.is_empty() { ResetResult::NOTHING_TO_DELETE } else { ResetResult::OK };
        assert_eq!(result, expected, "{bits:?}");
        // Policy rules and state do not protect a profile. Provisioning profiles are never deleted.
        let mut stay = vec![FOURTH];
        let (mut gone, mut deletes_enabled) = (3, false);
        if !bits.contains(&0) {
            stay.splice(0..0, [ICCID, OTHER]);
            gone -= 2;
        } else {
            deletes_enabled = true;
        }
        if !bits.contains(&1) {
            stay.insert(stay.len() - 1, THIRD);
            gone -= 1;
        }
        assert_eq!(iccids(&testbed.profiles()), stay, "{bits:?}");
        assert_eq!(testbed.next_sequence_number() - numbers, gone, "one notification per profile, {bits:?}");
        let addresses: EuiccConfiguredAddressesResponse = testbed.call(&EuiccConfiguredAddressesRequest {});
        assert_eq!(addresses.default_dp_address.is_none(), bits.contains(&2), "{bits:?}");
        // REFRESH is announced only if the enabled profile was deleted.
        let status = if deletes_enabled { "910B" } else { "9000" };
        testbed.expect(REFRESHES, status);
    }
    // The options of v3 are unknown, so there is nothing to delete.
    let mut testbed = Testbed::new();
    install(&mut testbed, &of_class(FOURTH, ProfileClass::PROVISIONING));
    let later = EuiccMemoryResetRequest { reset_options: BitString::of(&[3, 4]) };
    assert_eq!(testbed.call::<EuiccMemoryResetResponse>(&later).reset_result, ResetResult::NOTHING_TO_DELETE);
}

#[test]
fn disabling_a_test_profile_enables_the_previous_profile() {
    let mut testbed = Testbed::new();
    let (one, test) = (with_rules(ICCID, &[ppr::PPR1]), of_class(OTHER, ProfileClass::TEST));
    install(&mut testbed, &one);
    install(&mut testbed, &test);
    let enabled = |testbed: &mut Testbed| {
        let profiles = testbed.profiles();
        let enabled = profiles.into_iter().find(|each| each.profile_state == Some(ProfileState::ENABLED));
        enabled.map(|profile| profile.iccid.unwrap())
    };
    for refresh in [false, true] {
        testbed.enable(one.iccid(), false);
        // PPR1 does not prevent enabling a test profile.
        assert_eq!(testbed.enable(test.iccid(), refresh), EnableResult::OK);
        testbed.reset();
        assert_eq!(enabled(&mut testbed), Some(test.iccid()));
        assert_eq!(testbed.disable(test.iccid(), refresh), DisableResult::OK);
        testbed.reset();
        assert_eq!(enabled(&mut testbed), Some(one.iccid()), "refresh {refresh}");
        assert_eq!(testbed.disable(one.iccid(), false), DisableResult::DISALLOWED_BY_POLICY);
    }
}

// req: SGP.22-2.9-Replacement
#[test]
fn a_provisioning_profile_can_replace_a_profile_with_ppr1() {
    let mut testbed = Testbed::new();
    let test_package = [
        with_rules(ICCID, &[ppr::PPR1]),
        of_class(OTHER, ProfileClass::PROVISIONING),
        TestPackage::small(THIRD),
    ];
    for each in &test_package {
        install(&mut testbed, each);
    }
    testbed.enable(test_package[0].iccid(), false);
    assert_eq!(testbed.enable(test_package[2].iccid(), false), EnableResult::DISALLOWED_BY_POLICY);
    assert_eq!(testbed.enable(test_package[1].iccid(), false), EnableResult::OK);
    // The replacement is temporary: no third profile can be enabled, and when the provisioning
    // profile is disabled, the previous profile is enabled again.
    assert_eq!(testbed.enable(test_package[2].iccid(), false), EnableResult::DISALLOWED_BY_POLICY);
    assert_eq!(testbed.disable(test_package[1].iccid(), false), DisableResult::OK);
    assert_eq!(testbed.disable(test_package[0].iccid(), false), DisableResult::DISALLOWED_BY_POLICY);
    assert_eq!(testbed.enable(test_package[1].iccid(), false), EnableResult::OK);
    assert_eq!(testbed.enable(test_package[0].iccid(), false), EnableResult::OK);
}

#[test]
fn a_provisioning_profile_can_be_replaced_if_no_rule_protects_the_previous_profile() {
    let mut testbed = Testbed::new();
    let test_package =
        [TestPackage::small(ICCID), of_class(OTHER, ProfileClass::PROVISIONING), TestPackage::small(THIRD)];
    for each in &test_package {
        install(&mut testbed, each);
        assert_eq!(testbed.enable(each.iccid(), false), EnableResult::OK);
    }
}

#[test]
fn device_capabilities_of_later_versions_are_signed_as_received() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let mut request = server.authenticate_server(challenge(&mut testbed));
    // catSupportedClasses and euiccFormFactorType, and an operationType, which v2 does not have.
    let capabilities =
        tlv_bytes(Tag(0xA1), &hex::decode("8103100000 8B03030100 8C0204F0 8D0101".replace(' ', "")).unwrap());
    let device = [tlv_bytes(Tag(0x80), &[0x35, 0x29, 0x06, 0x11]), capabilities].concat();
    let contents =
        [tlv_bytes(Tag(0x80), b"M"), tlv_bytes(Tag(0xA1), &device), tlv_bytes(Tag(0x82), &[5, 0x60])]
            .concat();
    let sent = tlv_bytes(Tag(0xA0), &contents);
    request.ctx_params1 = Raw::<CtxParams1>::from_der(&sent).unwrap();
    let AuthenticateServerResponse::AuthenticateResponseOk(ok) = testbed.call(&request) else { panic!() };
    assert!(ok.euicc_signed1.bytes().ends_with(&sent));
    let signature = Signature::from_slice(&ok.euicc_signature1).unwrap();
    testbed.public_key(Curve::P256).verify(ok.euicc_signed1.bytes(), &signature).unwrap();
}

#[test]
fn a_session_can_be_cancelled_with_any_reason() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    for reason in [0, 1, 2, 3, 4, 5, 16, 27, 127].map(CancelSessionReason) {
        server.prepare(&mut testbed);
        let request = CancelSessionRequest { transaction_id: server.transaction_id.clone(), reason };
        let CancelSessionResponse::CancelSessionResponseOk(ok) = testbed.call(&request) else { panic!() };
        assert_eq!(ok.euicc_cancel_session_signed.reason, reason);
        let signature = Signature::from_slice(&ok.euicc_cancel_session_signature).unwrap();
        testbed.public_key(Curve::P256).verify(ok.euicc_cancel_session_signed.bytes(), &signature).unwrap();
    }
    let idle =
        CancelSessionRequest { transaction_id: TransactionId(vec![1]), reason: CancelSessionReason(0) };
    assert_eq!(
        testbed.call::<CancelSessionResponse>(&idle),
        CancelSessionResponse::CancelSessionResponseError(CancelSessionError::INVALID_TRANSACTION_ID)
    );
}
