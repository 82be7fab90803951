//! Cases of the connection over CoAP: SGP.32 section 6.1.1, RFC 7252 and RFC 7959.

use coap::Block;
use coap::message::{Code, Kind, Message, option};
use rsp::sgp32::esipa::asn1;
use rsp::sgp32::ipa_data::ipa_features;
use sgp23::{Stop, ensure, equal};

use super::case;
use crate::ipa::case::{Case, Need, Run, run};

pub(super) fn cases() -> Vec<Case> {
    let case = |clause, title: &str, run| case("CoAP", clause, title, run).need(Need::Coap);
    vec![
        case("6.1.1", "each request is a confirmable POST to the path of the ASN.1 binding", requests()),
        case(
            "6.1.1, RFC 7252 4.2",
            "a request whose reply was lost is repeated with the same message ID",
            repetition(),
        ),
        case("6.1.1, RFC 7959", "a response with several blocks is fetched", blocks())
            .need(Need::Feature(ipa_features::EIM_DOWNLOAD_DATA_HANDLING)),
    ]
}

fn is_request(message: &Message) -> bool {
    message.code.is_request()
}

fn requests() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.outcome(&id).await?;
        let messages = testbed.ipa.tap.messages();
        ensure(messages.iter().any(is_request), || "the IPA sent no request".to_owned())?;
        for request in messages.iter().filter(|message| is_request(message)) {
            equal("the type of the request", &request.kind, &Kind::Confirmable)?;
            equal("the method", &request.code, &Code::POST)?;
            let segments = request.options.all(option::URI_PATH);
            let path: String =
                segments.map(|segment| format!("/{}", String::from_utf8_lossy(segment))).collect();
            equal("the path", &path.as_str(), &asn1::PATH)?;
        }
        Ok(())
    })
}

fn repetition() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.ipa.tap.lose_reply();
        testbed.outcome(&id).await?;
        let messages = testbed.ipa.tap.messages();
        let first = messages.first().ok_or_else(|| Stop::failed("the IPA sent no request"))?;
        let count = messages.iter().filter(|message| *message == first).count();
        ensure(count > 1, || "the IPA did not repeat the message".to_owned())
    })
}

fn blocks() -> Run {
    run!(|testbed| {
        testbed.download(true).await?;
        let messages = testbed.ipa.tap.messages();
        let has_later_block = messages.iter().any(|message| {
            let block = Block::read(&message.options, option::BLOCK2);
            matches!(block, Ok(Some(block)) if block.number > 0)
        });
        ensure(has_later_block, || "the IPA did not fetch a further block of a response".to_owned())
    })
}
