//! ES10a: the addresses of the card's servers.

pub(super) mod get_euicc_configured_addresses;
pub(super) mod set_default_dp_address;
