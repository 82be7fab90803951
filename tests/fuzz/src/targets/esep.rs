//! ESep and ES10b of an IoT eUICC: the input is a series of commands for a card in use. A package is
//! sent as it is, and signed again by its eIM.
//!
//! After each input, the card must list its profiles, must not execute a package again, and must refuse
//! a package of the eIM with a counter that was used.

use rsp::der::{Asn1, BitString, Null, Reader};
use rsp::sgp22::es10b::{EuiccConfiguredAddressesRequest, GetEuiccInfo2Request};
use rsp::sgp22::es10c::{ProfileInfoListRequest, RefreshFlag};
use rsp::sgp32::EuiccPackageResult;
use rsp::sgp32::es10b::{
    AddInitialEimRequest, ConfigureImmediateProfileEnablingRequest, DisableEmergencyProfileRequest,
    EnableEmergencyProfileRequest, EuiccMemoryResetRequest, ExecuteFallbackMechanismRequest, GetCertsRequest,
    GetConnectivityParametersRequest, GetEimConfigurationDataRequest, ImmediateEnableRequest,
    IpaeActivationRequest, NotificationSearch, NotificationSentRequest, ProfileRollbackRequest,
    RetrieveNotificationsListRequest, ReturnFromFallbackRequest, SetDefaultDpAddressRequest,
};
use rsp::sgp32::package::{
    Delete, DeleteEim, Disable, Eco, Enable, EuiccPackage, GetRat, ListEim, Psmo, SetFallbackAttribute,
    UnsetFallbackAttribute,
};
use rsp::sgp32::{EimConfigurationData, KeyOrCertificate, SubjectPublicKeyInfo};

use crate::iot::{EIM_ID, EUICC};

/// Maximum commands of one input.
const MAX_COMMANDS: usize = 8;

pub(crate) fn run(octets: &[u8]) -> bool {
    let mut card = EUICC.card().expect("the card can be opened");
    let mut is_accepted = false;
    let mut last = 0;
    for command in commands(octets) {
        let answer = card.es10(command);
        is_accepted |= answer.is_some();
        let again = EUICC.sign_again(command).filter(|again| again != command);
        let answers = [answer, again.and_then(|again| card.es10(&again))];
        for result in answers.iter().flatten() {
            last = last.max(counter(result));
        }
    }
    card.check();
    if last > 0 {
        let package = EUICC.package(last, EuiccPackage::of_psmos([Psmo::GetRat(GetRat {})]));
        let answer = card.es10(&package.to_der());
        assert_eq!(answer.map_or(0, |result| counter(&result)), 0, "the counter {last} was used before");
    }
    is_accepted
}

/// The counter of a signed result; 0 if the package was not executed.
fn counter(response: &[u8]) -> i64 {
    match EuiccPackageResult::from_der(response) {
        Ok(EuiccPackageResult::EuiccPackageResultSigned(result)) => {
            result.euicc_package_result_data_signed.counter_value
        }
        _ => 0,
    }
}

/// The data objects of the input. Octets that are none are the last command.
fn commands(octets: &[u8]) -> Vec<&[u8]> {
    let mut commands = Vec::new();
    let mut reader = Reader::new(octets);
    while commands.len() < MAX_COMMANDS
        && let Ok(command) = reader.whole_tlv()
    {
        commands.push(command);
    }
    commands.extend(Some(reader.rest()).filter(|rest| !rest.is_empty()));
    commands
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let [first, second] = EUICC.iccids;
    let flag = RefreshFlag(true);
    let enable = |iccid| Psmo::Enable(Enable { iccid, rollback_flag: Some(Null) });
    let package = |counter, psmos: Vec<Psmo>| EUICC.package(counter, EuiccPackage::of_psmos(psmos)).to_der();
    let ecos = |counter, ecos: Vec<Eco>| EUICC.package(counter, EuiccPackage::of_ecos(ecos)).to_der();
    let key = KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(certs::subject_public_key_info(
        &EUICC.eim_key.public_key(),
    )));
    let other = EimConfigurationData {
        eim_id: "eim-2".to_owned(),
        counter_value: Some(0),
        association_token: Some(EimConfigurationData::TOKEN_REQUESTED),
        eim_public_key_data: Some(key),
        ..EimConfigurationData::default()
    };
    let own = EimConfigurationData {
        eim_id: EIM_ID.to_owned(),
        counter_value: Some(7),
        ..EimConfigurationData::default()
    };
    let reads = [
        GetEuiccInfo2Request {}.to_der(),
        EuiccConfiguredAddressesRequest {}.to_der(),
        ProfileInfoListRequest { search_criteria: None, tag_list: None }.to_der(),
        GetCertsRequest { euicc_ci_pk_id: None }.to_der(),
        GetEimConfigurationDataRequest { search_criteria: None }.to_der(),
        GetConnectivityParametersRequest {}.to_der(),
        IpaeActivationRequest { ipae_option: BitString::of(&[0]) }.to_der(),
    ];
    let results = RetrieveNotificationsListRequest {
        search_criteria: Some(NotificationSearch::EuiccPackageResults(Null)),
    };
    vec![
        package(
            1,
            vec![Psmo::ListProfileInfo(ProfileInfoListRequest {
                search_criteria: None,
                tag_list: Some(vec![0x5A, 0x9F, 0x70]),
            })],
        ),
        package(2, vec![Psmo::GetRat(GetRat {}), enable(first)]),
        [
            package(1, vec![enable(first)]),
            package(2, vec![Psmo::Disable(Disable { iccid: first }), enable(second)]),
            ProfileRollbackRequest { refresh_flag: flag }.to_der(),
            results.to_der(),
            NotificationSentRequest { seq_number: 3 }.to_der(),
        ]
        .concat(),
        [
            package(
                3,
                vec![
                    Psmo::SetFallbackAttribute(SetFallbackAttribute { iccid: second }),
                    Psmo::UnsetFallbackAttribute(UnsetFallbackAttribute {}),
                    Psmo::Delete(Delete { iccid: first }),
                ],
            ),
            ExecuteFallbackMechanismRequest { refresh_flag: flag }.to_der(),
            ReturnFromFallbackRequest { refresh_flag: flag }.to_der(),
        ]
        .concat(),
        [
            ecos(
                5,
                vec![
                    Eco::AddEim(Box::new(other.clone())),
                    Eco::UpdateEim(Box::new(own)),
                    Eco::ListEim(ListEim {}),
                ],
            ),
            ecos(8, vec![Eco::DeleteEim(DeleteEim { eim_id: EIM_ID.to_owned() })]),
        ]
        .concat(),
        [
            EuiccMemoryResetRequest { reset_options: BitString::of(&[0, 5]) }.to_der(),
            AddInitialEimRequest { eim_configuration_data_list: vec![other] }.to_der(),
        ]
        .concat(),
        [
            ConfigureImmediateProfileEnablingRequest {
                immediate_enable_flag: Some(Null),
                default_smdp_oid: None,
                default_smdp_address: Some("smdp.example.com".to_owned()),
            }
            .to_der(),
            ImmediateEnableRequest { refresh_flag: flag }.to_der(),
            SetDefaultDpAddressRequest { default_dp_address: "smdp.example.com".to_owned() }.to_der(),
            EnableEmergencyProfileRequest { refresh_flag: flag }.to_der(),
            DisableEmergencyProfileRequest { refresh_flag: flag }.to_der(),
        ]
        .concat(),
        reads.concat(),
    ]
}
