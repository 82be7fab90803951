//! The functions of the interfaces of SGP.22, as types.

/// A function that a client calls over HTTP: ES2+, ES9+, ES11 or ES12. All have the JSON binding of
/// section 6.5; those of ES9+ and ES11 also have the ASN.1 binding of section 6.6.
pub trait Function {
    /// The interface, as its name in the path of the JSON binding. ES11 has that of ES9+.
    const INTERFACE: &'static str;
    /// The last part of the path in the JSON binding.
    const NAME: &'static str;
    /// The request of the client.
    type Request;
    /// The response of the server if the function succeeds.
    type Reply;

    /// Returns the path in the JSON binding, section 6.5.1.
    fn path() -> String {
        path(Self::INTERFACE, Self::NAME)
    }

    /// Returns the name in the spelling of the standard: with a capital.
    fn title() -> String {
        let mut letters = Self::NAME.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    }
}

/// Returns the path of a function in the JSON binding, section 6.5.1.
pub(super) fn path(interface: &str, function: &str) -> String {
    format!("/gsma/rsp2/{interface}/{function}")
}

/// Declares functions of one interface.
macro_rules! functions {
    ($interface:literal: $( $(#[$meta:meta])* $name:ident = $path:literal: $request:ty => $reply:ty ),+ $(,)?) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl $crate::sgp22::Function for $name {
            const INTERFACE: &'static str = $interface;
            const NAME: &'static str = $path;
            type Request = $request;
            type Reply = $reply;
        }
    )+ };
}

pub(crate) use functions;
