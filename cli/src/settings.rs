//! Settings from flags, the settings file, and environment variables, in this order of precedence.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use world::Fault;

/// Folders and addresses, resolved from all sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Data folder for keys, records and cards.
    pub data_dir: PathBuf,
    /// Folder of certificates and keys.
    pub pki: PathBuf,
    /// Seed of the PKI and the cards.
    pub seed: String,
    /// Address of the SM-DP+, for listening or connecting.
    pub sm_dp: String,
    /// Further names of the SM-DP+.
    pub sm_dp_names: Vec<String>,
    /// Address of the SM-DS, for listening or connecting.
    pub sm_ds: String,
    /// Further names of the SM-DS.
    pub sm_ds_names: Vec<String>,
    /// Address of the card served over TCP.
    pub euicc: String,
    /// Address of the networks and their subscriber servers.
    pub network: String,
    /// Address of the SM-DP+'s admin API, if it is enabled.
    pub admin: Option<String>,
}

/// Settings of one source. Absent values are `None`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Layer {
    /// Data folder for keys, records and cards
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    data_dir: Option<PathBuf>,
    /// Folder of certificates and keys [default: pki below the data folder]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    pki: Option<PathBuf>,
    /// Seed of the keys; the same seed gives the same PKI
    #[arg(long, global = true, help_heading = "Settings")]
    seed: Option<String>,
    /// Address of the SM-DP+ [default: 127.0.0.1:8443]
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    sm_dp: Option<String>,
    /// Further name of the SM-DP+ (repeatable)
    #[arg(long = "sm-dp-name", global = true, value_name = "NAME", help_heading = "Settings")]
    sm_dp_names: Option<Vec<String>>,
    /// Address of the SM-DS [default: 127.0.0.1:8444]
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    sm_ds: Option<String>,
    /// Further name of the SM-DS (repeatable)
    #[arg(long = "sm-ds-name", global = true, value_name = "NAME", help_heading = "Settings")]
    sm_ds_names: Option<Vec<String>>,
    /// Address of the card served over TCP [default: 127.0.0.1:8431]
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    euicc: Option<String>,
    /// Address of the networks [default: 127.0.0.1:8480]
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    network: Option<String>,
    /// Address of the SM-DP+'s admin API, or `none` [default: 127.0.0.1:8490]
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Settings")]
    admin: Option<String>,
}

impl Layer {
    /// Returns the values of this layer, with absent ones taken from `below`.
    fn over(self, below: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(below.data_dir),
            pki: self.pki.or(below.pki),
            seed: self.seed.or(below.seed),
            sm_dp: self.sm_dp.or(below.sm_dp),
            sm_dp_names: self.sm_dp_names.or(below.sm_dp_names),
            sm_ds: self.sm_ds.or(below.sm_ds),
            sm_ds_names: self.sm_ds_names.or(below.sm_ds_names),
            euicc: self.euicc.or(below.euicc),
            network: self.network.or(below.network),
            admin: self.admin.or(below.admin),
        }
    }

    /// Reads the environment variables: `LANDFALL_DATA_DIR` and so on. Names are separated by
    /// commas.
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = |name: &str| {
            variable(name).map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
        };
        Self {
            data_dir: variable("LANDFALL_DATA_DIR").map(PathBuf::from),
            pki: variable("LANDFALL_PKI").map(PathBuf::from),
            seed: variable("LANDFALL_SEED"),
            sm_dp: variable("LANDFALL_SM_DP"),
            sm_dp_names: names("LANDFALL_SM_DP_NAMES"),
            sm_ds: variable("LANDFALL_SM_DS"),
            sm_ds_names: names("LANDFALL_SM_DS_NAMES"),
            euicc: variable("LANDFALL_EUICC"),
            network: variable("LANDFALL_NETWORK"),
            admin: variable("LANDFALL_ADMIN"),
        }
    }

    fn from_toml(path: &Path, text: &str) -> Result<Self, Fault> {
        toml::from_str(text).map_err(|e| {
            Fault::usage(
                format!("cannot use the settings in {}", path.display()),
                e.to_string().trim_end().to_owned(),
                "correct the file; `landfall --help` lists the settings; --sm-dp-name and --sm-ds-name are the lists sm-dp-names and sm-ds-names in the file",
            )
        })
    }
}

impl Settings {
    /// Returns the path of the root certificate (DER) of the P-256 servers.
    pub fn root_certificate(&self) -> PathBuf {
        self.pki.join("CertificateIssuer").join("CERT_CI_ECDSA_NIST.der")
    }

    /// Combines the three sources. `config` is the path of the settings file; without it,
    /// `landfall.toml` in the data folder is read if it exists.
    ///
    /// # Errors
    /// The file cannot be read, or contains an unknown setting.
    pub fn resolve(flags: Layer, config: Option<&Path>) -> Result<Self, Fault> {
        Self::from_sources(flags, config, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_sources(
        flags: Layer,
        config: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let environment = Layer::from_environment(&variable);
        let default_dir = || default_data_dir(&variable);
        let file = match config {
            Some(path) => read_file(path, true)?,
            None => {
                let beside =
                    flags.data_dir.clone().or(environment.data_dir.clone()).unwrap_or_else(default_dir);
                read_file(&beside.join("landfall.toml"), false)?
            }
        };
        let chosen = flags.over(file).over(environment);
        let data_dir = chosen.data_dir.unwrap_or_else(default_dir);
        Ok(Self {
            pki: chosen.pki.unwrap_or_else(|| data_dir.join("pki")),
            data_dir,
            seed: chosen.seed.unwrap_or_else(|| "landfall".to_owned()),
            sm_dp: chosen.sm_dp.unwrap_or_else(|| "127.0.0.1:8443".to_owned()),
            sm_dp_names: chosen.sm_dp_names.unwrap_or_default(),
            sm_ds: chosen.sm_ds.unwrap_or_else(|| "127.0.0.1:8444".to_owned()),
            sm_ds_names: chosen.sm_ds_names.unwrap_or_default(),
            euicc: chosen.euicc.unwrap_or_else(|| "127.0.0.1:8431".to_owned()),
            network: chosen.network.unwrap_or_else(|| "127.0.0.1:8480".to_owned()),
            admin: Some(chosen.admin.unwrap_or_else(|| "127.0.0.1:8490".to_owned()))
                .filter(|admin| admin != "none"),
        })
    }
}

fn default_data_dir(variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let base = variable("XDG_DATA_HOME").map(PathBuf::from);
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    base.or_else(home).map_or_else(|| PathBuf::from("landfall-data"), |base| base.join("landfall"))
}

fn read_file(path: &Path, must_exist: bool) -> Result<Layer, Fault> {
    match std::fs::read_to_string(path) {
        Ok(text) => Layer::from_toml(path, &text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(Layer::default()),
        Err(e) => Err(Fault::usage_caused_by(
            e,
            format!("cannot read the settings in {}", path.display()),
            "correct the path, or omit --config",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        Layer::from_toml(Path::new("test.toml"), text).unwrap()
    }

    #[test]
    fn flags_override_the_file_and_the_file_overrides_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("landfall.toml");
        std::fs::write(&file, "seed = 'from the file'\nsm-dp = 'file.example:1'").unwrap();
        let environment = |name: &str| match name {
            "LANDFALL_SEED" | "LANDFALL_SM_DP" | "LANDFALL_EUICC" => Some("environment:1".to_owned()),
            "LANDFALL_SM_DP_NAMES" => Some("a.example, b.example".to_owned()),
            "LANDFALL_DATA_DIR" => Some(folder.path().display().to_string()),
            _ => None,
        };
        let settings = Settings::from_sources(layer("seed = 'from a flag'"), None, environment).unwrap();
        assert_eq!(settings.seed, "from a flag");
        assert_eq!(settings.sm_dp, "file.example:1");
        assert_eq!(settings.euicc, "environment:1");
        assert_eq!(settings.network, "127.0.0.1:8480");
        assert_eq!(settings.admin.as_deref(), Some("127.0.0.1:8490"));
        assert_eq!(settings.sm_dp_names, ["a.example", "b.example"]);
        assert_eq!(settings.pki, folder.path().join("pki"));
    }

    #[test]
    fn the_admin_api_can_be_disabled() {
        let settings = Settings::from_sources(layer("admin = 'none'"), None, |_| None).unwrap();
        assert_eq!(settings.admin, None);
    }

    #[test]
    fn the_error_names_an_unknown_setting() {
        let fault = Layer::from_toml(Path::new("landfall.toml"), "sm-pd = 'x'").unwrap_err();
        assert!(fault.to_string().contains("sm-pd"), "{fault}");
    }
}
