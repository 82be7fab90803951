//! What may be wanted of a campaign, and what it is at first.

use localize::{DataError, DataText};
use rsp::time::Timestamp;

use super::{Campaign, Destination, Devices, Forgiven, Progress, Share, Spec, State, Window};
use crate::{device::Device, problem::Problem};

impl Campaign {
    /// One that does nothing yet.
    pub(crate) fn new(spec: Spec, made: Timestamp) -> Self {
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

    /// What it does when it does something.
    pub(crate) fn active(&self) -> State {
        match (self.goes_back, self.past_canary) {
            (true, _) => State::RollingBack,
            (false, true) => State::Running,
            (false, false) => State::Canary,
        }
    }

    /// What has failed until now no longer makes it stop.
    pub(crate) fn forgive(&mut self) {
        let Progress { lost, .. } = self.progress;
        self.progress.forgiven =
            Forgiven { ended: self.progress.ended(), failed: self.progress.failed(), lost };
    }

    /// It is in no state for that.
    pub(crate) fn cannot(&self, be: &str, next: &str) -> Problem {
        let what = format!("campaign {} cannot {be}", self.spec.id);
        Problem::conflict(what, format!("it is {}", self.state), next)
    }
}

impl Spec {
    /// Reads a campaign from TOML, in the form that docs/fleet.md describes.
    ///
    /// # Errors
    /// It is not of that form; whether it can be meant is checked when it is made.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let read = DataText { file: "campaign", text }.read();
        read.map_err(|error| DataError {
            next: "docs/fleet.md describes the fields of a campaign".into(),
            ..error
        })
    }

    /// Whether the device is one that it is about.
    pub(crate) fn has(&self, device: &Device, now: Timestamp) -> bool {
        device.is_in_service()
            && match &self.devices {
                Devices::Selected(selection) => selection.has(device, now),
                Devices::Listed(eids) => eids.contains(&device.eid),
            }
    }

    /// That it can be meant.
    ///
    /// # Errors
    /// What cannot, why, and what to do.
    pub fn check(&self) -> Result<(), Problem> {
        let spec = self;
        let no = |why: &str, next: &str| {
            let what = format!("cannot make campaign {}", spec.id);
            Err(Problem::bad_request(what, why, next))
        };
        if spec.pace.per_hour == Some(0) || spec.pace.at_once == Some(0) {
            return no("at a pace of 0 nothing ever moves", "give 1 at least, or leave it out");
        }
        if let Some(canary) = spec.canary {
            match canary.devices {
                Share::Percent(_) if spec.standing => {
                    return no(
                        "a standing campaign has no number of devices",
                        "give the canaries as a count",
                    );
                }
                Share::Percent(percent) if !(1..=100).contains(&percent) => {
                    return no("the share of canaries is no percentage", "give 1 to 100");
                }
                Share::Count(0) => return no("there are 0 canaries", "give 1 at least, or leave canary out"),
                Share::Count(_) | Share::Percent(_) => {}
            }
        }
        if spec.stop.failed_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return no("the share that makes it stop is no percentage", "give 1 to 100");
        }
        if spec.stop.lost == Some(0) {
            return no("it would stop before it begins", "give 1 lost device at least, or leave it out");
        }
        if !spec.windows.iter().all(Window::is_sound) {
            return no("a window is from an hour 0 to 23 until an hour 1 to 24", "correct the window");
        }
        if spec.standing
            && matches!(spec.target, Destination::Network(_))
            && spec.devices == Devices::default()
        {
            return no(
                "every device would move to that network for ever",
                "select devices, or do not let it stand",
            );
        }
        Ok(())
    }
}
