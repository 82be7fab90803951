//! Reading: a document with limits, and the children of an element taken out by name.

use roxmltree::{Document, Node, NodeType, ParsingOptions};

use super::{Name, Namespace, Problem, XmlError, tolerated};

/// The largest message, in octets. An EIS with a long audit trail is some hundred thousand.
pub const MAX_OCTETS: usize = 4 << 20;

/// The most nodes of a message: bounds what parsing one costs in memory.
pub const MAX_NODES: u32 = 100_000;

/// The deepest nesting of a message. An EIS in its envelope has nine levels, a signature in it four more.
pub const MAX_DEPTH: usize = 40;

/// Parses the text of one message. No document type, so no entities but XML's own five.
///
/// # Errors
/// The text is no XML, or larger than a message may be.
pub fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    if text.len() > MAX_OCTETS {
        return Err(XmlError::of(Problem::TooLarge("octets")));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let position = error.pos();
        let problem = match error {
            roxmltree::Error::DtdDetected => Problem::DocumentType,
            roxmltree::Error::NodesLimitReached => Problem::TooLarge("elements"),
            error => Problem::NotXml(error.to_string()),
        };
        XmlError { path: String::new(), position: Some((position.row, position.col)), problem }
    })?;
    let too_deep = document.descendants().any(|node| node.ancestors().nth(MAX_DEPTH + 1).is_some());
    if too_deep { Err(XmlError::of(Problem::TooLarge("levels of elements"))) } else { Ok(document) }
}

/// The text of an element that has nothing else in it.
///
/// # Errors
/// There is an element in it.
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

/// The child elements of one element, each to be taken once.
pub struct Children<'a, 'i> {
    parent: Node<'a, 'i>,
    namespace: Namespace,
    /// In the order of the text, with whether each has been taken.
    elements: Vec<(Node<'a, 'i>, bool)>,
    /// All before it are taken.
    first_left: usize,
}

impl<'a, 'i> Children<'a, 'i> {
    /// Those of `parent` that belong to the namespace, which is that of the message; elements of other namespaces are
    /// not its business.
    ///
    /// # Errors
    /// There is text between them.
    pub fn of(parent: Node<'a, 'i>, namespace: Namespace) -> Result<Self, XmlError> {
        let mut elements = Vec::new();
        for child in parent.children() {
            match child.node_type() {
                NodeType::Element if tolerated::belongs(child.tag_name().namespace(), namespace) => {
                    elements.push((child, false));
                }
                NodeType::Text if !child.text().unwrap_or_default().trim().is_empty() => {
                    return Err(XmlError::at(child, Problem::StrayText));
                }
                _ => {}
            }
        }
        Ok(Self { parent, namespace, elements, first_left: 0 })
    }

    /// The element whose children they are.
    pub fn parent(&self) -> Node<'a, 'i> {
        self.parent
    }

    /// The namespace of the message.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    fn position(&self, name: Name) -> Option<usize> {
        let left = self.elements.iter().enumerate().skip(self.first_left);
        left.into_iter()
            .find(|(_, (node, taken))| !taken && name.is(node.tag_name().name()))
            .map(|(position, _)| position)
    }

    /// Whether one of this name is left.
    pub fn has(&self, name: Name) -> bool {
        self.position(name).is_some()
    }

    /// Takes the first one of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&mut self, name: Name) -> Result<Node<'a, 'i>, XmlError> {
        let Some(position) = self.position(name) else { return Err(self.missing(name)) };
        let mut found = self.parent;
        if let Some((node, taken)) = self.elements.get_mut(position) {
            found = *node;
            *taken = true;
        }
        while self.elements.get(self.first_left).is_some_and(|(_, taken)| *taken) {
            self.first_left += 1;
        }
        Ok(found)
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
                "the element {expected} of namespace {}; there is one of namespace {:?}, and so it",
                self.namespace.uri(),
                child.tag_name().namespace().unwrap_or_default(),
            ),
            None => format!("the element {expected}"),
        };
        XmlError::at(self.parent, Problem::Missing(what))
    }

    /// That what was taken stood in the order of `names`, and that nothing of these names is left.
    ///
    /// # Errors
    /// Something is left, or stood in a wrong place.
    pub fn finish(self, names: &[&[Name]]) -> Result<(), XmlError> {
        let rank = |local: &str| names.iter().copied().flatten().position(|name| name.is(local));
        let mut furthest: Option<(usize, &str)> = None;
        for (node, taken) in &self.elements {
            let local = node.tag_name().name();
            let Some(rank) = rank(local) else { continue };
            if !taken {
                return Err(XmlError::at(*node, Problem::Twice(format!("the element {local}"))));
            }
            match furthest {
                Some((before, after)) if rank < before && !tolerated::either_order(local, after) => {
                    let problem = Problem::OutOfOrder { element: local.to_owned(), after: after.to_owned() };
                    return Err(XmlError::at(*node, problem));
                }
                Some((before, _)) if rank < before => {}
                _ => furthest = Some((rank, local)),
            }
        }
        Ok(())
    }
}
