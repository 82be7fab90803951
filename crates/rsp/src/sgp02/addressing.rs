//! WS-Addressing headers, and the fields of SGP.02's RPS header that are mapped to them: Annex B.
//!
//! | field of the RPS header | location |
//! |---|---|
//! | SenderEntity | `EntityId` and `EntityName` of the From address |
//! | SenderName | `UserName` of the From address (not verified against the text of the standard) |
//! | ReceiverEntity | `EntityId` of To |
//! | ResponseEndpoint | the address of ReplyTo |
//! | TransactionId, ContextId, MessageDate | parameters of the MessageID |

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::xml::{Prefix, Problem, Text, Writer, XmlError, text_of, tolerated};
use crate::{
    finding::{FindingKind, report},
    ids::Oid,
    time::Timestamp,
};

/// The ReplyTo address for a response in the HTTP response.
const ANONYMOUS: &str = "http://www.w3.org/2005/08/addressing/anonymous";
const NONE: &str = "http://www.w3.org/2005/08/addressing/none";
const REPLY: &str = "http://www.w3.org/2005/08/addressing/reply";

/// The characters that are escaped in a query value.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'+');

/// The WS-Addressing headers of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The sender.
    pub from: Endpoint,
    /// The receiver.
    pub to: Endpoint,
    /// The identifier of the message.
    pub message_id: MessageId,
    /// The action of the message.
    pub action: String,
    /// The MessageID of the request to which this message is the response.
    pub relates_to: Option<String>,
    /// The endpoint for a later response.
    pub reply_to: Option<Endpoint>,
}

/// The address and the identity of a party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The URI without the parameters below.
    pub address: String,
    /// The identifier of the party.
    pub entity_id: Option<Oid>,
    /// The name of the party.
    pub entity_name: Option<String>,
    /// The name of the user who acts for the party.
    pub user_name: Option<String>,
}

impl Endpoint {
    /// Creates an endpoint without names.
    pub fn new(address: impl Into<String>, entity_id: Option<Oid>) -> Self {
        Self { address: address.into(), entity_id, entity_name: None, user_name: None }
    }

    /// Returns the whole URI.
    pub fn to_uri(&self) -> String {
        let entity_id = self.entity_id.as_ref().map(ToString::to_string);
        with_parameters(
            &self.address,
            &[
                ("EntityId", entity_id.as_deref()),
                ("EntityName", self.entity_name.as_deref()),
                ("UserName", self.user_name.as_deref()),
            ],
        )
    }

    /// Parses the whole URI.
    ///
    /// # Errors
    /// The EntityId is not an OID.
    pub fn from_uri(uri: &str) -> Result<Self, String> {
        let mut found = Self::new("", None);
        found.address = without_parameters(uri, |name, value| {
            match name {
                "EntityId" => found.entity_id = Some(value.parse().map_err(|e| format!("EntityId: {e}"))?),
                "EntityName" => found.entity_name = Some(value),
                "UserName" => found.user_name = Some(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(found)
    }
}

/// The identifier of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageId {
    /// The URI without the parameters below, such as `//1.3.6.1.4.1.20/6f1b`.
    pub uri: String,
    /// The transaction identifier, the same in a request and its response.
    pub transaction_id: Option<String>,
    /// The context identifier, the same in all related messages.
    pub context_id: Option<String>,
    /// The date of the message.
    pub message_date: Option<Timestamp>,
}

impl MessageId {
    /// Returns the whole URI.
    pub fn to_uri(&self) -> String {
        let date = self.message_date.map(|date| date.to_string());
        with_parameters(
            &self.uri,
            &[
                ("TransactionId", self.transaction_id.as_deref()),
                ("ContextId", self.context_id.as_deref()),
                ("MessageDate", date.as_deref()),
            ],
        )
    }

    /// Parses the whole URI. An invalid date is ignored, because nothing depends on it.
    pub fn from_uri(uri: &str) -> Self {
        let mut found =
            Self { uri: String::new(), transaction_id: None, context_id: None, message_date: None };
        let rest = without_parameters(uri, |name, value| {
            match name {
                "TransactionId" => found.transaction_id = Some(value),
                "ContextId" => found.context_id = Some(value),
                "MessageDate" => found.message_date = Timestamp::from_text(&value).ok(),
                _ => return Ok(false),
            }
            Ok(true)
        });
        found.uri = rest.unwrap_or_else(|_| uri.to_owned());
        found
    }

    /// Returns the part of a MessageID that identifies the message: the URI without any parameters.
    /// In RelatesTo, some peers include the parameters and some do not.
    pub fn key(uri: &str) -> &str {
        uri.split_once('?').map_or(uri, |(key, _)| key)
    }
}

fn with_parameters(uri: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut out = uri.to_owned();
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.extend([name, "="]);
            out.extend(utf8_percent_encode(value, ESCAPED));
        }
    }
    out
}

/// Returns the URI without the parameters for which `keep` returns true.
fn without_parameters(
    uri: &str,
    mut keep: impl FnMut(&str, String) -> Result<bool, String>,
) -> Result<String, String> {
    let Some((path, query)) = uri.split_once('?') else { return Ok(uri.to_owned()) };
    let mut out = path.to_owned();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        if !keep(name, value)? {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(parameter);
        }
    }
    Ok(out)
}

impl Header {
    /// Writes the header blocks. Their order is not significant.
    pub(super) fn write(&self, out: &mut Writer) {
        let leaf = |out: &mut Writer, name: &str, text: &str| {
            out.element(Prefix::Wsa, name, &[], |out| out.text(text))
        };
        let endpoint = |out: &mut Writer, name: &str, endpoint: &Endpoint| {
            out.element(Prefix::Wsa, name, &[], |out| leaf(out, "Address", &endpoint.to_uri()));
        };
        endpoint(out, "From", &self.from);
        leaf(out, "To", &self.to.to_uri());
        leaf(out, "MessageID", &self.message_id.to_uri());
        leaf(out, "Action", &self.action);
        if let Some(relates_to) = &self.relates_to {
            out.element(Prefix::Wsa, "RelatesTo", &[("RelationshipType", REPLY)], |out| out.text(relates_to));
        }
        if let Some(reply_to) = &self.reply_to {
            endpoint(out, "ReplyTo", reply_to);
        }
    }

    /// Reads the headers from the SOAP header.
    pub(super) fn read(header: roxmltree::Node<'_, '_>) -> Result<Self, XmlError> {
        let blocks = Blocks { header };
        blocks.report_unknown();
        let from = blocks.mandatory("From")?;
        let to = blocks.mandatory("To")?;
        let message_id = blocks.mandatory("MessageID")?;
        Ok(Self {
            from: endpoint_of(from, &address_of(from)?)?,
            to: endpoint_of(to, &trimmed(to)?)?,
            message_id: MessageId::from_uri(&trimmed(message_id)?),
            action: trimmed(blocks.mandatory("Action")?)?,
            relates_to: blocks.optional("RelatesTo")?.map(trimmed).transpose()?,
            reply_to: match blocks.optional("ReplyTo")? {
                Some(node) => match address_of(node)?.as_str() {
                    ANONYMOUS | NONE => None,
                    address => Some(endpoint_of(node, address)?),
                },
                None => None,
            },
        })
    }
}

struct Blocks<'a, 'i> {
    header: roxmltree::Node<'a, 'i>,
}

/// The header blocks of WS-Addressing. FaultTo is ignored, because faults are in the HTTP response.
const BLOCKS: [&str; 7] = ["From", "To", "MessageID", "Action", "RelatesTo", "ReplyTo", "FaultTo"];

impl<'a, 'i> Blocks<'a, 'i> {
    /// Reports the header blocks that are not defined.
    fn report_unknown(&self) {
        for block in self.header.children().filter(roxmltree::Node::is_element) {
            let name = block.tag_name();
            if !tolerated::is_addressing(name.namespace()) || !BLOCKS.contains(&name.name()) {
                let namespace = name.namespace().unwrap_or_default();
                report(FindingKind::UnknownElement, || {
                    format!("header {} in namespace {namespace}", name.name())
                });
            }
        }
    }

    fn optional(&self, name: &str) -> Result<Option<roxmltree::Node<'a, 'i>>, XmlError> {
        let mut found = self.header.children().filter(|node| {
            node.is_element()
                && node.tag_name().name() == name
                && tolerated::is_addressing(node.tag_name().namespace())
        });
        let first = found.next();
        match found.next() {
            Some(again) => Err(XmlError::at(again, Problem::Twice(format!("the header {name}")))),
            None => Ok(first),
        }
    }

    fn mandatory(&self, name: &str) -> Result<roxmltree::Node<'a, 'i>, XmlError> {
        let missing =
            || XmlError::at(self.header, Problem::Missing(format!("the WS-Addressing header {name}")));
        self.optional(name)?.ok_or_else(missing)
    }
}

fn trimmed(node: roxmltree::Node<'_, '_>) -> Result<String, XmlError> {
    let text =
        text_of(node).map(|text| text.trim().to_owned()).map_err(|e| e.within(node.tag_name().name()))?;
    if text.is_empty() {
        let what = format!("the text of the header {}", node.tag_name().name());
        return Err(XmlError::at(node, Problem::Missing(what)));
    }
    Ok(text)
}

fn address_of(reference: roxmltree::Node<'_, '_>) -> Result<String, XmlError> {
    let is_address = |node: &roxmltree::Node<'_, '_>| {
        node.tag_name().name() == "Address" && tolerated::is_addressing(node.tag_name().namespace())
    };
    let mut elements = reference.children().filter(roxmltree::Node::is_element);
    let address = elements.clone().find(is_address);
    let name = reference.tag_name().name();
    if let Some(other) = elements.find(|node| !is_address(node)) {
        report(FindingKind::UnknownElement, || format!("{} in the header {name}", other.tag_name().name()));
    }
    let missing = || XmlError::at(reference, Problem::Missing(format!("the Address in the header {name}")));
    trimmed(address.ok_or_else(missing)?).map_err(|e| e.within(name))
}

fn endpoint_of(node: roxmltree::Node<'_, '_>, uri: &str) -> Result<Endpoint, XmlError> {
    Endpoint::from_uri(uri)
        .map_err(|why| XmlError::at(node, Problem::BadValue(why)).within(node.tag_name().name()))
}
