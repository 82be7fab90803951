//! ES3.UpdateConnectivityParameters: SGP.02 section 5.4.13, for a profile that was downloaded
//! through this SM-DP.
//!
//! A profile can have only one update in progress, because the sequence counter of the secure
//! channel is predicted and two updates would predict the same value. An update whose response was
//! lost is sent again: storing the same parameters twice does no harm, and there is no other way to
//! find out the result.

use std::time::Duration;

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        common::{BaseRequest, ExecutionStatus},
        es3, xml,
    },
    time::Timestamp,
};
use rsp_server::soap::{CallFailure, Ended};
use serde::{Deserialize, Serialize};
use world::{Collection, Fault};

use super::{
    context::{Context, response_of},
    records::{ISD_PS, IsdP, Procedure, isd_p_key},
};
use crate::{
    es8::connectivity::{MAX_PARAMETERS, Update, UpdateResult},
    records::Octets,
};

/// The last update of each profile. The key is EID/ICCID.
pub(crate) const UPDATES: Collection<ConnectivityUpdate> = Collection::new("m2m-connectivity-updates");

/// Maximum number of attempts with the sequence counter that the card has returned.
const ATTEMPTS: u32 = 3;

/// Maximum number of repetitions after a validity period without a response. A device may be
/// switched off for days.
const MAX_REPETITIONS: u32 = 3;

/// Time after the end of the validity period after which an update without a result is considered
/// lost.
const RESULT_GRACE: Duration = Duration::from_secs(3600);

/// The state of the last update of a profile's connectivity parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectivityUpdate {
    /// The request was sent to the SM-SR.
    UnderWay(Updating),
    /// The card has stored the parameters.
    Done {
        /// The time at which this server learned of it.
        at: Timestamp,
    },
    /// As far as this server knows, the card has not stored the parameters.
    Failed {
        /// The time at which this server learned of it.
        at: Timestamp,
        /// The reason, in human-readable form.
        why: String,
    },
}

/// An update in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updating {
    /// The identifier of the last request.
    id: String,
    attempt: u32,
    /// The number of earlier requests without a response.
    #[serde(default)]
    unanswered: u32,
    parameters: Octets,
    update: Update,
    until: Timestamp,
}

pub(crate) async fn begin(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    parameters: Vec<u8>,
) -> Result<(), Fault> {
    let refuse = |why: &str, next: &str| {
        let what = format!("cannot change the connectivity parameters of profile {iccid} on eUICC {eid}");
        Err(Fault::new(what, why.to_owned(), next.to_owned()))
    };
    if parameters.len() > MAX_PARAMETERS {
        return refuse("the parameters do not fit into one command", "use shorter parameters");
    }
    let key = isd_p_key(eid, iccid);
    let Some(isd_p) = context.tx.get(&ISD_PS, &key).await? else {
        return refuse(
            "this SM-DP has not downloaded the profile to this eUICC",
            "use the SM-DP that downloaded the profile",
        );
    };
    let last = context.tx.get(&UPDATES, &key).await?.map(|last| last.at(context.now));
    if let Some(ConnectivityUpdate::UnderWay(_)) = last {
        return refuse(
            "another update of the profile is in progress",
            "try again when that update has ended",
        );
    }
    let until = context.now.plus(context.config.default_validity);
    let attempt_of = Attempt { attempt: 1, unanswered: 0, until };
    send_request(context, (eid, iccid), &isd_p, Octets(parameters), attempt_of).await
}

impl ConnectivityUpdate {
    /// Returns the state at `now`. An update whose deadline is long over without a result has been
    /// lost together with its request.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        match self {
            Self::UnderWay(updating) if now > updating.until.plus(RESULT_GRACE) => {
                let why = "no response and no expiry was received; it is unknown if the card has stored the parameters";
                Self::Failed { at: updating.until, why: why.to_owned() }
            }
            state => state,
        }
    }
}

pub(crate) async fn resume(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    id: &str,
    ended: &Ended,
) -> Result<(), Fault> {
    let key = isd_p_key(eid, iccid);
    let Some(ConnectivityUpdate::UnderWay(updating)) = context.tx.get(&UPDATES, &key).await? else {
        return Ok(());
    };
    let Some(mut isd_p) = context.tx.get(&ISD_PS, &key).await?.filter(|_| updating.id == id) else {
        return Ok(());
    };
    let Updating { attempt, unanswered, parameters, update, until, .. } = updating;
    if is_unanswered(ended) && unanswered < MAX_REPETITIONS {
        let until = context.now.plus(context.config.default_validity);
        let attempt_of = Attempt { attempt: 1, unanswered: unanswered.saturating_add(1), until };
        return send_request(context, (eid, iccid), &isd_p, parameters, attempt_of).await;
    }
    let answered = card_answer(ended)
        .and_then(|data| update.answered(&data, &parameters.0).map_err(|fault| fault.to_string()));
    match answered {
        Ok(UpdateResult::Done) => isd_p.sequence = update.sequence(),
        Ok(UpdateResult::OutOfStep(sequence)) => isd_p.sequence = sequence,
        Err(_) => {}
    }
    context.tx.put(&ISD_PS, &key, &isd_p)?;
    let at = context.now;
    let state = match answered {
        Ok(UpdateResult::Done) => ConnectivityUpdate::Done { at },
        Ok(UpdateResult::OutOfStep(_)) if attempt < ATTEMPTS && at < until => {
            let attempt_of = Attempt { attempt: attempt.saturating_add(1), unanswered, until };
            return send_request(context, (eid, iccid), &isd_p, parameters, attempt_of).await;
        }
        Ok(UpdateResult::OutOfStep(_)) => ConnectivityUpdate::Failed {
            at,
            why: "the eUICC keeps using a different sequence counter".to_owned(),
        },
        Err(why) => ConnectivityUpdate::Failed { at, why },
    };
    context.tx.put(&UPDATES, &key, &state)
}

/// Returns the card's response. It is evaluated even if the SM-SR reports that the function failed:
/// a card with another sequence counter refuses the commands, and its response contains the
/// counter.
fn card_answer(ended: &Ended) -> Result<Vec<u8>, String> {
    let response = ended.response::<es3::UpdateConnectivityParameters>();
    if let Some(data) = response.ok().and_then(|response| response.euicc_response_data) {
        return Ok(data.0);
    }
    match response_of::<es3::UpdateConnectivityParameters>(ended) {
        Ok(_) => Err("the response of the SM-SR does not contain the response of the eUICC".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// True if the card may have executed the update although no response arrived.
fn is_unanswered(ended: &Ended) -> bool {
    match ended.response::<es3::UpdateConnectivityParameters>() {
        Ok(response) => {
            response.euicc_response_data.is_none()
                && response.base.function_execution_status.status == ExecutionStatus::Expired
        }
        Err(refuse) => matches!(refuse, CallFailure::Expired | CallFailure::Unreachable(_)),
    }
}

/// The number of attempts, and the deadline of the next response.
struct Attempt {
    attempt: u32,
    unanswered: u32,
    until: Timestamp,
}

async fn send_request(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    isd_p: &IsdP,
    parameters: Octets,
    Attempt { attempt, unanswered, until }: Attempt,
) -> Result<(), Fault> {
    let (update, script) =
        Update::begin(&isd_p.keys, &isd_p.aid, isd_p.sequence, &parameters.0, context.world);
    let request = es3::UpdateConnectivityParametersRequest {
        base: BaseRequest {
            validity_period: Some(until.since(context.now).as_secs().max(1)),
            ..BaseRequest::new("")
        },
        eid,
        iccid,
        connectivity_parameters: xml::Octets(script),
    };
    let id = hex::encode(context.world.random::<16>());
    let procedure = Procedure::Connectivity(eid, iccid, id.clone());
    context.call::<es3::UpdateConnectivityParameters>(&isd_p.sm_sr, request, until, &procedure).await?;
    let updating = Updating { id, attempt, unanswered, parameters, update, until };
    context.tx.put(&UPDATES, &isd_p_key(eid, iccid), &ConnectivityUpdate::UnderWay(updating))
}
