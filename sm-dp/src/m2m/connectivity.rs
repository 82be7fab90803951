//! ES3.UpdateConnectivityParameters: SGP.02 section 5.4.13, for a profile that was downloaded through this SM-DP.

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
    records::{ISD_PS, Procedure, isd_p_key},
};
use crate::{
    es8::connectivity::{Answered, Update},
    records::Octets,
};

/// Updates under way, by a number of their own.
const UPDATES: Collection<Updating> = Collection::new("m2m-connectivity");

/// How often it is tried with the sequence counter that the card has named.
const ATTEMPTS: u32 = 3;

/// An update under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Updating {
    eid: Eid,
    iccid: Iccid,
    parameters: Octets,
    update: Update,
    until: Timestamp,
}

pub(crate) async fn begin(
    context: &mut Context<'_, '_>,
    eid: Eid,
    iccid: Iccid,
    parameters: Vec<u8>,
) -> Result<(), Fault> {
    let id = hex::encode(context.world.random::<16>());
    let until = context.now.plus(context.config.default_validity);
    ask(context, &id, (eid, iccid), parameters, until, 1).await
}

pub(crate) async fn resume(
    context: &mut Context<'_, '_>,
    id: &str,
    attempt: u32,
    ended: &Ended,
) -> Result<(), Fault> {
    let Some(updating) = context.tx.get(&UPDATES, id).await? else { return Ok(()) };
    context.tx.delete(&UPDATES, id);
    let Updating { eid, iccid, parameters, update, until } = updating;
    let answered = heard::<es3::UpdateConnectivityParameters>(ended).map_err(|why| why.to_string());
    let data = answered.and_then(|response| {
        response.euicc_response_data.ok_or_else(|| "the SM-SR left out what the eUICC answered".to_owned())
    });
    let answered = data.and_then(|data| update.answered(&data.0, &parameters.0).map_err(|e| e.to_string()));
    let key = isd_p_key(eid, iccid);
    let Some(mut isd_p) = context.tx.get(&ISD_PS, &key).await? else { return Ok(()) };
    match answered {
        Ok(Answered::Done) => {
            isd_p.sequence = update.sequence();
            context.tx.put(&ISD_PS, &key, &isd_p)
        }
        Ok(Answered::OutOfStep(sequence)) if attempt < ATTEMPTS => {
            isd_p.sequence = sequence;
            context.tx.put(&ISD_PS, &key, &isd_p)?;
            ask(context, id, (eid, iccid), parameters.0, until, attempt.saturating_add(1)).await
        }
        Ok(Answered::OutOfStep(_)) => {
            tracing::warn!(%eid, %iccid, "connectivity parameters were not changed; the card is always out of step");
            Ok(())
        }
        Err(why) => {
            tracing::warn!(%eid, %iccid, why, "connectivity parameters were not changed");
            Ok(())
        }
    }
}

async fn ask(
    context: &mut Context<'_, '_>,
    id: &str,
    (eid, iccid): (Eid, Iccid),
    parameters: Vec<u8>,
    until: Timestamp,
    attempt: u32,
) -> Result<(), Fault> {
    let isd_p = context.tx.get(&ISD_PS, &isd_p_key(eid, iccid)).await?.ok_or_else(|| {
        Fault::new(
            format!("cannot change the connectivity parameters of profile {iccid}"),
            "it was not downloaded to this eUICC through this SM-DP",
            "ask the SM-DP that has downloaded it",
        )
    })?;
    let (update, script) = Update::begin(&isd_p.keys, &isd_p.aid, isd_p.sequence, &parameters, context.world);
    let request = es3::UpdateConnectivityParametersRequest {
        base: BaseRequest {
            validity_period: Some(until.since(context.now).as_secs().max(1)),
            ..BaseRequest::new("")
        },
        eid,
        iccid,
        connectivity_parameters: xml::Octets(script),
    };
    let procedure = Procedure::Connectivity(id.to_owned(), attempt);
    context.ask::<es3::UpdateConnectivityParameters>(&isd_p.sm_sr, request, until, &procedure).await?;
    let updating = Updating { eid, iccid, parameters: Octets(parameters), update, until };
    context.tx.put(&UPDATES, id, &updating)
}
