//! The networks that the device may see.
