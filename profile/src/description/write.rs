//! A description as text.

use serde_json::Value;

use super::Description;

/// TOML: the terms as serde has them, then each PE with a line for each of its files.
pub(super) fn text(description: &Description) -> String {
    let terms = Description { element: Vec::new(), ..description.clone() };
    // Everything in it has a form in TOML.
    let mut out = toml::to_string(&terms).unwrap_or_default();
    for element in &description.element {
        out.push_str("\n[[element]]\n");
        for (name, value) in element {
            out.push_str(&format!("[element.{name}]\n"));
            for (name, value) in value.as_object().into_iter().flatten() {
                out.push_str(&format!("{name} = "));
                inline(value, true, &mut out);
                out.push('\n');
            }
        }
    }
    out
}

/// A value in one line, a list of tables in one for each.
fn inline(value: &Value, may_break: bool, out: &mut String) {
    match value {
        // TOML has no null.
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
                out.push_str(name);
                out.push_str(" = ");
                inline(value, false, out);
            }
            out.push_str(" }");
        }
        // JSON writes a text as TOML reads it.
        other => out.push_str(&other.to_string()),
    }
}
