//! A run over sockets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That servers were asked over sockets, and who in it was somebody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// Servers and cards of others, each with its place. Without any the run is the same without sockets.
    pub strangers: Vec<String>,
}

impl Live {
    /// In words, for people.
    pub fn words(&self) -> String {
        match self.strangers.as_slice() {
            [] => "over sockets".to_owned(),
            strangers => format!("over sockets, with {}; it began when it was played", strangers.join(", ")),
        }
    }
}
