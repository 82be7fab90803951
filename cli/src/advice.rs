//! Advice for a command whose server does not answer: which command starts the server, and which
//! option has its address.

use std::error::Error as _;

use world::{Fault, LinkFault, LinkFaultKind};

/// A server that commands call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The SM-DP+ of the settings (ES2+).
    SmDp,
    /// An SM-DP+ or SM-DS whose address comes from an activation code or from the card.
    OfProfile,
    /// The admin API of the SM-DP+.
    Admin,
    /// The networks.
    Networks,
    /// The owner's platform, at which devices check in.
    Platform,
    /// The API of the owner's platform.
    OwnersApi,
    /// The API of the eIM.
    Eim,
}

impl Server {
    /// Returns the advice for this failure of the link to the server.
    pub fn next(self, kind: LinkFaultKind) -> String {
        match kind {
            LinkFaultKind::Tls => format!(
                "use the PKI of the server: the same folder with --pki, or a folder that was created with the \
                 same --seed; or correct {}",
                self.address()
            ),
            LinkFaultKind::Unresolved if self == Self::OfProfile => {
                "if the name is one of the SM-DP+ of --sm-dp, give it with --sm-dp-name".to_owned()
            }
            LinkFaultKind::Protocol | LinkFaultKind::TooLarge => {
                format!("another server uses this port: correct {}", self.address())
            }
            _ => format!("start it with {}, or correct {}", self.command(), self.address()),
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::SmDp | Self::Admin => "`landfall sm-dp serve` or `landfall up`",
            Self::OfProfile => "`landfall sm-dp serve`, `landfall sm-ds serve` or `landfall up`",
            Self::Networks => "`landfall network` or `landfall up`",
            Self::Platform | Self::OwnersApi => "`landfall fleet serve`",
            Self::Eim => "`landfall eim serve`",
        }
    }

    fn address(self) -> &'static str {
        match self {
            Self::SmDp => "--sm-dp, the address that the SM-DP+ prints at start",
            Self::OfProfile => {
                "its address: the activation code, --sm-ds, or `landfall device default-sm-dp`"
            }
            Self::Admin => "--admin, the address that the SM-DP+ prints at start",
            Self::Networks => "--network, the address that the networks print at start",
            Self::Platform => "--platform, the address that the platform prints at start",
            Self::OwnersApi => "--platform, the address of the owner's API that the platform prints at start",
            Self::Eim => "--api, the address that the eIM prints at start",
        }
    }
}

/// Replaces the advice of a fault that was caused by the link to this server.
pub fn advised(mut fault: Fault, server: Server) -> Fault {
    if let Some(link) = fault.source().and_then(|cause| cause.downcast_ref::<LinkFault>()) {
        fault.next = server.next(link.kind);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_for_a_link_fault_names_the_command_and_the_option() {
        let fault = |kind| Fault::from(LinkFault::new(kind, "127.0.0.1:1", "why"));
        let refused = advised(fault(LinkFaultKind::Refused), Server::Networks);
        assert!(
            refused.next.contains("`landfall network`") && refused.next.contains("--network"),
            "{refused}"
        );
        assert!(advised(fault(LinkFaultKind::Tls), Server::SmDp).next.contains("--pki"));
        assert!(advised(fault(LinkFaultKind::Protocol), Server::SmDp).next.contains("--sm-dp"));
        let other = Fault::new("it failed", "because", "do this");
        assert_eq!(advised(other, Server::SmDp).next, "do this");
    }
}
