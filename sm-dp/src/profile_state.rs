//! The states of a profile in the SM-DP+ (SGP.22 section 3.1.6), as one transition table.
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

/// The state of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProfileState {
    /// The profile is in stock.
    Available,
    /// The profile is reserved without an EID.
    Allocated,
    /// The profile is reserved for one eUICC.
    Linked,
    /// The order is confirmed but not released.
    Confirmed,
    /// The profile can be downloaded.
    Released,
    /// A Bound Profile Package was delivered and its installation result is not known yet.
    Downloaded,
    /// The profile is installed on an eUICC.
    Installed,
    /// The order ended without an installation.
    Error,
    /// The profile cannot be ordered again.
    Unavailable,
}

/// The state of a profile that has an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// The profile is reserved without an EID.
    Allocated,
    /// The profile is reserved for one eUICC.
    Linked,
    /// The order is confirmed but not released.
    Confirmed,
    /// The profile can be downloaded.
    Released,
    /// A Bound Profile Package was delivered and its installation result is not known yet.
    Downloaded,
    /// The profile is installed on an eUICC.
    Installed,
    /// The order ended without an installation.
    Error,
}

/// An event that changes the state of a profile.
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
    /// ES9+.HandleNotification with a successful installation result.
    InstallationSucceeded,
    /// ES9+.HandleNotification with an installation error.
    InstallationFailed,
    /// ES9+.CancelSession with a permanent reason, or the attempts are used up.
    DownloadEnded,
    /// ES2+.CancelOrder that makes the profile available again, or a failed order of SGP.02.
    OrderCancelled,
    /// ES2+.CancelOrder that makes the profile unavailable.
    OrderCancelledForGood,
    /// SGP.02: the ISD-P of the profile was deleted from the M2M eUICC.
    ProfileDeleted,
}

use ProfileEvent as On;
use ProfileState as Is;

/// All allowed transitions. Every other one is refused.
pub const TRANSITIONS: &[(ProfileState, ProfileEvent, ProfileState)] = &[
    (Is::Available, On::Reserved, Is::Allocated),
    (Is::Available, On::ReservedForEid, Is::Linked),
    // A profile whose order ended can be ordered again.
    (Is::Error, On::Reserved, Is::Allocated),
    (Is::Error, On::ReservedForEid, Is::Linked),
    (Is::Allocated, On::OrderConfirmed, Is::Confirmed),
    (Is::Allocated, On::OrderConfirmedAndReleased, Is::Released),
    (Is::Linked, On::OrderConfirmed, Is::Confirmed),
    (Is::Linked, On::OrderConfirmedAndReleased, Is::Released),
    (Is::Confirmed, On::ProfileReleased, Is::Released),
    (Is::Released, On::PackageHandedOut, Is::Downloaded),
    // A retry after an interrupted transfer.
    (Is::Downloaded, On::PackageHandedOut, Is::Downloaded),
    (Is::Downloaded, On::InstallationSucceeded, Is::Installed),
    (Is::Downloaded, On::InstallationFailed, Is::Error),
    // The notification arrived late, after a retry of the download had failed.
    (Is::Error, On::InstallationSucceeded, Is::Installed),
    (Is::Released, On::DownloadEnded, Is::Error),
    (Is::Downloaded, On::DownloadEnded, Is::Error),
    (Is::Installed, On::ProfileDeleted, Is::Available),
    // Removal of the remains of a failed download to an M2M eUICC.
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

impl OrderState {
    /// Returns `None` for the states of a profile without a current order.
    pub fn of(state: ProfileState) -> Option<Self> {
        Some(match state {
            ProfileState::Allocated => Self::Allocated,
            ProfileState::Linked => Self::Linked,
            ProfileState::Confirmed => Self::Confirmed,
            ProfileState::Released => Self::Released,
            ProfileState::Downloaded => Self::Downloaded,
            ProfileState::Installed => Self::Installed,
            ProfileState::Error => Self::Error,
            ProfileState::Available | ProfileState::Unavailable => return None,
        })
    }
}

impl From<OrderState> for ProfileState {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Allocated => Self::Allocated,
            OrderState::Linked => Self::Linked,
            OrderState::Confirmed => Self::Confirmed,
            OrderState::Released => Self::Released,
            OrderState::Downloaded => Self::Downloaded,
            OrderState::Installed => Self::Installed,
            OrderState::Error => Self::Error,
        }
    }
}

impl ProfileState {
    /// Every state, in lifecycle order.
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

    /// Returns the state after `event`, or `None` if the event is not allowed in this state.
    pub fn after(self, event: ProfileEvent) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, on, _)| *from == self && *on == event).map(|(_, _, to)| *to)
    }

    /// True if the profile is ordered and the order has neither ended nor been fulfilled.
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
    fn every_transition_is_unambiguous() {
        for (row, (from, on, _)) in TRANSITIONS.iter().enumerate() {
            let same = TRANSITIONS.iter().filter(|(f, o, _)| (f, o) == (from, on)).count();
            assert_eq!(same, 1, "row {row}: {from:?} on {on:?}");
        }
    }

    #[test]
    fn a_pending_order_can_only_be_fulfilled_or_end() {
        let pending: Vec<_> = ProfileState::ALL.into_iter().filter(|state| state.is_pending()).collect();
        assert_eq!(pending, [Is::Allocated, Is::Linked, Is::Confirmed, Is::Released, Is::Downloaded]);
    }

    #[test]
    fn delivered_profiles_cannot_be_ordered_or_cancelled() {
        for event in [On::Reserved, On::ReservedForEid, On::OrderCancelled, On::OrderCancelledForGood] {
            assert_eq!(Is::Installed.after(event), None);
            assert_eq!(Is::Downloaded.after(event), None);
        }
    }

    #[test]
    fn every_state_except_unavailable_can_be_left() {
        for state in ProfileState::ALL {
            let leaves = TRANSITIONS.iter().any(|(from, _, to)| *from == state && to != from);
            assert_eq!(leaves, state != Is::Unavailable, "{state}");
        }
    }
}
