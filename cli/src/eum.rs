//! An EUM as a client of ES1: registers a card at an SM-SR (SGP.02 section 5.2).

use std::{sync::Arc, time::Duration};

use certs::Pki;
use net::{Client, ClientTls};
use rsp::{
    ids::Oid,
    sgp02::{BaseRequest, Namespace, Response as _, eis::Eis, es1},
};
use rsp_server::soap::Peer;
use world::{Events, Fault, MemoryRecords, World};

use crate::{
    m2m::{
        factory,
        names::{Named, Names},
        operator::{Operator, SOAP_PATH},
    },
    output::remark,
    parties,
    peers::TlsPeers,
};

/// An SM-SR and its address.
#[derive(Clone, Debug)]
pub struct Registrar {
    /// OID of the SM-SR.
    pub id: Oid,
    /// Address, `host:port`.
    pub authority: String,
}

/// Registers a card (ES1.RegisterEIS).
///
/// # Errors
/// The PKI has no EUM, or the SM-SR is unreachable or refuses the request.
pub async fn register(
    pki: &Pki,
    sm_sr: &Registrar,
    eis: Eis,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<(), Fault> {
    let localhost =
        "localhost".parse().map_err(|e| Fault::caused_by(e, "cannot name the EUM", "report this"))?;
    let tls = pki
        .m2m_eum(&[localhost])
        .map_err(|e| crate::pki::missing_certificate(e, "the EUM has no certificate"))?;
    let names = Names::default();
    names.call(&sm_sr.id, "SM-SR");
    let client =
        ClientTls::new(&parties::tls_roots(pki), Some(&parties::identity(&tls)), Arc::clone(&world.clock))?;
    // The EUM is never called back, so it needs neither persistent records nor the notification
    // channel.
    let (eum, _) = Operator::new(
        factory::eum_oid(pki)?,
        "Landfall EUM",
        "EUM",
        format!("https://localhost{SOAP_PATH}"),
        Arc::new(MemoryRecords::default()),
        world.clone(),
        Arc::new(Named { events, names }),
    );
    let eum = eum.with_peers(Arc::new(TlsPeers::new(Client::default(), client))).with_remarks(remark);
    eum.knows(Peer {
        id: sm_sr.id.clone(),
        endpoint: format!("https://{}{SOAP_PATH}", sm_sr.authority),
        namespace: Namespace::V3,
    });
    let request = es1::RegisterEisRequest { base: BaseRequest::new(""), eis };
    let response = eum.call::<es1::RegisterEis>(&sm_sr.id, request, PATIENCE).await?;
    if response.base().is_done() {
        return Ok(());
    }
    Err(Fault::new(
        "the card was not registered",
        response.base().function_execution_status.to_string(),
        "fix the problem reported by the SM-SR, and register the card again",
    ))
}

/// Time limit of ES1.RegisterEIS, which is synchronous.
const PATIENCE: Duration = Duration::from_secs(60);
