//! Functions that the transports call without depending on the modules that define them.

use rsp::der::DecodeError;
use rsp::ids::Aid;
use rsp::ota::script::{Script, ScriptResponse};

use crate::m2m::context::M2mContext;

/// Runs a script for an application. The number is the key version that secured the script.
pub(crate) type RunScript = fn(&mut M2mContext<'_>, &Aid, u8, &Script) -> ScriptResponse;

/// Starts an HTTPS session that reports the notification with this number. Returns `false` if that
/// is not possible now.
pub(crate) type Notify = fn(&mut M2mContext<'_>, u16) -> bool;

/// The handlers of command packets.
#[derive(Clone, Copy)]
pub(crate) struct PacketHandlers {
    pub(crate) run_script: RunScript,
    /// Processes a session trigger.
    pub(crate) trigger: fn(&mut M2mContext<'_>, &[u8]) -> Result<(), DecodeError>,
}
