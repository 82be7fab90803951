//! The eUICC Package Result, from the eUICC to an eIM (ESep): SGP.32 section 2.11.2.1.

use super::{eim_configuration::EimIdInfo, settings::SetDefaultDpAddressResponse, signature::signed_octets};
use crate::{
    choice, codes,
    der::{List, Opaque, Raw},
    ids::TransactionId,
    sequence,
    sgp22::{ProfilePolicyAuthorisationRule, SignatureOctets, es10c::ProfileInfoListResponse},
};

choice! {
    /// EuiccPackageResult: section 2.11.2.1. It is also the response of ES10b.LoadEuiccPackage, section
    /// 5.9.1.
    ///
    /// An IPA forwards the octets of the eUICC; decode it as [`Raw`] to keep them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EuiccPackageResult = 0xBF51 {
        /// The eUICC executed the package.
        EuiccPackageResultSigned(EuiccPackageResultSigned) = 0xA0,
        /// The eUICC refused the package of a known eIM.
        EuiccPackageErrorSigned(EuiccPackageErrorSigned) = 0xA1,
        /// The eUICC does not know the eIM, or its signature does not verify.
        EuiccPackageErrorUnsigned(EuiccPackageErrorUnsigned) = 0xA2,
    }
}

impl EuiccPackageResult {
    /// Returns the identifier that the eIM gave to the package, if the result has it.
    pub fn eim_transaction_id(&self) -> Option<&TransactionId> {
        match self {
            Self::EuiccPackageResultSigned(it) => {
                it.euicc_package_result_data_signed.eim_transaction_id.as_ref()
            }
            Self::EuiccPackageErrorSigned(it) => {
                it.euicc_package_error_data_signed.eim_transaction_id.as_ref()
            }
            Self::EuiccPackageErrorUnsigned(it) => it.eim_transaction_id.as_ref(),
        }
    }

    /// Returns the eIM that sent the package.
    pub fn eim_id(&self) -> &str {
        match self {
            Self::EuiccPackageResultSigned(it) => &it.euicc_package_result_data_signed.eim_id,
            Self::EuiccPackageErrorSigned(it) => &it.euicc_package_error_data_signed.eim_id,
            Self::EuiccPackageErrorUnsigned(it) => &it.eim_id,
        }
    }

    /// Returns the sequence number under which the eUICC keeps the result until it is acknowledged.
    /// Errors have none, because the eUICC does not keep them.
    pub fn seq_number(&self) -> Option<i64> {
        match self {
            Self::EuiccPackageResultSigned(it) => Some(it.euicc_package_result_data_signed.seq_number),
            Self::EuiccPackageErrorSigned(_) | Self::EuiccPackageErrorUnsigned(_) => None,
        }
    }
}

sequence! {
    /// EuiccPackageResultSigned: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageResultSigned = 0x30 {
        /// The data signed by the eUICC.
        pub euicc_package_result_data_signed: Raw<EuiccPackageResultDataSigned> = 0x30,
        /// The signature of the eUICC over [`EuiccPackageResultSigned::signed_octets`].
        pub euicc_sign_epr: SignatureOctets = 0x5F37 usually 72,
    }
}

impl EuiccPackageResultSigned {
    /// Returns the octets that euiccSignEPR covers: the signed data as received, and the association
    /// token of the eIM, or `None` if there is none.
    pub fn signed_octets(&self, association_token: Option<i64>) -> Vec<u8> {
        signed_octets(self.euicc_package_result_data_signed.bytes(), association_token)
    }
}

sequence! {
    /// EuiccPackageResultDataSigned: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageResultDataSigned = 0x30 {
        /// The eIM that sent the package.
        pub eim_id: String = 0x80 usually 128,
        /// The counter of the package.
        pub counter_value: i64 = 0x81,
        /// The identifier of the package.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
        /// The number under which the eUICC keeps the result until it is acknowledged.
        pub seq_number: i64 = 0x83,
        /// The result of each operation, in the order of the package. Results after the first failure
        /// may be missing. One that cannot be decoded keeps its place.
        pub euicc_result: Vec<Opaque<EuiccResultData>> = 0x30,
    }
}

choice! {
    /// EuiccResultData: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EuiccResultData = 0 {
        /// Of enable.
        EnableResult(EnableProfileResult) = 0x83,
        /// Of disable.
        DisableResult(DisableProfileResult) = 0x84,
        /// Of delete.
        DeleteResult(DeleteProfileResult) = 0x85,
        /// Of listProfileInfo.
        ListProfileInfoResult(ProfileInfoListResponse) = 0xBF2D,
        /// Of getRAT.
        GetRatResult(Vec<ProfilePolicyAuthorisationRule>) = 0xA6,
        /// Of configureImmediateEnable.
        ConfigureImmediateEnableResult(ConfigureImmediateEnableResult) = 0x87,
        /// Of addEim.
        AddEimResult(AddEimResult) = 0xA8,
        /// Of deleteEim.
        DeleteEimResult(DeleteEimResult) = 0x89,
        /// Of updateEim.
        UpdateEimResult(UpdateEimResult) = 0x8A,
        /// Of listEim.
        ListEimResult(ListEimResult) = 0xAB,
        /// Of a rollback that the IPA requested.
        RollbackResult(RollbackProfileResult) = 0x8C,
        /// Of setFallbackAttribute.
        SetFallbackAttributeResult(SetFallbackAttributeResult) = 0x8D,
        /// Of unsetFallbackAttribute.
        UnsetFallbackAttributeResult(UnsetFallbackAttributeResult) = 0x8E,
        /// The eUICC did not execute the rest of the package.
        ProcessingTerminated(ProcessingTerminated) = 0x02,
        /// Of setDefaultDpAddress.
        SetDefaultDpAddressResult(SetDefaultDpAddressResponse) = 0xBF65,
    }
}

sequence! {
    /// EuiccPackageErrorSigned: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageErrorSigned = 0x30 {
        /// The data signed by the eUICC.
        pub euicc_package_error_data_signed: Raw<EuiccPackageErrorDataSigned> = 0x30,
        /// The signature of the eUICC over [`EuiccPackageErrorSigned::signed_octets`].
        pub euicc_sign_epe: SignatureOctets = 0x5F37 usually 72,
    }
}

impl EuiccPackageErrorSigned {
    /// Returns the octets that euiccSignEPE covers: the signed data as received, and the association
    /// token of the eIM, or `None` if there is none.
    pub fn signed_octets(&self, association_token: Option<i64>) -> Vec<u8> {
        signed_octets(self.euicc_package_error_data_signed.bytes(), association_token)
    }
}

sequence! {
    /// EuiccPackageErrorDataSigned: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageErrorDataSigned = 0x30 {
        /// The eIM that sent the package.
        pub eim_id: String = 0x80 usually 128,
        /// The counter of the package.
        pub counter_value: i64 = 0x81,
        /// The identifier of the package.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
        /// The reason.
        pub euicc_package_error_code: EuiccPackageErrorCode = 0x02,
    }
}

sequence! {
    /// EuiccPackageErrorUnsigned: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageErrorUnsigned = 0x30 {
        /// The eIM that the package names.
        pub eim_id: String = 0x80 usually 128,
        /// The identifier of the package.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
        /// The association token of the eIM, if the eUICC knows the eIM.
        pub association_token: Option<i64> = 0x84,
        /// v1.3: the reason, if it is not an unknown eIM or an invalid signature.
        pub euicc_package_unsigned_error_code: Option<EuiccPackageUnsignedErrorCode> = 0x8F,
    }
}

codes! {
    /// EuiccPackageErrorCode: section 2.11.2.1.
    pub struct EuiccPackageErrorCode {
        /// The EID is not that of the eUICC.
        INVALID_EID = 3
            next "address the package to the EID of the card",
        /// The counter is not greater than the stored one: the package was executed before.
        REPLAY_ERROR = 4
            next "send a package with a greater counter value",
        /// The counter is greater than the maximum.
        COUNTER_VALUE_OUT_OF_RANGE = 6
            next "use a counter up to 8388607; after that, delete and add the eIM with a new token",
        /// The package is too large for the eUICC.
        SIZE_OVERFLOW = 15
            next "split the package",
        /// The Emergency Profile is active.
        ECALL_ACTIVE = 104
            next "repeat the package after the emergency call",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the package with SGP.32",
    }
}

codes! {
    /// EuiccPackageUnsignedErrorCode: section 2.11.2.1, v1.3.
    pub struct EuiccPackageUnsignedErrorCode {
        /// The package is too large for the eUICC.
        SIZE_OVERFLOW = 15
            next "split the package",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "trace the exchange, and compare the package with SGP.32",
    }
}

codes! {
    /// processingTerminated: section 2.11.2.1.
    pub struct ProcessingTerminated {
        /// The result does not fit into the memory for results.
        RESULT_SIZE_OVERFLOW = 1
            next "split the package, or request fewer elements of profiles",
        /// An operation is unknown or damaged.
        UNKNOWN_OR_DAMAGED_COMMAND = 2
            next "compare the operation with SGP.32, and the version with iotVersion of the eUICC",
        /// The eUICC was interrupted, for example by a loss of power.
        INTERRUPTION = 3
            next "list the profiles, and send the rest in another package",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the rest in another package",
    }
}

codes! {
    /// EnableProfileResult: section 2.11.2.1.
    pub struct EnableProfileResult {
        /// The profile is enabled after the package.
        OK = 0
            next "nothing; the device must execute REFRESH",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with listProfileInfo",
        /// The profile is already enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "nothing: the profile is already enabled",
        /// PPR1 of the enabled profile does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the enabled profile cannot be disabled: ask its operator to remove PPR1",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "send the operation again",
        /// The rollback that the eIM requested is not available.
        ROLLBACK_NOT_AVAILABLE = 20
            next "enable the profile without rollbackFlag",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the operation again",
    }
}

codes! {
    /// DisableProfileResult: section 2.11.2.1.
    pub struct DisableProfileResult {
        /// The profile is disabled after the package.
        OK = 0
            next "nothing; the device must execute REFRESH",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with listProfileInfo",
        /// The profile is not enabled.
        PROFILE_NOT_IN_ENABLED_STATE = 2
            next "nothing: the profile is already disabled",
        /// PPR1 does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the profile cannot be disabled: ask its operator to remove PPR1",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "send the operation again",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the operation again",
    }
}

codes! {
    /// DeleteProfileResult: section 2.11.2.1.
    pub struct DeleteProfileResult {
        /// The profile was deleted.
        OK = 0
            next "nothing; the IPA delivers the notification of the deletion",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with listProfileInfo",
        /// The profile is enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "enable another profile first",
        /// PPR2 does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the profile cannot be deleted: ask its operator to remove PPR2",
        /// The profile is needed for a rollback.
        ROLLBACK_NOT_AVAILABLE = 20
            next "delete the profile in a package after the one that enables another profile",
        /// The eUICC uses the Fallback Profile, and must return from it first.
        RETURN_FALLBACK_PROFILE = 21
            next "delete the profile after the device returned from the Fallback Profile",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the operation again",
    }
}

codes! {
    /// ConfigureImmediateEnableResult of a package: section 2.11.2.1.
    pub struct ConfigureImmediateEnableResult {
        /// The configuration was stored.
        OK = 0
            next "nothing",
        /// Not enough memory.
        INSUFFICIENT_MEMORY = 1
            next "delete an eIM or a profile first",
        /// The operation is malformed.
        COMMAND_ERROR = 7
            next "compare the operation with SGP.32",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "send the operation again",
    }
}

codes! {
    /// RollbackProfileResult: section 2.11.2.1.
    pub struct RollbackProfileResult {
        /// The previous profile is enabled again.
        OK = 0
            next "find out why the device had no connection with the new profile",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles",
    }
}

codes! {
    /// SetFallbackAttributeResult: section 2.11.2.1.
    pub struct SetFallbackAttributeResult {
        /// The profile is the Fallback Profile.
        OK = 0
            next "nothing",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with listProfileInfo",
        /// The metadata of the profile do not have fallbackAllowed.
        FALLBACK_NOT_ALLOWED = 2
            next "choose a profile whose owner allows it to be the Fallback Profile",
        /// The present Fallback Profile is enabled.
        FALLBACK_PROFILE_ENABLED = 3
            next "repeat the operation after the device returned from the Fallback Profile",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the operation again",
    }
}

codes! {
    /// UnsetFallbackAttributeResult: section 2.11.2.1.
    pub struct UnsetFallbackAttributeResult {
        /// There is no Fallback Profile any more.
        OK = 0
            next "nothing",
        /// There is no Fallback Profile.
        NO_FALLBACK_ATTRIBUTE = 2
            next "nothing: no profile has the attribute",
        /// The Fallback Profile is enabled.
        FALLBACK_PROFILE_ENABLED = 3
            next "repeat the operation after the device returned from the Fallback Profile",
        /// The operation is malformed.
        COMMAND_ERROR = 7
            next "compare the operation with SGP.32",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the profiles, and send the operation again",
    }
}

choice! {
    /// AddEimResult: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AddEimResult = 0 {
        /// The eIM was added, and the eUICC assigned this association token.
        AssociationToken(i64) = 0x84,
        /// The eIM was added without a token, or was not added.
        AddEimResultCode(AddEimResultCode) = 0x02,
    }
}

codes! {
    /// addEimResultCode, and addInitialEimError of ES10b.AddInitialEim (section 5.9.4).
    pub struct AddEimResultCode {
        /// The eIM was added.
        OK = 0
            next "nothing",
        /// Not enough memory.
        INSUFFICIENT_MEMORY = 1
            next "delete another eIM first",
        /// The eUICC has an eIM with this identifier, or has an eIM already.
        ASSOCIATED_EIM_ALREADY_EXISTS = 2
            next "use updateEim, or delete the eIM first; AddInitialEim needs an eUICC without eIM",
        /// The CI key in euiccCiPKId is unknown.
        CI_PK_UNKNOWN = 3
            next "use a CI of euiccCiPKIdListForSigning",
        /// The association token is invalid.
        INVALID_ASSOCIATION_TOKEN = 5
            next "send -1, so that the eUICC assigns a token",
        /// The initial counter is out of range.
        COUNTER_VALUE_OUT_OF_RANGE = 6
            next "use a counter from 0 to 8388607",
        /// The operation is malformed or lacks an element.
        COMMAND_ERROR = 7
            next "add counterValue and eimPublicKeyData to the configuration",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the eIMs, and send the operation again",
    }
}

codes! {
    /// DeleteEimResult: section 2.11.2.1.
    pub struct DeleteEimResult {
        /// The eIM was deleted.
        OK = 0
            next "nothing",
        /// There is no such eIM.
        EIM_NOT_FOUND = 1
            next "list the eIMs with listEim",
        /// The eIM was deleted, and the eUICC has no eIM any more.
        LAST_EIM_DELETED = 2
            next "associate an eIM with ES10b.AddInitialEim",
        /// The operation is malformed.
        COMMAND_ERROR = 7
            next "compare the operation with SGP.32",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the eIMs, and send the operation again",
    }
}

codes! {
    /// UpdateEimResult: section 2.11.2.1.
    pub struct UpdateEimResult {
        /// The configuration was changed.
        OK = 0
            next "nothing",
        /// There is no such eIM.
        EIM_NOT_FOUND = 1
            next "list the eIMs with listEim",
        /// The CI key in euiccCiPKId is unknown.
        CI_PK_UNKNOWN = 3
            next "use a CI of euiccCiPKIdListForSigning",
        /// The counter is lower than the present one, and the key is not a new one; or it is too high.
        COUNTER_VALUE_OUT_OF_RANGE = 6
            next "use a higher counter, or send a new key with a lower one",
        /// The operation is malformed.
        COMMAND_ERROR = 7
            next "compare the operation with SGP.32",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "list the eIMs, and send the operation again",
    }
}

choice! {
    /// ListEimResult: section 2.11.2.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ListEimResult = 0 {
        /// The associated eIMs.
        EimIdList(List<EimIdInfo>) = 0xA0 | 0x30,
        /// The list is not available.
        ListEimError(ListEimError) = 0x81 | 0x02,
    }
}

codes! {
    /// listEimError: section 2.11.2.1.
    pub struct ListEimError {
        /// Any error.
        UNDEFINED_ERROR = 127
            next "send the operation again",
    }
}
