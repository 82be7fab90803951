//! `landfall certs`: the test PKI.

use std::time::Duration;

use certs::{Credential, ServerName, Validity};
use clap::Subcommand;
use crypto::Curve;
use rsp::{ids::Eid, time::Timestamp};
use serde::Serialize;
use world::{Clock, Fault};

use crate::{
    output::{say, say_json},
    pki,
    settings::Settings,
};

/// Make, show and extend the test PKI
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a whole PKI from the seed
    Init,
    /// List every certificate, and check each chain
    Show,
    /// Issue one more certificate
    #[command(subcommand)]
    Issue(Issue),
}

/// Which certificate to issue
#[derive(Debug, Subcommand)]
pub enum Issue {
    /// A TLS certificate for the SM-DP+
    DpTls {
        /// Host name or address; may be repeated
        #[arg(long = "name", required = true)]
        names: Vec<ServerName>,
        /// For how many days it holds
        #[arg(long, default_value_t = 365)]
        days: u64,
    },
    /// A certificate for another eUICC
    Euicc {
        /// Its EID, 32 digits
        #[arg(long)]
        eid: Eid,
        /// For how many days it holds
        #[arg(long, default_value_t = 3650)]
        days: u64,
    },
    /// An ES2+ client certificate
    Operator {
        /// The operator's name
        #[arg(long)]
        name: String,
        /// For how many days it holds
        #[arg(long, default_value_t = 365)]
        days: u64,
    },
}

#[derive(Serialize)]
struct Row {
    path: String,
    #[serde(flatten)]
    certificate: certs::Certificate,
    has_key: bool,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The folder cannot be read or written, or cannot do what is asked.
    pub fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let pki = match &self {
            Self::Init => pki::init(settings)?,
            Self::Show | Self::Issue(_) => pki::load(&settings.pki)?,
        };
        match self {
            Self::Init | Self::Show if json => say_json(&rows(&pki))?,
            Self::Init => {
                say(&format!("made {} certificates in {}\n", pki.entries().len(), settings.pki.display()))?;
                say(&pki.describe())?;
            }
            Self::Show => say(&pki.describe())?,
            Self::Issue(what) => {
                for (path, certificate) in what.issue(pki, settings)? {
                    say(&format!("{}\n", settings.pki.join(path).display()))?;
                    if !json && let Some(certificate) = certificate {
                        say(&format!("  {certificate}\n"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Issue {
    fn issue(
        self,
        mut pki: certs::Pki,
        settings: &Settings,
    ) -> Result<Vec<(String, Option<certs::Certificate>)>, Fault> {
        let credentials: Vec<Credential> = match self {
            Self::DpTls { names, days } => pki.issue_dp_tls(&names, from_now(days)).map(|c| vec![c]),
            Self::Euicc { eid, days } => {
                let curves: Vec<Curve> =
                    pki.curves().into_iter().filter(|curve| pki.eum(*curve).is_ok()).collect();
                curves
                    .into_iter()
                    .map(|curve| pki.issue_euicc(curve, eid, from_now(days)).map(|c| c.euicc))
                    .collect()
            }
            Self::Operator { name, days } => pki.issue_operator(&name, from_now(days)).map(|c| vec![c]),
        }
        .map_err(|e| Fault::caused_by(e, "cannot issue the certificate", "correct what is named"))?;
        let mut written = Vec::new();
        for credential in credentials {
            let certificate = credential.certificate.clone();
            let files = pki.add(credential);
            pki::write(&settings.pki, &files)?;
            written.extend(files.into_iter().map(|(path, _)| {
                let shown = !path.contains("SK_");
                (path, shown.then(|| certificate.clone()))
            }));
        }
        Ok(written)
    }
}

fn rows(pki: &certs::Pki) -> Vec<Row> {
    pki.entries()
        .iter()
        .map(|entry| Row {
            path: entry.path.clone(),
            certificate: entry.certificate.clone(),
            has_key: pki.has_key(&entry.certificate),
        })
        .collect()
}

fn from_now(days: u64) -> Validity {
    let now = Timestamp::from_seconds(net::OsClock.now().seconds());
    Validity { from: now, to: now.plus(Duration::from_secs(days.saturating_mul(86_400))) }
}
