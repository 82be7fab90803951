//! Macros that generate a type, its encoder and its decoder from one description.

/// Defines a SEQUENCE: a struct whose fields have the tags of the encoding.
///
/// ```
/// rsp::sequence! {
///     /// An example.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Example = 0xBF7F {
///         /// A mandatory [2] OCTET STRING (SIZE(3)).
///         pub version: [u8; 3] = 0x82,
///         /// An optional element keeps its own universal tag.
///         pub text: Option<String> = 0x0C,
///     }
/// }
/// use rsp::der::Asn1;
/// let value = Example { version: [2, 2, 0], text: None };
/// assert_eq!(value.to_der(), [0xBF, 0x7F, 5, 0x82, 3, 2, 2, 0]);
/// assert_eq!(Example::from_der(&value.to_der()), Ok(value));
/// ```
///
/// `| TAG` after the tag accepts another tag that some peers use, as a finding. The element is sent
/// with its own tag.
///
/// `known_bits NAMES` after the tag reports bits without a name, and `usually LENGTH` reports values
/// with more octets, both as findings.
///
/// A field of an untagged CHOICE type has tag `0`. A CHOICE under any other tag is tagged
/// explicitly, according to X.680 31.2.7.
#[macro_export]
macro_rules! sequence {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident = $tag:literal {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty = $field_tag:literal
                $( | $other_tag:literal )* $( $check:ident $expected:expr )? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $type, )*
        }

        impl $crate::der::Asn1 for $name {
            const TAG: $crate::der::Tag = $crate::der::Tag($tag);

            fn encode_as(&self, tag: $crate::der::Tag, out: &mut Vec<u8>) {
                #[allow(unused_mut, reason = "a SEQUENCE without elements writes nothing")]
                let mut contents = Vec::new();
                $( <$type as $crate::der::Asn1>::encode_as(&self.$field, $crate::der::Tag($field_tag), &mut contents); )*
                $crate::der::write_tlv(tag, &contents, out);
            }

            fn decode_as(
                tag: $crate::der::Tag,
                reader: &mut $crate::der::Reader<'_>,
            ) -> Result<Self, $crate::der::DecodeError> {
                #[allow(dead_code, reason = "a SEQUENCE without elements has no known ones")]
                const KNOWN: &[fn($crate::der::Tag) -> bool] = &[ $(
                    |next| <$type as $crate::der::Asn1>::starts_with($crate::der::Tag($field_tag), next)
                        $( || next == $crate::der::Tag($other_tag) )*,
                )* ];
                let mut inner = reader.enter(tag)?;
                #[allow(unused_mut, unused_variables, reason = "a SEQUENCE without elements has no numbers")]
                let mut numbers = 0..;
                let value = Self {
                    $( $field: {
                        let number = numbers.next().unwrap_or_default();
                        inner.skip_unknown_before(stringify!($name), number, KNOWN);
                        let tag = $crate::der::tag_in_use(
                            &inner, $crate::der::Tag($field_tag), &[ $( $crate::der::Tag($other_tag) ),* ],
                            concat!(stringify!($name), ".", stringify!($field)));
                        <$type as $crate::der::Asn1>::decode_as(tag, &mut inner)
                            .map_err(|e| e.within(stringify!($field)))?
                    }, )*
                };
                inner.skip_unknown(stringify!($name))?;
                $( $( $crate::der::$check(
                    &value.$field, $expected, concat!(stringify!($name), ".", stringify!($field))); )? )*
                Ok(value)
            }

            fn shape() -> $crate::der::Shape {
                const FIELDS: &[$crate::der::Field] = &[ $( $crate::der::Field {
                    name: stringify!($field),
                    tag: $crate::der::Tag($field_tag),
                    shape: <$type as $crate::der::Asn1>::shape,
                }, )* ];
                $crate::der::Shape::Sequence(FIELDS)
            }
        }
    };
}

/// Defines a CHOICE: an enum whose variants have the tags of the alternatives.
///
/// `= 0` after the name defines an untagged CHOICE; any other tag wraps the alternatives
/// explicitly.
#[macro_export]
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident = $tag:literal {
            $( $(#[$variant_meta:meta])* $variant:ident ( $type:ty ) = $variant_tag:literal
                $( | $other_tag:literal )* $( $check:ident $expected:expr )? ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $( $(#[$variant_meta])* $variant($type), )+
        }

        impl $crate::der::Asn1 for $name {
            const TAG: $crate::der::Tag = $crate::der::Tag($tag);

            fn encode_as(&self, tag: $crate::der::Tag, out: &mut Vec<u8>) {
                let mut alternative = Vec::new();
                match self {
                    $( Self::$variant(value) => <$type as $crate::der::Asn1>::encode_as(
                        value, $crate::der::Tag($variant_tag), &mut alternative), )+
                }
                if tag == $crate::der::Tag::CHOICE {
                    out.extend_from_slice(&alternative);
                } else {
                    $crate::der::write_tlv(tag, &alternative, out);
                }
            }

            fn decode_as(
                tag: $crate::der::Tag,
                reader: &mut $crate::der::Reader<'_>,
            ) -> Result<Self, $crate::der::DecodeError> {
                let mut inner;
                let alternatives = if tag == $crate::der::Tag::CHOICE {
                    reader
                } else {
                    inner = reader.enter(tag)?;
                    &mut inner
                };
                let Some(found) = alternatives.peek()? else {
                    return Err(alternatives.error($crate::der::Problem::Missing { expected: tag }));
                };
                let value = match found {
                    $( next if <$type as $crate::der::Asn1>::starts_with($crate::der::Tag($variant_tag), next)
                        $( || next == $crate::der::Tag($other_tag) )* => {
                        let tag = $crate::der::tag_in_use(
                            alternatives, $crate::der::Tag($variant_tag), &[ $( $crate::der::Tag($other_tag) ),* ],
                            concat!(stringify!($name), ".", stringify!($variant)));
                        let alternative = <$type as $crate::der::Asn1>::decode_as(tag, alternatives)
                            .map_err(|e| e.within(stringify!($variant)))?;
                        $( $crate::der::$check(
                            &alternative, $expected, concat!(stringify!($name), ".", stringify!($variant))); )?
                        Self::$variant(alternative)
                    } )+
                    _ => return Err(alternatives.error($crate::der::Problem::NoSuchAlternative { found })),
                };
                if tag != $crate::der::Tag::CHOICE {
                    alternatives.skip_unknown(stringify!($name))?;
                }
                Ok(value)
            }

            fn starts_with(tag: $crate::der::Tag, next: $crate::der::Tag) -> bool {
                if tag == $crate::der::Tag::CHOICE {
                    false $( || <$type as $crate::der::Asn1>::starts_with($crate::der::Tag($variant_tag), next)
                        $( || next == $crate::der::Tag($other_tag) )* )+
                } else {
                    tag == next
                }
            }

            fn shape() -> $crate::der::Shape {
                const ALTERNATIVES: &[$crate::der::Field] = &[ $( $crate::der::Field {
                    name: stringify!($variant),
                    tag: $crate::der::Tag($variant_tag),
                    shape: <$type as $crate::der::Asn1>::shape,
                }, )+ ];
                $crate::der::Shape::Choice(ALTERNATIVES)
            }
        }
    };
}

/// Defines an INTEGER with named values. Values without a name are preserved by decoding and
/// encoding. Advice for a value can follow as `next "..."`.
///
/// The definition of an error contains `from Status` and, for each value, the statuses of the JSON
/// binding that correspond to it. All other statuses become `UNDEFINED_ERROR`.
#[macro_export]
macro_rules! codes {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident { $(
            $( #[doc = $meaning:literal] )+ $value:ident = $number:literal $( next $next:literal )?
        ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        $vis struct $name(pub i64);

        impl $name {
            $( $( #[doc = $meaning] )+ pub const $value: Self = Self($number); )+

            /// The values with a name, in the order of the table.
            pub const ALL: &[Self] = &[ $( Self::$value, )+ ];

            /// Returns the meaning of the value as a sentence, if it has a name.
            pub fn meaning(self) -> Option<&'static str> {
                match self {
                    $( Self::$value => Some(concat!($( $meaning ),+).trim_start()), )+
                    _ => None,
                }
            }

            /// Returns advice to the reader of the value, if the table has one.
            pub fn next(self) -> Option<&'static str> {
                let advice: &[&'static str] = match self {
                    $( Self::$value => &[ $( $next )? ], )+
                    _ => &[],
                };
                advice.first().copied()
            }

            /// Returns the standard's name of the value, if it has one.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$value => Some(stringify!($value)), )+
                    _ => None,
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{}({})", name.to_lowercase().replace('_', "-"), self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl $crate::der::Asn1 for $name {
            const TAG: $crate::der::Tag = $crate::der::Tag::INTEGER;

            fn encode_as(&self, tag: $crate::der::Tag, out: &mut Vec<u8>) {
                self.0.encode_as(tag, out);
            }

            fn decode_as(
                tag: $crate::der::Tag,
                reader: &mut $crate::der::Reader<'_>,
            ) -> Result<Self, $crate::der::DecodeError> {
                let value = <i64 as $crate::der::Asn1>::decode_as(tag, reader).map(Self)?;
                if value.name().is_none() {
                    $crate::finding::report($crate::finding::FindingKind::UnknownValue, || {
                        format!("{} {value}", stringify!($name))
                    });
                }
                Ok(value)
            }

            fn shape() -> $crate::der::Shape {
                $crate::der::Shape::displayed::<Self>()
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident from Status {
            $(
                $( #[doc = $meaning:literal] )+ $value:ident = $number:literal $( for $( $status:ident )|+ )?
            ),+ $(,)?
        }
    ) => {
        $crate::codes! {
            $(#[$meta])*
            $vis struct $name { $( $( #[doc = $meaning] )+ $value = $number ),+ }
        }

        impl From<$crate::status::Status> for $name {
            fn from(status: $crate::status::Status) -> Self {
                match status {
                    $( $( $( $crate::status::Status::$status )|+ => Self::$value, )? )+
                    _ => Self::UNDEFINED_ERROR,
                }
            }
        }
    };
}

/// Defines the named bits of a BIT STRING: a module with a constant for each bit, and `NAMES` with
/// the standard's identifiers.
#[macro_export]
macro_rules! bits {
    (
        $(#[$meta:meta])*
        $vis:vis mod $name:ident { $( $(#[$bit_meta:meta])* $bit:ident = $number:literal $identifier:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        $vis mod $name {
            $( $(#[$bit_meta])* pub const $bit: usize = $number; )+

            /// The standard's identifier of each bit.
            pub const NAMES: &[(&str, usize)] = &[ $( ($identifier, $number) ),+ ];
        }
    };
}
