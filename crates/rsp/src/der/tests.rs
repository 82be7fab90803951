use super::*;

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
    let error = Outer::from_der(&der).unwrap_err();
    assert_eq!(error.path, "list[1].flag");
    assert_eq!(error.to_string(), "list[1].flag: a BOOLEAN is one octet, FF or 00 (at octet 17)");
}

#[test]
fn invalid_der_is_refused() {
    for (hex_text, problem) in [
        ("02020001", Problem::NotShortest),
        ("0281010105", Problem::NotShortest),
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
