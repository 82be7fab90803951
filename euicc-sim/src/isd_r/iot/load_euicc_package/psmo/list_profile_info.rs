//! listProfileInfo: SGP.32 section 3.4.8. The result is that of GetProfilesInfo.

use rsp::sgp22::es10c::{ProfileInfoListError, ProfileInfoListRequest, ProfileInfoListResponse};
use rsp::sgp32::EuiccResultData;

use super::super::marks::Marks;
use super::super::results::Outcome;
use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::get_profiles_info::get_profiles_info;

pub(super) fn list_profile_info(
    context: &mut ConsumerContext<'_>,
    marks: &Marks,
    request: ProfileInfoListRequest,
) -> Outcome {
    // req: SGP.32-2.11.1.1-ListAfterChange
    let response = match marks.is_change_ongoing() {
        true => ProfileInfoListResponse::ProfileInfoListError(ProfileInfoListError::PROFILE_CHANGE_ONGOING),
        false => get_profiles_info(context, request),
    };
    Outcome {
        is_success: matches!(response, ProfileInfoListResponse::ProfileInfoListOk(_)),
        data: EuiccResultData::ListProfileInfoResult(response),
    }
}
