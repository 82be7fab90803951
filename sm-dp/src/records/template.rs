//! Templates, from which profiles are personalised when the stock has none.

use profile::{Description, SecretOctets, personalise::Series};
use rsp_server::Namespace;
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
    /// The namespace that can use it. `None` stands for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
}
