//! ES10b.LoadCRL: SGP.22 section 5.7.12 in v2 up to v2.7; v3 removed it. AuthenticateServer and
//! PrepareDownload check certificates against the loaded CRLs.
//!
//! A CRL can arrive in parts. The last complete CRL stays in force until the next one is complete,
//! and the revocations in the received parts of the next one apply at once. The parts of an
//! incomplete CRL are discarded when a part of a later CRL arrives.

use std::collections::BTreeSet;

use certs::{Crl, Part, ServerCertificate};
use rsp::sgp22::es10b::{LoadCrlError, LoadCrlRequest, LoadCrlResponse, LoadCrlResponseOk};

use crate::consumer::ConsumerContext;
use crate::state::StoredCrl;

/// Maximum number of certificates in one CRL. At most two CRLs per CI are stored.
const MAX_REVOKED: usize = 4096;

/// Maximum number of parts of a CRL. It is enough for `MAX_REVOKED` certificates with sixteen in
/// each part.
const MAX_PARTS: i64 = 256;

pub(crate) fn load_crl(context: &mut ConsumerContext<'_>, request: LoadCrlRequest) -> LoadCrlResponse {
    match decide(context, request) {
        Ok(crl) => {
            let missing = crl.missing_parts();
            store(context, crl);
            let missing_parts = (!missing.is_empty()).then_some(missing);
            LoadCrlResponse::LoadCrlResponseOk(LoadCrlResponseOk { missing_parts })
        }
        Err(error) => LoadCrlResponse::LoadCrlResponseError(error),
    }
}

/// True if the CI of a server's certificate has revoked it.
pub(crate) fn is_revoked(context: &ConsumerContext<'_>, server: &ServerCertificate) -> bool {
    let serial_number = server.certificate.serial_number();
    let mut lists = context.state.crls.iter().filter(|crl| crl.ci == server.ci_key_id);
    lists.any(|crl| crl.revoked.contains(serial_number))
}

fn decide(context: &ConsumerContext<'_>, request: LoadCrlRequest) -> Result<StoredCrl, LoadCrlError> {
    // req: SGP.22-5.7.12-Format
    let crl = Crl::from_der(request.crl.0).map_err(|_| LoadCrlError::INVALID_CRL_FORMAT)?;
    // req: SGP.22-5.7.12-KeyUnknown
    let ci = context.ecasd.anchors().find(&crl.issuer_key_id);
    // req: SGP.22-5.7.12-Signature
    if !crl.is_signed_by(ci.ok_or(LoadCrlError::VERIFICATION_KEY_NOT_FOUND)?) {
        return Err(LoadCrlError::INVALID_SIGNATURE);
    }
    let Part { number, total } = crl.part.unwrap_or(Part { number: 1, total: 1 });
    if total > MAX_PARTS {
        return Err(LoadCrlError::INVALID_CRL_FORMAT);
    }
    let stored = || context.state.crls.iter().filter(|stored| stored.ci == crl.issuer_key_id);
    // req: SGP.22-5.7.12-Older
    if stored().any(|stored| stored.number > crl.number) {
        return Err(LoadCrlError::FRESHER_CRL_ALREADY_LOADED);
    }
    let complete = stored().find(|stored| stored.is_complete());
    // A full CRL and a delta CRL with the same number describe the same list (RFC 5280 section
    // 5.2.4), so a list that is already complete is kept.
    if let Some(complete) = complete.filter(|complete| complete.number == crl.number) {
        return Ok(complete.clone());
    }
    // req: SGP.22-5.7.12-Base
    if crl.base.is_some_and(|base| complete.is_none_or(|complete| complete.number < base)) {
        return Err(LoadCrlError::BASE_CRL_MISSING);
    }
    let mut list = StoredCrl {
        ci: crl.issuer_key_id.clone(),
        number: crl.number,
        base: crl.base,
        parts: total,
        loaded: BTreeSet::from([number]),
        revoked: crl.revoked,
        removed: crl.removed,
    };
    if let Some(earlier) = stored().find(|stored| list.is_same_list_as(stored)) {
        list.loaded.extend(&earlier.loaded);
        list.revoked.extend(earlier.revoked.iter().cloned());
        list.removed.extend(earlier.removed.iter().cloned());
    }
    if let (true, Some(_), Some(complete)) = (list.is_complete(), list.base, complete) {
        let removed = std::mem::take(&mut list.removed);
        list.revoked.extend(complete.revoked.difference(&removed).cloned());
    }
    if list.revoked.len().saturating_add(list.removed.len()) > MAX_REVOKED {
        return Err(LoadCrlError::NOT_ENOUGH_MEMORY_SPACE);
    }
    Ok(list)
}

/// Stores a CRL. A complete CRL replaces all CRLs of its CI. An incomplete CRL replaces only an
/// incomplete CRL.
fn store(context: &mut ConsumerContext<'_>, crl: StoredCrl) {
    if context.state.crls.contains(&crl) {
        return;
    }
    let is_complete = crl.is_complete();
    let crls = &mut context.state.to_mut().crls;
    crls.retain(|stored| stored.ci != crl.ci || (stored.is_complete() && !is_complete));
    crls.push(crl);
}
