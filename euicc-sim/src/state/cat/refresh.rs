//! REFRESH: TS 102 223 sections 6.4.7 and 6.6.13.

use rsp::ota::cat::{Command, CommandKind, Proactive, RefreshMode};

/// The state of REFRESH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// No REFRESH is pending.
    #[default]
    None,
    /// Waiting for FETCH. The command has this mode if the terminal supports it, and otherwise the
    /// mode "UICC Reset".
    Waiting(RefreshMode),
    /// Fetched, and waiting for TERMINAL RESPONSE.
    Fetched(RefreshMode),
}

/// The command number. No other command uses it.
const NUMBER: u8 = 1;

/// The command: details and device identities (UICC to terminal).
pub(crate) fn command(mode: RefreshMode) -> Vec<u8> {
    Proactive { number: NUMBER, command: Command::Refresh(mode) }.to_bytes()
}

/// The command details, which the terminal repeats in its response.
pub(crate) const fn details(mode: RefreshMode) -> [u8; 3] {
    [NUMBER, CommandKind::Refresh as u8, mode.code()]
}
