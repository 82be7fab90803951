//! One description of an element, a message or a function; both directions of the codec, in both namespaces.

/// A complex type: elements side by side, each with its name in namespace 1 and in namespace 3.
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

/// A message: an element whose contents are those of its base type and its own.
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
            /// What every message of its kind has.
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

/// The last of one or two.
macro_rules! last {
    ($one:literal) => {
        $one
    };
    ($one:literal, $other:literal) => {
        $other
    };
}

/// A function that is answered: its request, its response, and how it is called.
///
/// Every element of a response is optional, because one that failed has none.
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
            #[doc = concat!("Asks for [`", stringify!($function), "`].")]
            $request: $crate::sgp02::common::BaseRequest = concat!($interface, "-", $wire, "Request") => {
                $($request_fields)*
            }
        }

        $crate::sgp02::macros::message! {
            #[doc = concat!("Answers [`", stringify!($function), "`].")]
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

/// A notification: a message that is not answered.
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

pub(crate) use {function, last, message, notification, structure};
