//! Limits on the size of a message. The cost of a parser grows quadratically with some quantities
//! (attributes of one element, namespaces in scope), so a scan of the text checks these before
//! parsing.

/// The maximum size of a message in octets. An EIS with a long audit trail has several hundred
/// thousand.
pub const MAX_OCTETS: usize = 4 << 20;

/// The maximum number of nodes in a message, which limits the memory for parsing.
pub const MAX_NODES: u32 = 100_000;

/// The maximum nesting depth of a message. An EIS in its envelope has nine levels; a signature in
/// it adds four.
pub const MAX_DEPTH: usize = 40;

/// The maximum number of attributes, including namespace declarations, of an element and all its
/// ancestors. Envelopes of real peers declare about twenty namespaces.
pub const MAX_ATTRIBUTES: usize = 200;

/// Scans the tags of a text before it is parsed. The text may be malformed; the scan covers at
/// least as much of it as the parser reads.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let mut rest = text.as_bytes();
    // The number of attributes of each open element, and their sum.
    let mut open: Vec<usize> = Vec::new();
    let mut in_scope = 0;
    while let Some(start) = rest.iter().position(|octet| *octet == b'<') {
        rest = rest.get(start..).unwrap_or_default();
        let end = match rest {
            [b'<', b'!', b'-', b'-', ..] => after(rest, b"-->"),
            [b'<', b'!', b'[', ..] => after(rest, b"]]>"),
            [b'<', b'?', ..] => after(rest, b"?>"),
            // A document type. The parser refuses it before anything else.
            [b'<', b'!', ..] => None,
            [b'<', b'/', ..] => {
                in_scope -= open.pop().unwrap_or(0);
                after(rest, b">")
            }
            _ => {
                let Some((length, attributes)) = start_tag(rest) else { return Ok(()) };
                if in_scope + attributes > MAX_ATTRIBUTES {
                    return Err("attributes");
                }
                let is_empty = rest.get(..length).is_some_and(|tag| tag.ends_with(b"/>"));
                if !is_empty {
                    in_scope += attributes;
                    open.push(attributes);
                }
                if open.len() + usize::from(is_empty) > MAX_DEPTH {
                    return Err("levels of elements");
                }
                Some(length)
            }
        };
        match end.and_then(|end| rest.get(end..)) {
            Some(after) => rest = after,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Returns the offset behind the first occurrence of `end`.
fn after(rest: &[u8], end: &[u8]) -> Option<usize> {
    rest.windows(end.len()).position(|window| window == end).map(|at| at + end.len())
}

/// Returns the length of a start tag and the number of its attributes. Returns `None` for an
/// unterminated tag with few attributes.
fn start_tag(rest: &[u8]) -> Option<(usize, usize)> {
    let mut attributes = 0;
    let mut quote = None;
    for (position, octet) in rest.iter().enumerate() {
        match (quote, octet) {
            (None, b'"' | b'\'') => quote = Some(*octet),
            (Some(open), octet) if open == *octet => quote = None,
            (None, b'=') => attributes += 1,
            (None, b'>') => return Some((position + 1, attributes)),
            _ => {}
        }
    }
    (attributes > MAX_ATTRIBUTES).then_some((rest.len(), attributes))
}
