//! Creation of campaigns, and checks of their specifications.

use localize::{DataError, DataText};
use rsp::time::Timestamp;

use super::{Campaign, CampaignSpec, Destination, Devices, Forgiven, Progress, Share, State, Window};
use rsp_server::api::Problem;

use crate::device::Device;

impl Campaign {
    /// Returns a campaign that has not started.
    pub(crate) fn new(spec: CampaignSpec, made: Timestamp) -> Self {
        let past_canary = spec.canary.is_none();
        let (hour, put_off) = Default::default();
        Self {
            spec,
            state: State::Draft,
            made,
            past_canary,
            progress: Progress::default(),
            goes_back: false,
            hour,
            put_off,
        }
    }

    /// The state in which the campaign moves devices.
    pub(crate) fn active(&self) -> State {
        match (self.goes_back, self.past_canary) {
            (true, _) => State::RollingBack,
            (false, true) => State::Running,
            (false, false) => State::Canary,
        }
    }

    /// Excludes all attempts so far from the stop conditions.
    pub(crate) fn forgive(&mut self) {
        let Progress { lost, .. } = self.progress;
        self.progress.forgiven =
            Forgiven { ended: self.progress.ended(), failed: self.progress.failed(), lost };
    }

    /// Returns the error for a command that is impossible in the campaign's state.
    pub(crate) fn cannot(&self, be: &str, next: &str) -> Problem {
        let what = format!("campaign {} cannot {be}", self.spec.id);
        Problem::conflict(what, format!("it is {}", self.state), next)
    }
}

impl CampaignSpec {
    /// Parses a campaign from TOML in the format of docs/fleet.md.
    ///
    /// # Errors
    /// The text does not have this format. [`check`](Self::check) finds invalid values later.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let read = DataText { file: "campaign", text }.read();
        read.map_err(|error| DataError {
            next: "docs/fleet.md describes the fields of a campaign".into(),
            ..error
        })
    }

    /// True if the campaign includes the device.
    pub(crate) fn has(&self, device: &Device, now: Timestamp) -> bool {
        device.is_in_service()
            && match &self.devices {
                Devices::Selected(selection) => selection.has(device, now),
                Devices::Listed(eids) => eids.contains(&device.eid),
            }
    }

    /// Checks the values of the specification.
    ///
    /// # Errors
    /// A value is invalid.
    pub fn check(&self) -> Result<(), Problem> {
        let spec = self;
        let invalid = |why: &str, next: &str| {
            let what = format!("cannot create campaign {}", spec.id);
            Err(Problem::bad_request(what, why, next))
        };
        if spec.pace.per_hour == Some(0) || spec.pace.at_once == Some(0) {
            return invalid("at a pace of 0 no device would ever move", "use at least 1, or omit the limit");
        }
        if let Some(canary) = spec.canary {
            match canary.devices {
                Share::Percent(_) if spec.standing => {
                    return invalid(
                        "a standing campaign has no number of devices",
                        "give the number of canaries as a count",
                    );
                }
                Share::Percent(percent) if !(1..=100).contains(&percent) => {
                    return invalid("the share of canaries is not a percentage", "use 1 to 100");
                }
                Share::Count(0) => return invalid("there are 0 canaries", "use at least 1, or omit canary"),
                Share::Count(_) | Share::Percent(_) => {}
            }
        }
        if spec.stop.failed_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return invalid("failed_percent is not a percentage", "use 1 to 100");
        }
        if spec.stop.lost == Some(0) {
            return invalid(
                "it would stop before it begins",
                "use at least 1 lost device, or omit the limit",
            );
        }
        if !spec.windows.iter().all(Window::is_valid) {
            return invalid(
                "a window needs a from_hour of 0 to 23 and an until_hour of 1 to 24",
                "correct the window",
            );
        }
        if spec.standing
            && matches!(spec.target, Destination::Network(_))
            && spec.devices == Devices::default()
        {
            return invalid(
                "it would move every device to that network for ever",
                "select devices, or do not make the campaign standing",
            );
        }
        Ok(())
    }
}
