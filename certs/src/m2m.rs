//! Certificates and secrets of SGP.02: card certificates, TLS identities of servers, and the
//! initial keys of a card.
//!
//! - [`check_server_certificate`] and [`check_ecasd`] verify a [`CardCertificate`], which
//!   is parsed but not yet trusted.
//! - [`Pki`](crate::Pki) issues credentials. Every credential is derived from the key of the CI or
//!   the EUM. Copies of the PKI's folder therefore give the same credentials for the same numbers
//!   and names.

mod defect;
mod files;
mod issue;

use crypto::{Curve, PublicKey, Secret, SecretKey, Signature};
use rsp::der::DecodeError;
use rsp::ids::{Eid, Oid};
use rsp::sgp02::certificate::{CurveReference, Day};
use rsp::time::Timestamp;

use crate::certificate::Certificate;
use crate::chain::{ChainError, TrustAnchors, Verified, check_ci, check_eum};

pub use defect::CardDefect;
pub use rsp::sgp02::certificate::{CardCertificate, Owner};

/// A card certificate with its private key.
#[derive(Clone, Debug)]
pub struct CardCredential {
    /// The certificate.
    pub certificate: CardCertificate,
    /// The private key.
    pub key: SecretKey,
}

/// The credentials of an SM-DP or SM-SR.
#[derive(Clone, Debug)]
pub struct ServerCredentials {
    /// The object identifier in both certificates.
    pub oid: Oid,
    /// The certificate for cards: CERT.DP.ECDSA or CERT.SR.ECDSA.
    pub card: CardCredential,
    /// The TLS credential, for both server and client.
    pub tls: crate::Credential,
}

/// The keys of the ISD-R at the time of delivery, for the card's first SM-SR.
#[derive(Clone, Debug)]
pub struct IsdRKeys {
    /// KIc of key set 01.
    pub kic: Secret<[u8; 16]>,
    /// KID of key set 01.
    pub kid: Secret<[u8; 16]>,
    /// DEK of key set 01.
    pub dek: Secret<[u8; 16]>,
    /// PSK, key 01 of key set 40.
    pub psk: Secret<[u8; 16]>,
    /// DEK, key 02 of key set 40.
    pub psk_dek: Secret<[u8; 16]>,
}

impl IsdRKeys {
    /// Key version number of the keys for SCP80.
    pub const SCP80_VERSION: u8 = 0x01;
    /// Key version number of the keys for SCP81.
    pub const SCP81_VERSION: u8 = 0x40;
}

/// The verified card certificate of an SM-DP or SM-SR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardServer {
    /// The certificate.
    pub certificate: CardCertificate,
    /// The kind of server.
    pub owner: Owner,
    /// The object identifier of the server.
    pub oid: Oid,
    /// The signature key.
    pub public_key: PublicKey,
}

/// The verified certificate of an ECASD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ecasd {
    /// The certificate.
    pub certificate: CardCertificate,
    /// The EID of the card.
    pub eid: Eid,
    /// The key agreement key.
    pub public_key: PublicKey,
    /// The certificate of the card's manufacturer, with which the signature of the EIS is checked.
    pub eum: Certificate,
}

/// The reason why a card certificate is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardCertificateError {
    /// The octets are not a card certificate.
    #[error("not a GlobalPlatform certificate (tag 7F21): {0}")]
    Malformed(#[from] DecodeError),
    /// The key is on an unsupported curve.
    #[error(
        "the key is on the curve with reference {0:02X}; NIST P-256 (00) and brainpoolP256r1 (03) are supported"
    )]
    UnknownCurve(u8),
    /// The key is not a point of its curve.
    #[error("the key is not a point of its curve")]
    NotAPoint,
    /// The validity period is over.
    #[error("the certificate expired after {0}; issue a new one, or check the clock")]
    Expired(Day),
    /// The validity period has not begun.
    #[error("the certificate is not valid before {0}; wait, or check the clock")]
    NotYetValid(Day),
    /// The certificate belongs to another kind of server.
    #[error("the certificate is for {} instead of an {expected}", .found.map_or_else(|| "no server".to_owned(), |o| format!("an {o}")))]
    WrongOwner {
        /// The required owner.
        expected: Owner,
        /// The owner in the certificate.
        found: Option<Owner>,
    },
    /// The subject is not an object identifier.
    #[error("the subject of the certificate is not an object identifier")]
    NoOid,
    /// The certificate is that of another card.
    #[error("the certificate of the ECASD belongs to a card other than {0}")]
    OtherCard(Eid),
    /// The signature is not that of a trusted issuer.
    #[error("the certificate was not signed by {0}")]
    BadSignature(&'static str),
    /// No EUM certificate is valid. Contains the error of the last certificate.
    #[error("the manufacturer of the card is not trusted: {0}")]
    Eum(#[from] ChainError),
    /// The certificate of the CI is expired or not yet valid.
    #[error("the CI is not trusted: {0}")]
    Ci(ChainError),
    /// There is no EUM certificate.
    #[error("the certificate of the card's manufacturer is missing; send it in the EIS, or configure it")]
    NoEum,
    /// The EUM is not permitted to issue for this card.
    #[error("EID {0} is outside the range of its manufacturer")]
    EidOutsideRange(Eid),
}

/// Checks that the card certificate of an SM-DP or SM-SR is signed by a trusted CI, belongs to this
/// kind of server, and is currently valid.
///
/// # Errors
/// The first check that fails.
pub fn check_server_certificate(
    anchors: &TrustAnchors,
    octets: &[u8],
    owner: Owner,
    now: Timestamp,
) -> Result<Verified<CardServer>, CardCertificateError> {
    let certificate = CardCertificate::parse(octets)?;
    let contents = certificate.contents();
    // req: SGP.02-2.3.2.2-Owner
    if contents.owner != Some(owner) {
        return Err(CardCertificateError::WrongOwner { expected: owner, found: contents.owner });
    }
    let public_key = public_key(&certificate)?;
    let mut cis = anchors.certificates().filter(|ci| {
        let named = contents.authority_key.as_deref();
        named.is_none_or(|named| ci.subject_key_id().is_some_and(|id| id.0 == named))
    });
    let ci = cis.find(|ci| is_signed_by(&certificate, ci.public_key()));
    // req: SGP.02-2.3.2.2-Signature
    let ci = ci.ok_or(CardCertificateError::BadSignature("a CI that is trusted"))?;
    check_days(&certificate, now)?;
    check_ci(ci, 0, now).map_err(CardCertificateError::Ci)?;
    let oid = certificate.oid().ok_or(CardCertificateError::NoOid)?;
    Ok(Verified::of(CardServer { certificate, owner, oid, public_key }))
}

/// Checks that the certificate of an ECASD belongs to this card, is currently valid, and is signed
/// by one of the candidate EUMs. The certificate of that EUM must be valid below a trusted CI and
/// permit this card.
///
/// # Errors
/// The first check that fails, for the candidate that passed the most checks.
pub fn check_ecasd(
    anchors: &TrustAnchors,
    octets: &[u8],
    eid: Eid,
    eums: &[Certificate],
    now: Timestamp,
) -> Result<Verified<Ecasd>, CardCertificateError> {
    let certificate = CardCertificate::parse(octets)?;
    if certificate.contents().subject != eid.0 {
        return Err(CardCertificateError::OtherCard(eid));
    }
    let public_key = public_key(&certificate)?;
    check_days(&certificate, now)?;
    let mut why = match eums {
        [] => CardCertificateError::NoEum,
        _ => CardCertificateError::BadSignature("the manufacturer of the card"),
    };
    // Several certificates have the same key if a manufacturer has renewed its certificate.
    for eum in eums.iter().filter(|eum| is_signed_by(&certificate, eum.public_key())) {
        match check_vouches(anchors, eum, eid, now) {
            Ok(()) => return Ok(Verified::of(Ecasd { certificate, eid, public_key, eum: eum.clone() })),
            Err(_) if matches!(why, CardCertificateError::EidOutsideRange(_)) => {}
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Checks that the EUM is below a trusted CI and permitted to issue for this card.
fn check_vouches(
    anchors: &TrustAnchors,
    eum: &Certificate,
    eid: Eid,
    now: Timestamp,
) -> Result<(), CardCertificateError> {
    check_eum(anchors, eum, now)?;
    if eum.eid_range().prefixes().any(|prefix| eid.to_string().starts_with(prefix)) {
        Ok(())
    } else {
        Err(CardCertificateError::EidOutsideRange(eid))
    }
}

fn public_key(certificate: &CardCertificate) -> Result<PublicKey, CardCertificateError> {
    let contents = certificate.contents();
    let curve = match contents.curve {
        CurveReference::P256 => Curve::P256,
        CurveReference::BRAINPOOL_P256R1 => Curve::BrainpoolP256r1,
        CurveReference(other) => return Err(CardCertificateError::UnknownCurve(other)),
    };
    // Compressed points are not permitted here.
    Some(&contents.point)
        .filter(|point| point.len() == 65)
        .and_then(|point| PublicKey::from_sec1(curve, point).ok())
        .ok_or(CardCertificateError::NotAPoint)
}

fn is_signed_by(certificate: &CardCertificate, key: &PublicKey) -> bool {
    Signature::from_slice(certificate.signature())
        .and_then(|signature| key.verify(certificate.covered(), &signature))
        .is_ok()
}

/// Checks the validity period. Both ends are included.
fn check_days(certificate: &CardCertificate, now: Timestamp) -> Result<(), CardCertificateError> {
    let contents = certificate.contents();
    // A time after the year 9999 is later than every certificate.
    let today = Day::of(now).ok_or(CardCertificateError::Expired(contents.expires))?;
    // req: SGP.02-2.3.2.2-Validity
    match contents.effective {
        Some(effective) if today < effective => Err(CardCertificateError::NotYetValid(effective)),
        _ if today > contents.expires => Err(CardCertificateError::Expired(contents.expires)),
        _ => Ok(()),
    }
}
