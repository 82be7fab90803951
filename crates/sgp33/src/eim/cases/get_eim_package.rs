//! Cases of ESipa.GetEimPackage: SGP.32 section 5.14.5.

use bytes::Bytes;
use rsp::der::{Asn1, Null, tlv_bytes};
use rsp::ids::Eid;
use rsp::sgp32::StateChangeCause;
use rsp::sgp32::esipa::{self, EimPackageError, GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa};
use sgp23::{Binding, Stop, ensure, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::operations::expect_operations;
use crate::eim::operator::Operation;
use crate::eim::testbed::Testbed;

const FUNCTION: &str = "ESipa.GetEimPackage";
const CLAUSE: &str = "5.14.5";

fn case(title: &str, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("an EID that is not registered is refused: eidNotFound", unknown_eid()),
        case("an EID with wrong check digits is refused: invalidEid", invalid_eid()),
        case("a request without an EID is refused: missingEid", missing_eid()),
        case("a device without an order gets noEimPackageAvailable", no_package()).need(Need::Operator),
        case("a state change and the registered network can be reported", state_change())
            .need(Need::Operator),
        case("unknown elements of a later version are ignored", unknown_elements()).need(Need::Operator),
        Case::new(
            FUNCTION,
            "3.3.1, 5.14.5",
            "a package is repeated unchanged until its result arrives",
            repetition(),
        )
        .need(Need::Operator),
        Case::new(
            FUNCTION,
            "2.11.1.1",
            "the counter increases, and no eimTransactionId is used twice",
            counter(),
        )
        .need(Need::Operator),
        Case::new(FUNCTION, "3.3.1", "orders are delivered in sequence", sequence()).need(Need::Operator),
    ]
}

fn refusal(code: EimPackageError) -> GetEimPackageResponse {
    GetEimPackageResponse::EimPackageError(code)
}

fn unknown_eid() -> Run {
    run!(|testbed| {
        let reply = testbed.poll_with(&Testbed::poll_of(testbed.other_eid)).await?;
        equal("the reply", &reply, &refusal(EimPackageError::EID_NOT_FOUND))
    })
}

/// Returns the EID with other check digits.
fn with_wrong_check_digits(eid: Eid) -> Result<Eid, Stop> {
    let text = eid.to_string();
    let (number, digits) = text.split_at_checked(30).unwrap_or_default();
    let wrong = if digits == "50" { "51" } else { "50" };
    format!("{number}{wrong}").parse().map_err(|error| Stop::needs(format!("an EID: {error}")))
}

fn invalid_eid() -> Run {
    run!(|testbed| {
        let request = Testbed::poll_of(with_wrong_check_digits(testbed.other_eid)?);
        let reply = testbed.poll_with(&request).await?;
        equal("the reply", &reply, &refusal(EimPackageError::INVALID_EID))
    })
}

fn missing_eid() -> Run {
    run!(|testbed| {
        let mut request = http_poll(testbed);
        *request.body_mut() = match testbed.binding {
            Binding::Json => Bytes::from_static(b"{}"),
            Binding::Asn1 => tlv_bytes(GetEimPackageRequest::TAG, &[]).into(),
        };
        let response = testbed.send(request).await?;
        let reply = testbed.reply::<GetEimPackageResponse>(&response)?;
        equal("the reply", &reply, &refusal(EimPackageError::MISSING_EID))
    })
}

fn http_poll(testbed: &Testbed<'_>) -> http::Request<Bytes> {
    let request = Testbed::poll_of(testbed.eid);
    testbed.http::<esipa::GetEimPackage>(&request, MessageFromIpa::GetEimPackageRequest)
}

fn no_package() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.expect_no_package().await
    })
}

fn state_change() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        let request = GetEimPackageRequest {
            notify_state_change: Some(Null),
            state_change_cause: Some(StateChangeCause::FALLBACK),
            r_plmn: Some([0x27, 0xF4, 0x99]),
            ..Testbed::poll_of(testbed.eid)
        };
        match testbed.poll_with(&request).await? {
            GetEimPackageResponse::EuiccPackageRequest(same) => {
                equal("the package", &same.euicc_package_signed, &package.euicc_package_signed)
            }
            other => Err(Stop::failed(format!("the reply is {other:?}, expected the package"))),
        }
    })
}

fn unknown_elements() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        testbed.package().await?;
        testbed.adds_unknown = true;
        testbed.package().await.map(|_| ())
    })
}

fn repetition() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        let first = testbed.package().await?;
        for _ in 0..2 {
            let again = testbed.package().await?;
            equal("euiccPackageSigned", &again.euicc_package_signed, &first.euicc_package_signed)?;
        }
        testbed.execute(&first).await.map(|_| ())
    })
}

fn counter() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        testbed.order(&[Operation::Rat]).await?;
        let first = testbed.package().await?;
        testbed.deliver(&first).await?;
        let second = testbed.package().await?;
        let (before, after) = (&first.euicc_package_signed, &second.euicc_package_signed);
        ensure(after.counter_value > before.counter_value, || {
            format!("counterValue {} follows {}", after.counter_value, before.counter_value)
        })?;
        let id = after.eim_transaction_id.as_ref();
        ensure(id.is_none() || id != before.eim_transaction_id.as_ref(), || {
            "two packages have the same eimTransactionId".to_owned()
        })?;
        testbed.execute(&second).await.map(|_| ())
    })
}

fn sequence() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        testbed.order(&[Operation::ListEims]).await?;
        for expected in [Operation::List, Operation::ListEims] {
            let package = testbed.package().await?;
            expect_operations(&package, std::slice::from_ref(&expected))?;
            testbed.deliver(&package).await?;
        }
        testbed.expect_no_package().await
    })
}
