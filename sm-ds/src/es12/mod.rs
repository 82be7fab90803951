//! ES12, from the SM-DP+: SGP.22 section 5.9. A function a file.

pub(crate) mod delete_event;
pub(crate) mod register_event;

use certs::{Certificate, Role};
use rsp::{
    ids::Oid,
    sgp22::json::RequestHeader,
    status::{Refusal, Status},
};
use world::PeerCertificate;

/// The SM-DP+ that called, as TLS has established it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(Oid);

impl Caller {
    /// From the client certificate, whose chain TLS has verified; `None` when it is not CERT.DP.TLS.
    pub(crate) fn of(certificate: &PeerCertificate) -> Option<Self> {
        let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
        match (certificate.role(), certificate.registered_ids()) {
            (Some(Role::DpTls), [oid]) => Some(Self(oid.clone())),
            _ => None,
        }
    }

    /// Its OID, once the functionRequesterIdentifier has been found to be the same.
    pub(crate) fn identified_by(&self, header: &RequestHeader) -> Result<&Oid, Refusal> {
        let requester = &header.function_requester_identifier;
        if *requester == self.0.to_string() {
            return Ok(&self.0);
        }
        Err(Status::RequesterNotAllowed
            .because(format!("the client certificate is that of SM-DP+ {}", self.0))
            .about(requester))
    }
}
