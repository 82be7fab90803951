//! Functions that the transports call without depending on the modules that define them.

use rsp::der::DecodeError;
use rsp::ids::Aid;
use rsp::ota::script::{Script, ScriptResponse};

use crate::context::Context;

/// Runs a script for an application. The number is the key version that secured the script.
pub(crate) type RunScript = fn(&mut Context<'_>, &Aid, u8, &Script) -> ScriptResponse;

/// Starts an HTTPS session that reports the notification with this number. Returns `false` if that
/// is not possible now.
pub(crate) type Notify = fn(&mut Context<'_>, u16) -> bool;

/// The handlers of command packets.
#[derive(Clone, Copy)]
pub(crate) struct PacketHandlers {
    pub(crate) run_script: RunScript,
    /// Processes a session trigger.
    pub(crate) trigger: fn(&mut Context<'_>, &[u8]) -> Result<(), DecodeError>,
}
