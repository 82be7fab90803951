//! brainpoolP256r1 for rustls, based on the arithmetic of `crypto`: RFC 7027 for TLS 1.2, RFC 8734
//! for TLS 1.3.
//!
//! rustls and ring do not support the curve, but rustls accepts other implementations of key
//! exchange, signatures and verification. All other curves are left to ring.

use std::sync::{Arc, LazyLock};

use crypto::{Curve, PublicKey, SecretKey, Signature};
use rsp::der::{DecodeError, Reader, Tag};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SharedSecret, SupportedKxGroup,
    WebPkiSupportedAlgorithms, ring,
};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey, public_key_to_spki};
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm,
    SubjectPublicKeyInfoDer, alg_id,
};

const CURVE: Curve = Curve::BrainpoolP256r1;

/// ecdsa_brainpoolP256r1tls13_sha256: RFC 8734 section 3.2.
const TLS13_SCHEME: SignatureScheme = SignatureScheme::Unknown(0x081A);

/// ECDSA with SHA-256: on any curve in TLS 1.2, only on NIST P-256 in TLS 1.3.
const TLS12_SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

/// id-ecPublicKey (1.2.840.10045.2.1) on brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7).
const KEY_ALGORITHM: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(&[
    0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x09, 0x2B, 0x24, 0x03, 0x03, 0x02, 0x08,
    0x01, 0x01, 0x07,
]);

/// Adds Brainpool to a provider, after all its own algorithms.
pub(super) fn beside(mut provider: CryptoProvider) -> CryptoProvider {
    provider.kx_groups.extend([&TLS13_GROUP as &dyn SupportedKxGroup, &TLS12_GROUP]);
    provider.signature_verification_algorithms = *VERIFICATION;
    provider.key_provider = &Keys;
    provider
}

/// brainpoolP256r1tls13: RFC 8734 section 3.1.
static TLS13_GROUP: Group = Group(NamedGroup::Unknown(0x001F), ProtocolVersion::TLSv1_3);

/// brainpoolP256r1: RFC 7027 section 2.
static TLS12_GROUP: Group = Group(NamedGroup::Unknown(0x001A), ProtocolVersion::TLSv1_2);

/// The curve with its group number in one version of TLS.
#[derive(Debug)]
struct Group(NamedGroup, ProtocolVersion);

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = draw_key()?;
        let point = secret.public_key().to_sec1();
        Ok(Box::new(Exchange { group: self.0, secret, point }))
    }

    fn name(&self) -> NamedGroup {
        self.0
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == self.1
    }
}

/// Repeats the draw in the very unlikely case that the number is not a valid key.
fn draw_key() -> Result<SecretKey, GetRandomFailed> {
    loop {
        let mut octets = zeroize::Zeroizing::new([0; 32]);
        ring::default_provider().secure_random.fill(&mut *octets)?;
        if let Ok(key) = SecretKey::from_bytes(CURVE, &octets) {
            return Ok(key);
        }
    }
}

struct Exchange {
    group: NamedGroup,
    secret: SecretKey,
    point: [u8; 65],
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let agreed = PublicKey::from_sec1(CURVE, peer).and_then(|peer| self.secret.agree(&peer));
        match agreed {
            Ok(agreed) => Ok(agreed.expose().as_slice().into()),
            Err(_) => Err(PeerMisbehaved::InvalidKeyShare.into()),
        }
    }

    fn pub_key(&self) -> &[u8] {
        &self.point
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

/// A server's certificates on both curves.
#[derive(Debug)]
pub(super) struct ByCurve {
    pub(super) nist: Arc<CertifiedKey>,
    pub(super) brainpool: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByCurve {
    /// In TLS 1.3 the schemes show which signatures a client can verify. In TLS 1.2 the groups
    /// apply to certificates too (RFC 8422 section 5.1.1).
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let groups = client.named_groups().unwrap_or_default();
        let verifies_nist = client.signature_schemes().contains(&TLS12_SCHEME)
            && (groups.contains(&NamedGroup::secp256r1) || !groups.contains(&TLS12_GROUP.0));
        Some(Arc::clone(if verifies_nist { &self.nist } else { &self.brainpool }))
    }
}

/// The algorithms of ring, and Brainpool with SHA-256. SHA-256 comes first; otherwise a TLS 1.2
/// peer would choose a longer hash, which SGP.22 section 2.6.6 does not require. The value is
/// leaked once, because rustls requires a static lifetime.
static VERIFICATION: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let own: &'static dyn SignatureVerificationAlgorithm = &Verification;
    let base = ring::default_provider().signature_verification_algorithms;
    let all: Vec<_> = base.all.iter().copied().chain([own]).collect();
    let mut mapping = base.mapping.to_vec();
    for (scheme, algorithms) in &mut mapping {
        if *scheme == TLS12_SCHEME {
            let more: Vec<_> = algorithms.iter().copied().chain([own]).collect();
            *algorithms = more.leak();
        }
    }
    mapping.push((TLS13_SCHEME, vec![own].leak()));
    mapping.sort_by_key(|(scheme, _)| *scheme != TLS12_SCHEME);
    WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
});

/// ECDSA with SHA-256.
#[derive(Debug)]
struct Verification;

impl SignatureVerificationAlgorithm for Verification {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = PublicKey::from_sec1(CURVE, public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        KEY_ALGORITHM
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

/// Loads keys on Brainpool, and leaves other keys to ring.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let own = match &key {
            PrivateKeyDer::Pkcs8(pkcs8) => scalar(pkcs8.secret_pkcs8_der()).ok().flatten(),
            _ => None,
        };
        match own.and_then(|octets| SecretKey::from_bytes(CURVE, &octets).ok()) {
            Some(secret) => Ok(Arc::new(Key(Arc::new(secret)))),
            None => ring::default_provider().key_provider.load_private_key(key),
        }
    }
}

/// Returns the scalar of a PrivateKeyInfo (RFC 5958) with an ECPrivateKey (RFC 5915), or `None` if
/// it is on another curve.
fn scalar(pkcs8: &[u8]) -> Result<Option<zeroize::Zeroizing<[u8; 32]>>, DecodeError> {
    let mut info = Reader::new(pkcs8).enter(Tag::SEQUENCE)?;
    info.contents(Tag::INTEGER)?;
    if info.contents(Tag::SEQUENCE)? != KEY_ALGORITHM.as_ref() {
        return Ok(None);
    }
    let mut key = Reader::new(info.contents(Tag::OCTET_STRING)?).enter(Tag::SEQUENCE)?;
    key.contents(Tag::INTEGER)?;
    Ok(key.contents(Tag::OCTET_STRING)?.try_into().map(zeroize::Zeroizing::new).ok())
}

#[derive(Clone, Debug)]
struct Key(Arc<SecretKey>);

impl SigningKey for Key {
    /// In TLS 1.3 a peer that does not offer the scheme of the curve cannot be served, and the peer
    /// reports that itself.
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = [TLS13_SCHEME, TLS12_SCHEME].into_iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(Signing { key: Arc::clone(&self.0), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&KEY_ALGORITHM, self.0.public_key().to_sec1()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

#[derive(Debug)]
struct Signing {
    key: Arc<SecretKey>,
    scheme: SignatureScheme,
}

impl Signer for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.key.sign(message).to_der())
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

#[cfg(test)]
mod tests {
    use certs::{Credential, Pki, PkiOptions, ServerName, Validity};
    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
        SupportedProtocolVersion,
    };

    use super::*;

    fn pki() -> Pki {
        Pki::from_seed(b"brainpool tls", &PkiOptions::default()).unwrap()
    }

    fn leaf(pki: &Pki, curve: Curve) -> Credential {
        let time = |text: &str| text.parse().unwrap();
        let validity = Validity { from: time("2020-01-01T00:00:00Z"), to: time("2049-01-01T00:00:00Z") };
        pki.issue_dp_tls_on(curve, &[ServerName::Dns("smdp.example.com".into())], validity).unwrap()
    }

    /// A provider that supports only Brainpool for the key exchange.
    fn provider() -> Arc<CryptoProvider> {
        let mut provider = beside(ring::default_provider());
        provider.kx_groups = vec![&TLS13_GROUP, &TLS12_GROUP];
        Arc::new(provider)
    }

    /// Runs a handshake in memory. Returns the negotiated group, or the error.
    fn handshake(
        version: &'static SupportedProtocolVersion,
        trusted: Curve,
        shown: Curve,
    ) -> Result<NamedGroup, Error> {
        let pki = pki();
        let credential = leaf(&pki, shown);
        let chain = vec![CertificateDer::from(credential.certificate.der().to_vec())];
        let key = PrivatePkcs8KeyDer::from(credential.key_pkcs8()).into();
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(pki.ci(trusted).unwrap().der().to_vec()))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])?
            .with_webpki_verifier(verifier.unwrap())
            .with_no_client_auth();
        let mut server = ServerConnection::new(Arc::new(server))?;
        let mut client = ClientConnection::new(Arc::new(client), "smdp.example.com".try_into().unwrap())?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut octets = Vec::new();
            client.write_tls(&mut octets).unwrap();
            server.read_tls(&mut octets.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut octets = Vec::new();
            server.write_tls(&mut octets).unwrap();
            client.read_tls(&mut octets.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(client.negotiated_key_exchange_group().unwrap().name())
    }

    #[test]
    fn brainpool_works_in_both_tls_versions() {
        assert_eq!(handshake(&rustls::version::TLS13, CURVE, CURVE), Ok(TLS13_GROUP.0));
        assert_eq!(handshake(&rustls::version::TLS12, CURVE, CURVE), Ok(TLS12_GROUP.0));
    }

    #[test]
    fn nist_p256_works_with_the_same_provider() {
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            assert!(handshake(version, Curve::P256, Curve::P256).is_ok());
            assert!(handshake(version, Curve::P256, CURVE).is_err(), "the root is not trusted");
        }
    }

    #[test]
    fn a_signature_of_another_key_or_message_is_invalid() {
        let credential = leaf(&pki(), CURVE);
        let key = Keys.load_private_key(PrivatePkcs8KeyDer::from(credential.key_pkcs8()).into()).unwrap();
        let signature = key.choose_scheme(&[TLS12_SCHEME]).unwrap().sign(b"message").unwrap();
        let point = credential.key.public_key().to_sec1();
        let verify = |point: &[u8], message, signature: &[u8]| {
            Verification.verify_signature(point, message, signature).is_ok()
        };
        assert!(verify(&point, b"message", &signature));
        assert!(!verify(&point, b"massage", &signature));
        assert!(!verify(
            &SecretKey::from_bytes(CURVE, &[7; 32]).unwrap().public_key().to_sec1(),
            b"message",
            &signature
        ));
        assert!(!verify(&point, b"message", &signature[1..]));
        assert!(!verify(&point[1..], b"message", &signature));
        assert!(key.choose_scheme(&[SignatureScheme::ED25519]).is_none());
    }
}
