//! eIM configuration operations: SGP.32 section 2.11.1.1.2.2.

mod add_eim;
mod delete_eim;
mod list_eim;
mod update_eim;

use rsp::sgp32::result::{DeleteEimResult, UpdateEimResult};
use rsp::sgp32::{Eco, EuiccResultData};

use super::outcome;
use super::results::Outcome;
use crate::consumer::ConsumerContext;

/// Runs one operation.
pub(super) fn run(context: &mut ConsumerContext<'_>, operation: Eco) -> Outcome {
    match operation {
        Eco::AddEim(eim) => add_eim::add_eim(context, &eim),
        Eco::DeleteEim(delete) => {
            let code = delete_eim::delete_eim(context, &delete);
            Outcome {
                // Both codes say that the eIM was deleted.
                is_success: matches!(code, DeleteEimResult::OK | DeleteEimResult::LAST_EIM_DELETED),
                data: EuiccResultData::DeleteEimResult(code),
            }
        }
        Eco::UpdateEim(eim) => outcome(
            update_eim::update_eim(context, &eim),
            UpdateEimResult::OK,
            EuiccResultData::UpdateEimResult,
        ),
        Eco::ListEim(_) => Outcome { data: list_eim::list_eim(context), is_success: true },
    }
}
