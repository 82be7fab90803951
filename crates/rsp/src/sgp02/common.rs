//! Common parts of all messages: SGP.02 sections 5.1.1 to 5.1.5 and Annex B, the base types and the
//! leaf types of the schema.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use super::execution_status::{ExecutionStatus, FunctionExecutionStatus, StatusCodeData};
use super::{
    macros::structure,
    status::{Refusal, Status},
    xml::{Children, Name, Namespace, Parts, Prefix, Problem, Text, Writer, XmlError},
};
use crate::{ids::Imsi, time::Timestamp};

/// A message: one element in the body of an envelope.
pub trait Message: Parts + Clone + fmt::Debug + Send + Sync + 'static {
    /// The name of the element, the same in both namespaces.
    const ELEMENT: &'static str;

    /// Writes the element.
    fn write(&self, out: &mut Writer) {
        out.element(Prefix::Rps, Self::ELEMENT, &[], |out| self.write_parts(out));
    }

    /// Reads the element, regardless of its name.
    ///
    /// # Errors
    /// The element is not of this type.
    fn read(node: roxmltree::Node<'_, '_>, namespace: Namespace) -> Result<Self, XmlError> {
        Children::of(node, namespace).and_then(Self::read_all).map_err(|e| e.within(node.tag_name().name()))
    }

    /// Returns the element as a document of its own.
    fn to_xml(&self, namespace: Namespace) -> String {
        let mut out = Writer::new(namespace);
        self.write(&mut out);
        out.into_text()
    }

    /// Reads a document that consists of the element.
    ///
    /// # Errors
    /// The document is another element or not of this type.
    fn from_xml(text: &str) -> Result<(Namespace, Self), XmlError> {
        let document = super::xml::parse(text)?;
        let root = document.root_element();
        let found = root.tag_name();
        let namespace = found.namespace().and_then(Namespace::from_uri);
        match namespace {
            Some(namespace) if super::xml::tolerated::spelt(found.name()) == Self::ELEMENT => {
                Self::read(root, namespace).map(|message| (namespace, message))
            }
            _ => {
                let what = format!("unexpected element {}, expected {}", found.name(), Self::ELEMENT);
                Err(XmlError::at(root, Problem::Unexpected(what)))
            }
        }
    }
}

/// The request of a function.
pub trait Request: Message {
    /// Returns the common part of all requests.
    fn base(&self) -> &BaseRequest;

    /// Returns the common part of all requests for modification.
    fn base_mut(&mut self) -> &mut BaseRequest;
}

/// The response of a function.
pub trait Response: Message {
    /// Returns the common part of all responses.
    fn base(&self) -> &BaseResponse;

    /// Returns the common part of all responses for modification.
    fn base_mut(&mut self) -> &mut BaseResponse;

    /// Creates a response that contains only the execution status.
    fn only(base: BaseResponse) -> Self;
}

/// The message pattern of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The response is in the HTTP response.
    Synchronous,
    /// The response is a later call in the other direction (callback).
    Asynchronous,
}

/// A function with a response.
pub trait Function {
    /// The request type.
    type Request: Request;
    /// The response type.
    type Response: Response;
    /// The interface, such as `ES3`.
    const INTERFACE: &'static str;
    /// The function group in the Action, such as `ProfileManagement`.
    const GROUP: &'static str;
    /// The function group in the Action of the callback, without `CallBack`.
    const CALLBACK_GROUP: &'static str;
    /// The name of the function, such as `ES3-GetEIS`.
    const NAME: &'static str;
    /// The message pattern.
    const PATTERN: Pattern;

    /// Returns the Action of the request.
    fn request_action() -> String {
        let suffix = if Self::PATTERN == Pattern::Synchronous { "Request" } else { "" };
        format!("http://gsma.com/{}/{}/{}{suffix}", Self::INTERFACE, Self::GROUP, Self::NAME)
    }

    /// Returns the Action of the response or callback.
    fn response_action() -> String {
        match Self::PATTERN {
            Pattern::Synchronous => {
                format!("http://gsma.com/{}/{}/{}Response", Self::INTERFACE, Self::GROUP, Self::NAME)
            }
            Pattern::Asynchronous => {
                format!("http://gsma.com/{}/{}CallBack/{}", Self::INTERFACE, Self::CALLBACK_GROUP, Self::NAME)
            }
        }
    }
}

/// A message without a response.
pub trait Notification: Message {
    /// The interface, such as `ES3`.
    const INTERFACE: &'static str;
    /// The function group in the Action, such as `PlatformManagement`.
    const GROUP: &'static str;

    /// Returns the Action.
    fn action() -> String {
        format!("http://gsma.com/{}/{}/{}", Self::INTERFACE, Self::GROUP, Self::ELEMENT)
    }
}

structure! {
    /// The common part of all requests.
    pub struct BaseRequest {
        /// The caller's identifier of the call. A repeated call has the same identifier.
        function_call_identifier: String = "functionCallIdentifier" / "FunctionCallIdentifier",
        /// The validity period in seconds from reception.
        validity_period: Option<u64> = "validityPeriod" / "ValidityPeriod",
    }
}

structure! {
    /// The common part of all responses.
    #[derive(Default)]
    pub struct BaseResponse {
        processing_start: Option<Timestamp> = "processingStart" / "ProcessingStart",
        processing_end: Option<Timestamp> = "processingEnd" / "ProcessingEnd",
        /// The acceptable validity period in seconds. Present only with
        /// [`ExecutionStatus::Expired`].
        acceptable_validity_period: Option<u64> = "acceptableValidityPeriod" / "AcceptableValidityPeriod",
        function_execution_status: FunctionExecutionStatus = "functionExecutionStatus" / "FunctionExecutionStatus",
    }
}

structure! {
    /// The common part of all notifications, which is empty.
    #[derive(Copy, Default)]
    pub struct BaseNotification {}
}

impl BaseRequest {
    pub(crate) const PARTS: &'static [Name] = first(Self::NAMES);

    /// Creates a request with this call identifier and without a validity period.
    pub fn new(function_call_identifier: impl Into<String>) -> Self {
        Self { function_call_identifier: function_call_identifier.into(), validity_period: None }
    }
}

impl BaseNotification {
    pub(crate) const PARTS: &'static [Name] = first(Self::NAMES);
}

impl BaseResponse {
    pub(crate) const PARTS: &'static [Name] = first(Self::NAMES);

    /// Creates a response with status Failed.
    pub fn failed(refusal: &Refusal) -> Self {
        Self { function_execution_status: refusal.to_status(ExecutionStatus::Failed), ..Self::default() }
    }

    /// Creates a response with status Executed-WithWarning.
    pub fn with_warning(refusal: &Refusal) -> Self {
        Self {
            function_execution_status: refusal.to_status(ExecutionStatus::ExecutedWithWarning),
            ..Self::default()
        }
    }

    /// Creates a response with status Expired, for a validity period that has ended or is too
    /// short. Contains an acceptable validity period if there is one.
    pub fn expired(acceptable_validity_period: Option<u64>, message: impl Into<String>) -> Self {
        let refusal = Status::FunctionExpired.because(message);
        Self {
            acceptable_validity_period,
            function_execution_status: refusal.to_status(ExecutionStatus::Expired),
            ..Self::default()
        }
    }

    /// True if the function was executed.
    pub fn is_done(&self) -> bool {
        matches!(
            self.function_execution_status.status,
            ExecutionStatus::ExecutedSuccess | ExecutionStatus::ExecutedWithWarning
        )
    }
}

const fn first(names: &'static [&'static [Name]]) -> &'static [Name] {
    match names {
        [first, ..] => first,
        [] => &[],
    }
}

/// MSISDN: 3 to 15 digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Msisdn(String);

impl Msisdn {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Msisdn({})", self.0)
    }
}

impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Msisdn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number = (3..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if is_number {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an MSISDN (3 to 15 digits)"))
        }
    }
}

impl Text for Msisdn {
    fn to_text(&self) -> String {
        self.0.clone()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.trim().parse()
    }
}

impl Serialize for Msisdn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Msisdn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

structure! {
    /// The addresses of a subscription.
    #[derive(Default, JsonSchema)]
    pub struct SubscriptionAddress {
        imsi: Option<Imsi> = "imsi" / "Imsi",
        msisdn: Option<Msisdn> = "msisdn" / "Msisdn",
    }
}
