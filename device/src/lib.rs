//! The device that holds a card: what it says to it, what it asks of servers, and how it registers on networks.
//!
//! | part | what it is | clause |
//! |---|---|---|
//! | [`terminal`] | command APDUs, GET RESPONSE, proactive commands | TS 102 221, TS 102 223 |
//! | [`es10`] | the functions of the ISD-R, typed | SGP.22 section 5.7 |
//! | [`lpa`] | download, local profile management, notifications | SGP.22 sections 3.1 to 3.5 |
//! | [`usim`] | what a modem reads from the enabled profile | TS 31.102 |
//! | [`modem`] | network selection and registration | TS 23.122, TS 24.301, TS 33.102 |
//! | [`toolkit`] | what a card asks its device for: messages, channels, timers, REFRESH | TS 102 223, TS 31.111 |
//! | [`Online`] | a device without an LPA that stays on: it listens and lets its card act | |
//! | [`at`] | the modem on its serial port | V.250, TS 27.007 |
//! | [`device`](self) | the swap of one profile for another, and the way back | |
//!
//! [`Device::move_to`] is the main job: download, enable, register; and if the new network does not take the device,
//! enable what was there before. What it is about to do is written down first, so that [`Device::recover`] finishes
//! after a power cut what was begun.

pub mod at;
pub mod es10;
pub mod lpa;
pub mod modem;
mod move_to;
pub mod online;
mod serve;
mod slot;
mod teller;
pub mod terminal;
pub mod toolkit;
pub mod usim;

#[cfg(test)]
mod tests;

pub use es10::{Es10, Es10Error};
pub use lpa::{DownloadError, DownloadOptions, Installed, Links, Lpa, LpaSettings};
pub use modem::{Modem, NotRegistered, Registered, Service};
pub use move_to::{Device, DeviceSettings, Ending, MoveReport, NoPause, Pause, Recovery};
pub use online::{Online, OnlineHandle, OnlineSettings};
pub use slot::Slot;
pub use teller::Teller;
pub use terminal::{CardError, Terminal, Traffic};
