//! ES2+, from the operator: SGP.22 section 5.3. A function a file.

pub(crate) mod cancel_order;
pub(crate) mod confirm_order;
pub(crate) mod download_order;
pub(crate) mod release_profile;

use certs::Certificate;
use rsp::{
    ids::{Iccid, Oid},
    sgp22::json::RequestHeader,
    status::{Refusal, Status},
};
use world::PeerCertificate;

use crate::{
    config::{Config, Requesters},
    decision::{Context, Decision},
    records::{PROFILES, Profile},
};

/// Who called, as TLS has established it.
pub(crate) struct Caller {
    /// The registered object identifiers of the client certificate.
    oids: Vec<Oid>,
}

impl Caller {
    /// From the verified client certificate; `None` when it cannot be read, which TLS should have noticed.
    pub(crate) fn of(certificate: &PeerCertificate) -> Option<Self> {
        let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
        Some(Self { oids: certificate.registered_ids().to_vec() })
    }

    /// That the functionRequesterIdentifier is the caller's own.
    pub(crate) fn check(&self, config: &Config, header: &RequestHeader) -> Result<(), Refusal> {
        let requester = &header.function_requester_identifier;
        match &config.requesters {
            Requesters::AnyCertified if requester.is_empty() => {
                Err(Status::RequesterUnknown.because("functionRequesterIdentifier is empty"))
            }
            Requesters::AnyCertified => Ok(()),
            Requesters::Listed(operators) => {
                let operator =
                    operators.iter().find(|operator| operator.identifier == *requester).ok_or_else(|| {
                        Status::RequesterUnknown.because("no operator has this identifier").about(requester)
                    })?;
                if self.oids.contains(&operator.certificate_oid) {
                    return Ok(());
                }
                Err(Status::RequesterNotAllowed
                    .because("the client certificate is another operator's")
                    .about(requester))
            }
        }
    }
}

/// The profile with this ICCID.
pub(crate) async fn profile(context: &mut Context<'_, '_>, iccid: Iccid) -> Decision<Profile> {
    match context.tx.get(&PROFILES, &iccid.to_string()).await? {
        Some(profile) => Ok(profile),
        None => Err(Status::IccidUnknown.because("there is no such profile in stock").about(iccid).into()),
    }
}

/// The profile with this ICCID, whose order must be the caller's.
pub(crate) async fn own_profile(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    header: &RequestHeader,
) -> Decision<Profile> {
    let profile = profile(context, iccid).await?;
    match &profile.order {
        Some(order) if order.requester != header.function_requester_identifier => {
            Err(Status::IccidNotAllowed
                .because("the profile is ordered by another operator")
                .about(iccid)
                .into())
        }
        _ => Ok(profile),
    }
}
