//! `landfall profile new --description`, `build`, `decompile` and `import`: conversion between
//! descriptions and packages.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use profile::{
    Capabilities, Description, InstalledProfile, Mistakes, Package,
    check::{Finding, Severity, check, check_octets},
    description::{decompile, store_metadata},
};
use rsp::der::Asn1 as _;
use schemars::JsonSchema;
use serde::Serialize;
use sm_dp::ProfileOptions;
use world::Fault;

use crate::{
    exit_status::ExitStatus,
    files::{read_text, write},
    output::{print, print_json, remark},
    parties,
    settings::{Setting, Settings},
};

/// Build a package from a description
#[derive(Debug, Args)]
pub struct Build {
    /// Description (TOML)
    pub(super) description: PathBuf,
    /// Output file of the package
    pub(super) package: PathBuf,
    /// Output file of the profile metadata (StoreMetadata, DER)
    #[arg(long, value_name = "FILE")]
    pub(super) metadata: Option<PathBuf>,
    /// Notification recipient in the metadata, if the description has none
    #[arg(long, value_name = "HOST", default_value = "smdpplus.example.com")]
    pub(super) server: String,
}

impl Build {
    /// Runs the command. The exit status is 6 if the package has errors. It is written in any
    /// case, because tests of cards may need an invalid package.
    ///
    /// # Errors
    /// A file cannot be read or written, or the description is invalid.
    pub fn run(&self, json: bool) -> Result<ExitCode, Fault> {
        let (description, package) = built(&self.description)?;
        let status = status(print_findings(&check(&package)));
        write(&self.package, package.encode())?;
        if let Some(file) = &self.metadata {
            let installed = InstalledProfile::of(&package, &Capabilities::default()).map_err(|refused| {
                Fault::usage("cannot create the metadata", refused.to_string(), "omit --metadata")
            })?;
            let metadata = store_metadata(&installed, &description.metadata.overrides(), &self.server);
            let metadata = metadata.ok_or_else(|| {
                Fault::usage(
                    "cannot create the metadata",
                    "the package has no ICCID of ten octets",
                    "add `iccid` to the description",
                )
            })?;
            write(file, metadata.to_der())?;
        }
        print_summary(&package, json)?;
        Ok(status)
    }
}

/// Prints the warnings and errors of a package. Returns true if there are errors.
pub(super) fn print_findings(findings: &[Finding]) -> bool {
    let print_summary = findings.iter().filter(|finding| finding.severity >= Severity::Warning);
    print_summary.clone().for_each(|finding| remark(&finding.to_string()));
    print_summary.clone().any(|finding| finding.severity == Severity::Error)
}

fn status(has_errors: bool) -> ExitCode {
    ExitStatus::expected(!has_errors)
}

/// Summary of a package.
#[derive(JsonSchema, Serialize)]
pub(super) struct Summary {
    iccid: String,
    /// Number of profile elements.
    elements: usize,
    /// Length of the package.
    octets: usize,
}

/// Prints a summary of the package that was written.
pub(super) fn print_summary(package: &Package, json: bool) -> Result<(), Fault> {
    let (elements, octets) = (package.elements.len(), package.encode().len());
    let iccid = package.header().map(|header| header.iccid.to_string()).unwrap_or_default();
    match json {
        true => print_json(&Summary { iccid, elements, octets }),
        false => print(&format!("{iccid}: {elements} elements, {octets} octets\n")),
    }
}

/// Convert a package into a description
#[derive(Debug, Args)]
pub struct Decompile {
    /// TCA profile package (DER)
    package: PathBuf,
    /// Output file of the description, which contains keys [default: print it]
    description: Option<PathBuf>,
}

/// A description that was not written to a file.
#[derive(JsonSchema, Serialize)]
pub(super) struct PrintedDescription {
    /// The description (TOML).
    description: String,
    /// True if the description needs no profile elements in full.
    by_terms_alone: bool,
}

/// A description that was written to a file.
#[derive(JsonSchema, Serialize)]
pub(super) struct WrittenDescription {
    file: String,
    /// Number of lines.
    lines: usize,
    /// True if the description needs no profile elements in full.
    by_terms_alone: bool,
}

impl Decompile {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or written, or is not a package.
    pub fn run(&self, json: bool) -> Result<(), Fault> {
        let package = super::package(&self.package)?;
        let made = decompile(&package).map_err(|why| {
            Fault::usage(
                format!("cannot describe {}", self.package.display()),
                why,
                "use the package without a description",
            )
        })?;
        for note in &made.notes {
            remark(&format!("not covered by a description term: {note}"));
        }
        let text = made.description.to_toml();
        let by_terms_alone = made.by_terms_alone;
        let Some(file) = &self.description else {
            return match json {
                true => print_json(&PrintedDescription { description: text, by_terms_alone }),
                false => print(&text),
            };
        };
        write(file, &text)?;
        let (shown, lines) = (file.display().to_string(), text.lines().count());
        if json {
            return print_json(&WrittenDescription { file: shown, lines, by_terms_alone });
        }
        let how = if by_terms_alone {
            "using description terms only"
        } else {
            "with its elements written out in full"
        };
        print(&format!("{shown}: {lines} lines, {how}\n"))
    }
}

/// Add packages or descriptions to the stock of the SM-DP+
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::SmDp, Setting::SmDpName]))]
pub struct Import {
    /// Packages (.der), descriptions (.toml), or folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Profile type for orders [default: the profile type in each package]
    #[arg(long = "type", value_name = "TYPE")]
    profile_type: Option<String>,
}

/// Number of imported profiles.
#[derive(JsonSchema, Serialize)]
pub(super) struct Imported {
    imported: u64,
}

impl Import {
    /// Runs the command. The exit status is 6 if a package has errors; such a package is
    /// imported too.
    ///
    /// # Errors
    /// A file is not a profile, or its profile is already in stock. The files before it stay
    /// imported.
    pub async fn run(&self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let events = std::sync::Arc::new(crate::output::Lines::new(world.now(), json));
        let sm_dp = parties::sm_dp(settings, &pki, &world, events)?;
        let (mut imported, mut has_errors) = (0u64, false);
        for file in profiles(&self.files)? {
            let (package, mut options) = match file.extension().is_some_and(|ending| ending == "toml") {
                true => {
                    let (description, package) = built(&file)?;
                    (package.encode(), options(&description))
                }
                false => (super::octets(&file)?, ProfileOptions::default()),
            };
            let findings = check_octets(&package);
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            if errors > 0 {
                has_errors = true;
                let file = file.display();
                remark(&format!("{file}: {errors} errors; `landfall profile check` lists them"));
            }
            for finding in findings.iter().filter(|finding| finding.rule == "application-not-run") {
                remark(&format!("{}: {}", file.display(), finding.what));
            }
            if let Some(kind) = &self.profile_type {
                options.profile_type = Some(kind.clone());
            }
            let added = sm_dp.add_profile(&package, &options).await;
            added.map_err(|fault| {
                let next = "correct that file; the files before it are in stock";
                Fault::usage(
                    format!("{}: stopped after {imported} profiles", file.display()),
                    fault.to_string(),
                    next,
                )
            })?;
            imported += 1;
        }
        match json {
            true => print_json(&Imported { imported }),
            false => print(&format!("{imported} profiles added to the stock\n")),
        }?;
        Ok(status(has_errors))
    }
}

/// Returns the stock options that a description contains in addition to the package.
fn options(description: &Description) -> ProfileOptions {
    let said = description.metadata.overrides();
    ProfileOptions {
        service_provider_name: said.service_provider_name,
        profile_name: said.profile_name,
        profile_class: said.profile_class,
        profile_policy_rules: said.profile_policy_rules,
        fallback_allowed: said.fallback_allowed,
        ecall_indication: said.ecall_indication,
        icon: said.icon,
        notifications: said.notifications,
        ..ProfileOptions::default()
    }
}

/// Returns the given files and the files in the given folders, sorted by name within each folder.
fn profiles(given: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unread =
            |e| Fault::usage_caused_by(e, format!("cannot read {}", path.display()), "correct the path");
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unread)? {
            let file = entry.map_err(unread)?.path();
            if file.extension().is_some_and(|ending| ending == "der" || ending == "toml") {
                inside.push(file);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Reads a description and builds its package.
pub(super) fn built(file: &Path) -> Result<(Description, Package), Fault> {
    let (description, text) = described(file)?;
    let package = description.build().map_err(|mistakes| invalid(file, mistakes.in_text(&text)))?;
    Ok((description, package))
}

/// Reads a description. Returns it with its text.
pub(super) fn described(file: &Path) -> Result<(Description, String), Fault> {
    let text = read_text(file)?;
    let description = Description::parse(&text).map_err(|mistakes| invalid(file, mistakes))?;
    Ok((description, text))
}

fn invalid(file: &Path, mistakes: Mistakes) -> Fault {
    let what = format!("{} does not describe a profile", file.display());
    match mistakes.0.as_slice() {
        [only] => Fault::usage(what, only.why(), only.next.clone()),
        _ => {
            let each = mistakes.to_string().replace('\n', "\n        ");
            Fault::usage(what, each, "correct these; docs/profile.schema.json describes all names")
        }
    }
}
