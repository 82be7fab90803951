//! Cases of ESep, the packages for the eUICC: SGP.32 section 2.11.1.1. The card of the tester
//! verifies the signature, the EID and the counter.

use rsp::sgp32::result::{DeleteProfileResult, DisableProfileResult, EnableProfileResult};
use rsp::sgp32::{Eco, EuiccPackage, EuiccPackageRequest, EuiccResultData, Psmo};
use sgp23::{Stop, Verdict, ensure, equal};

use super::PROFILE_ENABLE;
use crate::eim::case::{Case, Need, Run, run};
use crate::eim::operator::Operation;
use crate::eim::testbed::data_of;

const PSMO: &str = "2.11.1.1, 2.11.1.1.3, 3.4";
const ECO: &str = "2.11.1.1, 2.11.1.1.2.2, 3.5.2";

pub(super) fn cases() -> Vec<Case> {
    let case =
        |function, clause, title: &str, run| Case::new(function, clause, title, run).need(Need::Operator);
    vec![
        case(
            "ESep.Enable",
            PSMO,
            "a profile is enabled, no profile was enabled",
            profile_change(&[Change::Enable]),
        )
        .id(PROFILE_ENABLE, "01"),
        case(
            "ESep.Enable",
            PSMO,
            "a profile is enabled in place of another one",
            profile_change(&[Change::Enable, Change::EnableAnother]),
        )
        .id(PROFILE_ENABLE, "03"),
        case(
            "ESep.Disable",
            PSMO,
            "a profile is disabled",
            profile_change(&[Change::Enable, Change::Disable]),
        ),
        case("ESep.Delete", PSMO, "a profile is deleted", profile_change(&[Change::Delete])),
        case("ESep.ListProfileInfo", PSMO, "the profiles are listed", listing()),
        case(
            "ESep.GetRAT",
            PSMO,
            "the Rules Authorisation Table is read",
            simple(&[Operation::Rat], |result| matches!(result, EuiccResultData::GetRatResult(_))),
        ),
        case(
            "ESep.ListEim",
            ECO,
            "the associated eIMs are listed",
            simple(&[Operation::ListEims], |result| matches!(result, EuiccResultData::ListEimResult(_))),
        ),
        case("ESep", "2.11.1.1", "two operations are in one package, in the order of the order", both()),
        case("ESep", "2.11.1.1", "eimId and eidValue are those of the eIM and the eUICC", addressed()),
        case("ESep", "2.11.1.1", "the signature covers the association token", token()),
    ]
}

/// A change of the profiles of a card.
#[derive(Clone, Copy)]
enum Change {
    Enable,
    EnableAnother,
    Disable,
    Delete,
}

/// Installs two profiles, and performs the changes. The eIM acknowledges each result.
fn profile_change(changes: &'static [Change]) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let (first, second) = (testbed.installed().await?, testbed.installed().await?);
        for change in changes {
            let (operation, expected) = match change {
                Change::Enable => {
                    (Operation::Enable(first), EuiccResultData::EnableResult(EnableProfileResult::OK))
                }
                Change::EnableAnother => {
                    (Operation::Enable(second), EuiccResultData::EnableResult(EnableProfileResult::OK))
                }
                Change::Disable => {
                    (Operation::Disable(first), EuiccResultData::DisableResult(DisableProfileResult::OK))
                }
                Change::Delete => {
                    (Operation::Delete(first), EuiccResultData::DeleteResult(DeleteProfileResult::OK))
                }
            };
            let operations = [operation];
            testbed.order(&operations).await?;
            let package = testbed.package().await?;
            expect_operations(&package, &operations)?;
            let result = testbed.deliver(&package).await?;
            equal("the result of the eUICC", &results_of(&result)?, &vec![expected])?;
        }
        testbed.expect_no_package().await
    })
}

fn listing() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.installed().await?;
        testbed.order(&[Operation::List]).await?;
        let package = testbed.package().await?;
        expect_operations(&package, &[Operation::List])?;
        let result = testbed.deliver(&package).await?;
        let results = results_of(&result)?;
        ensure(matches!(results.as_slice(), [EuiccResultData::ListProfileInfoResult(_)]), || {
            format!("the result of the eUICC is {results:?}, expected a list of profiles")
        })
    })
}

/// Orders operations, and checks the only result of the eUICC.
fn simple(operations: &'static [Operation], is_expected: fn(&EuiccResultData) -> bool) -> Run {
    run!(|testbed| {
        testbed.ordered(operations).await?;
        let package = testbed.package().await?;
        expect_operations(&package, operations)?;
        let result = testbed.deliver(&package).await?;
        let results = results_of(&result)?;
        ensure(matches!(results.as_slice(), [only] if is_expected(only)), || {
            format!("the result of the eUICC is {results:?}")
        })?;
        testbed.expect_no_package().await
    })
}

fn both() -> Run {
    run!(|testbed| {
        let operations = [Operation::Rat, Operation::List];
        testbed.ordered(&operations).await?;
        let package = testbed.package().await?;
        expect_operations(&package, &operations)?;
        let result = testbed.deliver(&package).await?;
        let count = results_of(&result)?.len();
        equal("the number of results", &count, &operations.len())
    })
}

fn addressed() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        let signed = &package.euicc_package_signed;
        equal("eimId", &signed.eim_id, &testbed.eim.configuration.eim_id)?;
        equal("eidValue", &signed.eid_value, &testbed.eid)?;
        testbed.execute(&package).await.map(|_| ())
    })
}

fn token() -> Run {
    run!(|testbed| {
        testbed.with_token().await?;
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        testbed.deliver(&package).await.map(|_| ())
    })
}

/// Checks the operations of a package.
///
/// # Errors
/// The package has others.
pub(super) fn expect_operations(package: &EuiccPackageRequest, expected: &[Operation]) -> Verdict {
    let found: Result<Vec<_>, Stop> = match &package.euicc_package_signed.euicc_package {
        EuiccPackage::PsmoList(list) => {
            list.iter().map(|entry| entry.decode().map_err(invalid).and_then(|psmo| of_psmo(&psmo))).collect()
        }
        EuiccPackage::EcoList(list) => {
            list.iter().map(|entry| entry.decode().map_err(invalid).and_then(|eco| of_eco(&eco))).collect()
        }
    };
    equal("the operations of the package", &found?.as_slice(), &expected)
}

fn invalid(error: rsp::der::DecodeError) -> Stop {
    Stop::failed(format!("an operation of the package: {error}"))
}

fn of_psmo(psmo: &Psmo) -> Result<Operation, Stop> {
    Ok(match psmo {
        Psmo::Enable(it) => Operation::Enable(it.iccid),
        Psmo::Disable(it) => Operation::Disable(it.iccid),
        Psmo::Delete(it) => Operation::Delete(it.iccid),
        Psmo::ListProfileInfo(_) => Operation::List,
        Psmo::GetRat(_) => Operation::Rat,
        other => {
            return Err(Stop::failed(format!(
                "the package has an operation that was not ordered: {other:?}"
            )));
        }
    })
}

fn of_eco(eco: &Eco) -> Result<Operation, Stop> {
    match eco {
        Eco::ListEim(_) => Ok(Operation::ListEims),
        other => Err(Stop::failed(format!("the package has an operation that was not ordered: {other:?}"))),
    }
}

/// Returns the results of the operations.
fn results_of(result: &rsp::sgp32::EuiccPackageResult) -> Result<Vec<EuiccResultData>, Stop> {
    let decoded = data_of(result)?.euicc_result.iter().map(|entry| entry.decode().map(|it| it.into_value()));
    decoded.collect::<Result<_, _>>().map_err(|error| Stop::needs(format!("readable results: {error}")))
}
