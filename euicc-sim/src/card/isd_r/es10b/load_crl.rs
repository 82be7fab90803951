//! ES10b.LoadCRL: SGP.22 section 5.7.12, in v2 up to v2.7; v3 has withdrawn it. What a CI has revoked, kept for
//! AuthenticateServer and PrepareDownload.
//!
//! A list may come in parts, and what an earlier list revoked stays revoked until the later one is whole.

use std::collections::BTreeSet;

use certs::{Crl, Part, ServerCertificate};
use rsp::sgp22::es10b::{LoadCrlError, LoadCrlRequest, LoadCrlResponse, LoadCrlResponseOk};

use crate::card::context::Context;
use crate::card::state::StoredCrl;

/// Certificates of one CI that can be remembered as revoked. GSMA has issued fewer to servers altogether.
const MAX_REVOKED: usize = 4096;

/// Parts of a list: as many as there would be if each named sixteen certificates.
const MAX_PARTS: i64 = 256;

pub(crate) fn load_crl(context: &mut Context<'_>, request: LoadCrlRequest) -> LoadCrlResponse {
    match decide(context, request) {
        Ok(crl) => {
            let missing: Vec<i64> = (1..=crl.parts).filter(|part| !crl.loaded.contains(part)).collect();
            keep(context, crl);
            let missing_parts = (!missing.is_empty()).then_some(missing);
            LoadCrlResponse::LoadCrlResponseOk(LoadCrlResponseOk { missing_parts })
        }
        Err(error) => LoadCrlResponse::LoadCrlResponseError(error),
    }
}

/// Whether the CI of a server's certificate has revoked it.
pub(crate) fn is_revoked(context: &Context<'_>, server: &ServerCertificate) -> bool {
    let serial_number = server.certificate.serial_number();
    let mut lists = context.persistent.crls.iter().filter(|crl| crl.ci == server.ci_key_id);
    lists.any(|crl| crl.revoked.contains(serial_number))
}

fn decide(context: &Context<'_>, request: LoadCrlRequest) -> Result<StoredCrl, LoadCrlError> {
    let crl = Crl::from_der(request.crl.0).map_err(|_| LoadCrlError::INVALID_CRL_FORMAT)?;
    let ci = context.ecasd.anchors().find(&crl.issuer_key_id);
    if !crl.is_signed_by(ci.ok_or(LoadCrlError::VERIFICATION_KEY_NOT_FOUND)?) {
        return Err(LoadCrlError::INVALID_SIGNATURE);
    }
    let Part { number, total } = crl.part.unwrap_or(Part { number: 1, total: 1 });
    if total > MAX_PARTS {
        return Err(LoadCrlError::INVALID_CRL_FORMAT);
    }
    let held = context.persistent.crls.iter().find(|held| held.ci == crl.issuer_key_id);
    if held.is_some_and(|held| held.number > crl.number) {
        return Err(LoadCrlError::FRESHER_CRL_ALREADY_LOADED);
    }
    if let Some(base) = crl.base
        && held.is_none_or(|held| held.number < base || !held.is_whole())
    {
        return Err(LoadCrlError::BASE_CRL_MISSING);
    }
    let mut loaded = BTreeSet::from([number]);
    let mut revoked = crl.revoked;
    if let Some(held) = held {
        if held.number == crl.number && held.parts == total {
            loaded.extend(&held.loaded);
        }
        // A list in one piece takes the place of the one before; a part or an addition does not.
        if total > 1 || crl.base.is_some() {
            revoked.extend(held.revoked.difference(&crl.removed).cloned());
        }
    }
    if revoked.len() > MAX_REVOKED {
        return Err(LoadCrlError::NOT_ENOUGH_MEMORY_SPACE);
    }
    Ok(StoredCrl { ci: crl.issuer_key_id, number: crl.number, parts: total, loaded, revoked })
}

fn keep(context: &mut Context<'_>, crl: StoredCrl) {
    if context.persistent.crls.contains(&crl) {
        return;
    }
    let crls = &mut context.persistent.to_mut().crls;
    crls.retain(|held| held.ci != crl.ci);
    crls.push(crl);
}
