//! The two curves of SGP.22 section 2.6.7: ECDSA with SHA-256 and one-pass key agreement, BSI
//! TR-03111.
//!
//! Both curves implement the traits of `elliptic-curve`, so the arithmetic is written once and
//! generic over the curve. The public types are enums over the two curves.

use std::{fmt, hash};

use bp256::BrainpoolP256r1;
use ecdsa::{EcdsaCurve, hazmat};
use elliptic_curve::array::typenum::U32;
use elliptic_curve::ecdh::diffie_hellman;
use elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use elliptic_curve::{CurveArithmetic, FieldBytes};
use p256::NistP256;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::secret::Secret;
use crate::signature::{BadSignature, Signature};

/// An elliptic curve of RSP certificates and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Curve {
    /// NIST P-256 (secp256r1), FIPS 186.
    P256,
    /// brainpoolP256r1, RFC 5639.
    BrainpoolP256r1,
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "NIST P-256",
            Self::BrainpoolP256r1 => "brainpoolP256r1",
        })
    }
}

/// An invalid key, or two keys on different curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The private key is not a number from 1 to n - 1.
    #[error(
        "the private key is zero or not below the order of {0}; take another one, or check which curve it is on"
    )]
    OutOfRange(Curve),
    /// The octets are neither 04 || X || Y nor 02/03 || X, or the point does not satisfy the
    /// curve's equation.
    #[error(
        "the public key is not a point on {0} in SEC 1 encoding; check the curve and that 65 or 33 octets were passed"
    )]
    NotAPoint(Curve),
    /// Key agreement requires both keys on the same curve.
    #[error(
        "a private key on {own} cannot agree with a public key on {peer}; use the peer's key for the same curve"
    )]
    DifferentCurves {
        /// The curve of the private key.
        own: Curve,
        /// The curve of the public key.
        peer: Curve,
    },
}

/// A private key for ECDSA or key agreement; wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(
    OnCurve<elliptic_curve::SecretKey<NistP256>, elliptic_curve::SecretKey<BrainpoolP256r1>>,
);

impl SecretKey {
    /// Creates a key from the big-endian number d. Fails with [`KeyError::OutOfRange`].
    pub fn from_bytes(curve: Curve, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = match curve {
            Curve::P256 => secret_key(bytes).map(OnCurve::P256),
            Curve::BrainpoolP256r1 => secret_key(bytes).map(OnCurve::BrainpoolP256r1),
        };
        key.map(Self).ok_or(KeyError::OutOfRange(curve))
    }

    /// Generates a key. `fill` must fill its argument with unpredictable octets.
    ///
    /// Draws again while the number is out of range. On P-256 this never happens in practice; on
    /// brainpoolP256r1 it happens about every third time. If `fill` produces only numbers out of
    /// range, the function never returns.
    pub fn generate(curve: Curve, fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 32];
        loop {
            fill(&mut bytes);
            let key = Self::from_bytes(curve, &bytes);
            bytes.zeroize();
            if let Ok(key) = key {
                return key;
            }
        }
    }

    /// Returns the curve of this key.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.0.curve()
    }

    /// Returns the big-endian number d.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<[u8; 32]> {
        Secret::new(match &self.0 {
            OnCurve::P256(key) => key.to_bytes().into(),
            OnCurve::BrainpoolP256r1(key) => key.to_bytes().into(),
        })
    }

    /// Computes the public key. This costs a point multiplication.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(match &self.0 {
            OnCurve::P256(key) => OnCurve::P256(key.public_key()),
            OnCurve::BrainpoolP256r1(key) => OnCurve::BrainpoolP256r1(key.public_key()),
        })
    }

    /// Signs SHA-256 of the message. The nonce is deterministic (RFC 6979), so the same message
    /// always has the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        match &self.0 {
            OnCurve::P256(key) => sign(key, message),
            OnCurve::BrainpoolP256r1(key) => sign(key, message),
        }
    }

    /// Agrees on a shared secret with a peer's public key. Fails with
    /// [`KeyError::DifferentCurves`].
    pub fn agree(&self, peer: &PublicKey) -> Result<SharedSecret, KeyError> {
        match (&self.0, &peer.0) {
            (OnCurve::P256(own), OnCurve::P256(peer)) => Ok(agree(own, peer)),
            (OnCurve::BrainpoolP256r1(own), OnCurve::BrainpoolP256r1(peer)) => Ok(agree(own, peer)),
            _ => Err(KeyError::DifferentCurves { own: self.curve(), peer: peer.curve() }),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, ..)", self.curve())
    }
}

/// A point on one of the curves. It is always on the curve and never the point at infinity.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(
    OnCurve<elliptic_curve::PublicKey<NistP256>, elliptic_curve::PublicKey<BrainpoolP256r1>>,
);

impl PublicKey {
    /// Decodes a point in SEC 1 section 2.3.4 encoding: 04 || X || Y, or 02/03 || X. Fails with
    /// [`KeyError::NotAPoint`].
    pub fn from_sec1(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        let key = match curve {
            Curve::P256 => public_key(bytes).map(OnCurve::P256),
            Curve::BrainpoolP256r1 => public_key(bytes).map(OnCurve::BrainpoolP256r1),
        };
        key.map(Self).ok_or(KeyError::NotAPoint(curve))
    }

    /// Encodes the point uncompressed: 04 || X || Y (SEC 1 section 2.3.3).
    #[must_use]
    pub fn to_sec1(&self) -> [u8; 65] {
        match &self.0 {
            OnCurve::P256(key) => to_sec1(key),
            OnCurve::BrainpoolP256r1(key) => to_sec1(key),
        }
    }

    /// Encodes the point compressed: 02 or 03 || X (SEC 1 section 2.3.3).
    #[must_use]
    pub fn to_sec1_compressed(&self) -> [u8; 33] {
        let [_, x_and_y @ ..] = self.to_sec1();
        let mut bytes = [0; 33];
        for (out, octet) in bytes.iter_mut().zip([0x02 | x_and_y[63] & 1].iter().chain(&x_and_y)) {
            *out = *octet;
        }
        bytes
    }

    /// Returns the curve of this key.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.0.curve()
    }

    /// Verifies a signature over SHA-256 of the message. Fails with [`BadSignature::Mismatch`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        match &self.0 {
            OnCurve::P256(key) => verify(key, message, signature),
            OnCurve::BrainpoolP256r1(key) => verify(key, message, signature),
        }
    }
}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.curve().hash(state);
        self.to_sec1().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, ", self.curve())?;
        self.to_sec1().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

/// The result of a key agreement: the x coordinate of the common point (Z_AB in TR-03111, ShS in
/// SGP.22).
#[derive(Debug, Clone)]
pub struct SharedSecret(Secret<[u8; 32]>);

impl SharedSecret {
    /// Creates a shared secret from another source, such as a recorded trace.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Returns the octets as input of a key derivation function.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// A value on one of the two curves.
#[derive(Clone, PartialEq, Eq)]
enum OnCurve<P, B> {
    P256(P),
    BrainpoolP256r1(B),
}

impl<P, B> OnCurve<P, B> {
    const fn curve(&self) -> Curve {
        match self {
            Self::P256(_) => Curve::P256,
            Self::BrainpoolP256r1(_) => Curve::BrainpoolP256r1,
        }
    }
}

/// The requirements for a curve: ECDSA arithmetic, 32-octet field elements, points in SEC 1
/// encoding.
trait Arithmetic:
    EcdsaCurve
    + elliptic_curve::Curve<FieldBytesSize = U32>
    + CurveArithmetic<AffinePoint: FromSec1Point<Self> + ToSec1Point<Self>>
{
}

impl Arithmetic for NistP256 {}
impl Arithmetic for BrainpoolP256r1 {}

fn secret_key<C: Arithmetic>(bytes: &[u8; 32]) -> Option<elliptic_curve::SecretKey<C>> {
    elliptic_curve::SecretKey::from_slice(bytes).ok()
}

fn sign<C: Arithmetic>(key: &elliptic_curve::SecretKey<C>, message: &[u8]) -> Signature {
    let mut d = key.to_nonzero_scalar();
    let (signature, _) = hazmat::sign_prehashed_rfc6979::<C, Sha256>(&d, &Sha256::digest(message), &[]);
    d.zeroize();
    let (r, s) = signature.split_bytes();
    let mut bytes = [0; 64];
    let (r_out, s_out) = bytes.split_at_mut(32);
    r_out.copy_from_slice(&r);
    s_out.copy_from_slice(&s);
    Signature::from_bytes(bytes)
}

fn agree<C: Arithmetic>(
    own: &elliptic_curve::SecretKey<C>,
    peer: &elliptic_curve::PublicKey<C>,
) -> SharedSecret {
    let mut d = own.to_nonzero_scalar();
    let shared = diffie_hellman::<C>(d, peer.as_affine());
    d.zeroize();
    SharedSecret::from_bytes((*shared.raw_secret_bytes()).into())
}

fn public_key<C: Arithmetic>(bytes: &[u8]) -> Option<elliptic_curve::PublicKey<C>> {
    // The library also accepts a compact form (05), which SEC 1 does not define.
    match (bytes.first(), bytes.len()) {
        (Some(0x04), 65) | (Some(0x02 | 0x03), 33) => elliptic_curve::PublicKey::from_sec1_bytes(bytes).ok(),
        _ => None,
    }
}

fn to_sec1<C: Arithmetic>(key: &elliptic_curve::PublicKey<C>) -> [u8; 65] {
    let point = key.to_sec1_point(false);
    let mut bytes = [0; 65];
    for (out, octet) in bytes.iter_mut().zip(point.as_bytes()) {
        *out = *octet;
    }
    bytes
}

fn verify<C: Arithmetic>(
    key: &elliptic_curve::PublicKey<C>,
    message: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let (r, s) = signature.as_bytes().split_at(32);
    let scalar = |octets: &[u8]| FieldBytes::<C>::try_from(octets).map_err(|_| BadSignature::Mismatch);
    ecdsa::Signature::<C>::from_scalars(scalar(r)?, scalar(s)?)
        .and_then(|signature| {
            hazmat::verify_prehashed::<C>(&key.to_projective(), &Sha256::digest(message), &signature)
        })
        .map_err(|_| BadSignature::Mismatch)
}

#[cfg(test)]
mod tests;
