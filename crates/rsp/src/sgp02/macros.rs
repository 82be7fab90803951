//! Macros that define an element or an enumeration and generate both directions of the codec, for
//! both namespaces.

/// Defines a complex type: a sequence of elements, each with its names in namespaces 1 and 3. A value
/// of more octets than `usually` says is a finding.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal $(usually $maximum:literal)? ),*
            $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $( #[doc = concat!("`", $v3, "`, in namespace 1 `", $v1, "`.")] $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::sgp02::xml::Parts for $name {
            const NAMES: &'static [&'static [$crate::sgp02::xml::Name]] =
                &[&[ $( $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, )* ]];

            #[allow(unused_variables, reason = "a type without elements writes nothing")]
            fn write_parts(&self, out: &mut $crate::sgp02::xml::Writer) {
                $( $crate::sgp02::xml::Element::write_as(
                    &self.$field, $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, out); )*
            }

            #[allow(unused_variables, reason = "a type without elements takes nothing")]
            fn read_parts(
                from: &mut $crate::sgp02::xml::Children<'_, '_>,
            ) -> Result<Self, $crate::sgp02::xml::XmlError> {
                let read = Self {
                    $( $field: $crate::sgp02::xml::Element::read_as(
                        $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, from)?, )*
                };
                $( $(
                    $crate::der::usually(&read.$field, $maximum, concat!(stringify!($name), ".", $v3));
                )? )*
                Ok(read)
            }
        }

        impl $crate::sgp02::xml::Element for $name {
            fn write_as(&self, name: $crate::sgp02::xml::Name, out: &mut $crate::sgp02::xml::Writer) {
                out.part(name, |out| $crate::sgp02::xml::Parts::write_parts(self, out));
            }

            fn read_as(
                name: $crate::sgp02::xml::Name,
                from: &mut $crate::sgp02::xml::Children<'_, '_>,
            ) -> Result<Self, $crate::sgp02::xml::XmlError> {
                let node = from.take(name)?;
                $crate::sgp02::xml::Children::of(node, from.namespace())
                    .and_then($crate::sgp02::xml::Parts::read_all)
                    .map_err(|e| e.within(node.tag_name().name()))
            }
        }
    };
}

/// Defines an enumeration of the schema, with the same values in both namespaces, in XML and in
/// records.
macro_rules! enumeration {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )+ }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[ $( Self::$variant, )+ ];

            /// Returns the value in the spelling of the schema.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl $crate::sgp02::xml::Text for $name {
            fn to_text(&self) -> String {
                self.name().to_owned()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                let text = text.trim();
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    format!("{text:?} is not one of {}", all.join(", "))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use {enumeration, structure};
