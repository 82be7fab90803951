//! The PDUs, compared with another codec and with the specification.

use super::*;

/// The octets of a submission, field by field, and the example of the specification.
#[test]
fn bodies_have_the_octets_of_the_specification() {
    let frame = Frame::request(CommandId::SubmitSm, 7, translate::submit_sm(&submission("+492")).to_bytes());
    let octets = [
        &[0, 0, 0, 44, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7][..],
        b"\0\0\x011000\0\x01\x01492\0",
        &[0x40, 0x7F, 0, 0, 0, 1, 0, 0xF6, 0, 4, 2, 0x70, 0, 7],
    ];
    assert_eq!(frame.to_bytes(), octets.concat());

    // Section 3.2.1: the sample of a bind_transmitter.
    let mut octets =
        b"\0\0\0\x2F\0\0\0\x02\0\0\0\0\0\0\0\x01SMPP3TEST\0secret08\0SUBMIT1\0\x00\x01\x01\0".to_vec();
    let frame = Frame::take(&mut octets).unwrap().unwrap();
    assert_eq!((frame.command, frame.sequence), (CommandId::BindTransmitter, 1));
    let (bind, rest) = decode::<BindTransceiver>(&frame.body).unwrap();
    assert_eq!((bind.system_id.as_str(), bind.password.as_str()), ("SMPP3TEST", "secret08"));
    assert_eq!((bind.system_type.as_str(), rest.len()), ("SUBMIT1", 0));
    assert_eq!(encode(&bind), frame.body);
}

// SMPP 3.4 section 5.1.3, with the names of SMPP 5.0 for the optional parameters.
#[test]
fn each_status_has_its_number_its_name_and_a_meaning() {
    let table = [
        (0x00, "ESME_ROK", "No error"),
        (0x01, "ESME_RINVMSGLEN", "length of the message"),
        (0x02, "ESME_RINVCMDLEN", "length of the PDU"),
        (0x03, "ESME_RINVCMDID", "command"),
        (0x04, "ESME_RINVBNDSTS", "not bound"),
        (0x05, "ESME_RALYBND", "already bound"),
        (0x06, "ESME_RINVPRTFLG", "priority flag"),
        (0x07, "ESME_RINVREGDLVFLG", "registered_delivery"),
        (0x08, "ESME_RSYSERR", "internal failure"),
        (0x0A, "ESME_RINVSRCADR", "source address"),
        (0x0B, "ESME_RINVDSTADR", "destination address"),
        (0x0C, "ESME_RINVMSGID", "message ID"),
        (0x0D, "ESME_RBINDFAIL", "bind failed"),
        (0x0E, "ESME_RINVPASWD", "password"),
        (0x0F, "ESME_RINVSYSID", "account"),
        (0x11, "ESME_RCANCELFAIL", "cancel_sm failed"),
        (0x13, "ESME_RREPLACEFAIL", "replace_sm failed"),
        (0x14, "ESME_RMSGQFUL", "queue of the SMSC"),
        (0x15, "ESME_RINVSERTYP", "service type"),
        (0x33, "ESME_RINVNUMDESTS", "number of destinations"),
        (0x34, "ESME_RINVDLNAME", "distribution list"),
        (0x40, "ESME_RINVDESTFLAG", "destination flag"),
        (0x42, "ESME_RINVSUBREP", "replace_if_present"),
        (0x43, "ESME_RINVESMCLASS", "esm_class"),
        (0x44, "ESME_RCNTSUBDL", "to a distribution list"),
        (0x45, "ESME_RSUBMITFAIL", "refused the message"),
        (0x48, "ESME_RINVSRCTON", "TON of the source"),
        (0x49, "ESME_RINVSRCNPI", "NPI of the source"),
        (0x50, "ESME_RINVDSTTON", "TON of the destination"),
        (0x51, "ESME_RINVDSTNPI", "NPI of the destination"),
        (0x53, "ESME_RINVSYSTYP", "system type"),
        (0x54, "ESME_RINVREPFLAG", "replace_if_present"),
        (0x55, "ESME_RINVNUMMSGS", "number of messages"),
        (0x58, "ESME_RTHROTTLED", "rate"),
        (0x61, "ESME_RINVSCHED", "scheduled delivery time"),
        (0x62, "ESME_RINVEXPIRY", "validity period"),
        (0x63, "ESME_RINVDFTMSGID", "predefined message"),
        (0x64, "ESME_RX_T_APPN", "temporary failure"),
        (0x65, "ESME_RX_P_APPN", "permanent failure"),
        (0x66, "ESME_RX_R_APPN", "rejects"),
        (0x67, "ESME_RQUERYFAIL", "query_sm failed"),
        (0xC0, "ESME_RINVTLVSTREAM", "optional parameters"),
        (0xC1, "ESME_RTLVNOTALLWD", "not allowed"),
        (0xC2, "ESME_RINVTLVLEN", "length of an optional parameter"),
        (0xC3, "ESME_RMISSINGTLV", "missing"),
        (0xC4, "ESME_RINVTLVVAL", "value of an optional parameter"),
        (0xFE, "ESME_RDELIVERYFAILURE", "delivery failed"),
        (0xFF, "ESME_RUNKNOWNERR", "unknown error"),
    ];
    for (number, expected, about) in table {
        let status = CommandStatus::from(number);
        assert_eq!(name(status), format!("{expected} ({number:#010x})"));
        let (what, _) = meaning(status).unwrap_or_else(|| panic!("{expected} has no meaning"));
        assert!(what.contains(about), "{expected}: {what}");
    }
    // All other numbers up to 3FF are reserved or belong to SMPP 5.0, and those above to vendors.
    let known = table.map(|(number, ..)| number);
    for other in (0..0x500).filter(|number| !known.contains(number)) {
        assert_eq!(meaning(CommandStatus::from(other)), None, "{other:#x}");
    }
}
