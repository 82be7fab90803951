//! WS-Addressing headers, and the fields that SGP.02 encodes in their URIs.

use rsp::{
    ids::Oid,
    sgp02::{
        Function, Namespace, Notification,
        addressing::{Endpoint, Header, MessageId},
        es1, es2, es3, es4, es7,
        soap::{Envelope, FaultCode, Received, SoapFault, content_type, envelope, is_content_type},
        xml::parse,
    },
};

use crate::samples;

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

pub(crate) fn header(action: &str) -> Header {
    Header {
        from: Endpoint {
            entity_name: Some("SM-DP & sons".to_owned()),
            user_name: Some("Ärger+50%".to_owned()),
            ..Endpoint::new("https://smdp.example:8443/es3?tenant=1", Some(oid("2.999.10")))
        },
        to: Endpoint::new("https://smsr.example", Some(oid("2.999.20"))),
        message_id: MessageId {
            uri: "//2.999.10/6f1b".to_owned(),
            transaction_id: Some("urn:uuid:77 #1".to_owned()),
            context_id: Some("c&d".to_owned()),
            message_date: Some(samples::time()),
        },
        action: action.to_owned(),
        relates_to: Some("//2.999.20/1?TransactionId=5&MessageDate=2026-11-22T08:00:00Z".to_owned()),
        reply_to: Some(Endpoint::new("https://smdp.example:8443/callback", None)),
    }
}

#[test]
fn the_fields_of_the_rps_header_are_in_the_uris() {
    let header = header("http://gsma.com/ES3/ProfileManagement/ES3-SendData");
    assert_eq!(
        header.from.to_uri(),
        "https://smdp.example:8443/es3?tenant=1&EntityId=2.999.10&EntityName=SM-DP%20%26%20sons\
         &UserName=%C3%84rger%2B50%25"
    );
    assert_eq!(header.to.to_uri(), "https://smsr.example?EntityId=2.999.20");
    assert_eq!(
        header.message_id.to_uri(),
        "//2.999.10/6f1b?TransactionId=urn:uuid:77%20%231&ContextId=c%26d&MessageDate=2026-11-22T08:00:00Z"
    );
    assert_eq!(Endpoint::from_uri(&header.from.to_uri()), Ok(header.from));
    assert_eq!(MessageId::from_uri(&header.message_id.to_uri()), header.message_id);
    assert_eq!(MessageId::key("//2.999.10/6f1b?TransactionId=1"), "//2.999.10/6f1b");
    assert!(Endpoint::from_uri("https://x?EntityId=me").is_err());
}

#[test]
fn an_anonymous_reply_to_is_none() {
    let mut header = header("http://gsma.com/x");
    header.reply_to = Some(Endpoint::new("http://www.w3.org/2005/08/addressing/anonymous", None));
    let text = envelope(&header, Namespace::V3, &es1::RegisterEisResponse::default());
    let document = parse(&text).unwrap();
    assert_eq!(Envelope::read(&document).unwrap().header.reply_to, None);
}

#[test]
fn actions_are_those_of_the_published_interfaces() {
    assert_eq!(es3::GetEis::request_action(), "http://gsma.com/ES3/ProfileManagement/ES3-GetEISRequest");
    assert_eq!(es3::GetEis::response_action(), "http://gsma.com/ES3/ProfileManagement/ES3-GetEISResponse");
    assert_eq!(es3::CreateIsdp::request_action(), "http://gsma.com/ES3/ProfileManagement/ES3-CreateISDP");
    assert_eq!(
        es2::DownloadProfile::response_action(),
        "http://gsma.com/ES2/PlatformManagementCallBack/ES2-DownloadProfile"
    );
    assert_eq!(es4::SmsrChange::request_action(), "http://gsma.com/ES4/eUICCManagement/ES4-SMSRChange");
    assert_eq!(
        es7::HandoverEuicc::response_action(),
        "http://gsma.com/ES7/eUICCManagementCallBack/ES7-HandoverEUICC"
    );
    assert_eq!(
        es3::HandleProfileDeletedNotification::action(),
        "http://gsma.com/ES3/PlatformManagement/ES3-HandleProfileDeletedNotification"
    );
}

#[test]
fn content_types_of_real_peers_are_accepted() {
    assert_eq!(
        content_type("http://gsma.com/x"),
        "application/soap+xml; charset=utf-8; action=\"http://gsma.com/x\""
    );
    for good in [
        "application/soap+xml",
        "Application/SOAP+XML;action=x",
        "text/xml; charset=UTF-8",
        "application/xml",
    ] {
        assert!(is_content_type(good), "{good}");
    }
    assert!(!is_content_type("application/json") && !is_content_type(""));
}

#[test]
fn a_fault_is_encoded_and_decoded() {
    for code in
        [FaultCode::Sender, FaultCode::Receiver, FaultCode::MustUnderstand, FaultCode::VersionMismatch]
    {
        let fault = SoapFault { code, reason: "no <such> thing".to_owned() };
        let text = fault.to_xml();
        let document = parse(&text).unwrap();
        assert!(matches!(Envelope::receive(&document), Ok(Received::Fault(found)) if found == fault));
        assert!(
            Envelope::read(&document).unwrap_err().reason.contains("expected a message, received a fault")
        );
    }
}
