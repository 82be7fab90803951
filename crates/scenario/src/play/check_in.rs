//! Check-ins at the platform, by devices and by the M2M agent.

use std::time::Duration;

use bytes::Bytes;
use fleet::{CHECK_IN, CheckIn, Ending, Instruction};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use world::{Link, LinkFaultKind};

use super::dormant_device::DormantDevice;
use super::simulated_world::{PLATFORM, SimulatedWorld};
use crate::report::Kind;

/// Retry delays in seconds, by the number of failed attempts. The last one repeats.
const PATIENCE: [u64; 6] = [60, 300, 900, 3600, 3600, 6 * 3600];

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

/// Sends a check-in over this link and returns the instruction of the platform.
pub(super) async fn send(link: &Link, check_in: &CheckIn) -> Result<Instruction, CheckInError> {
    let body = serde_json::to_vec(check_in).map_err(CheckInError::carried)?;
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let uri = Uri::try_from(format!("https://{PLATFORM}{CHECK_IN}")).map_err(CheckInError::carried)?;
    *request.uri_mut() = uri;
    let answer = world::send(link, request).await.map_err(|fault| CheckInError {
        is_carried: fault.kind != LinkFaultKind::Unreachable,
        why: fault.to_string(),
    })?;
    if answer.status() != StatusCode::OK {
        let why = format!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
        return Err(CheckInError::carried(why));
    }
    serde_json::from_slice(answer.body()).map_err(CheckInError::carried)
}

/// The retry delay after this number of consecutive failures.
pub(super) fn patience(failures: u32) -> Duration {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(PATIENCE.get(place).or(PATIENCE.last()).copied().unwrap_or(3600))
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
