//! Notifications of eUICCs on their way to SM-DP+s: SGP.32 sections 3.7 and 5.14.7.
//!
//! A notification is verified, stored in the transaction that acknowledges it, and delivered after the
//! commit, with retries.

use std::{collections::BTreeSet, time::Duration};

use rsp::{
    der::{Asn1, Raw},
    finding::FindingKind,
    ids::{Eid, SmdpAddress, TransactionId},
    sgp22::{
        self, NotificationMetadata, OtherSignedNotification,
        es8plus::{ProfileInstallationResult, StoreMetadataRequest},
        es9plus::{HandleNotification, HandleNotificationRequest},
        notification_event,
    },
    sgp32::{PendingNotification, compact::KnownProfile, esipa::SequenceNumber},
    status::{Refusal, Status},
};
use rsp_server::{
    Decision, Rejection,
    due::{Due, run_due},
};
use sha2::{Digest, Sha256};
use world::{CallError, Fault, Tx};

use crate::{
    config::{
        FIRST_REDELIVERY_DELAY, MAX_FORWARDED_RESULTS_PER_DEVICE, MAX_NOTIFICATIONS, MAX_REDELIVERY_DELAY,
        MAX_WAITING_NOTIFICATIONS_PER_DEVICE,
    },
    context::Context,
    devices, orders,
    records::{
        DEVICES, Device, FORWARDED_RESULTS, ForwardedResult, NOTIFICATIONS, ORDERS, Octets, Outcome,
        SESSIONS, ServerKind, Session, WaitingNotification, order_key,
    },
    server::Eim,
    verification,
};

/// Returns the device whose eUICC made a notification, if it is registered. The result of an
/// installation has no EID, so only those of open sessions and of forwarded results are found.
pub(crate) async fn device_of(
    context: &mut Context<'_, '_>,
    notification: &PendingNotification,
) -> Result<Option<Device>, Fault> {
    let eid: Option<Eid> = match notification {
        PendingNotification::ProfileInstallationResult(result) => {
            eid_of_session(context, &result.profile_installation_result_data.transaction_id).await?
        }
        PendingNotification::CompactProfileInstallationResult(result) => {
            eid_of_session(context, &result.compact_profile_installation_result_data.transaction_id).await?
        }
        PendingNotification::OtherSignedNotification(other) => devices::eid_in(&other.euicc_certificate),
        PendingNotification::CompactOtherSignedNotification(other) => other.eid_value,
    };
    match eid {
        Some(eid) => context.tx.get(&DEVICES, &eid.to_string()).await,
        None => Ok(None),
    }
}

/// Returns the eUICC of an open session, or of a session whose result was forwarded.
async fn eid_of_session(context: &mut Context<'_, '_>, id: &TransactionId) -> Result<Option<Eid>, Fault> {
    if let Some(session) = session_of(context, id).await? {
        return Ok(session.eid);
    }
    let forwarded = context.tx.get(&FORWARDED_RESULTS, &id.to_string()).await?;
    Ok(forwarded.map(|forwarded| forwarded.eid))
}

/// The outcome of a valid notification.
pub(crate) enum Accepted {
    /// It is stored for its recipient, or was stored before.
    Stored(SequenceNumber),
    /// It is not forwarded: the result of an installation belongs to a session of another party.
    NotForwarded,
    /// It is not stored, because too many notifications of the eUICC wait for their recipients.
    OverLimit,
}

impl Accepted {
    /// Returns the sequence number of the notification if it is stored.
    ///
    /// # Errors
    /// Too many notifications of the eUICC wait.
    pub(crate) fn number(self) -> Result<Option<SequenceNumber>, Refusal> {
        match self {
            Self::Stored(number) => Ok(Some(number)),
            Self::NotForwarded => Ok(None),
            Self::OverLimit => Err(Status::EuiccExecutionError
                .because("too many notifications of the eUICC wait for their recipients; retry later")),
        }
    }
}

/// Accepts the notifications of a result. Returns the sequence numbers of those that are stored for
/// their recipient. The others stay on the eUICC.
pub(crate) async fn accept_all<'n>(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    notifications: impl Iterator<Item = &'n rsp::der::Opaque<PendingNotification>> + Send,
) -> Result<Vec<SequenceNumber>, Fault> {
    let mut acknowledged = Vec::new();
    // req: SGP.32-3.3.1-Notifications
    for notification in notifications.take(MAX_NOTIFICATIONS) {
        let accepted = match notification.decode() {
            Ok(decoded) => accept(context, device, &decoded).await,
            Err(error) => {
                context.report(FindingKind::NotificationUnreadable, error.to_string());
                continue;
            }
        };
        match accepted {
            Ok(Accepted::Stored(number)) => acknowledged.push(number),
            Ok(Accepted::NotForwarded | Accepted::OverLimit) => {}
            Err(Rejection::Refusal(refusal)) => {
                context.report(FindingKind::NotificationUnreadable, refusal.to_string());
            }
            Err(Rejection::Fault(fault)) => return Err(fault),
        }
    }
    Ok(acknowledged)
}

/// Verifies a notification, and stores it for its recipient.
pub(crate) async fn accept(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    notification: &PendingNotification,
) -> Decision<Accepted> {
    match notification {
        PendingNotification::ProfileInstallationResult(result) => {
            let id = &result.profile_installation_result_data.transaction_id;
            let Some(session) = session_of(context, id).await? else {
                return forwarded_before(context, device, id, &result.euicc_sign_pir).await;
            };
            verification::verify_installation(context, device, result)?;
            installed(context, device, id, session, result).await
        }
        PendingNotification::CompactProfileInstallationResult(compact) => {
            let id = &compact.compact_profile_installation_result_data.transaction_id;
            let Some(session) = session_of(context, id).await? else {
                return forwarded_before(context, device, id, &compact.euicc_sign_pir).await;
            };
            let mut refused = None;
            // req: SGP.32-5.14.7-Compact
            // The recipient is a part of what the eUICC signed, and the compact form leaves it out.
            for profile in known_profiles(&session) {
                let result = compact.expand(&profile);
                match verification::verify_installation(context, device, &result) {
                    Ok(()) => return installed(context, device, id, session, &result).await,
                    Err(refusal) => refused = Some(refusal),
                }
            }
            Err(refused.unwrap_or_else(|| {
                Status::TransactionUnknown
                    .because("the session has no profile whose installation can end")
                    .into()
            }))
        }
        PendingNotification::OtherSignedNotification(other) => accept_other(context, device, other),
        PendingNotification::CompactOtherSignedNotification(compact) => {
            let other = compact
                .expand(&device.known())
                .map_err(|error| Status::EuiccExecutionError.because(error.to_string()))?;
            accept_other(context, device, &other)
        }
    }
}

/// Returns the open session of a download with this transaction ID.
pub(crate) async fn session_of(
    context: &mut Context<'_, '_>,
    id: &TransactionId,
) -> Result<Option<Session>, Fault> {
    let session = context.tx.get(&SESSIONS, &id.to_string()).await?;
    Ok(session.filter(|session| session.kind == ServerKind::SmDp))
}

/// Accepts an installation result again that was forwarded before: its acknowledgement was lost.
// req: SGP.32-5.14.7-Repetition
async fn forwarded_before(
    context: &mut Context<'_, '_>,
    device: &Device,
    id: &TransactionId,
    signature: &[u8],
) -> Decision<Accepted> {
    let forwarded = context.tx.get(&FORWARDED_RESULTS, &id.to_string()).await?;
    let Some(forwarded) = forwarded.filter(|forwarded| forwarded.eid == device.eid) else {
        return Ok(Accepted::NotForwarded);
    };
    if forwarded.signature.0 != signature {
        return Err(Status::EuiccExecutionError
            .because("the session has ended with another installation result")
            .about(id)
            .into());
    }
    Ok(Accepted::Stored(SequenceNumber(forwarded.seq_number)))
}

/// Returns what is known of the profile of a session, once for each recipient that its metadata or the
/// session allow.
fn known_profiles(session: &Session) -> Vec<KnownProfile> {
    let Some(offer) = session.state.offer() else { return Vec::new() };
    let metadata = StoreMetadataRequest::from_der(&offer.metadata.0).ok();
    let configured =
        metadata.and_then(|metadata| metadata.notification_configuration_info).unwrap_or_default();
    let configured = configured
        .into_iter()
        .filter(|entry| entry.profile_management_operation.has(notification_event::INSTALL))
        .map(|entry| entry.notification_address);
    std::iter::once(session.server.to_string())
        .chain(configured)
        .map(|notification_address| KnownProfile {
            iccid: offer.iccid,
            notification_address,
            smdp_oid: offer.smdp_oid.clone(),
        })
        .collect()
}

/// Ends the session and the order of an installation, and stores its result for the SM-DP+.
async fn installed(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    session: Session,
    result: &ProfileInstallationResult,
) -> Decision<Accepted> {
    let metadata = &result.profile_installation_result_data.notification_metadata;
    let whole = sgp22::PendingNotification::ProfileInstallationResult(result.clone());
    let accepted = post(context, device, metadata, &whole)?;
    // Over the limit, the session stays open for the repetition of the result.
    if matches!(accepted, Accepted::OverLimit) {
        return Ok(accepted);
    }
    context.tx.delete(&SESSIONS, &id.to_string());
    remember(context, device, id, result)?;
    if let Some(order_id) = session.order
        && let Some(order) = context.tx.get(&ORDERS, &order_key(&order_id)).await?
        && !order.state.is_ended()
    {
        orders::end(context, device, &order_id, order, Outcome::Installation(Octets(result.to_der())))?;
    }
    Ok(accepted)
}

/// Remembers an installation result, and forgets the oldest ones of the device if there are too many.
fn remember(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    result: &ProfileInstallationResult,
) -> Result<(), Fault> {
    let forwarded = ForwardedResult {
        eid: device.eid,
        seq_number: result.profile_installation_result_data.notification_metadata.seq_number,
        signature: result.euicc_sign_pir.as_slice().into(),
    };
    context.tx.put(&FORWARDED_RESULTS, &id.to_string(), &forwarded)?;
    device.forwarded_results.push_back(id.clone());
    while device.forwarded_results.len() > MAX_FORWARDED_RESULTS_PER_DEVICE {
        if let Some(oldest) = device.forwarded_results.pop_front() {
            context.tx.delete(&FORWARDED_RESULTS, &oldest.to_string());
        }
    }
    Ok(())
}

fn accept_other(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    other: &OtherSignedNotification,
) -> Decision<Accepted> {
    let signed = other.tbs_other_notification.bytes();
    let signature = &other.euicc_notification_signature;
    verification::verify(context, device, signed, signature, "euiccNotificationSignature")?;
    let metadata = &other.tbs_other_notification;
    let whole = sgp22::PendingNotification::OtherSignedNotification(other.clone());
    Ok(post(context, device, metadata, &whole)?)
}

/// Stores a notification for its recipient. A repetition has the same key, and the notifications of an
/// eUICC are in the order of their sequence numbers. The caller stores the device. A notification over
/// the limit is reported as a finding.
fn post(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    metadata: &NotificationMetadata,
    notification: &sgp22::PendingNotification,
) -> Result<Accepted, Fault> {
    let der = notification.to_der();
    let digest = Sha256::digest(&der);
    let address = metadata.notification_address.as_str();
    let digest: String = digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    let key = format!("{}{:010}-{digest}", prefix(address), metadata.seq_number.max(0));
    let waiting = &mut device.waiting_notifications;
    if !waiting.contains(&key) && waiting.len() >= MAX_WAITING_NOTIFICATIONS_PER_DEVICE {
        let detail = format!("{} notifications of eUICC {} wait already", waiting.len(), device.eid);
        context.report(FindingKind::NotificationOverLimit, detail);
        return Ok(Accepted::OverLimit);
    }
    waiting.insert(key.clone());
    let waiting = WaitingNotification {
        eid: device.eid,
        address: address.to_owned(),
        notification: Octets(der),
        since: context.now,
        next_attempt: context.now,
        failures: 0,
    };
    context.tx.put(&NOTIFICATIONS, &key, &waiting)?;
    Ok(Accepted::Stored(SequenceNumber(metadata.seq_number)))
}

/// Returns the start of the keys of a recipient.
fn prefix(address: &str) -> String {
    format!("{address}/")
}

impl Eim {
    pub(crate) fn wake(&self) {
        if let Some(peers) = self.0.peers.get() {
            peers.wake();
        }
    }

    /// Returns the notifications that wait for their recipient.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn waiting_notifications(&self) -> Result<Vec<WaitingNotification>, Fault> {
        let waiting = Tx::begin(self.records()).peek_list(&NOTIFICATIONS, "").await?;
        Ok(waiting.into_iter().map(|(_, notification)| notification).collect())
    }

    /// Returns the deliveries of notifications that are due, one task for each recipient.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn due(&self) -> Result<Due, Fault> {
        let now = self.0.core.world.now();
        let mut due = Due::default();
        let mut addresses = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (_, waiting) in Tx::begin(self.records()).peek_list(&NOTIFICATIONS, "").await? {
            // The notifications of a recipient are delivered in their order, so the first one decides.
            if !seen.insert(waiting.address.clone()) {
                continue;
            }
            match waiting.next_attempt <= now {
                true => _ = addresses.insert(waiting.address),
                false => due.later(waiting.next_attempt),
            }
        }
        self.0.deliveries.begin(&mut due, addresses.into_iter().collect(), now, |address| {
            let (eim, address) = (self.clone(), address.to_owned());
            async move { eim.deliver_to(&address).await }
        });
        Ok(due)
    }

    /// Delivers all notifications that are due. Returns the time at which the next one is due, or `None`
    /// if none waits.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn deliver_due(&self) -> Result<Option<rsp::time::Timestamp>, Fault> {
        run_due(async || self.due().await).await
    }

    /// Delivers the notifications of one recipient in their order, until one fails.
    async fn deliver_to(&self, address: &str) -> Result<(), Fault> {
        for (key, mut waiting) in
            Tx::begin(self.records()).peek_list(&NOTIFICATIONS, &prefix(address)).await?
        {
            let now = self.0.core.world.now();
            let failed = match self.deliver(address, &waiting).await {
                Ok(()) => None,
                Err(why) if now >= waiting.since.plus(self.0.core.config.delivery_lifetime) => {
                    tracing::warn!(%why, address, "notification discarded: its recipient has not accepted it within the delivery lifetime");
                    None
                }
                Err(why) => Some(why),
            };
            if failed.is_some() {
                waiting.next_attempt = now.plus(wait_after(waiting.failures));
                waiting.failures = waiting.failures.saturating_add(1);
            }
            let (key, waiting, is_delivered) = (&key, &waiting, failed.is_none());
            world::transact(self.records(), |tx| {
                Box::pin(async move {
                    if !is_delivered {
                        return tx.put(&NOTIFICATIONS, key, waiting);
                    }
                    tx.delete(&NOTIFICATIONS, key);
                    let eid = waiting.eid.to_string();
                    if let Some(mut device) = tx.get(&DEVICES, &eid).await? {
                        device.waiting_notifications.remove(key);
                        tx.put(&DEVICES, &eid, &device)?;
                    }
                    Ok(())
                })
            })
            .await?;
            if !is_delivered {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes one attempt. A recipient that refuses a notification would refuse it again.
    async fn deliver(&self, address: &str, waiting: &WaitingNotification) -> Result<(), String> {
        let address: SmdpAddress = match address.parse() {
            Ok(address) => address,
            Err(error) => {
                tracing::warn!(%error, "notification discarded: its recipient is not an address");
                return Ok(());
            }
        };
        let pending_notification =
            Raw::from_der(&waiting.notification.0).map_err(|error| error.to_string())?;
        let request = HandleNotificationRequest { pending_notification };
        let called = self
            .call::<HandleNotification, _>("ES9+'", &address, &request, world::acknowledgement)
            .await
            .map_err(|fault| fault.to_string())?;
        match called.result {
            Ok(()) | Err(CallError::Refused(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Returns the delay after a failure.
fn wait_after(failures: u32) -> Duration {
    FIRST_REDELIVERY_DELAY.saturating_mul(1 << failures.min(16)).min(MAX_REDELIVERY_DELAY)
}
