//! Check-ins at the platform, by devices and by the M2M agent.

use fleet::{CheckIn, Ending, Instruction};
use world::{Link, LinkFaultKind};

use super::dormant_device::DormantDevice;
use super::simulated_world::{PLATFORM, SimulatedWorld};
use crate::report::Kind;

pub(super) use fleet::retry_delay as patience;

/// A check-in that failed.
pub(super) struct CheckInError {
    /// True if the network transported the request.
    pub(super) is_carried: bool,
    pub(super) why: String,
}

impl CheckInError {
    /// A failure that is not caused by the network.
    pub(super) fn carried(why: impl ToString) -> Self {
        Self { is_carried: true, why: why.to_string() }
    }
}

/// Sends a check-in over this link and returns the instruction of the platform. Devices of a scenario
/// have no tokens.
pub(super) async fn send(link: &Link, check_in: &CheckIn) -> Result<Instruction, CheckInError> {
    fleet::send_check_in(link, PLATFORM, None, check_in).await.map_err(|error| CheckInError {
        is_carried: !matches!(
            &error,
            fleet::CheckInError::Link(fault) if fault.kind == LinkFaultKind::Unreachable
        ),
        why: error.to_string(),
    })
}

impl SimulatedWorld {
    /// Counts and reports the end of a move that the platform had instructed.
    pub(super) fn move_ended(&self, device: &mut DormantDevice, ending: &Ending) {
        let counts = &mut device.counts;
        let (count, kind, word, why) = match ending {
            Ending::Moved => (&mut counts.moved, Kind::Moved, "moved", None),
            Ending::CameBack { why } => (&mut counts.came_back, Kind::Failed, "came back", Some(why)),
            Ending::NotInstalled { why } => {
                (&mut counts.not_installed, Kind::Failed, "not installed", Some(why))
            }
        };
        *count = count.saturating_add(1);
        let at = device.service.registered.map(|attached| format!(", {}", self.where_it_is(&attached)));
        let why = why.map(|why| format!(": {why}"));
        self.add_event(kind, device, &format!("{word}{}{}", at.unwrap_or_default(), why.unwrap_or_default()));
        let mut report = self.report();
        let day = report.day(self.now());
        report.days.moves.add(word, day, 1);
    }
}
