//! The cause of a change of state that an IPA reports to an eIM: SGP.32 section 5.14.5.

use crate::codes;

codes! {
    /// StateChangeCause: section 5.14.5.
    pub struct StateChangeCause {
        /// A package of another eIM.
        OTHER_EIM = 0,
        /// The Fallback Mechanism.
        FALLBACK = 1,
        /// The Emergency Profile.
        EMERGENCY_PROFILE = 2,
        /// A local change (reserved).
        LOCAL = 3,
        /// An eUICC memory reset.
        RESET = 4,
        /// The immediate enabling of a downloaded profile.
        IMMEDIATE_ENABLE_PROFILE = 5,
        /// Another device contains the eUICC.
        DEVICE_CHANGE = 6,
        /// An unknown cause.
        UNDEFINED = 127,
    }
}
