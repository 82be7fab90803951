//! Addresses of databases.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use world::Fault;

/// Maximum time of an attempt to connect to one address.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Maximum time without an acknowledgement of the network before a connection counts as lost.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// The address of a PostgreSQL database, without a password:
/// `postgresql://USER@HOST[:PORT][,HOST...]/DATABASE`.
///
/// All options of libpq's connection URIs that tokio-postgres has are accepted, and `sslrootcert`.
/// A host of another machine requires TLS, whose certificate is verified, unless the address has
/// `sslmode=disable`.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    config: Config,
    /// File with the certificates of trusted certification authorities, in PEM.
    root_certificates: Option<PathBuf>,
}

impl FromStr for PostgresAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !is_postgres(text) {
            return Err("expected postgresql://USER@HOST:PORT/DATABASE".to_owned());
        }
        let (text, root_certificates) = without_root_certificates(text);
        let mut config: Config = text.parse().map_err(|error: tokio_postgres::Error| {
            std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
        })?;
        if config.get_password().is_some() {
            return Err(
                "the address contains a password, which other users of the machine could read; write \
                        the password to a file, and name it with records-password-file"
                    .to_owned(),
            );
        }
        if config.get_hosts().is_empty() {
            return Err("the address names no host".to_owned());
        }
        let is_local = config.get_hosts().iter().all(is_this_machine);
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(if is_local { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_ssl_mode() == SslMode::Require && root_certificates.is_none() {
            return Err("a database on another machine is connected to with TLS: name the file with the \
                        certificate of its CA with sslrootcert=FILE, or write sslmode=disable"
                .to_owned());
        }
        config
            .application_name("landfall")
            .connect_timeout(CONNECT_WITHIN)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives_idle(UNACKNOWLEDGED)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, root_certificates })
    }
}

/// True if the text is the address of a database, and not the path of a file.
fn is_postgres(text: &str) -> bool {
    text.starts_with("postgresql://") || text.starts_with("postgres://")
}

/// Removes the option `sslrootcert`, which tokio-postgres does not have. The other option that
/// libpq requires with it, `sslmode=verify-full`, is what `require` means here.
fn without_root_certificates(text: &str) -> (String, Option<PathBuf>) {
    let Some((before, options)) = text.split_once('?') else { return (text.to_owned(), None) };
    let mut file = None;
    let kept: Vec<String> = options
        .split('&')
        .filter(|option| match option.strip_prefix("sslrootcert=") {
            Some(path) => {
                file = Some(PathBuf::from(path));
                false
            }
            None => true,
        })
        .map(|option| option.replace("sslmode=verify-full", "sslmode=require"))
        .collect();
    let text = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
    (text, file)
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

impl PostgresAddress {
    /// Adds the password of the user.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The settings of TLS, or `None` for connections without TLS.
    ///
    /// # Errors
    /// The certificates of the certification authorities cannot be read.
    pub(super) fn tls(&self) -> Result<Option<ClientConfig>, Fault> {
        let Some(path) =
            self.root_certificates.as_ref().filter(|_| self.config.get_ssl_mode() == SslMode::Require)
        else {
            return Ok(None);
        };
        let roots = roots_in(path)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config
            .map_err(|error| Fault::caused_by(error, "cannot prepare TLS for the database", "report this"))?;
        Ok(Some(config.with_root_certificates(roots).with_no_client_auth()))
    }
}

fn roots_in(path: &Path) -> Result<RootCertStore, Fault> {
    let what = || format!("cannot use the certificates in {}", path.display());
    let next = "correct sslrootcert: a file with certificates in PEM";
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| Fault::usage_caused_by(error, what(), next))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| Fault::usage_caused_by(error, what(), next))?;
        roots.add(certificate).map_err(|error| Fault::usage_caused_by(error, what(), next))?;
    }
    if roots.is_empty() {
        return Err(Fault::usage(what(), "the file contains no certificate", next));
    }
    Ok(roots)
}

/// `HOST:PORT[,HOST:PORT...]/DATABASE`.
impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                Host::Unix(folder) => write!(f, "{}", folder.display())?,
            }
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            write!(f, ":{port}")?;
        }
        match self.config.get_dbname().or(self.config.get_user()) {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

/// Does not show the password.
impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<PostgresAddress, String> {
        text.parse()
    }

    #[test]
    fn a_database_of_this_machine_needs_no_tls() {
        for text in [
            "postgresql://landfall@127.0.0.1/records",
            "postgres://landfall@localhost:5433/records",
            "postgresql://landfall@[::1]/records",
            "postgresql://landfall@%2Fvar%2Frun%2Fpostgresql/records",
        ] {
            let address = address(text).unwrap();
            assert!(address.tls().unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn a_database_of_another_machine_needs_tls_or_a_decision() {
        let refused = address("postgresql://landfall@db.example/records").unwrap_err();
        assert!(refused.contains("sslrootcert"), "{refused}");
        let both = "postgresql://landfall@127.0.0.1,db.example/records";
        assert!(address(both).unwrap_err().contains("sslrootcert"));
        assert!(address(&format!("{both}?sslmode=disable")).unwrap().tls().unwrap().is_none());
        for mode in ["", "sslmode=verify-full&", "sslmode=require&"] {
            let address = address(&format!("{both}?{mode}sslrootcert=/missing.pem")).unwrap();
            let fault = address.tls().unwrap_err();
            assert!(fault.what.contains("/missing.pem"), "{fault}");
        }
    }

    #[test]
    fn passwords_and_unknown_options_are_refused_and_never_shown() {
        let refused = address("postgresql://landfall:secret@127.0.0.1/records").unwrap_err();
        assert!(refused.contains("records-password-file") && !refused.contains("secret"), "{refused}");
        for text in
            ["records.sqlite", "mysql://landfall@127.0.0.1/records", "postgresql://a@127.0.0.1/b?speed=1"]
        {
            assert!(address(text).is_err(), "{text}");
        }
        let address = address("postgresql://landfall@127.0.0.1:5433,127.0.0.2:5434/records").unwrap();
        let address = address.with_password("secret");
        assert_eq!(address.to_string(), "127.0.0.1:5433,127.0.0.2:5434/records");
        assert!(!format!("{address:?}").contains("secret"));
    }
}
