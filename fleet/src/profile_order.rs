//! Orders of profiles at SM-DP+s (ES2+), as they are stored.

use std::fmt;

use localize::Orderable;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Plmn},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, World};

/// Orders at SM-DP+s. The key is a [`ProfileOrderId`], because the ICCID is unknown at first.
pub const ORDERS: Collection<ProfileOrder> = Collection::new("profile-orders");

/// The ID of a profile order: the EID and a random number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileOrderId(Box<str>);

impl ProfileOrderId {
    /// Returns a new ID for an order of this device.
    pub(crate) fn drawn(eid: Eid, world: &World) -> Self {
        Self(format!("{}{}", prefix(eid), hex::encode(world.random::<8>())).into())
    }

    /// The ID with this record key.
    pub(crate) fn from_key(key: &str) -> Self {
        Self(key.into())
    }
}

impl AsRef<str> for ProfileOrderId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The prefix of the keys of a device's orders.
pub(crate) fn prefix(eid: Eid) -> String {
    format!("{eid}/")
}

/// An order of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileOrder {
    /// The device.
    pub eid: Eid,
    /// The operator.
    pub operator: Plmn,
    /// The ICCID or profile type that is ordered.
    pub what: Orderable,
    /// The step that the order has reached.
    pub step: OrderStep,
    /// Time at which the order reached this step.
    pub since: Timestamp,
    /// Final download progress that the SM-DP+ reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<DownloadProgress>,
}

/// Step of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum OrderStep {
    /// To be reserved with DownloadOrder.
    Reserving {
        /// The functionCallIdentifier.
        call: Box<str>,
        /// True if the order is no longer needed and will be cancelled as soon as its ICCID is
        /// known.
        unwanted: bool,
    },
    /// To be confirmed and released with ConfirmOrder.
    Confirming {
        /// The ICCID.
        iccid: Iccid,
        /// The functionCallIdentifier.
        call: Box<str>,
    },
    /// Ready to be downloaded.
    Released {
        /// The ICCID.
        iccid: Iccid,
        /// The activation code.
        #[serde(with = "crate::check_in::activation_code")]
        code: ActivationCode,
    },
    /// To be cancelled with CancelOrder.
    Cancelling {
        /// The ICCID.
        iccid: Iccid,
        /// The functionCallIdentifier.
        call: Box<str>,
        /// The activation code, if the profile was released. If the SM-DP+ refuses to cancel the
        /// order, this code can still be used to download the profile.
        code: Option<Code>,
    },
    /// The profile is on the card, so that the order needs no further call.
    Fulfilled {
        /// The ICCID.
        iccid: Iccid,
    },
}

/// An activation code in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(#[serde(with = "crate::check_in::activation_code")] pub ActivationCode);

impl OrderStep {
    /// The ICCID, once it is known.
    pub fn iccid(&self) -> Option<Iccid> {
        match self {
            Self::Reserving { .. } => None,
            Self::Confirming { iccid, .. }
            | Self::Released { iccid, .. }
            | Self::Cancelling { iccid, .. }
            | Self::Fulfilled { iccid } => Some(*iccid),
        }
    }

    /// The ES2+ function that the order needs next, or an empty string if it needs none.
    pub(crate) fn function(&self) -> &'static str {
        match self {
            Self::Reserving { .. } => "DownloadOrder",
            Self::Confirming { .. } => "ConfirmOrder",
            Self::Cancelling { .. } => "CancelOrder",
            Self::Released { .. } | Self::Fulfilled { .. } => "",
        }
    }
}

impl ProfileOrder {
    /// True if no change of a device's profile (move) needs the order any more, so that the order
    /// must be cancelled.
    pub(crate) fn is_to_be_cancelled(&self) -> bool {
        matches!(self.step, OrderStep::Cancelling { .. } | OrderStep::Reserving { unwanted: true, .. })
    }
}

/// Final download progress of a profile order, as reported by its SM-DP+.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadProgress {
    /// The SM-DP+ received a successful installation result.
    Installed,
    /// The download failed for good, with this reason.
    Failed(Box<str>),
}
