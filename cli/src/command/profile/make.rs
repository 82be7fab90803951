//! `landfall profile new --description`, `build`, `decompile` and `import`: packages from descriptions, and back.

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
use sm_dp::ProfileOptions;
use world::Fault;

use crate::{
    command::sm_dp::read_text,
    output::{remark, say, say_json},
    parties::{self, SmDpSetup},
    settings::Settings,
};

/// Builds a package.
#[derive(Debug, Args)]
pub struct Build {
    /// Description (TOML)
    pub(super) description: PathBuf,
    /// Where to write the package
    pub(super) package: PathBuf,
    /// Where to write what a server tells of it (StoreMetadata, DER)
    #[arg(long, value_name = "FILE")]
    pub(super) metadata: Option<PathBuf>,
    /// Who is told of everything, in the metadata, where the description names nobody
    #[arg(long, value_name = "HOST", default_value = "smdpplus.example.com")]
    pub(super) server: String,
}

impl Build {
    /// Runs the command; the exit status says whether the package has no errors. It is written all the same: somebody who
    /// tests cards may want a wrong one.
    ///
    /// # Errors
    /// A file cannot be read or written, or the description describes no profile.
    pub fn run(&self, json: bool) -> Result<ExitCode, Fault> {
        let (description, package) = built(&self.description)?;
        let status = status(remarked(&check(&package)));
        write(&self.package, &package.encode())?;
        if let Some(file) = &self.metadata {
            let installed = InstalledProfile::of(&package, &Capabilities::default()).map_err(|refused| {
                Fault::new("cannot make the metadata", refused.to_string(), "leave --metadata out")
            })?;
            let metadata = store_metadata(&installed, &description.metadata.said(), &self.server);
            let metadata = metadata.ok_or_else(|| {
                Fault::new("cannot make the metadata", "the package has no ICCID of ten octets", "give iccid")
            })?;
            write(file, &metadata.to_der())?;
        }
        told(&package, json)?;
        Ok(status)
    }
}

/// Tells warnings and errors of a package that was made, and says whether there are errors.
pub(super) fn remarked(findings: &[Finding]) -> bool {
    let told = findings.iter().filter(|finding| finding.severity >= Severity::Warning);
    told.clone().for_each(|finding| remark(&finding.to_string()));
    told.clone().any(|finding| finding.severity == Severity::Error)
}

fn status(has_errors: bool) -> ExitCode {
    if has_errors { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Says which package was written.
pub(super) fn told(package: &Package, json: bool) -> Result<(), Fault> {
    let (elements, octets) = (package.elements.len(), package.encode().len());
    let iccid = package.header().map(|header| header.iccid.to_string()).unwrap_or_default();
    match json {
        true => say_json(&serde_json::json!({ "iccid": iccid, "elements": elements, "octets": octets })),
        false => say(&format!("{iccid}: {elements} elements, {octets} octets\n")),
    }
}

/// Writes the description of a package.
#[derive(Debug, Args)]
pub struct Decompile {
    /// TCA profile package, DER
    package: PathBuf,
    /// Where to write the description (it has the keys); printed when absent
    description: Option<PathBuf>,
}

impl Decompile {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or written, or is no package.
    pub fn run(&self, json: bool) -> Result<(), Fault> {
        let package = super::package(&self.package)?;
        let made = decompile(&package).map_err(|why| {
            Fault::new(format!("cannot describe {}", self.package.display()), why, "use the package as it is")
        })?;
        for note in &made.notes {
            remark(&format!("not in a term: {note}"));
        }
        let text = made.description.to_toml();
        let by_terms_alone = made.by_terms_alone;
        let Some(file) = &self.description else {
            let shown = serde_json::json!({ "description": text, "by_terms_alone": by_terms_alone });
            return if json { say_json(&shown) } else { say(&text) };
        };
        write(file, text.as_bytes())?;
        let (shown, lines) = (file.display().to_string(), text.lines().count());
        if json {
            let written =
                serde_json::json!({ "file": shown, "lines": lines, "by_terms_alone": by_terms_alone });
            return say_json(&written);
        }
        let how = if by_terms_alone { "by its terms alone" } else { "with its elements written out" };
        say(&format!("{shown}: {lines} lines, {how}\n"))
    }
}

/// Puts profiles into the stock of an SM-DP+.
#[derive(Debug, Args)]
pub struct Import {
    /// Packages (.der), descriptions (.toml), and folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What operators call their kind; the profile type in each package when absent
    #[arg(long = "type", value_name = "TYPE")]
    profile_type: Option<String>,
}

impl Import {
    /// Runs the command; the exit status says whether no package has errors. It is in stock all the same.
    ///
    /// # Errors
    /// A file is no profile, or in stock already; those before it are in stock.
    pub async fn run(&self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        let (world, _) = parties::os_world()?;
        let (pki, addresses) = parties::pki_and_addresses(settings)?;
        let sm_dp = parties::sm_dp(&SmDpSetup {
            pki: &pki,
            addresses,
            data_dir: &settings.data_dir,
            world: &world,
            events: std::sync::Arc::new(crate::output::Lines::new(world.now(), json)),
        })?;
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
                remark(&format!("{file}: {errors} errors, of which `landfall profile check` tells"));
            }
            if let Some(kind) = &self.profile_type {
                options.profile_type = Some(kind.clone());
            }
            let added = sm_dp.add_profile(&package, &options).await;
            added.map_err(|fault| {
                let next = "correct that file; those before it are in stock";
                Fault::new(format!("{}: stopped after {imported}", file.display()), fault.to_string(), next)
            })?;
            imported += 1;
        }
        match json {
            true => say_json(&serde_json::json!({ "imported": imported })),
            false => say(&format!("{imported} profiles put into stock\n")),
        }?;
        Ok(status(has_errors))
    }
}

/// What a description says of a profile beside its package, in the stock's words.
fn options(description: &Description) -> ProfileOptions {
    let said = description.metadata.said();
    ProfileOptions {
        service_provider_name: said.service_provider_name,
        profile_name: said.profile_name,
        profile_class: said.profile_class,
        profile_policy_rules: said.profile_policy_rules,
        icon: said.icon,
        notifications: said.notifications,
        ..ProfileOptions::default()
    }
}

/// The files themselves and those in the folders, in the order of their names.
fn profiles(given: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unread = |e| Fault::caused_by(e, format!("cannot read {}", path.display()), "correct the path");
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

/// A description and the package it builds.
pub(super) fn built(file: &Path) -> Result<(Description, Package), Fault> {
    let (description, text) = described(file)?;
    let package = description.build().map_err(|mistakes| wrong(file, mistakes.in_text(&text)))?;
    Ok((description, package))
}

/// A description with its text.
pub(super) fn described(file: &Path) -> Result<(Description, String), Fault> {
    let text = read_text(file)?;
    let description = Description::parse(&text).map_err(|mistakes| wrong(file, mistakes))?;
    Ok((description, text))
}

fn wrong(file: &Path, mistakes: Mistakes) -> Fault {
    let what = format!("{} does not describe a profile", file.display());
    match mistakes.0.as_slice() {
        [only] => Fault::new(what, only.why(), only.next.clone()),
        _ => {
            let each = mistakes.to_string().replace('\n', "\n        ");
            Fault::new(what, each, "correct these; docs/profile.schema.json says what each name means")
        }
    }
}

pub(super) fn write(file: &Path, octets: &[u8]) -> Result<(), Fault> {
    std::fs::write(file, octets).map_err(|e| {
        Fault::caused_by(e, format!("cannot write {}", file.display()), "give a path that can be written")
    })
}
