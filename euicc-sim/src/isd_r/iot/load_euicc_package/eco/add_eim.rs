//! addEim: SGP.32 section 3.5.1.

use rsp::sgp32::result::{AddEimResult, AddEimResultCode};
use rsp::sgp32::{EimConfigurationData, EuiccResultData};

use super::super::super::association::Association;
use super::super::results::Outcome;
use crate::consumer::ConsumerContext;

pub(super) fn add_eim(context: &mut ConsumerContext<'_>, eim: &EimConfigurationData) -> Outcome {
    let association = Association::of(context);
    let added = association.add(context.state.to_mut().iot_mut(), eim);
    Outcome {
        is_success: added.is_ok(),
        data: EuiccResultData::AddEimResult(match added {
            Ok(Some(token)) => AddEimResult::AssociationToken(token),
            Ok(None) => AddEimResult::AddEimResultCode(AddEimResultCode::OK),
            Err(code) => AddEimResult::AddEimResultCode(code),
        }),
    }
}
