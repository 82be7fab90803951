//! TLS for servers and clients: versions 1.2 and 1.3, ECDHE only. Certificates are checked against
//! the clock of the party.
//!
//! webpki verifies the chains and is stricter than the GSMA profile: it uses SAN names only, and
//! checks EKU, path length and validity of every certificate below the root. Of the root, only the
//! name and the key are used, so its unusual content (a registeredID as SAN, a critical policy)
//! does not matter. webpki refuses a critical certificate policy below the root, so [`Identity`]s
//! with one are refused before any connection.
//!
//! Sessions are never resumed: resumption would skip the verification, although the clock may have
//! moved since.

mod brainpool;
mod checking;
mod pkcs8;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use world::{Clock, Fault};
use zeroize::Zeroizing;

use brainpool::ByCurve;
pub(crate) use checking::refusal;
use checking::{CheckingClientVerifier, CheckingVerifier, PinningVerifier};
pub use pkcs8::pkcs8_p256;

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
const HTTP1: &[u8] = b"http/1.1";
const ALPN: [&[u8]; 2] = [b"h2", HTTP1];

/// A certificate chain and the key of its first certificate.
#[derive(Clone)]
pub struct Identity {
    /// The certificates in DER: first the party's own certificate, then those of the issuers. The
    /// root can be omitted.
    pub chain: Vec<Vec<u8>>,
    /// The key in PKCS#8 DER; [`pkcs8_p256`] creates it from a scalar.
    pub key: Zeroizing<Vec<u8>>,
}

const SERVE: &str = "serve TLS with this certificate";

/// Policy of a server for client certificates.
#[derive(Clone)]
pub enum ClientAuth {
    /// The server does not request a client certificate.
    None,
    /// The server requests a client certificate. A certificate must lead to one of these roots
    /// (DER); clients without a certificate are accepted too. The router distinguishes the two by
    /// [`world::PeerCertificate`], so that ES2+ and ES9+ can share a port.
    Optional {
        /// The roots.
        roots: Vec<Vec<u8>>,
        /// Further check of a client certificate whose chain has been verified.
        check: Arc<CertificateCheck>,
    },
}

impl ClientAuth {
    /// Returns the policy [`ClientAuth::Optional`] without a further check.
    pub fn optional(roots: Vec<Vec<u8>>) -> Self {
        Self::Optional { roots, check: Arc::new(|_: &[u8]| Ok(())) }
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Optional { roots, .. } => write!(f, "Optional({} roots)", roots.len()),
        }
    }
}

/// TLS configuration of a server. Clones share it.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    substitute: Option<Arc<Substitute>>,
}

/// Chooses a configuration for one handshake. `None` stands for the server's own.
type Substitute = dyn Fn() -> Option<ServerTls> + Send + Sync;

/// Check of the certificate (DER) of a peer, after the chain and, for a server, the name have been
/// verified. Returns the reason of a refusal.
pub type CertificateCheck = dyn Fn(&[u8]) -> Result<(), String> + Send + Sync;

/// How a client recognises a server: `trustedPublicKeyDataTls` of SGP.32.
#[derive(Clone)]
pub enum ServerTrust {
    /// The certificate leads to one of these certificates (DER), is valid now and has the name of
    /// the server. Each certificate can be that of a root or of another CA, and in DTLS that of the
    /// server itself.
    Certificates {
        /// The certificates.
        anchors: Vec<Vec<u8>>,
        /// Further check of the certificate of the server.
        check: Arc<CertificateCheck>,
    },
    /// The server has this key (SubjectPublicKeyInfo in DER), whatever its certificate contains.
    PinnedKey(Vec<u8>),
}

/// TLS configuration of a client. Clones share it.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerTls {
    /// Returns a configuration with this identity and policy, and with certificates checked against
    /// `clock`.
    ///
    /// # Errors
    /// The certificate, its key or a root is unusable.
    pub fn new(identity: &Identity, client_auth: &ClientAuth, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let fault = |error| cannot_use(error, SERVE);
        let certified = Arc::new(identity.certified().map_err(fault)?);
        Self::showing(Arc::new(SingleCertAndKey::from(certified)), client_auth, clock)
    }

    /// Returns a configuration with certificates on two curves: clients that can verify NIST P-256
    /// get `identity`, clients that support only Brainpool get `brainpool`.
    ///
    /// # Errors
    /// A certificate, its key or a root is unusable.
    pub fn on_both_curves(
        identity: &Identity,
        brainpool: &Identity,
        client_auth: &ClientAuth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let certified = |identity: &Identity| {
            identity.certified().map(Arc::new).map_err(|error| cannot_use(error, SERVE))
        };
        let both = ByCurve { nist: certified(identity)?, brainpool: certified(brainpool)? };
        Self::showing(Arc::new(both), client_auth, clock)
    }

    fn showing(
        certificates: Arc<dyn ResolvesServerCert>,
        client_auth: &ClientAuth,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let fault = |error| cannot_use(error, SERVE);
        let builder = ServerConfig::builder_with_details(provider(), WorldTime::of(clock))
            .with_protocol_versions(VERSIONS)
            .map_err(fault)?;
        let builder = match client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional { roots, check } => {
                let webpki = WebPkiClientVerifier::builder_with_provider(store(roots)?, provider())
                    .allow_unauthenticated()
                    .build()
                    .map_err(bad_roots)?;
                builder.with_client_cert_verifier(Arc::new(CheckingClientVerifier {
                    webpki,
                    check: Arc::clone(check),
                }))
            }
        };
        let mut config = builder.with_cert_resolver(certificates);
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // Without storage, the server sends no tickets either.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), substitute: None })
    }

    /// Asks `choose` once in each handshake, after the ClientHello. If it returns a configuration,
    /// the handshake uses that one.
    #[must_use]
    pub fn with_substitute(self, choose: impl Fn() -> Option<Self> + Send + Sync + 'static) -> Self {
        Self { substitute: Some(Arc::new(choose)), ..self }
    }

    /// Returns the configuration of the next handshake.
    pub(crate) fn for_handshake(&self) -> Arc<ServerConfig> {
        let substitute = self.substitute.as_ref().and_then(|choose| choose());
        substitute.map_or_else(|| Arc::clone(&self.config), |substitute| substitute.config)
    }
}

impl ClientTls {
    /// Returns a configuration that trusts servers whose certificate leads to `roots` (DER) at the
    /// time of `clock`, and that presents `identity` on request.
    pub fn new(roots: &[Vec<u8>], identity: Option<&Identity>, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        Self::checking(roots, identity, clock, Arc::new(|_: &[u8]| Ok(())))
    }

    /// Returns a configuration as [`ClientTls::new`] does, which also refuses servers whose
    /// certificate fails `check`.
    ///
    /// # Errors
    /// The same as those of [`ClientTls::new`].
    pub fn checking(
        roots: &[Vec<u8>],
        identity: Option<&Identity>,
        clock: Arc<dyn Clock>,
        check: Arc<CertificateCheck>,
    ) -> Result<Self, Fault> {
        let verifier = WebPkiServerVerifier::builder_with_provider(store(roots)?, provider())
            .build()
            .map_err(bad_roots)?;
        Self::verifying(Arc::new(CheckingVerifier { webpki: verifier, check }), identity, clock)
    }

    /// Returns the configuration for a client that supports only HTTP/1.1.
    pub(crate) fn http1(&self) -> Arc<ClientConfig> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        Arc::new(config)
    }

    /// Returns a configuration that recognises servers in this way, and has no certificate.
    ///
    /// # Errors
    /// A certificate is unusable.
    pub fn trusting(trust: ServerTrust, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        match trust {
            ServerTrust::Certificates { anchors, check } => Self::checking(&anchors, None, clock, check),
            ServerTrust::PinnedKey(key) => Self::pinning(key, clock),
        }
    }

    /// Returns a configuration that trusts the server with this public key (SubjectPublicKeyInfo,
    /// DER) and no other. Names, validity and issuer of its certificate are not checked.
    ///
    /// # Errors
    /// TLS cannot be configured, which is a bug.
    pub fn pinning(public_key: Vec<u8>, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        Self::verifying(Arc::new(PinningVerifier { public_key, provider: provider() }), None, clock)
    }

    fn verifying(
        verifier: Arc<dyn ServerCertVerifier>,
        identity: Option<&Identity>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let fault = |error| cannot_use(error, "use TLS with this certificate");
        let builder = ClientConfig::builder_with_details(provider(), WorldTime::of(clock))
            .with_protocol_versions(VERSIONS)
            .map_err(fault)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier));
        let config = match identity.map(Identity::parts) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(fault)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self::of(config, verifier))
    }

    /// Returns the same configuration with TLS 1.2 as the only version.
    ///
    /// # Errors
    /// TLS cannot be configured, which is a bug.
    pub fn tls12_only(&self) -> Result<Self, Fault> {
        let clock = Arc::clone(&self.config.time_provider);
        let config = ClientConfig::builder_with_details(provider(), clock)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .map_err(|error| cannot_use(error, "use TLS 1.2"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier))
            .with_client_cert_resolver(Arc::clone(&self.config.client_auth_cert_resolver));
        Ok(Self::of(config, Arc::clone(&self.verifier)))
    }

    fn of(mut config: ClientConfig, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), verifier }
    }
}

impl Identity {
    fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let (chain, key) = self.parts();
        CertifiedKey::from_der(chain, key, &provider())
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = self.chain.iter().cloned().map(CertificateDer::from).collect();
        (chain, PrivatePkcs8KeyDer::from(self.key.to_vec()).into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates, key redacted)", self.chain.len())
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// The provider is always given explicitly. A process-wide default could differ between two users
/// of rustls.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(brainpool::beside(ring::default_provider()))
}

fn store(roots: &[Vec<u8>]) -> Result<Arc<RootCertStore>, Fault> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root.as_slice())).map_err(bad_roots)?;
    }
    Ok(Arc::new(store))
}

fn bad_roots(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::usage_caused_by(
        error,
        "cannot trust these root certificates",
        "give at least one root certificate, in DER",
    )
}

fn cannot_use(error: rustls::Error, what: &str) -> Fault {
    Fault::usage_caused_by(
        error,
        format!("cannot {what}"),
        "check that it is a certificate on P-256 or brainpoolP256r1 in DER, own certificate first, and that the key belongs to it",
    )
}

/// Adapter of the party's clock for rustls.
struct WorldTime(Arc<dyn Clock>);

impl WorldTime {
    fn of(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self(clock))
    }
}

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        // A clock before 1970 yields no time, and rustls refuses the handshake.
        let millis = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for WorldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorldTime({})", self.0.now())
    }
}
