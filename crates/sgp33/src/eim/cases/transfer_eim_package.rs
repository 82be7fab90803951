//! Cases of ESipa.TransferEimPackage: SGP.32 section 5.14.4.

use rsp::der::Raw;
use rsp::sgp32::EuiccPackageRequest;
use rsp::sgp32::esipa::TransferEimPackageRequest;
use sgp23::{Scope, Stop, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::esipa::{acknowledged, of_euicc};
use crate::eim::operations::expect_operations;
use crate::eim::operator::Operation;
use crate::eim::testbed::card_failed;
use crate::eim::transfer::Delivery;

pub(super) fn cases() -> Vec<Case> {
    // The eIM chooses the binding.
    let case = |title: &str, run| {
        Case::new("ESipa.TransferEimPackage", "5.14.4", title, run)
            .scope(Scope::Once)
            .need(Need::Operator)
            .need(Need::Transfer)
    };
    vec![
        case("a package is sent, and its result is acknowledged", acknowledgement(Delivery::Result)),
        case(
            "the notifications in a result are acknowledged with it",
            acknowledgement(Delivery::WithNotifications),
        ),
        case("a result that is delivered later is accepted", later()),
        case("a request for data is sent, and the data are accepted", data()),
    ]
}

fn package_in(requests: &[TransferEimPackageRequest]) -> Result<&Raw<EuiccPackageRequest>, Stop> {
    match requests {
        [TransferEimPackageRequest::EuiccPackageRequest(package), ..] => Ok(package),
        other => Err(Stop::failed(format!("the eIM sent {other:?}, expected the package"))),
    }
}

fn acknowledgement(delivery: Delivery) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let iccid = testbed.installed().await?;
        testbed.expect_no_package().await?;
        let operations = [Operation::Enable(iccid)];
        testbed.order(&operations).await?;
        let requests = testbed.transferred(delivery).await?;
        expect_operations(package_in(&requests)?, &operations)?;
        let [_, TransferEimPackageRequest::EimAcknowledgements(numbers)] = requests.as_slice() else {
            return Err(Stop::failed(format!("the eIM sent {requests:?}, expected acknowledgements")));
        };
        let mut expected = testbed.results_on_card().await?;
        if delivery == Delivery::WithNotifications {
            let listed = testbed.es10().list_notification().await.map_err(card_failed)?;
            expected.extend(listed.iter().map(|metadata| metadata.seq_number));
        }
        let mut numbers: Vec<_> = numbers.0.iter().map(|number| number.0).collect();
        numbers.sort_unstable();
        expected.sort_unstable();
        equal("the acknowledgements", &numbers, &expected)?;
        testbed.expect_no_package().await
    })
}

fn later() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.expect_no_package().await?;
        testbed.order(&[Operation::List]).await?;
        let requests = testbed.transferred(Delivery::Later).await?;
        let result = testbed.execute(package_in(&requests)?).await?;
        acknowledged(&testbed.provide(of_euicc(&result)).await?)?;
        testbed.expect_no_package().await
    })
}

fn data() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let requests = testbed.transferred(Delivery::Result).await?;
        let is_request = |request: &_| matches!(request, TransferEimPackageRequest::IpaEuiccDataRequest(_));
        if !requests.iter().any(is_request) {
            return Err(Stop::failed(format!("the eIM sent {requests:?}, expected a request for data")));
        }
        // The eIM does not request the data again.
        testbed.knows_data = true;
        testbed.expect_no_package().await
    })
}
