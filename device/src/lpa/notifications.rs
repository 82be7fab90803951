//! Notifications: SGP.22 section 3.5. Nothing leaves the card's list before its recipient has taken it.

use std::collections::BTreeSet;

use rsp::der::Raw;
use rsp::ids::Iccid;
use rsp::sgp22::es9plus::HandleNotificationRequest;
use rsp::sgp22::{NotificationMetadata, PendingNotification, notification_event};
use serde::Serialize;
use world::CardDoor;

use super::Lpa;
use super::es9plus::Es9Error;
use crate::es10::Es10Error;

/// One notification, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Its number on the card.
    pub seq_number: i64,
    /// "install", "enable", "disable", "delete".
    pub event: &'static str,
    /// For whom.
    pub address: String,
    /// About which profile.
    pub iccid: Option<Iccid>,
    /// What became of it.
    pub handled: Handled,
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Handled {
    /// The recipient took it and the card forgot it.
    Delivered,
    /// The recipient took it, but the card could not be made to forget it: it will be sent again.
    DeliveredButKept(String),
    /// The recipient did not take it; the card keeps it for another time.
    Kept(String),
}

impl Delivery {
    /// Why the recipient or the card still has to be told, if so.
    pub fn failure(&self) -> Option<String> {
        let Self { seq_number, event, address, handled, .. } = self;
        match handled {
            Handled::Delivered => None,
            Handled::DeliveredButKept(why) => Some(format!(
                "notification {seq_number} ({event}) reached {address} and is still on the card: {why}"
            )),
            Handled::Kept(why) => {
                Some(format!("notification {seq_number} ({event}) did not reach {address}: {why}"))
            }
        }
    }
}

impl<D: CardDoor> Lpa<D> {
    /// Sends every pending notification to its recipient, in the order in which they arose.
    ///
    /// A recipient that does not answer is not asked again in the same run, so that its notifications keep their order.
    ///
    /// # Errors
    /// The card's list cannot be read. What happened to each notification is in the list.
    pub async fn process_notifications(&mut self) -> Result<Vec<Delivery>, Es10Error> {
        let mut pending = self.es10.list_notification().await?;
        pending.sort_by_key(|metadata| metadata.seq_number);
        let mut silent = BTreeSet::new();
        let mut deliveries = Vec::new();
        for metadata in pending {
            let address = metadata.notification_address.clone();
            let handled = if silent.contains(&address) {
                Handled::Kept("an earlier notification to the same recipient could not be sent".into())
            } else {
                match self.es10.retrieve_notification(metadata.seq_number).await {
                    // Somebody else has removed it since.
                    Ok(None) => continue,
                    Ok(Some(notification)) => self.deliver(&metadata, notification).await,
                    Err(error) => Handled::Kept(format!("it cannot be read from the card: {error}")),
                }
            };
            if matches!(handled, Handled::Kept(_)) {
                silent.insert(address);
            }
            deliveries.push(delivery(metadata, handled));
        }
        Ok(deliveries)
    }

    /// Sends one notification, and removes it from the card once it is taken.
    pub(super) async fn deliver(
        &mut self,
        metadata: &NotificationMetadata,
        pending_notification: Raw<PendingNotification>,
    ) -> Handled {
        if let Err(why) = self.send_notification(metadata, pending_notification).await {
            return Handled::Kept(why);
        }
        match self.es10.remove_notification_from_list(metadata.seq_number).await {
            Ok(()) => Handled::Delivered,
            Err(error) => Handled::DeliveredButKept(error.to_string()),
        }
    }

    async fn send_notification(
        &mut self,
        metadata: &NotificationMetadata,
        pending_notification: Raw<PendingNotification>,
    ) -> Result<(), String> {
        let address = metadata.notification_address.parse().map_err(|error| format!("{error}"))?;
        let mut server = self.es9plus(&address).map_err(|fault| fault.to_string())?;
        let request = HandleNotificationRequest { pending_notification };
        server.handle_notification(&request).await.map_err(|error: Es9Error| error.to_string())
    }
}

/// A delivery, for a report.
pub(super) fn delivery(metadata: NotificationMetadata, handled: Handled) -> Delivery {
    let operation = &metadata.profile_management_operation;
    let names = [
        (notification_event::INSTALL, "install"),
        (notification_event::ENABLE, "enable"),
        (notification_event::DISABLE, "disable"),
        (notification_event::DELETE, "delete"),
    ];
    Delivery {
        seq_number: metadata.seq_number,
        event: names.iter().find(|(bit, _)| operation.has(*bit)).map_or("unknown", |(_, name)| name),
        address: metadata.notification_address,
        iccid: metadata.iccid,
        handled,
    }
}
