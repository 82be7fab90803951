//! Hexadecimal encoding of a [`Secret`] in a record, for `#[serde(with =
//! "rsp_server::secret_hex")]`.

use crypto::Secret;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Serializes a secret. Intermediate copies are wiped.
///
/// # Errors
/// Returns the errors of the serializer.
pub fn serialize<T, S>(secret: &Secret<T>, serializer: S) -> Result<S::Ok, S::Error>
where
    T: AsRef<[u8]> + zeroize::Zeroize,
    S: Serializer,
{
    serializer.serialize_str(Secret::new(hex::encode(secret.expose())).expose())
}

/// Deserializes a secret.
///
/// # Errors
/// Fails if the text is not hexadecimal or its length is not that of `T`.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Secret<T>, D::Error>
where
    T: for<'a> TryFrom<&'a [u8]> + zeroize::Zeroize,
    D: Deserializer<'de>,
{
    let text = Secret::new(String::deserialize(deserializer)?);
    let octets = hex::decode(text.expose()).map(Secret::new).map_err(de::Error::custom)?;
    T::try_from(octets.expose().as_slice())
        .map(Secret::new)
        .map_err(|_| de::Error::custom("the secret has the wrong length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, Deserialize)]
    struct Record {
        #[serde(with = "super")]
        key: Secret<[u8; 2]>,
        #[serde(with = "super")]
        longer: Secret<Vec<u8>>,
    }

    #[test]
    fn a_secret_is_read_back_from_its_record_and_errors_do_not_reveal_it() {
        let text = r#"{"key":"0aff","longer":"010203"}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((record.key.expose(), record.longer.expose()), (&[0x0A, 0xFF], &vec![1, 2, 3]));
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        for wrong in [r#"{"key":"0a","longer":""}"#, r#"{"key":"0afx","longer":""}"#] {
            let error = serde_json::from_str::<Record>(wrong).err().unwrap().to_string();
            assert!(!error.contains("0a"), "{error}");
        }
    }
}
