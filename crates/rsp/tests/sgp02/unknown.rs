//! Unknown elements and longer values in every message, and unknown headers: later versions and
//! vendors add some. Elements without a namespace, and two elements in the reverse order.

use std::{collections::BTreeSet, fmt::Debug};

use rsp::{
    finding::{self, FindingKind},
    sgp02::{
        Message, Namespace, es1,
        soap::{Envelope, envelope},
        xml::parse,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    headers::header,
    samples::{self, Schema, Visitor},
};

/// Elements that no version defines.
const UNKNOWN: [&str; 2] =
    ["<rps:UnknownElement>1</rps:UnknownElement>", "<v:Later xmlns:v=\"urn:vendor\"/>"];

struct WithUnknown {
    namespace: Namespace,
    count: usize,
}

/// Returns the positions in the text at which an element can be inserted between others: behind
/// each end tag, and in front of the first element of a parent.
fn between_elements(text: &str) -> Vec<usize> {
    let mut found = BTreeSet::new();
    // The contents of a signature are XML-DSig.
    let signature = text.find("<ds:").map(|from| {
        let last = text.rfind("</ds:").unwrap();
        from..=last + text[last..].find('>').unwrap() + 1
    });
    for (at, _) in text.match_indices('<').filter(|(at, _)| *at > 0) {
        let follows_a_tag = text[..at].ends_with('>');
        let is_end = text[at..].starts_with("</");
        let start = text[..at].rfind('<').unwrap();
        // An empty element can be one that contains text.
        let is_empty = is_end && !text[start..].starts_with("</") && !text[start..at].ends_with("/>");
        let is_signed = signature.as_ref().is_some_and(|signature| signature.contains(&at));
        if follows_a_tag && !is_empty && !is_signed {
            found.insert(at);
        }
    }
    found.into_iter().collect()
}

impl Visitor for WithUnknown {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let text = message.to_xml(self.namespace);
        let ((), findings) = finding::collect(|| assert!(M::from_xml(&text).is_ok(), "{text}"));
        assert_eq!(findings, [], "{text}");
        for unknown in UNKNOWN {
            for at in between_elements(&text) {
                let mut with_unknown = text.clone();
                with_unknown.insert_str(at, unknown);
                let (decoded, findings) = finding::collect(|| M::from_xml(&with_unknown));
                // An element in the signed part of an EIS is kept, because its octets are signed.
                let (_, decoded) = decoded.unwrap_or_else(|e| panic!("{e}: {with_unknown}"));
                if !text.contains("xmldsig") {
                    assert_eq!(decoded, message, "{with_unknown}");
                }
                let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
                assert_eq!(kinds, [FindingKind::UnknownElement], "{with_unknown}");
                self.count += 1;
            }
        }
    }
}

#[test]
fn an_unknown_element_is_accepted_at_every_place_of_every_message() {
    for namespace in Namespace::ALL {
        let mut visitor = WithUnknown { namespace, count: 0 };
        samples::visit(&mut visitor, namespace);
        assert!(visitor.count > 2000, "{}", visitor.count);
    }
}

/// Elements that some systems send in the reverse order.
const EITHER_ORDER: [[&str; 2]; 4] =
    [["iccid", "smsrId"], ["Iccid", "Smsr-id"], ["Iccid", "SmSr-id"], ["key", "certificate"]];

struct InOtherForms {
    namespace: Namespace,
    without_namespace: usize,
    reversed: usize,
}

impl InOtherForms {
    fn accepts<M: Message + PartialEq + Debug>(text: &str, message: &M) {
        let (decoded, findings) = finding::collect(|| M::from_xml(text));
        let (_, decoded) = decoded.unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(decoded, *message, "{text}");
        assert!(!findings.is_empty(), "{text}");
        assert!(findings.iter().all(|finding| finding.kind == FindingKind::XmlForm), "{findings:?}");
    }
}

/// Exchanges the first two neighbouring elements with these names.
fn reversed(text: &str, one: &str, other: &str) -> Option<String> {
    let (start, end) = (format!("<rps:{one}>"), format!("</rps:{one}><rps:{other}>"));
    let middle = text.find(&end)? + end.len() - other.len() - "<rps:>".len();
    let from = text[..middle].rfind(&start)?;
    let end = format!("</rps:{other}>");
    let to = middle + text[middle..].find(&end)? + end.len();
    Some([&text[..from], &text[middle..to], &text[from..middle], &text[to..]].concat())
}

impl Visitor for InOtherForms {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let text = message.to_xml(self.namespace);
        // An EIS has a signature over octets.
        if text.contains("xmldsig") {
            return;
        }
        for [one, other] in EITHER_ORDER.into_iter().flat_map(|[one, other]| [[one, other], [other, one]]) {
            if let Some(text) = reversed(&text, one, other) {
                Self::accepts(&text, &message);
                self.reversed += 1;
            }
        }
        let (start, end) = (text.find('>').unwrap() + 1, text.rfind("</").unwrap_or(text.len()));
        if start < end && text[start..end].contains("<rps:") {
            let contents = text[start..end].replace("<rps:", "<").replace("</rps:", "</");
            Self::accepts(&[&text[..start], &contents, &text[end..]].concat(), &message);
            self.without_namespace += 1;
        }
    }
}

#[test]
fn elements_without_a_namespace_and_in_the_reverse_order_are_accepted() {
    for namespace in Namespace::ALL {
        let mut visitor = InOtherForms { namespace, without_namespace: 0, reversed: 0 };
        samples::visit(&mut visitor, namespace);
        assert!(visitor.without_namespace > 50, "{}", visitor.without_namespace);
        assert!(visitor.reversed > 2, "{}", visitor.reversed);
    }
}

/// The elements whose text has no maximum length.
const UNBOUNDED: [&str; 18] = [
    "connectivityparameters",
    "data",
    "derivationrandom",
    "digestvalue",
    "ephemeralpublickey",
    "euiccresponsedata",
    "functioncallidentifier",
    "message",
    "profiletype",
    "randomchallenge",
    "reason",
    "receipt",
    "signature",
    "smsrcertificate",
    "subject",
    "subjectidentifier",
    "value",
    "x509certificate",
];

/// The elements with a maximum length that has no effect.
const USUALLY_SHORTER: [&str; 6] = ["imei", "meid", "platformtype", "profiletype", "sdin", "sin"];

struct WithLonger {
    namespace: Namespace,
    accepted: BTreeSet<String>,
    reported: BTreeSet<String>,
}

impl Visitor for WithLonger {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let text = message.to_xml(self.namespace);
        for (at, _) in text.match_indices("</") {
            if text[..at].ends_with('>') {
                continue;
            }
            let name = text[at + 2..].split(['>', ':']).nth(1).unwrap().to_lowercase();
            let mut longer = text.clone();
            longer.insert_str(at, &"41".repeat(1000));
            let (decoded, findings) = finding::collect(|| M::from_xml(&longer));
            match decoded {
                // The element has another type of the schema, of which the longer text is no value.
                Err(_) => {}
                Ok(_) if findings.is_empty() => drop(self.accepted.insert(name)),
                Ok(_) => {
                    assert_eq!(findings[0].kind, FindingKind::LongValue, "{longer}");
                    self.reported.insert(name);
                }
            }
        }
    }
}

#[test]
fn a_longer_value_is_accepted_unless_it_has_a_type_of_the_schema() {
    for namespace in Namespace::ALL {
        let mut found = WithLonger { namespace, accepted: BTreeSet::new(), reported: BTreeSet::new() };
        samples::visit(&mut found, namespace);
        assert_eq!(found.accepted.iter().collect::<Vec<_>>(), UNBOUNDED);
        assert_eq!(found.reported.iter().collect::<Vec<_>>(), USUALLY_SHORTER);
    }
}

#[test]
fn an_unknown_header_is_accepted() {
    let text = envelope(&header("http://gsma.com/x"), Namespace::V3, &es1::RegisterEisResponse::default());
    let read = |text: &str| {
        let document = parse(text).unwrap();
        let (found, findings) = finding::collect(|| Envelope::read(&document).map(|it| it.header));
        (found.unwrap_or_else(|e| panic!("{e}: {text}")), findings)
    };
    let (expected, findings) = read(&text);
    assert_eq!(findings, []);
    let ends: Vec<_> =
        ["</wsa:From>", "</wsa:ReplyTo>", "</soap:Header>"].map(|end| text.find(end).unwrap()).into();
    for at in ends {
        let mut with_unknown = text.clone();
        with_unknown.insert_str(at, "<v:Later xmlns:v=\"urn:vendor\">1</v:Later>");
        let (found, findings) = read(&with_unknown);
        assert_eq!(found, expected);
        let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::UnknownElement], "{with_unknown}");
    }
}
