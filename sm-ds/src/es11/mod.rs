//! ES11, called by the LPA: SGP.22 section 5.8. One file for each function.

pub(crate) mod authenticate_client;
pub(crate) mod initiate_authentication;
