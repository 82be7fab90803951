//! `landfall profile`: profile packages.

mod make;
mod personalise;
mod rows;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use profile::{
    Package,
    check::{self, Finding, Severity},
    diff::{self, Difference},
    personalise::Made,
    show::{self, ShowOptions, ShownFile},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use world::Fault;

use crate::{
    exit_status::ExitStatus,
    json_schema::{CommandOutput, OneOf, document},
    output::{print, print_json},
    settings::Settings,
};

/// Profile packages: create, inspect, check, compare, import
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the contents of a package
    Show {
        /// TCA profile package (DER)
        file: PathBuf,
        /// Include keys and codes
        #[arg(long)]
        secrets: bool,
        /// Include the contents of every file
        #[arg(long)]
        contents: bool,
        /// List the files instead, with type, access conditions and decoded contents
        #[arg(long)]
        files: bool,
    },
    /// Check packages for defects; exit status 6 if there are errors
    Check {
        /// TCA profile packages (DER)
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Compare two packages, PE by PE and file by file
    Diff {
        /// First TCA profile package (DER)
        first: PathBuf,
        /// Second TCA profile package (DER)
        second: PathBuf,
        /// Include keys and codes
        #[arg(long)]
        secrets: bool,
    },
    /// Create a package from a description, or for a numbered subscriber of a test network
    New {
        /// Output file
        file: PathBuf,
        /// Description (TOML)
        #[arg(long, value_name = "FILE", conflicts_with_all = ["home", "number", "name"])]
        description: Option<PathBuf>,
        /// Home network
        #[arg(long, default_value = "724-99", value_name = "PLMN")]
        home: String,
        /// Number of the subscriber
        #[arg(long, default_value_t = 1)]
        number: u8,
        /// Service provider name (EF.SPN)
        #[arg(long, default_value = "Landfall")]
        name: String,
    },
    /// Build a package from a description
    Build(make::Build),
    /// Convert a package into a description that builds the same package
    Decompile(make::Decompile),
    /// Create many packages from one description
    Personalise(personalise::Personalise),
    /// Add packages or descriptions to the stock of the SM-DP+
    Import(make::Import),
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<OneOf<Vec<Map<String, Value>>, Vec<ShownFile>>>("profile show"),
    document::<Vec<Checked>>("profile check"),
    document::<Vec<Difference>>("profile diff"),
    document::<make::Summary>("profile new"),
    document::<make::Summary>("profile build"),
    document::<OneOf<make::PrintedDescription, make::WrittenDescription>>("profile decompile"),
    document::<Made>("profile personalise"),
    document::<make::Imported>("profile import"),
];

impl Command {
    /// Runs the command. `check`, `build` and `import` return exit status 6 if a package has
    /// errors.
    ///
    /// # Errors
    /// A file cannot be read or written, or is not a package.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        match self {
            Self::Show { file, secrets, contents, files } => {
                let package = package(&file)?;
                let options = ShowOptions { secrets, contents };
                match (files, json) {
                    (true, true) => print_json(&show::files(&package, &options))?,
                    (true, false) => print(&show::files_text(&package, &options))?,
                    (false, true) => print_json(&show::json(&package, &options))?,
                    (false, false) => print(&show::text(&package, &options))?,
                }
            }
            Self::Check { files } => return checked(files, json),
            Self::Diff { first, second, secrets } => {
                let options = ShowOptions { secrets, contents: false };
                let differences = diff::diff(&package(&first)?, &package(&second)?, &options);
                if json {
                    print_json(&differences)?;
                } else {
                    print(&format!("{}\n", diff::text(&differences)))?;
                }
            }
            Self::Build(command) => return command.run(json),
            Self::Decompile(command) => command.run(json)?,
            Self::Personalise(command) => command.run(json)?,
            Self::Import(command) => return command.run(settings, json).await,
            Self::New { file, description: Some(description), .. } => {
                let (metadata, server) = (None, String::new());
                return make::Build { description, package: file, metadata, server }.run(json);
            }
            Self::New { file, description: None, home, number, name } => {
                crate::files::write_private(
                    &file,
                    testbed::subscription::own_package(&home, number.into(), &name)?,
                )?;
                make::print_summary(&package(&file)?, json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a file, and refuses it if it is empty or a text file and thus cannot be a package.
fn octets(file: &Path) -> Result<Vec<u8>, Fault> {
    let octets = crate::files::read(file)?;
    let is_text = std::str::from_utf8(&octets)
        .is_ok_and(|text| text.chars().all(|letter| !letter.is_control() || letter.is_ascii_whitespace()));
    let (why, next) = match (octets.is_empty(), is_text) {
        (true, _) => ("the file is empty", "choose a TCA package in DER"),
        (_, true) => (
            "it is a text file, and packages are DER",
            "build a package from a description (TOML) with `landfall profile build DESCRIPTION PACKAGE`",
        ),
        _ => return Ok(octets),
    };
    Err(Fault::usage(format!("{} is not a profile package", file.display()), why, next))
}

fn package(file: &Path) -> Result<Package, Fault> {
    Package::decode(&octets(file)?).map_err(|e| {
        Fault::usage_caused_by(
            e,
            format!("{} is not a profile package", file.display()),
            "choose a complete TCA package in DER; `landfall profile check` shows which parts can be decoded",
        )
    })
}

/// Findings of one file.
#[derive(JsonSchema, Serialize)]
struct Checked {
    file: PathBuf,
    findings: Vec<Finding>,
}

fn checked(files: Vec<PathBuf>, json: bool) -> Result<ExitCode, Fault> {
    let mut all = Vec::new();
    for file in files {
        let findings = check::check_octets(&octets(&file)?);
        all.push(Checked { file, findings });
    }
    if json {
        print_json(&all)?;
    } else {
        for Checked { file, findings } in &all {
            let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
            let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
            for finding in findings {
                print(&format!("{finding}\n"))?;
            }
            print(&format!("{}: {errors} errors, {warnings} warnings, {notes} notes\n", file.display()))?;
        }
    }
    let is_error = |checked: &Checked| checked.findings.iter().any(|it| it.severity == Severity::Error);
    Ok(ExitStatus::expected(!all.iter().any(is_error)))
}
