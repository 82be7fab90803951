//! Element-by-element installation of a profile package, shared by consumer and M2M eUICCs.

use profile::{Decoder, EuiccResponse, Installer, PeStatus, PeStatusCode, ProfileElement, Refused};
use rsp::der::DecodeError;
use rsp::finding::{self, Finding};

use crate::authenticate::algorithm::supports;
use crate::description::CardDescription;

/// The state of a package that is being received.
#[derive(Clone, Debug)]
pub(crate) struct PackageLoader {
    decoder: Decoder,
    installer: Installer,
    /// Octets received so far. The length of the package counts as the memory that the profile
    /// takes.
    octets: u32,
}

/// A complete profile that is not stored yet.
pub(crate) struct Loaded {
    pub(crate) content: profile::InstalledProfile,
    pub(crate) warnings: Vec<PeStatus>,
    /// Octets of memory that the profile takes.
    pub(crate) octets: u32,
}

/// The reason why a package cannot be installed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: PeStatusCode,
    pub(crate) response: EuiccResponse,
}

impl PackageLoader {
    /// The state before the first element.
    pub(crate) fn new(description: &CardDescription) -> Self {
        let installer = Installer::new(description.package_capabilities());
        Self { decoder: Decoder::new(), installer, octets: 0 }
    }

    /// Processes further octets of the package. `inspect` gets each element before it is installed.
    /// `room` is the free memory in octets.
    pub(crate) fn take<E: From<Refusal>>(
        &mut self,
        room: u32,
        octets: &[u8],
        mut inspect: impl FnMut(&ProfileElement) -> Result<(), E>,
    ) -> Result<(), E> {
        self.octets = self.octets.saturating_add(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        if self.octets > room {
            return Err(self.refused(&no_room()).into());
        }
        self.decoder.feed(octets).map_err(|why| self.malformed(&why))?;
        while let Some(element) = self.decoder.next_element().map_err(|why| self.malformed(&why))? {
            inspect(&element)?;
            let applied = self.installer.apply(&element);
            applied.map_err(|refused| self.refused(&refused))?;
        }
        Ok(())
    }

    /// Finishes a complete package.
    pub(crate) fn finish(self) -> Result<Loaded, Refusal> {
        self.decoder.finish().map_err(|why| self.malformed(&why))?;
        let warnings = self.installer.warnings().to_vec();
        let (content, warnings) =
            self.installer.finish().map_err(|refused| Refusal::of(warnings, &refused))?;
        if !content.facts.aka.iter().all(supports) {
            let what = "unsupported authentication algorithm".to_owned();
            let code = PeStatusCode::FEATURE_NOT_SUPPORTED;
            let refused = Refused { code, identification: None, element: "akaParameter", what };
            return Err(Refusal::of(warnings, &refused));
        }
        for Finding { kind, detail } in content.findings() {
            finding::report(kind, || detail);
        }
        // Files can be larger than the octets of the package that create them.
        let octets = self.octets.max(u32::try_from(content.files.memory()).unwrap_or(u32::MAX));
        Ok(Loaded { content, warnings, octets })
    }

    fn malformed(&self, why: &DecodeError) -> Refusal {
        let mut refused = package_refused(PeStatusCode::INVALID_REQUEST_FORMAT, &why.to_string());
        refused.identification = self.decoder.identification();
        self.refused(&refused)
    }

    fn refused(&self, refused: &Refused) -> Refusal {
        Refusal::of(self.installer.warnings().to_vec(), refused)
    }
}

impl Loaded {
    /// Checks that `room` octets are enough for the profile.
    pub(crate) fn check_room(&self, room: u32) -> Result<(), Refusal> {
        if self.octets > room { Err(Refusal::of(self.warnings.clone(), &no_room())) } else { Ok(()) }
    }
}

impl Refusal {
    pub(crate) fn of(warnings: Vec<PeStatus>, refused: &Refused) -> Self {
        Self { code: refused.code, response: EuiccResponse::aborted(warnings, refused) }
    }
}

fn no_room() -> Refused {
    package_refused(PeStatusCode::NOT_ENOUGH_MEMORY, "not enough memory for the profile")
}

fn package_refused(code: PeStatusCode, what: &str) -> Refused {
    Refused { code, identification: None, element: "package", what: what.to_owned() }
}
