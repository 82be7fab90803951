//! PEs in a description, with terms in their positions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::terms::{self, Term};
use super::{Description, Mistake, Mistakes};
use crate::element::ProfileElement;

/// The PEs of `[[element]]`.
pub(super) fn elements(
    description: &Description,
    given: &[Map<String, Value>],
) -> Result<Vec<ProfileElement>, Mistakes> {
    let terms = terms::of(description);
    let mut used = BTreeSet::new();
    let mut mistakes = Vec::new();
    let mut elements = Vec::new();
    for (number, element) in given.iter().enumerate() {
        let place = format!("element[{number}]");
        let mut value = Value::Object(element.clone());
        let read = fill(&mut value, &terms, &mut used)
            .and_then(|()| ProfileElement::from_json(&value).map_err(|misread| misread.to_string()));
        match read {
            Ok(element) => elements.push(element),
            Err(what) => mistakes.push(Mistake {
                place,
                line: None,
                what,
                next: "correct the element; `landfall profile decompile` shows how elements are written"
                    .to_owned(),
            }),
        }
    }
    let idle = terms.iter().filter(|term| term.source.is_some() && !used.contains(&term.name));
    // One value of the description can give two terms in different forms. The value is in use if an
    // element refers to either term.
    let sources_in_use: BTreeSet<_> =
        terms.iter().filter(|term| used.contains(&term.name)).filter_map(|term| term.source).collect();
    for (source, name) in idle.filter_map(|term| Some((term.source?, &term.name))) {
        if !sources_in_use.contains(source) {
            mistakes
                .push(unused(source, &format!("no element contains {{{name}}}, so the value has no effect")));
        }
    }
    mistakes.extend(
        without_term(description).into_iter().map(|source| {
            unused(source, "the description has elements, which contain this value themselves")
        }),
    );
    if mistakes.is_empty() { Ok(elements) } else { Err(Mistakes(mistakes)) }
}

fn unused(source: &str, what: &str) -> Mistake {
    Mistake {
        place: source.to_owned(),
        line: None,
        what: what.to_owned(),
        next: "remove the value, or change the element".to_owned(),
    }
}

/// The values of a description for which no term exists, so that no element can refer to them.
fn without_term(d: &Description) -> Vec<&'static str> {
    let a = &d.authentication;
    let isim = d.isim.as_ref();
    [
        (d.format != Default::default(), "format"),
        (d.files != Default::default(), "files"),
        (a.rotation_constants.is_some(), "authentication.rotation-constants"),
        (a.xoring_constants.is_some(), "authentication.xoring-constants"),
        (a.auth_counter_max.is_some(), "authentication.auth-counter-max"),
        (a.keccak.is_some(), "authentication.keccak"),
        (a.sqn_options.is_some(), "authentication.sqn-options"),
        (a.sqn_delta.is_some(), "authentication.sqn-delta"),
        (a.sqn_age_limit.is_some(), "authentication.sqn-age-limit"),
        (d.codes.pin1_enabled, "codes.pin1-enabled"),
        (d.usim.emergency.is_some(), "usim.emergency"),
        (isim.is_some_and(|isim| !isim.pcscf.is_empty()), "isim.pcscf"),
        (d.security_domain.aid.is_some(), "security-domain.aid"),
        (d.security_domain.toolkit.is_some(), "security-domain.toolkit"),
        (!d.rfm.is_empty(), "rfm"),
        (!d.identity.is_empty(), "identity"),
        (!d.file.is_empty(), "file"),
    ]
    .into_iter()
    .filter_map(|(source, name)| source.then_some(name))
    .collect()
}

/// Inserts the terms into their positions.
fn fill(value: &mut Value, terms: &[Term], used: &mut BTreeSet<String>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains('{') => {
            *text = filled(text, terms, used)?;
            Ok(())
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| fill(value, terms, used)),
        Value::Object(object) => object.values_mut().try_for_each(|value| fill(value, terms, used)),
        _ => Ok(()),
    }
}

fn filled(text: &str, terms: &[Term], used: &mut BTreeSet<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, after) =
            after.split_once('}').ok_or_else(|| format!("{text:?}: a closing brace is missing"))?;
        let (name, length) =
            inner.split_once(':').map_or((inner, None), |(name, length)| (name, Some(length)));
        let term = terms.iter().find(|term| term.name == name).ok_or_else(|| {
            format!("{{{name}}} has no value: the description does not set it, or the term does not exist")
        })?;
        out.push_str(before);
        out.push_str(&term.value);
        if let Some(length) = length {
            let length: usize = length
                .parse()
                .map_err(|_| format!("{{{inner}}}: a number of octets must follow the colon"))?;
            let missing = length.checked_sub(term.value.len() / 2).ok_or_else(|| {
                format!(
                    "{{{inner}}} has {} octets, but there is room for only {length}",
                    term.value.len() / 2
                )
            })?;
            out.push_str(&format!("{:02X}", term.filling).repeat(missing));
        }
        used.insert(name.to_owned());
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// True if an element refers to a term.
pub(crate) fn mentions(description: &Description, name: &str) -> bool {
    fn within(value: &Value, name: &str) -> bool {
        match value {
            Value::String(text) => {
                text.split('{').skip(1).any(|rest| rest.split(['}', ':']).next() == Some(name))
            }
            Value::Array(list) => list.iter().any(|value| within(value, name)),
            Value::Object(object) => object.values().any(|value| within(value, name)),
            _ => false,
        }
    }
    description.element.iter().flat_map(Map::values).any(|value| within(value, name))
}
