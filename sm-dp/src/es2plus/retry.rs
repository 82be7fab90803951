//! A call that comes again: SGP.22 section 5.2.1, functionCallIdentifier.
//!
//! An operator that got no answer asks again under the same identifier and gets the answer that was lost. That holds as
//! long as the call is the last one that changed the profile, so there is one answer to keep for each profile. After
//! that, and with another body, the call is a new one: many an operator gives every call the same identifier.

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

/// What tells a call from another.
pub(crate) struct CallId {
    requester: String,
    identifier: String,
    digest: Octets,
}

impl CallId {
    /// Of a function's request.
    pub(crate) fn of<T: Serialize>(function: &str, header: &RequestHeader, request: &T) -> Decision<Self> {
        let body = serde_json::to_vec(request).map_err(not_json)?;
        let digest = Sha256::new().chain_update(function).chain_update([0]).chain_update(body).finalize();
        Ok(Self {
            requester: header.function_requester_identifier.clone(),
            identifier: header.function_call_identifier.clone(),
            digest: Octets(digest.to_vec()),
        })
    }

    /// The answer that was given, if this call is the last that changed the profile.
    pub(crate) async fn answer<R: DeserializeOwned>(
        &self,
        context: &mut Context<'_, '_>,
        profile: &Profile,
    ) -> Decision<Option<R>> {
        let is_this = |last: &&LastCall| {
            !self.identifier.is_empty()
                && last.requester == self.requester
                && last.identifier == self.identifier
                && last.digest == self.digest
        };
        let Some(last) = profile.last_call.as_ref().filter(is_this) else { return Ok(None) };
        if let Some(event) = &last.event {
            outbox::hold_again(context, event).await?;
        }
        let reply = serde_json::from_value(last.reply.clone()).map_err(|e| {
            Fault::caused_by(
                e,
                "cannot repeat the answer to a call",
                "call again under another functionCallIdentifier",
            )
        })?;
        Ok(Some(reply))
    }

    /// The profile that the call was given when it did not name one.
    pub(crate) async fn profile(&self, context: &mut Context<'_, '_>) -> Decision<Option<Profile>> {
        let Some(iccid) = context.tx.get(&CALLS, &key(&self.requester, &self.identifier)).await? else {
            return Ok(None);
        };
        Ok(context.tx.get(&PROFILES, &iccid.to_string()).await?)
    }

    /// Keeps the answer with the profile it changed.
    pub(crate) fn keep<R: Serialize>(
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

    /// Keeps, too, the event that must have reached the SM-DS before the answer is true.
    pub(crate) fn keep_event(profile: &mut Profile, event: String) {
        if let Some(last) = profile.last_call.as_mut() {
            last.event = Some(event);
        }
    }

    /// Keeps, too, which profile it was, as the call does not name one.
    pub(crate) fn keep_profile(&self, context: &mut Context<'_, '_>, iccid: Iccid) -> Decision<()> {
        Ok(context.tx.put(&CALLS, &key(&self.requester, &self.identifier), &iccid)?)
    }
}

/// What was kept of the last call goes: something else has changed the profile.
pub(crate) fn forget_last(context: &mut Context<'_, '_>, profile: &mut Profile) {
    if let Some(last) = profile.last_call.take() {
        context.tx.delete(&CALLS, &key(&last.requester, &last.identifier));
    }
}

/// The length tells where the requester ends, whatever is in it.
fn key(requester: &str, identifier: &str) -> String {
    format!("{}:{requester}/{identifier}", requester.len())
}

fn not_json(e: serde_json::Error) -> Fault {
    Fault::caused_by(
        e,
        "cannot keep the answer to a call",
        "report this: a request or reply does not fit JSON",
    )
}
