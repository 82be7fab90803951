//! Numbers of the card's own behaviour, and what it remembers of it.

use serde::{Deserialize, Serialize};

/// Timers and numbers of attempts, which the EUM defines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {}

/// What of it survives a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {}
