//! ES11, from the LPA: SGP.22 section 5.8. A function a file.

pub(crate) mod authenticate_client;
pub(crate) mod initiate_authentication;
