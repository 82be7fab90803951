//! Hostile and malformed XML: each case results in a clear error and never in a panic.

use std::fmt::Debug;

use rsp::sgp02::{
    Message, Namespace,
    es1::RegisterEisRequest,
    es2::DeleteProfileRequest,
    es3::{CreateIsdpRequest, GetEisRequest, SendDataRequest},
    soap::{Envelope, FaultCode, envelope, text},
    xml::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_OCTETS, Problem, parse},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    headers,
    samples::{self, Schema, Visitor},
};

fn get_eis() -> String {
    GetEisRequest { base: samples::request(), eid: samples::eid() }.to_xml(Namespace::V3)
}

fn error_of<M: Message + Debug>(text: &str) -> String {
    M::from_xml(text).expect_err(text).to_string()
}

#[test]
fn entities_and_document_types_are_refused() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
        <x>&lol2;</x>"#;
    assert_eq!(parse(bomb).unwrap_err().problem, Problem::DocumentType);
    let outside = r#"<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>"#;
    assert_eq!(parse(outside).unwrap_err().problem, Problem::DocumentType);
    assert!(matches!(parse("<x>&lol;</x>").unwrap_err().problem, Problem::NotXml(_)));
}

#[test]
fn documents_over_the_limits_are_refused() {
    let large = format!("<x>{}</x>", " ".repeat(MAX_OCTETS));
    assert_eq!(parse(&large).unwrap_err().problem, Problem::TooLarge("octets"));
    assert_eq!(text(large.as_bytes()).unwrap_err().problem, Problem::TooLarge("octets"));
    let many = format!("<x>{}</x>", "<y/>".repeat(usize::try_from(MAX_NODES).unwrap()));
    assert_eq!(parse(&many).unwrap_err().problem, Problem::TooLarge("elements"));
    let deep = |depth| format!("{}{}", "<x>".repeat(depth), "</x>".repeat(depth));
    for depth in [MAX_DEPTH + 1, 500_000] {
        assert_eq!(parse(&deep(depth)).unwrap_err().problem, Problem::TooLarge("levels of elements"));
    }
    assert!(parse(&deep(MAX_DEPTH)).is_ok());
    let attributes = |count: usize| (0..count).map(|i| format!(" a{i}='&gt;>'")).collect::<String>();
    for count in [MAX_ATTRIBUTES + 1, 200_000] {
        let wide = format!("<x{}/>", attributes(count));
        assert_eq!(parse(&wide).unwrap_err().problem, Problem::TooLarge("attributes"));
    }
    assert!(parse(&format!("<x{}/>", attributes(MAX_ATTRIBUTES))).is_ok());
    // The attributes of all open elements are counted together, because each may be a namespace in
    // scope.
    let half = attributes(MAX_ATTRIBUTES / 2 + 1);
    assert_eq!(
        parse(&format!("<x{half}><y{half}/></x>")).unwrap_err().problem,
        Problem::TooLarge("attributes")
    );
    assert!(parse(&format!("<x><y{half}/><y{half}/><y{half}></y></x>")).is_ok());
}

#[test]
fn text_that_resembles_elements_or_attributes_is_not_counted() {
    let signs = "<a b='1' c=2>".repeat(MAX_ATTRIBUTES);
    let text = format!(
        "<?pi {signs}?><x><!-- {signs} --><![CDATA[{signs}]]><?pi {signs} ?><y z=\"&lt;{}\"/></x>",
        "=".repeat(1000)
    );
    assert_eq!(parse(&text).map(|document| document.root_element().children().count()), Ok(4));
    for unclosed in ["<!-- ", "<x><![CDATA[", "<?pi", "<x a='", "<x a=\"", "<", "</", "<!", "<x/", ""] {
        assert!(parse(unclosed).is_err(), "{unclosed}");
    }
}

#[test]
fn the_cost_of_many_elements_is_linear() {
    // The first element is never taken. A decoder that searched from the start each time would be
    // quadratic.
    let iccid = "<rps:Iccid>8900012345678901234</rps:Iccid>";
    let right =
        rsp::sgp02::es4::AuditEisRequest { base: samples::request(), eid: samples::eid(), iccid: Vec::new() }
            .to_xml(Namespace::V3);
    let many = right.replace("</rps:Eid>", &format!("</rps:Eid><rps:Later/>{}", iccid.repeat(45_000)));
    assert_eq!(rsp::sgp02::es4::AuditEisRequest::from_xml(&many).unwrap().1.iccid.len(), 45_000);
}

#[test]
fn randomly_altered_octets_never_cause_a_panic() {
    let whole = envelope(
        &headers::header("http://gsma.com/x"),
        Namespace::V3,
        &RegisterEisRequest { base: samples::request(), eis: samples::eis(Namespace::V3) },
    );
    // A linear congruential generator, so that every run makes the same changes.
    let mut state = 0x5EED_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut decoded = 0;
    for _ in 0..4_000 {
        let mut octets = whole.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(octets.len());
            match next(3) {
                0 => octets[at] = b"<>&\"'/= x0\xFF"[next(11)],
                1 => drop(octets.drain(at..(at + next(40)).min(octets.len()))),
                _ => {
                    let piece = octets[at..(at + next(40)).min(octets.len())].to_vec();
                    octets.splice(at..at, piece);
                }
            }
        }
        let Ok(text) = text(&octets) else { continue };
        let Ok(document) = parse(text) else { continue };
        if let Ok(envelope) = Envelope::read(&document) {
            decoded += usize::from(envelope.message::<RegisterEisRequest>().is_ok());
        }
    }
    assert!((100..3_900).contains(&decoded), "{decoded} of 4000 decoded");
}

#[test]
fn octets_that_are_not_utf_8_are_refused() {
    assert_eq!(text(&[b'<', 0xFF, b'>']).unwrap_err().problem, Problem::NotUtf8);
    assert_eq!(text(b"\xEF\xBB\xBF<x/>").unwrap(), "<x/>");
}

#[test]
fn an_error_contains_the_element_and_the_position() {
    let right = get_eis();
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace("Eid>", "Eit>")),
        "ES3-GetEISRequest: the element Eid is missing (line 1, column 1)"
    );
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace("8900101", "890010x")),
        "ES3-GetEISRequest/Eid: \"890010x2012341234012345678901224\" is not an EID (32 decimal digits) \
         (line 1, column 208)"
    );
    let twice = "<rps:Eid>89001012012341234012345678901224</rps:Eid>";
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace(twice, &twice.repeat(2))),
        "ES3-GetEISRequest: the element Eid occurs too often (line 1, column 259)"
    );
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace("<rps:Eid>", "<rps:Eid xmlns:rps=\"urn:other\">")),
        "ES3-GetEISRequest: the element Eid in namespace http://namespaces.gsma.org/esim-messaging/3 (found in namespace \
         \"urn:other\") is missing (line 1, column 1)"
    );
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace("<rps:Eid>", "what<rps:Eid>")),
        "ES3-GetEISRequest: text is not allowed between elements (line 1, column 208)"
    );
    assert_eq!(
        error_of::<GetEisRequest>(&right.replace("<rps:Eid>89", "<rps:Eid><b/>89")),
        "ES3-GetEISRequest/Eid: the element b is not allowed in text (line 1, column 217)"
    );
    assert!(
        error_of::<CreateIsdpRequest>(&right)
            .contains("unexpected element ES3-GetEISRequest, expected ES3-CreateISDPRequest")
    );
    assert!(
        error_of::<GetEisRequest>(&right.replace("messaging/3", "messaging/2"))
            .contains("expected ES3-GetEISRequest")
    );
}

// req: SGP.02-5.2-ElementOrder
#[test]
fn elements_must_be_in_schema_order_except_for_tolerated_pairs() {
    let create = CreateIsdpRequest {
        base: samples::request(),
        eid: samples::eid(),
        iccid: samples::iccid(),
        mno_id: samples::oid("2.999.30"),
        required_memory: 1,
        more_to_do: None,
    };
    let text = create.to_xml(Namespace::V3);
    let (eid, iccid) =
        ("<rps:Eid>89001012012341234012345678901224</rps:Eid>", "<rps:Iccid>8900012345678901234</rps:Iccid>");
    let exchanged = text.replace(&format!("{eid}{iccid}"), &format!("{iccid}{eid}"));
    assert!(error_of::<CreateIsdpRequest>(&exchanged).contains("Eid must be before Iccid"));

    let delete = DeleteProfileRequest {
        base: samples::request(),
        eid: samples::eid(),
        iccid: samples::iccid(),
        smsr_id: samples::oid("2.999.20"),
    };
    let text = delete.to_xml(Namespace::V3);
    let smsr = "<rps:Smsr-id>2.999.20</rps:Smsr-id>";
    let exchanged = text.replace(&format!("{iccid}{smsr}"), &format!("{smsr}{iccid}"));
    assert_ne!(exchanged, text);
    assert_eq!(DeleteProfileRequest::from_xml(&exchanged).unwrap().1, delete);
    assert_eq!(DeleteProfileRequest::from_xml(&text.replace("Smsr-id", "SmSr-id")).unwrap().1, delete);
}

#[test]
fn unknown_elements_are_ignored() {
    let right = get_eis();
    let (_, expected) = GetEisRequest::from_xml(&right).unwrap();
    for more in [
        "<rps:Later>x</rps:Later>",
        "<v:Extension xmlns:v=\"urn:vendor\"><v:Eid>1</v:Eid></v:Extension>",
        "<!-- a comment --><?a instruction?>\n\t ",
    ] {
        let text = right.replace("<rps:Eid>", &format!("{more}<rps:Eid>"));
        assert_eq!(GetEisRequest::from_xml(&text).unwrap().1, expected, "{more}");
    }
    // Elements without a prefix are accepted, and so are those of njiwa, which are not qualified
    // and have the other spelling.
    let njiwa = "<n:ES3-GetEISRequest xmlns:n=\"http://namespaces.gsma.org/esim-messaging/1\">\
         <FunctionCallIdentifier>call &lt;1> &amp; so on</FunctionCallIdentifier><ValidityPeriod> 3600 </ValidityPeriod>\
         <Eid>89001012012341234012345678901224</Eid></n:ES3-GetEISRequest>";
    assert_eq!(GetEisRequest::from_xml(njiwa).unwrap(), (Namespace::V1, expected));
}

#[test]
fn the_misspelt_element_of_es3_is_accepted() {
    let right = rsp::sgp02::es3::ProfileDownloadCompletedRequest {
        base: samples::request(),
        eid: samples::eid(),
        iccid: samples::iccid(),
        profile_type: None,
        subscription_address: None,
        pol2: None,
    };
    let text = envelope(&headers::header("x"), Namespace::V3, &right)
        .replace("ES3-ProfileDownloadCompletedRequest", "ES3-ProfileDownloadedCompletedRequest");
    let document = parse(&text).unwrap();
    let received = Envelope::read(&document).unwrap();
    assert_eq!(received.element(), "ES3-ProfileDownloadCompletedRequest");
    assert_eq!(received.message(), Ok(right));
}

#[test]
fn an_invalid_envelope_results_in_a_fault_with_the_right_code() {
    let right = envelope(
        &headers::header("http://gsma.com/x"),
        Namespace::V3,
        &GetEisRequest { base: samples::request(), eid: samples::eid() },
    );
    let fault = |text: &str| Envelope::read(&parse(text).unwrap()).unwrap_err();
    let is_sender = |text: &str, expected: &str| {
        let fault = fault(text);
        assert_eq!(fault.code, FaultCode::Sender, "{text}");
        assert!(fault.reason.contains(expected), "{} does not contain {expected:?}", fault.reason);
    };
    let old =
        right.replace("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/");
    assert_eq!(fault(&old).code, FaultCode::VersionMismatch);
    let security = "<w:Security xmlns:w=\"urn:wss\" soap:mustUnderstand=\"1\"/></soap:Header>";
    assert_eq!(fault(&right.replace("</soap:Header>", security)).code, FaultCode::MustUnderstand);
    assert!(
        Envelope::read(&parse(&right.replace("</soap:Header>", &security.replace('1', "0"))).unwrap())
            .is_ok()
    );
    is_sender("<x/>", "unexpected element x, expected the Envelope of SOAP 1.2");
    is_sender(&right.replace("soap:Body", "soap:Boby"), "the Body of the envelope is missing");
    is_sender(&right.replace("</soap:Body>", "<y/></soap:Body>"), "the message in the Body occurs too often");
    is_sender(
        &right.replace("</soap:Body>", "</soap:Body><soap:Body/>"),
        "unexpected element Body after the Body",
    );
    is_sender(&right.replace("esim-messaging/3", "esim-messaging/2"), "esim-messaging/2");
    is_sender(
        &right.replace("wsa:MessageID", "wsa:MessageIT"),
        "the WS-Addressing header MessageID is missing",
    );
    is_sender(&right.replace("wsa:Address>", "wsa:Adress>"), "the Address in the header From is missing");
    is_sender(
        &right.replace("EntityId=2.999.10", "EntityId=me"),
        "Header/From: EntityId: \"me\" is not an OID",
    );
    let to = right.find("<wsa:To").unwrap()..right.find("</wsa:To>").unwrap() + "</wsa:To>".len();
    let twice = right.replace(&right[to.clone()], &right[to].repeat(2));
    is_sender(&twice, "the header To occurs too often");
    let empty =
        "<soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Body/></soap:Envelope>";
    is_sender(empty, "the message in the Body is missing");
}

struct Truncated;

impl Visitor for Truncated {
    fn visit_message<M>(&mut self, _: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let text = message.to_xml(Namespace::V3);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert!(M::from_xml(&text[..end]).is_err(), "{}", &text[..end]);
        }
        // Each element is removed, emptied or duplicated in turn. The result is an error, or a
        // message without an optional element.
        let starts: Vec<usize> = text.match_indices("<rps:").map(|(at, _)| at).skip(1).collect();
        for start in starts {
            let name_end = start + text[start..].find([' ', '>']).unwrap();
            let close = format!("</{}>", &text[start + 1..name_end]);
            let Some(length) = text[start..].find(&close) else { continue };
            let element = &text[start..start + length + close.len()];
            let open_end = start + text[start..].find('>').unwrap() + 1;
            for changed in [
                text.replacen(element, "", 1),
                text.replacen(element, &element.repeat(2), 1),
                text.replacen(element, &format!("{}{close}", &text[start..open_end]), 1),
            ] {
                if let Ok((_, other)) = M::from_xml(&changed) {
                    assert_eq!(M::from_xml(&other.to_xml(Namespace::V3)).unwrap().1, other);
                }
            }
        }
    }
}

#[test]
fn an_altered_or_truncated_message_never_causes_a_panic() {
    samples::visit(&mut Truncated, Namespace::V3);
}

#[test]
fn a_truncated_envelope_is_refused() {
    let message = SendDataRequest {
        base: samples::request(),
        eid: samples::eid(),
        sd_aid: rsp::ids::Aid::isd_p(0x10),
        data: rsp::sgp02::Octets(vec![0; 8]),
        more_to_do: None,
    };
    let whole = envelope(&headers::header("http://gsma.com/x"), Namespace::V3, &message);
    for end in 0..whole.len() {
        let cut = text(&whole.as_bytes()[..end]).map(parse);
        assert!(!matches!(cut, Ok(Ok(_))), "{end}");
    }
}

#[test]
fn the_attributes_of_keys_are_checked() {
    let right = RegisterEisRequest { base: samples::request(), eis: samples::eis(Namespace::V3) }
        .to_xml(Namespace::V3);
    let path = "ES1-RegisterEISRequest/Eis/Isd-r/Keyset/Key: ";
    for (from, to, expected) in [
        ("kcv=\"ABCDEF\"", "", "the attribute kcv is missing"),
        ("kcv=\"ABCDEF\"", "kcv=\"ABCDE\"", "kcv: not hexadecimal octets"),
        ("type=\"88\"", "type=\"8888\"", "the type of a key component must be one octet"),
        (
            "<rps:Index>1</rps:Index><rps:KeyC",
            "<rps:Index>256</rps:Index><rps:KeyC",
            "Index: \"256\" is not a whole number",
        ),
    ] {
        let error = error_of::<RegisterEisRequest>(&right.replace(from, to));
        assert!(error.starts_with(path.trim_end_matches(": ")) && error.contains(expected), "{error}");
    }
}
