//! Functions of the ISD-R by their tags: SGP.22 section 5.7, and the segments of a Bound Profile
//! Package.

use rsp::der::{Asn1, Reader, Shape, Shown, Tag};
use rsp::sgp22::es8plus::{BoundProfilePackage, InitialiseSecureChannelRequest, ProfileInstallationResult};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, CancelSessionRequest, CancelSessionResponse,
    EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse, GetEuiccChallengeRequest,
    GetEuiccChallengeResponse, GetEuiccInfo1Request, GetEuiccInfo2Request, GetRatRequest, GetRatResponse,
    ListNotificationRequest, ListNotificationResponse, LoadCrlRequest, LoadCrlResponse,
    NotificationSentRequest, NotificationSentResponse, PrepareDownloadRequest, PrepareDownloadResponse,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse, SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DisableProfileRequest, DisableProfileResponse,
    EnableProfileRequest, EnableProfileResponse, EuiccMemoryResetRequest, EuiccMemoryResetResponse,
    GetEuiccDataRequest, GetEuiccDataResponse, ProfileInfoListRequest, ProfileInfoListResponse,
    SetNicknameRequest, SetNicknameResponse,
};
use rsp::sgp22::{EuiccInfo1, EuiccInfo2};

/// A function. Its request and its response have the same tag.
struct Function {
    name: &'static str,
    tag: Tag,
    request: fn() -> Shape,
    response: fn() -> Shape,
}

const fn function<Request: Asn1, Response: Asn1>(name: &'static str) -> Function {
    Function { name, tag: Request::TAG, request: Request::shape, response: Response::shape }
}

const FUNCTIONS: [Function; 20] = [
    function::<EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse>(
        "ES10a.GetEuiccConfiguredAddresses",
    ),
    function::<SetDefaultDpAddressRequest, SetDefaultDpAddressResponse>("ES10a.SetDefaultDpAddress"),
    function::<PrepareDownloadRequest, PrepareDownloadResponse>("ES10b.PrepareDownload"),
    function::<GetEuiccChallengeRequest, GetEuiccChallengeResponse>("ES10b.GetEUICCChallenge"),
    function::<GetEuiccInfo1Request, EuiccInfo1>("ES10b.GetEUICCInfo1"),
    function::<GetEuiccInfo2Request, EuiccInfo2>("ES10b.GetEUICCInfo2"),
    function::<ListNotificationRequest, ListNotificationResponse>("ES10b.ListNotification"),
    function::<RetrieveNotificationsListRequest, RetrieveNotificationsListResponse>(
        "ES10b.RetrieveNotificationsList",
    ),
    function::<NotificationSentRequest, NotificationSentResponse>("ES10b.RemoveNotificationFromList"),
    function::<AuthenticateServerRequest, AuthenticateServerResponse>("ES10b.AuthenticateServer"),
    function::<LoadCrlRequest, LoadCrlResponse>("ES10b.LoadCRL"),
    function::<CancelSessionRequest, CancelSessionResponse>("ES10b.CancelSession"),
    function::<GetRatRequest, GetRatResponse>("ES10b.GetRAT"),
    function::<ProfileInfoListRequest, ProfileInfoListResponse>("ES10c.GetProfilesInfo"),
    function::<EnableProfileRequest, EnableProfileResponse>("ES10c.EnableProfile"),
    function::<DisableProfileRequest, DisableProfileResponse>("ES10c.DisableProfile"),
    function::<DeleteProfileRequest, DeleteProfileResponse>("ES10c.DeleteProfile"),
    function::<EuiccMemoryResetRequest, EuiccMemoryResetResponse>("ES10c.eUICCMemoryReset"),
    function::<GetEuiccDataRequest, GetEuiccDataResponse>("ES10c.GetEID"),
    function::<SetNicknameRequest, SetNicknameResponse>("ES10c.SetNickname"),
];

/// Returns the name and the content of a request.
pub(super) fn request(octets: &[u8]) -> (String, Option<Shown>) {
    let Some(tag) = first_tag(octets) else { return ("empty request".to_owned(), None) };
    if let Some(function) = FUNCTIONS.iter().find(|function| function.tag == tag) {
        return (function.name.to_owned(), Some((function.request)().show(tag, octets)));
    }
    match piece(tag, octets) {
        Some((piece, shown)) => (format!("ES10b.LoadBoundProfilePackage, {piece}"), shown),
        None => (format!("unknown function with tag {tag}"), Some(Shape::Octets.show(tag, octets))),
    }
}

/// Returns the name and the content of a response. The ProfileInstallationResult has a tag of its
/// own.
pub(super) fn response(octets: &[u8]) -> Option<(&'static str, Shown)> {
    let tag = first_tag(octets)?;
    if tag == ProfileInstallationResult::TAG {
        return Some(("ProfileInstallationResult", ProfileInstallationResult::shape().show(tag, octets)));
    }
    let function = FUNCTIONS.iter().find(|function| function.tag == tag)?;
    Some((function.name, (function.response)().show(tag, octets)))
}

/// Returns the name and the content of a segment of a BoundProfilePackage: section 5.7.6.
fn piece(tag: Tag, octets: &[u8]) -> Option<(&'static str, Option<Shown>)> {
    let inside = |shape: Shape, own: Tag| {
        let mut reader = Reader::new(octets);
        reader.header().ok()?;
        Some(shape.show(own, reader.rest()))
    };
    Some(match tag {
        BoundProfilePackage::TAG => (
            "initialiseSecureChannelRequest",
            inside(InitialiseSecureChannelRequest::shape(), InitialiseSecureChannelRequest::TAG),
        ),
        Tag(0xA0) => ("firstSequenceOf87 (ConfigureISDP)", None),
        Tag(0xA1) => ("sequenceOf88 (StoreMetadata)", None),
        Tag(0xA2) => ("secondSequenceOf87 (ReplaceSessionKeys)", None),
        Tag(0xA3) => ("sequenceOf86 (profile elements)", None),
        Tag(0x86) => ("segment 86 (profile elements)", None),
        Tag(0x87) => ("segment 87", None),
        Tag(0x88) => ("segment 88 (metadata)", None),
        _ => return None,
    })
}

fn first_tag(octets: &[u8]) -> Option<Tag> {
    Reader::new(octets).peek().ok().flatten()
}
