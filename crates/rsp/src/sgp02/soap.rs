//! The SOAP 1.2 envelope, document/literal: SGP.02 Annex B.

use roxmltree::{Document, Node};

use crate::finding::{self, FindingKind};

use super::{
    addressing::Header,
    common::{BaseRequest, BaseResponse, Message},
    xml::{
        Children, MAX_OCTETS, Namespace, Parts, Prefix, Problem, Writer, XmlError, exclusive, text_of,
        tolerated,
    },
};

const SOAP_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";
const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The media type of SOAP 1.2.
pub const MEDIA_TYPE: &str = "application/soap+xml";

/// Returns the Content-Type of a message with this Action.
pub fn content_type(action: &str) -> String {
    format!("{MEDIA_TYPE}; charset=utf-8; action=\"{action}\"")
}

/// True if the Content-Type is acceptable for a message: that of SOAP 1.2 or plain XML, which some
/// peers send. Plain XML is a finding.
pub fn is_content_type(value: &str) -> bool {
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let is_soap = MEDIA_TYPE.eq_ignore_ascii_case(media_type);
    let is_xml = ["text/xml", "application/xml"].iter().any(|known| known.eq_ignore_ascii_case(media_type));
    if is_xml {
        finding::report(FindingKind::ContentType, || media_type.to_owned());
    }
    is_soap || is_xml
}

/// Decodes the octets of a body to text.
///
/// # Errors
/// The body is too large or not UTF-8.
pub fn text(octets: &[u8]) -> Result<&str, XmlError> {
    if octets.len() > MAX_OCTETS {
        return Err(XmlError::of(Problem::TooLarge("octets")));
    }
    let octets = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets);
    std::str::from_utf8(octets).map_err(|_| XmlError::of(Problem::NotUtf8))
}

/// Writes a message in its envelope.
pub fn envelope<M: Message>(header: &Header, namespace: Namespace, message: &M) -> String {
    enclose(header, &message.to_xml(namespace))
}

/// Encloses the text of a message ([`Message::to_xml`]) in an envelope.
pub fn enclose(header: &Header, message: &str) -> String {
    // Everything written here except the message is the same in both namespaces.
    let mut out = Writer::new(Namespace::default());
    out.element(Prefix::Soap, "Envelope", &[], |out| {
        out.element(Prefix::Soap, "Header", &[], |out| header.write(out));
        out.element(Prefix::Soap, "Body", &[], |out| out.canonical(message));
    });
    out.into_text()
}

/// A SOAP fault: the reason why a text was not accepted as a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoapFault {
    /// The fault code, which indicates the party at fault.
    pub code: FaultCode,
    /// The reason as text.
    pub reason: String,
}

/// The fault codes of SOAP 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The envelope has another SOAP version.
    VersionMismatch,
    /// A header marked mustUnderstand is not supported.
    MustUnderstand,
    /// The message is invalid.
    Sender,
    /// The message may be valid, but this server failed to process it.
    Receiver,
}

impl FaultCode {
    const ALL: [Self; 4] = [Self::VersionMismatch, Self::MustUnderstand, Self::Sender, Self::Receiver];

    /// Returns the code in the spelling of SOAP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VersionMismatch => "VersionMismatch",
            Self::MustUnderstand => "MustUnderstand",
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
        }
    }
}

impl std::fmt::Display for SoapFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SOAP fault {}: {}", self.code.name(), self.reason)
    }
}

impl std::error::Error for SoapFault {}

impl From<XmlError> for SoapFault {
    fn from(error: XmlError) -> Self {
        Self { code: FaultCode::Sender, reason: error.to_string() }
    }
}

impl SoapFault {
    /// Creates a fault of the sender.
    pub fn sender(reason: impl Into<String>) -> Self {
        Self { code: FaultCode::Sender, reason: reason.into() }
    }

    /// Creates a fault of the receiver, this server.
    pub fn receiver(reason: impl Into<String>) -> Self {
        Self { code: FaultCode::Receiver, reason: reason.into() }
    }

    /// Writes the fault in its envelope.
    pub fn to_xml(&self) -> String {
        let mut out = Writer::new(Namespace::default());
        out.element(Prefix::Soap, "Envelope", &[], |out| {
            out.element(Prefix::Soap, "Body", &[], |out| {
                out.element(Prefix::Soap, "Fault", &[], |out| {
                    out.element(Prefix::Soap, "Code", &[], |out| {
                        let value = format!("soap:{}", self.code.name());
                        out.element(Prefix::Soap, "Value", &[], |out| out.text(&value));
                    });
                    out.element(Prefix::Soap, "Reason", &[], |out| {
                        out.element(Prefix::Soap, "Text", &[("xml:lang", "en")], |out| {
                            out.text(&self.reason)
                        });
                    });
                });
            });
        });
        out.into_text()
    }

    /// Decodes a fault element. Missing parts are left empty.
    fn of(fault: Node<'_, '_>) -> Self {
        let text = |name| {
            let found = fault.descendants().find(|node| node.has_tag_name((SOAP_1_2, name)));
            found.and_then(|node| text_of(node).ok()).unwrap_or_default()
        };
        let value = text("Value");
        let local = value.trim().rsplit(':').next().unwrap_or_default().to_owned();
        let code =
            FaultCode::ALL.into_iter().find(|code| code.name() == local).unwrap_or(FaultCode::Receiver);
        Self { code, reason: text("Text").trim().to_owned() }
    }
}

/// A received envelope whose message has not been decoded yet.
#[derive(Clone, Debug)]
pub struct Envelope<'a, 'i> {
    /// The WS-Addressing headers.
    pub header: Header,
    /// The namespace of the message.
    pub namespace: Namespace,
    body: Node<'a, 'i>,
}

/// The contents of a received envelope.
#[derive(Clone, Debug)]
pub enum Received<'a, 'i> {
    /// A message.
    Message(Box<Envelope<'a, 'i>>),
    /// A fault from the peer.
    Fault(SoapFault),
}

impl<'a, 'i> Envelope<'a, 'i> {
    /// Decodes the envelope of a message.
    ///
    /// # Errors
    /// The document is not an envelope, or it contains a fault.
    pub fn read(document: &'a Document<'i>) -> Result<Self, SoapFault> {
        match Self::receive(document)? {
            Received::Message(envelope) => Ok(*envelope),
            Received::Fault(fault) => {
                Err(SoapFault::sender(format!("expected a message, received a fault: {fault}")))
            }
        }
    }

    /// Decodes the envelope of a message or of a fault.
    ///
    /// # Errors
    /// The document is not an envelope with either of them.
    pub fn receive(document: &'a Document<'i>) -> Result<Received<'a, 'i>, SoapFault> {
        let root = document.root_element();
        match (root.tag_name().namespace(), root.tag_name().name()) {
            (Some(SOAP_1_2), "Envelope") => {}
            (Some(SOAP_1_1), "Envelope") => {
                let reason = "the envelope has SOAP version 1.1; use version 1.2".to_owned();
                return Err(SoapFault { code: FaultCode::VersionMismatch, reason });
            }
            (_, other) => {
                let what = format!("unexpected element {other}, expected the Envelope of SOAP 1.2");
                return Err(XmlError::at(root, Problem::Unexpected(what)).into());
            }
        }
        let mut parts = root.children().filter(Node::is_element);
        let first = parts.next();
        let (header, body) = match first {
            Some(node) if node.has_tag_name((SOAP_1_2, "Header")) => (Some(node), parts.next()),
            other => (None, other),
        };
        let body = body.filter(|node| node.has_tag_name((SOAP_1_2, "Body")));
        let body =
            body.ok_or_else(|| XmlError::at(root, Problem::Missing("the Body of the envelope".to_owned())))?;
        if let Some(more) = parts.next() {
            let what = format!("unexpected element {} after the Body", more.tag_name().name());
            return Err(XmlError::at(more, Problem::Unexpected(what)).into());
        }
        let mut contents = body.children().filter(Node::is_element);
        let content = contents
            .next()
            .ok_or_else(|| XmlError::at(body, Problem::Missing("the message in the Body".to_owned())))?;
        if let Some(more) = contents.next() {
            return Err(XmlError::at(more, Problem::Twice("the message in the Body".to_owned())).into());
        }
        if content.has_tag_name((SOAP_1_2, "Fault")) {
            return Ok(Received::Fault(SoapFault::of(content)));
        }
        let header = header
            .ok_or_else(|| XmlError::at(root, Problem::Missing("the Header of the envelope".to_owned())))?;
        check_must_understand(header)?;
        let uri = content.tag_name().namespace().unwrap_or_default();
        let namespace = Namespace::from_uri(uri).ok_or_else(|| {
            let what = format!(
                "unexpected element {} in namespace {uri:?}, expected a message in {} or {}",
                content.tag_name().name(),
                Namespace::V1.uri(),
                Namespace::V3.uri(),
            );
            XmlError::at(content, Problem::Unexpected(what))
        })?;
        let header = Header::read(header).map_err(|e| e.within("Header"))?;
        Ok(Received::Message(Box::new(Self { header, namespace, body: content })))
    }

    /// Returns the name of the message element in the spelling of the schema.
    pub fn element(&self) -> &str {
        tolerated::spelt(self.body.tag_name().name())
    }

    /// Returns the message element on its own in exclusive canonical form.
    pub fn canonical(&self) -> String {
        exclusive(self.body)
    }

    /// Decodes only the common part of all requests.
    ///
    /// # Errors
    /// The message is not a request.
    pub fn base_request(&self) -> Result<BaseRequest, XmlError> {
        self.common_part()
    }

    /// Decodes only the common part of all responses.
    ///
    /// # Errors
    /// The message is not a response.
    pub fn base_response(&self) -> Result<BaseResponse, XmlError> {
        self.common_part()
    }

    /// Decodes the elements of `P`. The other elements are those of the function, so they are not
    /// findings.
    fn common_part<P: Parts>(&self) -> Result<P, XmlError> {
        let (read, _) = finding::collect(|| Children::of(self.body, self.namespace).and_then(P::read_all));
        read.map_err(|e| e.within(self.body.tag_name().name()))
    }

    /// Decodes the message as one of type `M`. The caller must have checked the name of the
    /// element.
    ///
    /// # Errors
    /// The message is not of type `M`.
    pub fn message<M: Message>(&self) -> Result<M, XmlError> {
        M::read(self.body, self.namespace)
    }
}

/// Refuses unsupported headers that are marked mustUnderstand (SOAP 1.2 part 1, section 5.2.3).
fn check_must_understand(header: Node<'_, '_>) -> Result<(), SoapFault> {
    for block in header.children().filter(Node::is_element) {
        let must = block.attribute((SOAP_1_2, "mustUnderstand")).map(str::trim);
        let is_supported = tolerated::is_addressing(block.tag_name().namespace());
        if matches!(must, Some("true" | "1")) && !is_supported {
            let reason =
                format!("the header {} is marked mustUnderstand but not supported", block.tag_name().name());
            return Err(SoapFault { code: FaultCode::MustUnderstand, reason });
        }
    }
    Ok(())
}
