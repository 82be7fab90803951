//! Encoding and decoding of every message.

use std::fmt::Debug;

use rsp::sgp02::{
    Message, Namespace,
    soap::Envelope,
    soap::envelope,
    xml::{exclusive, parse},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    headers,
    samples::{self, Schema, Visitor},
};

struct RoundTrip {
    namespace: Namespace,
    count: usize,
}

impl Visitor for RoundTrip {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        self.count += 1;
        let text = message.to_xml(self.namespace);
        assert_eq!(M::from_xml(&text), Ok((self.namespace, message.clone())), "{text}");

        let text = envelope(&headers::header("http://gsma.com/x"), self.namespace, &message);
        let document = parse(&text).unwrap();
        let received = Envelope::read(&document).unwrap();
        assert_eq!(received.element(), M::ELEMENT);
        assert_eq!(received.header, headers::header("http://gsma.com/x"));
        assert_eq!(received.message::<M>(), Ok(message.clone()));
        // The message is the same in its envelope and as a document of its own. It is in canonical
        // form as written, except that a signed element repeats namespace declarations.
        let alone = message.to_xml(self.namespace);
        assert_eq!(received.canonical(), exclusive(parse(&alone).unwrap().root_element()));
        if !alone.contains("xmldsig") {
            assert_eq!(received.canonical(), alone);
        }

        let record = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<M>(&record).unwrap(), message, "{record}");

        let other = Namespace::ALL.into_iter().find(|other| *other != self.namespace).unwrap();
        assert!(text.contains(self.namespace.uri()) && !text.contains(other.uri()));
    }
}

#[test]
fn every_message_is_encoded_and_decoded_in_both_namespaces() {
    for namespace in Namespace::ALL {
        let mut round_trip = RoundTrip { namespace, count: 0 };
        samples::visit(&mut round_trip, namespace);
        assert_eq!(round_trip.count, 152);
    }
}

#[test]
fn the_text_of_a_signed_element_is_preserved() {
    let signed_eis = samples::eis(Namespace::V3);
    let text = signed_eis.eum_signed_info.text().to_owned();
    // The software of an EUM may use another prefix and other quotes, and declare the namespace on
    // an outer element.
    let foreign = text.replace("rps:", "e:").replace("xmlns:rps=\"", "xmlns:e=\"");
    let message = rsp::sgp02::es1::RegisterEisRequest { base: samples::request(), eis: signed_eis };
    let whole = message.to_xml(Namespace::V3).replace(&text, &foreign);
    let (_, received) = rsp::sgp02::es1::RegisterEisRequest::from_xml(&whole).unwrap();
    assert_eq!(received.eis.eum_signed_info.text(), foreign);
    let record = serde_json::to_string(&received).unwrap();
    let stored: rsp::sgp02::es1::RegisterEisRequest = serde_json::from_str(&record).unwrap();
    let (_, again) = rsp::sgp02::es1::RegisterEisRequest::from_xml(&stored.to_xml(Namespace::V3)).unwrap();
    assert_eq!(again.eis.eum_signed_info.text(), foreign);
    assert_eq!(
        again.eis.eum_signature.check(&again.eis.eum_signed_info, samples::digest, |_, _| Ok(())),
        Err(rsp::sgp02::signature::SignatureError::Digest),
        "another prefix is another text"
    );
    // The other namespace requires new text.
    let (_, other) = rsp::sgp02::es1::RegisterEisRequest::from_xml(&stored.to_xml(Namespace::V1)).unwrap();
    assert_eq!(*other.eis.eum_signed_info, *again.eis.eum_signed_info);
    assert_ne!(other.eis.eum_signed_info.text(), foreign);
}
