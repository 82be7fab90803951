//! ES2, operator to SM-DP and back: SGP.02 section 5.3.
//!
//! There is no published schema for the additions of version 4: their elements are named after the
//! pattern of the others.

use super::{
    common::SubscriptionAddress,
    eis::{Eis, Pol2},
    function_macros::{function, notification, profile_notifications},
    xml::Octets,
};
use crate::{
    ids::{Eid, Iccid, Oid},
    time::Timestamp,
};

function! {
    /// ES2.GetEIS: the operator's view of an eUICC.
    GetEis = "ES2" "DataPreparation" "GetEIS", Synchronous;
    GetEisRequest { eid: Eid = "eid" / "Eid", smsr_id: Oid = "smsrId" / "Smsr-id" }
    GetEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES2.DownloadProfile: downloads a profile of this type, or with this ICCID, to an eUICC.
    DownloadProfile = "ES2" "ProfileManagement" "DownloadProfile", Asynchronous, callback "PlatformManagement";
    DownloadProfileRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "SmSr-id",
        /// The profile type. Either the profile type or the ICCID must be present.
        profile_type: Option<String> = "profileType" / "ProfileType",
        iccid: Option<Iccid> = "iccid" / "Iccid",
        enable_profile: bool = "enableProfile" / "EnableProfile",
    }
    DownloadProfileResponse { iccid: Option<Iccid> = "iccid" / "Iccid" }
}

function! {
    /// ES2.UpdatePolicyRules: replaces POL2 of a profile.
    UpdatePolicyRules = "ES2" "ProfileManagement" "UpdatePolicyRules", Synchronous;
    UpdatePolicyRulesRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        pol2: Option<Pol2> = "pol2" / "pol2",
    }
    UpdatePolicyRulesResponse {}
}

function! {
    /// ES2.UpdateSubscriptionAddress: replaces the subscription address of a profile.
    UpdateSubscriptionAddress = "ES2" "ProfileManagement" "UpdateSubscriptionAddress", Synchronous;
    UpdateSubscriptionAddressRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        iccid: Iccid = "iccid" / "Iccid",
        new_subscription_address: SubscriptionAddress = "newSubscriptionAddress" / "newSubscriptionAddress",
    }
    UpdateSubscriptionAddressResponse {}
}

function! {
    /// ES2.AuditEIS: the operator's view of an eUICC after an audit of the eUICC. The function
    /// occurs only in the list of messages, and only in one source.
    AuditEis = "ES2" "DataPreparation" "AuditEIS", Asynchronous;
    AuditEisRequest {
        eid: Eid = "eid" / "Eid",
        /// The profiles to audit; empty for all.
        iccid: Vec<Iccid> = "iccid" / "Iccid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
    }
    AuditEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES2.DeleteProfile.
    DeleteProfile = "ES2" "PlatformManagement" "DeleteProfile", Asynchronous;
    DeleteProfileRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
    }
    DeleteProfileResponse { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
}

/// Defines functions on one profile that return response data of the eUICC. `$sm_sr` is the name of
/// the SM-SR's element in namespace 3, which differs between the functions.
///
/// The response data is absent from the schemas but observed in the field, and therefore accepted.
/// The element `Iccid` is observed as well; it is redundant and ignored.
macro_rules! on_a_profile {
    ($(
        $(#[$meta:meta])*
        $function:ident $request:ident $response:ident = $wire:literal, $sm_sr:literal;
    )+) => { $(
        function! {
            $(#[$meta])*
            $function = "ES2" "PlatformManagement" $wire, Asynchronous;
            $request {
                eid: Eid = "eid" / "Eid",
                smsr_id: Oid = "smsrId" / $sm_sr,
                iccid: Iccid = "iccid" / "Iccid",
            }
            $response { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
        }
    )+ };
}

on_a_profile! {
    /// ES2.EnableProfile.
    EnableProfile EnableProfileRequest EnableProfileResponse = "EnableProfile", "SmSr-id";
    /// ES2.DisableProfile.
    DisableProfile DisableProfileRequest DisableProfileResponse = "DisableProfile", "Smsr-id";
    /// ES2.SetFallBackAttribute (version 4).
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse
        = "SetFallBackAttribute", "Smsr-id";
    /// ES2.SetEmergencyProfileAttribute (version 4).
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse
        = "SetEmergencyProfileAttribute", "Smsr-id";
}

profile_notifications! { "ES2" {} enabled at "completionTimestamp" }

notification! {
    /// ES2.HandleSMSRChangeNotification: reports that another SM-SR manages the eUICC.
    HandleSmsrChangeNotification = "ES2" "PlatformManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}
