//! Macros that define an element, a message or a function and generate both directions of the
//! codec, for both namespaces.

/// Defines a complex type: a sequence of elements, each with its names in namespaces 1 and 3.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal ),* $(,)?
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
                Ok(Self {
                    $( $field: $crate::sgp02::xml::Element::read_as(
                        $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, from)?, )*
                })
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

/// Defines a message: an element that contains the elements of its base type followed by its own.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident : $base:ty = $element:expr => {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            /// The common part of all messages of this kind.
            pub base: $base,
            $( #[doc = concat!("`", $v3, "`, in namespace 1 `", $v1, "`.")] $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::sgp02::xml::Parts for $name {
            const NAMES: &'static [&'static [$crate::sgp02::xml::Name]] =
                &[<$base>::PARTS, &[ $( $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, )* ]];

            fn write_parts(&self, out: &mut $crate::sgp02::xml::Writer) {
                $crate::sgp02::xml::Parts::write_parts(&self.base, out);
                $( $crate::sgp02::xml::Element::write_as(
                    &self.$field, $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, out); )*
            }

            fn read_parts(
                from: &mut $crate::sgp02::xml::Children<'_, '_>,
            ) -> Result<Self, $crate::sgp02::xml::XmlError> {
                Ok(Self {
                    base: $crate::sgp02::xml::Parts::read_parts(from)?,
                    $( $field: $crate::sgp02::xml::Element::read_as(
                        $crate::sgp02::xml::Name { v1: $v1, v3: $v3 }, from)?, )*
                })
            }
        }

        impl $crate::sgp02::common::Message for $name {
            const ELEMENT: &'static str = $element;
        }
    };
}

/// Expands to the last of one or two literals.
macro_rules! last {
    ($one:literal) => {
        $one
    };
    ($one:literal, $other:literal) => {
        $other
    };
}

/// Defines a function with a response: its request, its response and its Actions.
///
/// Every element of a response is optional, because the response of a failed function has none.
macro_rules! function {
    (
        $(#[$meta:meta])*
        $function:ident = $interface:literal $group:literal $wire:literal, $pattern:ident $(, callback $callback:literal)?;
        $request:ident { $($request_fields:tt)* }
        $response:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $function;

        $crate::sgp02::macros::message! {
            #[doc = concat!("The request of [`", stringify!($function), "`].")]
            $request: $crate::sgp02::common::BaseRequest = concat!($interface, "-", $wire, "Request") => {
                $($request_fields)*
            }
        }

        $crate::sgp02::macros::message! {
            #[doc = concat!("The response of [`", stringify!($function), "`].")]
            #[derive(Default)]
            $response: $crate::sgp02::common::BaseResponse = concat!($interface, "-", $wire, "Response") => {
                $( $(#[$field_meta])* $field: $type = $v1 / $v3 ),*
            }
        }

        impl $crate::sgp02::common::Request for $request {
            fn base(&self) -> &$crate::sgp02::common::BaseRequest {
                &self.base
            }

            fn base_mut(&mut self) -> &mut $crate::sgp02::common::BaseRequest {
                &mut self.base
            }
        }

        impl $crate::sgp02::common::Response for $response {
            fn base(&self) -> &$crate::sgp02::common::BaseResponse {
                &self.base
            }

            fn base_mut(&mut self) -> &mut $crate::sgp02::common::BaseResponse {
                &mut self.base
            }

            fn only(base: $crate::sgp02::common::BaseResponse) -> Self {
                Self { base, $( $field: Default::default() ),* }
            }
        }

        impl $crate::sgp02::common::Function for $function {
            type Request = $request;
            type Response = $response;
            const INTERFACE: &'static str = $interface;
            const GROUP: &'static str = $group;
            const CALLBACK_GROUP: &'static str = $crate::sgp02::macros::last!($group $(, $callback)?);
            const NAME: &'static str = concat!($interface, "-", $wire);
            const PATTERN: $crate::sgp02::common::Pattern = $crate::sgp02::common::Pattern::$pattern;
        }
    };
}

/// Defines a notification: a message without a response.
macro_rules! notification {
    (
        $(#[$meta:meta])*
        $name:ident = $interface:literal $group:literal $wire:literal { $($fields:tt)* }
    ) => {
        $crate::sgp02::macros::message! {
            $(#[$meta])*
            $name: $crate::sgp02::common::BaseNotification = concat!($interface, "-", $wire) => { $($fields)* }
        }

        impl $crate::sgp02::common::Notification for $name {
            const INTERFACE: &'static str = $interface;
            const GROUP: &'static str = $group;
        }
    };
}

/// Defines an enumeration of the schema, with the same values in both namespaces, in XML and in
/// records.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[$variant_meta])* #[serde(rename = $word)] $variant, )+ }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[ $( Self::$variant, )+ ];

            /// Returns the value in the spelling of the schema.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
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

pub(crate) use {function, last, message, notification, structure, words};
