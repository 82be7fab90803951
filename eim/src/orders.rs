//! The orders of the user, first to last for each device.

use std::time::Duration;

use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, TransactionId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Fault;

use crate::{
    config::MAX_EIM_ID_OCTETS,
    context::Context,
    records::{
        ConfirmationCode, DEVICES, Device, DownloadSource, EimOperation, ORDERS, Order, OrderState, Outcome,
        Package, ProfileOperation, order_key,
    },
};

/// An order to place.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOrder {
    /// The eUICC.
    pub eid: Eid,
    /// The identifier of the order, eimTransactionId. A repetition with the same identifier places no
    /// second order. Default: a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<TransactionId>,
    /// The content.
    pub package: Package,
    /// The confirmation code of a download whose source the eIM keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation_code: Option<ConfirmationCode>,
    /// Time in seconds after which the package is not sent any more. Default: 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_seconds: Option<u64>,
    /// True if the package is sent even if it violates SGP.32 section 2.11.1.1, to test a card.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchecked: bool,
}

impl NewOrder {
    /// Creates an order with the default lifetime.
    pub fn new(eid: Eid, package: Package) -> Self {
        Self {
            eid,
            transaction_id: None,
            package,
            confirmation_code: None,
            lifetime_seconds: None,
            unchecked: false,
        }
    }
}

/// Places an order. The inner error is one of the user.
pub(crate) async fn place(
    context: &mut Context<'_, '_>,
    new: &NewOrder,
) -> Result<Result<(TransactionId, Order), Fault>, Fault> {
    let what = || format!("cannot place an order for device {}", new.eid);
    if let Err((why, next)) = check(new) {
        return Ok(Err(Fault::usage(what(), why, next)));
    }
    let Some(mut device) = context.tx.get(&DEVICES, &new.eid.to_string()).await? else {
        return Ok(Err(Fault::usage(
            what(),
            "no device with this EID is registered",
            "register the device first, and associate its eUICC with the eIM",
        )));
    };
    if let Some(id) = &new.transaction_id
        && let Some(known) = context.tx.get(&ORDERS, &order_key(id)).await?
    {
        return Ok(match (known.eid == new.eid, known.package == new.package) {
            (true, true) => Ok((id.clone(), known)),
            _ => Err(Fault::usage(
                what(),
                format!("order {id} exists already, with another device or content"),
                "leave transactionId out, or choose another one",
            )),
        });
    }
    if device.open.len() >= context.config.max_orders_per_device {
        return Ok(Err(Fault::usage(
            what(),
            format!("{} orders wait for it already", device.open.len()),
            "wait until the device has executed them, or delete some",
        )));
    }
    let lifetime = new.lifetime_seconds.map_or(context.config.order_lifetime, Duration::from_secs);
    let order = Order {
        confirmation_code: new.confirmation_code.clone(),
        expires: context.now.plus(lifetime),
        ..blank(context, new.eid, new.package.clone())
    };
    let id = match &new.transaction_id {
        Some(id) => {
            context.tx.put(&ORDERS, &order_key(id), &order)?;
            id.clone()
        }
        None => add(context, &order).await?,
    };
    device.open.push_back(id.clone());
    put_device(context, &mut device)?;
    Ok(Ok((id, order)))
}

fn blank(context: &Context<'_, '_>, eid: Eid, package: Package) -> Order {
    Order {
        eid,
        package,
        confirmation_code: None,
        is_automatic: false,
        state: OrderState::Queued,
        event: None,
        created: context.now,
        expires: context.now.plus(context.config.order_lifetime),
    }
}

/// Puts a request for the data of the device before all other orders, unless there is one already.
pub(crate) async fn request_data(context: &mut Context<'_, '_>, device: &mut Device) -> Result<(), Fault> {
    device.is_data_wanted = false;
    if let Some(first) = device.open.front()
        && let Some(order) = context.tx.get(&ORDERS, &order_key(first)).await?
        && order.is_automatic
        && order.expires > context.now
    {
        return Ok(());
    }
    let order = Order { is_automatic: true, ..blank(context, device.eid, Package::Data(Default::default())) };
    let id = add(context, &order).await?;
    device.open.push_front(id);
    Ok(())
}

/// Stores an order under a new eimTransactionId: the time in milliseconds in 6 octets, so that keys are
/// in the order of their creation, and 2 random octets. Each octet costs air time.
async fn add(context: &mut Context<'_, '_>, order: &Order) -> Result<TransactionId, Fault> {
    let [_, _, time @ ..] = context.now.0.to_be_bytes();
    loop {
        let id = TransactionId([time.as_slice(), &context.world.random::<2>()].concat());
        if context.tx.get(&ORDERS, &order_key(&id)).await?.is_none() {
            context.tx.put(&ORDERS, &order_key(&id), order)?;
            return Ok(id);
        }
    }
}

/// Ends an order with a result.
pub(crate) fn end(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    mut order: Order,
    outcome: Outcome,
) -> Result<(), Fault> {
    let delivery = order.state.delivery().cloned();
    order.state = OrderState::Ended { at: context.now, delivery, outcome };
    order.confirmation_code = None;
    close(context, device, id, &order)
}

/// Ends an order that has expired.
pub(crate) fn expire(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    mut order: Order,
) -> Result<(), Fault> {
    order.state = OrderState::Expired { delivery: order.state.delivery().cloned() };
    order.confirmation_code = None;
    close(context, device, id, &order)
}

fn close(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    order: &Order,
) -> Result<(), Fault> {
    context.tx.put(&ORDERS, &order_key(id), order)?;
    device.open.retain(|open| open != id);
    device.ended.retain(|ended| ended != id);
    device.ended.push_back(id.clone());
    Ok(())
}

/// Stores a device, and deletes its oldest orders if it has too many ended ones.
pub(crate) fn put_device(context: &mut Context<'_, '_>, device: &mut Device) -> Result<(), Fault> {
    while device.ended.len() > context.config.max_orders_per_device {
        if let Some(oldest) = device.ended.pop_front() {
            context.tx.delete(&ORDERS, &order_key(&oldest));
        }
    }
    context.tx.put(&DEVICES, &device.eid.to_string(), device)
}

/// Checks an order. Returns the reason and the advice.
fn check(new: &NewOrder) -> Result<(), (String, &'static str)> {
    let wrong = |why: &str, next| Err((why.to_owned(), next));
    match &new.package {
        Package::ProfileOperations(operations) if !new.unchecked => {
            if operations.is_empty() {
                return wrong("the package has no operation", "add an operation");
            }
            check_constraints(operations)
        }
        Package::EimOperations(operations) => {
            if operations.is_empty() && !new.unchecked {
                return wrong("the package has no operation", "add an operation");
            }
            for operation in operations {
                let id = match operation {
                    EimOperation::AddEim(eim) | EimOperation::UpdateEim(eim) => &eim.eim_id,
                    EimOperation::DeleteEim { eim_id } => eim_id,
                    EimOperation::ReplaceOwnKey {} | EimOperation::ListEim {} => continue,
                };
                if !(1..=MAX_EIM_ID_OCTETS).contains(&id.len()) && !new.unchecked {
                    return wrong("an eimId is empty or longer than 128 octets", "correct eimId");
                }
            }
            Ok(())
        }
        Package::Data(request) if request.elements.is_empty() => {
            wrong("the request names no element", "name an element, or leave elements out")
        }
        Package::Download(download) => {
            let kept = download.kept_by_eim;
            if !kept && new.confirmation_code.is_some() {
                let next = "set keptByEim, so that the eIM keeps the source and the code";
                return wrong("an IPA that downloads by itself cannot receive a confirmation code", next);
            }
            match &download.source {
                DownloadSource::ActivationCode(code) if !new.unchecked => {
                    let parsed: ActivationCode =
                        code.parse().map_err(|error| (format!("{error}"), "correct the activation code"))?;
                    if parsed.confirmation_code_required && kept && new.confirmation_code.is_none() {
                        return wrong("the download needs a confirmation code", "add confirmationCode");
                    }
                    Ok(())
                }
                _ => Ok(()),
            }
        }
        Package::ProfileOperations(_) | Package::Data(_) => Ok(()),
    }
}

/// Checks the constraints of SGP.32 section 2.11.1.1.
fn check_constraints(operations: &[ProfileOperation]) -> Result<(), (String, &'static str)> {
    // req: SGP.32-2.11.1.1-Constraints
    use ProfileOperation as Op;
    let count = |is: fn(&Op) -> bool| operations.iter().filter(|operation| is(operation)).count();
    let next = "divide the package into several orders, or set unchecked to test a card";
    if count(|operation| matches!(operation, Op::Enable { .. })) > 1 {
        return Err(("a package can have one enable at most".to_owned(), next));
    }
    if count(|operation| matches!(operation, Op::Disable { .. })) > 1 {
        return Err(("a package can have one disable at most".to_owned(), next));
    }
    let is_change =
        |operation: &Op| matches!(operation, Op::Enable { .. } | Op::Disable { .. } | Op::Delete { .. });
    let changed = operations.iter().position(is_change).unwrap_or(operations.len());
    let is_list = |operation: &Op| matches!(operation, Op::ListProfileInfo {});
    if operations.iter().skip(changed).any(is_list) {
        return Err(("listProfileInfo cannot follow enable, disable or delete".to_owned(), next));
    }
    Ok(())
}
