//! Forms of members in the JSON binding of ESipa: SGP.32 section 6.4. Those of SGP.22 are in
//! [`crate::sgp22::json`].

/// The base64 of the DER of a value that may be absent.
pub(super) mod optional_der {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::{der::Asn1, sgp22::json::base64_der};

    pub(crate) fn serialize<S: Serializer, T: Asn1>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        struct Der<'a, T>(&'a T);

        impl<T: Asn1> Serialize for Der<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                base64_der::serialize(self.0, serializer)
            }
        }

        value.as_ref().map(Der).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Asn1>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        struct Der<T>(T);

        impl<'de, T: Asn1> Deserialize<'de> for Der<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                base64_der::deserialize(deserializer).map(Der)
            }
        }

        Ok(Option::<Der<T>>::deserialize(deserializer)?.map(|present| present.0))
    }
}

/// The base64 of the octets of a value that may be absent.
pub(super) mod optional_octets {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::sgp22::json::base64_octets;

    pub(crate) fn serialize<S: Serializer, T: AsRef<[u8]>>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        struct Octets<'a>(&'a [u8]);

        impl Serialize for Octets<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                base64_octets::serialize(self.0, serializer)
            }
        }

        value.as_ref().map(|octets| Octets(octets.as_ref())).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        struct Octets<T>(T);

        impl<'de, T: TryFrom<Vec<u8>>> Deserialize<'de> for Octets<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                base64_octets::deserialize(deserializer).map(Octets)
            }
        }

        Ok(Option::<Octets<T>>::deserialize(deserializer)?.map(|present| present.0))
    }
}

/// A NULL that may be absent: `true` if it is present.
pub(super) mod flag {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::der::Null;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Null>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(value.is_some())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Null>, D::Error> {
        Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or(false).then_some(Null))
    }
}

/// A signature: the base64 of the TLV `5F37 40 ...` as in SGP.22. Some IPAs and eIMs send the base64
/// of the 64 octets alone.
pub(super) mod signature {
    use serde::{Deserializer, Serializer};

    use crate::{
        der::{Tag, tlv},
        finding::{FindingKind, report},
        sgp22::json::{self, base64_octets},
    };

    const SIGNATURE: Tag = Tag(0x5F37);

    pub(crate) fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        json::signature::serialize(octets, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        match tlv::split(&octets) {
            Some((SIGNATURE, signature)) => Ok(signature.to_vec()),
            _ => {
                report(FindingKind::OtherTag, || "a signature without its tag 5F37".to_owned());
                Ok(octets)
            }
        }
    }
}

/// The identifier of a CI key: the base64 of the TLV `04 14 ...` as in SGP.22. Some IPAs and eIMs send
/// the base64 of the identifier alone.
pub(super) mod key_identifier {
    use serde::{Deserializer, Serializer};

    use crate::{
        der::{Tag, tlv},
        finding::{FindingKind, report},
        ids::SubjectKeyIdentifier,
        sgp22::json::{base64_der, base64_octets},
    };

    pub(crate) fn serialize<S: Serializer>(
        id: &SubjectKeyIdentifier,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        base64_der::serialize(id, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SubjectKeyIdentifier, D::Error> {
        let octets: Vec<u8> = base64_octets::deserialize(deserializer)?;
        match tlv::split(&octets) {
            Some((Tag::OCTET_STRING, identifier)) => Ok(SubjectKeyIdentifier(identifier.to_vec())),
            _ => {
                report(FindingKind::OtherTag, || "a key identifier without its tag 04".to_owned());
                Ok(SubjectKeyIdentifier(octets))
            }
        }
    }
}

/// A signature that may be absent.
pub(super) mod optional_signature {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::signature;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        struct Signature<'a>(&'a [u8]);

        impl Serialize for Signature<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                signature::serialize(self.0, serializer)
            }
        }

        value.as_deref().map(Signature).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        struct Signature(Vec<u8>);

        impl<'de> Deserialize<'de> for Signature {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                signature::deserialize(deserializer).map(Signature)
            }
        }

        Ok(Option::<Signature>::deserialize(deserializer)?.map(|present| present.0))
    }
}
