//! Macros that define the functions and notifications of an interface, from one line each.

/// Defines a message: an element that contains the elements of its base type followed by its own.
/// A message of several interfaces has the number of the interface as a parameter.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident $([$generic:ident])? : $base:ty = $element:expr => {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name $(<const $generic: u8>)? {
            /// The common part of all messages of this kind.
            pub base: $base,
            $( #[doc = concat!("`", $v3, "`, in namespace 1 `", $v1, "`.")] $(#[$field_meta])* pub $field: $type, )*
        }

        impl $(<const $generic: u8>)? $crate::sgp02::xml::Parts for $name $(<$generic>)? {
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

        impl $(<const $generic: u8>)? $crate::sgp02::common::Message for $name $(<$generic>)? {
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
/// Every element of a response is optional, because the response of a failed function has none. A
/// function of several interfaces has the number of the interface as a parameter, followed by its
/// name on each of them, and is made available by [`interface!`].
macro_rules! function {
    (
        $(#[$meta:meta])*
        $function:ident = $interface:literal $group:literal $wire:literal, $pattern:ident $(, callback $callback:literal)?;
        $($messages:tt)*
    ) => {
        $crate::sgp02::function_macros::function! {
            @define
            $(#[$meta])*
            $function = ($interface) $group, $crate::sgp02::function_macros::last!($group $(, $callback)?), $pattern;
            concat!($interface, "-", $wire);
            concat!($interface, "-", $wire, "Request");
            concat!($interface, "-", $wire, "Response");
            $($messages)*
        }
    };
    (
        $(#[$meta:meta])*
        $function:ident [$number:ident] = $group:literal { $($known:literal : $wire:literal),+ }, $pattern:ident;
        $($messages:tt)*
    ) => {
        $crate::sgp02::function_macros::function! {
            @define
            $(#[$meta])*
            $function [$number] = ($crate::sgp02::function_macros::on!($number, $($known => concat!("ES", $known)),+)) $group, $group, $pattern;
            $crate::sgp02::function_macros::on!($number, $($known => concat!("ES", $known, "-", $wire)),+);
            $crate::sgp02::function_macros::on!($number, $($known => concat!("ES", $known, "-", $wire, "Request")),+);
            $crate::sgp02::function_macros::on!($number, $($known => concat!("ES", $known, "-", $wire, "Response")),+);
            $($messages)*
        }
    };
    (
        @define
        $(#[$meta:meta])*
        $function:ident $([$number:ident])? = ($interface:expr) $group:expr, $callback:expr, $pattern:ident;
        $name:expr;
        $request_element:expr;
        $response_element:expr;
        $request:ident { $($request_fields:tt)* }
        $response:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty = $v1:literal / $v3:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $function $(<const $number: u8>)?;

        $crate::sgp02::function_macros::message! {
            #[doc = concat!("The request of [`", stringify!($function), "`].")]
            $request $([$number])?: $crate::sgp02::common::BaseRequest = $request_element => {
                $($request_fields)*
            }
        }

        $crate::sgp02::function_macros::message! {
            #[doc = concat!("The response of [`", stringify!($function), "`].")]
            #[derive(Default)]
            $response $([$number])?: $crate::sgp02::common::BaseResponse = $response_element => {
                $( $(#[$field_meta])* $field: $type = $v1 / $v3 ),*
            }
        }

        impl $(<const $number: u8>)? $crate::sgp02::common::Request for $request $(<$number>)? {
            fn base(&self) -> &$crate::sgp02::common::BaseRequest {
                &self.base
            }

            fn base_mut(&mut self) -> &mut $crate::sgp02::common::BaseRequest {
                &mut self.base
            }
        }

        impl $(<const $number: u8>)? $crate::sgp02::common::Response for $response $(<$number>)? {
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

        impl $(<const $number: u8>)? $crate::sgp02::common::Function for $function $(<$number>)? {
            type Request = $request $(<$number>)?;
            type Response = $response $(<$number>)?;
            const INTERFACE: &'static str = $interface;
            const GROUP: &'static str = $group;
            const CALLBACK_GROUP: &'static str = $callback;
            const NAME: &'static str = $name;
            const PATTERN: $crate::sgp02::common::Pattern = $crate::sgp02::common::Pattern::$pattern;
        }
    };
}

/// Expands to a constant with a value for each of these interfaces. Does not compile for any other
/// interface.
macro_rules! on {
    ($number:ident, $($known:literal => $value:expr),+) => {
        const {
            assert!(matches!($number, $($known)|+), "the function does not exist on this interface");
            match $number { $($known => $value,)+ _ => "" }
        }
    };
}

/// Defines a notification: a message without a response.
macro_rules! notification {
    (
        $(#[$meta:meta])*
        $name:ident = $interface:literal $group:literal $wire:literal { $($fields:tt)* }
    ) => {
        $crate::sgp02::function_macros::message! {
            $(#[$meta])*
            $name: $crate::sgp02::common::BaseNotification = concat!($interface, "-", $wire) => { $($fields)* }
        }

        impl $crate::sgp02::common::Notification for $name {
            const INTERFACE: &'static str = $interface;
            const GROUP: &'static str = $group;
        }
    };
}

/// Defines the notifications about a change of a profile. They are the same on each interface,
/// except for the operator and for the name of the time of
/// `HandleProfileEnabledNotification` in namespace 3.
macro_rules! profile_notifications {
    ($interface:literal $operator:tt enabled at $enabled:literal) => {
        $crate::sgp02::function_macros::profile_notifications! { @each $interface $operator
            /// `HandleProfileEnabledNotification`.
            HandleProfileEnabledNotification = "HandleProfileEnabledNotification" {} $enabled,
            /// `HandleProfileDisabledNotification`.
            HandleProfileDisabledNotification = "HandleProfileDisabledNotification" {} "CompletionTimestamp",
            /// `HandleProfileDeletedNotification`.
            HandleProfileDeletedNotification = "HandleProfileDeletedNotification" {} "CompletionTimestamp",
            /// `HandleProfileDownloadedNotification` (version 4).
            HandleProfileDownloadedNotification = "HandleProfileDownloadedNotification" {} "CompletionTimestamp",
            /// `HandleFallBackAttributeSetNotification` (version 4).
            HandleFallBackAttributeSetNotification
                = "HandleFallBackAttributeSetNotification" {} "CompletionTimestamp",
            /// `HandleFallBackAttributeUnsetNotification` (version 4).
            HandleFallBackAttributeUnsetNotification
                = "HandleFallBackAttributeUnsetNotification" {} "CompletionTimestamp",
            /// `HandleEmergencyProfileAttributeSetNotification` (version 4).
            HandleEmergencyProfileAttributeSetNotification
                = "HandleEmergencyProfileAttributeSetNotification" {} "CompletionTimestamp",
            /// `HandleEmergencyProfileAttributeUnsetNotification` (version 4).
            HandleEmergencyProfileAttributeUnsetNotification
                = "HandleEmergencyProfileAttributeUnsetNotification" {} "CompletionTimestamp",
            /// `HandleProfilePOL2UpdatedNotification` (version 4).
            HandleProfilePol2UpdatedNotification = "HandleProfilePOL2UpdatedNotification" {
                pol2: Option<$crate::sgp02::eis::Pol2> = "pol2" / "pol2",
            } "CompletionTimestamp",
        }
    };
    (
        @each $interface:literal $operator:tt
        $( $(#[$meta:meta])* $name:ident = $wire:literal $more:tt $time:literal ),+ $(,)?
    ) => { $(
        $crate::sgp02::function_macros::profile_notifications! {
            @one $interface $operator $(#[$meta])* $name = $wire $more $time
        }
    )+ };
    (
        @one $interface:literal { $($operator:tt)* }
        $(#[$meta:meta])* $name:ident = $wire:literal { $($more:tt)* } $time:literal
    ) => {
        $crate::sgp02::function_macros::notification! {
            $(#[$meta])*
            $name = $interface "PlatformManagement" $wire {
                eid: $crate::ids::Eid = "eid" / "Eid",
                iccid: $crate::ids::Iccid = "iccid" / "Iccid",
                $($operator)*
                $($more)*
                completion_timestamp: $crate::time::Timestamp = "completionTimestamp" / $time,
            }
        }
    };
}

pub(crate) use {function, last, message, notification, on, profile_notifications};
