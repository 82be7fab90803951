//! Messages that asn1tools 0.167 (Python) encoded from the ASN.1 module of SGP.22 v2.5. Each must
//! decode as the type of this crate and encode to the same octets. Because the octets come from
//! another encoder, a wrong tag in this crate makes the test fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use rsp::{
    der::{Asn1, BitString},
    sgp22::{
        CtxParamsForCommonAuthentication, EuiccCancelSessionSigned, EuiccInfo1, EuiccInfo2, ServerSigned1,
        es8plus, es9plus, es10b, es10c, es11, rsp_capability,
    },
};

fn same_octets<T: Asn1 + std::fmt::Debug>(name: &str, hex_text: &str) -> T {
    let octets = hex::decode(hex_text).unwrap();
    let value = T::from_der(&octets).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(hex::encode(value.to_der()), hex_text, "{name}");
    value
}

macro_rules! independently_encoded {
    ($($test:ident: $type:ty = $($hex:literal)+;)+) => { $(
        #[test]
        fn $test() {
            same_octets::<$type>(stringify!($type), concat!($($hex),+));
        }
    )+ };
}

independently_encoded! {
    get_euicc_challenge_response: es10b::GetEuiccChallengeResponse =
        "bf2e12801000000000000000000000000000000000";
    euicc_info1: EuiccInfo1 =
        "bf204b8203020200a91604141111111111111111111111111111111111111111aa2c0414111111111111111111111111"
        "111111111111111104142222222222222222222222222222222222222222";
    euicc_info2: EuiccInfo2 =
        "bf2277810302030182030202028303010000840d810100820400010000830210008503017f36870302030088020490a9"
        "1604141111111111111111111111111111111111111111aa16041411111111111111111111111111111111111111118b"
        "01029902056004030100000c055341532d31ac06800170810175";
    server_signed1: ServerSigned1 =
        "304880100102030405060708090a0b0c0d0e0f108110030303030303030303030303030303038310736d64702e657861"
        "6d706c652e636f6d841004040404040404040404040404040404";
    ctx_params_for_common_authentication: CtxParamsForCommonAuthentication =
        "30198003412d31a112800435290611a10a80030500008703020200";
    smdp_signed2: es10b::SmdpSigned2 =
        "305980100102030405060708090a0b0c0d0e0f100101ff5f494104050505050505050505050505050505050505050505"
        "05050505050505050505050505050505050505050505050505050505050505050505050505050505050505";
    euicc_signed2: es10b::EuiccSigned2 =
        "307880100102030405060708090a0b0c0d0e0f105f494104050505050505050505050505050505050505050505050505"
        "050505050505050505050505050505050505050505050505050505050505050505050505050505050420060606060606"
        "0606060606060606060606060606060606060606060606060606";
    prepare_download_response: es10b::PrepareDownloadResponse =
        "bf2117a11580100102030405060708090a0b0c0d0e0f10020104";
    authenticate_server_response: es10b::AuthenticateServerResponse =
        "bf3817a11580100102030405060708090a0b0c0d0e0f1002017f";
    cancel_session_request: es10b::CancelSessionRequest =
        "bf411580100102030405060708090a0b0c0d0e0f10810101";
    euicc_cancel_session_signed: EuiccCancelSessionSigned =
        "301a80100102030405060708090a0b0c0d0e0f10810388370a820103";
    cancel_session_response: es10b::CancelSessionResponse =
        "bf4103810105";
    list_notification_response: es10b::ListNotificationResponse =
        "bf282ba029bf2f2680020082810204400c10736d64702e6578616d706c652e636f6d5a0a98001032547698103214";
    retrieve_notifications_list_request: es10b::RetrieveNotificationsListRequest =
        "bf2b06a00480020082";
    retrieve_notifications_list_response: es10b::RetrieveNotificationsListResponse =
        "bf2b03810101";
    notification_sent_request: es10b::NotificationSentRequest =
        "bf300480020082";
    profile_info_list_request: es10c::ProfileInfoListRequest =
        "bf2d0aa0039501025c035a9f70";
    profile_info_list_response: es10c::ProfileInfoListResponse =
        "bf2d4ca04ae3485a0a980010325476981032144f10a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a09f70010190016e950100b6"
        "093007800204f0810161b708800300f110810101b805800388370a99020520";
    enable_profile_request: es10c::EnableProfileRequest =
        "bf3111a00c5a0a980010325476981032148101ff";
    disable_profile_request: es10c::DisableProfileRequest =
        "bf3217a0124f10a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0810100";
    enable_profile_response: es10c::EnableProfileResponse =
        "bf3103800102";
    delete_profile_request: es10c::DeleteProfileRequest =
        "bf33124f10a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0";
    euicc_memory_reset_request: es10c::EuiccMemoryResetRequest =
        "bf3404820205a0";
    get_euicc_data_request: es10c::GetEuiccDataRequest =
        "bf3e035c015a";
    set_nickname_request: es10c::SetNicknameRequest =
        "bf29125a0a980010325476981032149004686f6d65";
    get_rat_response: es10b::GetRatResponse =
        "bf4315a013301180020560a10730058003eeeeee82020780";
    configureisdp_request: es8plus::ConfigureIsdpRequest =
        "bf2407b805800388370a";
    store_metadata_request: es8plus::StoreMetadataRequest =
        "bf25335a0a98001032547698103214910273709202706e930101940189950102b609300780020780810161b705800300"
        "f11099020640";
    initialise_secure_channel_request: es8plus::InitialiseSecureChannelRequest =
        "bf2381ae82010180100102030405060708090a0b0c0d0e0f10a610800188810110840807070707070707075f49410405"
        "050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505"
        "0505050505050505050505050505055f3740090909090909090909090909090909090909090909090909090909090909"
        "09090909090909090909090909090909090909090909090909090909090909090909";
    bound_profile_package: es8plus::BoundProfilePackage =
        "bf3681c8bf2381ae82010180100102030405060708090a0b0c0d0e0f10a610800188810110840807070707070707075f"
        "494104050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505"
        "050505050505050505050505050505050505055f37400909090909090909090909090909090909090909090909090909"
        "0909090909090909090909090909090909090909090909090909090909090909090909090909a0058703010101a10888"
        "03020202880103a303860104";
    profile_installation_result: es8plus::ProfileInstallationResult =
        "bf378194bf274e80100102030405060708090a0b0c0d0e0f10bf2f2680020082810204400c10736d64702e6578616d70"
        "6c652e636f6d5a0a98001032547698103214060388370aa20ca10a80010581010c820230005f37400909090909090909"
        "090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909"
        "0909090909090909";
    euicc_configured_addresses_response: es10b::EuiccConfiguredAddressesResponse =
        "bf3c06800164810172";
    set_default_dp_address_request: es10b::SetDefaultDpAddressRequest =
        "bf3f028000";
    initiate_authentication_request: es9plus::InitiateAuthenticationRequest =
        "bf3921811003030303030303030303030303030303830161bf20098203020200a900aa00";
    initiate_authentication_request_es11: es11::InitiateAuthenticationRequest =
        "bf3921811003030303030303030303030303030303830161bf20098203020200a900aa00";
}

#[test]
fn values_decode_into_the_right_fields() {
    let info: EuiccInfo2 = same_octets("EUICCInfo2", EUICC_INFO2);
    assert_eq!(info.svn.to_string(), "2.2.2");
    assert_eq!(info.profile_version.to_string(), "2.3.1");
    assert_eq!(
        info.rsp_capability,
        BitString::of(&[rsp_capability::ADDITIONAL_PROFILE, rsp_capability::TEST_PROFILE])
    );
    assert_eq!(info.euicc_category.map(|category| category.0), Some(2));
    assert_eq!(info.sas_accreditation_number, "SAS-1");
    assert_eq!(info.certification_data_object.unwrap().discovery_base_url, "u");

    let result: es8plus::ProfileInstallationResult = same_octets("ProfileInstallationResult", PIR);
    let data = result.profile_installation_result_data;
    assert_eq!(data.notification_metadata.seq_number, 130);
    assert_eq!(data.notification_metadata.iccid.unwrap().to_string(), "89000123456789012341");
    assert_eq!(data.smdp_oid.as_ref().unwrap().to_string(), "2.999.10");
    let es8plus::FinalResult::ErrorResult(error) = &data.final_result else {
        panic!("the encoded result is an error")
    };
    assert_eq!(error.bpp_command_id, es8plus::BppCommandId::LOAD_PROFILE_ELEMENTS);
    assert_eq!(error.error_reason, es8plus::ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR);

    let keys = es8plus::ReplaceSessionKeysRequest::from_der(&hex::decode(KEYS).unwrap()).unwrap();
    assert_eq!((keys.initial_mac_chaining_value, keys.ppk_enc, keys.ppk_cmac), ([1; 16], [2; 16], [3; 16]));
    assert_eq!(hex::encode(keys.to_der()), KEYS);
}

#[test]
fn a_bound_profile_package_is_split_as_the_standard_requires() {
    let bpp = hex::decode(BPP).unwrap();
    let pieces = es8plus::store_data_segments(&bpp).unwrap();
    assert_eq!(pieces.concat(), bpp, "the pieces contain the whole package");
    let tails: Vec<String> = pieces[1..].iter().map(hex::encode).collect();
    assert_eq!(tails, ["a0058703010101", "a108", "8803020202", "880103", "a303", "860104"]);
    assert!(hex::encode(&pieces[0]).starts_with("bf3681c8bf2381ae"));
}

const EUICC_INFO2: &str = concat!(
    "bf2277810302030182030202028303010000840d810100820400010000830210008503017f36870302030088020490a9",
    "1604141111111111111111111111111111111111111111aa16041411111111111111111111111111111111111111118b",
    "01029902056004030100000c055341532d31ac06800170810175",
);
const PIR: &str = concat!(
    "bf378194bf274e80100102030405060708090a0b0c0d0e0f10bf2f2680020082810204400c10736d64702e6578616d70",
    "6c652e636f6d5a0a98001032547698103214060388370aa20ca10a80010581010c820230005f37400909090909090909",
    "090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909",
);
const KEYS: &str = concat!(
    "bf2636801001010101010101010101010101010101811002020202020202020202020202020202821003030303030303",
    "030303030303030303",
);
const BPP: &str = concat!(
    "bf3681c8bf2381ae82010180100102030405060708090a0b0c0d0e0f10a610800188810110840807070707070707075f",
    "494104050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505",
    "050505050505050505050505050505050505055f37400909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909090909090909090909090909090909090909090909090909a0058703010101a10888",
    "03020202880103a303860104",
);
