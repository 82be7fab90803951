//! Names of the simulated servers as places of faults.

use std::fmt;

use serde::Deserialize;

/// Name of the SM-DP records as a place of faults.
pub const SM_DP_PLACE: &str = "sm-dp";
/// Name of the SM-SR records as a place of faults.
pub const SM_SR_PLACE: &str = "sm-sr";
/// Name of the records of the second SM-SR, which takes over cards from the first, as a place of
/// faults.
pub const SECOND_SM_SR_PLACE: &str = "sm-sr-2";

/// Name of the records of the eIM as a place of faults.
pub const EIM_PLACE: &str = "eim";
/// Name of the records of the second eIM, which takes over cards from the first, as a place of
/// faults.
pub const SECOND_EIM_PLACE: &str = "eim-2";

/// One of the two SM-SRs. Its form in a file is also its name as a place of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SmSrPlace {
    /// The SM-SR that manages all cards at first.
    #[serde(rename = "sm-sr")]
    First,
    /// The second SM-SR.
    #[serde(rename = "sm-sr-2")]
    Second,
}

impl fmt::Display for SmSrPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => SM_SR_PLACE,
            Self::Second => SECOND_SM_SR_PLACE,
        })
    }
}

/// One of the two eIMs. Its form in a file is also its name as a place of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum EimPlace {
    /// The eIM that manages all cards at first.
    #[serde(rename = "eim")]
    First,
    /// The second eIM.
    #[serde(rename = "eim-2")]
    Second,
}

impl fmt::Display for EimPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => EIM_PLACE,
            Self::Second => SECOND_EIM_PLACE,
        })
    }
}
