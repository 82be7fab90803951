//! ES10b.LoadEuiccPackage: SGP.32 sections 3.3.1 and 5.9.1.
//!
//! The card verifies the package, runs its operations in order, and signs and stores the result.
//! The changes of all operations, the counter and the result are stored in one write, so a power cut
//! leaves the card before or after the whole package. Enable and disable mark a profile; the switch
//! follows the package, with REFRESH.

mod eco;
mod marks;
mod psmo;
mod results;

use crypto::Signature;
use rsp::der::Raw;
use rsp::sgp32::package::MAX_COUNTER;
use rsp::sgp32::result::{
    EuiccPackageErrorCode, EuiccPackageErrorUnsigned, EuiccPackageUnsignedErrorCode, ProcessingTerminated,
};
use rsp::sgp32::signature::fixed_length;
use rsp::sgp32::{
    EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccPackageSigned, EuiccResultData,
};

use super::association::public_key;
use super::package_result::{PackageId, sign_and_keep, signed_error};
use crate::consumer::ConsumerContext;
use crate::description::{AfterFailure, IotVersion, SizeError};
use crate::state::iot::AssociatedEim;
use marks::Marks;
use results::{Outcome, Results};

pub(super) fn load_euicc_package(
    context: &mut ConsumerContext<'_>,
    request: &Raw<EuiccPackageRequest>,
) -> Raw<EuiccPackageResult> {
    let package = &*request.euicc_package_signed;
    match check(context, request) {
        Ok(eim) => execute(context, &eim, package),
        Err(Refusal::Signed(eim, code)) => signed_error(context, &eim, id(package), code),
        Err(Refusal::Unsigned { association_token, code }) => {
            let has_code = context.description.iot().version == IotVersion::V1_3;
            Raw::new(EuiccPackageResult::EuiccPackageErrorUnsigned(EuiccPackageErrorUnsigned {
                eim_id: package.eim_id.clone(),
                eim_transaction_id: package.eim_transaction_id.clone(),
                association_token,
                euicc_package_unsigned_error_code: has_code.then_some(code),
            }))
        }
    }
}

/// The reason for which the card does not execute a package.
enum Refusal {
    /// The eIM has signed the package.
    Signed(Box<AssociatedEim>, EuiccPackageErrorCode),
    /// The card cannot know who sent the package.
    Unsigned { association_token: Option<i64>, code: EuiccPackageUnsignedErrorCode },
}

fn id(package: &EuiccPackageSigned) -> PackageId {
    PackageId { counter_value: package.counter_value, eim_transaction_id: package.eim_transaction_id.clone() }
}

/// Returns the eIM that has signed the package, if the card may execute it.
// req: SGP.32-5.9.1-Order
fn check(
    context: &ConsumerContext<'_>,
    request: &Raw<EuiccPackageRequest>,
) -> Result<Box<AssociatedEim>, Refusal> {
    let package = &*request.euicc_package_signed;
    let settings = context.description.iot();
    let unsigned = |association_token, code| Refusal::Unsigned { association_token, code };
    let eim = context.state.iot().eim(&package.eim_id);
    let eim = eim.ok_or_else(|| unsigned(None, EuiccPackageUnsignedErrorCode::UNDEFINED_ERROR))?;
    let is_oversized = request.bytes().len() > settings.max_package_size;
    if is_oversized && settings.oversized_package == SizeError::Unsigned {
        return Err(unsigned(eim.token(), EuiccPackageUnsignedErrorCode::SIZE_OVERFLOW));
    }
    // req: SGP.32-5.9.1-Signature
    if !is_signed(context, eim, request) {
        return Err(unsigned(eim.token(), EuiccPackageUnsignedErrorCode::UNDEFINED_ERROR));
    }
    let code = if package.eid_value != context.description.eid {
        EuiccPackageErrorCode::INVALID_EID
    } else if package.counter_value > MAX_COUNTER {
        EuiccPackageErrorCode::COUNTER_VALUE_OUT_OF_RANGE
    } else if package.counter_value <= eim.counter {
        EuiccPackageErrorCode::REPLAY_ERROR
    } else if context.state.iot().emergency.is_some() {
        EuiccPackageErrorCode::ECALL_ACTIVE
    } else if is_oversized {
        EuiccPackageErrorCode::SIZE_OVERFLOW
    } else {
        return Ok(Box::new(eim.clone()));
    };
    Err(Refusal::Signed(Box::new(eim.clone()), code))
}

fn is_signed(context: &ConsumerContext<'_>, eim: &AssociatedEim, request: &EuiccPackageRequest) -> bool {
    let signature = match context.description.strict {
        true => request.eim_signature.as_slice().try_into().ok(),
        false => fixed_length(&request.eim_signature),
    };
    let key = eim.configuration.0.eim_public_key_data.as_ref().and_then(public_key);
    let (Some(signature), Some(key)) = (signature, key) else { return false };
    Signature::from_slice(&signature)
        .and_then(|signature| key.verify(&request.signed_octets(eim.token()), &signature))
        .is_ok()
}

/// Runs the operations of a package.
fn execute(
    context: &mut ConsumerContext<'_>,
    eim: &AssociatedEim,
    package: &EuiccPackageSigned,
) -> Raw<EuiccPackageResult> {
    let iot = context.state.to_mut().iot_mut();
    // Each accepted package ends the permission to roll back an earlier one.
    // req: SGP.32-5.9.1-Rollback
    iot.rollback = None;
    if let Some(eim) = iot.eim_mut(&package.eim_id) {
        eim.counter = package.counter_value;
    }
    let settings = context.description.iot();
    let mut results = Results::new(settings.max_result_size);
    let mut marks = Marks::default();
    let count = match &package.euicc_package {
        EuiccPackage::PsmoList(psmos) => psmos.len(),
        EuiccPackage::EcoList(ecos) => ecos.len(),
    };
    for number in 0..count {
        if !results.has_room() {
            results.terminate(ProcessingTerminated::RESULT_SIZE_OVERFLOW);
            break;
        }
        let outcome = match &package.euicc_package {
            EuiccPackage::PsmoList(psmos) => psmos
                .get(number)
                .and_then(|psmo| context.decode(psmo.bytes()).ok())
                .map(|operation| psmo::run(context, &mut marks, operation)),
            EuiccPackage::EcoList(ecos) => ecos
                .get(number)
                .and_then(|eco| context.decode(eco.bytes()).ok())
                .map(|operation| eco::run(context, operation)),
        };
        let Some(Outcome { data, is_success }) = outcome else {
            results.terminate(ProcessingTerminated::UNKNOWN_OR_DAMAGED_COMMAND);
            break;
        };
        if !results.push(data) {
            results.terminate(ProcessingTerminated::RESULT_SIZE_OVERFLOW);
            break;
        }
        if is_success {
            continue;
        }
        match settings.after_failure {
            AfterFailure::Continue => {}
            AfterFailure::Stop => break,
            AfterFailure::StopWithProcessingTerminated => {
                results.terminate(ProcessingTerminated::UNDEFINED_ERROR);
                break;
            }
        }
    }
    let result = sign_and_keep(context, eim, id(package), results.entries);
    marks.apply(context, &result);
    result
}

/// A result code of an operation.
fn outcome<Code: PartialEq + Copy>(
    code: Code,
    ok: Code,
    data: impl FnOnce(Code) -> EuiccResultData,
) -> Outcome {
    Outcome { is_success: code == ok, data: data(code) }
}
