//! Output of a description as text.

use serde_json::Value;

use super::Description;

/// The TOML text: first the keys of the description as serde writes them, then each PE with a line
/// for each of its files.
pub(super) fn text(description: &Description) -> String {
    let terms = Description { element: Vec::new(), ..description.clone() };
    // Writing cannot fail, because every value has a form in TOML.
    let mut out = toml::to_string(&terms).unwrap_or_default();
    for element in &description.element {
        out.push_str("\n[[element]]\n");
        let (tables, others): (Vec<_>, Vec<_>) = element.iter().partition(|(_, value)| value.is_object());
        lines(others, &mut out);
        for (name, value) in tables {
            out.push_str(&format!("[element.{}]\n", key(name)));
            lines(value.as_object().into_iter().flatten(), &mut out);
        }
    }
    out
}

fn lines<'a>(entries: impl IntoIterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    for (name, value) in entries {
        out.push_str(&format!("{} = ", key(name)));
        inline(value, true, out);
        out.push('\n');
    }
}

/// A key, in quotes only if TOML requires them.
fn key(name: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    match !name.is_empty() && name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => quoted(&Value::from(name)),
    }
}

/// A JSON string is a valid TOML string, except for DEL.
fn quoted(value: &Value) -> String {
    value.to_string().replace('\u{7F}', "\\u007F")
}

/// Writes a value on one line. If `may_break` is true, a list of several tables or lists has one
/// line for each of them.
fn inline(value: &Value, may_break: bool, out: &mut String) {
    match value {
        // TOML has no null. It is written as true.
        Value::Null => out.push_str("true"),
        Value::Array(list) => {
            let breaks =
                may_break && list.len() > 1 && list.iter().all(|value| value.is_object() || value.is_array());
            out.push('[');
            for (number, value) in list.iter().enumerate() {
                out.push_str(match (breaks, number) {
                    (true, _) => "\n    ",
                    (false, 0) => "",
                    (false, _) => " ",
                });
                inline(value, value.is_array(), out);
                if breaks || number + 1 < list.len() {
                    out.push(',');
                }
            }
            out.push_str(if breaks { "\n]" } else { "]" });
        }
        Value::Object(object) => {
            out.push_str("{ ");
            for (number, (name, value)) in object.iter().enumerate() {
                out.push_str(if number == 0 { "" } else { ", " });
                out.push_str(&key(name));
                out.push_str(" = ");
                inline(value, false, out);
            }
            out.push_str(" }");
        }
        other => out.push_str(&quoted(other)),
    }
}
