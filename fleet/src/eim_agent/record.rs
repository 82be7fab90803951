//! What the agent keeps of a device between two looks at the eIM.

use rsp::{
    ids::{Iccid, Plmn, TransactionId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::Collection;

use super::api::Package;
use crate::check_in::{CardProfile, CheckIn, MoveEnded, MoveId, Target};

/// Devices of eIMs by EID.
pub(super) const EIM_DEVICES: Collection<EimDevice> = Collection::new("eim-devices");

/// What the agent knows of a device, and what it does for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EimDevice {
    /// The profiles on the card. Absent if they must be listed.
    pub(super) profiles: Option<Vec<CardProfile>>,
    /// Time of the last change without the eIM that the profiles include.
    pub(super) changed: Option<Timestamp>,
    /// The work in progress.
    pub(super) task: Task,
    /// The end of the last move, until the platform knows it.
    pub(super) ended: Option<MoveEnded>,
    /// The last check-in.
    pub(super) last: Option<LastCheckIn>,
}

/// The last check-in for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LastCheckIn {
    /// The contact of the device with the eIM that it reported.
    pub(super) at: Timestamp,
    /// The network that it reported.
    pub(super) network: Option<Plmn>,
    /// The time of the next check-in, as the platform requested.
    pub(super) next: Timestamp,
}

/// Work of the agent for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Task {
    /// No order at the eIM.
    #[default]
    Idle,
    /// The profiles are being listed.
    Listing {
        /// The order.
        order: TransactionId,
    },
    /// A move is in progress.
    Moving(Moving),
}

/// A move, as orders at the eIM: the download if there is one, the enabling of the profile with
/// rollback, and a list of the profiles, which shows how the move ended. All are placed at once,
/// because a sleeping device fetches all orders that wait when it wakes up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moving {
    /// The move.
    pub(super) id: MoveId,
    /// The profile.
    pub(super) to: Target,
    /// The first step that still has to be ordered. The steps before it have a result.
    pub(super) from: Step,
    /// Number of times that orders expired, and were placed again.
    pub(super) expiries: u8,
    /// The reason why an earlier step failed.
    pub(super) failure: Option<String>,
}

/// A step of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Step {
    Download,
    Enable,
    List,
}

impl Moving {
    /// Creates a move that has no order yet.
    pub(super) fn new(id: MoveId, to: Target) -> Self {
        let from = if matches!(to, Target::Download { .. }) { Step::Download } else { Step::Enable };
        Self { id, to, from, expiries: 0, failure: None }
    }

    /// The orders, first to last. The last one lists the profiles. Their identifiers follow from the
    /// move, so that a repetition places no order twice.
    pub(super) fn orders(&self, target: Iccid) -> Vec<(Step, TransactionId, Package)> {
        let steps = [Step::Download, Step::Enable, Step::List].into_iter().filter(|step| *step >= self.from);
        let order = |step| {
            let package = match (step, &self.to) {
                (Step::Download, Target::Download { code, .. }) => Package::Download(code.clone()),
                (Step::Download, Target::Enable(_) | Target::Order { .. }) => return None,
                (Step::Enable, _) => Package::Enable(target),
                (Step::List, _) => Package::List,
            };
            let number = self.expiries.saturating_mul(3).saturating_add(step as u8);
            Some((step, self.id.transaction_id(number), package))
        };
        steps.filter_map(order).collect()
    }
}

impl EimDevice {
    /// True if a check-in has something to report, or the platform expects it.
    pub(super) fn is_check_in_due(&self, contact: Timestamp, network: Option<Plmn>) -> bool {
        let Some(last) = &self.last else { return true };
        let is_heard = contact > last.at;
        self.ended.is_some() || is_heard && (contact >= last.next || network != last.network)
    }

    /// Adds what is known to a check-in.
    pub(super) fn describe(&self, report: CheckIn) -> CheckIn {
        CheckIn { profiles: self.profiles.clone(), ended: self.ended.clone(), ..report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_reported_once() {
        let at = Timestamp(1_000);
        let last = LastCheckIn { at, network: None, next: at };
        let device = EimDevice { last: Some(last), ..EimDevice::default() };
        assert!(!device.is_check_in_due(at, None));
        assert!(device.is_check_in_due(Timestamp(1_001), None));
    }
}
