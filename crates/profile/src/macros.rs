//! Macros for the SEQUENCEs of a package: ASN.1 names in JSON, absent elements omitted, unknown
//! elements kept.

use rsp::der::Unknown;

/// True if an element is present.
pub(crate) trait Present {
    fn is_present(&self) -> bool {
        true
    }
}

impl<T> Present for Option<T> {
    fn is_present(&self) -> bool {
        self.is_some()
    }
}

impl Present for Unknown {
    fn is_present(&self) -> bool {
        !self.0.is_empty()
    }
}

macro_rules! always_present {
    ($($type:ty),* $(,)?) => { $( impl $crate::macros::Present for $type {} )* };
}
pub(crate) use always_present;

always_present!(
    i64,
    String,
    crate::octets::Octets,
    crate::octets::SecretOctets,
    crate::octets::Fid,
    rsp::ids::Oid
);
impl<T> Present for Vec<T> {}

/// A SEQUENCE with the ASN.1 name of each element next to its tag.
macro_rules! fields {
    (
        $(#[$meta:meta])*
        pub struct $name:ident = $tag:literal {
            $( $asn1:literal $(#[$field_meta:meta])* $field:ident : $type:ty = $field_tag:literal ),* $(,)?
        }
    ) => {
        rsp::sequence! {
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq, Eq, Hash)]
            pub struct $name = $tag {
                $( #[doc = concat!("`", $asn1, "`")] #[doc = ""] $(#[$field_meta])* pub $field: $type = $field_tag, )*
                /// Elements of a later version of the specification, kept as received.
                pub unknown: rsp::der::Unknown = 0,
            }
        }

        impl $crate::macros::Present for $name {}

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                #[allow(unused_imports, reason = "a SEQUENCE that has only optional elements does not use the trait")]
                use $crate::macros::Present;
                let mut map = serializer.serialize_map(None)?;
                $( if self.$field.is_present() { map.serialize_entry($asn1, &self.$field)?; } )*
                if self.unknown.is_present() {
                    map.serialize_entry("unknown", &self.unknown)?;
                }
                map.end()
            }
        }

        impl $crate::json::FromJson for $name {
            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::Misread> {
                let object = $crate::json::object(value, &[ $( $asn1, )* "unknown" ])?;
                Ok(Self {
                    $( $field: $crate::json::field(object, $asn1)?, )*
                    unknown: $crate::json::field(object, "unknown")?,
                })
            }
        }
    };
}
pub(crate) use fields;

/// A CHOICE with the ASN.1 name of each alternative. JSON uses the same names.
macro_rules! alternatives_from_json {
    ($choice:ident { $( $asn1:literal $variant:ident ),+ $(,)? }) => {
        impl $crate::json::FromJson for $choice {
            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::Misread> {
                let (name, inner) = $crate::json::alternative(value)?;
                match name {
                    $( $asn1 => $crate::json::FromJson::from_json(inner).map(Self::$variant), )+
                    _ => Err($crate::json::Misread::new(concat!("one of", $( " ", $asn1, )+ " is expected here"))),
                }
                .map_err(|misread| misread.within(name))
            }
        }
    };
}
pub(crate) use alternatives_from_json;

/// An INTEGER whose values have ASN.1 names. JSON uses these names.
macro_rules! named_integer {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $constant:ident = $number:literal $asn1:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $( #[doc = concat!("`", $asn1, "`")] pub const $constant: Self = Self($number); )+

            /// The ASN.1 name, if the value has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $number => Some($asn1), )+
                    _ => None,
                }
            }
        }

        $crate::macros::always_present!($name);

        impl $crate::json::FromJson for $name {
            fn from_json(value: &serde_json::Value) -> Result<Self, $crate::json::Misread> {
                serde::Deserialize::deserialize(value)
                    .map_err(|_| $crate::json::Misread::new(concat!("one of", $( " ", $asn1, )+ ", or a number to 255, is expected here")))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.name() {
                    Some(name) => serializer.serialize_str(name),
                    None => serializer.serialize_u8(self.0),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(untagged)]
                enum Form {
                    Number(u8),
                    Name(String),
                }
                match Form::deserialize(deserializer)? {
                    Form::Number(number) => Ok(Self(number)),
                    $( Form::Name(name) if name == $asn1 => Ok(Self::$constant), )+
                    Form::Name(_) => Err(serde::de::Error::custom("no value of that name")),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl rsp::der::Asn1 for $name {
            const TAG: rsp::der::Tag = rsp::der::Tag::INTEGER;

            fn encode_as(&self, tag: rsp::der::Tag, out: &mut Vec<u8>) {
                i64::from(self.0).encode_as(tag, out);
            }

            fn decode_as(
                tag: rsp::der::Tag,
                reader: &mut rsp::der::Reader<'_>,
            ) -> Result<Self, rsp::der::DecodeError> {
                let bad = reader.error(rsp::der::Problem::BadValue("a number from 0 to 255 is expected here"));
                u8::try_from(<i64 as rsp::der::Asn1>::decode_as(tag, reader)?).map(Self).map_err(|_| bad)
            }
        }
    };
}
pub(crate) use named_integer;
