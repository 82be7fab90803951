//! Checks that a scenario uses no settings that its kind of devices does not support.

use std::ops::Range;

use super::super::{Esipa, Group, Kind, ReachedBy};
use super::{Check, Checked};

/// The limit of M2M devices is lower, because they stay on: each keeps a card, a modem and timers
/// in memory.
const MOST_M2M: u32 = 1000;
/// The limit of IoT devices is lower, because the agent of the platform looks at all of them several
/// times an hour.
const MOST_IOT: u32 = 1000;

impl Check<'_> {
    /// Checks that the settings of a group are valid for the kind of its devices, and that all
    /// groups have devices of the same kind.
    pub(super) fn kind(&self, group: &Group) -> Checked {
        let no = |span: Range<usize>, what: &str, next: &str| Err(self.source.error(span, what, next));
        let groups = &self.scenario.groups;
        if let Some(other) = groups.iter().find(|other| other.kind != group.kind) {
            let what = format!("group {} has devices of another kind", other.name.get_ref());
            return no(group.name.span(), &what, "write one scenario for each kind");
        }
        if group.kind != Kind::M2m && *group.reached_by.get_ref() == ReachedBy::Https {
            let next = "remove reached_by, or write kind = \"m2m\"";
            return no(group.reached_by.span(), "reached_by is only for M2M devices", next);
        }
        if let Some(fallback) = group.fallback.as_ref().filter(|_| group.kind != Kind::Iot) {
            let next = "remove fallback, or write kind = \"iot\"";
            return no(fallback.span(), "fallback is only for IoT devices", next);
        }
        if group.kind != Kind::Iot && *group.esipa.get_ref() != Esipa::Asn1 {
            let next = "remove esipa, or write kind = \"iot\"";
            return no(group.esipa.span(), "esipa is only for IoT devices", next);
        }
        let count = groups.iter().map(|group| *group.count.get_ref()).sum::<u32>();
        match group.kind {
            Kind::Consumer => Ok(()),
            Kind::M2m if count > MOST_M2M => {
                let what =
                    format!("a run can have at most {MOST_M2M} M2M devices, because all stay in memory");
                no(group.count.span(), &what, "write a smaller count")
            }
            Kind::M2m => self.m2m(group),
            Kind::Iot if count > MOST_IOT => {
                let what = format!("a run can have at most {MOST_IOT} IoT devices");
                no(group.count.span(), &what, "write a smaller count")
            }
            Kind::Iot => self.iot(group),
        }
    }

    fn m2m(&self, group: &Group) -> Checked {
        let no = |span: Range<usize>, what: &str, next: &str| Err(self.source.error(span, what, next));
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

    fn iot(&self, group: &Group) -> Checked {
        let no = |span: Range<usize>, what: &str, next: &str| Err(self.source.error(span, what, next));
        if let Some(prefers) = &group.prefers {
            let next = "remove prefers; an IoT device returns from its Fallback Profile by itself";
            return no(prefers.span(), "the eIM of an IoT device chooses its profile", next);
        }
        let Some(fallback) = &group.fallback else { return Ok(()) };
        let mut on_card = std::iter::once(&group.bootstrap).chain(&group.holds);
        match on_card.any(|operator| operator.get_ref() == fallback.get_ref()) {
            true => Ok(()),
            false => {
                let what = "the card has no profile of this operator";
                no(fallback.span(), what, "write the operator of bootstrap or of holds")
            }
        }
    }
}
