//! ES3, SM-DP to SM-SR and back: SGP.02 section 5.4.
//!
//! There is no published schema for the additions of version 4: their elements are named after the
//! pattern of the others.

use super::{
    common::SubscriptionAddress,
    eis::{Eis, Pol2},
    function_macros::{function, notification, profile_notifications},
    shared_functions,
    shared_functions::interface,
    xml::Octets,
};
use crate::{
    ids::{Aid, Eid, Iccid, Oid},
    time::Timestamp,
};

interface! { 3:
    GetEis GetEisRequest GetEisResponse,
    AuditEis AuditEisRequest AuditEisResponse,
    UpdatePolicyRules UpdatePolicyRulesRequest UpdatePolicyRulesResponse,
    UpdateSubscriptionAddress UpdateSubscriptionAddressRequest UpdateSubscriptionAddressResponse,
    EnableProfile EnableProfileRequest EnableProfileResponse,
    DisableProfile DisableProfileRequest DisableProfileResponse,
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse,
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse,
}

/// ES3.DeleteISDP.
pub type DeleteIsdp = shared_functions::DeleteProfile<3>;
/// The request of [`DeleteIsdp`].
pub type DeleteIsdpRequest = shared_functions::DeleteProfileRequest<3>;
/// The response of [`DeleteIsdp`].
pub type DeleteIsdpResponse = shared_functions::DeleteProfileResponse<3>;

function! {
    /// ES3.CreateISDP: creates an ISD-P for a profile on the eUICC.
    CreateIsdp = "ES3" "ProfileManagement" "CreateISDP", Asynchronous;
    CreateIsdpRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        mno_id: Oid = "mnoId" / "Mno-id",
        /// The required memory in octets.
        required_memory: u32 = "requiredMemory" / "RequiredMemory",
        /// True if the secure session with the card stays open for another call.
        more_to_do: Option<bool> = "moreToDo" / "MoreToDo",
    }
    CreateIsdpResponse {
        /// The AID of the ISD-P; present if it was created.
        isd_p_aid: Option<Aid> = "isdpAid" / "Isd-p-aid",
        euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData",
    }
}

function! {
    /// ES3.SendData: sends a command script to a security domain.
    SendData = "ES3" "ProfileManagement" "SendData", Asynchronous;
    SendDataRequest {
        eid: Eid = "eid" / "Eid",
        /// The AID of the ISD-P, or of the ISD-R for key establishment.
        sd_aid: Aid = "isd-p-aid" / "Sd-aid",
        data: Octets = "data" / "Data",
        /// True if the secure session with the card stays open for another call.
        more_to_do: Option<bool> = "moreToDo" / "MoreToDo",
    }
    SendDataResponse { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
}

function! {
    /// ES3.ProfileDownloadCompleted: reports that the profile is installed, with its properties.
    ProfileDownloadCompleted = "ES3" "ProfileManagement" "ProfileDownloadCompleted", Synchronous;
    ProfileDownloadCompletedRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        profile_type: Option<String> = "profileType" / "ProfileType",
        subscription_address: Option<SubscriptionAddress> = "subscriptionAddress" / "SubscriptionAddress",
        pol2: Option<Pol2> = "pol2" / "pol2",
    }
    ProfileDownloadCompletedResponse {}
}

function! {
    /// ES3.UpdateConnectivityParameters.
    UpdateConnectivityParameters = "ES3" "PlatformManagement" "UpdateConnectivityParameters", Asynchronous;
    UpdateConnectivityParametersRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        connectivity_parameters: Octets = "connectivityParameters" / "ConnectivityParameters",
    }
    UpdateConnectivityParametersResponse {
        euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData",
    }
}

profile_notifications! { "ES3" { mno_id: Oid = "mnoId" / "Mno-id", } enabled at "CompletionTimestamp" }

notification! {
    /// ES3.HandleSMSRChangeNotification: reports that another SM-SR manages the eUICC.
    HandleSmsrChangeNotification = "ES3" "PlatformManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        /// The operator to which the SM-DP forwards the notification; mandatory in the schema.
        mno_id: Option<Oid> = "mnoId" / "Mno-id",
        /// The completion time. Its name is in lowerCamel in namespace 3 as well.
        completion_timestamp: Timestamp = "completionTimestamp" / "completionTimestamp",
    }
}
