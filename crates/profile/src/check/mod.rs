//! Finds all errors of a package. An eUICC stops at the first error.
//!
//! The rules come from the TCA profile package and the standards of its files: [`RULES`].
//! [`Installer`] finds the errors that an eUICC refuses; the checker continues after each of them.

mod codes;
mod contents;
mod defaults;
mod files;
mod header;
mod identities;
mod keys;
mod order;
mod rules;
mod services;
mod suci;
mod tables;

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::element::{ProfileElement, Service};
use crate::files::{FileIndex, ProfileFiles};
use crate::install::{Capabilities, InstalledProfile, Installer};
use crate::octets::Fid;
use crate::package::Package;
use crate::response::PeStatusCode;

pub use header::with_right_check_digit;
pub use rules::{RULES, Rule};
pub use tables::{ISIM_SERVICES, USIM_SERVICES};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A property that is unusual but often intended.
    Note,
    /// The package can be installed but will probably not work as intended.
    Warning,
    /// The standard forbids what was found.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The place of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
pub struct Place {
    /// The number of the PE, from 1; `None` for the package as a whole.
    pub pe: Option<usize>,
    /// The identification in the header of the PE.
    pub identification: Option<u16>,
    /// The name of the PE.
    pub element: &'static str,
    /// The file or field; empty for the PE as a whole.
    pub at: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(number) = self.pe else { return f.write_str("package") };
        write!(f, "PE {number} {}", self.element)?;
        if let Some(identification) = self.identification {
            write!(f, " (identification {identification})")?;
        }
        if self.at.is_empty() { Ok(()) } else { write!(f, ", {}", self.at) }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The name of the rule in [`RULES`].
    pub rule: &'static str,
    /// The place.
    pub place: Place,
    /// The finding.
    pub what: String,
    /// The reason, with the clause.
    pub why: &'static str,
    /// The remedy.
    pub next: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}: {} [{}]", self.severity, self.place, self.what, self.rule)?;
        write!(f, "  why:  {}\n  next: {}", self.why, self.next)
    }
}

/// Checks the bytes of a package. If they cannot be parsed to the end, the elements before the
/// error are checked.
pub fn check_octets(bytes: &[u8]) -> Vec<Finding> {
    let mut package = Package::default();
    match package.read(bytes) {
        Ok(()) => check(&package),
        Err(error) => {
            let place =
                Place { pe: Some(package.elements.len() + 1), element: "unreadable", ..Place::default() };
            let mut report = Report::default();
            report.add(&rules::UNREADABLE, place, error.to_string());
            // The unreadable rest has been reported, so a missing end PE is not reported as well.
            let rest = check(&package).into_iter();
            report.findings.extend(rest.filter(|finding| finding.rule != rules::NO_END.name));
            report.findings
        }
    }
}

/// Checks a package. The findings are in the order of its PEs.
pub fn check(package: &Package) -> Vec<Finding> {
    let mut report = Report::default();
    let installed = install(package, &mut report);
    order::check(&installed, &mut report);
    header::check(&installed, &mut report);
    files::check(&installed, &mut report);
    codes::check(&installed, &mut report);
    keys::check(&installed, &mut report);
    contents::check(&installed, &mut report);
    services::check(&installed, &mut report);
    suci::check(&installed, &mut report);
    identities::check(&installed, &mut report);
    defaults::check(&installed, &mut report);
    report.findings.sort_by(|a, b| (&a.place.pe, b.severity).cmp(&(&b.place.pe, a.severity)));
    report.findings
}

/// The files of a package, as far as they can be created.
pub(crate) fn files_of(package: &Package) -> ProfileFiles {
    install(package, &mut Report::default()).profile.files
}

/// The findings so far.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, rule: &Rule, place: Place, what: impl Into<String>) {
        let Rule { name, severity, why, next } = *rule;
        let what = Some(what.into()).filter(|what| !what.is_empty());
        let what = what.unwrap_or_else(|| "the value is empty".to_owned());
        self.findings.push(Finding { severity, rule: name, place, what, why, next });
    }
}

/// A package, and the profile that its valid PEs create.
struct InstalledPackage<'a> {
    package: &'a Package,
    profile: InstalledProfile,
    /// The PE that created each file, by the index of the file.
    makers: Vec<usize>,
    /// For each PE, the last ADF that was created before it.
    adfs: Vec<Option<FileIndex>>,
    /// True if the package was parsed to its end; otherwise later elements are not reported as
    /// missing.
    complete: bool,
    /// True if all files could be created.
    whole: bool,
}

impl<'a> InstalledPackage<'a> {
    fn elements(&self) -> impl Iterator<Item = (usize, &'a ProfileElement)> {
        self.package.elements.iter().enumerate()
    }

    /// A place in the PE with this index, from 0.
    fn place(&self, number: usize, at: impl Into<String>) -> Place {
        let element = self.package.elements.get(number);
        Place {
            pe: Some(number + 1),
            identification: element.and_then(ProfileElement::identification),
            element: element.map_or("", ProfileElement::name),
            at: at.into(),
        }
    }

    /// The place of a file: the file and the PE that created it.
    fn place_of(&self, file: FileIndex) -> Place {
        let maker = self.makers.get(file.number()).copied().unwrap_or_default();
        self.place(maker, path_of(&self.profile.files, file))
    }

    /// The place of a finding in a record or field of a file.
    fn place_in(&self, file: FileIndex, part: &str) -> Place {
        let mut place = self.place_of(file);
        place.at = format!("{}, {part}", place.at);
        place
    }

    /// The ADFs whose AID begins with one of these application codes.
    fn adfs_of<'b>(&'b self, codes: &'b [&'b [u8]]) -> impl Iterator<Item = FileIndex> + 'b {
        let files = &self.profile.files;
        codes.iter().flat_map(move |code| files.adfs(code).map(|(index, _)| index))
    }
}

/// The application codes of 3GPP and 3GPP2 at the start of an AID: TS 101 220 Annex E.
const USIM: &[u8] = &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];
const NON_IMSI_USIM: &[u8] = &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x0B];
const ISIM: &[u8] = &[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x04];
const CSIM: &[u8] = &[0xA0, 0x00, 0x00, 0x03, 0x43, 0x10, 0x02];

/// The path of a file with its name, if it has one: `3F00/7FD0/6F07 ef-imsi`.
pub(crate) fn path_of(files: &ProfileFiles, index: FileIndex) -> String {
    let path: Vec<String> = files.path_of(index).iter().map(Fid::to_string).collect();
    match files.file(index).and_then(|file| file.name.as_deref()) {
        Some(name) => format!("{} {name}", path.join("/")),
        None if crate::identities::is_table(files, index) => format!("{} ef-identities", path.join("/")),
        None => path.join("/"),
    }
}

/// Installs as much as possible on an eUICC that supports everything.
fn install<'a>(package: &'a Package, report: &mut Report) -> InstalledPackage<'a> {
    let mut installer = Installer::forgiving(everything(package));
    let mut installed = InstalledPackage {
        package,
        profile: InstalledProfile::default(),
        makers: Vec::new(),
        adfs: Vec::new(),
        complete: true,
        whole: true,
    };
    for (number, element) in package.elements.iter().enumerate() {
        let is_extra = installer.has_ended() || number > 0 && matches!(element, ProfileElement::Header(_));
        let ordered = installer.in_order(element).err();
        installer.go_on();
        // A second header and an element after the end are not applied. Every other element is
        // applied, even at the wrong position.
        let refused = if is_extra { None } else { installer.make(element).err() };
        let refused = refused.map(|refused| (refused.code, refused.what));
        let faults = installer.take_faults().into_iter().map(|fault| (fault.at, fault.wrong));
        let whole = ordered.into_iter().chain(refused).map(|wrong| (String::new(), wrong));
        let wrongs: Vec<_> = faults.chain(whole).collect();
        let is_about_files =
            matches!(element, ProfileElement::FileSystem(_) | ProfileElement::GenericFileManagement(_));
        installed.whole &= wrongs.is_empty() || !is_about_files;
        for (at, (code, what)) in wrongs {
            let what = what.strip_prefix(&format!("{at}: ")).map(str::to_owned).unwrap_or(what);
            report.add(rule_of(code), installed.place(number, at), what);
        }
        installed.makers.resize(installer.files().all().count(), number);
        installed.adfs.push(installer.adf());
    }
    if !installer.has_ended() {
        (installed.complete, installed.whole) = (false, false);
        report.add(&rules::NO_END, Place::default(), "the package does not end with PE-End");
    }
    installed.profile = installer.into_profile();
    installed
}

/// An eUICC that supports everything that a package can require.
fn everything(package: &Package) -> Capabilities {
    let aids = package.header().and_then(|header| header.mandatory_aids.as_ref());
    Capabilities {
        services: (0..=u8::MAX).map(Service).collect(),
        aids: aids.into_iter().flatten().map(|needed| needed.aid.clone()).collect(),
        ..Capabilities::default()
    }
}

/// The rule that a package violates if an eUICC refuses it with this status.
fn rule_of(code: PeStatusCode) -> &'static Rule {
    match code {
        PeStatusCode::INVALID_REQUEST_FORMAT => &rules::OUT_OF_ORDER,
        PeStatusCode::INVALID_PARAMETER => &rules::INVALID_PARAMETER,
        PeStatusCode::PIN_CODE_MISSING => &rules::PUK_MISSING,
        PeStatusCode::TEMPLATE_NOT_SUPPORTED => &rules::UNKNOWN_TEMPLATE,
        PeStatusCode::UNSUPPORTED_PROFILE_VERSION => &rules::UNKNOWN_VERSION,
        PeStatusCode::FILE_NOT_FOUND => &rules::NO_SUCH_FILE,
        PeStatusCode::FILE_ALREADY_EXISTS => &rules::FILE_TWICE,
        PeStatusCode::NOT_ENOUGH_MEMORY => &rules::TOO_LARGE,
        PeStatusCode::PE_NOT_SUPPORTED | PeStatusCode::FEATURE_NOT_SUPPORTED => &rules::NOT_SUPPORTED,
        _ => &rules::BAD_VALUE,
    }
}

/// True if the record or file was never written and contains only FF.
fn is_blank(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0xFF)
}

/// Bytes in hexadecimal digits; long values are truncated.
fn hex(octets: &[u8]) -> String {
    const MOST: usize = 24;
    let shown: String = octets.iter().take(MOST).map(|octet| format!("{octet:02X}")).collect();
    if octets.len() > MOST { format!("{shown}... ({} octets)", octets.len()) } else { shown }
}
