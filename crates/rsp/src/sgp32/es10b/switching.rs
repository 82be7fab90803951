//! The functions of ES10b with which the IPA changes the enabled profile without an eIM: SGP.32 sections
//! 5.9.15 to 5.9.23.

use super::super::result::EuiccPackageResult;
use crate::{codes, der::Raw, sequence, sgp22::es10c::RefreshFlag};

sequence! {
    /// ImmediateEnableRequest: section 5.9.15.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ImmediateEnableRequest = 0xBF5A {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// ImmediateEnableResponse: section 5.9.15.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ImmediateEnableResponse = 0xBF5A {
        /// The result.
        pub immediate_enable_result: ImmediateEnableResult = 0x80,
    }
}

codes! {
    /// immediateEnableResult: section 5.9.15.
    pub struct ImmediateEnableResult {
        /// The profile is enabled.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// Immediate enabling is not configured for the SM-DP+ of the profile.
        IMMEDIATE_ENABLE_NOT_AVAILABLE = 1
            next "wait for a package of the eIM that enables the profile",
        /// No profile was installed in this session.
        NO_SESSION_CONTEXT = 4
            next "call the function directly after the installation, without a reset in between",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "wait for a package of the eIM that enables the profile",
    }
}

sequence! {
    /// ProfileRollbackRequest: section 5.9.16.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileRollbackRequest = 0xBF58 {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// ProfileRollbackResponse: section 5.9.16.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileRollbackResponse = 0xBF58 {
        /// The result.
        pub cmd_result: ProfileRollbackResult = 0x02,
        /// The new result for the eIM, which replaces that of the package, as it was signed.
        pub euicc_package_result: Option<Raw<EuiccPackageResult>> = 0xBF51,
    }
}

codes! {
    /// cmdResult: section 5.9.16.
    pub struct ProfileRollbackResult {
        /// The previous profile is enabled again.
        OK = 0
            next "deliver the result to the eIM",
        /// The eIM did not allow a rollback, or the permission ended.
        ROLLBACK_NOT_ALLOWED = 1
            next "deliver the results, and wait for a package of the eIM",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// The command is malformed or not possible in this state.
        COMMAND_ERROR = 7
            next "compare the command with SGP.32",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// ConfigureImmediateProfileEnablingResponse: section 5.9.17.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ConfigureImmediateProfileEnablingResponse = 0xBF59 {
        /// The result.
        pub config_immediate_enable_result: ConfigImmediateEnableResult = 0x80,
    }
}

codes! {
    /// configImmediateEnableResult of ES10b: section 5.9.17.
    pub struct ConfigImmediateEnableResult {
        /// The configuration was stored.
        OK = 0
            next "nothing",
        /// Not enough memory.
        INSUFFICIENT_MEMORY = 1
            next "delete an eIM or a profile first",
        /// The eUICC has an eIM, which must configure it.
        ASSOCIATED_EIM_ALREADY_EXISTS = 2
            next "let the eIM send configureImmediateEnable",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "repeat the command after a reset of the card",
    }
}

sequence! {
    /// EnableEmergencyProfileRequest: section 5.9.22.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EnableEmergencyProfileRequest = 0xBF5B {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// EnableEmergencyProfileResponse: section 5.9.22.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EnableEmergencyProfileResponse = 0xBF5B {
        /// The result.
        pub enable_emergency_profile_result: EnableEmergencyProfileResult = 0x80,
    }
}

codes! {
    /// enableEmergencyProfileResult: section 5.9.22.
    pub struct EnableEmergencyProfileResult {
        /// The Emergency Profile is enabled.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The Emergency Profile is already enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "nothing: the Emergency Profile is already enabled",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// There is no Emergency Profile.
        ECALL_NOT_AVAILABLE = 8
            next "install a profile with ecallIndication",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// DisableEmergencyProfileRequest: section 5.9.23.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DisableEmergencyProfileRequest = 0xBF5C {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// DisableEmergencyProfileResponse: section 5.9.23.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DisableEmergencyProfileResponse = 0xBF5C {
        /// The result.
        pub disable_emergency_profile_result: DisableEmergencyProfileResult = 0x80,
    }
}

codes! {
    /// disableEmergencyProfileResult: section 5.9.23.
    pub struct DisableEmergencyProfileResult {
        /// The profile that was enabled before is enabled again.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The Emergency Profile is not enabled.
        PROFILE_NOT_IN_ENABLED_STATE = 2
            next "nothing: the Emergency Profile is not enabled",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// v1.3: there is no Emergency Profile.
        ECALL_NOT_AVAILABLE = 8
            next "nothing: there is no Emergency Profile",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// ExecuteFallbackMechanismRequest: section 5.9.20.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ExecuteFallbackMechanismRequest = 0xBF5D {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// ExecuteFallbackMechanismResponse: section 5.9.20.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ExecuteFallbackMechanismResponse = 0xBF5D {
        /// The result.
        pub execute_fallback_mechanism_result: ExecuteFallbackMechanismResult = 0x80,
    }
}

codes! {
    /// executeFallbackMechanismResult: section 5.9.20.
    pub struct ExecuteFallbackMechanismResult {
        /// The Fallback Profile is enabled.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The Fallback Profile is already enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "nothing: the Fallback Profile is already enabled",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// No profile has the Fallback Attribute.
        FALLBACK_NOT_AVAILABLE = 6
            next "let the eIM set the Fallback Attribute of a profile",
        /// The command is malformed or not possible in this state.
        COMMAND_ERROR = 7
            next "compare the command with SGP.32",
        /// The Emergency Profile is active.
        ECALL_ACTIVE = 104
            next "repeat the command after the emergency call",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// ReturnFromFallbackRequest: section 5.9.21.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ReturnFromFallbackRequest = 0xBF5E {
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x80 | 0x01,
    }
}

sequence! {
    /// ReturnFromFallbackResponse: section 5.9.21.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ReturnFromFallbackResponse = 0xBF5E {
        /// The result.
        pub return_from_fallback_result: ReturnFromFallbackResult = 0x80,
    }
}

codes! {
    /// returnFromFallbackResult: section 5.9.21.
    pub struct ReturnFromFallbackResult {
        /// The profile that was enabled before is enabled again.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// No profile has the Fallback Attribute.
        FALLBACK_NOT_AVAILABLE = 6
            next "nothing: the eUICC has no Fallback Profile",
        /// The Fallback Profile was not enabled by the Fallback Mechanism.
        COMMAND_ERROR = 7
            next "nothing: the eUICC does not use the Fallback Profile",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}
