//! ES3.UpdateConnectivityParameters: SGP.02 section 5.4.13, for a profile that was downloaded through this SM-DP.
//!
//! One update of a profile at a time: the secure channel's number is foreseen, and two would foresee the same one. One whose
//! answer was lost is asked again: to store the same parameters twice does no harm, and there is no other way to know.

use std::time::Duration;

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        common::{BaseRequest, ExecutionStatus},
        es3, xml,
    },
    time::Timestamp,
};
use rsp_server::soap::{Ended, NoAnswer};
use serde::{Deserialize, Serialize};
use world::{Collection, Fault};

use super::{
    context::{Context, heard},
    records::{ISD_PS, IsdP, Procedure, isd_p_key},
};
use crate::{
    es8::connectivity::{Answered, MOST_PARAMETERS, Update},
    records::Octets,
};

/// The last update of each profile: the key is EID/ICCID.
pub(crate) const UPDATES: Collection<ConnectivityUpdate> = Collection::new("m2m-connectivity-updates");

/// How often it is tried with the sequence counter that the card has named.
const ATTEMPTS: u32 = 3;

/// How often it is asked again after a validity period in which nobody answered. A device may be switched off for days.
const AGAIN: u32 = 3;

/// How long after the validity period its end is written down at the latest, if it is at all.
const LATE: Duration = Duration::from_secs(3600);

/// How the last update of a profile's connectivity parameters stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectivityUpdate {
    /// The SM-SR has been asked.
    UnderWay(Updating),
    /// The card has them.
    Done {
        /// Since when, as far as we know.
        at: Timestamp,
    },
    /// As far as we know, the card does not have them.
    Failed {
        /// Since when we know.
        at: Timestamp,
        /// For a person.
        why: String,
    },
}

/// An update under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updating {
    /// Of the last question.
    id: String,
    attempt: u32,
    /// How often nobody had answered before.
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
    let no = |why: &str, next: &str| {
        let what = format!("cannot change the connectivity parameters of profile {iccid} on eUICC {eid}");
        Err(Fault::new(what, why.to_owned(), next.to_owned()))
    };
    if parameters.len() > MOST_PARAMETERS {
        return no("they do not fit one command", "give fewer parameters");
    }
    let key = isd_p_key(eid, iccid);
    let Some(isd_p) = context.tx.get(&ISD_PS, &key).await? else {
        return no(
            "it was not downloaded to this eUICC through this SM-DP",
            "ask the SM-DP that has downloaded it",
        );
    };
    let last = context.tx.get(&UPDATES, &key).await?.map(|last| last.at(context.now));
    if let Some(ConnectivityUpdate::UnderWay(_)) = last {
        return no("another update of it is under way", "try again when that has ended");
    }
    let until = context.now.plus(context.config.default_validity);
    let asks = Asks { attempt: 1, unanswered: 0, until };
    ask(context, (eid, iccid), &isd_p, Octets(parameters), asks).await
}

impl ConnectivityUpdate {
    /// How it stands now. What should have ended long ago and was never heard of again has been lost with its question.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        match self {
            Self::UnderWay(updating) if now > updating.until.plus(LATE) => {
                let why = "nothing was heard of it, nor of its end; whether the card has them is not known";
                Self::Failed { at: updating.until, why: why.to_owned() }
            }
            stands => stands,
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
    if is_unanswered(ended) && unanswered < AGAIN {
        let until = context.now.plus(context.config.default_validity);
        let asks = Asks { attempt: 1, unanswered: unanswered.saturating_add(1), until };
        return ask(context, (eid, iccid), &isd_p, parameters, asks).await;
    }
    let answered = card_answer(ended)
        .and_then(|data| update.answered(&data, &parameters.0).map_err(|fault| fault.to_string()));
    match answered {
        Ok(Answered::Done) => isd_p.sequence = update.sequence(),
        Ok(Answered::OutOfStep(sequence)) => isd_p.sequence = sequence,
        Err(_) => {}
    }
    context.tx.put(&ISD_PS, &key, &isd_p)?;
    let at = context.now;
    let stands = match answered {
        Ok(Answered::Done) => ConnectivityUpdate::Done { at },
        Ok(Answered::OutOfStep(_)) if attempt < ATTEMPTS && at < until => {
            let asks = Asks { attempt: attempt.saturating_add(1), unanswered, until };
            return ask(context, (eid, iccid), &isd_p, parameters, asks).await;
        }
        Ok(Answered::OutOfStep(_)) => ConnectivityUpdate::Failed {
            at,
            why: "the eUICC counts its secure channels otherwise".to_owned(),
        },
        Err(why) => ConnectivityUpdate::Failed { at, why },
    };
    context.tx.put(&UPDATES, &key, &stands)
}

/// What the card has answered. It counts also where the SM-SR says that the function has failed: a card that is out of
/// step refuses, and says with which number it would not.
fn card_answer(ended: &Ended) -> Result<Vec<u8>, String> {
    let response = ended.response::<es3::UpdateConnectivityParameters>();
    if let Some(data) = response.ok().and_then(|response| response.euicc_response_data) {
        return Ok(data.0);
    }
    match heard::<es3::UpdateConnectivityParameters>(ended) {
        Ok(_) => Err("the SM-SR left out what the eUICC answered".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// Whether the card may have done it and nobody has said so.
fn is_unanswered(ended: &Ended) -> bool {
    match ended.response::<es3::UpdateConnectivityParameters>() {
        Ok(response) => {
            response.euicc_response_data.is_none()
                && response.base.function_execution_status.status == ExecutionStatus::Expired
        }
        Err(no) => matches!(no, NoAnswer::Expired | NoAnswer::Unreachable(_)),
    }
}

/// How often it was asked, and until when the next answer counts.
struct Asks {
    attempt: u32,
    unanswered: u32,
    until: Timestamp,
}

async fn ask(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    isd_p: &IsdP,
    parameters: Octets,
    Asks { attempt, unanswered, until }: Asks,
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
    context.ask::<es3::UpdateConnectivityParameters>(&isd_p.sm_sr, request, until, &procedure).await?;
    let updating = Updating { id, attempt, unanswered, parameters, update, until };
    context.tx.put(&UPDATES, &isd_p_key(eid, iccid), &ConnectivityUpdate::UnderWay(updating))
}
