//! Signed results of packages: SGP.32 sections 2.11.2 and 2.11.2.1.

use std::sync::Arc;

use rsp::der::{Opaque, Raw};
use rsp::ids::TransactionId;
use rsp::sgp32::result::{
    EuiccPackageErrorCode, EuiccPackageErrorDataSigned, EuiccPackageErrorSigned,
    EuiccPackageResultDataSigned, EuiccPackageResultSigned,
};
use rsp::sgp32::signature::signed_octets;
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};

use crate::consumer::ConsumerContext;
use crate::ecasd::Credential;
use crate::state::InDer;
use crate::state::iot::{AssociatedEim, StoredResult};

/// The package to which a result belongs.
pub(super) struct PackageId {
    pub(super) counter_value: i64,
    pub(super) eim_transaction_id: Option<TransactionId>,
}

/// Signs a result for the eIM, stores it and returns it.
///
/// `eim` is the eIM as it was when the package arrived, because the package can have changed or
/// deleted it.
pub(super) fn sign_and_keep(
    context: &mut ConsumerContext<'_>,
    eim: &AssociatedEim,
    package: PackageId,
    euicc_result: Vec<Opaque<EuiccResultData>>,
) -> Raw<EuiccPackageResult> {
    let state = context.state.to_mut();
    let sequence_number = state.next_sequence_number;
    state.next_sequence_number = sequence_number.saturating_add(1);
    let data = Raw::new(EuiccPackageResultDataSigned {
        eim_id: eim.id().to_owned(),
        counter_value: package.counter_value,
        eim_transaction_id: package.eim_transaction_id,
        seq_number: sequence_number,
        euicc_result,
    });
    let signed = Raw::new(EuiccPackageResult::EuiccPackageResultSigned(EuiccPackageResultSigned {
        euicc_sign_epr: signature(context, eim, data.bytes()),
        euicc_package_result_data_signed: data,
    }));
    keep(context, StoredResult { sequence_number, signed: InDer(signed.clone()) });
    signed
}

/// The error for a package that is not executed. The card does not store it.
pub(super) fn signed_error(
    context: &ConsumerContext<'_>,
    eim: &AssociatedEim,
    package: PackageId,
    code: EuiccPackageErrorCode,
) -> Raw<EuiccPackageResult> {
    let data = Raw::new(EuiccPackageErrorDataSigned {
        eim_id: eim.id().to_owned(),
        counter_value: package.counter_value,
        eim_transaction_id: package.eim_transaction_id,
        euicc_package_error_code: code,
    });
    Raw::new(EuiccPackageResult::EuiccPackageErrorSigned(EuiccPackageErrorSigned {
        euicc_sign_epe: signature(context, eim, data.bytes()),
        euicc_package_error_data_signed: data,
    }))
}

/// euiccSignEPR or euiccSignEPE: with the key for the CI that the eIM configuration names.
fn signature(context: &ConsumerContext<'_>, eim: &AssociatedEim, data: &[u8]) -> Vec<u8> {
    let credential: Option<&Credential> = match &eim.configuration.0.euicc_ci_pk_id {
        Some(ci) => Some(context.ecasd.credential_or_preferred(ci)),
        None => context.ecasd.credential_for(None),
    };
    let signed = signed_octets(data, eim.token());
    credential.map(|credential| credential.sign(&signed).as_bytes().to_vec()).unwrap_or_default()
}

/// Stores a result. If there are too many, the oldest is discarded.
// req: SGP.32-2.11.2-Full
fn keep(context: &mut ConsumerContext<'_>, result: StoredResult) {
    let most = context.description.iot().max_results;
    let iot = context.state.to_mut().iot_mut();
    iot.results.push(Arc::new(result));
    let surplus = iot.results.len().saturating_sub(most.max(1));
    let lost: Vec<i64> = iot.results.iter().take(surplus).map(|result| result.sequence_number).collect();
    for number in lost {
        iot.remove_result(number);
        tracing::warn!(number, "the list of package results is full: the oldest result was discarded");
    }
}
