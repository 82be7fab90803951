//! `landfall profile`: profile packages.

use std::path::PathBuf;

use clap::Subcommand;
use profile::{
    Package,
    show::{self, ShowOptions},
};
use world::Fault;

use crate::{
    demo,
    output::{say, say_json},
};

/// Profile packages: show one, make one
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
    },
    /// Write a package of our own, for a numbered subscriber of a network
    New {
        /// Where to write it
        file: PathBuf,
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
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no package.
    pub fn run(self, json: bool) -> Result<(), Fault> {
        match self {
            Self::Show { file, secrets, contents } => {
                let package = Package::decode(&super::sm_dp::read(&file)?).map_err(|e| {
                    Fault::caused_by(
                        e,
                        format!("{} is not a profile package", file.display()),
                        "give a TCA package in DER, whole",
                    )
                })?;
                let options = ShowOptions { secrets, contents };
                if json {
                    say_json(&show::json(&package, &options))?;
                } else {
                    say(&show::text(&package, &options))?;
                }
            }
            Self::New { file, home, number, name } => {
                let package = demo::own_package(&home, number.into(), &name)?;
                std::fs::write(&file, package).map_err(|e| {
                    Fault::caused_by(
                        e,
                        format!("cannot write {}", file.display()),
                        "give a path that can be written",
                    )
                })?;
            }
        }
        Ok(())
    }
}
