//! Requirements on an LPA that can be observed from outside while it downloads a profile.

use schemars::JsonSchema;
use serde::Serialize;

use super::{calls::Call, outcome::Evidence};

/// An observed requirement.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Behaviour {
    /// The requirement.
    pub(crate) requirement: &'static str,
    /// The clause of SGP.22.
    pub(crate) clause: &'static str,
    /// True if the device meets the requirement.
    pub(crate) met: bool,
    /// The observation.
    pub(crate) observed: String,
}

/// User-Agent values of an LPA in the device and of an LPA in the eUICC.
const USER_AGENTS: [&str; 2] = ["gsma-rsp-lpad", "gsma-rsp-lpae"];
/// Start of X-Admin-Protocol.
const PROTOCOL: &str = "gsma/rsp/v";

/// Returns the behaviours that a download without fault shows.
pub(crate) fn observe(download: &Evidence) -> Vec<Behaviour> {
    let calls: Vec<&Call> = download.calls.iter().flatten().collect();
    let is_reported = download.state == sm_dp::ProfileState::Installed;
    let mut all = vec![
        header(
            "Each request has the User-Agent of an LPA.",
            calls.iter().map(|call| call.user_agent.as_deref()),
            |value| USER_AGENTS.iter().any(|agent| value.starts_with(agent)),
        ),
        header(
            "Each request has X-Admin-Protocol with the version of SGP.22.",
            calls.iter().map(|call| call.protocol.as_deref()),
            |value| value.starts_with(PROTOCOL),
        ),
        Behaviour {
            requirement: "The installation result is delivered to the SM-DP+.",
            clause: "SGP.22 3.1.3, 3.5",
            met: is_reported,
            observed: format!("the profile is {} at the SM-DP+", download.state),
        },
    ];
    if let Some(pending) = download.pending_notifications.filter(|_| is_reported) {
        all.push(Behaviour {
            requirement: "A delivered notification is removed from the card.",
            clause: "SGP.22 3.5",
            met: pending == 0,
            observed: format!("{pending} pending on the card"),
        });
    }
    all
}

fn header<'a>(
    requirement: &'static str,
    values: impl Iterator<Item = Option<&'a str>>,
    is_valid: impl Fn(&str) -> bool,
) -> Behaviour {
    let values: Vec<&str> = values.map(Option::unwrap_or_default).collect();
    let invalid = values.iter().find(|value| !is_valid(value));
    let shown = invalid.or(values.first()).copied().unwrap_or_default();
    let observed = if shown.is_empty() { "the header is missing".to_owned() } else { shown.to_owned() };
    Behaviour { requirement, clause: "SGP.22 6.2", met: invalid.is_none() && !values.is_empty(), observed }
}
