//! The profiles that a package marks: SGP.32 section 3.3.1. The switch takes effect after the package.

use rsp::der::Raw;
use rsp::ids::Aid;
use rsp::sgp32::EuiccPackageResult;

use crate::consumer::ConsumerContext;
use crate::state::iot::Rollback;
use crate::state::{InstalledProfile, ProfileSwitch};
use crate::switch;

/// The profiles that the package marks.
#[derive(Default)]
pub(super) struct Marks {
    /// The profile to enable after the package. At most one operation may enable a profile.
    pub(super) enable: Option<Aid>,
    /// The profile to disable after the package. At most one operation may disable a profile, and it
    /// must precede enable.
    pub(super) disable: Option<Aid>,
    /// The profile to which ES10b.ProfileRollback returns.
    pub(super) rollback: Option<Aid>,
    /// True after a delete.
    pub(super) has_deleted: bool,
}

impl Marks {
    /// True if the package has changed or marked a profile: profiles can no longer be listed.
    pub(super) fn is_change_ongoing(&self) -> bool {
        self.enable.is_some() || self.disable.is_some() || self.has_deleted
    }

    /// The profile that is enabled now and is not marked.
    pub(super) fn enabled<'c>(&self, context: &'c ConsumerContext<'_>) -> Option<&'c InstalledProfile> {
        let is_replaced = self.enable.is_some() || self.disable.is_some();
        context.persistent.enabled_profile().filter(|_| !is_replaced)
    }

    /// Requests the switch, and stores the permission to roll back.
    pub(super) fn apply(self, context: &mut ConsumerContext<'_>, result: &Raw<EuiccPackageResult>) {
        let switch = match (self.enable, self.disable) {
            (Some(isd_p), _) => ProfileSwitch::Enable(isd_p),
            (None, Some(_)) => ProfileSwitch::Disable,
            (None, None) => return,
        };
        // The operation has checked that the card is not busy.
        if switch::request(context, switch, true).is_err() {
            return;
        }
        let iot = context.state.to_mut().iot_mut();
        // The switch replaces that of the Fallback Mechanism.
        iot.before_fallback = None;
        if let (Some(profile), Some(number)) = (self.rollback, result.seq_number()) {
            iot.rollback = Some(Rollback { profile, result: number });
        }
    }
}
