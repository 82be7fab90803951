//! ES6, from the operator to its profile: SGP.22 section 5.4, with the additions of SGP.32.

use crate::{
    der::BitString,
    sequence,
    sgp22::{IconType, ppr},
};

sequence! {
    /// UpdateMetadataRequest: SGP.22 section 5.4.1, SGP.32 v1.3. Absent elements stay as they are.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct UpdateMetadataRequest = 0xBF2A {
        /// The name of the service provider, at most 32 octets.
        pub service_provider_name: Option<String> = 0x91 usually 32,
        /// The name of the profile, at most 64 octets.
        pub profile_name: Option<String> = 0x92 usually 64,
        /// The type of the icon, JPEG or PNG.
        pub icon_type: Option<IconType> = 0x93,
        /// The icon of 64 by 64 pixels, at most 1024 octets.
        pub icon: Option<Vec<u8>> = 0x94 usually 1024,
        /// The policy rules.
        pub profile_policy_rules: Option<BitString> = 0x99 known_bits ppr::NAMES,
        /// v1.3: true if the profile can be the Fallback Profile.
        pub fallback_allowed: Option<bool> = 0x9F67,
    }
}
