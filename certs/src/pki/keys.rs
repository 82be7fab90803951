//! Derivation and encoding of the keys of a test PKI.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::{Curve, SecretKey};
use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, tlv_bytes};
use sha2::{Digest, Sha256};

use crate::certificate::named_curve;
use crate::issue::{algorithm, bit_string, sequence};

/// Derives the key with this label from this secret. The result is deterministic:
///
/// block n = SHA-256("landfall test pki" || length of the secret, 4 octets || secret || name of the
/// curve || 00 || label || n, 4 octets). All numbers are big-endian. The key is the first block,
/// counted from n = 0, that is a valid private key of the curve.
pub(super) fn derive(secret: &[u8], label: &str, curve: Curve) -> SecretKey {
    let mut counter = 0_u32;
    SecretKey::generate(curve, &mut |out| {
        let length = u32::try_from(secret.len()).unwrap_or(u32::MAX);
        let block = Sha256::new()
            .chain_update("landfall test pki")
            .chain_update(length.to_be_bytes())
            .chain_update(secret)
            .chain_update(curve.to_string())
            .chain_update([0])
            .chain_update(label)
            .chain_update(counter.to_be_bytes())
            .finalize();
        counter = counter.wrapping_add(1);
        for (out, octet) in out.iter_mut().zip(block) {
            *out = octet;
        }
    })
}

/// Encodes ECPrivateKey of RFC 5915, without the optional fields that PKCS#8 contains elsewhere.
fn ec_private_key(key: &SecretKey, parameters: Option<Vec<u8>>) -> Vec<u8> {
    sequence(&[
        1_i64.to_der(),
        key.to_bytes().expose().to_der(),
        parameters.unwrap_or_default(),
        tlv_bytes(Tag::context(1, true), &bit_string(&key.public_key().to_sec1())),
    ])
}

pub(super) fn to_pkcs8(key: &SecretKey) -> Vec<u8> {
    sequence(&[0_i64.to_der(), algorithm(key.curve()), ec_private_key(key, None).to_der()])
}

pub(crate) fn to_pem(key: &SecretKey) -> Vec<u8> {
    let curve = named_curve(key.curve()).parse::<rsp::ids::Oid>().map(|oid| oid.to_der()).unwrap_or_default();
    let der = ec_private_key(key, Some(tlv_bytes(Tag::context(0, true), &curve)));
    let mut pem = "-----BEGIN EC PRIVATE KEY-----\n".to_owned();
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END EC PRIVATE KEY-----\n");
    pem.into_bytes()
}

/// A certificate or key in a PEM file.
pub(super) enum PemItem {
    Certificate(Vec<u8>),
    Key(SecretKey),
}

/// Returns all certificates and EC keys in a PEM file. Other blocks, such as `EC PARAMETERS`, are
/// ignored.
pub(super) fn from_pem(bytes: &[u8]) -> Result<Vec<PemItem>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text and therefore not PEM".to_owned())?;
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or("has an incomplete PEM header")?;
        let (body, after) = after
            .split_once(&format!("-----END {label}-----"))
            .ok_or_else(|| format!("has no line `-----END {label}-----`"))?;
        rest = after;
        let der = || {
            let compact: String = body.split_whitespace().collect();
            STANDARD.decode(compact).map_err(|e| format!("is not base64 between its PEM lines: {e}"))
        };
        let invalid_key = |e: DecodeError| format!("contains an invalid EC private key: {e}");
        match label {
            "CERTIFICATE" => items.push(PemItem::Certificate(der()?)),
            "EC PRIVATE KEY" => items.push(PemItem::Key(from_sec1(&der()?, None).map_err(invalid_key)?)),
            "PRIVATE KEY" => items.push(PemItem::Key(from_pkcs8(&der()?).map_err(invalid_key)?)),
            "ENCRYPTED PRIVATE KEY" => return Err("is encrypted; write the key without a passphrase".into()),
            _ => {}
        }
    }
    if items.is_empty() { Err("contains neither a certificate nor a private key".into()) } else { Ok(items) }
}

fn from_pkcs8(der: &[u8]) -> Result<SecretKey, DecodeError> {
    let mut reader = Reader::new(der).enter(Tag::SEQUENCE)?;
    let version = reader.error(Problem::BadValue("PKCS#8 version 0 or 1 is expected"));
    if !matches!(i64::decode_as(Tag::INTEGER, &mut reader)?, 0 | 1) {
        return Err(version);
    }
    let found = reader.whole_tlv()?;
    let curve = curve_where(|curve| algorithm(curve) == found)
        .ok_or_else(|| reader.error(Problem::BadValue("the curve of the key is not used in RSP")))?;
    from_sec1(reader.contents(Tag::OCTET_STRING)?, Some(curve))
}

fn from_sec1(der: &[u8], known: Option<Curve>) -> Result<SecretKey, DecodeError> {
    let mut reader = Reader::new(der).enter(Tag::SEQUENCE)?;
    let version = reader.error(Problem::BadValue("ECPrivateKey version 1 is expected"));
    if i64::decode_as(Tag::INTEGER, &mut reader)? != 1 {
        return Err(version);
    }
    let bytes = <[u8; 32]>::decode_as(Tag::OCTET_STRING, &mut reader)?;
    let named = match reader.peek()? {
        Some(tag) if tag == Tag::context(0, true) => {
            let named = reader.contents(tag)?;
            curve_where(|curve| {
                named_curve(curve).parse::<rsp::ids::Oid>().is_ok_and(|oid| oid.to_der() == named)
            })
        }
        _ => known,
    };
    let curve =
        named.ok_or_else(|| reader.error(Problem::BadValue("the curve of the key is not used in RSP")))?;
    SecretKey::from_bytes(curve, &bytes)
        .map_err(|_| reader.error(Problem::BadValue("the number is not a valid private key of its curve")))
}

fn curve_where(matches: impl Fn(Curve) -> bool) -> Option<Curve> {
    [Curve::P256, Curve::BrainpoolP256r1].into_iter().find(|curve| matches(*curve))
}

/// Parses lines of `role,name,curve,scalar_hex`, a format in which the SGP.26 test keys are
/// distributed. The first line is the heading.
pub(super) fn from_csv(bytes: &[u8]) -> Result<Vec<SecretKey>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    let rows = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(index, line)| {
        let number = index.saturating_add(1);
        csv_key(line).ok_or_else(|| {
            format!("line {number} is not `role,name,curve,scalar` with P-256 or brainpoolP256r1 and 64 hex digits")
        })
    })
    .collect()
}

fn csv_key(line: &str) -> Option<SecretKey> {
    let columns: Vec<_> = line.trim().split(',').collect();
    let [_, _, curve, scalar] = columns.as_slice() else { return None };
    let curve = match *curve {
        "P-256" => Curve::P256,
        "brainpoolP256r1" => Curve::BrainpoolP256r1,
        _ => return None,
    };
    let mut bytes = [0; 32];
    hex::decode_to_slice(scalar, &mut bytes).ok()?;
    SecretKey::from_bytes(curve, &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_round_trips_through_each_encoding() {
        for curve in [Curve::P256, Curve::BrainpoolP256r1] {
            let key = derive(b"seed", "label", curve);
            let own = key.to_bytes();
            let pem = to_pem(&key);
            let Ok([PemItem::Key(read)]) = from_pem(&pem).map(|v| <[PemItem; 1]>::try_from(v).ok().unwrap())
            else {
                panic!("not one key")
            };
            assert_eq!(read.to_bytes().expose(), own.expose());
            assert_eq!(from_pkcs8(&to_pkcs8(&key)).unwrap().to_bytes().expose(), own.expose());
        }
    }

    #[test]
    fn the_derived_key_depends_on_label_secret_and_curve() {
        let scalar =
            |secret: &[u8], label, curve| hex::encode(derive(secret, label, curve).to_bytes().expose());
        let first = scalar(b"a", "b", Curve::P256);
        assert_eq!(first, scalar(b"a", "b", Curve::P256));
        assert_ne!(first, scalar(b"ab", "", Curve::P256));
        assert_ne!(first, scalar(b"a", "c", Curve::P256));
        assert_ne!(first, scalar(b"a", "b", Curve::BrainpoolP256r1));
    }

    #[test]
    fn malformed_key_files_are_refused_with_a_reason() {
        for (bytes, why) in [
            (&b""[..], "neither"),
            (b"\xFF", "not text"),
            (b"-----BEGIN EC PRIVATE KEY-----\nAA", "no line"),
            (b"-----BEGIN EC PRIVATE KEY-----\n!!\n-----END EC PRIVATE KEY-----", "base64"),
            (b"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----", "invalid EC private key"),
        ] {
            assert!(from_pem(bytes).err().is_some_and(|e| e.contains(why)), "{why}");
        }
        assert!(from_csv(b"role,name,curve,scalar_hex\nx,y,P-256,00").is_err());
    }
}
