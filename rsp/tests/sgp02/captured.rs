//! Messages in the shapes that real peers have been seen to send; the values are made up.

use rsp::sgp02::{
    Function, Namespace, Response,
    es3::{CreateIsdp, CreateIsdpResponse},
    soap::{Envelope, envelope},
    xml::parse,
};

/// A callback as an SM-SR built on gSOAP posts it to an SM-DP: many declarations, `mustUnderstand` on headers, no
/// RelatesTo, the moment in the MessageID.
const CALLBACK: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:SOAP-ENC="http://www.w3.org/2003/05/soap-encoding" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd" xmlns:chan="http://schemas.microsoft.com/ws/2005/02/duplex" xmlns:wsa5="http://www.w3.org/2005/08/addressing" xmlns:rps="http://namespaces.gsma.org/esim-messaging/3"><SOAP-ENV:Header><wsa5:MessageID>//2.999.20/urn:uuid:0b7f?TransactionId=urn:uuid:11aa&amp;MessageDate=2026-11-22T08:00:00Z</wsa5:MessageID><wsa5:From><wsa5:Address>http://smsr.example:20000?EntityId=2.999.20&amp;EntityName=SM-SR</wsa5:Address></wsa5:From><wsa5:To SOAP-ENV:mustUnderstand="true">http://smdp.example:10000?EntityId=2.999.10</wsa5:To><wsa5:Action SOAP-ENV:mustUnderstand="true">http://gsma.com/ES3/ProfileManagementCallBack/ES3-CreateISDP</wsa5:Action></SOAP-ENV:Header><SOAP-ENV:Body><rps:ES3-CreateISDPResponse><rps:ProcessingStart>2026-11-22T08:00:00Z</rps:ProcessingStart><rps:ProcessingEnd>2026-11-22T08:00:01Z</rps:ProcessingEnd><rps:FunctionExecutionStatus><rps:Status>EXECUTED_SUCCESS</rps:Status></rps:FunctionExecutionStatus><rps:Isd-p-aid>A0000005591010FFFFFFFF8900001000</rps:Isd-p-aid></rps:ES3-CreateISDPResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>
"#;

#[test]
fn a_callback_of_a_gsoap_sm_sr_is_understood() {
    let document = parse(CALLBACK).unwrap();
    let envelope = Envelope::read(&document).unwrap();
    let header = &envelope.header;
    assert_eq!(header.from.address, "http://smsr.example:20000");
    assert_eq!(header.from.entity_id, Some("2.999.20".parse().unwrap()));
    assert_eq!(header.from.entity_name.as_deref(), Some("SM-SR"));
    assert_eq!(header.to.entity_id, Some("2.999.10".parse().unwrap()));
    assert_eq!(header.action, CreateIsdp::response_action());
    assert_eq!(header.message_id.uri, "//2.999.20/urn:uuid:0b7f");
    assert_eq!(header.message_id.transaction_id.as_deref(), Some("urn:uuid:11aa"));
    assert_eq!(header.message_id.message_date, Some("2026-11-22T08:00:00Z".parse().unwrap()));
    assert_eq!((&header.relates_to, &header.reply_to), (&None, &None));
    assert_eq!((envelope.element(), envelope.namespace), ("ES3-CreateISDPResponse", Namespace::V3));
    let message: CreateIsdpResponse = envelope.message().unwrap();
    assert!(message.base().is_done());
    assert_eq!(message.isd_p_aid.unwrap().to_string(), "A0000005591010FFFFFFFF8900001000");
}

#[test]
fn what_we_write_in_its_place_says_the_same() {
    let document = parse(CALLBACK).unwrap();
    let theirs = Envelope::read(&document).unwrap();
    for namespace in Namespace::ALL {
        let text = envelope(&theirs.header, namespace, &theirs.message::<CreateIsdpResponse>().unwrap());
        let document = parse(&text).unwrap();
        let ours = Envelope::read(&document).unwrap();
        assert_eq!(ours.namespace, namespace);
        assert_eq!(ours.header, theirs.header);
        assert_eq!(
            ours.message::<CreateIsdpResponse>().unwrap(),
            theirs.message::<CreateIsdpResponse>().unwrap()
        );
    }
}
