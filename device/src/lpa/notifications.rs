//! Notifications: SGP.22 section 3.5. A notification stays in the card's list until its recipient
//! has accepted it.

use std::collections::BTreeSet;

use rsp::der::Opaque;
use rsp::ids::Iccid;
use rsp::sgp22::{NotificationMetadata, PendingNotification, notification_event};
use schemars::JsonSchema;
use serde::Serialize;
use world::CardInterface;

use super::Lpa;
use super::es9plus::Es9Error;
use super::requests::HandleNotificationRequest;
use crate::es10::Es10Error;

/// The delivery of one notification.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Delivery {
    /// The sequence number on the card.
    pub seq_number: i64,
    /// The event: "install", "enable", "disable" or "delete".
    pub event: &'static str,
    /// The address of the recipient.
    pub address: String,
    /// The profile.
    pub iccid: Option<Iccid>,
    /// The outcome.
    pub handled: Handled,
}

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Handled {
    /// The recipient accepted the notification, and it was removed from the card.
    Delivered,
    /// The recipient accepted the notification, but it could not be removed from the card. It will
    /// be sent again.
    DeliveredButKept(String),
    /// The recipient did not accept the notification. It remains on the card.
    Kept(String),
}

impl Delivery {
    /// Returns a description of the failure, unless the notification was delivered and removed.
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

impl<D: CardInterface> Lpa<D> {
    /// Sends every pending notification to its recipient, in the order of the sequence numbers.
    ///
    /// After a failure no further notification is sent to the same recipient in this run, so that
    /// the order is kept.
    ///
    /// # Errors
    /// The card's list cannot be read. Failures of individual notifications are in the returned
    /// list.
    pub async fn process_notifications(&mut self) -> Result<Vec<Delivery>, Es10Error> {
        let mut pending = self.es10.list_notification().await?;
        pending.sort_by_key(|metadata| metadata.seq_number);
        let mut unreachable = BTreeSet::new();
        let mut deliveries = Vec::new();
        for metadata in pending {
            let address = metadata.notification_address.clone();
            let handled = if unreachable.contains(&address) {
                Handled::Kept("an earlier notification to the same recipient could not be sent".into())
            } else {
                match self.es10.retrieve_notification(metadata.seq_number).await {
                    // The notification was removed in the meantime.
                    Ok(None) => continue,
                    Ok(Some(notification)) => self.deliver(&metadata, notification).await,
                    Err(error) => {
                        Handled::Kept(format!("the notification cannot be read from the card: {error}"))
                    }
                }
            };
            if matches!(handled, Handled::Kept(_)) {
                unreachable.insert(address);
            }
            deliveries.push(delivery(metadata, handled));
        }
        Ok(deliveries)
    }

    /// Sends one notification, and removes it from the card after the recipient has accepted it.
    pub(super) async fn deliver(
        &mut self,
        metadata: &NotificationMetadata,
        pending_notification: Opaque<PendingNotification>,
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
        pending_notification: Opaque<PendingNotification>,
    ) -> Result<(), String> {
        let address = metadata.notification_address.parse().map_err(|error| format!("{error}"))?;
        let mut server = self.es9plus(&address).map_err(|fault| fault.to_string())?;
        let request = HandleNotificationRequest { pending_notification };
        server.handle_notification(&request).await.map_err(|error: Es9Error| error.to_string())
    }
}

/// Creates the report of a delivery.
pub(crate) fn delivery(metadata: NotificationMetadata, handled: Handled) -> Delivery {
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
