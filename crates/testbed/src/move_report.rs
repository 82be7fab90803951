//! The report of a device's move to the platform of its owner.

use device::{Ending as MoveEnding, MoveReport};
use fleet::Ending;

/// Returns the result of a move as the device reports it, or `None` if the device gets no service
/// and the move has therefore not ended.
pub fn ending(report: &MoveReport) -> Option<Ending> {
    Some(match &report.ending {
        MoveEnding::Moved(_) => Ending::Moved,
        MoveEnding::CameBack { why, .. } => Ending::CameBack { why: why.to_string().into() },
        MoveEnding::NotInstalled(why) => Ending::NotInstalled { why: why.to_string().into() },
        MoveEnding::Fault(why) if report.installed.is_none() => {
            Ending::NotInstalled { why: why.to_string().into() }
        }
        MoveEnding::Fault(why) => Ending::CameBack { why: why.to_string().into() },
        MoveEnding::Stranded { .. } => return None,
    })
}
