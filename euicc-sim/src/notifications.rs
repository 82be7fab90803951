//! Notifications: SGP.22 section 3.5. They are numbered, signed, and kept until the LPA removes
//! them.
//!
//! - A sequence number is never reused, even after a power cut, a removal or eUICCMemoryReset. A
//!   command whose changes were not stored uses up no number.
//! - A notification that is lost on its way to the server stays in the list until
//!   RemoveNotificationFromList. A repeated delivery has identical octets, including number and
//!   signature; the server recognises it by the number.
//! - A notification can be removed before it was retrieved. A second removal finds nothing to
//!   delete.
//! - Notifications are listed and retrieved in ascending order of their numbers, which is the order
//!   of the events.
//! - If the list is full, the oldest notification is discarded, as the section requires, and a
//!   warning is logged.

use std::sync::Arc;

use rsp::der::{BitString, Raw};
use rsp::ids::{Aid, Iccid, SubjectKeyIdentifier};
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp22::{NotificationMetadata, OtherSignedNotification, PendingNotification};

use super::consumer::ConsumerContext;
use super::state::{InDer, StoredNotification};

/// Maximum number of stored notifications. An LPA delivers notifications within seconds, and a card
/// that is unreachable for months has fewer profile changes than this.
pub(crate) const MAX_NOTIFICATIONS: usize = 100;

/// Creates the notifications that the profile configures for this event.
pub(crate) fn notify(context: &mut ConsumerContext<'_>, isd_p: &Aid, event: usize) {
    notify_others(context, isd_p, event, "");
}

/// Creates the notifications that the profile configures for this event. No notification is created
/// for the address `except`, because the server at this address already receives the installation
/// result.
pub(crate) fn notify_others(context: &mut ConsumerContext<'_>, isd_p: &Aid, event: usize, except: &str) {
    let Some(profile) = context.persistent.profile(isd_p) else { return };
    let (metadata, ci) = (profile.metadata.0.clone(), profile.ci.clone());
    for address in receivers(&metadata, event).into_iter().filter(|to| !to.eq_ignore_ascii_case(except)) {
        let metadata = next_metadata(context, event, address, Some(metadata.iccid));
        let notification = signed(context, metadata.clone(), &ci);
        keep(context, metadata, event, notification);
    }
}

/// The notification addresses that the metadata configure for this event, in their order.
// req: SGP.22-3.5-Receivers
fn receivers(metadata: &StoreMetadataRequest, event: usize) -> Vec<String> {
    let configured = metadata.notification_configuration_info.iter().flatten();
    configured
        .filter(|configuration| configuration.profile_management_operation.has(event))
        .map(|configuration| configuration.notification_address.clone())
        .collect()
}

/// Builds the notification metadata with the next sequence number.
pub(crate) fn next_metadata(
    context: &mut ConsumerContext<'_>,
    event: usize,
    address: String,
    iccid: Option<Iccid>,
) -> NotificationMetadata {
    let state = context.state.to_mut();
    let seq_number = state.next_sequence_number;
    // req: SGP.22-3.5-SequenceNumber
    state.next_sequence_number = seq_number.saturating_add(1);
    NotificationMetadata {
        seq_number,
        profile_management_operation: BitString::of(&[event]),
        notification_address: address,
        iccid,
    }
}

/// Appends a notification to the list.
pub(crate) fn keep(
    context: &mut ConsumerContext<'_>,
    metadata: NotificationMetadata,
    event: usize,
    notification: PendingNotification,
) {
    let kept = &mut context.state.to_mut().notifications;
    kept.push(Arc::new(StoredNotification {
        sequence_number: metadata.seq_number,
        event,
        address: metadata.notification_address,
        iccid: metadata.iccid,
        signed: InDer(Raw::new(notification)),
    }));
    // req: SGP.22-3.5-Full
    let surplus = kept.len().saturating_sub(MAX_NOTIFICATIONS);
    for lost in kept.drain(..surplus) {
        let (number, to) = (lost.sequence_number, &lost.address);
        tracing::warn!(number, to, "the notification list is full: the oldest notification was discarded");
    }
}

fn signed(
    context: &ConsumerContext<'_>,
    metadata: NotificationMetadata,
    ci: &SubjectKeyIdentifier,
) -> PendingNotification {
    let credential = context.ecasd.credential_or_preferred(ci);
    let tbs_other_notification = Raw::new(metadata);
    let signature = credential.sign(tbs_other_notification.bytes());
    PendingNotification::OtherSignedNotification(OtherSignedNotification {
        euicc_notification_signature: signature.as_bytes().to_vec(),
        tbs_other_notification,
        euicc_certificate: credential.euicc_certificate(),
        eum_certificate: credential.eum_certificate(),
    })
}

impl StoredNotification {
    /// The metadata of the notification as in ListNotification.
    pub(crate) fn metadata(&self) -> NotificationMetadata {
        NotificationMetadata {
            seq_number: self.sequence_number,
            profile_management_operation: BitString::of(&[self.event]),
            notification_address: self.address.clone(),
            iccid: self.iccid,
        }
    }
}
