//! The client of SM-DP+s (ES9+') and SM-DSs (ES11'): SGP.32 sections 5.15 and 5.16. Both are the
//! interfaces of SGP.22 with the eIM as client.

use rsp::{
    ids::SmdpAddress,
    sgp22::{Function, json},
};
use serde::Serialize;
use world::{Call, CallError, Event, Fault};

use crate::server::Eim;

impl Eim {
    /// Calls a function of an SM-DP+ or SM-DS, and reports the call in the timeline.
    pub(crate) async fn call<F: Function, T>(
        &self,
        interface: &'static str,
        address: &SmdpAddress,
        request: &impl Serialize,
        read: impl Fn(&http::Response<bytes::Bytes>) -> Result<T, CallError>,
    ) -> Result<Call<T>, Fault> {
        let core = &self.0.core;
        let peers = self.0.peers.get().ok_or_else(|| {
            Fault::new(
                format!("cannot call the server at {address}"),
                "the eIM has no outgoing connections",
                "set them with Eim::with_peers",
            )
        })?;
        let link = peers.link(address)?;
        let http = json::request(&F::path(), core.config.rsp_version, request);
        let mut call = Call::send(&link, http).await.read(read);
        core.events.emit(
            Event::new(core.world.now(), "eIM", F::title())
                .with_peer(interface, address.to_string())
                .with_bytes(call.sent, call.received)
                .with_outcome(call.outcome())
                .with_findings(std::mem::take(&mut call.findings)),
        );
        Ok(call)
    }
}
