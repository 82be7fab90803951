//! Results of packages: verification, and their effect on orders and devices. SGP.32 sections 2.11.2 and
//! 3.3.1.

use rsp::{
    der::{Asn1, Raw},
    finding::FindingKind,
    ids::{Eid, TransactionId},
    sgp32::{
        EuiccPackageResult, EuiccResultData,
        esipa::{EimPackageResult, SequenceNumber},
        ipa_data::{
            IpaEuiccData, IpaEuiccDataResponse, ProfileDownloadTriggerResult,
            ProfileDownloadTriggerResultData,
        },
        notification::PendingNotification,
        result::{AddEimResult, DeleteEimResult, EuiccPackageErrorCode, UpdateEimResult},
    },
    status::Status,
};
use rsp_server::Decision;
use world::Fault;

use crate::{
    context::Context,
    devices, notifications, orders,
    records::{
        Certificates, DEVICES, Device, EimOperation, ORDERS, Octets, Order, OrderState, Outcome, Package,
        order_key,
    },
    verification,
};

/// Accepts a result of the IPA. Returns the sequence numbers that the eUICC can remove.
pub(crate) async fn accept(
    context: &mut Context<'_, '_>,
    eid: Option<Eid>,
    result: &EimPackageResult,
) -> Decision<Vec<SequenceNumber>> {
    let id = transaction_id(result).cloned();
    let Some(eid) = eid_of(context, eid, id.as_ref(), result).await? else {
        return Err(Status::EidMissing
            .because("the result has neither an EID nor a known eimTransactionId")
            .into());
    };
    let mut device =
        context.tx.get(&DEVICES, &eid.to_string()).await?.ok_or_else(|| {
            Status::EidAssociation.because("no device with this EID is registered").about(eid)
        })?;
    let accepted = match result {
        EimPackageResult::EuiccPackageResult(result) => package_result(context, &mut device, result).await,
        EimPackageResult::EprAndNotifications(both) => {
            // The result is verified first: a result that is refused acknowledges nothing.
            match package_result(context, &mut device, &both.euicc_package_result).await {
                Ok(mut acknowledged) => {
                    let list = both.notification_list.0.iter();
                    acknowledged.extend(notifications::accept_all(context, &mut device, list).await?);
                    Ok(acknowledged)
                }
                refused => refused,
            }
        }
        EimPackageResult::IpaEuiccDataResponse(response) => {
            data_response(context, &mut device, id.as_ref(), response).await
        }
        EimPackageResult::ProfileDownloadTriggerResult(result) => {
            download_result(context, &mut device, id.as_ref(), result).await
        }
        EimPackageResult::EimPackageResultResponseError(error) => {
            refused_by_ipa(context, &mut device, id.as_ref(), error.eim_package_result_error_code.0).await
        }
        EimPackageResult::EimPackageError(code) => refused_by_ipa(context, &mut device, None, code.0).await,
    };
    orders::put_device(context, &mut device)?;
    accepted
}

fn transaction_id(result: &EimPackageResult) -> Option<&TransactionId> {
    match result {
        EimPackageResult::EuiccPackageResult(result) => result.eim_transaction_id(),
        EimPackageResult::EprAndNotifications(both) => both.euicc_package_result.eim_transaction_id(),
        EimPackageResult::IpaEuiccDataResponse(response) => match &**response {
            IpaEuiccDataResponse::IpaEuiccData(data) => data.eim_transaction_id.as_ref(),
            IpaEuiccDataResponse::IpaEuiccDataResponseError(error) => error.eim_transaction_id.as_ref(),
            IpaEuiccDataResponse::IpaEuiccDataError(_) => None,
        },
        EimPackageResult::ProfileDownloadTriggerResult(result) => result.eim_transaction_id.as_ref(),
        EimPackageResult::EimPackageResultResponseError(error) => error.eim_transaction_id.as_ref(),
        EimPackageResult::EimPackageError(_) => None,
    }
}

/// Returns the EID of the request, or else that of the order, or else that in CERT.EUICC. Some IPAs
/// leave it out.
async fn eid_of(
    context: &mut Context<'_, '_>,
    eid: Option<Eid>,
    id: Option<&TransactionId>,
    result: &EimPackageResult,
) -> Result<Option<Eid>, Fault> {
    if eid.is_some() {
        return Ok(eid);
    }
    if let Some(id) = id
        && let Some(order) = context.tx.get(&ORDERS, &order_key(id)).await?
    {
        return Ok(Some(order.eid));
    }
    Ok(match result {
        EimPackageResult::IpaEuiccDataResponse(response) => match &**response {
            IpaEuiccDataResponse::IpaEuiccData(data) => {
                data.euicc_certificate.as_ref().and_then(devices::eid_in)
            }
            _ => None,
        },
        _ => None,
    })
}

/// Finds the order of a result by EID and eimTransactionId. Without the latter, the first open order
/// that `is_meant` accepts is found.
async fn order_of(
    context: &mut Context<'_, '_>,
    device: &Device,
    id: Option<&TransactionId>,
    is_meant: impl Fn(&Order) -> bool,
) -> Result<Option<(TransactionId, Order)>, Fault> {
    if let Some(id) = id {
        let order = context.tx.get(&ORDERS, &order_key(id)).await?;
        return Ok(order.filter(|order| order.eid == device.eid).map(|order| (id.clone(), order)));
    }
    let Some(first) = device.open.front() else { return Ok(None) };
    let order = context.tx.get(&ORDERS, &order_key(first)).await?;
    let found = order.filter(|order| order.state.delivery().is_some() && is_meant(order));
    if found.is_some() {
        context
            .report(FindingKind::EimTransactionIdMissing, "the order was found by the EID and the counter");
    }
    Ok(found.map(|order| (first.clone(), order)))
}

/// Accepts EuiccPackageResult.
async fn package_result(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    result: &Raw<EuiccPackageResult>,
) -> Decision<Vec<SequenceNumber>> {
    // req: SGP.32-3.3.1-EimId
    if result.eim_id() != context.config.eim_id {
        return Err(Status::EuiccExecutionError
            .because("the result is for another eIM")
            .about(result.eim_id())
            .into());
    }
    let counter = match &**result {
        EuiccPackageResult::EuiccPackageResultSigned(it) => {
            Some(it.euicc_package_result_data_signed.counter_value)
        }
        EuiccPackageResult::EuiccPackageErrorSigned(it) => {
            Some(it.euicc_package_error_data_signed.counter_value)
        }
        EuiccPackageResult::EuiccPackageErrorUnsigned(_) => None,
    };
    let is_meant = |order: &Order| {
        let sent = order.state.delivery().and_then(|delivery| delivery.counter);
        sent.is_some() && (counter.is_none() || sent == counter)
    };
    let mut order = order_of(context, device, result.eim_transaction_id(), is_meant).await?;
    if order.is_none() && counter.is_some() {
        // req: SGP.32-3.3.1-OtherTransactionId
        order = order_of(context, device, None, is_meant).await?;
    }
    let token = match &order {
        Some((_, order)) => order.state.delivery().and_then(|delivery| delivery.token),
        None => device.association.token,
    };
    verify(context, device, result, token)?;
    let acknowledged: Vec<_> = result.seq_number().map(SequenceNumber).into_iter().collect();
    let Some((id, order)) = order else {
        // req: SGP.32-3.3.1-UnknownResult
        context.report(FindingKind::ResultUnknown, "no order has this eimTransactionId or counter");
        return Ok(acknowledged);
    };
    // req: SGP.32-3.3.1-Counter
    let sent = order.state.delivery().and_then(|delivery| delivery.counter);
    if let Some(counter) = counter
        && result.seq_number().is_some()
        && sent.is_some()
        && counter > device.association.counter
    {
        // req: SGP.32-3.3.1-UnknownCounter
        context.report(FindingKind::CounterUnknown, format!("{counter}"));
        device.association.counter = counter;
    } else if counter.is_some() && counter != sent {
        return Err(Status::EuiccExecutionError
            .because("the result has the counter of another package")
            .into());
    }
    // req: SGP.32-3.3.2-Result
    if is_earlier(&order, result) {
        return Ok(acknowledged);
    }
    if let EuiccPackageResult::EuiccPackageErrorUnsigned(error) = &**result {
        match error.association_token {
            // req: SGP.32-2.11.2.1-Token
            Some(other) if Some(other) != token => device.association.token = Some(other),
            // The eUICC has another key than the eIM believes, or does not know the eIM.
            _ => device.is_data_wanted = true,
        }
    }
    if is_empty(result) {
        context.report(FindingKind::ResultEmpty, "euiccResult is empty");
        if matches!(order.state, OrderState::Recovering { .. }) {
            return Ok(Vec::new());
        }
    }
    // req: SGP.32-3.3.1-LostResult, SGP.32-3.3.1-NoResult
    if let Some(delivery) = lost_execution(&order, result) {
        let state = OrderState::Recovering { delivery, instead: result.bytes().into(), requests: 0 };
        let order = Order { state, ..order };
        context.tx.put(&ORDERS, &order_key(&id), &order)?;
        return Ok(Vec::new());
    }
    apply(context, device, &order, result);
    orders::end(context, device, &id, order, Outcome::EuiccPackage(result.bytes().into()))?;
    Ok(acknowledged)
}

/// Verifies the signature of the eUICC: SGP.32 section 2.11.2.1. An unsigned error has none.
fn verify(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    result: &EuiccPackageResult,
    token: Option<i64>,
) -> Decision<()> {
    let (signed, octets, name) = match result {
        EuiccPackageResult::EuiccPackageResultSigned(it) => {
            (it.signed_octets(token), &it.euicc_sign_epr, "euiccSignEPR")
        }
        EuiccPackageResult::EuiccPackageErrorSigned(it) => {
            (it.signed_octets(token), &it.euicc_sign_epe, "euiccSignEPE")
        }
        EuiccPackageResult::EuiccPackageErrorUnsigned(_) => return Ok(()),
    };
    verification::verify(context, device, &signed, octets, name)
}

/// True if the order already has this result or a later one: the acknowledgement was lost. A result with
/// a higher sequence number, such as that of a rollback, replaces the former one.
fn is_earlier(order: &Order, result: &EuiccPackageResult) -> bool {
    let OrderState::Ended { outcome: Outcome::EuiccPackage(known), .. } = &order.state else { return false };
    let known = EuiccPackageResult::from_der(&known.0).ok();
    known.and_then(|known| known.seq_number()) >= result.seq_number()
}

/// Returns the package if the eUICC may have another result of it. The result is empty, or it is the
/// refusal of a package that was sent more than once, so that the eUICC may have executed it before.
fn lost_execution(order: &Order, result: &EuiccPackageResult) -> Option<crate::records::Delivery> {
    let OrderState::Delivered(delivery) = &order.state else { return None };
    let is_replay = matches!(result, EuiccPackageResult::EuiccPackageErrorSigned(error)
        if error.euicc_package_error_data_signed.euicc_package_error_code == EuiccPackageErrorCode::REPLAY_ERROR);
    (is_empty(result) || is_replay && delivery.times > 1).then(|| delivery.clone())
}

/// True if the eUICC has signed that it executed a package, without the result of an operation.
fn is_empty(result: &EuiccPackageResult) -> bool {
    matches!(result, EuiccPackageResult::EuiccPackageResultSigned(it)
        if it.euicc_package_result_data_signed.euicc_result.is_empty())
}

/// Applies the results of operations that change the association of this eIM.
fn apply(context: &Context<'_, '_>, device: &mut Device, order: &Order, result: &EuiccPackageResult) {
    let (Package::EimOperations(operations), EuiccPackageResult::EuiccPackageResultSigned(result)) =
        (&order.package, result)
    else {
        return;
    };
    let results = &result.euicc_package_result_data_signed.euicc_result;
    for (operation, result) in operations.iter().zip(results) {
        let Ok(result) = result.decode() else { return };
        match (operation, &*result) {
            (EimOperation::ReplaceOwnKey {}, EuiccResultData::UpdateEimResult(UpdateEimResult::OK)) => {
                device.association.key = device.association.key.saturating_add(1);
                device.association.counter = 0;
            }
            (EimOperation::UpdateEim(eim), EuiccResultData::UpdateEimResult(UpdateEimResult::OK))
                if eim.eim_id == context.config.eim_id =>
            {
                device.association.counter = eim.counter.unwrap_or(device.association.counter);
            }
            // An eUICC that knows this eIM under a new association has a new token and counter.
            (
                EimOperation::AddEim(eim),
                EuiccResultData::AddEimResult(AddEimResult::AssociationToken(token)),
            ) if eim.eim_id == context.config.eim_id => {
                device.association.token = Some(*token);
                device.association.counter = eim.counter.unwrap_or(0);
            }
            (
                EimOperation::DeleteEim { eim_id },
                EuiccResultData::DeleteEimResult(DeleteEimResult::OK | DeleteEimResult::LAST_EIM_DELETED),
            ) if *eim_id == context.config.eim_id => device.is_data_wanted = true,
            _ => {}
        }
    }
}

/// Accepts IpaEuiccDataResponse.
async fn data_response(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: Option<&TransactionId>,
    response: &IpaEuiccDataResponse,
) -> Decision<Vec<SequenceNumber>> {
    let is_meant = |order: &Order| {
        matches!((&order.package, &order.state), (Package::Data(_), _) | (_, OrderState::Recovering { .. }))
    };
    let order = order_of(context, device, id, is_meant).await?;
    let mut acknowledged = Vec::new();
    if let IpaEuiccDataResponse::IpaEuiccData(data) = response {
        learn(context, device, data)?;
        let lists = [&data.notifications_list, &data.notifications_list_v1_0];
        let list = lists.into_iter().flatten().flat_map(|list| &list.0);
        acknowledged.extend(notifications::accept_all(context, device, list).await?);
        for result in data.euicc_package_result_list.iter().flatten() {
            match result.decode() {
                Ok(result) if result.eim_id() == context.config.eim_id => {
                    acknowledged.extend(package_result(context, device, &result).await?);
                }
                // The result of another eIM stays on the eUICC.
                Ok(_) => {}
                Err(error) => context.report(FindingKind::EntryUnreadable, error.to_string()),
            }
        }
    }
    let Some((id, order)) = order else { return Ok(acknowledged) };
    // A result in the list may have ended the order.
    let order = context.tx.get(&ORDERS, &order_key(&id)).await?.unwrap_or(order);
    match order.state.clone() {
        OrderState::Recovering { instead, .. } => {
            orders::end(context, device, &id, order, Outcome::EuiccPackage(instead))?;
        }
        _ if matches!(order.package, Package::Data(_)) => {
            orders::end(context, device, &id, order, Outcome::Data(Octets(response.to_der())))?;
        }
        _ => {}
    }
    Ok(acknowledged)
}

/// Stores the data of a device. The certificates must be those of its eUICC.
fn learn(context: &mut Context<'_, '_>, device: &mut Device, data: &IpaEuiccData) -> Decision<()> {
    if let (Some(eum), Some(euicc)) = (&data.eum_certificate, &data.euicc_certificate) {
        let certificates = Certificates { eum: Octets(eum.0.clone()), euicc: Octets(euicc.0.clone()) };
        // req: SGP.32-2.11.2.2-Data
        devices::verify(context.credentials, &certificates, device.eid, context.now)
            .map_err(|why| Status::EuiccCertificateVerificationFailed.because(why))?;
        device.certificates = Some(certificates);
    }
    if data.association_token.is_some() {
        device.association.token = data.association_token;
    }
    device.learn(data);
    Ok(())
}

/// Accepts ProfileDownloadTriggerResult.
async fn download_result(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: Option<&TransactionId>,
    result: &ProfileDownloadTriggerResult,
) -> Decision<Vec<SequenceNumber>> {
    let mut acknowledged = Vec::new();
    if let ProfileDownloadTriggerResultData::ProfileInstallationResult(installation) =
        &result.profile_download_trigger_result_data
    {
        // req: SGP.32-2.11.2.3-Result
        verification::verify_installation(context, device, installation)?;
        // After a direct download, there is no session, and the IPA delivers the result to the SM-DP+.
        let whole = PendingNotification::ProfileInstallationResult((***installation).clone());
        acknowledged.extend(notifications::accept(context, device, &whole).await?.number()?);
    }
    let is_meant = |order: &Order| matches!(order.package, Package::Download(_));
    if let Some((id, order)) = order_of(context, device, id, is_meant).await? {
        match &order.state {
            // The result of a download through the eIM has ended the order, now or before.
            OrderState::Ended { outcome: Outcome::Installation(_), .. } if !acknowledged.is_empty() => {}
            _ => orders::end(context, device, &id, order, Outcome::Download(Octets(result.to_der())))?,
        }
    }
    Ok(acknowledged)
}

async fn refused_by_ipa(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: Option<&TransactionId>,
    code: i64,
) -> Decision<Vec<SequenceNumber>> {
    if let Some((id, order)) = order_of(context, device, id, |_| true).await?
        && !order.state.is_ended()
    {
        orders::end(context, device, &id, order, Outcome::RefusedByIpa(code))?;
    }
    Ok(Vec::new())
}
