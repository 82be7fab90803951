//! ES4, operator to SM-SR and back: SGP.02 section 5.5.
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
    ids::{Eid, Iccid, Oid},
    time::Timestamp,
};

function! {
    /// ES4.GetEIS: the operator's view of an eUICC.
    GetEis = "ES4" "ProfileManagement" "GetEIS", Synchronous;
    GetEisRequest { eid: Eid = "eid" / "Eid" }
    GetEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES4.AuditEIS: the operator's view of an eUICC after an audit of the eUICC.
    AuditEis = "ES4" "ProfileManagement" "AuditEIS", Asynchronous;
    AuditEisRequest {
        eid: Eid = "eid" / "Eid",
        /// The profiles to audit; empty for all.
        iccid: Vec<Iccid> = "iccid" / "Iccid",
    }
    AuditEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES4.UpdatePolicyRules: replaces POL2 of a profile.
    UpdatePolicyRules = "ES4" "ProfileManagement" "UpdatePolicyRules", Synchronous;
    UpdatePolicyRulesRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        pol2: Option<Pol2> = "pol2" / "pol2",
    }
    UpdatePolicyRulesResponse {}
}

function! {
    /// ES4.UpdateSubscriptionAddress: replaces the subscription address of a profile.
    UpdateSubscriptionAddress = "ES4" "ProfileManagement" "UpdateSubscriptionAddress", Synchronous;
    UpdateSubscriptionAddressRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        new_subscription_address: SubscriptionAddress = "newSubscriptionAddress" / "newSubscriptionAddress",
    }
    UpdateSubscriptionAddressResponse {}
}

/// Defines functions on one profile that return response data of the eUICC.
macro_rules! on_a_profile {
    ($( $(#[$meta:meta])* $function:ident $request:ident $response:ident = $wire:literal ),+ $(,)?) => { $(
        function! {
            $(#[$meta])*
            $function = "ES4" "PlatformManagement" $wire, Asynchronous;
            $request { eid: Eid = "eid" / "Eid", iccid: Iccid = "iccid" / "Iccid" }
            $response { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
        }
    )+ };
}

on_a_profile! {
    /// ES4.EnableProfile.
    EnableProfile EnableProfileRequest EnableProfileResponse = "EnableProfile",
    /// ES4.DisableProfile.
    DisableProfile DisableProfileRequest DisableProfileResponse = "DisableProfile",
    /// ES4.DeleteProfile.
    DeleteProfile DeleteProfileRequest DeleteProfileResponse = "DeleteProfile",
    /// ES4.SetFallBackAttribute (version 4).
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse = "SetFallBackAttribute",
    /// ES4.SetEmergencyProfileAttribute (version 4).
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse
        = "SetEmergencyProfileAttribute",
}

function! {
    /// ES4.PrepareSMSRChange: asks the new SM-SR to prepare for managing an eUICC.
    PrepareSmsrChange = "ES4" "eUICCManagement" "PrepareSMSRChange", Asynchronous;
    PrepareSmsrChangeRequest {
        eid: Eid = "eid" / "Eid",
        current_smsr_id: Oid = "currentSmsrId" / "CurrentSMSRid",
    }
    PrepareSmsrChangeResponse {}
}

function! {
    /// ES4.SMSRChange: requests the handover of an eUICC to another SM-SR.
    SmsrChange = "ES4" "eUICCManagement" "SMSRChange", Asynchronous;
    SmsrChangeRequest {
        eid: Eid = "eid" / "Eid",
        target_smsr_id: Oid = "targetSmsrId" / "Target-Smsr-id",
    }
    SmsrChangeResponse {}
}

/// Defines notifications that contain an eUICC, a profile and a time.
macro_rules! of_a_profile {
    ($( $(#[$meta:meta])* $name:ident = $wire:literal ),+ $(,)?) => { $(
        notification! {
            $(#[$meta])*
            $name = "ES4" "PlatformManagement" $wire {
                eid: Eid = "eid" / "Eid",
                iccid: Iccid = "iccid" / "Iccid",
                completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
            }
        }
    )+ };
}

of_a_profile! {
    /// ES4.HandleProfileEnabledNotification.
    HandleProfileEnabledNotification = "HandleProfileEnabledNotification",
    /// ES4.HandleProfileDisabledNotification.
    HandleProfileDisabledNotification = "HandleProfileDisabledNotification",
    /// ES4.HandleProfileDeletedNotification.
    HandleProfileDeletedNotification = "HandleProfileDeletedNotification",
    /// ES4.HandleProfileDownloadedNotification (version 4).
    HandleProfileDownloadedNotification = "HandleProfileDownloadedNotification",
    /// ES4.HandleFallBackAttributeSetNotification (version 4).
    HandleFallBackAttributeSetNotification = "HandleFallBackAttributeSetNotification",
    /// ES4.HandleFallBackAttributeUnsetNotification (version 4).
    HandleFallBackAttributeUnsetNotification = "HandleFallBackAttributeUnsetNotification",
    /// ES4.HandleEmergencyProfileAttributeSetNotification (version 4).
    HandleEmergencyProfileAttributeSetNotification = "HandleEmergencyProfileAttributeSetNotification",
    /// ES4.HandleEmergencyProfileAttributeUnsetNotification (version 4).
    HandleEmergencyProfileAttributeUnsetNotification = "HandleEmergencyProfileAttributeUnsetNotification",
}

notification! {
    /// ES4.HandleProfilePOL2UpdatedNotification (version 4).
    HandleProfilePol2UpdatedNotification = "ES4" "PlatformManagement" "HandleProfilePOL2UpdatedNotification" {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        pol2: Option<Pol2> = "pol2" / "pol2",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}

notification! {
    /// ES4.HandleSMSRChangeNotification: reports that another SM-SR manages the eUICC.
    HandleSmsrChangeNotification = "ES4" "eUICCManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}
