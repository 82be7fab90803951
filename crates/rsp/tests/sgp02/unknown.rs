//! Unknown elements in every message: later versions and vendors add some.

use std::fmt::Debug;

use rsp::{
    finding::{self, FindingKind},
    sgp02::{Message, Namespace},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::samples::{self, Schema, Visitor};

struct WithUnknown {
    namespace: Namespace,
    count: usize,
}

impl Visitor for WithUnknown {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let text = message.to_xml(self.namespace);
        let ((), findings) = finding::collect(|| assert!(M::from_xml(&text).is_ok(), "{text}"));
        assert_eq!(findings, [], "{text}");
        for unknown in ["<rps:UnknownElement>1</rps:UnknownElement>", "<v:Later xmlns:v=\"urn:vendor\"/>"] {
            // Before the end of the message, and after its first element.
            let ends =
                [text.rfind("</"), text.find("</").and_then(|at| Some(at + text[at..].find('>')? + 1))];
            for at in ends.into_iter().flatten().filter(|at| *at < text.len()) {
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
fn an_unknown_element_is_accepted_in_every_message() {
    for namespace in Namespace::ALL {
        let mut visitor = WithUnknown { namespace, count: 0 };
        samples::visit(&mut visitor, namespace);
        assert!(visitor.count > 300, "{}", visitor.count);
    }
}
