//! /admin/v1/orders: the orders of the user.

use http::StatusCode;
use rsp::ids::{Eid, TransactionId};
use rsp_server::api::{self, Arguments, Listing, NoId, NoQuery, Page, Revised, Waiting};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Problem,
    order_view::{OrderStatus, OrderView},
};
use crate::{
    orders::{self, NewOrder},
    records::{DEVICES, ORDERS, Order, order_key},
};

/// Selects orders. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrderFilter {
    /// The eUICC.
    eid: Option<Eid>,
    /// The order.
    transaction_id: Option<TransactionId>,
    /// The state.
    state: Option<OrderStatus>,
    /// Open: the order waits for its result. Ended: it has one, or has expired.
    progress: Option<Progress>,
}

/// True or false as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Progress {
    Open,
    Ended,
}

impl OrderFilter {
    fn select(&self, key: &str, order: Order) -> Option<OrderView> {
        let progress = if order.state.is_ended() { Progress::Ended } else { Progress::Open };
        let is_selected = self.eid.is_none_or(|eid| order.eid == eid)
            && self.transaction_id.as_ref().is_none_or(|id| order_key(id) == key)
            && self.state.is_none_or(|state| OrderStatus::of(&order.state) == state)
            && self.progress.is_none_or(|wanted| wanted == progress);
        is_selected.then(|| OrderView::of(key, order))
    }
}

/// GET /admin/v1/orders
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<OrderFilter>>,
) -> Result<Page<OrderView>, Problem> {
    let listing = &arguments.query;
    let select = |key: &str, order| listing.filter.select(key, order);
    Ok(listing.page(context.decision.tx, &ORDERS, select).await?)
}

/// GET /admin/v1/orders/latest
pub(super) async fn latest(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, OrderFilter>,
) -> Result<Option<Revised<OrderView>>, Problem> {
    let select = |key: &str, order| arguments.query.select(key, order);
    Ok(api::latest(context.decision.tx, &ORDERS, select).await?)
}

/// GET /admin/v1/orders/wait
pub(super) async fn wait(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Waiting<OrderFilter>>,
) -> Result<Option<Revised<OrderView>>, Problem> {
    let Waiting { filter, after, .. } = &arguments.query;
    let select = |key: &str, order| filter.select(key, order);
    Ok(api::first_after(context.decision.tx, &ORDERS, *after, select).await?)
}

/// POST /admin/v1/orders
pub(super) async fn place(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NoQuery, NewOrder>,
) -> Result<OrderView, Problem> {
    let placed = orders::place(&mut context.decision, &arguments.body).await?;
    let (id, order) = placed.map_err(|fault| Problem::because(StatusCode::BAD_REQUEST, fault))?;
    Ok(OrderView::of(&order_key(&id), order))
}

/// GET /admin/v1/orders/{transactionId}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<TransactionId>,
) -> Result<OrderView, Problem> {
    let order = order(context, &arguments.id).await?;
    Ok(OrderView::of(&order_key(&arguments.id), order))
}

/// DELETE /admin/v1/orders/{transactionId}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<TransactionId>,
) -> Result<(), Problem> {
    let id = &arguments.id;
    let order = order(context, id).await?;
    let tx = &mut *context.decision.tx;
    tx.delete(&ORDERS, &order_key(id));
    let key = order.eid.to_string();
    if let Some(mut device) = tx.get(&DEVICES, &key).await? {
        device.open.retain(|open| open != id);
        device.ended.retain(|ended| ended != id);
        tx.put(&DEVICES, &key, &device)?;
    }
    Ok(())
}

async fn order(context: &mut Context<'_, '_>, id: &TransactionId) -> Result<Order, Problem> {
    context.decision.tx.get(&ORDERS, &order_key(id)).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no order {id}"),
            "no order has this eimTransactionId",
            "GET /admin/v1/orders lists the orders",
        )
    })
}
