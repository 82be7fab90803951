//! Messages in the forms that real peers send. The values are made up.

use rsp::sgp02::{
    Function, Message, Namespace, Response,
    es3::{CreateIsdp, CreateIsdpRequest, CreateIsdpResponse, ProfileDownloadCompletedRequest},
    soap::{Envelope, envelope},
    xml::parse,
};

use crate::samples;

/// A callback from an SM-SR built on gSOAP to an SM-DP: many namespace declarations,
/// `mustUnderstand` on headers, no RelatesTo, and the time in the MessageID.
const CALLBACK: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:SOAP-ENC="http://www.w3.org/2003/05/soap-encoding" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd" xmlns:chan="http://schemas.microsoft.com/ws/2005/02/duplex" xmlns:wsa5="http://www.w3.org/2005/08/addressing" xmlns:rps="http://namespaces.gsma.org/esim-messaging/3"><SOAP-ENV:Header><wsa5:MessageID>//2.999.20/urn:uuid:0b7f?TransactionId=urn:uuid:11aa&amp;MessageDate=2026-11-22T08:00:00Z</wsa5:MessageID><wsa5:From><wsa5:Address>http://smsr.example:20000?EntityId=2.999.20&amp;EntityName=SM-SR</wsa5:Address></wsa5:From><wsa5:To SOAP-ENV:mustUnderstand="true">http://smdp.example:10000?EntityId=2.999.10</wsa5:To><wsa5:Action SOAP-ENV:mustUnderstand="true">http://gsma.com/ES3/ProfileManagementCallBack/ES3-CreateISDP</wsa5:Action></SOAP-ENV:Header><SOAP-ENV:Body><rps:ES3-CreateISDPResponse><rps:ProcessingStart>2026-11-22T08:00:00Z</rps:ProcessingStart><rps:ProcessingEnd>2026-11-22T08:00:01Z</rps:ProcessingEnd><rps:FunctionExecutionStatus><rps:Status>EXECUTED_SUCCESS</rps:Status></rps:FunctionExecutionStatus><rps:Isd-p-aid>A0000005591010FFFFFFFF8900001000</rps:Isd-p-aid></rps:ES3-CreateISDPResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>
"#;

#[test]
fn a_callback_of_a_gsoap_sm_sr_decodes() {
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
fn re_encoding_the_callback_preserves_its_contents() {
    let document = parse(CALLBACK).unwrap();
    let received = Envelope::read(&document).unwrap();
    for namespace in Namespace::ALL {
        let text = envelope(&received.header, namespace, &received.message::<CreateIsdpResponse>().unwrap());
        let document = parse(&text).unwrap();
        let written = Envelope::read(&document).unwrap();
        assert_eq!(written.namespace, namespace);
        assert_eq!(written.header, received.header);
        assert_eq!(
            written.message::<CreateIsdpResponse>().unwrap(),
            received.message::<CreateIsdpResponse>().unwrap()
        );
    }
}

/// A request that zeep 4.3.3 (Python) built from the WSDL of namespace 3. The WSDL determines
/// Action and To.
const BY_ZEEP: &str = r#"<soap-env:Envelope xmlns:soap-env="http://www.w3.org/2003/05/soap-envelope"><soap-env:Header xmlns:wsa="http://www.w3.org/2005/08/addressing"><wsa:From><wsa:Address>https://smdp.example:8443/es3?EntityId=2.999.10&amp;EntityName=SM-DP</wsa:Address></wsa:From><wsa:ReplyTo><wsa:Address>https://smdp.example:8443/callback</wsa:Address></wsa:ReplyTo><wsa:Action>http://gsma.com/ES3/ProfileManagement/ES3-CreateISDPRequest</wsa:Action><wsa:MessageID>urn:uuid:9101fc6f-0139-4a7b-8ceb-85f563786971</wsa:MessageID><wsa:To>http://gsma.org/esim-messaging/3/ES3/ES3SmSrService</wsa:To></soap-env:Header><soap-env:Body><ns0:ES3-CreateISDPRequest xmlns:ns0="http://namespaces.gsma.org/esim-messaging/3"><ns0:FunctionCallIdentifier>z-1</ns0:FunctionCallIdentifier><ns0:ValidityPeriod>600</ns0:ValidityPeriod><ns0:Eid>89001012012341234012345678901224</ns0:Eid><ns0:Iccid>8900012345678901234</ns0:Iccid><ns0:Mno-id>2.999.30</ns0:Mno-id><ns0:RequiredMemory>1000</ns0:RequiredMemory><ns0:MoreToDo>true</ns0:MoreToDo></ns0:ES3-CreateISDPRequest></soap-env:Body></soap-env:Envelope>"#;

/// The body of another request that zeep built.
const COMPLETED_BY_ZEEP: &str = r#"<ns0:ES3-ProfileDownloadCompletedRequest xmlns:ns0="http://namespaces.gsma.org/esim-messaging/3"><ns0:FunctionCallIdentifier>z-1</ns0:FunctionCallIdentifier><ns0:ValidityPeriod>600</ns0:ValidityPeriod><ns0:Eid>89001012012341234012345678901224</ns0:Eid><ns0:Iccid>8900012345678901234</ns0:Iccid><ns0:ProfileType>metering</ns0:ProfileType><ns0:SubscriptionAddress><ns0:Imsi>001010123456789</ns0:Imsi><ns0:Msisdn>491510000001</ns0:Msisdn></ns0:SubscriptionAddress><ns0:pol2><ns0:Rule><ns0:Subject>PROFILE</ns0:Subject><ns0:Action>DELETE</ns0:Action><ns0:Qualification>Not-Allowed</ns0:Qualification></ns0:Rule></ns0:pol2></ns0:ES3-ProfileDownloadCompletedRequest>"#;

#[test]
fn requests_built_by_zeep_from_the_published_wsdl_decode() {
    let document = parse(BY_ZEEP).unwrap();
    let envelope = Envelope::read(&document).unwrap();
    assert_eq!(envelope.header.message_id.uri, "urn:uuid:9101fc6f-0139-4a7b-8ceb-85f563786971");
    assert_eq!(envelope.header.reply_to.as_ref().unwrap().address, "https://smdp.example:8443/callback");
    assert_eq!(envelope.header.to.entity_id, None);
    assert_eq!(envelope.element(), "ES3-CreateISDPRequest");
    let request: CreateIsdpRequest = envelope.message().unwrap();
    assert_eq!((request.base.validity_period, request.required_memory), (Some(600), 1000));
    assert_eq!(
        (request.eid, request.iccid, request.more_to_do),
        (samples::eid(), samples::iccid(), Some(true))
    );

    let (_, completed) = ProfileDownloadCompletedRequest::from_xml(COMPLETED_BY_ZEEP).unwrap();
    assert_eq!(completed.profile_type.as_deref(), Some("metering"));
    assert_eq!(completed.subscription_address, Some(samples::address()));
    assert_eq!(completed.pol2.unwrap().rule, samples::pol2().rule[..1]);
}
