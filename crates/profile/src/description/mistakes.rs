//! Errors in a description.

use std::fmt;

use super::{Algorithm, Description, identities, key_lengths};

/// An error: place, cause, and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The path of the name in the description: `authentication.ki`; empty for the whole.
    pub place: String,
    /// The line, from 1, if the text is known.
    pub line: Option<usize>,
    /// The error and its cause.
    pub what: String,
    /// The remedy.
    pub next: String,
}

/// All errors of a description; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    pub(crate) fn one(place: &str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self(vec![Mistake { place: place.to_owned(), line: None, what: what.into(), next: next.into() }])
    }

    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_at(text, span.start));
        let next = if error.message().starts_with("unknown field") {
            "use one of these names, or remove the name; docs/profile.schema.json describes each of them"
        } else {
            "correct the value; docs/profile.schema.json describes the expected form"
        };
        Self(vec![Mistake {
            place: String::new(),
            line,
            what: error.message().to_owned(),
            next: next.to_owned(),
        }])
    }

    /// Adds the line of each error in `text`, the source of the description.
    #[must_use]
    pub fn in_text(mut self, text: &str) -> Self {
        let document = toml::de::DeTable::parse(text).ok();
        for mistake in self.0.iter_mut().filter(|mistake| mistake.line.is_none()) {
            mistake.line =
                document.as_ref().and_then(|document| line_of(document.get_ref(), text, &mistake.place));
        }
        self
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|octet| *octet == b'\n').count() + 1
}

/// The line of a key or, if the key is missing, of its table.
fn line_of(document: &toml::de::DeTable<'_>, text: &str, place: &str) -> Option<usize> {
    use toml::de::DeValue;
    let mut table = document;
    let mut line = None;
    let mut steps = place.split(['.', '[', ']']).filter(|step| !step.is_empty()).peekable();
    while let Some(step) = steps.next() {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == step) else { break };
        line = Some(line_at(text, key.span().start));
        let mut value = value;
        if let (DeValue::Array(list), Some(Ok(number))) =
            (value.get_ref(), steps.peek().map(|step| step.parse::<usize>()))
        {
            steps.next();
            value = list.get(number)?;
            line = Some(line_at(text, value.span().start));
        }
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    line
}

impl Mistake {
    /// The place, the error, and its cause.
    pub fn why(&self) -> String {
        let line = self.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        format!("{line}{place}{}", self.what)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why(), self.next)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// Errors that can be found in the description alone.
pub(super) fn of(description: &Description) -> Result<(), Mistakes> {
    let mut all = Vec::new();
    let mut say = |place: &str, what: String, next: &str| {
        all.push(Mistake { place: place.to_owned(), line: None, what, next: next.to_owned() });
    };
    let whole = description.element.is_empty();
    if whole {
        for (place, there) in [("iccid", description.iccid.is_some()), ("imsi", description.imsi.is_some())] {
            if !there {
                say(
                    place,
                    "it is missing".to_owned(),
                    "set the value, or let `landfall profile personalise` assign consecutive values",
                );
            }
        }
    }
    let keys = &description.authentication;
    if whole && keys.ki.is_none() {
        say(
            "authentication.ki",
            "it is missing".to_owned(),
            "set the value, or let `landfall profile personalise` generate keys",
        );
    }
    if whole && keys.algorithm.opc_length().is_some() && keys.opc.is_none() && keys.op.is_none() {
        say("authentication.opc", "it is missing".to_owned(), "set opc, or with Milenage op");
    }
    let mut say_of_key =
        |name: &str, what: String, next: &str| say(&format!("authentication.{name}"), what, next);
    key_lengths::mistakes(keys.algorithm, keys.ki.as_ref(), keys.opc.as_ref(), &mut say_of_key);
    if let Some(op) = &keys.op {
        if keys.opc.is_some() {
            say("authentication.op", "both op and opc are set".to_owned(), "remove one of the two");
        }
        if keys.algorithm != Algorithm::Milenage || op.expose().len() != 16 {
            say(
                "authentication.op",
                "op is used only with Milenage and has 16 octets".to_owned(),
                "give opc",
            );
        }
    }
    let octets = [
        ("authentication.options", &keys.options, 1),
        ("authentication.rotation-constants", &keys.rotation_constants, 5),
        ("authentication.xoring-constants", &keys.xoring_constants, 80),
        ("authentication.auth-counter-max", &keys.auth_counter_max, 3),
        ("authentication.sqn-options", &keys.sqn_options, 1),
        ("authentication.sqn-delta", &keys.sqn_delta, 6),
        ("authentication.sqn-age-limit", &keys.sqn_age_limit, 6),
        ("pol1", &description.pol1, 1),
        ("usim.spn-display", &description.usim.spn_display, 1),
    ];
    for (place, value, length) in octets {
        if let Some(found) = value.as_ref().filter(|value| value.len() != length) {
            say(place, format!("it has {} octets", found.len()), &format!("give {length}"));
        }
    }
    if description.mnc_digits.is_some_and(|digits| !(2..=3).contains(&digits)) {
        say("mnc-digits", "a network code has 2 or 3 digits".to_owned(), "give 2 or 3");
    }
    if description.access_classes.iter().flatten().any(|class| *class > 15) {
        say("access-classes", "access classes are numbers from 0 to 15".to_owned(), "correct them");
    }
    if description.usim.spn.as_ref().is_some_and(|spn| super::coding::name(spn).len() > 16) {
        say("usim.spn", "it takes more than 16 octets".to_owned(), "shorten it");
    }
    for (place, code) in [("codes.puk1", &description.codes.puk1), ("codes.puk2", &description.codes.puk2)] {
        if code.as_ref().is_some_and(|code| code.expose().len() != 8) {
            say(place, "a PUK has 8 digits".to_owned(), "give 8");
        }
    }
    for (place, list) in
        [("services", &description.usim.services), ("enabled-services", &description.usim.enabled_services)]
    {
        if list.iter().flatten().any(|number| *number == 0) {
            say(&format!("usim.{place}"), "services are counted from 1".to_owned(), "give numbers from 1");
        }
    }
    identities::mistakes(description, &mut say);
    for (number, file) in description.file.iter().enumerate() {
        if file.id.len() != 2 || file.directory.len() % 2 == 1 {
            say(
                &format!("file[{number}].id"),
                "a file identifier has two octets".to_owned(),
                "give four hex digits for each step",
            );
        }
    }
    for (number, rfm) in description.rfm.iter().enumerate() {
        if rfm.tar.iter().any(|tar| tar.len() != 3) {
            say(&format!("rfm[{number}].tar"), "a TAR has three octets".to_owned(), "give six hex digits");
        }
    }
    description.metadata.checked(&mut say);
    if all.is_empty() { Ok(()) } else { Err(Mistakes(all)) }
}
