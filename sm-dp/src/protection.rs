//! The protection of a profile package and the rule for binding it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys that protect the segments of a profile package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protection {
    /// The session keys of the key agreement.
    #[default]
    SessionKeys,
    /// Profile protection keys, which ReplaceSessionKeys contains (section 2.5.4).
    ProfileProtectionKeys,
}

/// Says if a profile can be bound again to other one-time keys of the same eUICC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rebinding {
    /// The profile can be bound again.
    #[default]
    Allowed,
    /// The profile cannot be bound again. The server always returns the package that was bound
    /// first.
    Refused,
}
