//! Encoding of XML in the form of Exclusive XML Canonicalization 1.0 (without comments), so that
//! the output needs no further canonicalization.

use super::{Name, Namespace};

/// The namespace prefixes in the output. Each always denotes the same namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// SOAP 1.2.
    Soap,
    /// WS-Addressing 1.0.
    Wsa,
    /// XML signature.
    Ds,
    /// The messages of SGP.02.
    Rps,
}

impl Prefix {
    const fn text(self) -> &'static str {
        match self {
            Self::Soap => "soap",
            Self::Wsa => "wsa",
            Self::Ds => "ds",
            Self::Rps => "rps",
        }
    }

    const fn uri(self, namespace: Namespace) -> &'static str {
        match self {
            Self::Soap => "http://www.w3.org/2003/05/soap-envelope",
            Self::Wsa => "http://www.w3.org/2005/08/addressing",
            Self::Ds => "http://www.w3.org/2000/09/xmldsig#",
            Self::Rps => namespace.uri(),
        }
    }
}

/// A writer of XML text.
#[derive(Debug)]
pub struct Writer {
    out: String,
    namespace: Namespace,
    /// The prefixes that are declared in the current scope.
    declared: Vec<Prefix>,
}

impl Writer {
    /// Creates a writer for a message in this namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self { out: String::new(), namespace, declared: Vec::new() }
    }

    /// Returns the namespace of the message.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Returns the text written so far.
    pub fn into_text(self) -> String {
        self.out
    }

    /// Writes an element of the message.
    pub fn part(&mut self, name: Name, contents: impl FnOnce(&mut Self)) {
        self.element(Prefix::Rps, name.within(self.namespace), &[], contents);
    }

    /// Writes an element. The attributes must be sorted by name, as the canonical form requires.
    pub fn element(
        &mut self,
        prefix: Prefix,
        local: &str,
        attributes: &[(&str, &str)],
        contents: impl FnOnce(&mut Self),
    ) {
        debug_assert!(attributes.is_sorted(), "the attributes of {local} are not sorted by name");
        let is_new = !self.declared.contains(&prefix);
        self.out.extend(["<", prefix.text(), ":", local]);
        if is_new {
            self.out.extend([" xmlns:", prefix.text(), "=\"", prefix.uri(self.namespace), "\""]);
            self.declared.push(prefix);
        }
        for (name, value) in attributes {
            self.out.extend([" ", name, "=\""]);
            escape_attribute(value, &mut self.out);
            self.out.push('"');
        }
        self.out.push('>');
        contents(self);
        self.out.extend(["</", prefix.text(), ":", local, ">"]);
        if is_new {
            self.declared.pop();
        }
    }

    /// Writes text inside an element.
    pub fn text(&mut self, text: &str) {
        escape_text(text, &mut self.out);
    }

    /// Writes an element that is already in canonical form with the namespace declarations it
    /// needs.
    pub fn canonical(&mut self, element: &str) {
        self.out.push_str(element);
    }
}

/// Replaces characters that XML cannot represent with the replacement character.
fn xml_character(character: char) -> char {
    match character {
        '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'.. => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

pub(super) fn escape_text(text: &str, out: &mut String) {
    for character in text.chars().map(xml_character) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
}

pub(super) fn escape_attribute(text: &str, out: &mut String) {
    for character in text.chars().map(xml_character) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
}
