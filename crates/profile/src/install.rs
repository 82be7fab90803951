//! Installation of a package as by an eUICC: PE by PE, each one checked before the next.
//!
//! TCA profile package, 8.1 to 8.10: the order of PEs, what the eUICC must support, and the status
//! of each refusal.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::element::{
    Application, FileSystemKind, PeHeader, PinCodesChoice, ProfileElement, ProfileHeader, Service,
};
use crate::facts::{Aka, Facts, Pin, PinCodesOf, Pins, Puk};
use crate::file_system::{Fault, FileSystem, Wrong, wrong};
use crate::files::{FileIndex, ProfileFiles};
use crate::identities;
use crate::octets::Octets;
use crate::package::Package;
use crate::response::{PeStatus, PeStatusCode, Refused};
use crate::template;
use rsp::finding::{Finding, FindingKind};
use rsp::ids::Oid;

/// The capabilities that an eUICC offers to profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Supported major versions of the package.
    pub major_versions: BTreeSet<i64>,
    /// Supported services.
    pub services: BTreeSet<Service>,
    /// Applications and libraries that exist before any profile.
    pub aids: BTreeSet<Octets>,
}

impl Default for Capabilities {
    /// The capabilities of a simulated card: the three network access applications, Milenage, TUAK
    /// and the test algorithm, BER-TLV files and linked directories, SUCI by the USIM; and the
    /// applet of [`identities`]. Java Card is among them, so that packages for ordinary cards can be
    /// installed. Applications are stored and not run ([`InstalledProfile::findings`]).
    fn default() -> Self {
        Self {
            major_versions: BTreeSet::from([2, 3]),
            services: BTreeSet::from([
                Service::USIM,
                Service::ISIM,
                Service::CSIM,
                Service::MILENAGE,
                Service::TUAK128,
                Service::TUAK256,
                Service::USIM_TEST_ALGORITHM,
                Service::JAVACARD,
                Service::MULTIPLE_USIM,
                Service::BER_TLV,
                Service::DF_LINK,
                Service::GET_IDENTITY,
                Service::PROFILE_A_X25519,
                Service::PROFILE_B_P256,
            ]),
            aids: BTreeSet::from([identities::PACKAGE.into()]),
        }
    }
}

impl Capabilities {
    /// Checks that a profile with this header can be installed.
    ///
    /// # Errors
    /// The first missing requirement.
    pub fn check(&self, header: &ProfileHeader) -> Result<(), Refused> {
        self.look(header).map_err(|(code, what)| Refused {
            code,
            identification: None,
            element: "header",
            what,
        })
    }

    /// True if the files of this template, in this version, can be created.
    pub fn has_template(&self, oid: &Oid) -> bool {
        oid.as_template().is_some_and(|(number, version)| {
            FileSystemKind::ALL.into_iter().any(|kind| {
                let (own, newest) = template::number(kind);
                own == number && version <= newest
            })
        })
    }

    fn has_library(&self, aid: &Octets) -> bool {
        let is_of_runtime = || JAVACARD_LIBRARIES.iter().any(|library| **library == *aid.0);
        self.aids.contains(aid) || self.services.contains(&Service::JAVACARD) && is_of_runtime()
    }

    fn look(&self, header: &ProfileHeader) -> Result<(), Wrong> {
        if !self.major_versions.contains(&header.major_version) {
            return wrong(
                PeStatusCode::UNSUPPORTED_PROFILE_VERSION,
                format!(
                    "version {}.{} of the package is not supported",
                    header.major_version, header.minor_version
                ),
            );
        }
        if let Some(service) =
            header.mandatory_services.services.iter().find(|service| !self.services.contains(service))
        {
            // req: TCA-Services
            return wrong(PeStatusCode::FEATURE_NOT_SUPPORTED, format!("the profile needs {service}"));
        }
        if let Some(oid) = header.mandatory_gfste_list.iter().find(|oid| !self.has_template(oid)) {
            return wrong(PeStatusCode::TEMPLATE_NOT_SUPPORTED, format!("the profile needs template {oid}"));
        }
        let mut aids = header.mandatory_aids.iter().flatten();
        if let Some(missing) = aids.find(|needed| !self.has_library(&needed.aid)) {
            return wrong(
                PeStatusCode::LIB_NOT_SUPPORTED,
                format!("the profile needs application {}", missing.aid),
            );
        }
        if header.iccid.len() != 10 {
            return wrong(PeStatusCode::BAD_VALUES, "the ICCID must have ten octets");
        }
        Ok(())
    }
}

/// The API packages that every Java Card runtime of a UICC has: Java Card, GlobalPlatform, the UICC
/// API (TS 102 241) and the USIM API (TS 31.130).
const JAVACARD_LIBRARIES: [&[u8]; 10] = [
    &[0xA0, 0x00, 0x00, 0x00, 0x62, 0x00, 0x01],
    &[0xA0, 0x00, 0x00, 0x00, 0x62, 0x01, 0x01],
    &[0xA0, 0x00, 0x00, 0x00, 0x62, 0x01, 0x02],
    &[0xA0, 0x00, 0x00, 0x00, 0x62, 0x02, 0x01],
    &[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00],
    &[0xA0, 0x00, 0x00, 0x00, 0x09, 0x00, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x11, 0x00, 0x00, 0x00],
    &[0xA0, 0x00, 0x00, 0x00, 0x09, 0x00, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x12, 0x00, 0x00, 0x00],
    &[0xA0, 0x00, 0x00, 0x00, 0x09, 0x00, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x13, 0x00, 0x00, 0x00],
    &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x13, 0x10, 0x00, 0x00],
    &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x05, 0xFF, 0xFF, 0xFF, 0xFF, 0x89, 0x13, 0x20, 0x00, 0x00],
];

/// An installed profile, ready for a card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledProfile {
    /// Its files.
    pub files: ProfileFiles,
    /// Everything else.
    pub facts: Facts,
}

impl InstalledProfile {
    /// Installs a whole package.
    ///
    /// # Errors
    /// The first PE that cannot be installed.
    pub fn of(package: &Package, capabilities: &Capabilities) -> Result<Self, Refused> {
        let mut installer = Installer::new(capabilities.clone());
        for element in &package.elements {
            installer.apply(element)?;
        }
        installer.finish().map(|(profile, _)| profile)
    }

    /// The applications of the profile that are stored and not run.
    pub fn not_run(&self) -> impl Iterator<Item = &Application> {
        self.facts.applications.iter().filter(|application| !identities::is_applet(application))
    }

    /// A finding for each application that is stored and not run.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |it: &Application| Finding::new(FindingKind::ApplicationNotRun, it.to_string());
        self.not_run().map(finding).collect()
    }
}

/// An installation in progress.
#[derive(Clone, Debug)]
pub struct Installer {
    capabilities: Capabilities,
    expects: Expects,
    system: FileSystem,
    facts: Facts,
    identifications: BTreeSet<u16>,
    warnings: Vec<PeStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    Header,
    Elements,
    Nothing,
}

impl Installer {
    /// Starts before the first PE.
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            expects: Expects::Header,
            system: FileSystem::default(),
            facts: Facts::default(),
            identifications: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    /// Lets a checker continue: file errors are recorded, and the rest of the PE is processed.
    pub(crate) fn forgiving(capabilities: Capabilities) -> Self {
        Self { system: FileSystem::forgiving(), ..Self::new(capabilities) }
    }

    /// For a checker: the next PE is not treated as the profile header, even if no PE came before
    /// it.
    pub(crate) fn go_on(&mut self) {
        if self.expects == Expects::Header {
            self.expects = Expects::Elements;
        }
    }

    /// The file errors since the last call.
    pub(crate) fn take_faults(&mut self) -> Vec<Fault> {
        self.system.take_faults()
    }

    /// The files created so far.
    pub(crate) fn files(&self) -> &ProfileFiles {
        self.system.files()
    }

    /// The application created last.
    pub(crate) fn adf(&self) -> Option<FileIndex> {
        self.system.adf()
    }

    /// The profile as far as it is installed.
    pub(crate) fn into_profile(self) -> InstalledProfile {
        InstalledProfile { files: self.system.into_files(), facts: self.facts }
    }

    /// True if the PE that ends a package was installed.
    pub(crate) fn has_ended(&self) -> bool {
        self.expects == Expects::Nothing
    }

    /// Installs one PE.
    ///
    /// # Errors
    /// The PE cannot be installed; the whole installation has failed.
    pub fn apply(&mut self, element: &ProfileElement) -> Result<(), Refused> {
        let refused = |(code, what)| Refused {
            code,
            identification: element.identification(),
            element: element.name(),
            what,
        };
        self.in_order(element).map_err(refused)?;
        self.make(element)
    }

    /// Installs one PE at any position.
    pub(crate) fn make(&mut self, element: &ProfileElement) -> Result<(), Refused> {
        match element {
            ProfileElement::Header(header) => {
                self.capabilities.check(header)?;
                self.note(header);
                self.system.apply(element)
            }
            ProfileElement::FileSystem(_) | ProfileElement::GenericFileManagement(_) => {
                self.system.apply(element)
            }
            _ => self.other(element).map_err(|(code, what)| Refused {
                code,
                identification: element.identification(),
                element: element.name(),
                what,
            }),
        }
    }

    /// The remarks so far. A remark is not a refusal.
    pub fn warnings(&self) -> &[PeStatus] {
        &self.warnings
    }

    /// Completes the package.
    ///
    /// # Errors
    /// The package did not end with the end PE.
    pub fn finish(self) -> Result<(InstalledProfile, Vec<PeStatus>), Refused> {
        if self.expects != Expects::Nothing {
            return Err(Refused {
                code: PeStatusCode::INVALID_REQUEST_FORMAT,
                identification: None,
                element: "end",
                what: "the package does not end with PE-End".to_owned(),
            });
        }
        Ok((InstalledProfile { files: self.system.into_files(), facts: self.facts }, self.warnings))
    }

    /// Checks that the PE is permitted at this position, and returns its identification.
    pub(crate) fn in_order(&mut self, element: &ProfileElement) -> Result<(), Wrong> {
        // req: TCA-Order
        match (self.expects, element) {
            (Expects::Header, ProfileElement::Header(_)) => self.expects = Expects::Elements,
            (Expects::Header, _) => {
                return wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "the profile header comes first");
            }
            (Expects::Elements, ProfileElement::Header(_)) => {
                return wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "a second profile header");
            }
            (Expects::Elements, ProfileElement::End(_)) => self.expects = Expects::Nothing,
            (Expects::Elements, _) => {}
            (Expects::Nothing, _) => {
                return wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "a PE follows the end");
            }
        }
        if let Some(PeHeader { identification, .. }) = element.header() {
            match u16::try_from(identification).ok().filter(|number| *number <= 0x7FFF) {
                None => return wrong(PeStatusCode::BAD_VALUES, "the identification is not from 0 to 32767"),
                Some(number) if !self.identifications.insert(number) => {
                    return wrong(
                        PeStatusCode::BAD_VALUES,
                        format!("the identification {number} is not unique"),
                    );
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, header: &ProfileHeader) {
        let version = |number| u8::try_from(number).unwrap_or(u8::MAX);
        self.facts.version = (version(header.major_version), version(header.minor_version));
        self.facts.iccid = header.iccid.clone();
        self.facts.profile_type = header.profile_type.clone();
        self.facts.pol = header.pol.clone();
        self.facts.connectivity_parameters = header.connectivity_parameters.clone();
    }

    fn other(&mut self, element: &ProfileElement) -> Result<(), Wrong> {
        match element {
            ProfileElement::PukCodes(codes) => {
                for code in &codes.puk_codes {
                    let puk = Puk::of(code)?;
                    if self.facts.puks.iter().any(|known| known.reference == puk.reference) {
                        return wrong(
                            PeStatusCode::BAD_VALUES,
                            format!("the code {} is not unique", puk.reference),
                        );
                    }
                    self.facts.puks.push(puk);
                }
            }
            ProfileElement::PinCodes(codes) => {
                let pins = self.pins(&codes.pin_codes)?;
                self.facts.pins.push(pins);
            }
            ProfileElement::AkaParameter(parameter) => {
                let adf = self.naa()?;
                if self.facts.aka.iter().any(|known| known.adf == adf) {
                    return wrong(PeStatusCode::BAD_VALUES, "the application already has parameters");
                }
                let aka = Aka::of(parameter, adf, &self.facts.aka, self.system.files())?;
                self.facts.aka.push(aka);
            }
            ProfileElement::CdmaParameter(parameter) => {
                self.naa()?;
                Arc::make_mut(&mut self.facts.cdma).push(parameter.clone());
            }
            ProfileElement::SecurityDomain(domain) => {
                Arc::make_mut(&mut self.facts.security_domains).push(domain.as_ref().clone());
            }
            ProfileElement::Rfm(rfm) => Arc::make_mut(&mut self.facts.rfm).push(rfm.clone()),
            ProfileElement::Application(application) => {
                let is_on_board = |aid: &Octets| self.capabilities.aids.contains(aid);
                if self.capabilities.services.contains(&Service::JAVACARD)
                    || identities::is_applet(application) && is_on_board(&identities::PACKAGE.into())
                {
                    Arc::make_mut(&mut self.facts.applications).push(application.as_ref().clone());
                } else {
                    return self.unsupported(
                        element,
                        PeStatusCode::RUNTIME_NOT_SUPPORTED,
                        "no applications can be loaded",
                    );
                }
            }
            ProfileElement::NonStandard(other) => {
                let what = format!("the PE is proprietary to {}", other.issuer_id);
                return self.unsupported(element, PeStatusCode::PE_NOT_SUPPORTED, &what);
            }
            ProfileElement::Unknown(other) => {
                let what = format!("the PE with tag {} is unknown", other.tag);
                return self.unsupported(element, PeStatusCode::PE_NOT_SUPPORTED, &what);
            }
            ProfileElement::Header(_)
            | ProfileElement::End(_)
            | ProfileElement::FileSystem(_)
            | ProfileElement::GenericFileManagement(_) => {}
        }
        Ok(())
    }

    /// An unsupported PE that is not mandatory is skipped with a remark.
    fn unsupported(&mut self, element: &ProfileElement, code: PeStatusCode, what: &str) -> Result<(), Wrong> {
        // req: TCA-Mandated
        if element.is_mandated() {
            return wrong(code, what);
        }
        self.warnings.push(PeStatus::new(code, element.identification()));
        Ok(())
    }

    fn pins(&self, choice: &PinCodesChoice) -> Result<Pins, Wrong> {
        let Some(directory) = self.system.context() else {
            return wrong(PeStatusCode::INVALID_REQUEST_FORMAT, "codes before their directory");
        };
        let codes = match choice {
            PinCodesChoice::FilePath(path) => PinCodesOf::SharedWith(self.system.resolve(path)?),
            PinCodesChoice::Pinconfig(codes) => {
                let mut own: Vec<Pin> = Vec::new();
                for code in codes {
                    let pin = Pin::of(code)?;
                    self.fits(directory, &pin, &own)?;
                    own.push(pin);
                }
                PinCodesOf::Own(own)
            }
        };
        Ok(Pins { directory, codes })
    }

    fn fits(&self, directory: FileIndex, pin: &Pin, own: &[Pin]) -> Result<(), Wrong> {
        if own.iter().any(|known| known.reference == pin.reference) {
            return wrong(PeStatusCode::BAD_VALUES, format!("the code {} is not unique", pin.reference));
        }
        if pin.reference.is_local() == (directory == FileIndex::MF) {
            let place = if pin.reference.is_local() { "the MF" } else { "an application" };
            return wrong(PeStatusCode::BAD_VALUES, format!("{} is not permitted in {place}", pin.reference));
        }
        match pin.unblocked_by {
            Some(puk) if !self.facts.puks.iter().any(|known| known.reference == puk) => wrong(
                PeStatusCode::PIN_CODE_MISSING,
                format!("{} is unblocked by {puk}, which is not there", pin.reference),
            ),
            _ => Ok(()),
        }
    }

    fn naa(&self) -> Result<FileIndex, Wrong> {
        match self.system.adf() {
            Some(adf) => Ok(adf),
            None => wrong(
                PeStatusCode::INVALID_REQUEST_FORMAT,
                "authentication parameters before any application",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::der::Unknown;

    use super::*;
    use crate::element::{End, MandatoryAid, UnknownElement};

    fn header() -> ProfileHeader {
        ProfileHeader {
            major_version: 2,
            minor_version: 3,
            profile_type: None,
            iccid: [0x89; 10].into(),
            pol: None,
            mandatory_services: crate::element::ServicesList::default(),
            mandatory_gfste_list: vec![],
            connectivity_parameters: None,
            mandatory_aids: None,
            iot_options: None,
            unknown: Unknown::default(),
        }
    }

    fn end(identification: u16) -> ProfileElement {
        ProfileElement::End(End { header: PeHeader::mandated(identification), unknown: Unknown::default() })
    }

    fn install(elements: Vec<ProfileElement>) -> Result<(InstalledProfile, Vec<PeStatus>), PeStatusCode> {
        let mut installer = Installer::new(Capabilities::default());
        for element in elements {
            installer.apply(&element).map_err(|refused| refused.code)?;
        }
        installer.finish().map_err(|refused| refused.code)
    }

    // req: TCA-Order
    #[test]
    fn the_header_comes_first_and_the_end_last() {
        let header = || ProfileElement::Header(header());
        assert!(install(vec![header(), end(1)]).is_ok());
        for elements in
            [vec![end(1)], vec![header()], vec![header(), header()], vec![header(), end(1), end(2)]]
        {
            assert_eq!(install(elements).unwrap_err(), PeStatusCode::INVALID_REQUEST_FORMAT);
        }
    }

    // req: TCA-Mandated
    #[test]
    fn unknown_elements_are_refused_only_if_mandated() {
        let unknown = |contents: &str| {
            let contents = Octets::from_hex(contents).unwrap();
            ProfileElement::Unknown(UnknownElement { tag: rsp::der::Tag(0xAF), contents })
        };
        let header = || ProfileElement::Header(header());
        let (_, warnings) = install(vec![header(), unknown("A003810105"), end(6)]).unwrap();
        assert_eq!(warnings, [PeStatus::new(PeStatusCode::PE_NOT_SUPPORTED, Some(5))]);
        let refused = install(vec![header(), unknown("A0058000810105"), end(6)]).unwrap_err();
        assert_eq!(refused, PeStatusCode::PE_NOT_SUPPORTED);
    }

    // req: TCA-Services
    #[test]
    fn requirements_are_checked_first() {
        let capabilities = Capabilities::default();
        let code = |change: &dyn Fn(&mut ProfileHeader)| {
            let mut header = header();
            change(&mut header);
            capabilities.check(&header).map_err(|refused| refused.code)
        };
        assert_eq!(code(&|_| {}), Ok(()));
        assert_eq!(code(&|h| h.major_version = 4), Err(PeStatusCode::UNSUPPORTED_PROFILE_VERSION));
        assert_eq!(
            code(&|h| h.mandatory_services.services.push(Service::MULTOS)),
            Err(PeStatusCode::FEATURE_NOT_SUPPORTED)
        );
        assert_eq!(code(&|h| h.mandatory_services.services.push(Service::JAVACARD)), Ok(()));
        let needs = |aid: &str| {
            let aid = Octets::from_hex(aid).unwrap();
            let needed = MandatoryAid { aid, version: [1, 0].into(), unknown: Unknown::default() };
            code(&|h| h.mandatory_aids = Some(vec![needed.clone()]))
        };
        assert_eq!(needs("A0000000090005FFFFFFFF8912000000"), Ok(()), "uicc.toolkit");
        assert_eq!(needs("A0000000620201"), Ok(()), "javacardx.crypto");
        assert_eq!(needs("A0000005591010"), Err(PeStatusCode::LIB_NOT_SUPPORTED));
        assert_eq!(
            code(&|h| h.mandatory_gfste_list.push(Oid::template(4, 9))),
            Err(PeStatusCode::TEMPLATE_NOT_SUPPORTED)
        );
    }
}
