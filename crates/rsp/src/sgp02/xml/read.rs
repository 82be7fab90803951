//! Decoding of XML: parsing within limits, and taking the children of an element by name.

use std::collections::{BTreeMap, VecDeque};

use roxmltree::{Document, Node, NodeType, ParsingOptions};

use crate::finding::{FindingKind, report};

use super::{
    Name, Namespace, Problem, XmlError,
    limits::{MAX_NODES, MAX_OCTETS, check},
    tolerated,
};

/// Parses the text of one message. A document type is refused, so only XML's five predefined
/// entities are available.
///
/// # Errors
/// The text is not XML or exceeds a limit.
pub fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    if text.len() > MAX_OCTETS {
        return Err(XmlError::of(Problem::TooLarge("octets")));
    }
    check(text).map_err(|what| XmlError::of(Problem::TooLarge(what)))?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| {
        let position = error.pos();
        let problem = match error {
            roxmltree::Error::DtdDetected => Problem::DocumentType,
            roxmltree::Error::NodesLimitReached => Problem::TooLarge("elements"),
            error => Problem::NotXml(error.to_string()),
        };
        XmlError { path: String::new(), position: Some((position.row, position.col)), problem }
    })
}

/// Returns the text of an element without child elements.
///
/// # Errors
/// The element has a child element.
pub fn text_of(node: Node<'_, '_>) -> Result<String, XmlError> {
    let mut text = String::new();
    for child in node.children() {
        match child.node_type() {
            NodeType::Text => text.push_str(child.text().unwrap_or_default()),
            NodeType::Element => {
                let stray = child.tag_name().name().to_owned();
                return Err(XmlError::at(child, Problem::StrayElement(stray)));
            }
            NodeType::Comment | NodeType::PI | NodeType::Root => {}
        }
    }
    Ok(text)
}

/// The child elements of one element. Each can be taken once.
pub struct Children<'a, 'i> {
    parent: Node<'a, 'i>,
    namespace: Namespace,
    /// The elements in the order of the text, with a flag that is set when the element has been
    /// taken.
    elements: Vec<(Node<'a, 'i>, bool)>,
    /// The positions of the elements not yet taken, by name.
    left: BTreeMap<&'a str, VecDeque<usize>>,
}

impl<'a, 'i> Children<'a, 'i> {
    /// Collects the children of `parent` in `namespace`, the namespace of the message. Elements in
    /// other namespaces are ignored, and reported as findings.
    ///
    /// # Errors
    /// There is text between the elements.
    pub fn of(parent: Node<'a, 'i>, namespace: Namespace) -> Result<Self, XmlError> {
        let mut elements = Vec::new();
        let mut left: BTreeMap<&'a str, VecDeque<usize>> = BTreeMap::new();
        for child in parent.children() {
            match child.node_type() {
                NodeType::Element if tolerated::belongs(child.tag_name().namespace(), namespace) => {
                    if child.tag_name().namespace().is_none() {
                        report(FindingKind::XmlForm, || {
                            format!("{} without a namespace", child.tag_name().name())
                        });
                    }
                    left.entry(child.tag_name().name()).or_default().push_back(elements.len());
                    elements.push((child, false));
                }
                NodeType::Element => report(FindingKind::UnknownElement, || {
                    let name = child.tag_name();
                    format!("{} in namespace {}", name.name(), name.namespace().unwrap_or_default())
                }),
                NodeType::Text if !child.text().unwrap_or_default().trim().is_empty() => {
                    return Err(XmlError::at(child, Problem::StrayText));
                }
                _ => {}
            }
        }
        Ok(Self { parent, namespace, elements, left })
    }

    /// Returns the parent element.
    pub fn parent(&self) -> Node<'a, 'i> {
        self.parent
    }

    /// Returns the namespace of the message.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Returns the position and the spelling of the first element with this name.
    fn first(&self, name: Name) -> Option<(usize, &'static str)> {
        let fronts = tolerated::spellings(name)
            .filter_map(|spelling| Some((*self.left.get(spelling)?.front()?, spelling)));
        fronts.min()
    }

    /// True if an element with this name has not been taken.
    pub fn has(&self, name: Name) -> bool {
        self.first(name).is_some()
    }

    /// Takes the first element with this name.
    ///
    /// # Errors
    /// There is no such element.
    pub fn take(&mut self, name: Name) -> Result<Node<'a, 'i>, XmlError> {
        let Some((position, spelling)) = self.first(name) else { return Err(self.missing(name)) };
        if let Some(left) = self.left.get_mut(spelling) {
            left.pop_front();
        }
        let Some((node, taken)) = self.elements.get_mut(position) else { return Err(self.missing(name)) };
        *taken = true;
        Ok(*node)
    }

    fn missing(&self, name: Name) -> XmlError {
        let expected = name.within(self.namespace);
        let elsewhere = self.parent.children().find(|child| {
            child.is_element()
                && name.is(child.tag_name().name())
                && !tolerated::belongs(child.tag_name().namespace(), self.namespace)
        });
        let what = match elsewhere {
            Some(child) => format!(
                "the element {expected} in namespace {} (found in namespace {:?})",
                self.namespace.uri(),
                child.tag_name().namespace().unwrap_or_default(),
            ),
            None => format!("the element {expected}"),
        };
        XmlError::at(self.parent, Problem::Missing(what))
    }

    /// Checks that the taken elements were in the order of `names`, and that no element with one of
    /// these names remains.
    ///
    /// # Errors
    /// An element remains or is out of order.
    pub fn finish(self, names: &[&[Name]]) -> Result<(), XmlError> {
        let rank = |local: &str| names.iter().copied().flatten().position(|name| name.is(local));
        let mut furthest: Option<(usize, &str)> = None;
        for (node, taken) in &self.elements {
            let local = node.tag_name().name();
            let Some(rank) = rank(local) else {
                report(FindingKind::UnknownElement, || {
                    format!("{} in {}", local, self.parent.tag_name().name())
                });
                continue;
            };
            if !taken {
                return Err(XmlError::at(*node, Problem::Twice(format!("the element {local}"))));
            }
            match furthest {
                // req: SGP.02-5.2-ElementOrder
                Some((before, after)) if rank < before && !tolerated::either_order(local, after) => {
                    let problem = Problem::OutOfOrder { element: local.to_owned(), after: after.to_owned() };
                    return Err(XmlError::at(*node, problem));
                }
                Some((before, after)) if rank < before => {
                    report(FindingKind::XmlForm, || format!("{local} after {after}"));
                }
                _ => furthest = Some((rank, local)),
            }
        }
        Ok(())
    }
}
