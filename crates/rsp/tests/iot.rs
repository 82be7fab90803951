//! The types of SGP.32: messages of cards and devices, deviations of peers, the octets that are
//! signed, compact forms and both bindings of ESipa.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use rsp::{
    der::{Asn1, BitString, Null, Raw},
    finding::{self, FindingKind},
    ids::{self, Aid, CertificateDer},
    sgp22::{
        CancelSessionReason, CtxParams1, DeviceCapabilities, DeviceInfo, EuiccInfo2, EuiccSigned1,
        NotificationMetadata, ServerSigned1,
        es8plus::{FinalResult, ProfileInstallationResult, ProfileInstallationResultData, SuccessResult},
        es10b::{AuthenticateResponseOk, EuiccSigned2, PrepareDownloadResponseOk, SmdpSigned2},
        es10c::ProfileInfoListResponse,
    },
    sgp32::{
        Eco, EimConfigurationData, EuiccPackage, EuiccPackageRequest, EuiccPackageResult, KeyOrCertificate,
        PendingNotification, Psmo, StateChangeCause, Version,
        compact::{
            CompactAuthenticateResponseOk, CompactPrepareDownloadResponseOk,
            CompactProfileInstallationResult, KnownEuicc, KnownProfile, Unknown,
        },
        eim_configuration::{EimIdInfo, EimIdType, protocols},
        es10b::{
            AddInitialEimRequest, EuiccMemoryResetRequest, ExecuteFallbackMechanismRequest, GetCertsResponse,
            IpaeActivationRequest, IsdrProprietaryApplicationTemplateIot, ReturnFromFallbackRequest,
            reset_options,
        },
        esipa::{self, MessageFromEim, MessageFromIpa, asn1, json},
        ipa_data::{IpaCapabilities, IpaEuiccDataRequest, IpaEuiccDataResponse},
        result::{AddEimResult, EuiccResultData, ListEimResult},
    },
    status::Status,
};

fn octets(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// Decodes a message of a peer, and returns the kinds of its findings.
fn read<T: Asn1>(text: &str) -> (T, Vec<FindingKind>) {
    let (value, findings) = finding::collect(|| T::from_peer(&octets(text)));
    let value = value.unwrap_or_else(|e| panic!("{text}: {e}"));
    (value, findings.into_iter().map(|finding| finding.kind).collect())
}

/// Decodes a message without findings that has the same octets when it is encoded.
fn same<T: Asn1>(text: &str) -> T {
    let (value, findings) = read::<T>(text);
    assert!(findings.is_empty(), "{text}: {findings:?}");
    assert_eq!(hex::encode(value.to_der()), text.to_lowercase());
    value
}

/// Decodes a message with one finding. It is sent in the form of the standard.
fn accepted<T: Asn1>(peer: &str, standard: &str, kind: FindingKind) -> T {
    let (value, findings) = read::<T>(peer);
    assert_eq!(findings, [kind], "{peer}");
    assert_eq!(hex::encode(value.to_der()), standard.to_lowercase());
    value
}

const KEY: &str = concat!(
    "301306072a8648ce3d020106082a8648ce3d03010703420004d1716c15924f9c13fcfc246249574833c91de978702830",
    "7f8d7e9c941c21dc4fcd70c8d4f530ef69446aa83e9c949bedb4b4f517a9167b9cae50192b6289cc45",
);
const TLS_KEY: &str = concat!(
    "301306072a8648ce3d020106082a8648ce3d03010703420004552477d4734320982c8e0c545997652f95f5567715d9c2",
    "3d2ae554a2493f0d2fadb71feebd07a2f48aa5fcf0178d07e2a3aa853f9f6976c04b877d25655d4467",
);

/// The commands of the modem shell of Nordic Semiconductor (2025) to cards of two vendors.
#[test]
fn the_commands_of_a_device_decode() {
    let ExecuteFallbackMechanismRequest { refresh_flag } = same("BF5D038001FF");
    assert!(refresh_flag.0);
    assert!(same::<ReturnFromFallbackRequest>("BF5E038001FF").refresh_flag.0);
    assert_eq!(same::<IpaeActivationRequest>("BF420480020780").ipae_option, BitString::of(&[0]));
    let eims = [reset_options::RESET_EIM_CONFIG_DATA];
    assert_eq!(same::<EuiccMemoryResetRequest>("BF640482020204").reset_options, BitString::of(&eims));
    // Another vendor's padding of the same bits.
    let (reset, findings) = read::<EuiccMemoryResetRequest>("BF640482020104");
    assert_eq!((reset.reset_options.ones(), findings), (eims.to_vec(), vec![]));
}

/// An AddInitialEimRequest of the same device: the keys have no SEQUENCE of their own.
#[test]
fn the_eim_configuration_of_a_device_decodes() {
    let id = hex::encode("eim-staging-0.kigen.com");
    let text = format!("bf5781e5a081e23081df8017{id}820102830100a55ba059{KEY}a65ba059{TLS_KEY}870206c08900");
    let request = same::<AddInitialEimRequest>(&text);
    let [eim] = &request.eim_configuration_data_list[..] else { panic!("{request:?}") };
    assert_eq!(eim.eim_id, "eim-staging-0.kigen.com");
    assert_eq!((eim.eim_id_type, eim.counter_value), (Some(EimIdType::FQDN), Some(0)));
    let both = BitString::of(&[protocols::RETRIEVE_HTTPS, protocols::RETRIEVE_COAPS]);
    assert_eq!(eim.eim_supported_protocol, Some(both));
    assert_eq!(eim.indirect_profile_download, Some(Null));
    let Some(KeyOrCertificate::PublicKey(key)) = &eim.eim_public_key_data else { panic!("{eim:?}") };
    assert_eq!(hex::encode(&key.0), format!("3059{KEY}"));
}

#[test]
fn a_nested_key_or_certificate_is_accepted_and_sent_without_its_sequence() {
    let kind = FindingKind::NestedSequence;
    accepted::<EimConfigurationData>(
        &format!("3062800165a55da05b3059{KEY}"),
        &format!("3060800165a55ba059{KEY}"),
        kind,
    );
    // A certificate has three elements, and a nested one is a single SEQUENCE.
    let certificate = "300030000300";
    accepted::<EimConfigurationData>(
        &format!("300f800165a50aa1083006{certificate}"),
        &format!("300d800165a508a106{certificate}"),
        kind,
    );
    let certs = accepted::<GetCertsResponse>(
        &format!("bf5614a012a5083006{certificate}a606{certificate}"),
        &format!("bf5612a010a506{certificate}a606{certificate}"),
        kind,
    );
    let GetCertsResponse::Certs(certs) = certs else { panic!("{certs:?}") };
    assert_eq!(certs.eum_certificate, CertificateDer(octets(&format!("3006{certificate}"))));
}

/// The list of profiles of YggdraSIM: its entries are in a SEQUENCE inside the tag that replaces it.
#[test]
fn a_nested_list_of_profiles_is_accepted() {
    let entries = "e3049f700100e3049f700101";
    let list = accepted::<EuiccResultData>(
        &format!("bf2d10a00e300c{entries}"),
        &format!("bf2d0ea00c{entries}"),
        FindingKind::NestedSequence,
    );
    let EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(list)) = list
    else {
        panic!("{list:?}")
    };
    assert_eq!(list.len(), 2);
}

/// The response of an IoT card to SELECT of the ISD-R, and the same with the template inside A5.
#[test]
fn the_iot_template_is_found_in_the_response_to_select() {
    let aid = hex::encode(Aid::ISD_R);
    let bits = |text: &str| {
        let found = IsdrProprietaryApplicationTemplateIot::in_select_response(&octets(text)).unwrap();
        found.map(|template| template.euicc_configuration.ones())
    };
    assert_eq!(bits(&format!("6f248410{aid}a5049f6501ffe00482020500e104800206c0")), Some(vec![0, 1]));
    assert_eq!(bits(&format!("6f1e8410{aid}a50a9f6501ffe104800206c0")), Some(vec![0, 1]));
    assert_eq!(bits(&format!("6f188410{aid}a5049f6501ff")), None);
}

const ICCID: &str = "5a0a98001032547698103214";

fn package(operations: &str) -> String {
    let operations = octets(operations);
    let signed = format!(
        "800365696d5a1089049032123451234512345678901235810101{}{}",
        hex::encode([0xA0, u8::try_from(operations.len()).unwrap()]),
        hex::encode(&operations)
    );
    let signed = hex::encode(rsp::der::tlv_bytes(rsp::der::Tag::SEQUENCE, &octets(&signed)));
    let contents = format!("{signed}5f3740{}", "09".repeat(64));
    hex::encode(rsp::der::tlv_bytes(rsp::der::Tag(0xBF51), &octets(&contents)))
}

#[test]
fn a_rollback_flag_in_the_form_of_another_card_is_accepted() {
    let strict = package(&format!("a30e{ICCID}0500"));
    let request: EuiccPackageRequest = same(&strict);
    let peer = package(&format!("a30e{ICCID}8100"));
    let (received, findings) = read::<EuiccPackageRequest>(&peer);
    assert_eq!(findings, [FindingKind::OtherTag]);
    for request in [&request, &received] {
        let EuiccPackage::PsmoList(list) = &request.euicc_package_signed.euicc_package else { panic!() };
        let enable = list[0].decode().unwrap().into_value();
        assert!(matches!(enable, Psmo::Enable(enable) if enable.rollback_flag == Some(Null)));
    }
    // The octets that were signed stay the received ones.
    assert_eq!(hex::encode(received.to_der()), peer);
}

#[test]
fn a_damaged_command_does_not_hide_the_commands_before_it() {
    let (request, findings) = read::<EuiccPackageRequest>(&package(&format!("a40c{ICCID}bf7f0105a600")));
    assert_eq!(findings, [FindingKind::EntryUnreadable]);
    let EuiccPackage::PsmoList(list) = &request.euicc_package_signed.euicc_package else { panic!() };
    let readable: Vec<bool> = list.iter().map(|command| command.decode().is_ok()).collect();
    assert_eq!(readable, [true, false, true]);
}

#[test]
fn a_refresh_flag_as_universal_boolean_is_accepted() {
    let request =
        accepted::<ExecuteFallbackMechanismRequest>("bf5d03010101", "bf5d038001ff", FindingKind::OtherTag);
    assert!(request.refresh_flag.0);
}

#[test]
fn tags_of_other_versions_and_cards_are_accepted() {
    let info = accepted::<EimIdInfo>("3006800165840102", "3006800165820102", FindingKind::OtherTag);
    assert_eq!(info.eim_id_type, Some(EimIdType::FQDN));
    let list = EuiccResultData::from_peer(&octets("ab0302017f")).unwrap();
    assert!(matches!(list, EuiccResultData::ListEimResult(ListEimResult::ListEimError(_))));
    // The lists of eIMs of YggdraSIM and openiotrsp, and an address of openiotrsp.
    let list = accepted::<EuiccResultData>("ab0730053003800165", "ab07a0053003800165", FindingKind::OtherTag);
    assert!(
        matches!(list, EuiccResultData::ListEimResult(ListEimResult::EimIdList(list)) if list.len() == 1)
    );
    accepted::<Psmo>("bf65050c0364702e", "bf6505800364702e", FindingKind::OtherTag);
    // The data of v1.0: defaultSmdpAddress has tag 80, and the list of notifications is BF2B at the end.
    let text = "bf5211a00f800364702e840101bf2b04a0023000";
    let (data, findings) = read::<IpaEuiccDataResponse>(text);
    let IpaEuiccDataResponse::IpaEuiccData(data) = data else { panic!("{data:?}") };
    assert_eq!(data.default_smdp_address.as_deref(), Some("dp."));
    assert_eq!(data.notifications_list_v1_0.unwrap().0.len(), 1);
    assert_eq!(findings, [FindingKind::OtherTag, FindingKind::EntryUnreadable]);
}

/// onomondo-ipa 1.0 forwards the response of the card, which can have the results of packages in place of
/// the notifications.
#[test]
fn results_in_place_of_notifications_are_no_notifications() {
    let (data, findings) = read::<IpaEuiccDataResponse>("bf5208a006bf2b03a201ff");
    let IpaEuiccDataResponse::IpaEuiccData(data) = data else { panic!("{data:?}") };
    assert!(data.notifications_list_v1_0.unwrap().0.is_empty());
    assert_eq!(findings, [FindingKind::UnknownElement]);
}

/// Two lists of requested tags in the tests of osmo-ttcn3-hacks.
#[test]
fn a_tag_list_is_a_list_of_tags() {
    let tags = |list: &str| {
        let request = same::<IpaEuiccDataRequest>(&format!(
            "bf52{:02x}5c{:02x}{list}",
            list.len() / 2 + 2,
            list.len() / 2
        ));
        request.tags().unwrap().iter().map(|tag| tag.0).collect::<Vec<_>>()
    };
    assert_eq!(
        tags("80bf20bf228384a5a688a9bf2b"),
        [0x80, 0xBF20, 0xBF22, 0x83, 0x84, 0xA5, 0xA6, 0x88, 0xA9, 0xBF2B]
    );
    let current = "81bf20bf228384a5a6a8a9a0a2";
    let list = tags(current).into_iter().map(rsp::der::Tag).collect::<Vec<_>>();
    assert_eq!(hex::encode(IpaEuiccDataRequest::tag_list_of(&list)), current);
    let damaged = IpaEuiccDataRequest { tag_list: vec![0xBF], ..same("bf52035c0180") };
    assert!(damaged.tags().is_err());
}

#[test]
fn signatures_cover_the_inner_sequence_and_the_token() {
    let text = package(&format!("a40c{ICCID}"));
    let request: EuiccPackageRequest = same(&text);
    let inner = request.euicc_package_signed.bytes();
    assert_eq!(&text[6..6 + 2 * inner.len()], hex::encode(inner));
    assert_eq!(request.signed_octets(None), [inner, &[0x84, 1, 0]].concat());
    assert_eq!(request.signed_octets(Some(1)), [inner, &[0x84, 1, 1]].concat());

    let signed = "80036569 6d810101830102300383010 0".replace(' ', "");
    let signed = format!("30{:02x}{signed}", signed.len() / 2);
    let contents = format!("{signed}5f3740{}", "09".repeat(64));
    let text = format!("bf51{:02x}a0{:02x}{contents}", contents.len() / 2 + 2, contents.len() / 2);
    let result: EuiccPackageResult = same(&text);
    assert_eq!((result.eim_id(), result.seq_number()), ("eim", Some(2)));
    let EuiccPackageResult::EuiccPackageResultSigned(result) = result else { panic!("{result:?}") };
    assert_eq!(hex::encode(result.signed_octets(Some(1))), format!("{signed}840101"));
    let [enable] = &result.euicc_package_result_data_signed.euicc_result[..] else { panic!("{result:?}") };
    assert!(
        matches!(enable.decode().unwrap().into_value(), EuiccResultData::EnableResult(code) if code.0 == 0)
    );
}

#[test]
fn operations_and_results_have_the_tags_of_the_module() {
    assert_eq!(hex::encode(Eco::DeleteEim(same("3003800165")).to_der()), "a903800165");
    for (text, token) in [("a803840102", true), ("a803020102", false)] {
        let EuiccResultData::AddEimResult(result) = same(text) else { panic!("{text}") };
        assert_eq!(matches!(result, AddEimResult::AssociationToken(2)), token);
    }
    for text in ["830114", "8d0102", "8e0100", "8c0100", "020102", "bf6503800100", "a900", "890102"] {
        if text == "a900" {
            same::<Psmo>(text);
        } else {
            same::<EuiccResultData>(text);
        }
    }
}

/// One open IPA wrote an octet for each bit.
#[test]
fn the_features_of_an_ipa_are_bits() {
    let capabilities: IpaCapabilities = same("3008800202d081020780".replace("02d0", "04d0").as_str());
    assert_eq!(capabilities.ipa_features.ones(), [0, 1, 3]);
}

// Compact forms.

fn server_signed1() -> ServerSigned1 {
    ServerSigned1 {
        transaction_id: ids::TransactionId(vec![1; 4]),
        euicc_challenge: [3; 16],
        server_address: "smdp.example.com".into(),
        server_challenge: [4; 16],
    }
}

/// EUICCInfo2 with an element that no version defines, as a card may send it.
fn info2(resource: &str) -> Raw<EuiccInfo2> {
    let contents = format!(
        "8103020301820302020283030100008 4{:02x}{resource}85017f8801009a0100a900aa000403010000 0c0153b405a003040101",
        resource.len() / 2
    )
    .replace(' ', "")
    .replace("85017f", "8502017e")
    .replace("880100", "88020000")
    .replace("040101", "0401ff");
    let der = rsp::der::tlv_bytes(EuiccInfo2::TAG, &octets(&contents));
    Raw::from_der(&der).unwrap_or_else(|e| panic!("{contents}: {e}"))
}

fn context() -> Raw<CtxParams1> {
    let device_info = DeviceInfo {
        tac: [0x35, 0x29, 6, 0x11],
        device_capabilities: DeviceCapabilities::default(),
        imei: None,
    };
    Raw::new(CtxParams1::download(Some("A-1".into()), device_info))
}

#[test]
fn a_compact_authentication_expands_to_the_octets_that_were_signed() {
    let signed = server_signed1();
    let full = AuthenticateResponseOk {
        euicc_signed1: Raw::new(EuiccSigned1 {
            transaction_id: signed.transaction_id.clone(),
            server_address: signed.server_address.clone(),
            server_challenge: signed.server_challenge,
            euicc_info2: info2("810100820201"),
            ctx_params1: context(),
        }),
        euicc_signature1: vec![9; 64],
        euicc_certificate: CertificateDer(vec![0x30, 3, 2, 1, 1]),
        eum_certificate: CertificateDer(vec![0x30, 3, 2, 1, 2]),
    };
    let compact = CompactAuthenticateResponseOk::of(&full, false, false);
    assert!(compact.to_der().len() * 2 < full.to_der().len() + 40, "{} octets", compact.to_der().len());
    let known = KnownEuicc {
        // The eIM knows another amount of free memory.
        euicc_info2: Some(info2("8101008202ff")),
        ctx_params1: Some(context()),
        euicc_certificate: Some(full.euicc_certificate.clone()),
        eum_certificate: Some(full.eum_certificate.clone()),
    };
    let expanded = compact.expand(&signed, &known).unwrap();
    assert_eq!(hex::encode(expanded.to_der()), hex::encode(full.to_der()));
    // With all elements only EUICCInfo2 is needed.
    let with_all = CompactAuthenticateResponseOk::of(&full, true, true);
    let only = KnownEuicc { euicc_info2: known.euicc_info2.clone(), ..KnownEuicc::default() };
    assert_eq!(with_all.expand(&signed, &only).unwrap().to_der(), full.to_der());
    assert_eq!(compact.expand(&signed, &only), Err(Unknown { element: "ctxParams1" }));
    let nothing = KnownEuicc::default();
    assert_eq!(compact.expand(&signed, &nothing), Err(Unknown { element: "euiccInfo2" }));
}

#[test]
fn a_compact_preparation_expands_to_the_octets_that_were_signed() {
    for bound in [None, Some(vec![4; 65])] {
        for hash in [None, Some([6; 32])] {
            let smdp_signed2 = SmdpSigned2 {
                transaction_id: ids::TransactionId(vec![1; 4]),
                cc_required_flag: hash.is_some(),
                bpp_euicc_otpk: bound.clone(),
            };
            let full = PrepareDownloadResponseOk {
                euicc_signed2: Raw::new(EuiccSigned2 {
                    transaction_id: smdp_signed2.transaction_id.clone(),
                    euicc_otpk: vec![4; 65],
                    hash_cc: hash,
                }),
                euicc_signature2: vec![9; 64],
            };
            let compact = CompactPrepareDownloadResponseOk::of(&full, &smdp_signed2, hash);
            assert_eq!(compact.compact_euicc_signed2.euicc_otpk.is_none(), bound.is_some());
            assert_eq!(compact.expand(&smdp_signed2, hash).unwrap(), full);
        }
    }
}

fn installation(sima_response: Vec<u8>) -> ProfileInstallationResult {
    ProfileInstallationResult {
        profile_installation_result_data: Raw::new(ProfileInstallationResultData {
            transaction_id: ids::TransactionId(vec![1; 4]),
            notification_metadata: NotificationMetadata {
                seq_number: 130,
                profile_management_operation: BitString::of(&[0]),
                notification_address: "smdp.example.com".into(),
                iccid: Some("89000123456789012341".parse().unwrap()),
            },
            smdp_oid: Some("2.999.10".parse().unwrap()),
            final_result: FinalResult::SuccessResult(SuccessResult { aid: Aid::isd_p(0x11), sima_response }),
        }),
        euicc_sign_pir: vec![9; 64],
    }
}

#[test]
fn a_compact_installation_result_expands_to_the_octets_that_were_signed() {
    let known = KnownProfile {
        iccid: "89000123456789012341".parse().unwrap(),
        notification_address: "smdp.example.com".into(),
        smdp_oid: Some("2.999.10".parse().unwrap()),
    };
    for (response, octets_sent) in [("3007a0053003800100", 0), ("30020500", 6)] {
        let full = installation(octets(response));
        let compact = CompactProfileInstallationResult::of(&full).unwrap();
        assert_eq!(compact.expand(&known).to_der(), full.to_der());
        // Transaction ID, number and result, without what is known.
        let data = compact.compact_profile_installation_result_data.to_der();
        assert_eq!(data.len(), 2 + 6 + 4 + 4 + 4 + octets_sent + 1 - 1);
    }
}

// Bindings.

#[test]
fn a_poll_has_the_same_content_in_both_bindings() {
    let request = esipa::GetEimPackageRequest {
        eid_value: "89049032123451234512345678901235".parse().unwrap(),
        notify_state_change: Some(Null),
        state_change_cause: Some(StateChangeCause::FALLBACK),
        r_plmn: None,
    };
    assert_eq!(hex::encode(request.to_der()), "bf4f175a10890490321234512345123456789012358000810101");
    let http =
        json::request::<esipa::GetEimPackage>(ids::Version([1, 2, 0]), esipa::USER_AGENT_IPAD, &request);
    assert_eq!(http.uri().path(), "/gsma/rsp2/esipa/getEimPackage");
    assert_eq!(http.headers()["user-agent"], "gsma-rsp-ipad");
    let body: serde_json::Value = serde_json::from_slice(http.body()).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"eidValue": "89049032123451234512345678901235", "notifyStateChange": true, "stateChangeCause": 1})
    );
    assert_eq!(json::read::<esipa::GetEimPackageRequest>(http.body()).unwrap(), request);
    let binary = asn1::request(
        ids::Version([1, 2, 0]),
        Version::V1_2,
        "gsma-rsp-ipae;meter",
        &MessageFromIpa::GetEimPackageRequest(request.clone()),
    );
    assert_eq!((binary.uri().path(), &binary.body()[..]), ("/gsma/rsp2/asn1", &request.to_der()[..]));
    // v1.0 has no cause.
    let first = MessageFromIpa::GetEimPackageRequest(request).to_der_for(Version::V1_0);
    assert_eq!(hex::encode(first), "bf4f145a10890490321234512345123456789012358000");
}

#[test]
fn replies_are_the_same_in_both_bindings() {
    let version = ids::Version([1, 2, 0]);
    let acknowledgements = esipa::EimAcknowledgements(vec![esipa::SequenceNumber(2)]);
    let reply = esipa::ProvideEimPackageResultResponse::EimAcknowledgements(acknowledgements);
    let response = json::response(version, Ok(reply.clone()));
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["eimAcknowledgements"], "v1MDgAEC");
    assert_eq!(json::answer::<esipa::ProvideEimPackageResultResponse>(&response).unwrap(), reply);
    let binary = asn1::response(
        version,
        Version::V1_2,
        &MessageFromEim::ProvideEimPackageResultResponse(reply.clone()),
    );
    assert_eq!(hex::encode(binary.body()), "bf5006bf5303800102");
    assert_eq!(asn1::answer::<esipa::ProvideEimPackageResultResponse>(&binary).unwrap(), reply);
}

#[test]
fn a_refusal_is_a_code_in_asn1_and_a_status_in_json() {
    type Response = esipa::InitiateAuthenticationResponse;
    let version = ids::Version([1, 2, 0]);
    let refused = Status::SmdpAddressRefused.because("a test");
    let response = json::response::<Response>(version, Err(refused));
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["header"]["functionExecutionStatus"]["statusCodeData"]["subjectCode"], "8.8.1");
    let answer = json::answer::<Response>(&response).unwrap();
    assert_eq!(hex::encode(answer.to_der()), "bf3903810101");
    // A code of its own becomes an execution error, with its name.
    let own = Response::Error(esipa::InitiateAuthenticationError::SMDP_ADDRESS_MISMATCH);
    let response = json::response(version, Ok(own));
    assert!(String::from_utf8_lossy(response.body()).contains("smdp-address-mismatch(50)"));
    // The replies about packages have their code in both.
    let none =
        esipa::GetEimPackageResponse::EimPackageError(esipa::EimPackageError::NO_EIM_PACKAGE_AVAILABLE);
    let response = json::response(version, Ok(none.clone()));
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["eimPackageError"], 1);
    assert_eq!(none.to_der(), octets("bf4f03020101"));
}

/// One open eIM sends the member eimPackageError with 0 beside each package.
#[test]
fn a_package_with_the_error_0_is_a_package() {
    let text = r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}},
        "eimPackageError":0,"profileDownloadTriggerRequest":"v1QA"}"#;
    let mut response = json::response::<esipa::CancelSessionResponse>(
        ids::Version([1, 2, 0]),
        Ok(esipa::CancelSessionResponse::Ok(esipa::CancelSessionOk {})),
    );
    *response.body_mut() = text.into();
    let reply = json::answer::<esipa::GetEimPackageResponse>(&response).unwrap();
    assert!(matches!(reply, esipa::GetEimPackageResponse::ProfileDownloadTriggerRequest(_)));
    *response.body_mut() = text.replace(":0", ":2").into();
    assert!(json::answer::<esipa::GetEimPackageResponse>(&response).is_err());
}

#[test]
fn an_empty_response_of_v1_0_is_accepted() {
    type Response = esipa::ProvideEimPackageResultResponse;
    let empty = Response::EmptyResponse(esipa::EmptyResponse {});
    for body in ["bf5000", "bf50023000", ""] {
        assert_eq!(asn1::read_reply::<Response>(&octets(body)).unwrap(), empty, "{body}");
    }
    assert!(asn1::read_reply::<esipa::GetEimPackageResponse>(&octets("bf4f00")).is_err());
    let message = MessageFromEim::ProvideEimPackageResultResponse(empty);
    assert_eq!(message.to_der_for(Version::V1_0), octets("bf5000"));
    assert_eq!(message.to_der_for(Version::V1_2), octets("bf50023000"));
}

#[test]
fn cancellations_decode_with_the_tag_of_the_choice_replaced_or_kept() {
    let compact =
        format!("a24730 03800103 5f3740{}", "09".repeat(64)).replace(' ', "").replace("a247", "a248");
    let strict = format!("bf4150800401010101a1{:02x}{compact}", compact.len() / 2)
        .replace("bf4150", &format!("bf41{:02x}", compact.len() / 2 + 8));
    let request: esipa::CancelSessionRequest = same(&strict);
    let kept = format!(
        "bf41{:02x}800401010101a1{:02x}bf41{:02x}{compact}",
        compact.len() / 2 + 11,
        compact.len() / 2 + 3,
        compact.len() / 2
    );
    assert_eq!(read::<esipa::CancelSessionRequest>(&kept).0, request);
}

#[test]
fn a_notification_for_an_eim_of_v1_0_has_no_tag_of_its_own() {
    let notification = PendingNotification::ProfileInstallationResult(installation(vec![0x30, 0]));
    let inner = hex::encode(notification.to_der());
    let request = esipa::HandleNotificationRequest::PendingNotification(Box::new(Raw::new(notification)));
    let current = request.to_der();
    let message = MessageFromIpa::HandleNotification(request);
    let first = message.to_der_for(Version::V1_0);
    assert!(hex::encode(&first).ends_with(&inner) && first.len() < current.len());
    assert_eq!(message.to_der_for(Version::V1_2), current);
    let MessageFromIpa::HandleNotification(read) = MessageFromIpa::from_der(&first).unwrap() else {
        panic!()
    };
    assert!(matches!(read, esipa::HandleNotificationRequest::PendingNotificationV1_0(_)));
    // Both bindings have the same notification.
    let text = serde_json::to_value(&read).unwrap();
    let decoded: esipa::HandleNotificationRequest = serde_json::from_value(text).unwrap();
    assert_eq!(decoded.to_der(), current);
    assert!(serde_json::from_str::<esipa::HandleNotificationRequest>("{}").is_err());
}

#[test]
fn the_alternatives_of_v1_3_are_sent_only_to_peers_of_v1_3() {
    let error = esipa::TransferEimPackageResponse::EimPackageErrorWithCid(esipa::EimPackageErrorWithCid {
        correlation_id: Some(esipa::CorrelationId::EimTransactionId(ids::TransactionId(vec![7]))),
        eim_package_error: esipa::EimPackageResultErrorCode::UNKNOWN_PACKAGE,
    });
    let message = MessageFromIpa::TransferEimPackageResponse(error);
    assert_eq!(hex::encode(message.to_der_for(Version::V1_3)), "bf4e0bbf6108a003800107810102");
    assert_eq!(hex::encode(message.to_der_for(Version::V1_2)), "bf4e03020102");
    assert_eq!(Version::default(), Version::V1_2);
    assert_eq!(Version::of_number(ids::Version([1, 3, 0])), Version::V1_3);
}

#[test]
fn the_reason_of_a_cancellation_is_left_out_if_the_eim_knows_it() {
    use rsp::sgp32::compact::CompactCancelSessionResponseOk;

    let compact = CompactCancelSessionResponseOk {
        compact_euicc_cancel_session_signed: Default::default(),
        euicc_cancel_session_signature: vec![9; 64],
    };
    let (id, oid) = (ids::TransactionId(vec![1; 4]), "2.999.10".parse::<ids::Oid>().unwrap());
    let known = Some(CancelSessionReason::METADATA_MISMATCH);
    let full = compact.expand(id.clone(), oid.clone(), known).unwrap();
    assert_eq!(
        hex::encode(full.euicc_cancel_session_signed.bytes()),
        "300e80040101010181038837 0a820104".replace(' ', "")
    );
    assert_eq!(CompactCancelSessionResponseOk::of(&full, known), compact);
    assert_eq!(compact.expand(id, oid, None), Err(Unknown { element: "reason" }));
}
