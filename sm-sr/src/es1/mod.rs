//! ES1, called by the EUM: SGP.02 section 5.2. One file for each function.

pub(crate) mod register_eis;
pub(crate) mod update_eis_additional_properties;
