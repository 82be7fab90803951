//! Names of TLS servers.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Serialize, Serializer};

/// A DNS name or an IP address in the subjectAltName of a TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerName {
    /// `dNSName`, in lower case.
    Dns(String),
    /// `iPAddress`.
    Ip(IpAddr),
}

/// The error for a text that is neither a DNS name nor an IP address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a DNS name such as smdpp.example.com nor an IP address; leave out scheme and port")]
pub struct InvalidServerName(String);

impl FromStr for ServerName {
    type Err = InvalidServerName;

    fn from_str(text: &str) -> Result<Self, InvalidServerName> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let label_is_good = |label: &str| {
            matches!(label.len(), 1..=63)
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label_is_good) {
            return Ok(Self::Dns(text.to_ascii_lowercase()));
        }
        Err(InvalidServerName(text.to_owned()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl Serialize for ServerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_is_a_dns_name_or_an_ip_address() {
        assert_eq!("LocalHost".parse(), Ok(ServerName::Dns("localhost".into())));
        assert_eq!("127.0.0.1".parse(), Ok(ServerName::Ip([127, 0, 0, 1].into())));
        for bad in ["", "a..b", "https://a.example", "a.example:8443", "-a.example"] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad}");
        }
    }
}
