//! The life of a profile in the SM-DP+: SGP.22 section 3.1.6, as one table.
//!
//! ```text
//!                 +-> Allocated -+
//! Available ------+              +-> Confirmed -> Released -> Downloaded -> Installed
//!     ^           +-> Linked ----+                    |           |
//!     |                                               +-> Error <-+
//!     +---- CancelOrder ---- (any of them but Downloaded, Installed) ----> Unavailable
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a profile stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProfileState {
    /// In stock.
    Available,
    /// Reserved, for no eUICC in particular.
    Allocated,
    /// Reserved for one eUICC.
    Linked,
    /// The order is complete.
    Confirmed,
    /// The download may begin.
    Released,
    /// A Bound Profile Package was handed out; how it ended is not known.
    Downloaded,
    /// On the eUICC.
    Installed,
    /// The order ended without an installation.
    Error,
    /// Not to be ordered again.
    Unavailable,
}

/// What moves a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProfileEvent {
    /// ES2+.DownloadOrder without an EID.
    Reserved,
    /// ES2+.DownloadOrder with an EID.
    ReservedForEid,
    /// ES2+.ConfirmOrder.
    OrderConfirmed,
    /// ES2+.ConfirmOrder with the release flag.
    OrderConfirmedAndReleased,
    /// ES2+.ReleaseProfile.
    ProfileReleased,
    /// ES9+.GetBoundProfilePackage.
    PackageHandedOut,
    /// ES9+.HandleNotification: installed.
    InstallationSucceeded,
    /// ES9+.HandleNotification: not installed.
    InstallationFailed,
    /// ES9+.CancelSession for good, or attempts used up.
    DownloadEnded,
    /// ES2+.CancelOrder, to be ordered again; or an order of SGP.02 that came to nothing.
    OrderCancelled,
    /// ES2+.CancelOrder, not to be ordered again.
    OrderCancelledForGood,
    /// SGP.02: its ISD-P was deleted from the M2M eUICC.
    ProfileDeleted,
}

use ProfileEvent as On;
use ProfileState as Is;

/// Every step there is; what does not stand here is refused.
pub const TRANSITIONS: &[(ProfileState, ProfileEvent, ProfileState)] = &[
    (Is::Available, On::Reserved, Is::Allocated),
    (Is::Available, On::ReservedForEid, Is::Linked),
    // An order that ended may be placed anew.
    (Is::Error, On::Reserved, Is::Allocated),
    (Is::Error, On::ReservedForEid, Is::Linked),
    (Is::Allocated, On::OrderConfirmed, Is::Confirmed),
    (Is::Allocated, On::OrderConfirmedAndReleased, Is::Released),
    (Is::Linked, On::OrderConfirmed, Is::Confirmed),
    (Is::Linked, On::OrderConfirmedAndReleased, Is::Released),
    (Is::Confirmed, On::ProfileReleased, Is::Released),
    (Is::Released, On::PackageHandedOut, Is::Downloaded),
    // Retry after a cut.
    (Is::Downloaded, On::PackageHandedOut, Is::Downloaded),
    (Is::Downloaded, On::InstallationSucceeded, Is::Installed),
    (Is::Downloaded, On::InstallationFailed, Is::Error),
    // The message took long; meanwhile a retry was given up.
    (Is::Error, On::InstallationSucceeded, Is::Installed),
    (Is::Released, On::DownloadEnded, Is::Error),
    (Is::Downloaded, On::DownloadEnded, Is::Error),
    (Is::Installed, On::ProfileDeleted, Is::Available),
    // What a failed download to an M2M eUICC had left there.
    (Is::Downloaded, On::ProfileDeleted, Is::Available),
    (Is::Allocated, On::OrderCancelled, Is::Available),
    (Is::Linked, On::OrderCancelled, Is::Available),
    (Is::Confirmed, On::OrderCancelled, Is::Available),
    (Is::Released, On::OrderCancelled, Is::Available),
    (Is::Error, On::OrderCancelled, Is::Available),
    (Is::Allocated, On::OrderCancelledForGood, Is::Unavailable),
    (Is::Linked, On::OrderCancelledForGood, Is::Unavailable),
    (Is::Confirmed, On::OrderCancelledForGood, Is::Unavailable),
    (Is::Released, On::OrderCancelledForGood, Is::Unavailable),
    (Is::Error, On::OrderCancelledForGood, Is::Unavailable),
];

impl ProfileState {
    /// Every state, in the order of a profile's life.
    pub const ALL: [Self; 9] = [
        Self::Available,
        Self::Allocated,
        Self::Linked,
        Self::Confirmed,
        Self::Released,
        Self::Downloaded,
        Self::Installed,
        Self::Error,
        Self::Unavailable,
    ];

    /// Where `event` leads from here, if it may happen here.
    pub fn after(self, event: ProfileEvent) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, on, _)| *from == self && *on == event).map(|(_, _, to)| *to)
    }

    /// Whether somebody has ordered the profile and the order is neither ended nor fulfilled.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Allocated | Self::Linked | Self::Confirmed | Self::Released | Self::Downloaded)
    }
}

impl fmt::Display for ProfileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_is_ambiguous() {
        for (row, (from, on, _)) in TRANSITIONS.iter().enumerate() {
            let same = TRANSITIONS.iter().filter(|(f, o, _)| (f, o) == (from, on)).count();
            assert_eq!(same, 1, "row {row}: {from:?} on {on:?}");
        }
    }

    #[test]
    fn what_is_on_a_card_cannot_be_ordered_or_cancelled() {
        for event in [On::Reserved, On::ReservedForEid, On::OrderCancelled, On::OrderCancelledForGood] {
            assert_eq!(Is::Installed.after(event), None);
            assert_eq!(Is::Downloaded.after(event), None);
        }
    }

    #[test]
    fn every_state_but_the_last_can_be_left() {
        for state in ProfileState::ALL {
            let leaves = TRANSITIONS.iter().any(|(from, _, to)| *from == state && to != from);
            assert_eq!(leaves, state != Is::Unavailable, "{state}");
        }
    }
}
