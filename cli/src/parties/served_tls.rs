//! TLS of the servers that a user starts. They present the certificate of the PKI even if it is not
//! valid now, and the certificates of injected faults.

use std::{collections::BTreeMap, sync::Arc};

use certs::{Credential, Pki, PkiError, Role, ServerName, Validity};
use crypto::Curve;
use faults::TlsSubstitute;
use net::ServerTls;
use rsp::time::Timestamp;
use world::{Clock, Fault};

use super::{client_auth, host_of, identity, server_credential, tls_on, year_from};
use crate::{
    faults::ActiveFaults,
    output::remark,
    pki,
    settings::{ListenAddress, Settings},
};

/// A server with TLS.
#[derive(Clone, Copy, Debug)]
pub enum TlsServer {
    /// The SM-DP+, or a proxy in front of one.
    SmDp,
    /// The SM-DS.
    SmDs,
}

impl TlsServer {
    fn title(self) -> &'static str {
        match self {
            Self::SmDp => "SM-DP+",
            Self::SmDs => "SM-DS",
        }
    }

    /// The name of the server as a place of faults.
    fn place(self) -> &'static str {
        match self {
            Self::SmDp => "sm-dp",
            Self::SmDs => "sm-ds",
        }
    }

    fn role(self) -> Role {
        match self {
            Self::SmDp => Role::DpTls,
            Self::SmDs => Role::DsTls,
        }
    }

    fn issue(
        self,
        curve: Curve,
        pki: &Pki,
        names: &[ServerName],
        validity: Validity,
    ) -> Result<Credential, PkiError> {
        match self {
            Self::SmDp => pki.issue_dp_tls_on(curve, names, validity),
            Self::SmDs => pki.issue_ds_tls_on(curve, names, validity),
        }
    }

    /// Returns the certificate on this curve, or a newly issued one.
    ///
    /// # Errors
    /// The certificate is missing, and cannot be issued.
    pub(super) fn credential_on(
        self,
        curve: Curve,
        pki: &Pki,
        names: &[ServerName],
        now: Timestamp,
    ) -> Result<Credential, Fault> {
        let issue = |validity| self.issue(curve, pki, names, validity);
        let kept = pki.credential(self.role(), curve).or_else(|_| issue(year_from(now)));
        server_credential(self.title(), kept, issue, names, now)
    }

    /// Returns the TLS configuration of a listener with this certificate, as [`tls_on`]. The
    /// certificate on the other curve is for the same names.
    pub(super) fn tls_on(
        self,
        curve: Option<Curve>,
        pki: &Pki,
        first: &Credential,
        clock: Arc<dyn Clock>,
    ) -> Result<ServerTls, Fault> {
        let (names, now) = (first.certificate.server_names(), clock.now());
        let on_brainpool = || self.credential_on(Curve::BrainpoolP256r1, pki, names, now);
        tls_on(curve, pki, first, on_brainpool, clock)
    }
}

/// Returns the TLS configuration of a server that listens at `listens` and has these names, with its
/// active faults. See [`super::sm_dp_tls`]; but a certificate for the names that is not valid now is
/// presented as it is.
///
/// # Errors
/// There is no certificate, and none can be issued; or the certificate of a fault cannot be issued.
pub fn served_tls(
    server: TlsServer,
    listens: &ListenAddress,
    names: &[String],
    pki: &Pki,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    active_faults: &ActiveFaults,
) -> Result<ServerTls, Fault> {
    let ListenAddress { address, curve } = listens;
    let all = pki::names_of(address, names)?;
    let own: Option<ServerName> = host_of(names.first().unwrap_or(address)).parse().ok();
    let credential = match curve {
        Some(curve) if *curve != pki.tls_curve() => server.credential_on(*curve, pki, &all, clock.now())?,
        _ => served_credential(server, pki, &all, own.as_ref(), clock.now())?,
    };
    let tls = server.tls_on(*curve, pki, &credential, Arc::clone(clock))?;
    with_faults(server, tls, &credential, pki, settings, clock, active_faults)
}

/// Returns the stored certificate, if it is for the server's own name and not valid now, or for all
/// its names. Otherwise a certificate is issued, if possible.
fn served_credential(
    server: TlsServer,
    pki: &Pki,
    all: &[ServerName],
    own: Option<&ServerName>,
    now: Timestamp,
) -> Result<Credential, Fault> {
    let stored = pki.credential(server.role(), pki.tls_curve());
    if let Ok(stored) = &stored {
        let certificate = &stored.certificate;
        let has = |name: &ServerName| certificate.server_names().contains(name);
        let is_valid = certificate.validity().contains(now);
        if !is_valid && own.is_some_and(has) {
            let what = match now > certificate.validity().to {
                true => format!("an expired TLS certificate (until {})", certificate.validity().to),
                false => {
                    format!("a TLS certificate that is not valid yet (from {})", certificate.validity().from)
                }
            };
            let next = "`landfall certs issue` replaces it";
            remark(&format!("the {} presents {what}; {next}", server.title()));
            return Ok(stored.clone());
        }
        if is_valid && all.iter().all(has) {
            return Ok(stored.clone());
        }
    }
    server.credential_on(pki.tls_curve(), pki, all, now)
}

fn with_faults(
    server: TlsServer,
    tls: ServerTls,
    credential: &Credential,
    pki: &Pki,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    active_faults: &ActiveFaults,
) -> Result<ServerTls, Fault> {
    let Some(injector) = active_faults.injector() else { return Ok(tls) };
    let mut substitutes = BTreeMap::new();
    for act in injector.tls_faults(server.place()) {
        let substitute = TlsSubstitute::issue(act, pki, credential).map_err(|e| {
            let what = format!("cannot issue the certificate of a fault of the {}", server.title());
            Fault::usage_caused_by(
                e,
                what,
                "use a PKI with the key of its CI, such as that of `landfall certs init`",
            )
        })?;
        if let Some(crl) = &substitute.crl {
            let file = format!("CertificateIssuer/CRL_{}.crl", server.place());
            remark(&format!("the revoked certificate is listed in {}", settings.pki.join(&file).display()));
            pki::write(&settings.pki, &[(file, crl.clone())])?;
        }
        let auth = client_auth(pki)?;
        substitutes.insert(act, ServerTls::new(&identity(&substitute.credential), &auth, Arc::clone(clock))?);
    }
    if substitutes.is_empty() {
        return Ok(tls);
    }
    let (injector, place) = (injector.clone(), server.place());
    Ok(tls.with_substitute(move || substitutes.get(&injector.next_tls_fault(place)?).cloned()))
}
