//! What the functions of a download through the eIM share: the session, the errors of the server, and
//! its certificates.

use certs::Certificate;
use rsp::{
    der::Asn1,
    ids::{CertificateDer, Oid, TransactionId},
    sgp22::Function,
    status::Status,
};
use rsp_server::Decision;
use serde::{Serialize, de::DeserializeOwned};
use world::{CallError, Fault};

use super::Call;
use crate::{
    context::Context,
    records::{DEVICES, Device, SESSIONS, ServerKind, Session},
};

/// The reply of a server, or the status of its refusal; `None` if there is no usable reply.
pub(crate) type Relayed<T> = Result<T, Option<Status>>;

/// Calls a function of the server of a session.
pub(crate) async fn relay<F>(
    call: &Call<'_>,
    session: &Session,
    request: &impl Serialize,
) -> Relayed<F::Reply>
where
    F: Function<Reply: DeserializeOwned>,
{
    let interface = match session.kind {
        ServerKind::SmDp => "ES9+'",
        ServerKind::SmDs => "ES11'",
    };
    match call.eim.call::<F, _>(interface, &session.server, request, world::reply).await {
        Ok(called) => called.result.map_err(|error| match error {
            CallError::Refused(status) => status.status(),
            CallError::Link(_) | CallError::Invalid(_) => None,
        }),
        Err(fault) => {
            tracing::warn!(%fault, "cannot reach the server of a download");
            Err(None)
        }
    }
}

/// Returns the open session with this transaction ID.
pub(crate) async fn session(context: &mut Context<'_, '_>, id: &TransactionId) -> Decision<Session> {
    let session = context.tx.get(&SESSIONS, &id.to_string()).await?;
    // req: SGP.32-5.14.3-TransactionId
    let session = session.filter(|session| session.expires > context.now);
    Ok(session
        .ok_or_else(|| Status::TransactionUnknown.because("no session has this TransactionID").about(id))?)
}

/// Stores a session, and renews its lifetime.
pub(crate) fn put(context: &mut Context<'_, '_>, id: &TransactionId, session: Session) -> Result<(), Fault> {
    let expires = context.now.plus(context.config.server.session_lifetime);
    context.tx.put(&SESSIONS, &id.to_string(), &Session { expires, ..session })
}

/// Returns the device of a session, if it is known.
pub(crate) async fn device(
    context: &mut Context<'_, '_>,
    session: &Session,
) -> Result<Option<Device>, Fault> {
    match session.eid {
        Some(eid) => context.tx.get(&DEVICES, &eid.to_string()).await,
        None => Ok(None),
    }
}

/// Returns the OID in the certificate of a server. The eUICC verifies the certificate.
pub(crate) fn oid_in(certificate: &CertificateDer) -> Option<Oid> {
    Certificate::from_der(certificate.0.clone()).ok()?.registered_ids().first().cloned()
}

/// Decodes octets of a record.
pub(crate) fn stored<T: Asn1>(octets: &crate::records::Octets) -> Result<T, Fault> {
    T::from_der(&octets.0).map_err(|error| {
        Fault::caused_by(error, "cannot decode an element of a session", "report this as a bug")
    })
}
