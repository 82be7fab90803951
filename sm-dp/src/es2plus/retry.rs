//! Repeated calls: SGP.22 section 5.2.1, functionCallIdentifier.
//!
//! An operator that got no reply calls again with the same identifier and gets the stored reply.
//! This works as long as the call is the last one that changed the profile, so the server keeps one
//! reply for each profile. A call that comes later, or that has another body, is a new call,
//! because some operators use the same identifier for every call.

use rsp::{ids::Iccid, sgp22::json::RequestHeader};
use rsp_server::Decision;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use world::Fault;

use crate::{
    context::Context,
    outbox,
    records::{CALLS, LastCall, Octets, PROFILES, Profile},
};

/// The identity of a call.
pub(crate) struct CallId {
    requester: String,
    identifier: String,
    digest: Octets,
}

impl CallId {
    /// Computes the identity of a call to a function.
    pub(crate) fn of<T: Serialize>(function: &str, header: &RequestHeader, request: &T) -> Decision<Self> {
        let body = serde_json::to_vec(request).map_err(not_json)?;
        let digest = Sha256::new().chain_update(function).chain_update([0]).chain_update(body).finalize();
        Ok(Self {
            requester: header.function_requester_identifier.clone(),
            identifier: header.function_call_identifier.clone(),
            digest: Octets(digest.to_vec()),
        })
    }

    /// Returns the stored reply if this call is the last one that changed the profile.
    pub(crate) async fn answer<R: DeserializeOwned>(
        &self,
        context: &mut Context<'_, '_>,
        profile: &Profile,
    ) -> Decision<Option<R>> {
        // req: SGP.22-5.2.1-SameCall
        let is_this = |last: &&LastCall| {
            !self.identifier.is_empty()
                && last.requester == self.requester
                && last.identifier == self.identifier
                && last.digest == self.digest
        };
        // req: SGP.22-5.2.1-Repetition
        let Some(last) = profile.last_call.as_ref().filter(is_this) else { return Ok(None) };
        if let Some(event) = &last.event {
            outbox::reserve_again(context, event).await?;
        }
        let reply = serde_json::from_value(last.reply.clone()).map_err(|e| {
            Fault::caused_by(
                e,
                "cannot repeat the reply to a call",
                "call again under another functionCallIdentifier",
            )
        })?;
        Ok(Some(reply))
    }

    /// The profile that was assigned to the call, if the call does not name one.
    pub(crate) async fn profile(&self, context: &mut Context<'_, '_>) -> Decision<Option<Profile>> {
        let Some(iccid) = context.tx.get(&CALLS, &key(&self.requester, &self.identifier)).await? else {
            return Ok(None);
        };
        Ok(context.tx.get(&PROFILES, &iccid.to_string()).await?)
    }

    /// Stores the reply with the profile that the call changed.
    pub(crate) fn save<R: Serialize>(
        self,
        context: &mut Context<'_, '_>,
        profile: &mut Profile,
        reply: &R,
    ) -> Decision<()> {
        if let Some(last) = &profile.last_call
            && (&last.requester, &last.identifier) != (&self.requester, &self.identifier)
        {
            forget_last(context, profile);
        }
        profile.last_call = Some(LastCall {
            requester: self.requester,
            identifier: self.identifier,
            digest: self.digest,
            reply: serde_json::to_value(reply).map_err(not_json)?,
            event: None,
        });
        Ok(())
    }

    /// Stores the key of the event that the SM-DS must accept before the reply can be sent.
    pub(crate) fn keep_event(profile: &mut Profile, event: String) {
        if let Some(last) = profile.last_call.as_mut() {
            last.event = Some(event);
        }
    }

    /// Stores the assigned profile of a call that does not name one.
    pub(crate) fn keep_profile(&self, context: &mut Context<'_, '_>, iccid: Iccid) -> Decision<()> {
        Ok(context.tx.put(&CALLS, &key(&self.requester, &self.identifier), &iccid)?)
    }
}

/// Deletes the stored reply, because something else has changed the profile.
pub(crate) fn forget_last(context: &mut Context<'_, '_>, profile: &mut Profile) {
    if let Some(last) = profile.last_call.take() {
        context.tx.delete(&CALLS, &key(&last.requester, &last.identifier));
    }
}

/// Builds the record key of a call. The length prefix keeps requesters unambiguous, whatever
/// characters they contain.
fn key(requester: &str, identifier: &str) -> String {
    format!("{}:{requester}/{identifier}", requester.len())
}

fn not_json(e: serde_json::Error) -> Fault {
    Fault::caused_by(
        e,
        "cannot store the reply to a call",
        "report this: a request or reply cannot be encoded as JSON",
    )
}
