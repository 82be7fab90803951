//! Who a certificate is for: SGP.22 section 4.5.2 and Annex H, `id-rspRole`.

use std::fmt;

use serde::Serialize;

/// The part a certificate's holder plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// CERT.CI.SIG, the root.
    Ci,
    /// CERT.EUM.SIG, the eUICC manufacturer; issues eUICC certificates.
    Eum,
    /// CERT.EUICC.SIG, one eUICC.
    Euicc,
    /// CERT.DPauth.SIG, SM-DP+ authentication.
    DpAuth,
    /// CERT.DPpb.SIG, SM-DP+ profile package binding.
    DpPb,
    /// CERT.DP.TLS, the SM-DP+ as TLS server (and client).
    DpTls,
    /// CERT.DSauth.SIG, SM-DS authentication.
    DsAuth,
    /// CERT.DS.TLS, the SM-DS as TLS server (and client).
    DsTls,
    /// An operator as TLS client on ES2+. Plain TLS: no RSP role is registered for it.
    OperatorTls,
    /// An SM-SR of SGP.02 as TLS server and client. Plain TLS: no RSP role is registered for it.
    SmSrTls,
}

/// `id-rspRole`.
const ID_RSP_ROLE: &str = "2.23.146.1.2.1";

/// Every RSP role: its arc below `id-rspRole` in SGP.22 v2 (SGP.26 variant O), and the hierarchical one that
/// SGP.22 v3 added (variants Ov3, A, B, C).
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
    /// Every role, root first.
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

    /// The certificate policy that says so, dotted, as SGP.22 v2 has it; none for plain TLS.
    #[must_use]
    pub fn policy(self) -> Option<String> {
        let (_, v2, _) = POLICIES.iter().find(|(role, ..)| *role == self)?;
        Some(format!("{ID_RSP_ROLE}.{v2}"))
    }

    /// The role that a certificate policy stands for, in either numbering.
    #[must_use]
    pub fn from_policy(dotted: &str) -> Option<Self> {
        let arc = below_id_rsp_role(dotted)?;
        POLICIES.iter().find(|(_, v2, v3)| arc == *v2 || arc == *v3).map(|(role, ..)| *role)
    }

    /// Whether a certificate with this policy may stand between the CI and a server of this role:
    /// a CI sub-CA (0.0) or the sub-CA of its kind of server (0.0.1, 0.0.2); SGP.26 variants A, B, C.
    pub(crate) fn may_hang_below(self, policy: &str) -> bool {
        match below_id_rsp_role(policy) {
            Some("0.0") => self.policy().is_some(),
            Some("0.0.1") => matches!(self, Self::DpAuth | Self::DpPb | Self::DpTls),
            Some("0.0.2") => matches!(self, Self::DsAuth | Self::DsTls),
            _ => false,
        }
    }

    /// Whether the holder issues certificates.
    #[must_use]
    pub const fn is_ca(self) -> bool {
        matches!(self, Self::Ci | Self::Eum)
    }

    /// Whether the holder is a TLS server, which must be so in its extended key usage.
    #[must_use]
    pub const fn is_tls_server(self) -> bool {
        matches!(self, Self::DpTls | Self::DsTls | Self::SmSrTls)
    }

    /// Whether the holder is a TLS client, which must be so in its extended key usage.
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
    fn a_role_is_known_by_either_numbering_and_by_nothing_else() {
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
