//! The elements that SGP.22 v3 reserves for SGP.32, in types that both standards use.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::{der::Null, ids::Version, sequence};

sequence! {
    /// IoTSpecificInfo of EUICCInfo2: SGP.32 section 4.2. Every IoT eUICC has it.
    #[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct IotSpecificInfo = 0x30 {
        /// The supported versions of SGP.32, at least one.
        pub iot_version: Vec<Version> = 0xA0,
        /// Present if the eUICC supports the Emergency Mechanism.
        #[serde(serialize_with = "is_present")]
        #[schemars(with = "bool")]
        pub ecall_supported: Option<Null> = 0x81,
        /// Present if the eUICC supports the Fallback Mechanism.
        #[serde(serialize_with = "is_present")]
        #[schemars(with = "bool")]
        pub fallback_supported: Option<Null> = 0x82,
        /// SGP.32 v1.3: present if fallbackAllowed of a profile can be updated.
        #[serde(serialize_with = "is_present")]
        #[schemars(with = "bool")]
        pub fallback_allowed_update_supported: Option<Null> = 0x83,
    }
}

sequence! {
    /// iotSpecificProfileInfo of ProfileInfo: SGP.32 v1.3. It has no defined elements.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct IotSpecificProfileInfo = 0x30 {}
}

/// Serialises a NULL that may be absent as true or false.
fn is_present<S: Serializer>(flag: &Option<Null>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(flag.is_some())
}
