//! ES2, operator to SM-DP and back: SGP.02 section 5.3.
//!
//! What version 4 added has no published schema: its elements follow the pattern of the others.

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
    /// ES2.GetEIS: the operator's view of an eUICC.
    GetEis = "ES2" "DataPreparation" "GetEIS", Synchronous;
    GetEisRequest { eid: Eid = "eid" / "Eid", smsr_id: Oid = "smsrId" / "Smsr-id" }
    GetEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES2.DownloadProfile: a profile of this type, or this very one, is put on an eUICC.
    DownloadProfile = "ES2" "ProfileManagement" "DownloadProfile", Asynchronous, callback "PlatformManagement";
    DownloadProfileRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "SmSr-id",
        /// This or the ICCID must be there.
        profile_type: Option<String> = "profileType" / "ProfileType",
        iccid: Option<Iccid> = "iccid" / "Iccid",
        enable_profile: bool = "enableProfile" / "EnableProfile",
    }
    DownloadProfileResponse { iccid: Option<Iccid> = "iccid" / "Iccid" }
}

function! {
    /// ES2.UpdatePolicyRules: POL2 of a profile, as it is from now on.
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
    /// ES2.UpdateSubscriptionAddress: by which the device is reached under a profile.
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
    /// ES2.AuditEIS: the same as GetEIS, after the eUICC was asked (in the list of messages only; from one source).
    AuditEis = "ES2" "DataPreparation" "AuditEIS", Asynchronous;
    AuditEisRequest {
        eid: Eid = "eid" / "Eid",
        /// None means all.
        iccid: Vec<Iccid> = "iccid" / "Iccid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
    }
    AuditEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// ES2.EnableProfile.
    EnableProfile = "ES2" "PlatformManagement" "EnableProfile", Asynchronous;
    EnableProfileRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "SmSr-id",
        iccid: Iccid = "iccid" / "Iccid",
    }
    EnableProfileResponse {
        /// Not in the schemas, but seen in the field, and therefore read; so is `Iccid`, which says nothing new and is passed
        /// over.
        euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData",
    }
}

function! {
    /// ES2.DisableProfile.
    DisableProfile = "ES2" "PlatformManagement" "DisableProfile", Asynchronous;
    DisableProfileRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        iccid: Iccid = "iccid" / "Iccid",
    }
    DisableProfileResponse { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
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

function! {
    /// ES2.SetFallBackAttribute (version 4).
    SetFallBackAttribute = "ES2" "PlatformManagement" "SetFallBackAttribute", Asynchronous;
    SetFallBackAttributeRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        iccid: Iccid = "iccid" / "Iccid",
    }
    SetFallBackAttributeResponse { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
}

function! {
    /// ES2.SetEmergencyProfileAttribute (version 4).
    SetEmergencyProfileAttribute = "ES2" "PlatformManagement" "SetEmergencyProfileAttribute", Asynchronous;
    SetEmergencyProfileAttributeRequest {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        iccid: Iccid = "iccid" / "Iccid",
    }
    SetEmergencyProfileAttributeResponse {
        euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData",
    }
}

notification! {
    /// ES2.HandleProfileEnabledNotification. The time is in lowerCamel in namespace 3 too.
    HandleProfileEnabledNotification = "ES2" "PlatformManagement" "HandleProfileEnabledNotification" {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        completion_timestamp: Timestamp = "completionTimestamp" / "completionTimestamp",
    }
}

/// Notifications that name an eUICC, a profile and a time.
macro_rules! of_a_profile {
    ($( $(#[$meta:meta])* $name:ident = $wire:literal ),+ $(,)?) => { $(
        notification! {
            $(#[$meta])*
            $name = "ES2" "PlatformManagement" $wire {
                eid: Eid = "eid" / "Eid",
                iccid: Iccid = "iccid" / "Iccid",
                completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
            }
        }
    )+ };
}

of_a_profile! {
    /// ES2.HandleProfileDisabledNotification.
    HandleProfileDisabledNotification = "HandleProfileDisabledNotification",
    /// ES2.HandleProfileDeletedNotification.
    HandleProfileDeletedNotification = "HandleProfileDeletedNotification",
    /// ES2.HandleProfileDownloadedNotification (version 4).
    HandleProfileDownloadedNotification = "HandleProfileDownloadedNotification",
    /// ES2.HandleFallBackAttributeSetNotification (version 4).
    HandleFallBackAttributeSetNotification = "HandleFallBackAttributeSetNotification",
    /// ES2.HandleFallBackAttributeUnsetNotification (version 4).
    HandleFallBackAttributeUnsetNotification = "HandleFallBackAttributeUnsetNotification",
    /// ES2.HandleEmergencyProfileAttributeSetNotification (version 4).
    HandleEmergencyProfileAttributeSetNotification = "HandleEmergencyProfileAttributeSetNotification",
    /// ES2.HandleEmergencyProfileAttributeUnsetNotification (version 4).
    HandleEmergencyProfileAttributeUnsetNotification = "HandleEmergencyProfileAttributeUnsetNotification",
}

notification! {
    /// ES2.HandleProfilePOL2UpdatedNotification (version 4).
    HandleProfilePol2UpdatedNotification = "ES2" "PlatformManagement" "HandleProfilePOL2UpdatedNotification" {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        pol2: Option<Pol2> = "pol2" / "pol2",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}

notification! {
    /// ES2.HandleSMSRChangeNotification: another SM-SR manages the eUICC.
    HandleSmsrChangeNotification = "ES2" "PlatformManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}
