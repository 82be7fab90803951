//! Orders: one package for one device, with its state.

use std::fmt;

use rsp::{ids::Eid, ids::SmdpAddress, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Octets, Package};

/// An order of the user: one package for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The eUICC.
    pub eid: Eid,
    /// The content.
    pub package: Package,
    /// The confirmation code of a download through the eIM.
    pub confirmation_code: Option<ConfirmationCode>,
    /// True if the eIM itself created the order.
    pub is_automatic: bool,
    /// The state.
    pub state: OrderState,
    /// The event that an SM-DS returned for the download.
    pub event: Option<Event>,
    /// The time of the order.
    pub created: Timestamp,
    /// The time after which the package is not sent any more.
    pub expires: Timestamp,
}

/// The state of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OrderState {
    /// The order waits for the device. The package is not built yet.
    Queued,
    /// The package was sent at least once. It is repeated octet for octet until a result arrives.
    Delivered(Delivery),
    /// The eUICC reported a replay of a package that was sent more than once, or returned a result without
    /// the results of operations. It may have another result, which the eIM requests.
    Recovering {
        /// The package.
        delivery: Delivery,
        /// What the eUICC returned, which is the result if there is no other one.
        instead: Octets,
        /// The number of requests that were sent.
        requests: u32,
    },
    /// The order has a result.
    Ended {
        /// The time of the result.
        at: Timestamp,
        /// The package, if one was sent.
        delivery: Option<Delivery>,
        /// The result.
        outcome: Outcome,
    },
    /// The order expired without a result. A late result is still accepted.
    Expired {
        /// The package, if one was sent.
        delivery: Option<Delivery>,
    },
}

impl OrderState {
    /// Returns the package, if one was sent.
    pub fn delivery(&self) -> Option<&Delivery> {
        match self {
            Self::Queued => None,
            Self::Delivered(delivery) | Self::Recovering { delivery, .. } => Some(delivery),
            Self::Ended { delivery, .. } | Self::Expired { delivery } => delivery.as_ref(),
        }
    }

    /// True if the eIM sends nothing more for the order.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Expired { .. })
    }
}

/// A package as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The package, DER: BF51, BF52 or BF54.
    pub package: Octets,
    /// The counter of a package for the eUICC.
    pub counter: Option<i64>,
    /// The association token in the signature.
    pub token: Option<i64>,
    /// The time of the first delivery.
    pub first: Timestamp,
    /// The number of deliveries.
    pub times: u32,
}

/// The result of an order, as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Outcome {
    /// EuiccPackageResult (BF51). Its signature was verified, unless it is an unsigned error.
    EuiccPackage(Octets),
    /// IpaEuiccDataResponse (BF52).
    Data(Octets),
    /// ProfileDownloadTriggerResult (BF54). The signature of the eUICC was verified.
    Download(Octets),
    /// ProfileInstallationResult (BF37) of a download through the eIM. Its signature was verified.
    Installation(Octets),
    /// The IPA could not process the package: eimPackageResultErrorCode.
    RefusedByIpa(i64),
    /// The package could not be built.
    NotSent(String),
}

/// The event of an SM-DS for a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The SM-DP+ of the event.
    pub address: SmdpAddress,
    /// The EventID, which is the MatchingID at this SM-DP+.
    pub event_id: String,
}

/// A confirmation code, which is never printed.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ConfirmationCode(pub String);

impl fmt::Debug for ConfirmationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfirmationCode(..)")
    }
}
