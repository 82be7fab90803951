//! Notifications: SGP.22 section 3.5. Numbered, signed, and kept until the LPA removes them.
//!
//! - A number is never used again: not after a power cut, a removal, or eUICCMemoryReset. A command whose change was not
//!   stored has used up none.
//! - A notification that gets lost on its way to the server is still here: only RemoveNotificationFromList ends it. One
//!   that is sent twice is the same octets, number and signature; the server tells by the number.
//! - One may be removed before it was ever retrieved, and again after that: the second time there is nothing to delete.
//! - They are listed and retrieved by ascending number, which is the order in which things happened.
//! - When there is no room for another, the oldest goes, as the section says, and the log tells of it.

use std::sync::Arc;

use rsp::der::{BitString, Raw};
use rsp::ids::{Aid, Iccid, SubjectKeyIdentifier};
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp22::{NotificationMetadata, OtherSignedNotification, PendingNotification};

use super::context::Context;
use super::state::{InDer, StoredNotification};

/// Notifications that there is room for. An LPA delivers them within seconds; a card that cannot be reached for months
/// sees fewer changes than this.
pub(crate) const MAX_NOTIFICATIONS: usize = 100;

/// Tells everybody whom the profile names for this event.
pub(crate) fn tell(context: &mut Context<'_>, isd_p: &Aid, event: usize) {
    tell_others(context, isd_p, event, "");
}

/// Tells everybody whom the profile names for this event, except the one that knows already.
pub(crate) fn tell_others(context: &mut Context<'_>, isd_p: &Aid, event: usize, knows: &str) {
    let Some(profile) = context.persistent.profile(isd_p) else { return };
    let (metadata, ci) = (profile.metadata.0.clone(), profile.ci.clone());
    for address in receivers(&metadata, event).into_iter().filter(|to| !to.eq_ignore_ascii_case(knows)) {
        let metadata = next_metadata(context, event, address, Some(metadata.iccid));
        let Some(notification) = signed(context, metadata.clone(), &ci) else { return };
        keep(context, metadata, event, notification);
    }
}

/// Whom the metadata name for this event, in their order.
fn receivers(metadata: &StoreMetadataRequest, event: usize) -> Vec<String> {
    let configured = metadata.notification_configuration_info.iter().flatten();
    configured
        .filter(|configuration| configuration.profile_management_operation.has(event))
        .map(|configuration| configuration.notification_address.clone())
        .collect()
}

/// Takes the next sequence number.
pub(crate) fn next_metadata(
    context: &mut Context<'_>,
    event: usize,
    address: String,
    iccid: Option<Iccid>,
) -> NotificationMetadata {
    let persistent = context.persistent.to_mut();
    let seq_number = persistent.next_sequence_number;
    persistent.next_sequence_number = seq_number.saturating_add(1);
    NotificationMetadata {
        seq_number,
        profile_management_operation: BitString::of(&[event]),
        notification_address: address,
        iccid,
    }
}

/// Puts a notification into the list.
pub(crate) fn keep(
    context: &mut Context<'_>,
    metadata: NotificationMetadata,
    event: usize,
    notification: PendingNotification,
) {
    let kept = &mut context.persistent.to_mut().notifications;
    kept.push(Arc::new(StoredNotification {
        sequence_number: metadata.seq_number,
        event,
        address: metadata.notification_address,
        iccid: metadata.iccid,
        signed: InDer(Raw::new(notification)),
    }));
    let surplus = kept.len().saturating_sub(MAX_NOTIFICATIONS);
    for lost in kept.drain(..surplus) {
        let (number, to) = (lost.sequence_number, &lost.address);
        tracing::warn!(number, to, "no room for another notification: the oldest has been given up");
    }
}

fn signed(
    context: &Context<'_>,
    metadata: NotificationMetadata,
    ci: &SubjectKeyIdentifier,
) -> Option<PendingNotification> {
    let credential = context.ecasd.credential_or_preferred(ci)?;
    let tbs_other_notification = Raw::new(metadata);
    let signature = credential.sign(tbs_other_notification.bytes());
    Some(PendingNotification::OtherSignedNotification(OtherSignedNotification {
        euicc_notification_signature: signature.as_bytes().to_vec(),
        tbs_other_notification,
        euicc_certificate: credential.euicc_certificate(),
        eum_certificate: credential.eum_certificate(),
    }))
}

impl StoredNotification {
    /// What ListNotification shows of it.
    pub(crate) fn metadata(&self) -> NotificationMetadata {
        NotificationMetadata {
            seq_number: self.sequence_number,
            profile_management_operation: BitString::of(&[self.event]),
            notification_address: self.address.clone(),
            iccid: self.iccid,
        }
    }
}
