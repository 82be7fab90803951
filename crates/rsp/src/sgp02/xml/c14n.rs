//! Exclusive XML Canonicalization 1.0 of a received element (without comments, no prefix list).
//!
//! Elements signed by an EUM are kept in this form, because it is independent of the surrounding
//! document and because the signature covers it.

use std::collections::BTreeMap;

use roxmltree::{Node, NodeType};

use super::write::{escape_attribute, escape_text};

/// Returns the canonical form of an element with its contents.
///
/// The recursion is as deep as the element; [`parse`](super::parse) limits the depth.
pub fn exclusive(element: Node<'_, '_>) -> String {
    let mut out = String::new();
    write(element, &BTreeMap::new(), &mut out);
    out
}

/// Writes an element. `declared` contains the namespaces in scope of the output: prefix to
/// namespace, "" for the default.
fn write<'a>(element: Node<'a, '_>, declared: &BTreeMap<&'a str, &'a str>, out: &mut String) {
    let source = element.document().input_text();
    let name = source.get(element.range()).map(qualified_name).unwrap_or_default();
    let namespace = element.tag_name().namespace().unwrap_or_default();

    let mut used = BTreeMap::from([(prefix_of(name), namespace)]);
    let mut attributes = Vec::new();
    for attribute in element.attributes() {
        let name = source.get(attribute.range_qname()).unwrap_or_default();
        let uri = attribute.namespace().unwrap_or_default();
        if name.contains(':') {
            used.insert(prefix_of(name), uri);
        }
        attributes.push((uri, attribute.name(), name, attribute.value()));
    }
    // Attributes are sorted by namespace and then by name. Attributes without a namespace come
    // first.
    attributes.sort_unstable();

    let mut declared = declared.clone();
    out.push('<');
    out.push_str(name);
    for (prefix, uri) in used {
        // The prefix xml is always declared. An absent default namespace is undeclared only if
        // another is in scope.
        if prefix == "xml" || declared.get(prefix).copied().unwrap_or_default() == uri {
            continue;
        }
        match prefix {
            "" => out.push_str(" xmlns=\""),
            prefix => out.extend([" xmlns:", prefix, "=\""]),
        }
        escape_attribute(uri, out);
        out.push('"');
        declared.insert(prefix, uri);
    }
    for (_, _, name, value) in attributes {
        out.extend([" ", name, "=\""]);
        escape_attribute(value, out);
        out.push('"');
    }
    out.push('>');
    for child in element.children() {
        match child.node_type() {
            NodeType::Element => write(child, &declared, out),
            NodeType::Text => escape_text(child.text().unwrap_or_default(), out),
            NodeType::PI => {
                if let Some(pi) = child.pi() {
                    out.extend(["<?", pi.target]);
                    if let Some(value) = pi.value {
                        out.extend([" ", value]);
                    }
                    out.push_str("?>");
                }
            }
            NodeType::Comment | NodeType::Root => {}
        }
    }
    out.extend(["</", name, ">"]);
}

/// Returns the qualified name in a start tag.
fn qualified_name(tag: &str) -> &str {
    let name = tag.trim_start_matches('<');
    let end = name.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').unwrap_or(name.len());
    name.get(..end).unwrap_or_default()
}

fn prefix_of(qualified: &str) -> &str {
    qualified.split_once(':').map_or("", |(prefix, _)| prefix)
}
