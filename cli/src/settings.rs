//! Settings from flags, environment variables, and the settings file, in this order of precedence.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use crypto::Curve;
use net::{PostgresAddress, StoreKey};
use serde::Deserialize;
use world::Fault;
use zeroize::Zeroizing;

use crate::hidden_value::HiddenValue;

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
    /// Curve of the certificate at this address; default: both.
    pub sm_dp_curve: Option<Curve>,
    /// Further listening addresses of the SM-DP+.
    pub sm_dp_further: Vec<ListenAddress>,
    /// Further names of the SM-DP+.
    pub sm_dp_names: Vec<String>,
    /// Address of the SM-DS, for listening or connecting.
    pub sm_ds: String,
    /// Curve of the certificate at this address; default: both.
    pub sm_ds_curve: Option<Curve>,
    /// Further listening addresses of the SM-DS.
    pub sm_ds_further: Vec<ListenAddress>,
    /// Further names of the SM-DS.
    pub sm_ds_names: Vec<String>,
    /// Address of the card served over TCP.
    pub card: String,
    /// Address of the networks and their subscriber servers.
    pub network: String,
    /// Address of the SM-DP+'s admin API, if it is enabled.
    pub admin: Option<String>,
    /// The database with the records of servers. Default: files in the data folder.
    pub records: Option<PostgresAddress>,
    /// The key that encrypts the records of servers.
    pub records_key: RecordsKey,
    /// True if the SM-DP+ removes a package from its stock after its installation.
    pub remove_installed_packages: bool,
}

/// The source of the key that encrypts records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RecordsKey {
    /// The records are not encrypted.
    #[default]
    None,
    /// A file contains the key.
    File(PathBuf),
    /// The key itself.
    Key(StoreKey),
}

impl RecordsKey {
    /// Returns the key, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or does not contain a key.
    pub fn read(&self) -> Result<Option<StoreKey>, Fault> {
        match self {
            Self::None => Ok(None),
            Self::Key(key) => Ok(Some(key.clone())),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|e| {
                    Fault::usage_caused_by(
                        e,
                        format!("cannot read the key of the records in {}", path.display()),
                        "correct records-key-file",
                    )
                })?;
                StoreKey::parse(&text, &path.display().to_string()).map(Some)
            }
        }
    }
}

/// A listening address of a server with TLS: `HOST:PORT` or `HOST:PORT=CURVE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// `HOST:PORT`.
    pub address: String,
    /// Curve of the certificate. Without it, the client's offer decides, and NIST P-256 is preferred.
    pub curve: Option<Curve>,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, curve) = match text.split_once('=') {
            None => (text, None),
            Some((address, "nist")) => (address, Some(Curve::P256)),
            Some((address, "brainpool")) => (address, Some(Curve::BrainpoolP256r1)),
            Some((_, other)) => return Err(format!("unknown curve {other:?}; expected nist or brainpool")),
        };
        Ok(Self { address: address.to_owned(), curve })
    }
}

/// A setting that commands take as a flag.
///
/// A command declares the settings that it uses: `#[command(args = Setting::flags(&[..]))]`.
/// Other commands refuse these flags. [`Settings::resolve`] reads their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `--pki`
    Pki,
    /// `--seed`
    Seed,
    /// `--sm-dp`
    SmDp,
    /// `--sm-dp-name`
    SmDpName,
    /// `--sm-ds`
    SmDs,
    /// `--sm-ds-name`
    SmDsName,
    /// `--card`
    Card,
    /// `--network`
    Network,
    /// `--admin`
    Admin,
    /// `--records`
    Records,
}

impl Setting {
    /// All settings with a flag.
    pub const ALL: [Self; 10] = [
        Self::Pki,
        Self::Seed,
        Self::SmDp,
        Self::SmDpName,
        Self::SmDs,
        Self::SmDsName,
        Self::Card,
        Self::Network,
        Self::Admin,
        Self::Records,
    ];

    /// Returns the flags of these settings.
    pub fn flags(settings: &[Self]) -> Vec<Arg> {
        settings.iter().map(|setting| setting.flag()).collect()
    }

    /// Returns the flags of these settings for a command and its subcommands.
    pub fn global_flags(settings: &[Self]) -> Vec<Arg> {
        settings.iter().map(|setting| setting.flag().global(true)).collect()
    }

    /// Returns the flag `--listen` of the server whose address this setting is.
    pub fn listen(self) -> Arg {
        self.listen_as("listen", "Listening address")
    }

    /// Returns the flag `--listen` of a server with TLS, which can listen at several addresses.
    pub fn listen_with_tls(self) -> Arg {
        let checked = |text: &str| text.parse::<ListenAddress>().map(|_| text.to_owned());
        self.listen_as("listen", "Listening address, with =nist or =brainpool for one curve (repeatable)")
            .value_name("HOST:PORT[=CURVE]")
            .action(ArgAction::Append)
            .value_parser(checked)
    }

    /// Returns the flag of a listening address of a server that has several.
    pub fn listen_as(self, long: &'static str, help: &'static str) -> Arg {
        let default = self.default().map(|default| format!(" [default: {default}]")).unwrap_or_default();
        // The help lists it among the options of the command, before the others.
        self.flag().long(long).help(format!("{help}{default}")).help_heading(None).display_order(0)
    }

    fn flag(self) -> Arg {
        let flag = |long: &'static str, value: &'static str, help: &str| {
            let default = self.default().map(|default| format!(" [default: {default}]")).unwrap_or_default();
            Arg::new(self.id())
                .long(long)
                .value_name(value)
                .help(format!("{help}{default}"))
                .help_heading("Settings")
        };
        match self {
            Self::Pki => {
                let help = "Folder of certificates and keys [default: pki below the data folder]";
                flag("pki", "DIR", help).value_parser(value_parser!(PathBuf))
            }
            Self::Seed => flag("seed", "TEXT", "Seed of new keys and of random choices"),
            Self::SmDp => flag("sm-dp", "HOST:PORT", "Address of the SM-DP+"),
            Self::SmDpName => flag("sm-dp-name", "NAME", "Further name of the SM-DP+ (repeatable)")
                .action(ArgAction::Append),
            Self::SmDs => flag("sm-ds", "HOST:PORT", "Address of the SM-DS"),
            Self::SmDsName => {
                flag("sm-ds-name", "NAME", "Further name of the SM-DS (repeatable)").action(ArgAction::Append)
            }
            Self::Card => flag("card", "HOST:PORT", "Address of the card served over TCP"),
            Self::Network => flag("network", "HOST:PORT", "Address of the networks"),
            Self::Admin => flag("admin", "HOST:PORT", "Address of the SM-DP+'s admin API, or `none`"),
            Self::Records => {
                let checked = |text: &str| text.parse::<PostgresAddress>().map(|_| text.to_owned());
                let help = "PostgreSQL database of the records [default: files]";
                flag("records", "URL", help).value_parser(HiddenValue(checked))
            }
        }
    }

    /// Name of the flag among the arguments of a command. The prefix keeps it distinct from
    /// arguments of the command itself, such as the seed of a scenario.
    const fn id(self) -> &'static str {
        match self {
            Self::Pki => "settings.pki",
            Self::Seed => "settings.seed",
            Self::SmDp => "settings.sm-dp",
            Self::SmDpName => "settings.sm-dp-name",
            Self::SmDs => "settings.sm-ds",
            Self::SmDsName => "settings.sm-ds-name",
            Self::Card => "settings.card",
            Self::Network => "settings.network",
            Self::Admin => "settings.admin",
            Self::Records => "settings.records",
        }
    }

    /// Value that applies if no source has one.
    const fn default(self) -> Option<&'static str> {
        match self {
            Self::Seed => Some("landfall"),
            Self::SmDp => Some("127.0.0.1:8443"),
            Self::SmDs => Some("127.0.0.1:8444"),
            Self::Card => Some("127.0.0.1:8431"),
            Self::Network => Some("127.0.0.1:8480"),
            Self::Admin => Some("127.0.0.1:8490"),
            // The default of --pki depends on the data folder, and a server has no further name by
            // default.
            Self::Pki | Self::SmDpName | Self::SmDsName | Self::Records => None,
        }
    }

    /// Returns the value, or the default of a setting that has one.
    fn or_default(self, value: Option<String>) -> String {
        value.unwrap_or_else(|| self.default().unwrap_or_default().to_owned())
    }
}

/// The environment variable with the key of the records itself. It has precedence over a file.
const KEY_VARIABLE: &str = "LANDFALL_RECORDS_KEY";

/// The environment variable with the password of the database. It has precedence over a file.
const PASSWORD_VARIABLE: &str = "LANDFALL_RECORDS_PASSWORD";

/// Settings of one source. Absent values are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Layer {
    data_dir: Option<PathBuf>,
    pki: Option<PathBuf>,
    seed: Option<String>,
    sm_dp: Option<String>,
    #[serde(skip)]
    sm_dp_listen: Option<Vec<String>>,
    sm_dp_names: Option<Vec<String>>,
    sm_ds: Option<String>,
    #[serde(skip)]
    sm_ds_listen: Option<Vec<String>>,
    sm_ds_names: Option<Vec<String>>,
    card: Option<String>,
    network: Option<String>,
    admin: Option<String>,
    records: Option<String>,
    records_password_file: Option<PathBuf>,
    records_key_file: Option<PathBuf>,
    remove_installed_packages: Option<bool>,
}

impl Layer {
    /// Returns the values of this layer, with absent ones taken from `below`.
    fn over(self, below: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(below.data_dir),
            pki: self.pki.or(below.pki),
            seed: self.seed.or(below.seed),
            sm_dp: self.sm_dp.or(below.sm_dp),
            sm_dp_listen: self.sm_dp_listen.or(below.sm_dp_listen),
            sm_dp_names: self.sm_dp_names.or(below.sm_dp_names),
            sm_ds: self.sm_ds.or(below.sm_ds),
            sm_ds_listen: self.sm_ds_listen.or(below.sm_ds_listen),
            sm_ds_names: self.sm_ds_names.or(below.sm_ds_names),
            card: self.card.or(below.card),
            network: self.network.or(below.network),
            admin: self.admin.or(below.admin),
            records: self.records.or(below.records),
            records_password_file: self.records_password_file.or(below.records_password_file),
            records_key_file: self.records_key_file.or(below.records_key_file),
            remove_installed_packages: self.remove_installed_packages.or(below.remove_installed_packages),
        }
    }

    /// Reads the flags of the command and of the commands above it.
    fn from_flags(data_dir: Option<PathBuf>, matches: &ArgMatches) -> Self {
        let commands: Vec<&ArgMatches> =
            std::iter::successors(Some(matches), |command| command.subcommand().map(|(_, below)| below))
                .collect();
        // A flag that the command does not have is an error here, and has no value.
        fn value<T: Clone + Send + Sync + 'static>(commands: &[&ArgMatches], setting: Setting) -> Option<T> {
            let one = |command: &&ArgMatches| command.try_get_one::<T>(setting.id()).ok().flatten().cloned();
            commands.iter().rev().find_map(one)
        }
        let values = |setting: Setting| {
            let all = |command: &&ArgMatches| {
                let values = command.try_get_many::<String>(setting.id()).ok().flatten()?;
                Some(values.cloned().collect())
            };
            commands.iter().rev().find_map(all)
        };
        Self {
            data_dir,
            pki: value(&commands, Setting::Pki),
            seed: value(&commands, Setting::Seed),
            sm_dp: value(&commands, Setting::SmDp),
            sm_dp_listen: values(Setting::SmDp),
            sm_dp_names: values(Setting::SmDpName),
            sm_ds: value(&commands, Setting::SmDs),
            sm_ds_listen: values(Setting::SmDs),
            sm_ds_names: values(Setting::SmDsName),
            card: value(&commands, Setting::Card),
            network: value(&commands, Setting::Network),
            admin: value(&commands, Setting::Admin),
            records: value(&commands, Setting::Records),
            records_password_file: None,
            records_key_file: None,
            remove_installed_packages: None,
        }
    }

    /// Reads the environment variables: `LANDFALL_DATA_DIR` and so on. Names are separated by
    /// commas.
    ///
    /// # Errors
    /// A value that must be `true` or `false` is neither.
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let names = |name: &str| {
            variable(name).map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
        };
        let name = "LANDFALL_REMOVE_INSTALLED_PACKAGES";
        let remove_installed_packages = variable(name).map(|value| {
            value.parse().map_err(|_| {
                Fault::usage(
                    format!("cannot use {name}"),
                    format!("{value:?} is neither true nor false"),
                    "correct the variable",
                )
            })
        });
        Ok(Self {
            data_dir: variable("LANDFALL_DATA_DIR").map(PathBuf::from),
            pki: variable("LANDFALL_PKI").map(PathBuf::from),
            seed: variable("LANDFALL_SEED"),
            sm_dp: variable("LANDFALL_SM_DP"),
            sm_dp_listen: None,
            sm_dp_names: names("LANDFALL_SM_DP_NAMES"),
            sm_ds: variable("LANDFALL_SM_DS"),
            sm_ds_listen: None,
            sm_ds_names: names("LANDFALL_SM_DS_NAMES"),
            card: variable("LANDFALL_CARD"),
            network: variable("LANDFALL_NETWORK"),
            admin: variable("LANDFALL_ADMIN"),
            records: variable("LANDFALL_RECORDS"),
            records_password_file: variable("LANDFALL_RECORDS_PASSWORD_FILE").map(PathBuf::from),
            records_key_file: variable("LANDFALL_RECORDS_KEY_FILE").map(PathBuf::from),
            remove_installed_packages: remove_installed_packages.transpose()?,
        })
    }

    fn from_toml(path: &Path, text: &str) -> Result<Self, Fault> {
        toml::from_str(text).map_err(|e| {
            Fault::usage(
                format!("cannot use the settings in {}", path.display()),
                e.to_string().trim_end().to_owned(),
                "correct the file; docs/commands.md lists the settings",
            )
        })
    }
}

impl Settings {
    /// Returns the path of the root certificate (DER) of the servers: the one on P-256, or the one
    /// on Brainpool if the PKI has no other.
    pub fn root_certificate(&self) -> PathBuf {
        let on = |curve| self.pki.join("CertificateIssuer").join(format!("CERT_CI_ECDSA_{curve}.der"));
        let [nist, brainpool] = [on("NIST"), on("BRP")];
        if !nist.exists() && brainpool.exists() { brainpool } else { nist }
    }

    /// Combines the three sources: the flags of a command line, the environment variables, and a
    /// file. `config` is the path of the file; without it, `landfall.toml` in the data folder is
    /// read if it exists.
    ///
    /// # Errors
    /// The file cannot be read, or contains an unknown setting.
    pub fn resolve(
        flags: &ArgMatches,
        data_dir: Option<PathBuf>,
        config: Option<&Path>,
    ) -> Result<Self, Fault> {
        let flags = Layer::from_flags(data_dir, flags);
        Self::from_sources(flags, config, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_sources(
        flags: Layer,
        config: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Fault> {
        let environment = Layer::from_environment(&variable)?;
        let default_dir = || default_data_dir(&variable);
        let file = match config {
            Some(path) => read_file(path, true)?,
            None => {
                let beside =
                    flags.data_dir.clone().or(environment.data_dir.clone()).unwrap_or_else(default_dir);
                read_file(&beside.join("landfall.toml"), false)?
            }
        };
        let chosen = flags.over(environment).over(file);
        let data_dir = chosen.data_dir.clone().unwrap_or_else(default_dir);
        let records = database(&chosen, variable(PASSWORD_VARIABLE).map(Zeroizing::new))?;
        let mut settings = Self { records, ..Self::of(chosen, data_dir) };
        if let Some(key) = variable(KEY_VARIABLE).map(Zeroizing::new) {
            settings.records_key = RecordsKey::Key(StoreKey::parse(&key, KEY_VARIABLE)?);
        }
        Ok(settings)
    }

    /// Returns the default settings for a data folder, without environment variables and file.
    pub fn with_data_dir(data_dir: PathBuf) -> Self {
        Self::of(Layer::default(), data_dir)
    }

    fn of(chosen: Layer, data_dir: PathBuf) -> Self {
        let (sm_dp, sm_dp_further) = listeners(Setting::SmDp.or_default(chosen.sm_dp), chosen.sm_dp_listen);
        let (sm_ds, sm_ds_further) = listeners(Setting::SmDs.or_default(chosen.sm_ds), chosen.sm_ds_listen);
        Self {
            pki: chosen.pki.unwrap_or_else(|| data_dir.join("pki")),
            data_dir,
            seed: Setting::Seed.or_default(chosen.seed),
            sm_dp: sm_dp.address,
            sm_dp_curve: sm_dp.curve,
            sm_dp_further,
            sm_dp_names: chosen.sm_dp_names.unwrap_or_default(),
            sm_ds: sm_ds.address,
            sm_ds_curve: sm_ds.curve,
            sm_ds_further,
            sm_ds_names: chosen.sm_ds_names.unwrap_or_default(),
            card: Setting::Card.or_default(chosen.card),
            network: Setting::Network.or_default(chosen.network),
            admin: Some(Setting::Admin.or_default(chosen.admin)).filter(|admin| admin != "none"),
            records: None,
            records_key: chosen.records_key_file.map_or(RecordsKey::None, RecordsKey::File),
            remove_installed_packages: chosen.remove_installed_packages.unwrap_or(false),
        }
    }
}

/// Returns the first listening address of a server and the further ones. `address` is used if the
/// command has no flag for several addresses.
fn listeners(address: String, flags: Option<Vec<String>>) -> (ListenAddress, Vec<ListenAddress>) {
    let parsed = flags.iter().flatten().filter_map(|text| text.parse().ok());
    let mut all: Vec<ListenAddress> = parsed.collect();
    if all.is_empty() {
        return (ListenAddress { address, curve: None }, Vec::new());
    }
    let first = all.remove(0);
    (first, all)
}

/// Returns the address of the database, with the password of the environment or of the file.
fn database(chosen: &Layer, password: Option<Zeroizing<String>>) -> Result<Option<PostgresAddress>, Fault> {
    let Some(text) = &chosen.records else { return Ok(None) };
    let address: PostgresAddress = text.parse().map_err(|why: String| {
        // The text is not shown, because it may contain a password.
        Fault::usage(
            "cannot use the address of the records",
            why,
            "correct --records, LANDFALL_RECORDS or records",
        )
    })?;
    let password = match (password, &chosen.records_password_file) {
        (Some(password), _) => Some(password),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
                let what = format!("cannot read the password of the database in {}", path.display());
                Fault::usage_caused_by(error, what, "correct records-password-file")
            })?;
            Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => None,
    };
    Ok(Some(match password {
        Some(password) => address.with_password(&password),
        None => address,
    }))
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
mod tests;
