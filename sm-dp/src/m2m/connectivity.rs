//! ES3.UpdateConnectivityParameters: SGP.02 section 5.4.13, for a profile that was downloaded through this SM-DP.
//!
//! One update of a profile at a time: the secure channel's number is foreseen, and two would foresee the same one.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{common::BaseRequest, es3, xml},
    time::Timestamp,
};
use rsp_server::soap::Ended;
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
    if let Some(ConnectivityUpdate::UnderWay(_)) = context.tx.get(&UPDATES, &key).await? {
        return no("another update of it is under way", "try again when that has ended");
    }
    let until = context.now.plus(context.config.default_validity);
    ask(context, (eid, iccid), &isd_p, Octets(parameters), until, 1).await
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
    let Updating { attempt, parameters, update, until, .. } = updating;
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
            let attempt = attempt.saturating_add(1);
            return ask(context, (eid, iccid), &isd_p, parameters, until, attempt).await;
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

async fn ask(
    context: &mut Context<'_, '_>,
    (eid, iccid): (Eid, Iccid),
    isd_p: &IsdP,
    parameters: Octets,
    until: Timestamp,
    attempt: u32,
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
    let updating = Updating { id, attempt, parameters, update, until };
    context.tx.put(&UPDATES, &isd_p_key(eid, iccid), &ConnectivityUpdate::UnderWay(updating))
}
