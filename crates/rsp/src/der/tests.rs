use super::*;
use crate::finding::{self, Finding, FindingKind};

crate::sequence! {
    #[derive(Debug, Clone, PartialEq)]
    struct Inner = 0x30 {
        number: i64 = 0x80,
        flag: Option<bool> = 0x81,
    }
}

crate::choice! {
    #[derive(Debug, Clone, PartialEq)]
    enum Either = 0 {
        Number(i64) = 0x02,
        Inner(Inner) = 0xA1,
    }
}

crate::sequence! {
    #[derive(Debug, Clone, PartialEq)]
    struct Outer = 0xBF7F {
        list: Vec<Inner> = 0xA0,
        untagged: Either = 0,
        explicit: Option<Either> = 0xA2,
        raw: Raw<Inner> = 0xA3,
    }
}

fn outer() -> Outer {
    Outer {
        list: vec![Inner { number: -129, flag: None }, Inner { number: 128, flag: Some(true) }],
        untagged: Either::Inner(Inner { number: 0, flag: Some(false) }),
        explicit: Some(Either::Number(7)),
        raw: Raw::tagged(Inner { number: 1, flag: None }, Tag(0xA3)),
    }
}

#[test]
fn values_encode_with_the_declared_tags() {
    let der = outer().to_der();
    let expected = [
        "bf7f23",
        "a00f 3004 8002ff7f 3007 80020080 8101ff",
        "a106 800100 810100",
        "a203 020107",
        "a303 800101",
    ];
    assert_eq!(hex::encode(&der), expected.concat().replace(' ', ""));
    assert_eq!(Outer::from_der(&der).unwrap(), outer());
}

#[test]
fn unknown_trailing_elements_are_skipped_but_kept_in_raw() {
    let der = hex::decode("a306 800101 9f7f00".replace(' ', "")).unwrap_or_default();
    let mut with_length = der.clone();
    with_length[1] = 6;
    let raw = <Raw<Inner> as Asn1>::decode_as(Tag(0xA3), &mut Reader::new(&with_length)).unwrap();
    assert_eq!(raw.number, 1);
    assert_eq!(raw.bytes(), with_length);
    assert_eq!(tlv_bytes(Tag(0xA3), &[0x80, 1, 1, 0x9F, 0x7F, 0]), with_length);
}

#[test]
fn an_error_contains_the_path_and_the_offset() {
    let mut der = outer().to_der();
    // The flag of the second list element becomes 01, which is BER but not DER.
    let at = der.iter().rposition(|b| *b == 0xFF).unwrap();
    der[at] = 0x01;
    let (decoded, findings) = finding::collect(|| Outer::from_der(&der));
    assert_eq!(decoded, Ok(outer()));
    assert_eq!(findings, [Finding::new(FindingKind::NotDer, "BOOLEAN 01 at octet 17")]);
    // The length of the list then ends inside the flag.
    der[at - 1] = 2;
    let error = Outer::from_der(&der).unwrap_err();
    assert_eq!(error.to_string(), "list[1].flag: the bytes end too early (at octet 19)");
}

#[test]
fn values_in_another_form_than_that_of_der_are_decoded_with_a_finding() {
    fn decoded<T: Asn1>(hex_text: &str) -> T {
        let octets = hex::decode(hex_text).unwrap();
        let (decoded, findings) = finding::collect(|| T::from_der(&octets));
        let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::NotDer], "{hex_text}");
        decoded.unwrap()
    }
    assert_eq!(decoded::<i64>("02020001"), 1);
    assert_eq!(decoded::<i64>("0203ffff80"), -128);
    assert_eq!(decoded::<i64>("02810105"), 5);
    assert_eq!(decoded::<i64>("0284000000020080"), 128);
    assert!(decoded::<bool>("010101"));
    assert_eq!(decoded::<Null>("050100"), Null);
    assert_eq!(decoded::<BitString>("030205ff").ones(), [0, 1, 2]);
    assert!(decoded::<BitString>("0300").is_empty());
    assert!(decoded::<BitString>("030104").is_empty());
}

#[test]
fn unknown_elements_are_skipped_wherever_they_are() {
    let known = Inner { number: 5, flag: Some(true) }.to_der();
    let (_, contents) = tlv::split(&known).unwrap();
    let elements = tlv::each(contents).unwrap();
    let unknown = [0x9F, 0x7F, 0x01, 0x00];
    for at in 0..=elements.len() {
        let mut elements = elements.clone();
        elements.insert(at, &unknown);
        let der = tlv_bytes(Inner::TAG, &elements.concat());
        let (decoded, findings) = finding::collect(|| Inner::from_der(&der));
        assert_eq!(decoded, Ok(Inner { number: 5, flag: Some(true) }), "at {at}");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].kind, FindingKind::UnknownElement);
        assert!(findings[0].detail.starts_with("Inner: element 9F7F"), "{findings:?}");
    }
}

#[test]
fn invalid_der_is_refused() {
    for (hex_text, problem) in [
        ("0200", Problem::BadValue("an INTEGER has at least one octet")),
        ("0280010000", Problem::NotShortest),
        ("1f02", Problem::NotShortest),
        ("0205", Problem::Truncated),
        ("020105ff", Problem::TrailingBytes { count: 1 }),
    ] {
        assert_eq!(
            i64::from_der(&hex::decode(hex_text).unwrap()).unwrap_err().problem,
            problem,
            "{hex_text}"
        );
    }
}

#[test]
fn integers_encode_in_the_shortest_form() {
    for (value, hex_text) in [
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),
        (-128, "020180"),
        (-129, "0202ff7f"),
        (i64::MIN, "02088000000000000000"),
    ] {
        assert_eq!(hex::encode(value.to_der()), hex_text);
        assert_eq!(i64::from_der(&hex::decode(hex_text).unwrap()), Ok(value));
    }
}

#[test]
fn a_named_bit_list_has_no_trailing_zeros() {
    assert_eq!(hex::encode(BitString::of(&[]).to_der()), "030100");
    assert_eq!(hex::encode(BitString::of(&[0]).to_der()), "03020780");
    assert_eq!(hex::encode(BitString::of(&[1, 8]).to_der()), "0303074080");
    assert_eq!(BitString::of(&[9, 1]).ones(), [1, 9]);
}

#[test]
fn nesting_depth_is_limited() {
    let mut nested = Vec::new();
    for _ in 0..100 {
        nested = tlv_bytes(Tag::SEQUENCE, &nested);
    }
    fn dive(mut reader: Reader<'_>) -> Result<(), DecodeError> {
        while !reader.is_empty() {
            dive(reader.enter(Tag::SEQUENCE)?)?;
        }
        Ok(())
    }
    assert_eq!(dive(Reader::new(&nested)).unwrap_err().problem, Problem::TooDeep);
}
