//! ES8+.LoadProfileElements: SGP.22 section 5.5.5. Installs the profile package element by element.

use profile::{PeStatusCode, ProfileElement};
use rsp::sgp22::ProfileClass;
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, StoreMetadataRequest};

use super::Failure;
use super::checks::{has_test_keys_only, is_described_by};
use super::package::{Loaded, PackageLoader, Refusal};
use crate::consumer::ConsumerContext;
use crate::state::session::Loading;

impl Loading {
    /// The state before the first element.
    pub(super) fn new(context: &ConsumerContext<'_>) -> Self {
        Self(PackageLoader::new(context.description))
    }

    /// Processes further octets of the package.
    pub(super) fn take(
        &mut self,
        context: &ConsumerContext<'_>,
        metadata: &StoreMetadataRequest,
        octets: &[u8],
    ) -> Result<(), Failure> {
        self.0.take(context.free_memory(), octets, |element| check_iccid(metadata, element))
    }

    /// Finishes a complete package and checks it against the metadata.
    pub(super) fn finish(
        self,
        context: &ConsumerContext<'_>,
        metadata: &StoreMetadataRequest,
    ) -> Result<Loaded, Failure> {
        let loaded = self.0.finish()?;
        if !is_described_by(&loaded.content, metadata) {
            let reason = ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH;
            return Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason));
        }
        if metadata.profile_class == Some(ProfileClass::TEST) && !has_test_keys_only(&loaded.content) {
            let reason = ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY;
            return Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason));
        }
        loaded.check_room(context.free_memory())?;
        Ok(loaded)
    }
}

/// Checks that the ICCID in the profile header is the one in the metadata.
fn check_iccid(metadata: &StoreMetadataRequest, element: &ProfileElement) -> Result<(), Failure> {
    match element {
        ProfileElement::Header(header) if *header.iccid != metadata.iccid.to_profile_header() => {
            let reason = ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH;
            Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason))
        }
        _ => Ok(()),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal.code {
            PeStatusCode::NOT_ENOUGH_MEMORY => {
                ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE
            }
            _ => ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
        };
        Self { command: BppCommandId::LOAD_PROFILE_ELEMENTS, reason, response: Some(refusal.response) }
    }
}
