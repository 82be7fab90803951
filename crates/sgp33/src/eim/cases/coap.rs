//! Cases of ESipa over CoAP: SGP.32 section 6.1.1, RFC 7252 and RFC 7959.

use coap::message::{Code, Message, option};
use coap::{Block, BlockSize};
use rsp::sgp32::esipa::{HandleNotificationRequest, ProvideEimPackageResultRequest};
use sgp23::{HttpServer, Scope, Stop, Verdict, ensure, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::coap::Record;
use crate::eim::esipa::of_euicc;
use crate::eim::operator::Operation;
use crate::eim::testbed::Testbed;

/// The size of small blocks, in octets.
const SMALL: usize = 64;

/// The number of a critical option that no RFC defines.
const UNKNOWN_OPTION: u16 = 65001;

pub(super) fn cases() -> Vec<Case> {
    let case =
        |clause, title: &str, run| Case::new("CoAP", clause, title, run).scope(Scope::Asn1).need(Need::Coap);
    vec![
        case("6.1.1", "a response with a message has the code 2.05", content()),
        case("6.1.1", "a package is delivered, and its result is acknowledged", package())
            .need(Need::Operator),
        case("6.1.1", "HandleNotification is answered with 2.04", notification()).need(Need::Operator),
        case("6.1.1, RFC 7959", "requests and responses are transferred in small blocks", blocks())
            .need(Need::Operator),
        case("6.1.1, RFC 7252 4.5", "a repeated datagram gets the same response", repetition())
            .need(Need::Operator),
        case("6.1.1, RFC 7252 5.4.1", "an unknown critical option is refused with 4.02", unknown_option()),
        case("6.1.1", "an unknown path is answered with 4.04", unknown_path()),
    ]
}

fn expect_code(record: &Record, expected: Code) -> Verdict {
    let latest = record.received()?.into_iter().rfind(|message| message.code.is_response());
    let latest = latest.ok_or_else(|| Stop::failed("there is no response"))?;
    equal("the code", &latest.code, &expected)
}

/// Polls with an EID that is not registered.
async fn executed(testbed: &Testbed<'_>) -> Verdict {
    testbed.executed(&testbed.send(testbed.request()).await?)
}

fn content() -> Run {
    run!(|testbed| {
        let record = testbed.over_coap(BlockSize::MAX)?;
        executed(testbed).await?;
        expect_code(&record, Code::CONTENT)
    })
}

fn package() -> Run {
    run!(|testbed| {
        testbed.over_coap(BlockSize::MAX)?;
        testbed.register().await?;
        testbed.performed(&[Operation::List]).await?;
        testbed.expect_no_package().await
    })
}

fn notification() -> Run {
    run!(|testbed| {
        let record = testbed.over_coap(BlockSize::MAX)?;
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        let result = testbed.execute(&package).await?;
        let request = HandleNotificationRequest::ProvideEimPackageResult(ProvideEimPackageResultRequest {
            eid_value: Some(testbed.eid),
            eim_package_result: of_euicc(&result),
        });
        testbed.notify(&request).await?;
        expect_code(&record, Code::CHANGED)?;
        testbed.expect_no_package().await
    })
}

fn blocks() -> Run {
    run!(|testbed| {
        let size = BlockSize::of(SMALL).ok_or_else(|| Stop::needs("a block size"))?;
        let record = testbed.over_coap(size)?;
        testbed.register().await?;
        // The data of the device, a package and its result are larger than a block.
        testbed.performed(&[Operation::List]).await?;
        let received = record.received()?;
        let largest = received.iter().map(|message| message.payload.len()).max().unwrap_or_default();
        ensure(largest <= SMALL, || {
            format!("a response has a block of {largest} octets, expected at most {SMALL}")
        })?;
        let has_later_block = |number| {
            received.iter().any(|message: &Message| {
                matches!(Block::read(&message.options, number), Ok(Some(block)) if block.number > 0)
            })
        };
        ensure(has_later_block(option::BLOCK1), || "no request was transferred in blocks".to_owned())?;
        ensure(has_later_block(option::BLOCK2), || "no response was transferred in blocks".to_owned())
    })
}

fn repetition() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        testbed.package().await?;
        let over_https = testbed.esipa.clone();
        let record = testbed.over_coap(BlockSize::MAX)?;
        let package = testbed.package().await?;
        let (poll, reply) = record.latest_exchange()?;
        // With the result, another execution of the poll would return no package.
        testbed.esipa = over_https;
        testbed.deliver(&package).await?;
        equal("the reply to the repetition", &record.reply_to(&poll).await?, &reply)
    })
}

fn unknown_option() -> Run {
    run!(|testbed| {
        let record = testbed.over_coap(BlockSize::MAX)?;
        executed(testbed).await?;
        let (mut request, _) = record.latest_exchange()?;
        request.id = request.id.wrapping_add(1000);
        request.options.add(UNKNOWN_OPTION, &b"x"[..]);
        equal("the code", &record.reply_to(&request).await?.code, &Code::BAD_OPTION)
    })
}

fn unknown_path() -> Run {
    run!(|testbed| {
        let record = testbed.over_coap(BlockSize::MAX)?;
        executed(testbed).await?;
        let mut request = testbed.request();
        *request.uri_mut() = http::Uri::from_static("/gsma/rsp2/asn1/getEimPackage");
        testbed.send(request).await?;
        expect_code(&record, Code::NOT_FOUND)
    })
}
