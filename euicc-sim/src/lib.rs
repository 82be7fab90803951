//! The software eUICC (APDU in, APDU out), the device that holds it (LPA, modem, location) and the networks that it
//! may see. No sockets.

pub mod card;
pub mod device;
pub mod network;
pub mod trace;
