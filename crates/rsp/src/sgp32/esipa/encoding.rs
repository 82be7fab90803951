//! The encoding of messages for peers of each version of SGP.32.

use super::{
    super::{
        Version,
        ipa_data::{IpaEuiccData, IpaEuiccDataRequest, IpaEuiccDataResponse},
        notification::PendingNotificationList,
    },
    MessageFromEim, MessageFromIpa,
    package::{
        EimPackageResult, GetEimPackageRequest, GetEimPackageResponse, HandleNotificationRequest,
        ProvideEimPackageResultRequest, ProvideEimPackageResultResponse, TransferEimPackageRequest,
        TransferEimPackageResponse,
    },
};
use crate::{
    der::{Asn1, Null, Tag, tlv, tlv_bytes},
    ids::Eid,
    sequence,
};

impl MessageFromIpa {
    /// Encodes the message for an eIM of this version. Elements that the version does not have are left
    /// out.
    pub fn to_der_for(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V1_0 => for_first_eim(self.clone()),
            Version::V1_2 => without_correlation(self.clone()).to_der(),
            Version::V1_3 => self.to_der(),
        }
    }
}

impl MessageFromEim {
    /// Encodes the message for an IPA of this version. Elements that the version does not have are left
    /// out.
    pub fn to_der_for(&self, version: Version) -> Vec<u8> {
        if version > Version::V1_0 {
            return self.to_der();
        }
        match self.clone() {
            Self::ProvideEimPackageResultResponse(ProvideEimPackageResultResponse::EmptyResponse(_)) => {
                tlv_bytes(ProvideEimPackageResultResponse::TAG, &[])
            }
            Self::GetEimPackageResponse(GetEimPackageResponse::IpaEuiccDataRequest(request)) => {
                GetEimPackageResponse::IpaEuiccDataRequest(first_data_request(request)).to_der()
            }
            Self::TransferEimPackageRequest(TransferEimPackageRequest::IpaEuiccDataRequest(request)) => {
                TransferEimPackageRequest::IpaEuiccDataRequest(first_data_request(request)).to_der()
            }
            message => message.to_der(),
        }
    }
}

fn first_data_request(request: IpaEuiccDataRequest) -> IpaEuiccDataRequest {
    IpaEuiccDataRequest { search_criteria_euicc_package_result: None, eim_transaction_id: None, ..request }
}

/// Replaces the alternatives of v1.3 by those of v1.2.
fn without_correlation(message: MessageFromIpa) -> MessageFromIpa {
    match message {
        MessageFromIpa::TransferEimPackageResponse(response) => {
            MessageFromIpa::TransferEimPackageResponse(match response {
                TransferEimPackageResponse::EimPackageReceivedWithCid(_) => {
                    TransferEimPackageResponse::EimPackageReceived(Null)
                }
                TransferEimPackageResponse::EimPackageErrorWithCid(error) => {
                    TransferEimPackageResponse::EimPackageError(error.eim_package_error)
                }
                response => response,
            })
        }
        message => message,
    }
}

sequence! {
    /// GetEimPackageRequest of v1.0, in which rPLMN has the tag of stateChangeCause.
    struct FirstGetEimPackageRequest = 0xBF4F {
        eid_value: Eid = 0x5A,
        notify_state_change: Option<Null> = 0x80,
        r_plmn: Option<[u8; 3]> = 0x81,
    }
}

/// The list of notifications in v1.0: BF2B around the list of v1.2.
const FIRST_LIST: Tag = PendingNotificationList::V1_0;

/// Encodes a message for an eIM of v1.0.
fn for_first_eim(message: MessageFromIpa) -> Vec<u8> {
    match without_correlation(message) {
        MessageFromIpa::InitiateAuthenticationRequest(mut request) => {
            request.eim_transaction_id = None;
            request.to_der()
        }
        MessageFromIpa::GetEimPackageRequest(GetEimPackageRequest {
            eid_value,
            notify_state_change,
            r_plmn,
            ..
        }) => FirstGetEimPackageRequest { eid_value, notify_state_change, r_plmn }.to_der(),
        MessageFromIpa::HandleNotification(HandleNotificationRequest::PendingNotification(notification)) => {
            HandleNotificationRequest::PendingNotificationV1_0(notification).to_der()
        }
        MessageFromIpa::HandleNotification(HandleNotificationRequest::ProvideEimPackageResult(result)) => {
            tlv_bytes(HandleNotificationRequest::TAG, &first_result(&result.eim_package_result))
        }
        MessageFromIpa::ProvideEimPackageResult(result) => first_result(&result.eim_package_result),
        message => message.to_der(),
    }
}

/// Encodes ProvideEimPackageResult of v1.0: a tagged CHOICE without the EID.
fn first_result(result: &EimPackageResult) -> Vec<u8> {
    let alternative = match result {
        EimPackageResult::EprAndNotifications(both) => {
            let mut contents = both.euicc_package_result.to_der();
            both.notification_list.encode_as(FIRST_LIST, &mut contents);
            tlv_bytes(Tag::SEQUENCE, &contents)
        }
        EimPackageResult::IpaEuiccDataResponse(response) => first_data_response(response),
        EimPackageResult::EimPackageResultResponseError(error) => {
            EimPackageResult::EimPackageError(error.eim_package_result_error_code).to_der()
        }
        result => result.to_der(),
    };
    tlv_bytes(ProvideEimPackageResultRequest::TAG, &alternative)
}

/// Encodes IpaEuiccDataResponse of v1.0.
fn first_data_response(response: &IpaEuiccDataResponse) -> Vec<u8> {
    match response {
        IpaEuiccDataResponse::IpaEuiccData(data) => {
            let mut rest = IpaEuiccData {
                notifications_list: None,
                notifications_list_v1_0: data.notifications_list.clone(),
                default_smdp_address: None,
                euicc_package_result_list: None,
                eim_transaction_id: None,
                ..(**data).clone()
            }
            .to_der();
            let mut contents = Vec::new();
            data.default_smdp_address.encode_as(FIRST_DEFAULT_SMDP_ADDRESS, &mut contents);
            contents.extend(tlv::split(&rest).map(|(_, contents)| contents).unwrap_or_default());
            rest = tlv_bytes(FIRST_DATA, &contents);
            tlv_bytes(IpaEuiccDataResponse::TAG, &rest)
        }
        IpaEuiccDataResponse::IpaEuiccDataResponseError(error) => {
            IpaEuiccDataResponse::IpaEuiccDataError(error.ipa_euicc_data_error_code).to_der()
        }
        response @ IpaEuiccDataResponse::IpaEuiccDataError(_) => response.to_der(),
    }
}

/// The tag of ipaEuiccData in its CHOICE.
const FIRST_DATA: Tag = Tag(0xA0);
/// The tag of defaultSmdpAddress in v1.0.
const FIRST_DEFAULT_SMDP_ADDRESS: Tag = Tag(0x80);
