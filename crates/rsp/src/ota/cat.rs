//! The card application toolkit: TS 102 223, for 3GPP TS 31.111. What card and terminal say, in both directions.
//!
//! The words that remote provisioning needs. A proactive command of another kind is a
//! [`DecodeError`](crate::der::DecodeError) for a terminal, whose answer to it is "command type not understood".

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
pub use profile::{Facility, TerminalProfile};
pub use response::{BipCause, GeneralResult, Response, TerminalResponse};
pub use tlv::{Elements, Required, Tag, write};

#[cfg(test)]
mod tests;
