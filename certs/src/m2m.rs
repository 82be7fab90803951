//! Trust and secrets of SGP.02: certificates that cards read, identities of servers in TLS, the first keys of a card.
//!
//! - [`check_server_certificate`] and [`check_ecasd`] check what [`CardCertificate`] only reads.
//! - [`Pki`](crate::Pki) issues: every credential is derived from the key of the CI or the EUM, so whoever has the PKI's
//!   folder has the same ones, whatever their number and names.

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

/// A certificate that cards read, with its key.
#[derive(Clone, Debug)]
pub struct CardCredential {
    /// The certificate.
    pub certificate: CardCertificate,
    /// The key that fits it.
    pub key: SecretKey,
}

/// What an SM-DP or SM-SR holds.
#[derive(Clone, Debug)]
pub struct ServerCredentials {
    /// Its object identifier, in both certificates.
    pub oid: Oid,
    /// For the card: CERT.DP.ECDSA or CERT.SR.ECDSA.
    pub card: CardCredential,
    /// For TLS with other parties, as server and as client.
    pub tls: crate::Credential,
}

/// The keys of the ISD-R that a card leaves the factory with, for its first SM-SR.
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

/// An SM-DP's or SM-SR's certificate for cards, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardServer {
    /// The certificate.
    pub certificate: CardCertificate,
    /// What it is.
    pub owner: Owner,
    /// Who it is.
    pub oid: Oid,
    /// What it signs with.
    pub public_key: PublicKey,
}

/// An ECASD's certificate, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ecasd {
    /// The certificate.
    pub certificate: CardCertificate,
    /// Which card it is.
    pub eid: Eid,
    /// What it agrees on keys with.
    pub public_key: PublicKey,
    /// Who made the card; its signature on the EIS is checked with this.
    pub eum: Certificate,
}

/// Why a certificate that cards read does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardCertificateError {
    /// It is none.
    #[error("the octets are no certificate of GlobalPlatform's form (tag 7F21): {0}")]
    Malformed(#[from] DecodeError),
    /// Its key is on a curve that is not used here.
    #[error(
        "the key is on the curve with the reference {0:02X}; NIST P-256 (00) and brainpoolP256r1 (03) are known"
    )]
    UnknownCurve(u8),
    /// Its key is no point of its curve.
    #[error("the key is no point of its curve")]
    NotAPoint,
    /// It holds no longer.
    #[error("the certificate expired after {0}; issue a new one, or check the clock")]
    Expired(Day),
    /// It does not hold yet.
    #[error("the certificate is valid from {0} only; wait, or check the clock")]
    NotYetValid(Day),
    /// It is for somebody else.
    #[error("the certificate is for {}, where one of an {expected} is needed", .found.map_or_else(|| "no server".to_owned(), |o| format!("an {o}")))]
    WrongOwner {
        /// Whose is needed.
        expected: Owner,
        /// Whose it is.
        found: Option<Owner>,
    },
    /// Its subject is no object identifier.
    #[error("the subject of the certificate is no object identifier")]
    NoOid,
    /// It is another card's.
    #[error("the certificate of the ECASD is that of another card than {0}")]
    OtherCard(Eid),
    /// None of those who are trusted signed it.
    #[error("the certificate was not signed by {0}")]
    BadSignature(&'static str),
    /// None of the EUM certificates can be believed; this is why the last of them cannot.
    #[error("the manufacturer of the card cannot be believed: {0}")]
    Eum(#[from] ChainError),
    /// The CI cannot be believed any more, or not yet.
    #[error("the CI cannot be believed: {0}")]
    Ci(ChainError),
    /// There is no EUM certificate to try.
    #[error(
        "there is no certificate of a manufacturer to check the card's with; send it in the EIS, or configure it"
    )]
    NoEum,
    /// The EUM may not vouch for this card.
    #[error("EID {0} lies outside the range of its manufacturer")]
    EidOutsideRange(Eid),
}

/// Checks the certificate of an SM-DP or SM-SR: signed by a CI that is trusted, for this kind of server, holding now.
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
    if contents.owner != Some(owner) {
        return Err(CardCertificateError::WrongOwner { expected: owner, found: contents.owner });
    }
    let public_key = public_key(&certificate)?;
    let mut cis = anchors.certificates().filter(|ci| {
        let named = contents.authority_key.as_deref();
        named.is_none_or(|named| ci.subject_key_id().is_some_and(|id| id.0 == named))
    });
    let ci = cis.find(|ci| is_signed_by(&certificate, ci.public_key()));
    let ci = ci.ok_or(CardCertificateError::BadSignature("a CI that is trusted"))?;
    check_days(&certificate, now)?;
    check_ci(ci, 0, now).map_err(CardCertificateError::Ci)?;
    let oid = certificate.oid().ok_or(CardCertificateError::NoOid)?;
    Ok(Verified::of(CardServer { certificate, owner, oid, public_key }))
}

/// Checks the certificate of an ECASD: signed by one of the candidates, which is an EUM below a CI that is trusted and may
/// vouch for this card; for this card; holding now.
///
/// # Errors
/// The first check that fails, for the candidate that got furthest.
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
    // A manufacturer may have renewed its certificate, and kept its key.
    for eum in eums.iter().filter(|eum| is_signed_by(&certificate, eum.public_key())) {
        match check_vouches(anchors, eum, eid, now) {
            Ok(()) => return Ok(Verified::of(Ecasd { certificate, eid, public_key, eum: eum.clone() })),
            Err(_) if matches!(why, CardCertificateError::EidOutsideRange(_)) => {}
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// An EUM below a CI that is trusted, which may vouch for this card.
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
    // Compressed points have no place here.
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

/// Both ends are inside.
fn check_days(certificate: &CardCertificate, now: Timestamp) -> Result<(), CardCertificateError> {
    let contents = certificate.contents();
    // A clock beyond the year 9999 has left every certificate behind.
    let today = Day::of(now).ok_or(CardCertificateError::Expired(contents.expires))?;
    match contents.effective {
        Some(effective) if today < effective => Err(CardCertificateError::NotYetValid(effective)),
        _ if today > contents.expires => Err(CardCertificateError::Expired(contents.expires)),
        _ => Ok(()),
    }
}
