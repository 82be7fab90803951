//! Functions that SM-DPs (ES3) and operators (ES4) call at the SM-SR with the same messages: SGP.02
//! sections 5.4 and 5.5. The parameter is the number of the interface, 3 or 4; the modules
//! [`es3`](super::es3) and [`es4`](super::es4) name each function on its interface.
//!
//! There is no published schema for the additions of version 4: their elements are named after the
//! pattern of the others.

use super::{
    common::SubscriptionAddress,
    eis::{Eis, Pol2},
    function_macros::function,
    xml::Octets,
};
use crate::ids::{Eid, Iccid};

function! {
    /// GetEIS: the caller's view of an eUICC.
    GetEis[ES] = "ProfileManagement" { 3: "GetEIS", 4: "GetEIS" }, Synchronous;
    GetEisRequest { eid: Eid = "eid" / "Eid" }
    GetEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// AuditEIS: the caller's view of an eUICC after an audit of the eUICC.
    AuditEis[ES] = "ProfileManagement" { 3: "AuditEIS", 4: "AuditEIS" }, Asynchronous;
    AuditEisRequest {
        eid: Eid = "eid" / "Eid",
        /// The profiles to audit; empty for all. Not in the schema of ES3 in namespace 1.
        iccid: Vec<Iccid> = "iccid" / "Iccid",
    }
    AuditEisResponse { eis: Option<Eis> = "eis" / "Eis" }
}

function! {
    /// UpdatePolicyRules: replaces POL2 of a profile.
    UpdatePolicyRules[ES] = "ProfileManagement" { 3: "UpdatePolicyRules", 4: "UpdatePolicyRules" },
        Synchronous;
    UpdatePolicyRulesRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        pol2: Option<Pol2> = "pol2" / "pol2",
    }
    UpdatePolicyRulesResponse {}
}

function! {
    /// UpdateSubscriptionAddress: replaces the subscription address of a profile.
    UpdateSubscriptionAddress[ES]
        = "ProfileManagement" { 3: "UpdateSubscriptionAddress", 4: "UpdateSubscriptionAddress" },
        Synchronous;
    UpdateSubscriptionAddressRequest {
        eid: Eid = "eid" / "Eid",
        iccid: Iccid = "iccid" / "Iccid",
        new_subscription_address: SubscriptionAddress = "newSubscriptionAddress" / "newSubscriptionAddress",
    }
    UpdateSubscriptionAddressResponse {}
}

/// Defines functions on one profile that return response data of the eUICC, with their names on ES3
/// and ES4.
macro_rules! on_a_profile {
    ($(
        $(#[$meta:meta])*
        $function:ident $request:ident $response:ident = $es3:literal, $es4:literal;
    )+) => { $(
        function! {
            $(#[$meta])*
            $function[ES] = "PlatformManagement" { 3: $es3, 4: $es4 }, Asynchronous;
            $request { eid: Eid = "eid" / "Eid", iccid: Iccid = "iccid" / "Iccid" }
            $response { euicc_response_data: Option<Octets> = "euiccResponseData" / "EuiccResponseData" }
        }
    )+ };
}

on_a_profile! {
    /// EnableProfile.
    EnableProfile EnableProfileRequest EnableProfileResponse = "EnableProfile", "EnableProfile";
    /// DisableProfile.
    DisableProfile DisableProfileRequest DisableProfileResponse = "DisableProfile", "DisableProfile";
    /// ES3.DeleteISDP and ES4.DeleteProfile.
    DeleteProfile DeleteProfileRequest DeleteProfileResponse = "DeleteISDP", "DeleteProfile";
    /// SetFallBackAttribute (version 4).
    SetFallBackAttribute SetFallBackAttributeRequest SetFallBackAttributeResponse
        = "SetFallBackAttribute", "SetFallBackAttribute";
    /// SetEmergencyProfileAttribute (version 4).
    SetEmergencyProfileAttribute SetEmergencyProfileAttributeRequest SetEmergencyProfileAttributeResponse
        = "SetEmergencyProfileAttribute", "SetEmergencyProfileAttribute";
}

/// Defines the names that functions of several interfaces, and their messages, have on the
/// interface with this number.
macro_rules! interface {
    ($number:literal: $($function:ident $request:ident $response:ident),+ $(,)?) => { $(
        #[doc = concat!("ES", $number, ".", stringify!($function), ".")]
        pub type $function = $crate::sgp02::shared_functions::$function<$number>;
        #[doc = concat!("The request of [`", stringify!($function), "`].")]
        pub type $request = $crate::sgp02::shared_functions::$request<$number>;
        #[doc = concat!("The response of [`", stringify!($function), "`].")]
        pub type $response = $crate::sgp02::shared_functions::$response<$number>;
    )+ };
}

pub(crate) use interface;
