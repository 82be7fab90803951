//! Cases of ESep, the packages for the eUICC: SGP.32 section 2.11.1.1. The card of the tester
//! verifies the signature, the EID and the counter.

use rsp::sgp32::EuiccResultData;
use rsp::sgp32::result::{
    ConfigureImmediateEnableResult, DeleteProfileResult, DisableProfileResult, EnableProfileResult,
    SetFallbackAttributeResult, UnsetFallbackAttributeResult,
};
use sgp23::{ensure, equal};
use sm_dp::ProfileOptions;

use super::PROFILE_ENABLE;
use crate::eim::case::{Case, Need, Run, run};
use crate::eim::operator::Operation;
use crate::eim::testbed::card_failed;

const PSMO: &str = "2.11.1.1, 2.11.1.1.3, 3.4";

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
        case(
            "ESep.Enable",
            PSMO,
            "a profile is enabled with the permission to roll back",
            profile_change(&[Change::Enable, Change::EnableAnotherWithRollback]),
        ),
        case(
            "ESep.SetFallbackAttribute",
            "2.11.1.1.3, 3.6",
            "the Fallback Attribute is set",
            fallback(false),
        ),
        case(
            "ESep.UnsetFallbackAttribute",
            "2.11.1.1.3, 3.6",
            "the Fallback Attribute is unset",
            fallback(true),
        ),
        case(
            "ESep.ConfigureImmediateEnable",
            "2.11.1.1.3",
            "the immediate enabling is allowed",
            immediate_enable(),
        ),
        case("ESep.SetDefaultDpAddress", "2.11.1.1.3", "the default SM-DP+ is set", default_smdp()),
        case("ESep.ListProfileInfo", PSMO, "the profiles are listed", listing()),
        case("ESep.GetRAT", PSMO, "the Rules Authorisation Table is read", rat()),
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
    EnableAnotherWithRollback,
    Disable,
    Delete,
}

/// Installs two profiles, and performs the changes. The eIM acknowledges each result.
fn profile_change(changes: &'static [Change]) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let (first, second) = (testbed.installed().await?, testbed.installed().await?);
        for change in changes {
            let enabled = EuiccResultData::EnableResult(EnableProfileResult::OK);
            let (operation, expected) = match change {
                Change::Enable => (Operation::Enable(first), enabled),
                Change::EnableAnother => (Operation::Enable(second), enabled),
                Change::EnableAnotherWithRollback => (Operation::EnableWithRollback(second), enabled),
                Change::Disable => {
                    (Operation::Disable(first), EuiccResultData::DisableResult(DisableProfileResult::OK))
                }
                Change::Delete => {
                    (Operation::Delete(first), EuiccResultData::DeleteResult(DeleteProfileResult::OK))
                }
            };
            testbed.expect_result(operation, expected).await?;
        }
        testbed.expect_no_package().await
    })
}

/// Sets the Fallback Attribute of a profile whose metadata allow it, and unsets it again.
fn fallback(is_unset: bool) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let options = ProfileOptions { fallback_allowed: true, ..ProfileOptions::default() };
        let iccid = testbed.installed_with(&options).await?;
        let set = EuiccResultData::SetFallbackAttributeResult(SetFallbackAttributeResult::OK);
        testbed.expect_result(Operation::SetFallback(iccid), set).await?;
        if is_unset {
            let unset = EuiccResultData::UnsetFallbackAttributeResult(UnsetFallbackAttributeResult::OK);
            testbed.expect_result(Operation::UnsetFallback, unset).await?;
        }
        testbed.expect_no_package().await
    })
}

fn immediate_enable() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let expected = EuiccResultData::ConfigureImmediateEnableResult(ConfigureImmediateEnableResult::OK);
        testbed.expect_result(Operation::ImmediateEnable, expected).await
    })
}

fn default_smdp() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let address = "smdpp.default.example".to_owned();
        testbed.performed(&[Operation::DefaultSmdp(address.clone())]).await?;
        let addresses = testbed.es10().get_euicc_configured_addresses().await.map_err(card_failed)?;
        equal("the default SM-DP+ of the eUICC", &addresses.default_dp_address, &Some(address))
    })
}

fn listing() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.installed().await?;
        let results = testbed.performed(&[Operation::List]).await?;
        ensure(matches!(results.as_slice(), [EuiccResultData::ListProfileInfoResult(_)]), || {
            format!("the result of the eUICC is {results:?}, expected a list of profiles")
        })
    })
}

fn rat() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let results = testbed.performed(&[Operation::Rat]).await?;
        ensure(matches!(results.as_slice(), [EuiccResultData::GetRatResult(_)]), || {
            format!("the result of the eUICC is {results:?}, expected the table")
        })?;
        testbed.expect_no_package().await
    })
}

fn both() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let operations = [Operation::Rat, Operation::List];
        let count = testbed.performed(&operations).await?.len();
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
