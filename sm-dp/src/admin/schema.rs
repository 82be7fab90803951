//! The schemas of identifiers in the OpenAPI document. They match what the parsers accept.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! text {
    ($($(#[doc = $doc:literal])+ $name:ident: $($field:ident = $value:literal),+;)+) => { $(
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $( (stringify!($field)): $value ),+ })
            }
        }
    )+ };
}

text! {
    /// ICCID.
    IccidText: pattern = "^[0-9]{18,20}$";
    /// EID.
    EidText: pattern = "^[0-9]{32}$";
    /// TransactionID.
    TransactionIdText: pattern = "^([0-9A-Fa-f]{2}){1,16}$";
    /// MatchingID.
    MatchingIdText: pattern = "^[A-Z0-9-]*$";
    /// OBJECT IDENTIFIER.
    OidText: pattern = "^[0-9]+(\\.[0-9]+)+$";
    /// A host name, with a port unless it is 443.
    AddressText: pattern = "^[0-9A-Za-z._:\\[\\]-]{1,255}$";
    /// A time as in RFC 3339.
    TimeText: format = "date-time";
    /// Octets.
    Base64Text: contentEncoding = "base64";
}
