//! Notifications: SGP.32 section 3.7. An IPA with a connection to SM-DP+s sends them as an LPA does.
//! Any other IPA sends them through an eIM.

use rsp::der::Opaque;
use rsp::sgp22::NotificationMetadata;
use rsp::sgp32::es10b::NotificationSearch;
use rsp::sgp32::esipa::HandleNotificationRequest;
use rsp::sgp32::ipa_data::ipa_features;
use rsp::sgp32::{EimConfigurationData, PendingNotification};
use world::CardInterface;

use super::{Connectivity, Ipa, IpaError};
use crate::es10::RetrievedList;
use crate::lpa::{Delivery, Handled, delivery};

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Sends every pending notification.
    pub(super) async fn send_notifications(&mut self) -> Result<Vec<Delivery>, IpaError> {
        if self.settings.has(ipa_features::DIRECT_RSP_SERVER_COMMUNICATION) {
            return Ok(self.lpa.process_notifications().await?);
        }
        let mut pending = self.es10().list_notification().await?;
        pending.sort_by_key(|metadata| metadata.seq_number);
        let eims = self.es10().get_eim_configuration_data().await?;
        let mut deliveries = Vec::new();
        for metadata in pending {
            let search = Some(NotificationSearch::SeqNumber(metadata.seq_number));
            let notification = match self.es10().retrieve_notifications_list(search).await? {
                RetrievedList::Notifications(list) => list.into_iter().next(),
                RetrievedList::EuiccPackageResults(_) => None,
            };
            let Some(notification) = notification else { continue };
            let handled = self.send_through_eims(&eims, &metadata, &notification).await;
            deliveries.push(delivery(metadata, handled));
        }
        Ok(deliveries)
    }

    /// Sends one notification through the first eIM that accepts it, and removes it from the eUICC.
    // req: SGP.32-3.7-Indirect
    async fn send_through_eims(
        &mut self,
        eims: &[EimConfigurationData],
        metadata: &NotificationMetadata,
        notification: &Opaque<PendingNotification>,
    ) -> Handled {
        let mut why = "the eUICC has no eIM".to_owned();
        for eim in eims {
            match self.send_through(eim, notification).await {
                Ok(()) => {
                    return match self.es10().remove_notification_from_list(metadata.seq_number).await {
                        Ok(()) => Handled::Delivered,
                        Err(error) => Handled::DeliveredButKept(error.to_string()),
                    };
                }
                Err(error) => why = error,
            }
        }
        Handled::Kept(why)
    }

    async fn send_through(
        &mut self,
        eim: &EimConfigurationData,
        notification: &Opaque<PendingNotification>,
    ) -> Result<(), String> {
        let notification = notification.decode().map_err(|error| error.to_string())?;
        let request = HandleNotificationRequest::PendingNotification(Box::new(notification));
        let mut esipa = self.esipa(eim).map_err(|error| error.to_string())?;
        esipa.handle_notification(request).await.map_err(|error| error.to_string())
    }
}
