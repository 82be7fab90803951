//! A complete PKI from one seed. The same seed and options give the same octets.

use std::fmt;
use std::str::FromStr;

use crypto::{Curve, SecretKey};
use rsp::ids::Oid;

use super::issuing::{Request, issue_below};
use super::{Credential, Pki, PkiError, PkiOptions, keys};
use crate::certificate::{Certificate, Validity};
use crate::ids::numbered_eid;
use crate::issue::{self, Particulars, Plan, Signer};
use crate::names::ServerName;
use crate::role::Role;

/// The organisation of the servers.
const ORGANISATION: &str = "Landfall Test";
/// The manufacturer's part of the EIDs, the same as in the SGP.26 test set.
const EID_PREFIX: &str = "89049032";

impl Pki {
    /// Creates a PKI. The keys of CIs are derived from the seed, every other key from its issuer's
    /// private key.
    ///
    /// # Errors
    /// The options are inconsistent: an EID outside the prefix, no name for a TLS server, invalid
    /// dates.
    pub fn from_seed(seed: &[u8], options: &PkiOptions) -> Result<Self, PkiError> {
        let mut pki = Self::default();
        let mut curves = options.curves.clone();
        if curves.is_empty() {
            curves.push(Curve::P256);
        }
        curves.sort();
        curves.dedup();
        for curve in curves {
            pki.add_rsp_roles(seed, curve, options)?;
        }
        let tls_servers = [
            (Role::DpTls, &options.smdp_oid, &options.smdp_names),
            (Role::DsTls, &options.smds_oid, &options.smds_names),
            (Role::SmSrTls, &options.smsr_oid, &options.smsr_names),
        ];
        for (role, oid, names) in tls_servers {
            pki.add_server(role, pki.tls_curve(), oid, names, options)?;
        }
        for operator in &options.operators {
            let operator = pki.issue_operator(operator, options.validity)?;
            pki.add(operator);
        }
        pki.sort();
        Ok(pki)
    }

    fn add_rsp_roles(&mut self, seed: &[u8], curve: Curve, options: &PkiOptions) -> Result<(), PkiError> {
        let ci = make_ci(keys::derive(seed, "CI", curve), options.validity)?;
        self.add(make_eum(&ci, options)?);
        self.add(ci);
        for (role, oid) in [
            (Role::DpAuth, &options.smdp_oid),
            (Role::DpPb, &options.smdp_oid),
            (Role::DsAuth, &options.smds_oid),
        ] {
            self.add_server(role, curve, oid, &[], options)?;
        }
        for eid in &options.eids {
            let euicc = self.issue_euicc(curve, *eid, options.validity)?.euicc;
            self.add(euicc);
        }
        Ok(())
    }

    fn add_server(
        &mut self,
        role: Role,
        curve: Curve,
        oid: &Oid,
        names: &[ServerName],
        options: &PkiOptions,
    ) -> Result<(), PkiError> {
        let server = self.issue_server(role, curve, ORGANISATION, Some(oid), names, options.validity)?;
        self.add(server);
        Ok(())
    }
}

/// Issues a self-signed root certificate for this key.
pub(super) fn make_ci(key: SecretKey, validity: Validity) -> Result<Credential, PkiError> {
    if !issue::can_be_written(validity) {
        return Err(PkiError::Validity(validity));
    }
    let public_key = key.public_key();
    let name = issue::organisation_name(ORGANISATION, "Test CI");
    let oid: Oid = "2.999.1".parse()?;
    let particulars = Particulars { oid: Some(&oid), ..Particulars::default() };
    let plan = Plan {
        subject: name.clone(),
        validity,
        extensions: issue::extensions(Role::Ci, &public_key, &issue::key_id(&public_key), &particulars),
        public_key,
    };
    let der = plan.sign(&Signer { name: &name, key: &key });
    Ok(Credential { certificate: Certificate::from_der(der)?, key })
}

fn make_eum(ci: &Credential, options: &PkiOptions) -> Result<Credential, PkiError> {
    let oid: Oid = "2.999.5".parse()?;
    let prefixes = [options.eid_prefix.clone()];
    issue_below(
        ci,
        Request {
            role: Role::Eum,
            curve: ci.certificate.curve(),
            subject: issue::organisation_name(&options.eum_organisation, "Test EUM"),
            validity: options.validity,
            label: "EUM".to_owned(),
            particulars: Particulars {
                oid: Some(&oid),
                names: &[],
                range: Some((&options.eum_organisation, &prefixes)),
            },
        },
    )
}

impl Default for PkiOptions {
    fn default() -> Self {
        let example = |name: &str| [name, "localhost", "127.0.0.1"].map(literal).to_vec();
        Self {
            curves: vec![Curve::P256, Curve::BrainpoolP256r1],
            // Covers every date to which a demonstration moves its clock.
            validity: Validity { from: literal("2020-01-01T00:00:00Z"), to: literal("2049-12-31T23:59:59Z") },
            smdp_oid: literal("2.999.10"),
            smdp_names: example("smdpp.landfall.example"),
            smds_oid: literal("2.999.15"),
            smds_names: example("smds.landfall.example"),
            smsr_oid: literal("2.999.16"),
            smsr_names: example("smsr.landfall.example"),
            eum_organisation: "Landfall Test EUM".to_owned(),
            eid_prefix: EID_PREFIX.to_owned(),
            eids: (1..=2).filter_map(|number| numbered_eid(EID_PREFIX, number).ok()).collect(),
            operators: vec!["Landfall Test Operator".to_owned()],
        }
    }
}

/// Parses a literal of this file. Every test that uses the default options checks that the literals
/// are valid.
#[allow(clippy::expect_used, reason = "a literal is not input")]
fn literal<T: FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a literal of this file is malformed")
}
