//! The audit trail: SGP.02 section 5.1.1.3.12. It records the operations on a card, with requester
//! and result, and the notifications of the card. The latest
//! [`MAX_TRAIL_RECORDS`](crate::config::MAX_TRAIL_RECORDS) records are kept.

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    sgp02::{
        FunctionExecutionStatus,
        eis::{AuditTrailRecord, OperationType},
        notification::DefaultNotification,
    },
};
use world::{Fault, Tx};

use crate::{
    context::Context,
    records::{AUDIT, Card, numbered, of_card},
};

/// SetEmergencyProfileAttribute. No source gives a value for this operation; 0A00 is the next free
/// value after those of the schema.
pub(crate) const SET_EMERGENCY_PROFILE_ATTRIBUTE: OperationType = OperationType(0x0A00);
/// UpdateConnectivityParameters. No source gives a value for this operation; 0B00 is the next free
/// value.
pub(crate) const UPDATE_CONNECTIVITY_PARAMETERS: OperationType = OperationType(0x0B00);

/// A completed operation.
pub(crate) struct CompletedOperation<'a> {
    pub(crate) kind: OperationType,
    pub(crate) requester: Option<&'a Oid>,
    pub(crate) status: &'a FunctionExecutionStatus,
    pub(crate) isd_p: Option<&'a Aid>,
    pub(crate) iccid: Option<Iccid>,
}

/// Records an operation on a card. The caller must store the card afterwards.
pub(crate) fn record_operation(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &CompletedOperation<'_>,
) -> Result<(), Fault> {
    let record = AuditTrailRecord {
        requester_id: operation.requester.cloned(),
        operation_execution_status: Some(operation.status.clone()),
        isd_p_aid: operation.isd_p.cloned(),
        iccid: operation.iccid,
        ..template(context, card, operation.kind)
    };
    append(context, card, &record)
}

/// Records a notification of a card. The caller must store the card afterwards.
pub(crate) fn record_notification(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    notification: &DefaultNotification,
) -> Result<(), Fault> {
    let record = AuditTrailRecord {
        isd_p_aid: Some(notification.isd_p.clone()),
        iccid: card.profile_in(&notification.isd_p).map(|profile| profile.iccid),
        imei: notification.imei.clone(),
        meid: notification.meid.clone(),
        ..template(context, card, OperationType::notification(notification.kind.code()))
    };
    append(context, card, &record)
}

/// Returns the audit trail of a card.
pub(crate) async fn trail(tx: &mut Tx<'_>, eid: Eid) -> Result<Vec<AuditTrailRecord>, Fault> {
    let records = tx.list(&AUDIT, &of_card(eid)).await?;
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

fn template(context: &Context<'_, '_>, card: &Card, kind: OperationType) -> AuditTrailRecord {
    AuditTrailRecord {
        eid: card.eid(),
        smsr_id: context.config.id.clone(),
        operation_date: context.now,
        operation_type: kind,
        requester_id: None,
        operation_execution_status: None,
        isd_p_aid: None,
        iccid: None,
        imei: None,
        meid: None,
    }
}

/// Appends a record and deletes the oldest one if the trail is full. The caller must store the card
/// afterwards.
pub(crate) fn append(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    record: &AuditTrailRecord,
) -> Result<(), Fault> {
    context.tx.put(&AUDIT, &numbered(card.eid(), card.next_record), record)?;
    if let Some(too_old) = card.next_record.checked_sub(context.config.max_trail_records) {
        context.tx.delete(&AUDIT, &numbered(card.eid(), too_old));
    }
    card.next_record = card.next_record.saturating_add(1);
    Ok(())
}
