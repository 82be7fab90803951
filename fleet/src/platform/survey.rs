//! Background work: cancelling orders, ending overlong moves, counting the fleet, finding silent
//! devices.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use localize::{History, RuleBook};
use rsp::{ids::Eid, time::Timestamp};
use serde::Deserialize;
use world::{Collection, Fault, Tx, transact};

use super::{Platform, RulesInForce, orders::Driven};
use crate::{
    campaign::{AttemptResult, CAMPAIGNS},
    check_in::Discrepancy,
    device::Name,
    equipment::Equipment,
    evaluated_fleet::Policies,
    moves::MOVES,
    profile_order::{ORDERS, ProfileOrderId},
    state::{DeviceEvent, State},
    store::{self, DEVICES},
};

/// Maximum interval between two runs of the background work.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// The part of a device record that a survey decodes. A survey reads every device, so the rest of
/// the record is skipped.
#[derive(Deserialize)]
struct Surveyed {
    eid: Eid,
    account: Name,
    connection: Whereabouts,
    last_seen: Option<Timestamp>,
    state: State,
}

#[derive(Deserialize)]
struct Whereabouts {
    history: History,
}

const SURVEYED: Collection<Surveyed> = Collection::new(DEVICES.name());

impl Platform {
    /// Runs the work that is due, and returns the time of the next run.
    ///
    /// # Errors
    /// The records fail. Completed work remains done.
    pub async fn due(&self) -> Result<Timestamp, Fault> {
        let now = self.now();
        let mut next = now.plus(MAX_INTERVAL);
        let mut later = |at: Timestamp| next = next.min(at.max(now.plus(self.config().shortest)));
        for (key, open) in Tx::begin(self.records()).peek_list(&MOVES, "").await? {
            match open.begun.plus(self.config().longest_move) {
                // The move takes longer than allowed.
                longest if longest <= now => {
                    transact(self.records(), |tx| Box::pin(self.lose(tx, &key, now))).await?;
                }
                longest => later(longest),
            }
        }
        self.close_fulfilled(now).await?;
        for (key, campaign) in Tx::begin(self.records()).peek_list(&CAMPAIGNS, "").await? {
            campaign.next_step().into_iter().for_each(&mut later);
            let mut settled = campaign.clone();
            settled.settle(now);
            if settled != campaign {
                transact(self.records(), |tx| Box::pin(settle(tx, &key, now))).await?;
            }
        }
        let surveyed = self.rules().surveyed.as_ref().map(|(at, _)| *at);
        let due = surveyed.map(|at| at.plus(self.config().survey_every)).filter(|due| *due > now);
        match due {
            Some(due) => later(due),
            None => self.survey(now).await?,
        }
        // Orders come last, because an SM-DP+ can be slow.
        later(self.cancel_orders().await?);
        Ok(next)
    }

    /// Drives orders that are to be cancelled and returns the time of the next attempt. If an
    /// SM-DP+ is unreachable, its other orders are skipped.
    async fn cancel_orders(&self) -> Result<Timestamp, Fault> {
        let now = self.now();
        let mut unreachable = BTreeSet::new();
        for (key, order) in Tx::begin(self.records()).peek_list(&ORDERS, "").await? {
            if order.is_to_be_cancelled()
                && !unreachable.contains(&order.operator)
                && let Driven::Unreachable = self.drive(&ProfileOrderId::from_key(&key)).await?
            {
                unreachable.insert(order.operator);
            }
        }
        let again = if unreachable.is_empty() { MAX_INTERVAL } else { self.config().order_again };
        Ok(now.plus(again))
    }

    async fn lose(&self, tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<(), Fault> {
        let Ok(eid) = key.parse::<Eid>() else { return Ok(()) };
        let (Some(open), Some(mut device)) = (tx.get(&MOVES, key).await?, store::get(tx, eid).await?) else {
            return Ok(());
        };
        if open.begun.plus(self.config().longest_move) > now {
            return Ok(());
        }
        device.trail.found(now, Discrepancy::TooLong);
        // A device that has checked in since is not lost, although the result of its move is
        // unknown.
        let has_checked_in = device.last_seen.is_some_and(|seen| seen > open.begun);
        let how = if has_checked_in { AttemptResult::NotInstalled } else { AttemptResult::Lost };
        self.end(tx, &mut device, &open, (how, "the device did not report its end")).await?;
        store::put(tx, &device)
    }

    async fn survey(&self, now: Timestamp) -> Result<(), Fault> {
        let (devices, book) = (self.surveyed().await?, self.book());
        let open = Tx::begin(self.records()).peek_list(&MOVES, "").await?;
        let moving: BTreeSet<String> = open.into_iter().map(|(key, _)| key).collect();
        self.keep_count(&devices, book, now);
        let silent = |device: &Surveyed| {
            matches!(device.state, State::Working | State::Stuck { .. })
                && device.last_seen.is_some_and(|seen| seen.plus(self.config().silent_after) <= now)
                && !moving.contains(&device.eid.to_string())
        };
        for device in devices.iter().filter(|device| silent(device)) {
            transact(self.records(), |tx| Box::pin(mark_silent(tx, device.eid, device.last_seen, now)))
                .await?;
        }
        Ok(())
    }

    /// Counts the fleet.
    pub(super) async fn count(&self) -> Result<Arc<RulesInForce>, Fault> {
        let devices = self.surveyed().await?;
        Ok(self.keep_count(&devices, self.book(), self.now()))
    }

    /// Counts the fleet under another rule book.
    pub(super) async fn counted_under(&self, book: RuleBook) -> Result<RulesInForce, Fault> {
        Ok(self.counted(&self.surveyed().await?, Arc::new(book), self.now()))
    }

    async fn surveyed(&self) -> Result<Vec<Surveyed>, Fault> {
        let all = Tx::begin(self.records()).peek_list(&SURVEYED, "").await?;
        Ok(all.into_iter().map(|(_, device)| device).collect())
    }

    /// Keeps the counts, unless the rules were updated meanwhile: the update has its own counts.
    fn keep_count(&self, devices: &[Surveyed], book: Arc<RuleBook>, now: Timestamp) -> Arc<RulesInForce> {
        let in_force = Arc::new(self.counted(devices, book, now));
        let mut rules = self.rules();
        if Arc::ptr_eq(&rules.book, &in_force.book) {
            rules.surveyed = Some((now, Arc::clone(&in_force)));
        }
        in_force
    }

    fn counted(&self, devices: &[Surveyed], book: Arc<RuleBook>, now: Timestamp) -> RulesInForce {
        let cards = devices.iter().map(|device| (device.eid, &device.connection.history));
        let equipment = Equipment::of(cards, &book);
        let in_service = devices.iter().filter(|device| !matches!(device.state, State::Retired { .. }));
        let devices: Vec<_> =
            in_service.map(|device| (&device.account, &device.connection.history)).collect();
        let policies = Policies::counted(&devices, equipment, self.conditions(&book, now));
        RulesInForce { book, policies }
    }
}

async fn settle(tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<(), Fault> {
    if let Some(mut campaign) = tx.get(&CAMPAIGNS, key).await? {
        campaign.settle(now);
        tx.put(&CAMPAIGNS, key, &campaign)?;
    }
    Ok(())
}

async fn mark_silent(
    tx: &mut Tx<'_>,
    eid: Eid,
    last_seen: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Fault> {
    if let Some(mut device) = store::get(tx, eid).await?
        && device.last_seen == last_seen
        && !matches!(device.state, State::Moving { .. })
    {
        device.happened(now, DeviceEvent::Silent)?;
        store::put(tx, &device)?;
    }
    Ok(())
}
