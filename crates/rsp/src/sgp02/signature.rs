//! The EUM's signature on an EIS: SGP.02 section 5.1.1.3 (EumSignature), an XML signature with one
//! reference.
//!
//! Sources disagree in detail, and the choices here are not verified against the text of the
//! standard: the signature covers the exclusive canonical form of `EumSignedInfo`, through a
//! reference without a URI, with SHA-256 and ECDSA with SHA-256. The caller supplies the
//! cryptography. This file determines which octets are hashed and which are signed, and keeps them
//! as received.

use std::{borrow::Cow, ops::Deref};

use base64::{Engine, engine::general_purpose::STANDARD};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    eum_signed_info::EumSignedInfo,
    xml::{
        Children, Element, Name, Namespace, Octets, Parts, Prefix, Problem, Writer, XmlError, exclusive,
        parse, text_of,
    },
};

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// A signed element together with its text in exclusive canonical form, as received or as first
/// written. Writing it in the same namespace emits that text again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical<T> {
    namespace: Namespace,
    text: String,
    value: T,
}

impl<T: Element> Canonical<T> {
    /// Writes `value` once and keeps the text.
    pub fn new(value: T, name: Name, namespace: Namespace) -> Self {
        let mut out = Writer::new(namespace);
        value.write_as(name, &mut out);
        Self { namespace, text: out.into_text(), value }
    }
}

impl<T> Canonical<T> {
    /// Returns the signed text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the namespace of the text.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Returns the value without the text.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl Canonical<EumSignedInfo> {
    /// Creates the element of an EIS that the EUM signs.
    pub fn eum_signed_info(value: EumSignedInfo, namespace: Namespace) -> Self {
        Self::new(value, Name { v1: "eumSignedInfo", v3: "EumSignedInfo" }, namespace)
    }
}

impl<T> Deref for Canonical<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Element + Parts> Element for Canonical<T> {
    /// Writes the element. In another namespace than the signed one the value is written again, and
    /// its signature is not valid there.
    fn write_as(&self, name: Name, out: &mut Writer) {
        if out.namespace() == self.namespace {
            out.canonical(&self.text);
        } else {
            self.value.write_as(name, out);
        }
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let node = from.take(name)?;
        let namespace = from.namespace();
        let value = Children::of(node, namespace)
            .and_then(T::read_all)
            .map_err(|e| e.within(node.tag_name().name()))?;
        Ok(Self { namespace, text: exclusive(node), value })
    }
}

/// A signed element in exclusive canonical form, with its namespace.
#[derive(JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "Canonical")]
struct Stored {
    namespace: Namespace,
    text: String,
}

impl<T> JsonSchema for Canonical<T> {
    fn schema_name() -> Cow<'static, str> {
        Stored::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Stored::json_schema(generator)
    }
}

impl<T> Serialize for Canonical<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { namespace: self.namespace, text: self.text.clone() }.serialize(serializer)
    }
}

impl<'de, T: Parts> Deserialize<'de> for Canonical<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { namespace, text } = Stored::deserialize(deserializer)?;
        let value = parse(&text)
            .and_then(|document| T::read_all(Children::of(document.root_element(), namespace)?))
            .map_err(de::Error::custom)?;
        Ok(Self { namespace, text, value })
    }
}

/// The EUM's signature, as received or created.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EumSignature {
    /// The signed element `ds:SignedInfo` in exclusive canonical form.
    signed_info: String,
    /// The signature: for ECDSA, r followed by s.
    pub signature_value: Octets,
    /// The element `ds:KeyInfo` in exclusive canonical form, if there is one.
    key_info: Option<String>,
}

/// The reason why a signature cannot be verified or is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The algorithm is not supported.
    #[error("the EUM's signature uses {what} {found:?} instead of {expected:?}")]
    Unsupported {
        /// The element that specifies the algorithm.
        what: &'static str,
        /// The specified algorithm.
        found: String,
        /// The supported algorithm.
        expected: &'static str,
    },
    /// An element is missing or occurs more than once.
    #[error("the EUM's signature has {count} elements {element} instead of 1")]
    Count {
        /// The name of the element.
        element: &'static str,
        /// The number of occurrences.
        count: usize,
    },
    /// A value is malformed.
    #[error("the EUM's signature: {0}")]
    Malformed(String),
    /// The digest does not match the element.
    #[error("EumSignedInfo was altered after the EUM signed it: its digest differs")]
    Digest,
    /// The signature was not made with this key over this element.
    #[error("the EUM's signature does not verify: {0}")]
    Value(String),
}

impl EumSignature {
    /// Creates a signature.
    ///
    /// `sha256` computes a hash. `sign` computes an ECDSA signature with SHA-256 over its argument
    /// and returns r followed by s. `certificate` (X.509, DER) is included if given.
    pub fn new(
        signed: &Canonical<EumSignedInfo>,
        sha256: impl FnOnce(&[u8]) -> [u8; 32],
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
        certificate: Option<&[u8]>,
    ) -> Self {
        let digest = STANDARD.encode(sha256(signed.text().as_bytes()));
        let mut out = Writer::new(signed.namespace());
        let leaf = |out: &mut Writer, name: &str, text: &str| {
            out.element(Prefix::Ds, name, &[], |out| out.text(text))
        };
        let method = |out: &mut Writer, name: &str, algorithm: &str| {
            out.element(Prefix::Ds, name, &[("Algorithm", algorithm)], |_| {});
        };
        out.element(Prefix::Ds, "SignedInfo", &[], |out| {
            method(out, "CanonicalizationMethod", EXCLUSIVE);
            method(out, "SignatureMethod", ECDSA_SHA256);
            out.element(Prefix::Ds, "Reference", &[], |out| {
                out.element(Prefix::Ds, "Transforms", &[], |out| method(out, "Transform", EXCLUSIVE));
                method(out, "DigestMethod", SHA256);
                leaf(out, "DigestValue", &digest);
            });
        });
        let signed_info = out.into_text();
        let signature_value = Octets(sign(signed_info.as_bytes()));
        let key_info = certificate.map(|der| {
            let mut out = Writer::new(signed.namespace());
            out.element(Prefix::Ds, "KeyInfo", &[], |out| {
                out.element(Prefix::Ds, "X509Data", &[], |out| {
                    leaf(out, "X509Certificate", &STANDARD.encode(der));
                });
            });
            out.into_text()
        });
        Self { signed_info, signature_value, key_info }
    }

    /// Verifies that the signature covers `signed`.
    ///
    /// `sha256` computes a hash. `verify` verifies an ECDSA signature with SHA-256; its arguments
    /// are the signed octets, and r followed by s.
    ///
    /// # Errors
    /// The signature covers something else, uses an unsupported algorithm, or `verify` fails.
    pub fn check(
        &self,
        signed: &Canonical<EumSignedInfo>,
        sha256: impl FnOnce(&[u8]) -> [u8; 32],
        verify: impl FnOnce(&[u8], &[u8]) -> Result<(), String>,
    ) -> Result<(), SignatureError> {
        let malformed = |e: XmlError| SignatureError::Malformed(e.to_string());
        let document = parse(&self.signed_info).map_err(malformed)?;
        let root = document.root_element();
        let only = |element: &'static str| {
            let mut found = root.descendants().filter(|node| node.has_tag_name((DS, element)));
            match (found.next(), found.count()) {
                (Some(node), 0) => Ok(node),
                (first, rest) => {
                    Err(SignatureError::Count { element, count: rest + usize::from(first.is_some()) })
                }
            }
        };
        let uses = |element: &'static str, expected: &'static str| {
            let found = only(element)?.attribute("Algorithm").unwrap_or_default();
            if found == expected {
                Ok(())
            } else {
                Err(SignatureError::Unsupported { what: element, found: found.to_owned(), expected })
            }
        };
        uses("CanonicalizationMethod", EXCLUSIVE)?;
        uses("SignatureMethod", ECDSA_SHA256)?;
        uses("DigestMethod", SHA256)?;
        uses("Transform", EXCLUSIVE)?;
        only("Reference")?;
        let digest = only("DigestValue").and_then(|node| {
            let text = text_of(node).map_err(malformed)?;
            from_base64(&text).map_err(SignatureError::Malformed)
        })?;
        if digest != sha256(signed.text().as_bytes()) {
            // req: SGP.02-5.1.1.3-Digest
            return Err(SignatureError::Digest);
        }
        verify(self.signed_info.as_bytes(), &self.signature_value.0).map_err(SignatureError::Value)
    }

    /// Returns the included certificates (X.509, DER) in their order. They must be verified like
    /// any others before use.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        let Some(document) = self.key_info.as_deref().and_then(|text| parse(text).ok()) else {
            return Vec::new();
        };
        let found = document.descendants().filter(|node| node.has_tag_name((DS, "X509Certificate")));
        found.filter_map(|node| from_base64(&text_of(node).ok()?).ok()).collect()
    }

    /// Returns the signed octets: `ds:SignedInfo` in exclusive canonical form.
    pub fn signed_info(&self) -> &str {
        &self.signed_info
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|e| format!("not base64: {e}"))
}

impl Element for EumSignature {
    fn write_as(&self, name: Name, out: &mut Writer) {
        out.part(name, |out| {
            out.canonical(&self.signed_info);
            out.element(Prefix::Ds, "SignatureValue", &[], |out| {
                out.text(&STANDARD.encode(&self.signature_value.0));
            });
            if let Some(key_info) = &self.key_info {
                out.canonical(key_info);
            }
        });
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let node = from.take(name)?;
        let child = |element: &str| {
            let mut found = node.children().filter(|child| child.has_tag_name((DS, element)));
            let first = found.next();
            match found.next() {
                Some(again) => Err(XmlError::at(again, Problem::Twice(format!("the element ds:{element}")))),
                None => Ok(first),
            }
        };
        let mandatory = |element: &str| {
            child(element)?
                .ok_or_else(|| XmlError::at(node, Problem::Missing(format!("the element ds:{element}"))))
        };
        let read = || {
            let signed_info = exclusive(mandatory("SignedInfo")?);
            let value = mandatory("SignatureValue")?;
            let signature_value = from_base64(&text_of(value)?)
                .map(Octets)
                .map_err(|why| XmlError::at(value, Problem::BadValue(why)))?;
            Ok(Self { signed_info, signature_value, key_info: child("KeyInfo")?.map(exclusive) })
        };
        read().map_err(|e: XmlError| e.within(node.tag_name().name()))
    }
}
