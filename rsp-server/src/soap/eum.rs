//! The EUM's signature on an EIS: the arithmetic to [`rsp::sgp02::signature`].

use crypto::{PublicKey, SecretKey, Signature};
use rsp::sgp02::{
    eis::{Eis, EumSignedInfo},
    signature::{Canonical, EumSignature, SignatureError},
};
use sha2::{Digest, Sha256};

/// Signs with the EUM's key, and names its certificate (X.509, DER) if it is given.
pub fn sign(signed: &Canonical<EumSignedInfo>, key: &SecretKey, certificate: Option<&[u8]>) -> EumSignature {
    let sign = |octets: &[u8]| key.sign(octets).as_bytes().to_vec();
    EumSignature::new(signed, |octets| Sha256::digest(octets).into(), sign, certificate)
}

/// Checks the signature of an EIS with the key of the EUM's certificate.
///
/// # Errors
/// It is over something else, of a kind that we do not know, or not this key's.
pub fn check(eis: &Eis, key: &PublicKey) -> Result<(), SignatureError> {
    let verify = |octets: &[u8], signature: &[u8]| {
        Signature::from_slice(signature)
            .and_then(|signature| key.verify(octets, &signature))
            .map_err(|e| e.to_string())
    };
    eis.eum_signature.check(&eis.eum_signed_info, |octets| Sha256::digest(octets).into(), verify)
}
