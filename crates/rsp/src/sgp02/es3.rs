//! ES3, SM-DP to SM-SR and back: SGP.02 section 5.4.
//!
//! There is no published schema for the additions of version 4: their elements are named after the
//! pattern of the others.

use super::{
    common::SubscriptionAddress,
    eis::{Eis, Pol2},
    macros::{function, notification},
    xml::Octets,
};
use crate::{
    ids::{Aid, Eid, Iccid, Oid},
    time::Timestamp,
};

function! {
    /// ES3.GetEIS: the SM-DP's view of an eUICC.
    GetEis = "ES3" "ProfileManagement" "GetEIS", Synchronous;
    GetEisRequest { eid: Eid = "eid" / "Eid" }
    GetEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES3.AuditEIS: the SM-DP's view of an eUICC after an audit of the eUICC.
    AuditEis = "ES3" "ProfileManagement" "AuditEIS", Asynchronous;
    AuditEisRequest {
        eid: Eid = "eid" / "Eid",
        /// The profiles to audit; empty for all. Not in the schema of namespace 1.
        iccid: Vec<Iccid> = "iccid" / "Iccid",
    }
    AuditEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

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
    /// ES3.UpdatePolicyRules: replaces POL2 of a profile.
    UpdatePolicyRules = "ES3" "ProfileManagement" "UpdatePolicyRules", Synchronous;
    UpdatePolicyRulesRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        pol2: Option<Pol2> = "pol2" / "pol2",
    }
    UpdatePolicyRulesResponse {}
}

function! {
    /// ES3.UpdateSubscriptionAddress: replaces the subscription address of a profile.
    UpdateSubscriptionAddress = "ES3" "ProfileManagement" "UpdateSubscriptionAddress", Synchronous;
    UpdateSubscriptionAddressRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        new_subscription_address: SubscriptionAddress = "newSubscriptionAddress" / "newSubscriptionAddress",
    }
    UpdateSubscriptionAddressResponse {}
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

/// Defines functions on one profile that return response data of the eUICC.
macro_rules! on_a_profile {
    ($( $(#[$meta:meta])* $function:ident $request:ident $response:ident = $wire:literal ),+ $(,)?) => { $(
        function! {
            $(#[$meta])*
            $function = "ES3" "PlatformManagement" $wire, Asynchronous;
            $request { eid: Eid = "eid" / "Eid", iccid: Iccid = "iccid" / "Iccid" }
            $response { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
        }
    )+ };
}

on_a_profile! {
    /// ES3.EnableProfile.
    EnableProfile EnableProfileRequest EnableProfileResponse = "EnableProfile",
    /// ES3.DisableProfile.
    DisableProfile DisableProfileRequest DisableProfileResponse = "DisableProfile",
    /// ES3.DeleteISDP.
    DeleteIsdp DeleteIsdpRequest DeleteIsdpResponse = "DeleteISDP",
    /// ES3.SetFallBackAttribute (version 4).
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse = "SetFallBackAttribute",
    /// ES3.SetEmergencyProfileAttribute (version 4).
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse
        = "SetEmergencyProfileAttribute",
}

/// Defines notifications that contain an eUICC, a profile, its operator and a time.
macro_rules! of_a_profile {
    ($( $(#[$meta:meta])* $name:ident = $wire:literal ),+ $(,)?) => { $(
        notification! {
            $(#[$meta])*
            $name = "ES3" "PlatformManagement" $wire {
                eid: Eid = "eid" / "Eid",
                iccid: Iccid = "iccid" / "Iccid",
                mno_id: Oid = "mnoId" / "Mno-id",
                completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
            }
        }
    )+ };
}

of_a_profile! {
    /// ES3.HandleProfileEnabledNotification.
    HandleProfileEnabledNotification = "HandleProfileEnabledNotification",
    /// ES3.HandleProfileDisabledNotification.
    HandleProfileDisabledNotification = "HandleProfileDisabledNotification",
    /// ES3.HandleProfileDeletedNotification.
    HandleProfileDeletedNotification = "HandleProfileDeletedNotification",
    /// ES3.HandleProfileDownloadedNotification (version 4).
    HandleProfileDownloadedNotification = "HandleProfileDownloadedNotification",
    /// ES3.HandleFallBackAttributeSetNotification (version 4).
    HandleFallBackAttributeSetNotification = "HandleFallBackAttributeSetNotification",
    /// ES3.HandleFallBackAttributeUnsetNotification (version 4).
    HandleFallBackAttributeUnsetNotification = "HandleFallBackAttributeUnsetNotification",
    /// ES3.HandleEmergencyProfileAttributeSetNotification (version 4).
    HandleEmergencyProfileAttributeSetNotification = "HandleEmergencyProfileAttributeSetNotification",
    /// ES3.HandleEmergencyProfileAttributeUnsetNotification (version 4).
    HandleEmergencyProfileAttributeUnsetNotification = "HandleEmergencyProfileAttributeUnsetNotification",
}

notification! {
    /// ES3.HandleProfilePOL2UpdatedNotification (version 4).
    HandleProfilePol2UpdatedNotification = "ES3" "PlatformManagement" "HandleProfilePOL2UpdatedNotification" {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        mno_id: Oid = "mnoId" / "Mno-id",
        pol2: Option<Pol2> = "pol2" / "pol2",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}

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
