//! REFRESH: TS 102 223 sections 6.4.7 and 6.6.13.

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

/// The command qualifier of REFRESH: TS 102 223 section 8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshMode {
    /// The terminal resets the card; that is its answer.
    UiccReset = 0x04,
    /// The terminal forgets what it knew of the profile, answers, and begins anew without a reset.
    ProfileStateChange = 0x09,
}

/// Length of REFRESH in either mode.
pub(super) const REFRESH_LENGTH: usize = 11;

impl RefreshMode {
    /// Command details: number 1, REFRESH, the mode.
    pub(super) const fn details(self) -> [u8; 3] {
        [0x01, 0x01, self as u8]
    }

    /// The command: details and device identities (UICC to terminal).
    pub(super) const fn command(self) -> [u8; REFRESH_LENGTH] {
        let [number, kind, qualifier] = self.details();
        [0xD0, 0x09, 0x81, 0x03, number, kind, qualifier, 0x82, 0x02, 0x81, 0x82]
    }
}
