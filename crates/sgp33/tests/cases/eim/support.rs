//! The tester's view of an eIM of this project.

use std::sync::Arc;

use coap::{InProcess, Transmission};
use rsp::ids::Version;
use sgp23::minimal_package;
use sgp33::eim::{Api, EimUnderTest};
use sm_dp::ProfileOptions;
use world::Link;

use crate::servers::{EIM_ID, PKI, SM_DP, Servers};

/// The key with which the eIM signs packages.
pub(crate) fn signing_key() -> crypto::SecretKey {
    PKI.eim(EIM_ID, &[EIM_ID.parse().unwrap()]).unwrap().signing[0].clone()
}

/// Creates an eIM and its SM-DP+. The tester reaches ESipa through a link that can change messages.
pub(crate) async fn under_test(wrap: impl FnOnce(Link) -> Link) -> EimUnderTest {
    let servers = Servers::new();
    let (sm_dp, eim) = (&servers.sm_dp, &servers.eim);
    let iccid = "8949000000000000001".parse().unwrap();
    sm_dp.add_profile(&minimal_package(iccid, "test", &[]), &ProfileOptions::default()).await.unwrap();
    let order = serde_json::json!({ "iccid": iccid, "matchingId": "CODE-1", "reusable": true });
    sm_dp.ensure_order(&serde_json::from_value(order).unwrap()).await.unwrap();
    let esipa = wrap(eim.link());
    let world = |name| servers.world(name);
    let coap = InProcess::new(EIM_ID, esipa.clone(), world("CoAP"), Transmission::default());
    let sender = eim.clone();
    EimUnderTest {
        configuration: eim.configuration_data(),
        esipa: esipa.clone(),
        esipa_tls12: Some(esipa),
        coap: Some(Arc::new(coap)),
        transfer: Some(Arc::new(move |eid, ipa| {
            let sender = sender.clone();
            Box::pin(async move { sender.transfer(eid, &ipa).await.map(|_| ()) })
        })),
        operator: Some(Arc::new(Api(eim.admin()))),
        codes: vec![format!("1${SM_DP}$CODE-1")].into(),
        sm_ds: Some(servers.events()),
        inbox: Some(Arc::new(servers.inbox())),
        pki: PKI.clone(),
        version: Version([2, 5, 0]),
        world: world("tester"),
    }
}
