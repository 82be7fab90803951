//! Details of a run over sockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The servers and cards of a run over sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Third-party servers and cards with their addresses. If there are none, the run gives the
    /// same result as without sockets.
    pub strangers: Vec<String>,
    /// Transports that did not use a socket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
}

impl Live {
    /// Describes the run for human readers.
    pub fn words(&self) -> String {
        let but = match self.inside.as_slice() {
            [] => String::new(),
            inside => format!(" except for {}", inside.join(", ")),
        };
        match self.strangers.as_slice() {
            [] => format!("over sockets{but}"),
            strangers => {
                format!(
                    "over sockets{but}, with {}; virtual time starts at the current time",
                    strangers.join(", ")
                )
            }
        }
    }
}
