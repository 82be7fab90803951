//! ES12, called by the SM-DP+: SGP.22 section 5.9. One file for each function.

pub(crate) mod delete_event;
pub(crate) mod register_event;

use certs::{Certificate, Role};
use rsp::{
    ids::Oid,
    sgp22::json::RequestHeader,
    status::{Refusal, Status},
};
use world::PeerCertificate;

/// The calling SM-DP+, as authenticated by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller(Oid);

impl Caller {
    /// Reads the caller from the client certificate, whose chain TLS has verified; `None` if it is
    /// not CERT.DP.TLS.
    pub(crate) fn of(certificate: Option<&PeerCertificate>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate?.0.clone()).ok()?;
        match (certificate.role(), certificate.registered_ids()) {
            (Some(Role::DpTls), [oid]) => Some(Self(oid.clone())),
            _ => None,
        }
    }

    /// Returns the caller's OID. Refuses if the functionRequesterIdentifier is another one.
    pub(crate) fn identified_by(&self, header: &RequestHeader) -> Result<&Oid, Refusal> {
        let requester = &header.function_requester_identifier;
        // req: SGP.22-5.9.1-Requester
        if *requester == self.0.to_string() {
            return Ok(&self.0);
        }
        Err(Status::RequesterNotAllowed
            .because(format!("the client certificate belongs to SM-DP+ {}", self.0))
            .about(requester))
    }
}
