//! JSON schemas of identifiers and times, for the documents of APIs. They match what the parsers
//! accept.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{
    der::BitString,
    ids::{Aid, Eid, Iccid, Imsi, Oid, Plmn, SmdpAddress, SubjectKeyIdentifier, TransactionId, Version},
    sgp02::{common::Msisdn, xml::Octets},
    time::Timestamp,
};

/// Implements `schemars::JsonSchema` for types that JSON contains as text, with a keyword that
/// describes the text. The crate that uses it needs `schemars`.
#[macro_export]
macro_rules! text_schemas {
    ($($name:ty: $keyword:ident = $value:literal;)+) => { $(
        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string", (stringify!($keyword)): $value })
            }
        }
    )+ };
}

text_schemas! {
    Aid: pattern = "^([0-9A-F]{2}){5,16}$";
    Eid: pattern = "^[0-9]{32}$";
    Iccid: pattern = "^[0-9]{18,20}$";
    Imsi: pattern = "^[0-9]{6,15}$";
    Msisdn: pattern = "^[0-9]{3,15}$";
    Octets: pattern = "^([0-9A-F]{2})*$";
    Oid: pattern = "^[0-9]+(\\.[0-9]+)+$";
    Plmn: pattern = "^[0-9]{3}-[0-9]{2,3}$";
    SmdpAddress: pattern = "^[0-9A-Za-z._:\\[\\]-]{1,255}$";
    SubjectKeyIdentifier: pattern = "^([0-9A-F]{2}){1,64}$";
    TransactionId: pattern = "^([0-9A-Fa-f]{2}){1,16}$";
    Timestamp: format = "date-time";
    Version: pattern = "^[0-9]+\\.[0-9]+\\.[0-9]+$";
}

/// The numbers of the bits that are set.
impl JsonSchema for BitString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BitString".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<usize>::json_schema(generator)
    }
}
