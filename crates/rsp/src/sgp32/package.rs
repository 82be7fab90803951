//! The eUICC Package Request, from an eIM to the eUICC (ESep): SGP.32 section 2.11.1.1.

use super::{
    eim_configuration::EimConfigurationData,
    settings::{ConfigureImmediateProfileEnablingRequest, SetDefaultDpAddressRequest},
    signature::signed_octets,
};
use crate::{
    choice,
    der::{Null, Opaque, Raw},
    ids::{Eid, Iccid, TransactionId},
    sequence,
    sgp22::{SignatureOctets, es10c::ProfileInfoListRequest},
};

sequence! {
    /// EuiccPackageRequest: section 2.11.1.1. It is also the request of ES10b.LoadEuiccPackage,
    /// section 5.9.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageRequest = 0xBF51 {
        /// The data signed by the eIM.
        pub euicc_package_signed: Raw<EuiccPackageSigned> = 0x30,
        /// The signature of the eIM over [`EuiccPackageRequest::signed_octets`].
        pub eim_signature: SignatureOctets = 0x5F37 usually 72,
    }
}

impl EuiccPackageRequest {
    /// Returns the octets that eimSignature covers: the signed data as received, and the association
    /// token of the eIM at the eUICC, or `None` if there is none (section 2.11.1.1).
    pub fn signed_octets(&self, association_token: Option<i64>) -> Vec<u8> {
        signed_octets(self.euicc_package_signed.bytes(), association_token)
    }
}

sequence! {
    /// EuiccPackageSigned: section 2.11.1.1.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccPackageSigned = 0x30 {
        /// The eIM, at most 128 octets.
        pub eim_id: String = 0x80 usually 128,
        /// The eUICC to which the package is addressed.
        pub eid_value: Eid = 0x5A,
        /// The replay counter: greater than that of the previous package of the eIM, and at most
        /// [`MAX_COUNTER`].
        pub counter_value: i64 = 0x81,
        /// The identifier that the eIM gave to the package; the result returns it.
        pub eim_transaction_id: Option<TransactionId> = 0x82,
        /// The operations.
        pub euicc_package: EuiccPackage = 0,
    }
}

/// The highest counter value that an eUICC must support: section 2.11.1.1.
pub const MAX_COUNTER: i64 = 0x7F_FFFF;

choice! {
    /// EuiccPackage: section 2.11.1.1. Operations of both kinds cannot be in one package.
    ///
    /// The operations are decoded one by one, because the eUICC executes those before a damaged one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EuiccPackage = 0 {
        /// Operations on profiles.
        PsmoList(Vec<Opaque<Psmo>>) = 0xA0,
        /// Operations on the eIM configuration.
        EcoList(Vec<Opaque<Eco>>) = 0xA1,
    }
}

impl EuiccPackage {
    /// Creates a package of operations on profiles.
    pub fn of_psmos(operations: impl IntoIterator<Item = Psmo>) -> Self {
        Self::PsmoList(operations.into_iter().map(|operation| Raw::new(operation).into()).collect())
    }

    /// Creates a package of operations on the eIM configuration.
    pub fn of_ecos(operations: impl IntoIterator<Item = Eco>) -> Self {
        Self::EcoList(operations.into_iter().map(|operation| Raw::new(operation).into()).collect())
    }
}

choice! {
    /// Psmo, a profile state management operation: section 2.11.1.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Psmo = 0 {
        /// Enable a profile.
        Enable(Enable) = 0xA3,
        /// Disable a profile.
        Disable(Disable) = 0xA4,
        /// Delete a profile.
        Delete(Delete) = 0xA5,
        /// List profiles.
        ListProfileInfo(ProfileInfoListRequest) = 0xBF2D,
        /// Read the Rules Authorisation Table.
        GetRat(GetRat) = 0xA6,
        /// Configure immediate enabling after a download.
        ConfigureImmediateEnable(ConfigureImmediateProfileEnablingRequest) = 0xA7,
        /// Make a profile the Fallback Profile.
        SetFallbackAttribute(SetFallbackAttribute) = 0xA8,
        /// Remove the Fallback Attribute from the Fallback Profile.
        UnsetFallbackAttribute(UnsetFallbackAttribute) = 0xA9,
        /// Set the default SM-DP+ address.
        SetDefaultDpAddress(SetDefaultDpAddressRequest) = 0xBF65,
    }
}

sequence! {
    /// enable of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Enable = 0x30 {
        /// The profile.
        pub iccid: Iccid = 0x5A,
        /// Present if the IPA may return to the previous profile with ES10b.ProfileRollback.
        pub rollback_flag: Option<Null> = 0x05 | 0x81,
    }
}

sequence! {
    /// disable of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Disable = 0x30 {
        /// The profile.
        pub iccid: Iccid = 0x5A,
    }
}

sequence! {
    /// delete of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Delete = 0x30 {
        /// The profile.
        pub iccid: Iccid = 0x5A,
    }
}

sequence! {
    /// getRAT of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct GetRat = 0x30 {}
}

sequence! {
    /// setFallbackAttribute of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetFallbackAttribute = 0x30 {
        /// The profile; its metadata must have fallbackAllowed.
        pub iccid: Iccid = 0x5A,
    }
}

sequence! {
    /// unsetFallbackAttribute of Psmo: section 2.11.1.1.3.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct UnsetFallbackAttribute = 0x30 {}
}

choice! {
    /// Eco, an eIM configuration operation: section 2.11.1.1.2.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Eco = 0 {
        /// Associate another eIM with the eUICC.
        AddEim(Box<EimConfigurationData>) = 0xA8,
        /// Remove an eIM.
        DeleteEim(DeleteEim) = 0xA9,
        /// Change the configuration of an eIM.
        UpdateEim(Box<EimConfigurationData>) = 0xAA,
        /// List the associated eIMs.
        ListEim(ListEim) = 0xAB,
    }
}

sequence! {
    /// deleteEim of Eco: section 2.11.1.1.2.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DeleteEim = 0x30 {
        /// The eIM to remove.
        pub eim_id: String = 0x80 usually 128,
    }
}

sequence! {
    /// listEim of Eco: section 2.11.1.1.2.2.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ListEim = 0x30 {}
}
