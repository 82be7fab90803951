//! Decoding of requests that distinguishes missing elements from invalid ones, because the standard
//! has a reason code for each.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::{
    finding::{FindingKind, report},
    status::{Refusal, Status},
};

/// Decodes a function's request from the body of an HTTP request.
///
/// # Errors
/// Status 1.3.1/2.2 if a mandatory element is missing and nothing before it is invalid. Status
/// 1.3.1/2.1 for any other error, including a duplicate element and an element that is `null`.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // A derived decoder would also accept a JSON array, and take its items as the elements in the
    // order of their declaration.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Status::FormatInvalid.because("the body is not a JSON object"));
    }
    reporting_unknown(body, |_| true).map_err(|wrong| match missing::<T>(body) {
        Some(element) => Status::ElementMissing.because(format!("{element} is missing")).about(element),
        None => Status::FormatInvalid.because(wrong.to_string()),
    })
}

/// Decodes a JSON text. Each member that `T` does not have is a finding, if `is_unexpected` is true
/// for its path.
pub(super) fn reporting_unknown<T: DeserializeOwned>(
    body: &[u8],
    is_unexpected: fn(&str) -> bool,
) -> Result<T, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_ignored::deserialize(&mut deserializer, |path| {
        let path = path.to_string();
        if is_unexpected(&path) {
            report(FindingKind::UnknownElement, || path);
        }
    })?;
    deserializer.end()?;
    Ok(value)
}

/// Decodes the reply of a function from a JSON response that is already parsed. Members that `T`
/// does not have are findings.
///
/// # Errors
/// The value is not the reply of the function.
pub fn read_part<T: DeserializeOwned>(response: Value) -> Result<T, serde_json::Error> {
    serde_ignored::deserialize(response, |path| {
        let path = path.to_string();
        if path != "header" {
            report(FindingKind::UnknownElement, || path);
        }
    })
}

/// Returns the mandatory element whose absence makes decoding fail, if that is the reason.
fn missing<T: DeserializeOwned>(body: &[u8]) -> Option<&'static str> {
    let value = serde_json::from_slice(body).ok()?;
    match T::deserialize(ValueDeserializer(value)) {
        Err(DecodingError::Missing(element)) => Some(element),
        Err(DecodingError::Other) | Ok(_) => None,
    }
}

/// The reason why decoding fails. The error types of serde contain it only as text.
#[derive(Debug)]
enum DecodingError {
    Missing(&'static str),
    Other,
}

impl fmt::Display for DecodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for DecodingError {}

impl de::Error for DecodingError {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self::Other
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// A value that is decoded with [`DecodingError`] as the error type at all levels.
struct ValueDeserializer(Value);

impl IntoDeserializer<'_, DecodingError> for ValueDeserializer {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer {
    type Error = DecodingError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodingError> {
        match self.0 {
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Self(value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            Value::Array(elements) => visitor.visit_seq(SeqDeserializer::new(elements.into_iter().map(Self))),
            other => other.deserialize_any(visitor).map_err(de::Error::custom),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodingError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodingError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodingError> {
        self.0.deserialize_enum(name, variants, visitor).map_err(de::Error::custom)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[allow(dead_code, reason = "the test only checks whether decoding succeeds")]
    struct Example {
        header: Inner,
        kind: Kind,
        optional: Option<String>,
        many: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "the test only checks whether decoding succeeds")]
    struct Inner {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Some,
    }

    #[test]
    fn missing_elements_are_reported_at_any_depth_and_distinguished_from_invalid_ones() {
        let status =
            |body: &str| read::<Example>(body.as_bytes()).map_err(|e| (e.status, e.subject_identifier));
        let missing = |element: &str| Some((Status::ElementMissing, Some(element.to_owned())));
        let invalid = Some((Status::FormatInvalid, None));
        for (body, expected) in [
            (r#" {"header":{"name":"a"},"kind":"Some","many":[{"name":"b"}],"later":{"x":[null]}}"#, None),
            (r#"{"header":{"name":"a"},"kind":"Some","optional":null,"many":[]}"#, None),
            (r#"{"header":{"name":"a"},"kind":"Some"}"#, missing("many")),
            (r#"{"header":{},"kind":"Some","many":[]}"#, missing("name")),
            (r#"{"header":{"name":"a"},"kind":"Some","many":[{"name":"b"},{}]}"#, missing("name")),
            ("{}", missing("header")),
            (r#"{"header":{"name":null},"kind":"Some","many":[]}"#, invalid.clone()),
            (r#"{"header":null,"kind":"Some","many":[]}"#, invalid.clone()),
            (r#"{"header":{"name":7},"kind":"Some","many":[]}"#, invalid.clone()),
            (r#"{"header":{"name":"missing field"},"kind":"missing field","many":[]}"#, invalid.clone()),
            (r#"{"header":{"name":"a","name":"b"},"kind":"Some","many":[]}"#, invalid.clone()),
            (r#"{"header":{"name":"a"},"kind":"Other","many":[]}"#, invalid.clone()),
            (r#"[{"name":"a"},"Some",null,[]]"#, invalid.clone()),
            (r#"{"header":{"name":"a"},"#, invalid.clone()),
            ("null", invalid.clone()),
            ("", invalid),
        ] {
            assert_eq!(status(body).err(), expected, "{body}");
        }
    }
}
