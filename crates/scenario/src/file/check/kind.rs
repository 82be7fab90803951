//! Checks that a scenario uses no settings that its kind of devices does not support.

use std::ops::Range;

use super::super::{Group, Kind, ReachedBy};
use super::{Check, Checked};

/// The limit of M2M devices is lower, because they stay on: each keeps a card, a modem and timers
/// in memory.
const MOST_M2M: u32 = 1000;

impl Check<'_> {
    /// Checks that the settings of a group are valid for the kind of its devices, and that all
    /// groups have devices of the same kind.
    pub(super) fn kind(&self, group: &Group) -> Checked {
        let no = |span: Range<usize>, what: &str, next: &str| Err(self.source.error(span, what, next));
        if !self.scenario.is_m2m() {
            return match group.reached_by.get_ref() {
                ReachedBy::Sms => Ok(()),
                ReachedBy::Https => {
                    let next = "remove reached_by, or write kind = \"m2m\"";
                    no(group.reached_by.span(), "reached_by is only for M2M devices", next)
                }
            };
        }
        if group.kind == Kind::Consumer {
            let next = "write one scenario for each kind";
            return no(group.name.span(), "other groups have M2M devices", next);
        }
        if self.scenario.groups.iter().map(|group| *group.count.get_ref()).sum::<u32>() > MOST_M2M {
            let what = format!("a run can have at most {MOST_M2M} M2M devices, because all stay in memory");
            return no(group.count.span(), &what, "write a smaller count");
        }
        if let Some(held) = group.holds.first() {
            let next = "remove holds, and download the profile with a campaign or a step download-profile";
            return no(held.span(), "an M2M card leaves the factory with one profile", next);
        }
        if let Some(prefers) = &group.prefers {
            let next = "remove prefers; a card falls back to its bootstrap profile by itself";
            return no(prefers.span(), "an M2M device does not choose its profile", next);
        }
        Ok(())
    }
}
