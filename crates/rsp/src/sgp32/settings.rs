//! Settings of the eUICC that an eIM changes in a package and an IPA changes over ES10b: SGP.32
//! sections 5.9.17 and 5.9.25.

use crate::{codes, der::Null, ids::Oid, sequence};

sequence! {
    /// ConfigureImmediateProfileEnablingRequest: section 5.9.17.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ConfigureImmediateProfileEnablingRequest = 0xBF59 {
        /// Present if immediate enabling is allowed.
        pub immediate_enable_flag: Option<Null> = 0x80,
        /// The OID of the SM-DP+ whose profiles may be enabled.
        pub default_smdp_oid: Option<Oid> = 0x81,
        /// The address of the SM-DP+ whose profiles may be enabled.
        pub default_smdp_address: Option<String> = 0x82 usually 255,
    }
}

sequence! {
    /// SetDefaultDpAddressRequest: section 5.9.25.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetDefaultDpAddressRequest = 0xBF65 {
        /// The new address; an empty address removes the current one.
        pub default_dp_address: String = 0x80 | 0x0C usually 255,
    }
}

sequence! {
    /// SetDefaultDpAddressResponse: section 5.9.25.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetDefaultDpAddressResponse = 0xBF65 {
        /// The result.
        pub set_default_dp_address_result: SetDefaultDpAddressResult = 0x80,
    }
}

codes! {
    /// setDefaultDpAddressResult: section 5.9.25.
    pub struct SetDefaultDpAddressResult {
        /// The address was set or removed.
        OK = 0
            next "nothing",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "check that the address is a domain name with at most 128 octets",
    }
}
