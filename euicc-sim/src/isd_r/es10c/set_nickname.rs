//! ES10c.SetNickname: SGP.22 section 5.7.21.

use std::sync::Arc;

use rsp::sgp22::es10c::{SetNicknameRequest, SetNicknameResponse};

use crate::consumer::ConsumerContext;

const OK: i64 = 0;
const ICCID_NOT_FOUND: i64 = 1;
const UNDEFINED_ERROR: i64 = 127;

/// Maximum length of a nickname in octets: SGP.22 section 5.7.21.
const MAX_NICKNAME: usize = 64;

pub(crate) fn set_nickname(
    context: &mut ConsumerContext<'_>,
    request: SetNicknameRequest,
) -> SetNicknameResponse {
    SetNicknameResponse { set_nickname_result: decide(context, request) }
}

fn decide(context: &mut ConsumerContext<'_>, request: SetNicknameRequest) -> i64 {
    // req: SGP.22-5.7.21-Length
    if request.profile_nickname.len() > MAX_NICKNAME {
        return UNDEFINED_ERROR;
    }
    // req: SGP.22-5.7.21-NotFound
    if !context.persistent.profiles.iter().any(|profile| profile.iccid() == request.iccid) {
        return ICCID_NOT_FOUND;
    }
    let nickname = Some(request.profile_nickname).filter(|nickname| !nickname.is_empty());
    for profile in &mut context.persistent.to_mut().profiles {
        if profile.iccid() == request.iccid {
            Arc::make_mut(profile).nickname.clone_from(&nickname);
        }
    }
    OK
}
