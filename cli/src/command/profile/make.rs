//! `landfall profile new --description`, `build`, `decompile` and `import`: packages from descriptions, and back.

use std::path::{Path, PathBuf};

use clap::Args;
use profile::{
    Capabilities, Description, InstalledProfile, Mistakes, Package,
    check::{Severity, check},
    description::{decompile, store_metadata},
};
use rsp::der::Asn1 as _;
use sm_dp::ProfileOptions;
use world::Fault;

use crate::{
    command::sm_dp::{read, read_text},
    output::{remark, say, say_json},
    parties::{self, SmDpSetup},
    settings::Settings,
};

/// Builds a package.
#[derive(Debug, Args)]
pub struct Build {
    /// Description (TOML)
    description: PathBuf,
    /// Where to write the package
    package: PathBuf,
    /// Where to write what a server tells of it (StoreMetadata, DER)
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Who is told of everything, in the metadata, where the description names nobody
    #[arg(long, value_name = "HOST", default_value = "smdpplus.example.com")]
    server: String,
}

impl Build {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read or written, or the description describes no profile.
    pub fn run(&self, json: bool) -> Result<(), Fault> {
        let (description, package) = built(&self.description)?;
        for finding in check(&package).iter().filter(|finding| finding.severity >= Severity::Warning) {
            remark(&finding.to_string());
        }
        let bytes = package.encode();
        write(&self.package, &bytes)?;
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
        let (elements, octets) = (package.elements.len(), bytes.len());
        let iccid = package.header().map(|header| header.iccid.to_string()).unwrap_or_default();
        match json {
            true => say_json(&serde_json::json!({ "iccid": iccid, "elements": elements, "octets": octets })),
            false => say(&format!("{iccid}: {elements} elements, {octets} octets\n")),
        }
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
    pub fn run(&self) -> Result<(), Fault> {
        let package = Package::decode(&read(&self.package)?).map_err(|e| not_a_package(&self.package, e))?;
        let made = decompile(&package).map_err(|why| {
            Fault::new(format!("cannot describe {}", self.package.display()), why, "use the package as it is")
        })?;
        for note in &made.notes {
            remark(&format!("not in a term: {note}"));
        }
        let text = made.description.to_toml();
        match &self.description {
            Some(file) => {
                write(file, text.as_bytes())?;
                let how =
                    if made.by_terms_alone { "by its terms alone" } else { "with its elements written out" };
                say(&format!("{}: {} lines, {how}\n", file.display(), text.lines().count()))
            }
            None => say(&text),
        }
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
    /// Runs the command.
    ///
    /// # Errors
    /// A file is no profile, or in stock already; those before it are in stock.
    pub async fn run(&self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let (pki, addresses) = parties::pki_and_addresses(settings)?;
        let sm_dp = parties::sm_dp(&SmDpSetup {
            pki: &pki,
            addresses,
            data_dir: &settings.data_dir,
            world: &world,
            events: std::sync::Arc::new(crate::output::Lines::new(world.now(), json)),
        })?;
        let mut imported = 0u64;
        for file in profiles(&self.files)? {
            let (package, mut options) = match file.extension().is_some_and(|ending| ending == "toml") {
                true => {
                    let (description, package) = built(&file)?;
                    (package.encode(), options(&description))
                }
                false => (read(&file)?, ProfileOptions::default()),
            };
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
        }
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
    Fault::new(what, format!("\n  {}", mistakes.to_string().replace('\n', "\n  ")), "see docs/profiles.md")
}

pub(super) fn not_a_package(file: &Path, error: rsp::der::DecodeError) -> Fault {
    let what = format!("{} is not a profile package", file.display());
    Fault::caused_by(error, what, "give a TCA package in DER, whole")
}

pub(super) fn write(file: &Path, octets: &[u8]) -> Result<(), Fault> {
    std::fs::write(file, octets).map_err(|e| {
        Fault::caused_by(e, format!("cannot write {}", file.display()), "give a path that can be written")
    })
}
