//! `landfall sm-dp add`: adds a package to the stock, or a template.

use std::path::{Path, PathBuf};

use clap::Args;
use rsp::ids::Iccid;
use schemars::JsonSchema;
use serde::Serialize;
use sm_dp::{
    ProfileOptions, SmDpPlus,
    admin::preset::{Ensured, NewTemplate},
};
use toml::Table;
use world::Fault;

use super::entries::Scope;
use crate::{
    files,
    output::{print, print_json},
    preset,
};

/// The package or the template to add
#[derive(Args, Clone, Debug)]
pub struct Add {
    /// TCA profile package (DER); with --template a package or a description (.toml)
    file: PathBuf,
    /// Use the file as a template for new profiles, in all namespaces
    #[arg(long, conflicts_with = "namespace")]
    template: bool,
    /// The profile can be the Fallback Profile of an IoT eUICC (SGP.32)
    #[arg(long, conflicts_with = "template")]
    fallback_allowed: bool,
    /// The profile is the Emergency Profile of an IoT eUICC (SGP.32)
    #[arg(long, conflicts_with = "template")]
    ecall_indication: bool,
    #[command(flatten)]
    numbers: Numbers,
    #[command(flatten)]
    scope: Scope,
}

/// The added profile or template.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Added {
    /// The ICCID of the profile.
    Iccid(Iccid),
    /// The profile type of the template.
    ProfileType(String),
}

/// The profile type and the numbers of a template
#[derive(Args, Clone, Debug)]
struct Numbers {
    /// Profile type for orders [default: the profile type in the file]
    #[arg(long = "type", value_name = "TYPE", requires = "template")]
    profile_type: Option<String>,
    /// First ICCID, without its check digit [default: 8972499000000100000]
    #[arg(long, value_name = "DIGITS", requires = "template")]
    iccid: Option<String>,
    /// First IMSI [default: 724990000100000]
    #[arg(long, value_name = "DIGITS", requires = "template")]
    imsi: Option<String>,
    /// First MSISDN
    #[arg(long, value_name = "DIGITS", requires = "template")]
    msisdn: Option<String>,
    /// Use the K and OPc of the file in all profiles
    #[arg(long, requires = "template")]
    same_keys: bool,
}

impl Add {
    /// Adds the file. A server that runs on the same records can use it at once.
    ///
    /// # Errors
    /// The file cannot be read or is invalid, or a profile with its ICCID or a template of its type
    /// exists.
    pub(super) async fn run(&self, sm_dp: &SmDpPlus, json: bool) -> Result<(), Fault> {
        let added = match self.template {
            true => Added::ProfileType(self.add_template(sm_dp).await?),
            false => {
                let package = files::read(&self.file)?;
                let namespace = self.scope.namespace.clone();
                let options = ProfileOptions {
                    namespace,
                    fallback_allowed: self.fallback_allowed,
                    ecall_indication: self.ecall_indication,
                    ..ProfileOptions::default()
                };
                Added::Iccid(sm_dp.add_profile(&package, &options).await?)
            }
        };
        match (json, &added) {
            (true, _) => print_json(&added),
            (false, Added::Iccid(iccid)) => print(&format!("{iccid}\n")),
            (false, Added::ProfileType(profile_type)) => print(&format!("{profile_type}\n")),
        }
    }

    /// Adds the template. Returns its profile type.
    async fn add_template(&self, sm_dp: &SmDpPlus) -> Result<String, Fault> {
        match sm_dp.ensure_template(&self.read_template()?).await? {
            Ensured::Created(template) => Ok(template.profile_type),
            Ensured::Existing(template) => Err(Fault::usage(
                format!("cannot add the template {}", self.file.display()),
                format!("profile type {:?} has a template already", template.profile_type),
                "choose another profile type with --type, or delete the template over the admin API",
            )),
        }
    }

    fn read_template(&self) -> Result<NewTemplate, Fault> {
        let Numbers { profile_type, iccid, imsi, msisdn, same_keys } = &self.numbers;
        let file = self.file.to_string_lossy().into_owned();
        let values = [
            ("profileType", profile_type),
            ("iccid", iccid),
            ("imsi", imsi),
            ("msisdn", msisdn),
            ("file", &Some(file)),
        ];
        let mut table: Table = values
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())))
            .collect();
        table.insert("sameKeys".to_owned(), (*same_keys).into());
        preset::template(table, Path::new(""))
    }
}
