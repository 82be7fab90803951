//! The trusted CIs of a card.

use certs::{Certificate, TrustAnchors};
use profile::Octets;
use rsp::ids::SubjectKeyIdentifier;
use world::Fault;

/// The trusted CIs. Many cards share them.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) anchors: TrustAnchors,
    /// In the card's order of preference.
    pub(crate) ids: Vec<SubjectKeyIdentifier>,
}

impl Trust {
    pub(crate) fn load(cis: &[Octets]) -> Result<Self, Fault> {
        let cis =
            cis.iter().map(|der| certificate(der, "a CI certificate")).collect::<Result<Vec<_>, _>>()?;
        let ids =
            cis.iter().filter_map(|ci| ci.subject_key_id()).map(|id| SubjectKeyIdentifier(id.0.clone()));
        let ids = ids.collect();
        let anchors = TrustAnchors::new(cis).map_err(|why| fault("a CI certificate", why.to_string()))?;
        Ok(Self { anchors, ids })
    }
}

pub(crate) fn certificate(der: &Octets, what: &str) -> Result<Certificate, Fault> {
    Certificate::from_der(der.to_vec()).map_err(|why| fault(what, why.to_string()))
}

pub(crate) fn fault(what: &str, why: String) -> Fault {
    Fault::new(
        format!("cannot use {what}"),
        why,
        "correct the card's description, or issue its certificates again",
    )
}
