//! ES9+, from the LPA: SGP.22 section 5.6. A function a file.

pub(crate) mod authenticate_client;
pub(crate) mod cancel_session;
pub(crate) mod get_bound_profile_package;
pub(crate) mod handle_notification;
pub(crate) mod initiate_authentication;

use crypto::PublicKey;
use rsp::{
    der::{Tag, tlv_bytes},
    ids::TransactionId,
    status::{Refusal, Status},
};
use rsp_server::Decision;

use crate::{
    context::Context,
    outbox,
    profile_state::{ProfileEvent, ProfileState},
    records::{Offer, PROFILES, Profile, SESSIONS, Session},
};

/// The session of a transaction; one that has expired is as unknown as one that never was.
pub(crate) async fn session(context: &mut Context<'_, '_>, id: &TransactionId) -> Decision<Session> {
    match context.tx.get(&SESSIONS, &id.to_string()).await? {
        Some(session) if session.expires > context.now => Ok(session),
        _ => Err(unknown(id).into()),
    }
}

/// 8.10.1/3.9: no such session, or not one that waits for this.
pub(crate) fn unknown(id: &TransactionId) -> Refusal {
    Status::TransactionUnknown.because("no session with this TransactionID waits for this function").about(id)
}

/// `signed` and, as a whole TLV, the signature that the next signature also covers (sections 5.7.5, 5.7.13).
pub(crate) fn with_signature(signed: &[u8], signature: &[u8]) -> Vec<u8> {
    [signed, &tlv_bytes(Tag(0x5F37), signature)].concat()
}

impl Offer {
    /// The key of the eUICC that was authenticated.
    pub(crate) fn euicc_public_key(&self) -> Result<PublicKey, Refusal> {
        PublicKey::from_sec1(self.euicc_curve.into(), &self.euicc_key.0)
            .map_err(|e| Status::EuiccVerificationFailed.because(format!("the key kept for this eUICC: {e}")))
    }
}

/// The profile of an offer, still under the order that it was offered for.
pub(crate) async fn offered(context: &mut Context<'_, '_>, offer: &Offer) -> Decision<Profile> {
    let profile = context.tx.get(&PROFILES, &offer.iccid.to_string()).await?;
    let is_the_same = |profile: &Profile| profile.order.as_ref().is_some_and(|order| order.id == offer.order);
    profile.filter(is_the_same).ok_or_else(|| {
        Status::ProfileUnavailable.because("the order has ended meanwhile").about(offer.iccid).into()
    })
}

/// Moves a profile on, if it may go there, and writes it. Under a reusable order it stays where it is.
pub(crate) fn advance(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    event: ProfileEvent,
) -> Decision<bool> {
    let Some(next) = profile.state.after(event) else { return Ok(false) };
    if profile.order.as_ref().is_some_and(|order| order.reusable) {
        return Ok(true);
    }
    profile.state = next;
    if matches!(next, ProfileState::Installed | ProfileState::Error)
        && let Some(order) = profile.order.as_mut()
    {
        outbox::delete_event(context, order)?;
        order.event_registered = false;
    }
    profile.keep(context.tx)?;
    Ok(true)
}
