//! Orders as the API shows them.

use rsp::{ids::Eid, ids::TransactionId, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::result_view::ResultView;
use crate::records::{Octets, Order, OrderState, Package};

/// An order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView {
    /// The identifier of the order, which the package contains: eimTransactionId.
    #[schemars(with = "TransactionId")]
    transaction_id: String,
    /// The eUICC.
    eid: Eid,
    /// The content.
    package: Package,
    /// True if the eIM itself created the order.
    automatic: bool,
    /// The state.
    state: OrderStatus,
    /// The counter of a package for the eUICC, once it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<i64>,
    /// The number of deliveries.
    deliveries: u32,
    /// The package as it was sent, DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Octets>,
    /// The time of the order.
    created: Timestamp,
    /// The time after which the package is not sent any more.
    expires: Timestamp,
    /// The result, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultView>,
}

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum OrderStatus {
    /// The order waits for the device.
    Queued,
    /// The package was sent, and its result is awaited.
    Delivered,
    /// There is a result.
    Result,
    /// The order expired without a result.
    Expired,
}

impl OrderStatus {
    pub(super) fn of(state: &OrderState) -> Self {
        match state {
            OrderState::Queued => Self::Queued,
            OrderState::Delivered(_) | OrderState::Recovering { .. } => Self::Delivered,
            OrderState::Ended { .. } => Self::Result,
            OrderState::Expired { .. } => Self::Expired,
        }
    }
}

impl OrderView {
    pub(super) fn of(key: &str, order: Order) -> Self {
        let delivery = order.state.delivery();
        let result = match &order.state {
            OrderState::Ended { at, outcome, .. } => Some(ResultView::of(*at, outcome, &order.package)),
            _ => None,
        };
        Self {
            transaction_id: key.to_owned(),
            eid: order.eid,
            automatic: order.is_automatic,
            state: OrderStatus::of(&order.state),
            counter: delivery.and_then(|delivery| delivery.counter),
            deliveries: delivery.map(|delivery| delivery.times).unwrap_or_default(),
            sent: delivery.map(|delivery| delivery.package.clone()),
            created: order.created,
            expires: order.expires,
            result,
            package: order.package,
        }
    }
}
