//! Escaping of untrusted text for XML and HTML.

use std::fmt::{self, Write};

/// Text for an element or a quoted attribute. Characters that XML cannot represent become the
/// replacement character.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\t' | '\n' | ' '..='\u{7E}' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'.. => f.write_char(character),
            _ => f.write_char(char::REPLACEMENT_CHARACTER),
        })
    }
}
