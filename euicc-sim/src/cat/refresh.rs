//! REFRESH: TS 102 223 sections 6.4.7 and 6.6.13.

use rsp::ota::cat::{Command, CommandKind, Proactive, RefreshMode};

/// How far REFRESH has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    /// There is none.
    #[default]
    None,
    /// It waits for FETCH, in this mode if the terminal knows it.
    Waiting(RefreshMode),
    /// It was fetched and waits for TERMINAL RESPONSE.
    Fetched(RefreshMode),
}

/// The number of the command, which nothing else here has.
const NUMBER: u8 = 1;

/// The command, details and device identities (UICC to terminal).
pub(super) fn command(mode: RefreshMode) -> Vec<u8> {
    Proactive { number: NUMBER, command: Command::Refresh(mode) }.to_bytes()
}

/// Its command details, which the answer repeats.
pub(super) const fn details(mode: RefreshMode) -> [u8; 3] {
    [NUMBER, CommandKind::Refresh as u8, mode.code()]
}
