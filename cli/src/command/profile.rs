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
    diff,
    show::{self, ShowOptions},
};
use serde::Serialize;
use world::Fault;

use crate::{
    demo,
    output::{say, say_json},
    settings::Settings,
};

/// Profile packages: make them, look into them, check, compare, put them into stock
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is in a package
    Show {
        /// TCA profile package, DER
        file: PathBuf,
        /// Keys and codes as well
        #[arg(long)]
        secrets: bool,
        /// The contents of every file as well
        #[arg(long)]
        contents: bool,
        /// File by file instead: what it is, who may do what with it, what it means
        #[arg(long)]
        files: bool,
    },
    /// Say what is wrong with packages; the exit status is 1 if anything is an error
    Check {
        /// TCA profile packages, DER
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Say what differs between two packages, PE by PE and file by file
    Diff {
        /// TCA profile package, DER
        first: PathBuf,
        /// Another
        second: PathBuf,
        /// Keys and codes as well
        #[arg(long)]
        secrets: bool,
    },
    /// Write a package: of a description, or for a numbered subscriber of a network of our own
    New {
        /// Where to write it
        file: PathBuf,
        /// Description (TOML)
        #[arg(long, value_name = "FILE", conflicts_with_all = ["home", "number", "name"])]
        description: Option<PathBuf>,
        /// The home network
        #[arg(long, default_value = "724-99", value_name = "PLMN")]
        home: String,
        /// Which subscriber
        #[arg(long, default_value_t = 1)]
        number: u8,
        /// EF.SPN
        #[arg(long, default_value = "Landfall")]
        name: String,
    },
    /// Build the package of a description
    Build(make::Build),
    /// Write the description of a package, from which the same package can be built
    Decompile(make::Decompile),
    /// Make many packages from one description
    Personalise(personalise::Personalise),
    /// Put packages or descriptions into the stock of the SM-DP+
    Import(make::Import),
}

impl Command {
    /// Runs the command; the exit status says whether what was checked has no errors.
    ///
    /// # Errors
    /// A file cannot be read or written, or is no package.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<ExitCode, Fault> {
        match self {
            Self::Show { file, secrets, contents, files } => {
                let package = package(&file)?;
                let options = ShowOptions { secrets, contents };
                match (files, json) {
                    (true, true) => say_json(&show::files(&package, &options))?,
                    (true, false) => say(&show::files_text(&package, &options))?,
                    (false, true) => say_json(&show::json(&package, &options))?,
                    (false, false) => say(&show::text(&package, &options))?,
                }
            }
            Self::Check { files } => return checked(files, json),
            Self::Diff { first, second, secrets } => {
                let options = ShowOptions { secrets, contents: false };
                let differences = diff::diff(&package(&first)?, &package(&second)?, &options);
                if json {
                    say_json(&differences)?;
                } else {
                    say(&format!("{}\n", diff::text(&differences)))?;
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
                make::write(&file, &demo::own_package(&home, number.into(), &name)?)?;
                make::told(&package(&file)?, json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The octets of a file that can be a package: something is in it, and it is no text.
fn octets(file: &Path) -> Result<Vec<u8>, Fault> {
    let octets = super::sm_dp::read(file)?;
    let is_text = std::str::from_utf8(&octets)
        .is_ok_and(|text| text.chars().all(|letter| !letter.is_control() || letter.is_ascii_whitespace()));
    let (why, next) = match (octets.is_empty(), is_text) {
        (true, _) => ("the file is empty", "give a TCA package in DER"),
        (_, true) => (
            "it is text, and a package is DER",
            "of a description (TOML), `landfall profile build DESCRIPTION PACKAGE` makes a package",
        ),
        _ => return Ok(octets),
    };
    Err(Fault::new(format!("{} is not a profile package", file.display()), why, next))
}

fn package(file: &Path) -> Result<Package, Fault> {
    Package::decode(&octets(file)?).map_err(|e| {
        Fault::caused_by(
            e,
            format!("{} is not a profile package", file.display()),
            "give a TCA package in DER, whole; `landfall profile check` says what can be read of it",
        )
    })
}

/// What was found in a file.
#[derive(Serialize)]
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
        say_json(&all)?;
    } else {
        for Checked { file, findings } in &all {
            let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
            let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
            for finding in findings {
                say(&format!("{finding}\n"))?;
            }
            say(&format!("{}: {errors} errors, {warnings} warnings, {notes} notes\n", file.display()))?;
        }
    }
    let is_error = |checked: &Checked| checked.findings.iter().any(|it| it.severity == Severity::Error);
    Ok(if all.iter().any(is_error) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
