//! ISD-R: the functions of ES10a, ES10b and ES10c, SGP.22 section 5.7. An IoT card has no ES10c and
//! more functions of ES10b, SGP.32 section 5.9.
//!
//! Each function has a file of its own. A function processes the request and returns the response;
//! the card commits before the response is sent. An undecodable request gets 6A80. An unknown
//! function gets 6A88, including the functions of v3 and those of the other kind of card.

mod es10a;
mod es10b;
mod es10c;
pub(crate) mod iot;
pub(crate) mod store_data;

use rsp::der::{Asn1, Reader, Tag};
use rsp::sgp22::es8plus::BoundProfilePackage;
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, CancelSessionRequest, EuiccConfiguredAddressesRequest,
    GetEuiccChallengeRequest, GetEuiccInfo1Request, GetEuiccInfo2Request, GetRatRequest,
    ListNotificationRequest, LoadCrlRequest, NotificationSentRequest, PrepareDownloadRequest,
    RetrieveNotificationsListRequest, SetDefaultDpAddressRequest,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DisableProfileRequest, EnableProfileRequest, EuiccMemoryResetRequest,
    GetEuiccDataRequest, ProfileInfoListRequest, SetNicknameRequest,
};
use rsp::sgp22::rsp_capability;

use super::StatusWord;
use super::consumer::ConsumerContext;
use super::install;

/// Dispatches one complete command by its tag.
pub(crate) fn dispatch(context: &mut ConsumerContext<'_>, command: &[u8]) -> Result<Vec<u8>, StatusWord> {
    let tag = Reader::new(command).peek().ok().flatten().ok_or(StatusWord::INCORRECT_DATA)?;
    match tag {
        EuiccConfiguredAddressesRequest::TAG => {
            run(context, command, es10a::get_euicc_configured_addresses::get_euicc_configured_addresses)
        }
        GetEuiccInfo1Request::TAG => run(context, command, es10b::get_euicc_info::get_euicc_info1),
        GetEuiccInfo2Request::TAG => run(context, command, es10b::get_euicc_info::get_euicc_info2),
        GetEuiccChallengeRequest::TAG => {
            run(context, command, es10b::get_euicc_challenge::get_euicc_challenge)
        }
        AuthenticateServerRequest::TAG => {
            run(context, command, es10b::authenticate_server::authenticate_server)
        }
        PrepareDownloadRequest::TAG => run(context, command, es10b::prepare_download::prepare_download),
        CancelSessionRequest::TAG => run(context, command, es10b::cancel_session::cancel_session),
        ListNotificationRequest::TAG => run(context, command, es10b::list_notification::list_notification),
        LoadCrlRequest::TAG
            if context.description.capabilities.rsp_capability.contains(&rsp_capability::CRL) =>
        {
            run(context, command, es10b::load_crl::load_crl)
        }
        GetRatRequest::TAG => run(context, command, es10b::get_rat::get_rat),
        ProfileInfoListRequest::TAG => run(context, command, es10c::get_profiles_info::get_profiles_info),
        GetEuiccDataRequest::TAG => run(context, command, es10c::get_eid::get_eid),
        // ES10b.LoadBoundProfilePackage has no request structure: the package arrives in segments.
        BoundProfilePackage::TAG | Tag(0xA0..=0xA3 | 0x86..=0x88) => {
            install::load_bound_profile_package(context, command)
        }
        _ if context.is_iot() => iot::dispatch(context, tag, command),
        _ => dispatch_consumer(context, tag, command),
    }
}

/// Dispatches the commands that a consumer card has and an IoT card does not have.
fn dispatch_consumer(
    context: &mut ConsumerContext<'_>,
    tag: Tag,
    command: &[u8],
) -> Result<Vec<u8>, StatusWord> {
    match tag {
        SetDefaultDpAddressRequest::TAG => {
            run(context, command, es10a::set_default_dp_address::set_default_dp_address)
        }
        RetrieveNotificationsListRequest::TAG => {
            run(context, command, es10b::retrieve_notifications_list::retrieve_notifications_list)
        }
        NotificationSentRequest::TAG => {
            run(context, command, es10b::remove_notification_from_list::remove_notification_from_list)
        }
        EnableProfileRequest::TAG => run(context, command, es10c::enable_profile::enable_profile),
        DisableProfileRequest::TAG => run(context, command, es10c::disable_profile::disable_profile),
        DeleteProfileRequest::TAG => run(context, command, es10c::delete_profile::delete_profile),
        EuiccMemoryResetRequest::TAG => run(context, command, es10c::euicc_memory_reset::euicc_memory_reset),
        SetNicknameRequest::TAG => run(context, command, es10c::set_nickname::set_nickname),
        _ => Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    }
}

/// The handler of a function: request to response.
type Function<Request, Response> = fn(&mut ConsumerContext<'_>, Request) -> Response;

fn run<Request: Asn1, Response: Asn1>(
    context: &mut ConsumerContext<'_>,
    command: &[u8],
    function: Function<Request, Response>,
) -> Result<Vec<u8>, StatusWord> {
    let request = context.decode(command).map_err(|_| StatusWord::INCORRECT_DATA)?;
    Ok(function(context, request).to_der())
}
