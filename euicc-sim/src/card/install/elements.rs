//! ES8+.LoadProfileElements: SGP.22 section 5.5.5. The profile package, element by element.

use profile::{Decoder, EuiccResponse, Installer, PeStatus, PeStatusCode, ProfileElement, Refused};
use rsp::der::DecodeError;
use rsp::sgp22::ProfileClass;
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, StoreMetadataRequest};

use super::Failure;
use super::checks::{has_test_keys_only, is_described_by};
use crate::card::authenticate::supports;
use crate::card::context::Context;
use crate::card::isd_r::free_memory;

/// The profile package on its way in.
#[derive(Clone, Debug)]
pub(super) struct Loading {
    decoder: Decoder,
    installer: Installer,
    /// Octets of the package so far, which is what a profile is charged for.
    octets: u32,
}

/// A profile that is complete.
pub(super) struct Loaded {
    pub(super) content: profile::InstalledProfile,
    pub(super) warnings: Vec<PeStatus>,
    pub(super) octets: u32,
}

impl Loading {
    /// Before the first element.
    pub(super) fn new(context: &Context<'_>) -> Self {
        let installer = Installer::new(context.description.package_capabilities());
        Self { decoder: Decoder::new(), installer, octets: 0 }
    }

    /// What came next.
    pub(super) fn take(
        &mut self,
        context: &Context<'_>,
        metadata: &StoreMetadataRequest,
        octets: &[u8],
    ) -> Result<(), Failure> {
        self.octets = self.octets.saturating_add(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.check_room(context, self.octets)?;
        self.decoder.feed(octets).map_err(|why| self.malformed(&why))?;
        while let Some(element) = self.decoder.next_element().map_err(|why| self.malformed(&why))? {
            self.check_iccid(metadata, &element)?;
            let applied = self.installer.apply(&element);
            applied.map_err(|refused| self.refused(&refused))?;
        }
        Ok(())
    }

    /// The package is complete.
    pub(super) fn finish(
        self,
        context: &Context<'_>,
        metadata: &StoreMetadataRequest,
    ) -> Result<Loaded, Failure> {
        self.decoder.finish().map_err(|why| self.malformed(&why))?;
        let warnings = self.installer.warnings().to_vec();
        let (content, warnings) = self.installer.finish().map_err(|refused| failure(warnings, &refused))?;
        if !content.facts.aka.iter().all(supports) {
            let what = "no such authentication algorithm".to_owned();
            let code = PeStatusCode::FEATURE_NOT_SUPPORTED;
            let refused = Refused { code, identification: None, element: "akaParameter", what };
            return Err(failure(warnings, &refused));
        }
        if !is_described_by(&content, metadata) {
            let reason = ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH;
            return Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason));
        }
        if metadata.profile_class == Some(ProfileClass::TEST) && !has_test_keys_only(&content) {
            let reason = ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY;
            return Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason));
        }
        // Files can be larger than what was sent to make them.
        let octets = self.octets.max(u32::try_from(content.files.memory()).unwrap_or(u32::MAX));
        if octets > free_memory(context) {
            return Err(failure(warnings, &no_room()));
        }
        Ok(Loaded { content, warnings, octets })
    }

    /// The profile must be the one that was announced.
    fn check_iccid(&self, metadata: &StoreMetadataRequest, element: &ProfileElement) -> Result<(), Failure> {
        match element {
            ProfileElement::Header(header) if *header.iccid != metadata.iccid.to_profile_header() => {
                let reason = ErrorReason::INSTALL_FAILED_DUE_TO_DATA_MISMATCH;
                Err(Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason))
            }
            _ => Ok(()),
        }
    }

    fn check_room(&self, context: &Context<'_>, needed: u32) -> Result<(), Failure> {
        if needed <= free_memory(context) {
            return Ok(());
        }
        Err(self.refused(&no_room()))
    }

    fn malformed(&self, why: &DecodeError) -> Failure {
        let mut refused = whole(PeStatusCode::INVALID_REQUEST_FORMAT, &why.to_string());
        refused.identification = self.decoder.identification();
        self.refused(&refused)
    }

    fn refused(&self, refused: &Refused) -> Failure {
        failure(self.installer.warnings().to_vec(), refused)
    }
}

fn no_room() -> Refused {
    whole(PeStatusCode::NOT_ENOUGH_MEMORY, "no room for the profile")
}

fn whole(code: PeStatusCode, what: &str) -> Refused {
    Refused { code, identification: None, element: "package", what: what.to_owned() }
}

fn failure(warnings: Vec<PeStatus>, refused: &Refused) -> Failure {
    let reason = match refused.code {
        PeStatusCode::NOT_ENOUGH_MEMORY => ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
        _ => ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
    };
    Failure {
        command: BppCommandId::LOAD_PROFILE_ELEMENTS,
        reason,
        response: Some(EuiccResponse::aborted(warnings, refused)),
    }
}
