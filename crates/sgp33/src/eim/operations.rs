//! The operations of a package, and the results of the eUICC: SGP.32 sections 2.11.1.1 and
//! 2.11.2.1.

use rsp::sgp32::{Eco, EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccResultData, Psmo};
use sgp23::{Stop, Verdict, equal};

use super::operator::{Operation, OtherEim};
use super::testbed::{Testbed, data_of};

impl Testbed<'_> {
    /// Orders operations, and lets the card execute the package of the eIM, which must have these
    /// operations. Returns the results of the card, whose delivery the eIM has acknowledged.
    ///
    /// # Errors
    /// The package has other operations, the card refuses it, or the eIM does not acknowledge the
    /// result.
    pub(crate) async fn performed(&mut self, operations: &[Operation]) -> Result<Vec<EuiccResultData>, Stop> {
        self.order(operations).await?;
        let package = self.package().await?;
        expect_operations(&package, operations)?;
        results_of(&*self.deliver(&package).await?)
    }

    /// Does the same for an operation with this only result.
    ///
    /// # Errors
    /// The result is another one.
    pub(crate) async fn expect_result(&mut self, operation: Operation, result: EuiccResultData) -> Verdict {
        let results = self.performed(&[operation]).await?;
        equal("the result of the eUICC", &results, &vec![result])
    }
}

/// Checks the operations of a package.
///
/// # Errors
/// The package has others.
pub(crate) fn expect_operations(package: &EuiccPackageRequest, expected: &[Operation]) -> Verdict {
    let signed = &package.euicc_package_signed;
    let found: Result<Vec<_>, Stop> = match &signed.euicc_package {
        EuiccPackage::PsmoList(list) => {
            list.iter().map(|entry| entry.decode().map_err(invalid).and_then(|psmo| of_psmo(&psmo))).collect()
        }
        EuiccPackage::EcoList(list) => list
            .iter()
            .map(|entry| entry.decode().map_err(invalid).and_then(|eco| of_eco(&eco, &signed.eim_id)))
            .collect(),
    };
    equal("the operations of the package", &found?.as_slice(), &expected)
}

fn invalid(error: rsp::der::DecodeError) -> Stop {
    Stop::failed(format!("an operation of the package: {error}"))
}

fn unexpected(operation: &dyn std::fmt::Debug) -> Stop {
    Stop::failed(format!("the package has an operation that was not ordered: {operation:?}"))
}

fn of_psmo(psmo: &Psmo) -> Result<Operation, Stop> {
    Ok(match psmo {
        Psmo::Enable(it) if it.rollback_flag.is_some() => Operation::EnableWithRollback(it.iccid),
        Psmo::Enable(it) => Operation::Enable(it.iccid),
        Psmo::Disable(it) => Operation::Disable(it.iccid),
        Psmo::Delete(it) => Operation::Delete(it.iccid),
        Psmo::ListProfileInfo(_) => Operation::List,
        Psmo::GetRat(_) => Operation::Rat,
        Psmo::SetFallbackAttribute(it) => Operation::SetFallback(it.iccid),
        Psmo::UnsetFallbackAttribute(_) => Operation::UnsetFallback,
        Psmo::ConfigureImmediateEnable(it) if it.immediate_enable_flag.is_some() => {
            Operation::ImmediateEnable
        }
        Psmo::SetDefaultDpAddress(it) => Operation::DefaultSmdp(it.default_dp_address.clone()),
        other => return Err(unexpected(other)),
    })
}

/// `own_id` is the identifier of the eIM that signed the package.
fn of_eco(eco: &Eco, own_id: &str) -> Result<Operation, Stop> {
    Ok(match eco {
        Eco::ListEim(_) => Operation::ListEims,
        Eco::AddEim(eim) => Operation::AddEim(OtherEim::of(eim)),
        Eco::UpdateEim(eim) if eim.eim_id == own_id && eim.eim_public_key_data.is_some() => {
            Operation::ReplaceKey
        }
        Eco::UpdateEim(eim) => Operation::UpdateEim(OtherEim::of(eim)),
        Eco::DeleteEim(it) => Operation::DeleteEim(it.eim_id.clone()),
    })
}

/// Returns the results of the operations.
///
/// # Errors
/// They cannot be decoded, or the result is an error.
pub(crate) fn results_of(result: &EuiccPackageResult) -> Result<Vec<EuiccResultData>, Stop> {
    let decoded = data_of(result)?.euicc_result.iter().map(|entry| entry.decode().map(|it| it.into_value()));
    decoded.collect::<Result<_, _>>().map_err(|error| Stop::needs(format!("readable results: {error}")))
}
