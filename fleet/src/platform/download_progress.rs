//! Download progress reported by SM-DP+s (ES2+.HandleDownloadProgressInfo, SGP.22 section 5.3.5),
//! compared with the profiles on the card.

use certs::ServerName;
use rsp::{
    ids::Eid,
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
        json::ExecutionStatus,
    },
    time::Timestamp,
};
use world::{Event, Events, Fault, Outcome, Tx, transact};

use super::{Platform, orders};
use crate::{
    campaign::AttemptResult,
    check_in::{CheckIn, Discrepancy},
    moves::Move,
    profile_order::{DownloadProgress, ORDERS, OrderStep, ProfileOrder, ProfileOrderId, prefix},
    store,
};

/// Outcome of processing a progress report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// The report was recorded or is irrelevant.
    Accepted,
    /// The order belongs to another SM-DP+.
    WrongSmDp,
}

impl Platform {
    /// Processes a progress report of an SM-DP+ whose TLS certificate has these names. Reports
    /// about unknown orders are ignored.
    ///
    /// # Errors
    /// The records fail.
    pub async fn process_progress(
        &self,
        sender: &[ServerName],
        report: &HandleDownloadProgressInfoRequest,
    ) -> Result<Processed, Fault> {
        let processed =
            transact(self.records(), |tx| Box::pin(self.record_progress(tx, sender, report))).await;
        if let Err(fault) = &processed {
            // The SM-DP+ only learns that it has to send the report again, so the fault is reported
            // here.
            let sender = sender.first().map(ServerName::to_string).unwrap_or_default();
            self.0.events.emit(
                Event::new(self.now(), "platform", "HandleDownloadProgressInfo")
                    .with_peer("ES2+", sender)
                    .with_outcome(Outcome::Failed(fault.to_string())),
            );
        }
        processed
    }

    async fn record_progress(
        &self,
        tx: &mut Tx<'_>,
        sender: &[ServerName],
        report: &HandleDownloadProgressInfoRequest,
    ) -> Result<Processed, Fault> {
        let progress = progress(report);
        if report.eid.is_none() && progress.is_none() {
            // The report has no EID and is about an intermediate step, so that there is no need to
            // read all orders.
            return Ok(Processed::Accepted);
        }
        let about_device = report.eid.map(prefix).unwrap_or_default();
        let all = tx.peek_list(&ORDERS, &about_device).await?;
        let about = all.into_iter().find(|(_, order)| order.step.iccid() == Some(report.iccid));
        let Some((key, _)) = about else { return Ok(Processed::Accepted) };
        let Some(order) = tx.get(&ORDERS, &key).await? else { return Ok(Processed::Accepted) };
        let supplier = self.sm_dp_plus(order.operator);
        if !supplier.is_some_and(|supplier| sender.contains(&supplier.name)) {
            return Ok(Processed::WrongSmDp);
        }
        match (&order.step, progress) {
            (_, None) => {}
            // Card and SM-DP+ agree.
            (OrderStep::Fulfilled { .. }, Some(DownloadProgress::Installed)) => tx.delete(&ORDERS, &key),
            (_, progress) => tx.put(&ORDERS, &key, &ProfileOrder { reported: progress, ..order })?,
        }
        Ok(Processed::Accepted)
    }

    /// Compares the orders of a device with the profiles on its card. Returns how its move has
    /// ended, if it has.
    pub(super) async fn reconcile_orders(
        &self,
        tx: &mut Tx<'_>,
        check_in: &CheckIn,
        (orders, open): (&[(String, ProfileOrder)], Option<&Move>),
        found: &mut Vec<Discrepancy>,
    ) -> Result<Option<(AttemptResult, Box<str>)>, Fault> {
        let Some(profiles) = &check_in.profiles else { return Ok(None) };
        let mut end = None;
        for (key, order) in orders {
            let Some(iccid) = order.step.iccid() else { continue };
            let id = ProfileOrderId::from_key(key);
            let on_card = profiles.iter().any(|profile| profile.iccid == iccid);
            let is_of_move = open.is_some_and(|open| open.order() == Some(&id));
            let why: Box<str> = match (on_card, &order.reported, &order.step) {
                (_, _, OrderStep::Fulfilled { .. }) => continue,
                (true, ..) => {
                    // The end of a move is processed separately. Here only the order of an earlier move counts.
                    if !is_of_move {
                        orders::fulfilled(tx, &id, self.now()).await?;
                    }
                    continue;
                }
                (false, None, _) => continue,
                (false, Some(DownloadProgress::Installed), _) => {
                    found.push(Discrepancy::NotInstalled { iccid });
                    // The order can neither be cancelled nor downloaded any more, so the device
                    // needs another profile.
                    tx.delete(&ORDERS, key);
                    "the SM-DP+ reports the profile as installed, but it is not on the card".into()
                }
                (false, Some(DownloadProgress::Failed(why)), _) => {
                    format!("the SM-DP+ reports: {why}").into()
                }
            };
            if is_of_move {
                end = Some((AttemptResult::NotInstalled, why));
            }
        }
        Ok(end)
    }

    /// Deletes fulfilled orders whose SM-DP+ did not report the installation in time, and records
    /// the discrepancy.
    pub(super) async fn close_fulfilled(&self, now: Timestamp) -> Result<(), Fault> {
        for (key, order) in Tx::begin(self.records()).peek_list(&ORDERS, "").await? {
            let due = order.since.plus(self.config().notified_within);
            if matches!(order.step, OrderStep::Fulfilled { .. }) && due <= now {
                transact(self.records(), |tx| Box::pin(self.close(tx, &key, order.eid))).await?;
            }
        }
        Ok(())
    }

    async fn close(&self, tx: &mut Tx<'_>, key: &str, eid: Eid) -> Result<(), Fault> {
        let Some(order) = tx.get(&ORDERS, key).await? else { return Ok(()) };
        let OrderStep::Fulfilled { iccid } = order.step else { return Ok(()) };
        tx.delete(&ORDERS, key);
        let reports = self.sm_dp_plus(order.operator).is_some_and(|supplier| supplier.reports_progress);
        if reports && let Some(mut device) = store::get(tx, eid).await? {
            device.trail.found(self.now(), Discrepancy::NotNotified { iccid });
            store::put(tx, &device)?;
        }
        Ok(())
    }
}

/// Returns the final progress in a report, or `None` for an intermediate step.
fn progress(report: &HandleDownloadProgressInfoRequest) -> Option<DownloadProgress> {
    let status = &report.notification_point_status;
    match status.status {
        ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning => {
            (report.notification_point_id == NotificationPointId::BPP_INSTALLATION)
                .then_some(DownloadProgress::Installed)
        }
        ExecutionStatus::Failed | ExecutionStatus::Expired => {
            let is_final = [NotificationPointId::BPP_INSTALLATION, NotificationPointId::BPP_DOWNLOAD]
                .contains(&report.notification_point_id);
            let why = status.status_code_data.as_ref().map(ToString::to_string);
            is_final.then(|| {
                DownloadProgress::Failed(why.unwrap_or_else(|| "the download failed".to_owned()).into())
            })
        }
    }
}
