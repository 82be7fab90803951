//! ES1, from the EUM: SGP.02 section 5.2. A function a file.

pub(crate) mod register_eis;
pub(crate) mod update_eis_additional_properties;
