//! XML and SOAP of SGP.02: envelopes, canonical form, and the messages of ES1 to ES7.

use rsp::sgp02::es3::{
    AuditEisRequest, CreateIsdpRequest, CreateIsdpResponse, GetEisRequest, SendDataRequest,
};
use rsp::sgp02::{Message, es1, soap, xml};

pub(crate) fn run(octets: &[u8]) -> bool {
    let Ok(text) = soap::text(octets) else { return false };
    let Ok(document) = xml::parse(text) else { return false };
    let Ok(received) = soap::Envelope::receive(&document) else { return false };
    let soap::Received::Message(envelope) = received else { return false };
    // The canonical form is a document, and its own canonical form.
    let canonical = envelope.canonical();
    let again = xml::parse(&canonical).unwrap_or_else(|why| panic!("{why} in {canonical}"));
    assert_eq!(xml::exclusive(again.root_element()), canonical);
    let _ = (envelope.element().len(), envelope.base_request(), envelope.base_response());
    [
        stable::<GetEisRequest>(&envelope),
        stable::<CreateIsdpRequest>(&envelope),
        stable::<CreateIsdpResponse>(&envelope),
        stable::<SendDataRequest>(&envelope),
        stable::<AuditEisRequest>(&envelope),
        stable::<es1::RegisterEisRequest>(&envelope),
    ]
    .contains(&true)
}

/// Decodes the message, and checks that its encoding is decoded to the same message.
fn stable<M: Message + PartialEq + std::fmt::Debug>(envelope: &soap::Envelope<'_, '_>) -> bool {
    let Ok(message) = envelope.message::<M>() else { return false };
    let text = soap::envelope(&envelope.header, envelope.namespace, &message);
    let document = xml::parse(&text).unwrap_or_else(|why| panic!("{why} in {text}"));
    let again = soap::Envelope::read(&document).unwrap_or_else(|why| panic!("{why} in {text}"));
    assert_eq!(again.message::<M>().as_ref(), Ok(&message), "{text}");
    assert_eq!(again.header, envelope.header, "{text}");
    true
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let request = |action: &str, message: &str| {
        format!(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:w=\"http://www.w3.org/2005/08/addressing\"><s:Header>\
             <w:From><w:Address>https://smdp.example:8443/es3?EntityId=2.999.10</w:Address></w:From>\
             <w:To>https://smsr.example:8443/es3?EntityId=2.999.20</w:To>\
             <w:MessageID>//2.999.10/1?TransactionId=2&amp;MessageDate=2026-11-22T08:00:00Z</w:MessageID>\
             <w:Action>http://gsma.com/ES3/{action}</w:Action></s:Header><s:Body>{message}</s:Body></s:Envelope>"
        )
        .into_bytes()
    };
    let base =
        "<r:FunctionCallIdentifier>c-1</r:FunctionCallIdentifier><r:ValidityPeriod>600</r:ValidityPeriod>";
    let eid = "<r:Eid>89001012012341234012345678901224</r:Eid>";
    let message = |name: &str, rest: &str| {
        format!(
            "<r:{name} xmlns:r=\"http://namespaces.gsma.org/esim-messaging/3\">{base}{eid}{rest}</r:{name}>"
        )
    };
    vec![
        request("ProfileManagement/ES3-GetEISRequest", &message("ES3-GetEISRequest", "")),
        request(
            "ProfileManagement/ES3-CreateISDPRequest",
            &message(
                "ES3-CreateISDPRequest",
                "<r:Iccid>8900012345678901234</r:Iccid><r:Mno-id>2.999.30</r:Mno-id><r:RequiredMemory>1000</r:RequiredMemory><r:MoreToDo>true</r:MoreToDo>",
            ),
        ),
        request(
            "ProfileManagement/ES3-SendDataRequest",
            &message(
                "ES3-SendDataRequest",
                "<r:Sd-aid>A0000005591010FFFFFFFF8900001000</r:Sd-aid><r:Data>80E2880003010203</r:Data><r:MoreToDo>false</r:MoreToDo>",
            ),
        ),
    ]
}
