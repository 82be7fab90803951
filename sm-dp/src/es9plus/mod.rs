//! ES9+, called by the LPA: SGP.22 section 5.6. There is one file for each function.

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
use rsp_server::{Decision, Rejection};

use crate::{
    context::Context,
    outbox,
    profile_state::{ProfileEvent, ProfileState},
    records::{Offer, OrderEnded, PROFILES, Profile, SESSIONS, Session},
};

/// Returns the session of a transaction. An expired session is refused like an unknown one.
pub(crate) async fn session(context: &mut Context<'_, '_>, id: &TransactionId) -> Decision<Session> {
    match context.tx.get(&SESSIONS, &id.to_string()).await? {
        Some(session) if session.expires > context.now => {
            context.namespace = session.namespace();
            Ok(session)
        }
        _ => Err(unknown(id).into()),
    }
}

/// Status 8.10.1/3.9: the session does not exist or waits for another function.
pub(crate) fn unknown(id: &TransactionId) -> Refusal {
    // req: SGP.22-5.6.2-TransactionId, SGP.22-5.6.3-TransactionId, SGP.22-5.6.5-TransactionId
    Status::TransactionUnknown.because("no session with this TransactionID waits for this function").about(id)
}

/// Returns `signed` followed by the signature as a whole TLV. The next signature covers both
/// (sections 5.7.5, 5.7.13).
pub(crate) fn with_signature(signed: &[u8], signature: &[u8]) -> Vec<u8> {
    [signed, &tlv_bytes(Tag(0x5F37), signature)].concat()
}

impl Offer {
    /// The public key of the authenticated eUICC.
    pub(crate) fn euicc_public_key(&self) -> Result<PublicKey, Refusal> {
        PublicKey::from_sec1(self.euicc_curve.into(), &self.euicc_key.0).map_err(|e| {
            Status::EuiccVerificationFailed.because(format!("the stored key of this eUICC is invalid: {e}"))
        })
    }
}

// req: SGP.22-5.6.2-OrderEnded
impl From<OrderEnded> for Rejection {
    fn from(error: OrderEnded) -> Self {
        Status::ProfileUnavailable.because(error.to_string()).about(error.iccid).into()
    }
}

/// Returns the profile of an offer, if the order that it was offered for is still the profile's
/// order.
pub(crate) async fn offered(context: &mut Context<'_, '_>, offer: &Offer) -> Decision<Profile> {
    let profile = context.tx.get(&PROFILES, &offer.iccid.to_string()).await?;
    let is_the_same = |profile: &Profile| profile.order().is_ok_and(|order| order.id == offer.order);
    Ok(profile.filter(is_the_same).ok_or(OrderEnded { iccid: offer.iccid })?)
}

/// Applies an event to a profile and writes it. Returns false if the state does not allow the
/// event. Under a reusable order the state does not change.
pub(crate) fn advance(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    event: ProfileEvent,
) -> Decision<bool> {
    if profile.after(event).is_ok() && profile.order().is_ok_and(|order| order.reusable) {
        return Ok(true);
    }
    if profile.apply(event).is_err() {
        return Ok(false);
    }
    if matches!(profile.state(), ProfileState::Installed | ProfileState::Error)
        && let Ok(order) = profile.order_mut()
    {
        outbox::delete_event(context, order)?;
        order.event_registered = false;
    }
    profile.save(context.tx)?;
    Ok(true)
}
