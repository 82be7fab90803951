//! ES10a: the addresses of the SM-DP+ and SM-DS.

pub(super) mod get_euicc_configured_addresses;
pub(super) mod set_default_dp_address;
