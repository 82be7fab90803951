//! The word of the SM-DP+ on an order (ES2+.HandleDownloadProgressInfo, SGP.22 section 5.3.5), held against that of the card.

use certs::ServerName;
use rsp::{
    ids::Eid,
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
        json::ExecutionStatus,
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Event, Fault, Outcome, Tx, transact};

use super::{By, Move, ORDERS, Platform, ProfileOrder, Step, orders};
use crate::{
    campaign::Try,
    check_in::{CheckIn, Discrepancy, OrderId},
    store::{self, DEVICES},
};

/// What an SM-DP+ has said of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// The eUICC has told it that the profile is installed.
    Installed,
    /// Nothing will come of the order.
    Failed(Box<str>),
}

/// What becomes of what an SM-DP+ tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is written down, or nothing to us.
    Taken,
    /// It is about an order that stands at another SM-DP+.
    AnothersOrder,
}

impl Platform {
    /// An SM-DP+ whose TLS certificate has these names tells how a download goes. What is not about an order of ours is
    /// nothing to us.
    ///
    /// # Errors
    /// The records fail.
    pub async fn hear(
        &self,
        teller: &[ServerName],
        told: &HandleDownloadProgressInfoRequest,
    ) -> Result<Heard, Fault> {
        let heard = transact(self.records(), |tx| Box::pin(self.write_word(tx, teller, told))).await;
        if let Err(fault) = &heard {
            // The SM-DP+ learns no more than that it has to say it again.
            let teller = teller.first().map(ServerName::to_string).unwrap_or_default();
            self.0.events.tell(
                Event::new(self.now(), "platform", "HandleDownloadProgressInfo")
                    .with_peer("ES2+", teller)
                    .with_outcome(Outcome::Failed(fault.to_string())),
            );
        }
        heard
    }

    async fn write_word(
        &self,
        tx: &mut Tx<'_>,
        teller: &[ServerName],
        told: &HandleDownloadProgressInfoRequest,
    ) -> Result<Heard, Fault> {
        let word = word(told);
        if told.eid.is_none() && word.is_none() {
            // Steps before the end come without an EID, and for these nobody reads through every order.
            return Ok(Heard::Taken);
        }
        let prefix = told.eid.map(orders::prefix).unwrap_or_default();
        let all = tx.glance(&ORDERS, &prefix).await?;
        let about = all.into_iter().find(|(_, order)| order.step.iccid() == Some(told.iccid));
        let Some((key, _)) = about else { return Ok(Heard::Taken) };
        let Some(order) = tx.get(&ORDERS, &key).await? else { return Ok(Heard::Taken) };
        let supplier = self.sm_dp_plus(order.operator);
        if !supplier.is_some_and(|supplier| teller.contains(&supplier.name)) {
            return Ok(Heard::AnothersOrder);
        }
        match (&order.step, word) {
            (_, None) => {}
            // Card and server agree.
            (Step::Fulfilled { .. }, Some(Told::Installed)) => tx.delete(&ORDERS, &key),
            (_, word) => tx.put(&ORDERS, &key, &ProfileOrder { told: word, ..order })?,
        }
        Ok(Heard::Taken)
    }

    /// Holds the orders of a device against what is on its card; says what that means for its move.
    pub(super) async fn hold_orders(
        &self,
        tx: &mut Tx<'_>,
        said: &CheckIn,
        (orders, open): (&[(String, ProfileOrder)], Option<&Move>),
        found: &mut Vec<Discrepancy>,
    ) -> Result<Option<(Try, Box<str>)>, Fault> {
        let Some(profiles) = &said.profiles else { return Ok(None) };
        let mut end = None;
        for (key, order) in orders {
            let Some(iccid) = order.step.iccid() else { continue };
            let id = OrderId::from_key(key);
            let on_card = profiles.iter().any(|profile| profile.iccid == iccid);
            let is_of_move = open.is_some_and(|open| open.by == By::Ordered(id.clone()));
            let why: Box<str> = match (on_card, &order.told, &order.step) {
                (_, _, Step::Fulfilled { .. }) => continue,
                (true, ..) => {
                    // A move ends by itself; what it left behind is there all the same.
                    if !is_of_move {
                        orders::fulfilled(tx, &id, self.now()).await?;
                    }
                    continue;
                }
                (false, None, _) => continue,
                (false, Some(Told::Installed), _) => {
                    found.push(Discrepancy::NotInstalled { iccid });
                    // It cannot be cancelled there any more, and not be downloaded: another profile is needed.
                    tx.delete(&ORDERS, key);
                    "the profile is not on the card, and its SM-DP+ takes it for installed".into()
                }
                (false, Some(Told::Failed(why)), _) => format!("the SM-DP+ says: {why}").into(),
            };
            if is_of_move {
                end = Some((Try::NotInstalled, why));
            }
        }
        Ok(end)
    }

    /// What is on a card, and its SM-DP+ has not said so for long enough: the records say it, and nothing more can be done.
    pub(super) async fn close_fulfilled(&self, now: Timestamp) -> Result<(), Fault> {
        for (key, order) in Tx::begin(self.records()).glance(&ORDERS, "").await? {
            let due = order.since.plus(self.config().notified_within);
            if matches!(order.step, Step::Fulfilled { .. }) && due <= now {
                transact(self.records(), |tx| Box::pin(self.close(tx, &key, order.eid))).await?;
            }
        }
        Ok(())
    }

    async fn close(&self, tx: &mut Tx<'_>, key: &str, eid: Eid) -> Result<(), Fault> {
        let Some(order) = tx.get(&ORDERS, key).await? else { return Ok(()) };
        let Step::Fulfilled { iccid } = order.step else { return Ok(()) };
        tx.delete(&ORDERS, key);
        let tells = self.sm_dp_plus(order.operator).is_some_and(|supplier| supplier.tells);
        if tells
            && order.told != Some(Told::Installed)
            && let Some(mut device) = tx.get(&DEVICES, &eid.to_string()).await?
        {
            device.trail.found(self.now(), Discrepancy::NotNotified { iccid });
            store::put(tx, &device)?;
        }
        Ok(())
    }
}

/// What is final in what is told; the steps before it are not.
fn word(told: &HandleDownloadProgressInfoRequest) -> Option<Told> {
    let status = &told.notification_point_status;
    match status.status {
        ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning => {
            (told.notification_point_id == NotificationPointId::BPP_INSTALLATION).then_some(Told::Installed)
        }
        ExecutionStatus::Failed | ExecutionStatus::Expired => {
            let is_final = [NotificationPointId::BPP_INSTALLATION, NotificationPointId::BPP_DOWNLOAD]
                .contains(&told.notification_point_id);
            let why = status.status_code_data.as_ref().map(ToString::to_string);
            is_final.then(|| Told::Failed(why.unwrap_or_else(|| "the download failed".to_owned()).into()))
        }
    }
}
