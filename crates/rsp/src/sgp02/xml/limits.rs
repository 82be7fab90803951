//! What a message may cost. A parser's own work grows with the square of some things (attributes of one element,
//! namespaces in scope); a look at the text alone finds those before it begins.

/// The largest message, in octets. An EIS with a long audit trail is some hundred thousand.
pub const MAX_OCTETS: usize = 4 << 20;

/// The most nodes of a message: bounds what parsing one costs in memory.
pub const MAX_NODES: u32 = 100_000;

/// The deepest nesting of a message. An EIS in its envelope has nine levels, a signature in it four more.
pub const MAX_DEPTH: usize = 40;

/// The most attributes, namespace declarations included, of an element and all those round it. Envelopes of real peers
/// declare some twenty namespaces.
pub const MAX_ATTRIBUTES: usize = 200;

/// Looks through the tags of a text that a parser has not seen yet. Whether it is XML is not its business: of what is
/// none it sees as much as the parser will.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let mut rest = text.as_bytes();
    // The number of attributes of each element that is open, and their sum.
    let mut open: Vec<usize> = Vec::new();
    let mut in_scope = 0;
    while let Some(start) = rest.iter().position(|octet| *octet == b'<') {
        rest = rest.get(start..).unwrap_or_default();
        let end = match rest {
            [b'<', b'!', b'-', b'-', ..] => after(rest, b"-->"),
            [b'<', b'!', b'[', ..] => after(rest, b"]]>"),
            [b'<', b'?', ..] => after(rest, b"?>"),
            // A document type, which the parser refuses before anything else.
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

/// Where the text goes on after this.
fn after(rest: &[u8], end: &[u8]) -> Option<usize> {
    rest.windows(end.len()).position(|window| window == end).map(|at| at + end.len())
}

/// The length of a start tag and the number of its attributes; `None` when it does not end, but has few of them.
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
