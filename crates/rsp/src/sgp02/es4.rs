//! ES4, operator to SM-SR and back: SGP.02 section 5.5.
//!
//! There is no published schema for the additions of version 4: their elements are named after the
//! pattern of the others.

use super::{
    eis::Eis,
    function_macros::{function, notification, profile_notifications},
    shared_functions::interface,
};
use crate::{
    ids::{Eid, Oid},
    time::Timestamp,
};

interface! { 4:
    GetEis GetEisRequest GetEisResponse,
    AuditEis AuditEisRequest AuditEisResponse,
    UpdatePolicyRules UpdatePolicyRulesRequest UpdatePolicyRulesResponse,
    UpdateSubscriptionAddress UpdateSubscriptionAddressRequest UpdateSubscriptionAddressResponse,
    EnableProfile EnableProfileRequest EnableProfileResponse,
    DisableProfile DisableProfileRequest DisableProfileResponse,
    DeleteProfile DeleteProfileRequest DeleteProfileResponse,
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse,
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse,
}

function! {
    /// ES4.PrepareSMSRChange: requests that the new SM-SR prepares for managing an eUICC.
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

profile_notifications! { "ES4" {} enabled at "CompletionTimestamp" }

notification! {
    /// ES4.HandleSMSRChangeNotification: reports that another SM-SR manages the eUICC.
    HandleSmsrChangeNotification = "ES4" "eUICCManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}
