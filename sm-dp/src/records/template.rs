//! Templates, from which profiles are personalised when the stock has none.

use profile::{Description, SecretOctets, personalise::Series};
use serde::{Deserialize, Serialize};

/// A template of a profile type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The profile type under which operators order its profiles.
    pub profile_type: String,
    /// The description that all profiles share.
    pub description: Description,
    /// The first numbers of its profiles.
    pub series: Series,
    /// 32 octets from which keys and codes are derived.
    pub seed: SecretOctets,
}
