//! ES10b.GetCerts: SGP.32 section 5.9.10.

use rsp::sgp32::es10b::{Certs, GetCertsError, GetCertsRequest, GetCertsResponse};

use crate::consumer::ConsumerContext;

pub(super) fn get_certs(context: &mut ConsumerContext<'_>, request: GetCertsRequest) -> GetCertsResponse {
    match context.ecasd.credential_for(request.euicc_ci_pk_id.as_ref()) {
        Some(credential) => GetCertsResponse::Certs(Certs {
            eum_certificate: credential.eum_certificate(),
            euicc_certificate: credential.euicc_certificate(),
        }),
        None => GetCertsResponse::GetCertsError(GetCertsError::INVALID_CI_PK_ID),
    }
}
