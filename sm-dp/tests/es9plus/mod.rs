//! Tests of ES9+ from the LPA's side: SGP.22 section 5.6, with the cases of SGP.23 section 4.3 that
//! apply to the SM-DP+.
//!
//! Every test runs in the JSON binding (`es9plus_json.rs`) and in the ASN.1 binding
//! (`es9plus_asn1.rs`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod authenticate_client;
mod cancel_session;
mod complete_download;
mod get_bound_profile_package;
mod handle_notification;
mod initiate_authentication;
mod order_of_checks;
mod records;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use crate::failing_records::FailingRecords;
use crate::mutual_authentication::{DEFECTS, defective_infos};
use crate::support::euicc::{notify, notify_octets, smdp_oid, with_later_elements};
use crate::support::{ADDRESS, Euicc, Expect, ICCID, OTHER_ICCID, Testbed, call, package, send};
use certs::{Defect, Pki, PkiOptions, Role};
use crypto::Curve;
use profile::element::Service;
use rsp::der::{Asn1, BitString, Null, Raw};
use rsp::finding::{Finding, FindingKind};
use rsp::ids::{Iccid, SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, ErrorResult, FinalResult};
use rsp::sgp22::es9plus::{
    AuthenticateClient, CancelSession, CancelSessionRequestEs9, GetBoundProfilePackage,
    GetBoundProfilePackageRequest, InitiateAuthentication, InitiateAuthenticationRequest,
};
use rsp::sgp22::es10b::{
    CancelSessionError, CancelSessionResponse, DownloadErrorCode, PrepareDownloadResponse,
    PrepareDownloadResponseError,
};
use rsp::sgp22::{
    CancelSessionReason, CtxParams1, MatchingIdSource, PendingNotification, notification_event,
    operation_type, ppr, uicc_capability,
};
use rsp::status::Status;
use sgp23::euicc::{Authenticate, Cancel, Prepare, authentication_error};
use sm_dp::{Config, Credentials, ProfileOptions, ProfileState, Protection, Rebinding, SmDpPlus};
use world::{Outcome, World};

fn options() -> ProfileOptions {
    ProfileOptions::default()
}

fn iccid() -> rsp::ids::Iccid {
    ICCID.parse().unwrap()
}
