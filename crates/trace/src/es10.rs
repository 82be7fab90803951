//! Functions of the ISD-R by their tags: SGP.22 section 5.7, and the segments of a Bound Profile
//! Package.

use profile::EuiccResponse;
use rsp::der::{Asn1, Reader, Shape, Shown, Tag, tlv};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ErrorReason, InitialiseSecureChannelRequest, ProfileInstallationResult,
};
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse, CancelSessionError,
    CancelSessionRequest, CancelSessionResponse, DeleteNotificationStatus, DownloadErrorCode,
    EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse, GetEuiccChallengeRequest,
    GetEuiccChallengeResponse, GetEuiccInfo1Request, GetEuiccInfo2Request, GetRatRequest, GetRatResponse,
    ListNotificationRequest, ListNotificationResponse, LoadCrlError, LoadCrlRequest, LoadCrlResponse,
    NotificationSentRequest, NotificationSentResponse, NotificationsListResultError, PrepareDownloadRequest,
    PrepareDownloadResponse, RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
    SetDefaultDpAddressRequest, SetDefaultDpAddressResponse, SetDefaultDpAddressResult,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DeleteResult, DisableProfileRequest, DisableProfileResponse,
    DisableResult, EnableProfileRequest, EnableProfileResponse, EnableResult, EuiccMemoryResetRequest,
    EuiccMemoryResetResponse, GetEuiccDataRequest, GetEuiccDataResponse, ProfileInfoListError,
    ProfileInfoListRequest, ProfileInfoListResponse, ResetResult, SetNicknameRequest, SetNicknameResponse,
    SetNicknameResult,
};
use rsp::sgp22::{CancelSessionReason, EuiccInfo1, EuiccInfo2, OtherSignedNotification};

use crate::refined;

/// A function. Its request and its response have the same tag.
pub struct Function {
    /// The name with the interface: `ES10c.EnableProfile`.
    pub name: &'static str,
    /// The section of SGP.22.
    pub section: &'static str,
    /// The result codes of the response.
    pub results: &'static [ResultCode],
    tag: Tag,
    request: fn() -> Shape,
    response: fn() -> Shape,
    is_request: fn(&[u8]) -> bool,
    is_response: fn(&[u8]) -> bool,
}

/// An element with a result code in the response of an ES10 function.
#[derive(Clone, Debug)]
pub struct ResultCode {
    /// The name of the element.
    pub element: &'static str,
    /// Returns the values with a name.
    pub values: fn() -> Vec<ResultValue>,
}

/// A value of a result code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultValue {
    /// The number.
    pub number: i64,
    /// The name and the number: `cat-busy(5)`.
    pub name: String,
    /// The meaning as a sentence.
    pub meaning: &'static str,
    /// Advice to the reader. Commands of a result code such as `bppCommandId` have none.
    pub next: Option<&'static str>,
}

/// The result codes of one type as the element of this name.
macro_rules! results {
    ($( $element:literal $codes:ty ),*) => {
        &[ $( ResultCode {
            element: $element,
            values: || <$codes>::ALL.iter().map(|code| ResultValue {
                number: code.0,
                name: code.to_string(),
                meaning: code.meaning().unwrap_or_default(),
                next: code.next(),
            }).collect(),
        } ),* ]
    };
}

const fn function<Request: Asn1, Response: Asn1>(
    name: &'static str,
    section: &'static str,
    results: &'static [ResultCode],
) -> Function {
    Function {
        name,
        section,
        results,
        tag: Request::TAG,
        request: Request::shape,
        response: Response::shape,
        is_request: |octets| Request::from_der(octets).is_ok(),
        is_response: |octets| Response::from_der(octets).is_ok(),
    }
}

/// The functions of the ISD-R.
pub const FUNCTIONS: [Function; 21] = [
    function::<EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse>(
        "ES10a.GetEuiccConfiguredAddresses",
        "5.7.3",
        &[],
    ),
    function::<SetDefaultDpAddressRequest, SetDefaultDpAddressResponse>(
        "ES10a.SetDefaultDpAddress",
        "5.7.4",
        results!["setDefaultDpAddressResult" SetDefaultDpAddressResult],
    ),
    function::<PrepareDownloadRequest, PrepareDownloadResponse>(
        "ES10b.PrepareDownload",
        "5.7.5",
        results!["downloadErrorCode" DownloadErrorCode],
    ),
    // The segments of the package are not TLVs of one type: see `piece`.
    Function {
        is_request: |_| false,
        ..function::<ProfileInstallationResult, ProfileInstallationResult>(
            "ES10b.LoadBoundProfilePackage",
            "2.5.6",
            results!["errorReason" ErrorReason, "bppCommandId" BppCommandId],
        )
    },
    function::<GetEuiccChallengeRequest, GetEuiccChallengeResponse>("ES10b.GetEUICCChallenge", "5.7.7", &[]),
    function::<GetEuiccInfo1Request, EuiccInfo1>("ES10b.GetEUICCInfo1", "5.7.8", &[]),
    function::<GetEuiccInfo2Request, EuiccInfo2>("ES10b.GetEUICCInfo2", "5.7.8", &[]),
    function::<ListNotificationRequest, ListNotificationResponse>("ES10b.ListNotification", "5.7.9", &[]),
    function::<RetrieveNotificationsListRequest, RetrieveNotificationsListResponse>(
        "ES10b.RetrieveNotificationsList",
        "5.7.10",
        results!["notificationsListResultError" NotificationsListResultError],
    ),
    function::<NotificationSentRequest, NotificationSentResponse>(
        "ES10b.RemoveNotificationFromList",
        "5.7.11",
        results!["deleteNotificationStatus" DeleteNotificationStatus],
    ),
    function::<AuthenticateServerRequest, AuthenticateServerResponse>(
        "ES10b.AuthenticateServer",
        "5.7.13",
        results!["authenticateErrorCode" AuthenticateErrorCode],
    ),
    function::<LoadCrlRequest, LoadCrlResponse>(
        "ES10b.LoadCRL",
        "5.7.12",
        results!["loadCRLResponseError" LoadCrlError],
    ),
    function::<CancelSessionRequest, CancelSessionResponse>(
        "ES10b.CancelSession",
        "5.7.14",
        results!["cancelSessionResponseError" CancelSessionError, "reason" CancelSessionReason],
    ),
    function::<GetRatRequest, GetRatResponse>("ES10b.GetRAT", "5.7.22", &[]),
    function::<ProfileInfoListRequest, ProfileInfoListResponse>(
        "ES10c.GetProfilesInfo",
        "5.7.15",
        results!["profileInfoListError" ProfileInfoListError],
    ),
    function::<EnableProfileRequest, EnableProfileResponse>(
        "ES10c.EnableProfile",
        "5.7.16",
        results!["enableResult" EnableResult],
    ),
    function::<DisableProfileRequest, DisableProfileResponse>(
        "ES10c.DisableProfile",
        "5.7.17",
        results!["disableResult" DisableResult],
    ),
    function::<DeleteProfileRequest, DeleteProfileResponse>(
        "ES10c.DeleteProfile",
        "5.7.18",
        results!["deleteResult" DeleteResult],
    ),
    function::<EuiccMemoryResetRequest, EuiccMemoryResetResponse>(
        "ES10c.eUICCMemoryReset",
        "5.7.19",
        results!["resetResult" ResetResult],
    ),
    function::<GetEuiccDataRequest, GetEuiccDataResponse>("ES10c.GetEID", "5.7.20", &[]),
    function::<SetNicknameRequest, SetNicknameResponse>(
        "ES10c.SetNickname",
        "5.7.21",
        results!["setNicknameResult" SetNicknameResult],
    ),
];

/// An element of ES10 or ES9+ that octets can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The function and the direction, or the name of the type.
    pub name: String,
    /// The section of SGP.22.
    pub section: &'static str,
    /// The content.
    pub content: Shown,
}

/// Returns the elements that one TLV can be. Requests and responses of a function have the same tag;
/// both are returned if the octets conform to both or to neither.
pub fn elements(octets: &[u8]) -> Vec<Element> {
    let Some((tag, _)) = tlv::split(octets) else { return Vec::new() };
    if OtherSignedNotification::from_der(octets).is_ok() {
        let content = OtherSignedNotification::shape().show(tag, octets);
        return vec![Element { name: "OtherSignedNotification".to_owned(), section: "5.7.10", content }];
    }
    if let Some(function) = FUNCTIONS.iter().find(|function| function.tag == tag) {
        let is_response = (function.is_response)(octets);
        let is_request = (function.is_request)(octets);
        let element = |direction: &str, shape: fn() -> Shape| Element {
            name: format!("{} {direction}", function.name),
            section: function.section,
            content: refined::show(shape(), tag, octets),
        };
        let request = (is_request || !is_response).then(|| element("request", function.request));
        let response = (is_response || !is_request).then(|| element("response", function.response));
        return request.into_iter().chain(response).collect();
    }
    if EuiccResponse::from_der(octets).is_ok() {
        let content = EuiccResponse::shape().show(tag, octets);
        let name = "EUICCResponse, the content of simaResponse".to_owned();
        return vec![Element { name, section: "2.5.6", content }];
    }
    let piece = piece(tag, octets).and_then(|(name, shown)| Some((name, shown?)));
    let piece = piece.map(|(name, content)| Element { name: name.to_owned(), section: "5.7.6", content });
    piece.into_iter().collect()
}

/// Returns the name and the content of a request.
pub(super) fn request(octets: &[u8]) -> (String, Option<Shown>) {
    let Some(tag) = first_tag(octets) else { return ("empty request".to_owned(), None) };
    if let Some(function) = FUNCTIONS.iter().find(|function| function.tag == tag) {
        return (function.name.to_owned(), Some(refined::show((function.request)(), tag, octets)));
    }
    match piece(tag, octets) {
        Some((piece, shown)) => (format!("ES10b.LoadBoundProfilePackage, {piece}"), shown),
        None => (format!("unknown function with tag {tag}"), Some(Shape::Octets.show(tag, octets))),
    }
}

/// Returns the content of a response.
pub(super) fn response(octets: &[u8]) -> Option<Shown> {
    let tag = first_tag(octets)?;
    let function = FUNCTIONS.iter().find(|function| function.tag == tag)?;
    Some(refined::show((function.response)(), tag, octets))
}

/// True if the octets begin with the tag of a response.
pub(super) fn has_response(octets: &[u8]) -> bool {
    first_tag(octets).is_some_and(|tag| FUNCTIONS.iter().any(|function| function.tag == tag))
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
