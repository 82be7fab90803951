//! ES10c.SetNickname: SGP.22 section 5.7.21.

use std::sync::Arc;

use rsp::sgp22::es10c::{SetNicknameRequest, SetNicknameResponse, SetNicknameResult};

use crate::consumer::ConsumerContext;

/// Maximum length of a nickname in octets: SGP.22 section 5.7.21.
const MAX_NICKNAME: usize = 64;

pub(crate) fn set_nickname(
    context: &mut ConsumerContext<'_>,
    request: SetNicknameRequest,
) -> SetNicknameResponse {
    SetNicknameResponse { set_nickname_result: decide(context, request) }
}

fn decide(context: &mut ConsumerContext<'_>, request: SetNicknameRequest) -> SetNicknameResult {
    // req: SGP.22-5.7.21-Length
    if request.profile_nickname.len() > MAX_NICKNAME {
        return SetNicknameResult::UNDEFINED_ERROR;
    }
    // req: SGP.22-5.7.21-NotFound
    if !context.persistent.has_iccid(request.iccid) {
        return SetNicknameResult::ICCID_NOT_FOUND;
    }
    let nickname = Some(request.profile_nickname).filter(|nickname| !nickname.is_empty());
    for profile in &mut context.persistent.to_mut().profiles {
        if profile.iccid() == request.iccid {
            Arc::make_mut(profile).nickname.clone_from(&nickname);
        }
    }
    SetNicknameResult::OK
}
