//! JSON of command results: names and text in place of numeric codes and octet arrays.
//!
//! The types of the standards serialise codes as integers, and octets as arrays. [`readable`]
//! converts these members by their key. Keys and unknown values are kept.

use base64::{Engine, prelude::BASE64_STANDARD};
use rsp::{
    der::{Tag, tlv},
    ids::Plmn,
    sgp22::{
        EuiccCategory, IconType, LpaMode, ProfileClass, ProfileState, ppr, rsp_capability, tre_properties,
        uicc_capability,
    },
};
use schemars::Schema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use world::Fault;

/// Bits of NotificationEvent.
const OPERATIONS: [(&str, usize); 4] = [("install", 0), ("enable", 1), ("disable", 2), ("delete", 3)];

/// Members of ExtCardResource: TS 102 226 clause 8.2.1.7.2.
const CARD_RESOURCES: [(u32, &str); 3] =
    [(0x81, "installed_applications"), (0x82, "free_nonvolatile_memory"), (0x83, "free_volatile_memory")];

/// Returns the JSON of a result, with names and text in place of codes and octets.
///
/// # Errors
/// The result cannot be serialised.
pub fn readable(result: &impl Serialize) -> Result<Value, Fault> {
    let mut value = serde_json::to_value(result)
        .map_err(|e| Fault::caused_by(e, "cannot print the result as JSON", "report this"))?;
    convert(&mut value);
    Ok(value)
}

fn convert(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(convert),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match text(key, member) {
                    Some(converted) => *member = converted,
                    None => convert(member),
                }
            }
        }
        _ => {}
    }
}

/// The conversion of a member.
enum Conversion {
    /// A code becomes its name in lower case. An unknown code is kept.
    Name(fn(i64) -> Option<&'static str>, Vec<&'static str>),
    /// The numbers of the set bits become their names. A bit without a name becomes `bit N`.
    Bits(&'static [(&'static str, usize)]),
    /// Octets become `MCC-MNC`.
    Plmn,
    /// Octets become hexadecimal digits.
    Hex,
    /// Octets become base64.
    Base64,
    /// Octets of ExtCardResource become an object.
    CardResources,
}

/// The conversion of a code type to the names of its values.
macro_rules! names {
    ($code:ident) => {
        Conversion::Name(
            |number| $code(number).name(),
            $code::ALL.iter().filter_map(|code| code.name()).collect(),
        )
    };
}

/// Returns the conversion of the members with this key, if there is one.
fn conversion(key: &str) -> Option<Conversion> {
    Some(match key {
        "profile_state" => names!(ProfileState),
        "profile_class" => names!(ProfileClass),
        "icon_type" => names!(IconType),
        "euicc_category" => names!(EuiccCategory),
        "lpa_mode" => names!(LpaMode),
        "profile_management_operation" => Conversion::Bits(&OPERATIONS),
        "profile_policy_rules" | "forbidden_profile_policy_rules" => Conversion::Bits(ppr::NAMES),
        "uicc_capability" | "needs" => Conversion::Bits(uicc_capability::NAMES),
        "rsp_capability" => Conversion::Bits(rsp_capability::NAMES),
        "tre_properties" => Conversion::Bits(tre_properties::NAMES),
        "mcc_mnc" => Conversion::Plmn,
        "gid1" | "gid2" | "additional_euicc_info" => Conversion::Hex,
        "icon" => Conversion::Base64,
        "ext_card_resource" => Conversion::CardResources,
        _ => return None,
    })
}

/// Returns the readable value of a member, or `None` if the member needs no conversion.
fn text(key: &str, member: &Value) -> Option<Value> {
    match conversion(key)? {
        Conversion::Name(name, _) => Some(in_lower_case(name(member.as_i64()?)?).into()),
        Conversion::Bits(names) => bits(member, names),
        Conversion::Plmn => octets(member).map(|octets| plmn(&octets)),
        Conversion::Hex => octets(member).map(|octets| hex(&octets)),
        Conversion::Base64 => octets(member).map(|octets| BASE64_STANDARD.encode(octets).into()),
        Conversion::CardResources => octets(member).map(|octets| card_resources(&octets)),
    }
}

impl Conversion {
    /// Returns the schema of the converted members.
    fn schema(&self) -> Value {
        match self {
            Self::Name(_, names) => {
                let names: Vec<String> = names.iter().map(|name| in_lower_case(name)).collect();
                json!({ "anyOf": [{ "enum": names }, { "type": "integer" }] })
            }
            Self::Bits(_) => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Plmn => json!({ "type": "string" }),
            Self::Hex => json!({ "type": "string", "pattern": "^([0-9A-F]{2})*$" }),
            Self::Base64 => json!({ "type": "string", "contentEncoding": "base64" }),
            Self::CardResources => {
                let numbers: Map<String, Value> = CARD_RESOURCES
                    .iter()
                    .map(|(_, key)| ((*key).to_owned(), json!({ "type": "integer" })))
                    .collect();
                let keys: Vec<&String> = numbers.keys().collect();
                json!({ "anyOf": [
                    { "type": "object", "properties": numbers, "required": keys },
                    { "type": "string" },
                ] })
            }
        }
    }
}

/// Converts the schema of a type into that of its [`readable`] form.
pub fn convert_schema(schema: &mut Schema) {
    if let Some(members) = schema.as_object_mut() {
        members.values_mut().for_each(convert_part);
        convert_properties(members);
    }
}

fn convert_part(part: &mut Value) {
    match part {
        Value::Array(parts) => parts.iter_mut().for_each(convert_part),
        Value::Object(members) => {
            members.values_mut().for_each(convert_part);
            convert_properties(members);
        }
        _ => {}
    }
}

fn convert_properties(members: &mut Map<String, Value>) {
    let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (key, property) in properties {
        let Some(mut schema) = conversion(key).map(|conversion| conversion.schema()) else { continue };
        let may_be_null = property["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
        if may_be_null {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        if let (Some(description), Some(members)) = (property.get("description"), schema.as_object_mut()) {
            members.insert("description".to_owned(), description.clone());
        }
        *property = schema;
    }
}

fn in_lower_case(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// Returns the names of the set bits. A bit without a name becomes `bit N`.
fn bits(member: &Value, names: &[(&str, usize)]) -> Option<Value> {
    let name = |bit: &Value| {
        let bit = bit.as_u64()?;
        let known = names.iter().find(|(_, number)| u64::try_from(*number) == Ok(bit));
        Some(known.map_or_else(|| format!("bit {bit}"), |(name, _)| (*name).to_owned()))
    };
    member.as_array()?.iter().map(name).collect::<Option<Vec<_>>>().map(Value::from)
}

fn octets(member: &Value) -> Option<Vec<u8>> {
    member.as_array()?.iter().map(|octet| u8::try_from(octet.as_u64()?).ok()).collect()
}

fn hex(octets: &[u8]) -> Value {
    hex::encode_upper(octets).into()
}

/// Returns `MCC-MNC`, or the octets in hexadecimal if a digit is a wildcard.
fn plmn(octets: &[u8]) -> Value {
    let plmn = <[u8; 3]>::try_from(octets).ok().and_then(|octets| Plmn::from_bytes(octets).ok());
    plmn.map_or_else(|| hex(octets), |plmn| plmn.to_string().into())
}

/// Returns the three numbers of ExtCardResource, or the octets in hexadecimal if one is absent.
fn card_resources(octets: &[u8]) -> Value {
    let number = |tag| {
        let (_, contents) = tlv::split(tlv::find(octets, Tag(tag)).ok()??)?;
        let fits = contents.len() <= size_of::<u64>();
        fits.then(|| contents.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet)))
    };
    let resources: Option<Map<String, Value>> =
        CARD_RESOURCES.iter().map(|(tag, key)| Some(((*key).to_owned(), number(*tag)?.into()))).collect();
    resources.map_or_else(|| hex(octets), Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_bits_and_octets_become_text() {
        let result = json!([{
            "profile_state": 1,
            "profile_class": 2,
            "profile_owner": { "mcc_mnc": [0x42, 0xF4, 0x51], "gid1": [0xAB, 0x01], "gid2": null },
            "icon": [1, 2, 3],
            "notification_configuration_info": [{ "profile_management_operation": [0, 3] }],
            "profile_policy_rules": [1, 15],
            "needs": [1],
            "ext_card_resource": [0x81, 1, 2, 0x82, 4, 0, 16, 0, 0, 0x83, 2, 1, 0],
        }]);
        let expected = json!([{
            "profile_state": "enabled",
            "profile_class": "operational",
            "profile_owner": { "mcc_mnc": "244-15", "gid1": "AB01", "gid2": null },
            "icon": "AQID",
            "notification_configuration_info": [{ "profile_management_operation": ["install", "delete"] }],
            "profile_policy_rules": ["ppr1", "bit 15"],
            "needs": ["usimSupport"],
            "ext_card_resource": {
                "installed_applications": 2,
                "free_nonvolatile_memory": 1_048_576,
                "free_volatile_memory": 256,
            },
        }]);
        assert_eq!(readable(&result).unwrap(), expected);
    }

    #[test]
    fn an_unknown_code_and_a_wildcard_keep_their_value() {
        let result =
            json!({ "profile_state": 7, "mcc_mnc": [0xEE, 0xFE, 0xEE], "ext_card_resource": [0x81] });
        let expected = json!({ "profile_state": 7, "mcc_mnc": "EEFEEE", "ext_card_resource": "81" });
        assert_eq!(readable(&result).unwrap(), expected);
    }
}
