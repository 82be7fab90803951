//! The device around a card: terminal, LPA, modem and toolkit, without sockets.
//!
//! The card is reached through [`world::CardInterface`], the networks through [`network::Radio`], and
//! servers through [`world::Link`] (HTTP) and [`world::Dial`] (byte streams). Two devices are built
//! from the modules:
//!
//! - [`Device`] has an LPA. [`Device::move_to`] is its main procedure: download a profile, enable
//!   it and register with it; if the device gets no service, enable the former profile again. The
//!   device stores each step before it executes the step, so that [`Device::recover`] completes an
//!   interrupted procedure after a power cut.
//! - [`Online`] has no LPA and is always on: it listens for short messages and executes the
//!   proactive commands of its card. Its profiles are managed over the air.
//!
//! | Module | Contents | Clause |
//! |---|---|---|
//! | [`terminal`] | command APDUs, GET RESPONSE, proactive commands | TS 102 221, TS 102 223 |
//! | [`slot`](Slot) | a card that several parts of the device share | |
//! | [`es10`] | the functions of the ISD-R, with typed requests and responses | SGP.22 section 5.7 |
//! | [`ipa`] | the IPA of an IoT device: packages of eIMs, rollback, fallback | SGP.32 section 3 |
//! | [`lpa`] | download, local profile management, notifications | SGP.22 sections 3.1 to 3.5 |
//! | [`usim`] | the files of the enabled profile that a modem reads | TS 31.102 |
//! | [`modem`] | network selection and registration | TS 23.122, TS 24.301, TS 33.102 |
//! | [`device`](Device) | the device with an LPA: its parts and its settings | |
//! | [`move_to`](Device::move_to) | the change to another profile, rollback, recovery | |
//! | `toolkit_session` | the toolkit of the device with an LPA: location status and REFRESH | TS 102 223 |
//! | [`toolkit`] | execution of proactive commands: messages, channels, timers, REFRESH | TS 102 223, TS 31.111 |
//! | [`online`] | the device without an LPA | |
//! | [`at`] | the modem's AT command interface | V.250, TS 27.007 |
//! | `data_download` | short messages for the card | TS 31.111 |
//! | [`events`](EventSource) | the events that a device reports | |

pub mod at;
mod data_download;
mod device;
pub mod es10;
mod event_source;
pub mod ipa;
pub mod lpa;
pub mod modem;
mod move_to;
pub mod online;
mod slot;
pub mod terminal;
pub mod toolkit;
mod toolkit_session;
pub mod usim;

#[cfg(test)]
mod tests;

pub use device::{Device, DeviceSettings, NoPause, Pause};
pub use es10::{Es10, Es10Error};
pub use event_source::EventSource;
pub use ipa::{EimLinks, Ipa, IpaSettings};
pub use lpa::{DownloadError, DownloadOptions, Installed, Links, Lpa, LpaSettings};
pub use modem::{Modem, NotRegistered, Registered, Service};
pub use move_to::{Ending, MoveReport, Recovery, Rejected};
pub use online::{AlwaysOnHandle, AlwaysOnSettings, Online};
pub use slot::Slot;
pub use terminal::{CardError, Terminal, Traffic};
