//! The card application toolkit: TS 102 223, for 3GPP TS 31.111. The messages of card and terminal,
//! in both directions.
//!
//! This module covers the messages that remote provisioning requires. At a terminal, an unsupported
//! proactive command is a [`DecodeError`](crate::der::DecodeError), to which the terminal responds
//! "command type not understood".

mod envelope;
mod objects;
mod proactive;
mod profile;
mod response;
mod tlv;

pub use envelope::{Envelope, EventDownload};
pub use objects::{
    AccessPoint, Bearer, ChannelParameters, ChannelState, ChannelStatus, CommandDetails, Device, Duration,
    Event, Imei, LocationInformation, LocationStatus, TextString, TimerValue, TransportLevel,
    TransportProtocol,
};
pub use proactive::{
    Command, CommandKind, LocalInformation, OpenChannel, Proactive, RefreshMode, TimerAction,
};
pub use profile::{TerminalCapability, TerminalProfile};
pub use response::{BipCause, GeneralResult, Response, TerminalResponse};
pub use tlv::{Elements, Required, Tag, write};

#[cfg(test)]
mod tests;
