//! The compact forms on ESipa, with which an IPA leaves out what the eIM knows, and their expansion to
//! the structures that the eUICC signed: SGP.32 sections 5.14.2, 5.14.3, 5.14.7 and 5.14.8.
//!
//! An expanded structure has exactly the octets over which the eUICC made its signature.

mod download;
mod notification;

use crate::{
    choice,
    sgp22::es10b::{
        AuthenticateResponseError, AuthenticateResponseOk, CancelSessionError, CancelSessionResponseOk,
        PrepareDownloadResponseError, PrepareDownloadResponseOk,
    },
};

pub use download::{
    CompactAuthenticateResponseOk, CompactCancelSessionResponseOk, CompactEuiccCancelSessionSigned,
    CompactEuiccSigned1, CompactEuiccSigned2, CompactPrepareDownloadResponseOk, KnownEuicc, SignedData,
};
pub use notification::{
    CompactFinalResult, CompactOtherSignedNotification, CompactProfileInstallationResult,
    CompactProfileInstallationResultData, CompactSuccessResult, KnownProfile,
};

choice! {
    /// AuthenticateServerResponse on ESipa: section 5.14.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum AuthenticateServerResponse = 0xBF38 {
        /// The eUICC authenticated the server.
        AuthenticateResponseOk(Box<AuthenticateResponseOk>) = 0xA0,
        /// The authentication failed.
        AuthenticateResponseError(AuthenticateResponseError) = 0xA1,
        /// The eUICC authenticated the server; the compact form.
        CompactAuthenticateResponseOk(Box<CompactAuthenticateResponseOk>) = 0xA2,
    }
}

choice! {
    /// PrepareDownloadResponse on ESipa: section 5.14.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PrepareDownloadResponse = 0xBF21 {
        /// The eUICC is ready for the download.
        DownloadResponseOk(PrepareDownloadResponseOk) = 0xA0,
        /// The eUICC refuses the download.
        DownloadResponseError(PrepareDownloadResponseError) = 0xA1,
        /// The eUICC is ready for the download; the compact form.
        CompactDownloadResponseOk(CompactPrepareDownloadResponseOk) = 0xA2,
    }
}

choice! {
    /// CancelSessionResponse on ESipa: section 5.14.8.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum CancelSessionResponse = 0xBF41 {
        /// The session is ended.
        CancelSessionResponseOk(CancelSessionResponseOk) = 0xA0,
        /// The session was not ended.
        CancelSessionResponseError(CancelSessionError) = 0x81,
        /// The session is ended; the compact form.
        CompactCancelSessionResponseOk(CompactCancelSessionResponseOk) = 0xA2,
    }
}

/// A compact form cannot be expanded: it leaves out an element that the eIM does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the compact form leaves out {element}, which is not known for this eUICC; request the full form or the data of the eUICC first"
)]
pub struct Unknown {
    /// The name of the element in the standard.
    pub element: &'static str,
}
