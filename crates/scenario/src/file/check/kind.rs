//! What there is not for M2M devices.

use std::ops::Range;

use super::super::{Group, Kind, ReachedBy};
use super::{Check, Checked};

/// One that stays on is a card, a modem and what they wait for.
const MOST_M2M: u32 = 1000;

impl Check<'_> {
    /// What an M2M device does not do, and that all are of one kind.
    pub(super) fn kind(&self, group: &Group) -> Checked {
        let no = |span: Range<usize>, what: &str, next: &str| Err(self.source.error(span, what, next));
        if !self.scenario.is_m2m() {
            return match group.reached_by.get_ref() {
                ReachedBy::Sms => Ok(()),
                ReachedBy::Https => {
                    let next = "leave reached_by out, or write kind = \"m2m\"";
                    no(group.reached_by.span(), "only M2M devices are reached by an SM-SR", next)
                }
            };
        }
        if group.kind == Kind::Consumer {
            let next = "write two scenarios, one for each kind";
            return no(group.name.span(), "devices of another kind are M2M ones", next);
        }
        if self.scenario.groups.iter().map(|group| *group.count.get_ref()).sum::<u32>() > MOST_M2M {
            let what = format!("more than {MOST_M2M} M2M devices, which stay on, are too many for one run");
            return no(group.count.span(), &what, "write a smaller count");
        }
        if let Some(held) = group.holds.first() {
            let next = "leave holds out, and let a campaign or a step download-profile bring it";
            return no(held.span(), "an M2M card leaves the factory with one profile", next);
        }
        if let Some(prefers) = &group.prefers {
            let next = "leave prefers out; a card falls back to its bootstrap profile by itself";
            return no(prefers.span(), "an M2M device does not choose its profile", next);
        }
        Ok(())
    }
}
