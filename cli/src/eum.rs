//! An EUM as a client of ES1: registers a card at an SM-SR (SGP.02 section 5.2).

use std::{sync::Arc, time::Duration};

use certs::Pki;
use net::{Client, ClientTls};
use rsp::sgp02::{BaseRequest, Response as _, eis::Eis, es1};
use world::{Events, Fault, MemoryRecords, PeerStatus, World};

use crate::{
    m2m::{
        factory,
        messages::Messages,
        names::{Named, Names},
        operator::{Operator, SOAP_PATH, peer},
        sm_dp::SoapPeer,
    },
    output::remark,
    parties,
    peers::TlsPeers,
};

/// Creates the EUM as a client of SM-SRs, with a recording of its messages if wanted. The EUM is
/// never called back, so it needs neither persistent records nor the notification channel.
///
/// # Errors
/// The PKI has no EUM.
pub fn create(
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    messages: Option<Messages>,
) -> Result<Operator, Fault> {
    let tls = pki
        .m2m_eum(&crate::pki::names_of("localhost", &[])?)
        .map_err(|e| crate::pki::missing_certificate(e, "the EUM has no certificate"))?;
    let client =
        ClientTls::new(&parties::tls_roots(pki), Some(&parties::identity(&tls)), Arc::clone(&world.clock))?;
    let (eum, _) = Operator::new(
        factory::eum_oid(pki)?,
        "Landfall EUM",
        "EUM",
        format!("https://localhost{SOAP_PATH}"),
        Arc::new(MemoryRecords::default()),
        world.clone(),
        events,
    );
    let peers = TlsPeers::new(Client::default(), client).recording(messages);
    Ok(eum.with_peers(Arc::new(peers)).with_remarks(remark))
}

/// Registers a card (ES1.RegisterEIS).
///
/// # Errors
/// The PKI has no EUM, or the SM-SR is unreachable or refuses the request.
pub async fn register(
    pki: &Pki,
    sm_sr: &SoapPeer,
    eis: Eis,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<(), Fault> {
    let names = Names::default();
    names.call(&sm_sr.id, "SM-SR");
    let eum = create(pki, world, Arc::new(Named { events, names }), None)?;
    eum.knows(peer(sm_sr.id.clone(), &sm_sr.authority));
    let request = es1::RegisterEisRequest { base: BaseRequest::new(""), eis };
    let response = eum.call::<es1::RegisterEis>(&sm_sr.id, request, PATIENCE).await?;
    if response.base().is_done() {
        return Ok(());
    }
    let status = &response.base().function_execution_status;
    let codes = status.status_code_data.as_ref().map(|codes| PeerStatus {
        subject: codes.subject.clone(),
        reason: codes.reason.clone(),
        message: codes.message.clone(),
    });
    Err(Fault::new(
        "the card was not registered",
        status.to_string(),
        "fix the problem reported by the SM-SR, and register the card again",
    )
    .refused_with(codes))
}

/// Time limit of ES1.RegisterEIS, which is synchronous.
const PATIENCE: Duration = Duration::from_secs(60);
