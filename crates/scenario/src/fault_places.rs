//! Names of the simulated servers as places of faults.

/// Name of the SM-DP records as a place of faults.
pub const SM_DP_PLACE: &str = "sm-dp";
/// Name of the SM-SR records as a place of faults.
pub const SM_SR_PLACE: &str = "sm-sr";
/// Name of the records of the second SM-SR, which takes over cards from the first, as a place of
/// faults.
pub const SECOND_SM_SR_PLACE: &str = "sm-sr-2";
