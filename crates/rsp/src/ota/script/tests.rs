use super::*;

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace(' ', "")).unwrap()
}

fn check_encoding(script: &Script, octets: &str) {
    assert_eq!(hex::encode_upper(script.to_bytes()), octets.replace(' ', ""));
    assert_eq!(Script::parse(&unhex(octets)).as_ref(), Ok(script));
}

/// EnableProfile, built from the structure of SGP.02 section 4.1.1.2.
#[test]
fn a_script_with_enable_profile() {
    let apdu = unhex("80E28800153A03124F10A0000005591010FFFFFFFF8900001100");
    check_encoding(
        &Script::of_apdus([apdu.clone()]),
        "AA1C 221A 80E28800153A03124F10 A0000005591010FFFFFFFF8900001100",
    );
    check_encoding(
        &Script::of_apdus([apdu]).in_form(Form::Indefinite).chained(Chaining::Last),
        "AE80 830103 221A 80E28800153A03124F10 A0000005591010FFFFFFFF8900001100 0000",
    );
}

/// Octets of a card and its server, from the test data of a public server implementation.
#[test]
fn recorded_octets_of_a_card() {
    let script = Script::of_apdus([unhex("80CAFF2100")]).in_form(Form::Indefinite);
    check_encoding(&script, "AE80 2205 80CAFF2100 0000");
    let octets = unhex("AF80 800101 2304 93059000 0000");
    let answer = Answer::Apdu(ResponseApdu { data: unhex("9305"), status: StatusWord::OK });
    let response = ScriptResponse::of(Form::Indefinite, vec![answer]);
    assert_eq!(ScriptResponse::parse(&octets).as_ref(), Ok(&response));
    assert_eq!(response.to_bytes(), octets);
    assert_eq!(response.last_apdu().map(|apdu| apdu.status), Some(StatusWord::OK));
}

#[test]
fn secure_channel_tlvs_are_allowed_among_apdus() {
    let script = Script {
        form: Form::Definite,
        chaining: Some(Chaining::FirstKept),
        commands: vec![
            Command::SecureChannel(unhex("840A30000102030405060708")),
            Command::SecureChannel(unhex("851133B2169B5A8E068107E9B7D2041530B344")),
        ],
    };
    check_encoding(&script, "AA22 830111 840A30000102030405060708 851133B2169B5A8E068107E9B7D2041530B344");
    for octets in ["AB05 8500 860101", "8500 860101", "AF80 9F460102 0000"] {
        let response = ScriptResponse::parse(&unhex(octets)).unwrap();
        assert!(matches!(response.answers.last(), Some(Answer::SecureChannel(_))));
        assert_eq!(response.to_bytes(), unhex(octets));
    }
}

#[test]
fn bare_tlvs_are_decoded_and_encoded_unchanged() {
    let script = Script::parse(&unhex("2205 80CAFF2100 2204 80E40000")).unwrap();
    assert_eq!((script.form, script.commands.len()), (Form::Bare, 2));
    check_encoding(&script.in_form(Form::Definite), "AA0D 2205 80CAFF2100 2204 80E40000");
}

#[test]
fn a_long_apdu_has_a_multi_octet_length() {
    let script = Script::of_apdus([vec![0x80; 261]]);
    let octets = script.to_bytes();
    assert_eq!(octets[..8], unhex("AA8201092282 0105"));
    assert_eq!(Script::parse(&octets), Ok(script));
}

// req: TS.102.226-5.2-Apdu
#[test]
fn invalid_scripts_are_refused_with_the_response_of_a_card() {
    for (octets, bad, at) in [
        ("", BadFormat::LengthNotFound, 0),
        ("AA03 2205 80", BadFormat::WrongLength, 4),
        ("AA02 2200", BadFormat::WrongLength, 2),
        ("AA07 2204 80E40000", BadFormat::WrongLength, 2),
        ("AE80 2204 80E40000", BadFormat::WrongLength, 8),
        ("AE80 2204 80E40000 00", BadFormat::WrongLength, 9),
        ("AA03 990100", BadFormat::UnknownTag, 2),
        ("AA03 870100", BadFormat::UnknownTag, 2),
        ("AA03 830104", BadFormat::WrongLength, 2),
        ("AA06 830101 830101", BadFormat::UnknownTag, 5),
        ("AA8104 83010101", BadFormat::WrongLength, 7),
        ("AA", BadFormat::WrongLength, 1),
    ] {
        let error = Script::parse(&unhex(octets)).unwrap_err();
        assert_eq!((BadFormat::of(&error), error.offset), (bad, at), "{octets}: {error}");
    }
}

#[test]
fn error_responses_are_decoded_and_encoded_unchanged() {
    for octets in [
        "AB03 900101",
        "AB06 800100 900102",
        "AB03 830101",
        "AB03 900103",
        "AB03 830103",
        "AB03 900104",
        "AB03 830100",
        "AB04 80020100",
    ] {
        let response = ScriptResponse::parse(&unhex(octets)).unwrap();
        assert_eq!(response.to_bytes(), unhex(octets));
    }
    for octets in ["AB03 230190", "AB02 8000", "AB05 8003010000", "AB04 90020101", "AB02 8300", "", "AF80"] {
        assert!(ScriptResponse::parse(&unhex(octets)).is_err(), "{octets}");
    }
}
