//! SGP.02: remote provisioning of M2M devices.
