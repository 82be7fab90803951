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
use serde::Serialize;
use serde_json::{Map, Value};
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

/// Returns the readable value of a member, or `None` if the member needs no conversion.
fn text(key: &str, member: &Value) -> Option<Value> {
    match key {
        "profile_state" => code(member, |number| ProfileState(number).name()),
        "profile_class" => code(member, |number| ProfileClass(number).name()),
        "icon_type" => code(member, |number| IconType(number).name()),
        "euicc_category" => code(member, |number| EuiccCategory(number).name()),
        "lpa_mode" => code(member, |number| LpaMode(number).name()),
        "profile_management_operation" => bits(member, &OPERATIONS),
        "profile_policy_rules" | "forbidden_profile_policy_rules" => bits(member, ppr::NAMES),
        "uicc_capability" | "needs" => bits(member, uicc_capability::NAMES),
        "rsp_capability" => bits(member, rsp_capability::NAMES),
        "tre_properties" => bits(member, tre_properties::NAMES),
        "mcc_mnc" => octets(member).map(|octets| plmn(&octets)),
        "gid1" | "gid2" | "additional_euicc_info" => octets(member).map(|octets| hex(&octets)),
        "icon" => octets(member).map(|octets| BASE64_STANDARD.encode(octets).into()),
        "ext_card_resource" => octets(member).map(|octets| card_resources(&octets)),
        _ => None,
    }
}

/// Returns the name of a code in lower case.
fn code(member: &Value, name: impl Fn(i64) -> Option<&'static str>) -> Option<Value> {
    Some(name(member.as_i64()?)?.to_lowercase().replace('_', "-").into())
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
    use serde_json::json;

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
