//! Roles of certificates: SGP.22 section 4.5.2 and annex H, `id-rspRole`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The role of a certificate's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The root: CERT.CI.SIG.
    Ci,
    /// The eUICC manufacturer, which issues eUICC certificates: CERT.EUM.SIG.
    Eum,
    /// An eUICC: CERT.EUICC.SIG.
    Euicc,
    /// SM-DP+ authentication: CERT.DPauth.SIG.
    DpAuth,
    /// SM-DP+ profile package binding: CERT.DPpb.SIG.
    DpPb,
    /// The SM-DP+ as TLS server (and client): CERT.DP.TLS.
    DpTls,
    /// SM-DS authentication: CERT.DSauth.SIG.
    DsAuth,
    /// The SM-DS as TLS server (and client): CERT.DS.TLS.
    DsTls,
    /// An operator as TLS client on ES2+. Plain TLS without a registered RSP role.
    OperatorTls,
    /// An SM-SR of SGP.02 as TLS server and client. Plain TLS without a registered RSP role.
    SmSrTls,
}

/// `id-rspRole`.
const ID_RSP_ROLE: &str = "2.23.146.1.2.1";

/// The RSP roles with their arcs below `id-rspRole`: those of SGP.22 v2 (SGP.26 variant O), and the
/// hierarchical ones of SGP.22 v3 (variants Ov3, A, B, C).
const POLICIES: [(Role, &str, &str); 8] = [
    (Role::Ci, "0", "0"),
    (Role::Euicc, "1", "0.0.0.0.0"),
    (Role::Eum, "2", "0.0.0"),
    (Role::DpTls, "3", "0.0.1.0"),
    (Role::DpAuth, "4", "0.0.1.1"),
    (Role::DpPb, "5", "0.0.1.2"),
    (Role::DsTls, "6", "0.0.2.0"),
    (Role::DsAuth, "7", "0.0.2.1"),
];

impl Role {
    /// All roles, root first.
    pub const ALL: [Self; 10] = [
        Self::Ci,
        Self::Eum,
        Self::Euicc,
        Self::DpAuth,
        Self::DpPb,
        Self::DpTls,
        Self::DsAuth,
        Self::DsTls,
        Self::OperatorTls,
        Self::SmSrTls,
    ];

    /// Returns the certificate policy of this role in SGP.22 v2, dotted, or `None` for plain TLS.
    #[must_use]
    pub fn policy(self) -> Option<String> {
        let (_, v2, _) = POLICIES.iter().find(|(role, ..)| *role == self)?;
        Some(format!("{ID_RSP_ROLE}.{v2}"))
    }

    /// Returns the role of a certificate policy, in either numbering.
    #[must_use]
    pub fn from_policy(dotted: &str) -> Option<Self> {
        let arc = below_id_rsp_role(dotted)?;
        POLICIES.iter().find(|(_, v2, v3)| arc == *v2 || arc == *v3).map(|(role, ..)| *role)
    }

    /// True if a certificate with this policy can be an intermediate between the CI and a server of
    /// this role: a CI sub-CA (0.0), or the sub-CA of this kind of server (0.0.1, 0.0.2); SGP.26
    /// variants A, B, C.
    pub(crate) fn permits_issuer_policy(self, policy: &str) -> bool {
        match below_id_rsp_role(policy) {
            Some("0.0") => self.policy().is_some(),
            Some("0.0.1") => matches!(self, Self::DpAuth | Self::DpPb | Self::DpTls),
            Some("0.0.2") => matches!(self, Self::DsAuth | Self::DsTls),
            _ => false,
        }
    }

    /// True if the holder issues certificates.
    #[must_use]
    pub const fn is_ca(self) -> bool {
        matches!(self, Self::Ci | Self::Eum)
    }

    /// True if the holder is a TLS server. The extended key usage must then include serverAuth.
    #[must_use]
    pub const fn is_tls_server(self) -> bool {
        matches!(self, Self::DpTls | Self::DsTls | Self::SmSrTls)
    }

    /// True if the holder is a TLS client. The extended key usage must then include clientAuth.
    #[must_use]
    pub const fn is_tls_client(self) -> bool {
        matches!(self, Self::DpTls | Self::DsTls | Self::SmSrTls | Self::OperatorTls)
    }
}

fn below_id_rsp_role(dotted: &str) -> Option<&str> {
    dotted.strip_prefix(ID_RSP_ROLE)?.strip_prefix('.')
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ci => "CI",
            Self::Eum => "EUM",
            Self::Euicc => "eUICC",
            Self::DpAuth => "SM-DP+ authentication",
            Self::DpPb => "SM-DP+ profile binding",
            Self::DpTls => "SM-DP+ TLS",
            Self::DsAuth => "SM-DS authentication",
            Self::DsTls => "SM-DS TLS",
            Self::OperatorTls => "operator TLS client",
            Self::SmSrTls => "SM-SR TLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_recognised_in_either_numbering_only() {
        for role in Role::ALL {
            if let Some(policy) = role.policy() {
                assert_eq!(Role::from_policy(&policy), Some(role));
            }
        }
        assert_eq!(Role::from_policy("2.23.146.1.2.1.0.0.1.2"), Some(Role::DpPb));
        assert_eq!(Role::from_policy("2.23.146.1.2.1.0.0.0"), Some(Role::Eum));
        for other in [
            "2.23.146.1.2.1",
            "2.23.146.1.2.1.",
            "2.23.146.1.2.1.5.0",
            "2.23.146.1.2.1.0.0",
            "2.23.146.1.2.11",
        ] {
            assert_eq!(Role::from_policy(other), None, "{other}");
        }
    }
}
