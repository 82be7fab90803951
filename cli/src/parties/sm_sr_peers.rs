//! Peers of an SM-SR, from command-line options and from a file.

use std::{path::Path, str::FromStr};

use certs::{Pki, m2m::Owner};
use crypto::Secret;
use rsp::{ids::Oid, sgp02::Namespace};
use serde::Deserialize;
use sm_sr::{
    SmSr,
    records::{Key, Peer, PeerRole},
};
use world::Fault;

use crate::{
    hidden_value::toml_error,
    m2m::{factory, operator::SOAP_PATH},
};

/// A configured peer: `ROLE:WHO[@HOST:PORT]` or a table `[[peer]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PeerArgument {
    /// Role: eum, sm-dp, operator or sm-sr.
    role: Role,
    /// OID of the peer, or its name in the PKI.
    who: String,
    /// Address for callbacks and notifications: `host:port`, or a URI. Without it, none are
    /// sent.
    address: Option<String>,
    /// Version of the SOAP namespace, 1 or 3.
    #[serde(default)]
    namespace: NamespaceVersion,
    /// Transport key of an EUM, which encrypts the keys in an EIS: 32 hexadecimal digits.
    transport_key: Option<TransportKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Eum,
    SmDp,
    Operator,
    SmSr,
}

/// Namespace of messages to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
struct NamespaceVersion(Namespace);

impl TryFrom<u8> for NamespaceVersion {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 => Ok(Self(Namespace::V1)),
            3 => Ok(Self(Namespace::V3)),
            other => {
                Err(format!("{other} is not a version of the esim-messaging namespace; supported: 1 and 3"))
            }
        }
    }
}

impl FromStr for PeerArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, rest) = text.split_once(':').ok_or("missing `:` after the role")?;
        let role = match role {
            "eum" => Role::Eum,
            "sm-dp" => Role::SmDp,
            "operator" => Role::Operator,
            "sm-sr" => Role::SmSr,
            other => return Err(format!("unknown role {other:?}; expected eum, sm-dp, operator or sm-sr")),
        };
        let (who, address) = match rest.split_once('@') {
            Some((who, address)) => (who, Some(address.to_owned())),
            None => (rest, None),
        };
        if who.is_empty() || address.as_ref().is_some_and(String::is_empty) {
            return Err("the name or OID, or the address after @, is empty".to_owned());
        }
        let namespace = NamespaceVersion::default();
        Ok(Self { role, who: who.to_owned(), address, namespace, transport_key: None })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    peer: Vec<PeerArgument>,
}

/// Reads a TOML file of peers, with a table `[[peer]]` each.
///
/// # Errors
/// The file cannot be read or is invalid.
pub fn read(file: &Path) -> Result<Vec<PeerArgument>, Fault> {
    let invalid = |why: String| {
        Fault::usage(
            format!("cannot use the peers in {}", file.display()),
            why,
            "write a [[peer]] table for each, with role and who, and with address if it is to receive notifications",
        )
    };
    let text = crate::files::read_text(file)?;
    let File { peer } = toml::from_str(&text).map_err(|e| invalid(toml_error(&text, &e)))?;
    Ok(peer)
}

/// Registers peers at the SM-SR. Returns them with their OIDs. Every name has an OID, even if no
/// certificate was issued for it.
///
/// # Errors
/// A peer is invalid, or the records cannot be written.
pub async fn register_peers(server: &SmSr, pki: &Pki, all: &[PeerArgument]) -> Result<Vec<Peer>, Fault> {
    let peers = all.iter().map(|known| known.peer(pki)).collect::<Result<Vec<_>, _>>()?;
    for peer in &peers {
        server.register_peer(peer).await?;
    }
    Ok(peers)
}

impl PeerArgument {
    fn peer(&self, pki: &Pki) -> Result<Peer, Fault> {
        let invalid = |why: String| {
            Fault::usage(
                format!("cannot register the peer {:?}", self.who),
                why,
                "correct the flag or the file",
            )
        };
        let role = match self.role {
            Role::Eum => {
                let key = self.transport_key.as_ref();
                PeerRole::Eum { transport_key: key.map(|key| Key::new(key.expose().to_vec())) }
            }
            _ if self.transport_key.is_some() => {
                return Err(invalid("only an EUM has a transport key".to_owned()));
            }
            Role::SmDp => PeerRole::SmDp,
            Role::Operator => PeerRole::Operator,
            Role::SmSr => PeerRole::SmSr,
        };
        let endpoint = self.address.as_ref().map(|address| match address.contains("://") {
            true => address.clone(),
            false => format!("https://{address}{SOAP_PATH}"),
        });
        let id = self.oid(pki)?;
        Ok(Peer { id, name: self.who.clone(), role, endpoint, namespace: self.namespace.0 })
    }

    /// Returns the configured OID, or the OID of that name in the PKI.
    fn oid(&self, pki: &Pki) -> Result<Oid, Fault> {
        if let Ok(oid) = self.who.parse() {
            return Ok(oid);
        }
        let cannot = |e: certs::PkiError| {
            Fault::usage_caused_by(
                e,
                format!("cannot determine the OID of {:?}", self.who),
                "give the OID, or create a PKI with `landfall certs init`",
            )
        };
        match self.role {
            Role::Eum => factory::eum_oid(pki),
            Role::SmDp => pki.m2m_oid(Owner::SmDp, &self.who).map_err(cannot),
            Role::SmSr => pki.m2m_oid(Owner::SmSr, &self.who).map_err(cannot),
            Role::Operator => {
                let credential = pki.operator(&self.who).map_err(cannot)?;
                credential.certificate.registered_ids().first().cloned().ok_or_else(|| {
                    Fault::usage(
                        format!("cannot determine the OID of {:?}", self.who),
                        "its certificate contains none",
                        "give the OID instead of the name",
                    )
                })
            }
        }
    }
}

/// Transport key of an EUM, which encrypts the keys in an EIS. Written as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TransportKey(Secret<[u8; 16]>);

impl TransportKey {
    /// Octets of the key.
    pub fn expose(&self) -> &[u8; 16] {
        self.0.expose()
    }
}

impl FromStr for TransportKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key)
            .map_err(|_| "expected a transport key of 32 hexadecimal digits".to_owned())?;
        Ok(Self(Secret::new(key)))
    }
}

impl TryFrom<String> for TransportKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_consists_of_a_role_a_name_or_oid_and_an_address() {
        let read = |text: &str| text.parse::<PeerArgument>();
        let known = read("sm-dp:2.999.10@127.0.0.1:8443").unwrap();
        assert_eq!((known.role, known.who.as_str()), (Role::SmDp, "2.999.10"));
        assert_eq!(known.address.as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(read("eum:Landfall").unwrap().address, None);
        for bad in ["2.999.10@x", "bank:2.999.10@x", "sm-sr:@x", "sm-sr:one@", ""] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_of_peers_can_set_the_transport_key_and_the_namespace() {
        let text = r#"
            [[peer]]
            role = "eum"
            who = "EUM"
            transport-key = "000102030405060708090a0b0c0d0e0f"
            [[peer]]
            role = "operator"
            who = "2.999.20.1"
            address = "https://bss.example/rsp"
            namespace = 1
        "#;
        let File { peer } = toml::from_str(text).unwrap();
        let pki = Pki::from_seed(b"x", &certs::PkiOptions::default()).unwrap();
        let peers: Vec<Peer> = peer.iter().map(|known| known.peer(&pki).unwrap()).collect();
        assert!(matches!(&peers[0].role, PeerRole::Eum { transport_key: Some(_) }));
        assert_eq!(peers[1].endpoint.as_deref(), Some("https://bss.example/rsp"));
        assert_eq!(peers[1].namespace, Namespace::V1);
        assert!(toml::from_str::<File>("[[peer]]\nrole = \"eum\"\nwho = \"x\"\nnamespace = 2").is_err());
        let of_an_operator = PeerArgument { transport_key: peer[0].transport_key.clone(), ..peer[1].clone() };
        assert!(of_an_operator.peer(&pki).is_err());
        assert!("00".parse::<TransportKey>().is_err());
        // Debug output contains neither the digits nor the octets of the key.
        let shown = format!("{:?}", peer[0]).to_lowercase();
        assert!(!shown.contains("000102") && !shown.contains("0, 1, 2"), "{shown}");
    }
}
