//! Registrations with a network, and the reasons of failed ones.

use std::fmt;
use std::time::Duration;

use network::{EmmCause, Service};
use rsp::ids::{Iccid, Imsi, Plmn};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::usim::UsimError;

/// A registration.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Registered {
    /// The network.
    pub plmn: Plmn,
    /// The name of the network.
    pub network_name: String,
    /// The ISO 3166-1 alpha-2 country code.
    pub country: String,
    /// Home or roaming service.
    pub service: Service,
    /// The subscriber.
    pub imsi: Imsi,
    /// The profile.
    pub iccid: Iccid,
    /// The time of the registration.
    pub at: Timestamp,
    /// The interval at which the device searches for its home network while it has this
    /// registration; `None` if it does not search.
    #[serde(skip)]
    pub home_search: Option<Duration>,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plmn, network_name, country, service, imsi, .. } = self;
        write!(f, "IMSI {imsi} on {network_name} ({plmn}, {country}), {service}")
    }
}

/// A failed registration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotRegistered {
    /// The reason.
    pub why: NoService,
    /// The answer of each network, in the order of the attempts.
    pub tried: Vec<AttachAttempt>,
}

/// The reason for a failed registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoService {
    /// The card has no usable subscription.
    Card(UsimError),
    /// No selectable network is received.
    NoCoverage,
    /// A network refused the device, and no other accepted it.
    Refused(EmmCause),
    /// The networks that are received are all in EF.FPLMN, because they refused the device earlier.
    Forbidden(Vec<Plmn>),
    /// The host that simulates the networks does not answer.
    Lost(String),
}

/// The answer of one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachAttempt {
    /// The network.
    pub plmn: Plmn,
    /// "no coverage", or the cause of the refusal.
    pub answer: String,
}

impl NotRegistered {
    /// True if the refusal is valid until the card is replaced or reset. A retry before that
    /// violates the standard.
    pub fn is_final(&self) -> bool {
        matches!(self.why, NoService::Refused(cause) if cause.invalidates_usim())
    }

    /// True if another attempt at the same place cannot succeed: the refusal is final, or each
    /// network has forbidden the device.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_final() || matches!(self.why, NoService::Forbidden(_)) && self.tried.is_empty()
    }
}

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            NoService::Card(error) => write!(f, "not registered: {error}"),
            NoService::NoCoverage => f.write_str("not registered: no network is received"),
            NoService::Refused(cause) => write!(f, "not registered: refused with {cause}"),
            NoService::Forbidden(plmns) => {
                let plmns: Vec<String> = plmns.iter().map(Plmn::to_string).collect();
                write!(f, "not registered: {} refused the device before (EF.FPLMN)", plmns.join(" and "))
            }
            NoService::Lost(why) => write!(f, "not registered: {why}"),
        }?;
        for AttachAttempt { plmn, answer } in &self.tried {
            write!(f, "; {plmn}: {answer}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_attempt_is_useless_after_a_final_refusal_or_if_all_networks_are_forbidden() {
        let plmn: Plmn = "262-42".parse().unwrap();
        let attempt = || vec![AttachAttempt { plmn, answer: "no coverage".to_owned() }];
        for (why, tried, is_settled) in [
            (NoService::Refused(EmmCause::ILLEGAL_UE), attempt(), true),
            (NoService::Refused(EmmCause::CONGESTION), attempt(), false),
            (NoService::Forbidden(vec![plmn]), vec![], true),
            (NoService::Forbidden(vec![plmn]), attempt(), false),
            (NoService::NoCoverage, vec![], false),
        ] {
            let not = NotRegistered { why, tried };
            assert_eq!(not.is_settled(), is_settled, "{not}");
        }
    }
}
