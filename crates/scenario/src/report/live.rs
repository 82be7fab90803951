//! A run over sockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That servers were asked over sockets, and who in it was somebody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Servers and cards of others, each with its place. Without any the run is the same without sockets.
    pub strangers: Vec<String>,
    /// What went over no socket all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
}

impl Live {
    /// In words, for people.
    pub fn words(&self) -> String {
        let but = match self.inside.as_slice() {
            [] => String::new(),
            inside => format!(" but for {}", inside.join(", ")),
        };
        match self.strangers.as_slice() {
            [] => format!("over sockets{but}"),
            strangers => {
                format!("over sockets{but}, with {}; it began when it was played", strangers.join(", "))
            }
        }
    }
}
