//! ESipa.GetEimPackage: SGP.32 section 5.14.5.
//!
//! Returns the first open order of the device. The package is built, and its counter taken, in the
//! transaction that is committed before the reply.

use rsp::{
    finding::FindingKind,
    sgp32::{
        StateChangeCause,
        esipa::{EimPackageError, GetEimPackageRequest, GetEimPackageResponse},
    },
};
use rsp_server::Decision;
use world::Fault;

use super::Call;
use crate::{
    config::MAX_RECOVERY_REQUESTS,
    context::Context,
    orders,
    records::{DEVICES, Device, ORDERS, Octets, OrderState, Outcome, StateChange, order_key},
    signing,
};

pub(crate) async fn execute(
    call: &Call<'_>,
    request: &GetEimPackageRequest,
) -> Decision<GetEimPackageResponse> {
    call.transact(request, |context, request| Box::pin(decide(context, request))).await
}

async fn decide(
    context: &mut Context<'_, '_>,
    request: &GetEimPackageRequest,
) -> Decision<GetEimPackageResponse> {
    let eid = request.eid_value;
    let is_valid = eid.has_valid_check_digits();
    let Some(mut device) = context.tx.get(&DEVICES, &eid.to_string()).await? else {
        // req: SGP.32-5.14.5-InvalidEid, SGP.32-5.14.5-EidNotFound
        let code = if is_valid { EimPackageError::EID_NOT_FOUND } else { EimPackageError::INVALID_EID };
        return Ok(GetEimPackageResponse::EimPackageError(code));
    };
    if !is_valid {
        context.report(FindingKind::EidCoding, "the check digits of the EID are wrong");
    }
    device.last_poll = Some(context.now);
    if request.notify_state_change.is_some() || request.state_change_cause.is_some() {
        // req: SGP.32-5.14.5-StateChange
        let cause = request.state_change_cause;
        device.state_change = Some(StateChange { cause, at: context.now });
        // Another device, or an eUICC without its former configuration, has other data.
        device.is_data_wanted |=
            [StateChangeCause::DEVICE_CHANGE, StateChangeCause::RESET].map(Some).contains(&cause);
    }
    if let Some(r_plmn) = request.r_plmn {
        device.r_plmn = Some(Octets(r_plmn.to_vec()));
    }
    let package = next_package(context, &mut device).await?;
    orders::put_device(context, &mut device)?;
    // req: SGP.32-5.14.5-NoPackage
    Ok(package.unwrap_or(GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE)))
}

/// Returns the package of the first open order. Orders that have expired or cannot be sent are ended.
/// The caller stores the device.
pub(crate) async fn next_package(
    context: &mut Context<'_, '_>,
    device: &mut Device,
) -> Result<Option<GetEimPackageResponse>, Fault> {
    // Without the certificates no result can be verified, and without the token no package be signed.
    if device.is_data_wanted {
        orders::request_data(context, device).await?;
    }
    while let Some(id) = device.open.front().cloned() {
        let key = order_key(&id);
        let Some(mut order) = context.tx.get(&ORDERS, &key).await? else {
            device.open.pop_front();
            continue;
        };
        if order.expires <= context.now {
            orders::expire(context, device, &id, order)?;
            continue;
        }
        let delivery = match order.state.clone() {
            OrderState::Queued => match signing::build(context, device, &id, &order.package) {
                Ok(delivery) => delivery,
                Err(why) => {
                    orders::end(context, device, &id, order, Outcome::NotSent(why))?;
                    continue;
                }
            },
            // req: SGP.32-3.3.1-Repetition
            OrderState::Delivered(mut delivery) => {
                delivery.times = delivery.times.saturating_add(1);
                delivery
            }
            OrderState::Recovering { instead, requests, .. } if requests >= MAX_RECOVERY_REQUESTS => {
                orders::end(context, device, &id, order, Outcome::EuiccPackage(instead))?;
                continue;
            }
            OrderState::Recovering { delivery, instead, requests } => {
                order.state =
                    OrderState::Recovering { delivery, instead, requests: requests.saturating_add(1) };
                context.tx.put(&ORDERS, &key, &order)?;
                return Ok(Some(signing::recovery_request(&id)));
            }
            OrderState::Ended { .. } | OrderState::Expired { .. } => {
                device.open.pop_front();
                continue;
            }
        };
        let package = signing::response(&delivery.package.0).map_err(|error| {
            Fault::caused_by(
                error,
                format!("cannot decode the package of order {id}"),
                "report this as a bug",
            )
        })?;
        order.state = OrderState::Delivered(delivery);
        context.tx.put(&ORDERS, &key, &order)?;
        return Ok(Some(package));
    }
    Ok(None)
}
