//! All functions of the card: the number of their writes, their response, and the response to a
//! repetition.

use certs::CrlPlan;
use crypto::Curve;
use crypto::aka::{Algorithm, Amf, Sqn};
use crypto::milenage::{Milenage, opc};
use profile::element::{Fcp, FileManagement, GenericFileManagement, PeHeader, ProprietaryInfo};
use profile::generic::Subscription;
use profile::{Fid, Octets, Package, ProfileElement, generic};
use rsp::der::{Asn1, BitString, Raw, Unknown};
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, InitialiseSecureChannelRequest, ProfileInstallationResult, StoreMetadataRequest,
    store_data_segments,
};
use rsp::sgp22::es10b::{
    CancelSessionRequest, CancelSessionResponse, CertificateList, LoadCrlRequest, LoadCrlResponse,
    NotificationSentRequest, NotificationSentResponse, PrepareDownloadResponse, SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DisableProfileRequest, DisableProfileResponse,
    EnableProfileRequest, EnableProfileResponse, EuiccMemoryResetRequest, EuiccMemoryResetResponse,
    RefreshFlag, SetNicknameRequest, SetNicknameResponse, reset_options,
};
use rsp::sgp22::{CancelSessionReason, ProfileIdentifier};

use super::super::profiles::REFRESHES;
use super::super::server::{Server, outcome, try_send};
use super::super::testbed::Testbed;
use super::test_package;

/// The function of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Function {
    /// A function of ES10, by its tag.
    Es10(u16),
    /// ES10b.LoadBoundProfilePackage, which has no tag of its own.
    Loading,
    /// A command of the UICC, by its instruction.
    Uicc(u8),
}

/// A function of the card with its expected behaviour.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) function: Function,
    pub(super) name: &'static str,
    /// The number of memory writes.
    pub(super) writes: usize,
    /// The conversation. Returns its last response, or an error if the memory or the power failed.
    pub(super) act: fn(&mut Testbed) -> Result<String, String>,
    /// The response on the card of [`super::START`].
    pub(super) answer: &'static str,
    /// Other permitted responses to a repetition.
    pub(super) again: &'static [&'static str],
}

/// The profile that the rows download.
pub(super) const DOWNLOADED: u8 = 4;

pub(super) const SELECT_USIM: &str = "00A4040C07A0000000871002";

use Function::{Es10, Loading, Uicc};

/// Functions that only read or change only volatile state. They write nothing.
pub(super) const NON_WRITING: &[Function] = &[
    // EuiccConfiguredAddresses, GetEUICCInfo1 and 2, ListNotification, RetrieveNotificationsList.
    Es10(0xBF3C),
    Es10(0xBF20),
    Es10(0xBF22),
    Es10(0xBF28),
    Es10(0xBF2B),
    // GetProfilesInfo, GetEUICCChallenge, AuthenticateServer, GetRAT, GetEID.
    Es10(0xBF2D),
    Es10(0xBF2E),
    Es10(0xBF38),
    Es10(0xBF43),
    Es10(0xBF3E),
    // SELECT, STATUS, MANAGE CHANNEL, GET RESPONSE.
    Uicc(0xA4),
    Uicc(0xF2),
    Uicc(0x70),
    Uicc(0xC0),
    // READ BINARY, READ RECORD, SEARCH RECORD, RETRIEVE DATA.
    Uicc(0xB0),
    Uicc(0xB2),
    Uicc(0xA2),
    Uicc(0xCB),
    // TERMINAL CAPABILITY, TERMINAL PROFILE, FETCH; the rows of ES10 include the writes of TERMINAL
    // RESPONSE.
    Uicc(0xAA),
    Uicc(0x10),
    Uicc(0x12),
    Uicc(0x14),
    // GET IDENTITY, GET CHALLENGE, ENVELOPE.
    Uicc(0x78),
    Uicc(0x84),
    Uicc(0xC2),
];

const fn row(
    function: Function,
    name: &'static str,
    writes: usize,
    answer: &'static str,
    again: &'static [&'static str],
    act: fn(&mut Testbed) -> Result<String, String>,
) -> Row {
    Row { function, name, writes, act, answer, again }
}

/// All functions that write.
pub(super) static ROWS: &[Row] = &[
    row(Es10(0xBF3F), "SetDefaultDpAddress", 1, "0", &[], |testbed| {
        set_default_dp_address(testbed, "new.example.com")
    }),
    row(Es10(0xBF3F), "SetDefaultDpAddress, removal", 1, "0", &[], |testbed| {
        set_default_dp_address(testbed, "")
    }),
    row(Es10(0xBF29), "SetNickname", 1, "0", &[], |testbed| set_nickname(testbed, "Work")),
    row(Es10(0xBF29), "SetNickname, then removal", 2, "0", &[], |testbed| {
        set_nickname(testbed, "Work")?;
        set_nickname(testbed, "")
    }),
    row(Es10(0xBF31), "EnableProfile", 1, "0", &["2"], |testbed| enable(testbed, 2, false)),
    row(Es10(0xBF31), "EnableProfile, then REFRESH", 2, "9000", &["2", "9000"], |testbed| {
        command_at(testbed, REFRESHES)?;
        then(enable(testbed, 2, true)?, |_| refresh(testbed))
    }),
    row(Es10(0xBF31), "EnableProfile, then a reset", 2, "0", &["2"], |testbed| {
        then(enable(testbed, 2, true)?, |answer| reset(testbed, answer))
    }),
    row(Es10(0xBF31), "EnableProfile of a test profile and back", 2, "0", &["2", "3"], |testbed| {
        enable(testbed, 3, false)?;
        enable(testbed, 1, false)
    }),
    row(Es10(0xBF32), "DisableProfile", 1, "0", &["2"], |testbed| disable(testbed, 1, false)),
    row(Es10(0xBF32), "DisableProfile, then REFRESH", 2, "9000", &["2"], |testbed| {
        command_at(testbed, REFRESHES)?;
        then(disable(testbed, 1, true)?, |_| refresh(testbed))
    }),
    row(Es10(0xBF32), "DisableProfile, then a reset", 2, "0", &["2"], |testbed| {
        then(disable(testbed, 1, true)?, |answer| reset(testbed, answer))
    }),
    row(Es10(0xBF33), "DeleteProfile", 1, "0", &["1"], |testbed| delete(testbed, 2)),
    row(Es10(0xBF33), "DeleteProfile of all, one after the other", 4, "0", &["1", "2"], |testbed| {
        disable(testbed, 1, false)?;
        delete(testbed, 1)?;
        delete(testbed, 2)?;
        delete(testbed, 3)
    }),
    row(Es10(0xBF34), "eUICCMemoryReset, operational", 1, "0", &["1"], |testbed| memory_reset(testbed, &[0])),
    row(Es10(0xBF34), "eUICCMemoryReset, test", 1, "0", &["1"], |testbed| memory_reset(testbed, &[1])),
    row(Es10(0xBF34), "eUICCMemoryReset, address", 1, "0", &["1"], |testbed| memory_reset(testbed, &[2])),
    row(Es10(0xBF34), "eUICCMemoryReset, profiles", 1, "0", &["1"], |testbed| memory_reset(testbed, &[0, 1])),
    row(Es10(0xBF34), "eUICCMemoryReset, operational and address", 1, "0", &["1"], |testbed| {
        memory_reset(testbed, &[0, 2])
    }),
    row(Es10(0xBF34), "eUICCMemoryReset, test and address", 1, "0", &["1"], |testbed| {
        memory_reset(testbed, &[1, 2])
    }),
    row(Es10(0xBF34), "eUICCMemoryReset, everything", 1, "0", &["1"], |testbed| {
        const {
            assert!(reset_options::DELETE_OPERATIONAL_PROFILES == 0);
            assert!(reset_options::DELETE_FIELD_LOADED_TEST_PROFILES == 1);
            assert!(reset_options::RESET_DEFAULT_SMDP_ADDRESS == 2);
        }
        memory_reset(testbed, &[0, 1, 2])
    }),
    row(Es10(0xBF30), "RemoveNotificationFromList", 1, "0", &["1"], |testbed| {
        let request = NotificationSentRequest { seq_number: 1 };
        let response: NotificationSentResponse = testbed.try_call(&request)?;
        Ok(response.delete_notification_status.0.to_string())
    }),
    row(Es10(0xBF21), "PrepareDownload", 1, "prepared", &[], |testbed| {
        prepare(testbed).map(|_| "prepared".to_owned())
    }),
    row(Es10(0xBF35), "LoadCRL", 1, "loaded", &[], |testbed| {
        let plan = CrlPlan { number: 2, ..CrlPlan::default() };
        let crl = CertificateList(testbed.pki.crl(Curve::P256, &plan).unwrap());
        match testbed.try_call(&LoadCrlRequest { crl })? {
            LoadCrlResponse::LoadCrlResponseOk(_) => Ok("loaded".to_owned()),
            LoadCrlResponse::LoadCrlResponseError(error) => Ok(format!("{error:?}")),
        }
    }),
    row(Es10(0xBF41), "CancelSession", 1, "cancelled", &[], |testbed| {
        prepare(testbed)?;
        let transaction_id = server(testbed).transaction_id;
        let request = CancelSessionRequest { transaction_id, reason: CancelSessionReason::POSTPONED };
        match testbed.try_call(&request)? {
            CancelSessionResponse::CancelSessionResponseOk(_) => Ok("cancelled".to_owned()),
            CancelSessionResponse::CancelSessionResponseError(code) => Ok(code.0.to_string()),
        }
    }),
    // The two writes are the one-time key, and the profile with its notification.
    row(Loading, "LoadBoundProfilePackage", 2, "installed", &["2 9"], |testbed| {
        load(testbed, |_| {}, |_| {}, |_| {})
    }),
    row(Loading, "LoadBoundProfilePackage of another session", 2, "0 3", &[], |testbed| {
        load(testbed, |request| request.transaction_id = TransactionId(vec![7]), |_| {}, |_| {})
    }),
    row(Loading, "LoadBoundProfilePackage with a forged signature", 2, "0 2", &[], |testbed| {
        load(
            testbed,
            |_| {},
            |_| {},
            |package| {
                let mut request = package.initialise_secure_channel_request.clone().into_value();
                request.smdp_sign[0] ^= 1;
                package.initialise_secure_channel_request = Raw::new(request);
            },
        )
    }),
    row(Loading, "LoadBoundProfilePackage with an altered first segment", 2, "1 8", &[], |testbed| {
        load(testbed, |_| {}, |_| {}, |package| alter_last_octet(&mut package.first_sequence_of87.0[0]))
    }),
    row(Loading, "LoadBoundProfilePackage with altered metadata", 2, "2 8", &[], |testbed| {
        load(testbed, |_| {}, |_| {}, |package| alter_last_octet(&mut package.sequence_of88.0[0]))
    }),
    row(Loading, "LoadBoundProfilePackage with too long metadata", 2, "2 1", &[], |testbed| {
        load(testbed, |_| {}, |metadata| metadata.profile_name = "x".repeat(65), |_| {})
    }),
    row(Loading, "LoadBoundProfilePackage with an existing ICCID", 2, "2 9", &[], |testbed| {
        load(testbed, |_| {}, |metadata| metadata.iccid = test_package(1).iccid(), |_| {})
    }),
    row(Loading, "LoadBoundProfilePackage with altered keys", 2, "4 8", &[], |testbed| {
        load(
            testbed,
            |_| {},
            |_| {},
            |package| alter_last_octet(&mut package.second_sequence_of87.as_mut().unwrap().0[0]),
        )
    }),
    row(Loading, "LoadBoundProfilePackage with an altered last segment", 2, "5 8", &[], |testbed| {
        load(testbed, |_| {}, |_| {}, |package| alter_last_octet(package.sequence_of86.0.last_mut().unwrap()))
    }),
    row(Loading, "LoadBoundProfilePackage with another profile", 2, "5 13", &[], |testbed| {
        load(testbed, |_| {}, |metadata| metadata.iccid = test_package(5).iccid(), |_| {})
    }),
    row(Uicc(0xD6), "UPDATE BINARY", 1, "9000", &[], |testbed| {
        commands(testbed, &["00A4000C022F20", "00D6000203112233"])
    }),
    row(Uicc(0xD6), "UPDATE BINARY twice, and back", 3, "9000", &[], |testbed| {
        commands(testbed, &["00A4000C022F20", "00D6000001AA", "00D6000701BB", "00D6000001FF"])
    }),
    row(Uicc(0xDC), "UPDATE RECORD", 1, "9000", &[], |testbed| {
        commands(testbed, &["00A4000C022F22", "00DC02040401020304"])
    }),
    row(Uicc(0xDC), "UPDATE RECORD of a cyclic EF", 2, "9000", &[], |testbed| {
        commands(testbed, &["00A4000C022F21", "00DC000303000005", "00DC000303000006"])
    }),
    row(
        Uicc(0x32),
        "INCREASE",
        2,
        "0000030000019000",
        &["0000040000019000", "0000050000019000"],
        |testbed| commands(testbed, &["00A4000C022F21", "803200000300000100", "803200000300000100"]),
    ),
    row(Uicc(0xDB), "SET DATA, replaced and deleted", 3, "9000", &[], |testbed| {
        commands(testbed, &["00A4000C022F23", "80DB00800480021122", "80DB008003800133", "80DB00800180"])
    }),
    row(Uicc(0x04), "DEACTIVATE FILE", 1, "9000", &[], |testbed| commands(testbed, &["00040000022F20"])),
    row(Uicc(0x44), "ACTIVATE FILE", 2, "9000", &[], |testbed| {
        commands(testbed, &["00040000022F20", "00440000022F20"])
    }),
    // PIN1 is disabled and has three attempts; ADM1 has ten.
    row(Uicc(0x20), "VERIFY, wrong and then right", 2, "9000", &[], |testbed| {
        let refused = command(testbed, "0020000A083131313131313131")?;
        assert!(refused.starts_with("63C"), "{refused}");
        command(testbed, "0020000A083535353535353535")
    }),
    row(Uicc(0x20), "VERIFY, wrong", 1, "63C9", &["63C8"], |testbed| {
        command(testbed, "0020000A083131313131313131")
    }),
    row(Uicc(0x24), "CHANGE PIN", 1, "9000", &["63C9"], |testbed| {
        command(testbed, "0024000A1035353535353535353131313131313131")
    }),
    row(Uicc(0x28), "ENABLE PIN", 1, "9000", &["6984"], |testbed| {
        command(testbed, "002800010830303030FFFFFFFF")
    }),
    row(Uicc(0x26), "DISABLE PIN", 2, "9000", &[], |testbed| {
        commands(testbed, &["!002800010830303030FFFFFFFF", "002600010830303030FFFFFFFF"])
    }),
    row(Uicc(0x2C), "UNBLOCK PIN", 1, "9000", &[], |testbed| {
        command(testbed, "002C000110313131313131313134343434FFFFFFFF")
    }),
    row(Uicc(0x2C), "UNBLOCK PIN, wrong", 1, "63C9", &["63C8"], |testbed| {
        command(testbed, "002C000110323232323232323234343434FFFFFFFF")
    }),
    // A repetition of RAND and AUTN is a synchronisation failure.
    row(Uicc(0x88), "AUTHENTICATE", 1, "DB", &["DC"], |testbed| authenticate(testbed, 33)),
    row(Uicc(0x88), "AUTHENTICATE twice", 2, "DB", &["DC"], |testbed| {
        authenticate(testbed, 33)?;
        authenticate(testbed, 66)
    }),
];

/// A package built by the test, with files of every structure that can be changed without a PIN.
pub(super) fn package(number: u8) -> Package {
    let key = key(number);
    let mut package = generic(&Subscription {
        iccid: iccid(number).to_profile_header(),
        imsi: format!("0010100000000{number:02}"),
        key,
        opc: opc(&key, &[0x11; 16]),
        ..Subscription::default()
    });
    let rule = "80015B9000840132900084015A9000";
    let commands = vec![
        create(0x2F10, "42210020", "20", |_| {}),
        FileManagement::FillFileContent(Octets::from_hex(&format!("{rule:F<64}")).unwrap()),
        create(0x2F20, "4121", "08", |_| {}),
        create(0x2F21, "46210003", "09", |_| {}),
        FileManagement::FillFileContent(Octets::from_hex("000001000000000000").unwrap()),
        create(0x2F22, "42210004", "08", |_| {}),
        create(0x2F23, "7921", "", |fcp| {
            let maximum_file_size = Octets::from_hex("40");
            fcp.proprietary_ef_info =
                Some(ProprietaryInfo { maximum_file_size, ..ProprietaryInfo::default() });
        }),
    ];
    let header = PeHeader::mandated(99);
    let element = GenericFileManagement { header, commands: vec![commands], unknown: Unknown::default() };
    let end = package.elements.len() - 1;
    package.elements.insert(end, ProfileElement::GenericFileManagement(element));
    package
}

fn create(fid: u16, descriptor: &str, size: &str, change: impl FnOnce(&mut Fcp)) -> FileManagement {
    let mut fcp = Fcp {
        file_id: Some(Fid(fid)),
        file_descriptor: Octets::from_hex(descriptor),
        ef_file_size: Octets::from_hex(size).filter(|size| !size.is_empty()),
        security_attributes_referenced: Some([0x2F, 0x10, 1].into()),
        short_ef_id: Some(Octets::default()),
        ..Fcp::default()
    };
    change(&mut fcp);
    FileManagement::CreateFcp(Box::new(fcp))
}

fn iccid(number: u8) -> Iccid {
    Iccid::with_luhn(&format!("8900012345678901{number:02}")).unwrap()
}

/// Number 3 is a test profile and has the well-known test key.
fn key(number: u8) -> [u8; 16] {
    if number == 3 { std::array::from_fn(|octet| u8::try_from(octet).unwrap()) } else { [number; 16] }
}

/// Continues if the response is the expected one.
fn then(answer: String, next: impl FnOnce(String) -> Result<String, String>) -> Result<String, String> {
    if answer == "0" { next(answer) } else { Ok(answer) }
}

fn set_default_dp_address(testbed: &mut Testbed, address: &str) -> Result<String, String> {
    let request = SetDefaultDpAddressRequest { default_dp_address: address.to_owned() };
    let response: SetDefaultDpAddressResponse = testbed.try_call(&request)?;
    Ok(response.set_default_dp_address_result.0.to_string())
}

fn set_nickname(testbed: &mut Testbed, nickname: &str) -> Result<String, String> {
    let request = SetNicknameRequest { iccid: iccid(1), profile_nickname: nickname.to_owned() };
    let response: SetNicknameResponse = testbed.try_call(&request)?;
    Ok(response.set_nickname_result.0.to_string())
}

fn enable(testbed: &mut Testbed, number: u8, refresh_flag: bool) -> Result<String, String> {
    let profile_identifier = ProfileIdentifier::Iccid(iccid(number));
    let response: EnableProfileResponse = testbed
        .try_call(&EnableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(refresh_flag) })?;
    Ok(response.enable_result.0.to_string())
}

fn disable(testbed: &mut Testbed, number: u8, refresh_flag: bool) -> Result<String, String> {
    let profile_identifier = ProfileIdentifier::Iccid(iccid(number));
    let response: DisableProfileResponse = testbed
        .try_call(&DisableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(refresh_flag) })?;
    Ok(response.disable_result.0.to_string())
}

fn delete(testbed: &mut Testbed, number: u8) -> Result<String, String> {
    let response: DeleteProfileResponse = testbed.try_call(&DeleteProfileRequest::Iccid(iccid(number)))?;
    Ok(response.delete_result.0.to_string())
}

fn memory_reset(testbed: &mut Testbed, options: &[usize]) -> Result<String, String> {
    let request = EuiccMemoryResetRequest { reset_options: BitString::of(options) };
    let response: EuiccMemoryResetResponse = testbed.try_call(&request)?;
    Ok(response.reset_result.0.to_string())
}

/// Performs the announced REFRESH.
fn refresh(testbed: &mut Testbed) -> Result<String, String> {
    command_at(testbed, "801200000B")?;
    command_at(testbed, "801400000C810301010482028281830100")
}

/// Resets the card instead of performing the REFRESH.
fn reset(testbed: &mut Testbed, answer: String) -> Result<String, String> {
    if testbed.power == Some(0) {
        return Err("no power".to_owned());
    }
    testbed.reset();
    Ok(answer)
}

fn server(testbed: &Testbed) -> Server {
    Server::new(testbed, Curve::P256)
}

fn prepare(testbed: &mut Testbed) -> Result<PrepareDownloadResponse, String> {
    let server = server(testbed);
    server.try_prepare(testbed)
}

/// A complete download of one more profile with modifications.
fn load(
    testbed: &mut Testbed,
    request: impl FnOnce(&mut InitialiseSecureChannelRequest),
    metadata: impl FnOnce(&mut StoreMetadataRequest),
    package: impl FnOnce(&mut BoundProfilePackage),
) -> Result<String, String> {
    let PrepareDownloadResponse::DownloadResponseOk(prepared) = prepare(testbed)? else {
        return Ok("not prepared".to_owned());
    };
    let mut test_package = test_package(DOWNLOADED);
    metadata(&mut test_package.metadata);
    let mut bound = server(testbed).bind_to(testbed, &prepared, &test_package, request);
    package(&mut bound);
    let result: Option<ProfileInstallationResult> =
        try_send(testbed, &store_data_segments(&bound.to_der()).unwrap())?;
    Ok(match outcome(&result.unwrap()) {
        Ok(()) => "installed".to_owned(),
        Err((command, reason)) => format!("{} {}", command.0, reason.0),
    })
}

fn alter_last_octet(segment: &mut [u8]) {
    *segment.last_mut().unwrap() ^= 1;
}

/// Sends a command to the USIM. A refusal is a response, a memory failure is an error.
fn command(testbed: &mut Testbed, command: &str) -> Result<String, String> {
    command_at(testbed, SELECT_USIM)?;
    command_at(testbed, command)
}

/// Sends commands to the MF and returns the last response. All must succeed except those that begin
/// with `!`.
fn commands(testbed: &mut Testbed, commands: &[&str]) -> Result<String, String> {
    let mut answer = command_at(testbed, "00A4000C023F00")?;
    for command in commands {
        answer = command_at(testbed, command.trim_start_matches('!'))?;
        assert!(command.starts_with('!') || answer.ends_with("9000"), "{command}: {answer}");
    }
    Ok(answer)
}

fn command_at(testbed: &mut Testbed, command: &str) -> Result<String, String> {
    match testbed.apdu(command) {
        answer if answer.is_empty() || answer == "6581" => Err(answer),
        answer => Ok(answer),
    }
}

/// Authenticates with this sequence number and returns the tag of the response.
fn authenticate(testbed: &mut Testbed, sqn: u64) -> Result<String, String> {
    let key = key(1);
    let algorithm = Algorithm::Milenage(Milenage::new(key, opc(&key, &[0x11; 16])));
    let ind = u8::try_from(sqn % 32).unwrap();
    let vector =
        algorithm.vector([0x23; 16], Sqn::from_seq_ind(sqn / 32, ind).unwrap(), Amf::from_bytes([0x80, 0]));
    let data = format!("10{}10{}", hex::encode(vector.rand), hex::encode(vector.autn.to_bytes()));
    let mut answer = command(testbed, &format!("0088008122{data}00"))?;
    answer.truncate(2);
    Ok(answer)
}
