//! The addresses to which a server connects because a peer names them. Without this limit, a peer
//! could make the server connect to any host of its network.

use rsp::ids::SmdpAddress;

/// Addresses that a peer may name. The addresses of configured peers are always allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedAddresses {
    /// Only the listed addresses.
    Listed(Vec<SmdpAddress>),
    /// Every address.
    Any,
}

impl AllowedAddresses {
    /// True if the server may connect to this address. Port 443 is the default.
    pub fn permit(&self, address: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => listed.iter().any(|listed| is_same(listed.as_str(), address)),
        }
    }
}

impl Default for AllowedAddresses {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// True if both are the same host and port.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let host_and_port = |address: &str| match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()) => {
            (host.to_ascii_lowercase(), port.to_owned())
        }
        _ => (address.to_ascii_lowercase(), "443".to_owned()),
    };
    host_and_port(one) == host_and_port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_if_host_and_port_are_listed() {
        let allowed = AllowedAddresses::Listed(
            ["Smds.example", "127.0.0.1:8444", "[::1]:9", "[::2]:443"].map(|it| it.parse().unwrap()).to_vec(),
        );
        for address in ["smds.example", "smds.example:443", "127.0.0.1:8444", "[::1]:9", "[::2]"] {
            assert!(allowed.permit(address), "{address}");
        }
        for address in ["smds.example:8443", "127.0.0.1", "127.0.0.1:8445", "other.example", "[::1]", ""] {
            assert!(!allowed.permit(address), "{address}");
        }
        assert!(AllowedAddresses::Any.permit("other.example"));
        assert!(!AllowedAddresses::default().permit("smds.example"));
    }
}
