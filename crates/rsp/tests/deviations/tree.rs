//! Changes of one element in a tree of TLVs whose structure is known.

use rsp::der::{Reader, Shape, Tag, tlv, tlv_bytes};

/// The place of a changed element.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    /// A SEQUENCE, with its contents.
    Sequence(&'a [u8]),
    /// A value that the crate decodes, with its contents.
    Value(fn(&[u8]) -> Option<String>, &'a [u8]),
    /// Octets that the crate does not interpret.
    Octets(&'a [u8]),
}

/// Returns the messages in which one element of `message` has other contents. `change` returns the
/// contents to try at an element. The lengths around the element are corrected.
pub(crate) fn changed(
    message: &[u8],
    tag: Tag,
    shape: Shape,
    change: &mut dyn FnMut(Node<'_>) -> Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let (found, contents) = tlv::split(message).expect("one TLV");
    let rebuilt = |contents: Vec<Vec<u8>>| contents.iter().map(|it| tlv_bytes(found, it)).collect();
    match shape {
        // Certificates and protected data are not interpreted.
        Shape::Octets if found.is_constructed() => Vec::new(),
        Shape::Octets => rebuilt(change(Node::Octets(contents))),
        Shape::Text(text) => rebuilt(change(Node::Value(text, contents))),
        Shape::SequenceOf(of, element) => rebuilt(in_elements(contents, |_| Some((of, element())), change)),
        Shape::Sequence(fields) => {
            let mut all = change(Node::Sequence(contents));
            // Two elements of a SEQUENCE may have the same tag; they are then in this order.
            let mut next = 0;
            all.extend(in_elements(
                contents,
                |found| {
                    let at = (next..fields.len())
                        .find(|at| fits((fields[*at].shape)(), fields[*at].tag, found))?;
                    next = at + 1;
                    Some((fields[at].tag, (fields[at].shape)()))
                },
                change,
            ));
            rebuilt(all)
        }
        Shape::Choice(fields) => {
            let alternative = |found| {
                let field = fields.iter().find(|field| fits((field.shape)(), field.tag, found))?;
                Some((field.tag, (field.shape)()))
            };
            if tag == Tag::CHOICE {
                let (tag, shape) = alternative(found).expect("an alternative");
                changed(message, tag, shape, change)
            } else {
                rebuilt(in_elements(contents, alternative, change))
            }
        }
    }
}

/// True if an element with the tag `found` can be one of this structure.
fn fits(shape: Shape, tag: Tag, found: Tag) -> bool {
    match shape {
        Shape::Choice(fields) if tag == Tag::CHOICE => {
            fields.iter().any(|field| fits((field.shape)(), field.tag, found))
        }
        _ => tag == found,
    }
}

/// Returns the contents in which one of the elements is changed.
fn in_elements(
    contents: &[u8],
    mut structure: impl FnMut(Tag) -> Option<(Tag, Shape)>,
    change: &mut dyn FnMut(Node<'_>) -> Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let elements = tlv::each(contents).expect("TLVs");
    let mut all = Vec::new();
    for (at, element) in elements.iter().enumerate() {
        let found = Reader::new(element).peek().unwrap().unwrap();
        let Some((tag, shape)) = structure(found) else { continue };
        for other in changed(element, tag, shape, change) {
            let mut elements: Vec<&[u8]> = elements.clone();
            elements[at] = &other;
            all.push(elements.concat());
        }
    }
    all
}
