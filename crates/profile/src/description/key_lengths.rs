//! Lengths of the subscriber keys of an authentication algorithm.

use super::Algorithm;
use crate::SecretOctets;

/// Reports wrong lengths of the keys of the profile or of one of its identities.
pub(super) fn mistakes(
    algorithm: Algorithm,
    ki: Option<&SecretOctets>,
    opc: Option<&SecretOctets>,
    say: &mut impl FnMut(&str, String, &str),
) {
    let length = |key: &SecretOctets| key.expose().len();
    if let Some(ki) = ki.map(length).filter(|ki| !algorithm.ki_lengths().contains(ki)) {
        let next = match algorithm {
            Algorithm::Tuak => "give 16 or 32 octets",
            Algorithm::Milenage | Algorithm::Test => "give 16 octets; TUAK may have 32",
        };
        say("ki", format!("it has {ki} octets"), next);
    }
    let (Some(opc), Some(right)) = (opc.map(length), algorithm.opc_length()) else { return };
    if opc != right {
        say("opc", format!("it has {opc} octets"), &format!("give {right} octets"));
    }
}
