//! `landfall certs`: the test PKI.

use std::{path::PathBuf, time::Duration};

use certs::m2m::Owner;
use certs::{Credential, ServerName, Validity};
use clap::{Args, Subcommand};
use crypto::Curve;
use rsp::{ids::Eid, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use world::{Clock, Fault, FaultKind};

use crate::{
    json_schema::{CommandOutput, document},
    output::{print, print_json},
    pki,
    settings::{Setting, Settings},
};

/// Test PKI: create, list, extend
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a complete PKI from the seed
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed]))]
    #[command(args = Setting::flags(&[Setting::SmDp, Setting::SmDpName, Setting::SmDs, Setting::SmDsName]))]
    Init,
    /// List all certificates, and check the chain and the revocation of each
    #[command(args = Setting::flags(&[Setting::Pki]))]
    Show,
    /// Issue an additional certificate
    #[command(subcommand, args = Setting::global_flags(&[Setting::Pki]))]
    Issue(Issue),
}

/// Certificate to issue
#[derive(Debug, Subcommand)]
pub enum Issue {
    /// TLS certificate for the SM-DP+
    DpTls(TlsServer),
    /// TLS certificate for the SM-DS
    DsTls(TlsServer),
    /// Certificate for another eUICC
    Euicc {
        /// EID, 32 digits
        eid: Eid,
        /// Validity in days
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u64).range(1..))]
        days: u64,
    },
    /// ES2+ client certificate
    Operator {
        /// Name of the operator
        #[arg(long)]
        name: String,
        /// Validity in days
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..))]
        days: u64,
    },
    /// eIM of IoT devices: its TLS certificate, and the keys that sign packages
    Eim(NamedServer),
    /// SM-SR for M2M: a TLS certificate and a card certificate (7F21)
    SmSr(NamedServer),
    /// SM-DP for M2M: a TLS certificate and a card certificate (7F21)
    SmDp(NamedServer),
    /// ECASD of an M2M eUICC: certificate (7F21) and key
    Ecasd {
        /// EID, 32 digits
        eid: Eid,
    },
}

/// Names and validity of the TLS certificate of a server
#[derive(Debug, Args)]
pub struct TlsServer {
    /// Host name or address (repeatable)
    #[arg(long = "name", required = true)]
    names: Vec<ServerName>,
    /// Begin of the validity, such as 2024-01-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Validity in days; a server presents its certificate even after that time
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..))]
    days: u64,
}

impl TlsServer {
    fn validity(&self) -> Validity {
        match self.from {
            Some(from) => for_days(from, self.days),
            None => from_now(self.days),
        }
    }
}

/// Name and hosts of an eIM or of an M2M server
#[derive(Debug, Args)]
pub struct NamedServer {
    /// Name of the server, or identifier of the eIM; its OID and its keys are derived from it
    #[arg(long)]
    name: String,
    /// Host name or address of the server (repeatable)
    #[arg(long = "host", required = true)]
    hosts: Vec<ServerName>,
}

#[derive(JsonSchema, Serialize)]
struct Row {
    path: String,
    #[serde(flatten)]
    certificate: certs::Certificate,
    has_key: bool,
    /// True if the chain of the certificate is valid now: signatures, validity, names, role, key usage
    /// and revocation.
    is_valid: bool,
    /// The reason why it is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// A file that `certs issue` has written, with its certificate if it is X.509.
#[derive(JsonSchema, Serialize)]
struct IssuedFile {
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<certs::Certificate>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<Vec<Row>>("certs init"),
    document::<Vec<Row>>("certs show"),
    document::<Vec<IssuedFile>>("certs issue dp-tls"),
    document::<Vec<IssuedFile>>("certs issue ds-tls"),
    document::<Vec<IssuedFile>>("certs issue euicc"),
    document::<Vec<IssuedFile>>("certs issue operator"),
    document::<Vec<IssuedFile>>("certs issue eim"),
    document::<Vec<IssuedFile>>("certs issue sm-sr"),
    document::<Vec<IssuedFile>>("certs issue sm-dp"),
    document::<Vec<IssuedFile>>("certs issue ecasd"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The PKI folder cannot be read or written, or the certificate cannot be issued.
    pub fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let pki = match &self {
            Self::Init => pki::init(settings)?,
            Self::Show | Self::Issue(_) => pki::load(&settings.pki)?,
        };
        match self {
            Self::Show => show(&pki, json)?,
            Self::Init if json => print_json(&rows(&pki)?)?,
            Self::Init => {
                print(&format!(
                    "created {} certificates in {}\n",
                    pki.entries().len(),
                    settings.pki.display()
                ))?;
                print(&pki.describe())?;
            }
            Self::Issue(what) => {
                let written = what.issue(pki, settings)?;
                let files = written
                    .into_iter()
                    .map(|(path, certificate)| IssuedFile { path: settings.pki.join(path), certificate });
                if json {
                    return print_json(&files.collect::<Vec<_>>());
                }
                for IssuedFile { path, certificate } in files {
                    print(&format!("{}\n", path.display()))?;
                    if let Some(certificate) = certificate {
                        print(&format!("  {certificate}\n"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Issue {
    fn issue(self, mut pki: certs::Pki, settings: &Settings) -> Result<Written, Fault> {
        let cannot = |e: certs::PkiError| {
            Fault::usage_caused_by(e, "cannot issue the certificate", "correct the argument named above")
        };
        let credentials: Vec<Credential> = match self {
            // The credentials of eIMs and of M2M are derived from the keys of CI and EUM on each call,
            // so that the PKI does not list them.
            Self::Eim(server) => {
                let eim = pki.eim(&server.name, &server.hosts).map_err(cannot)?;
                let mut written = write_files(eim.files(&server.name), settings)?;
                if let Some((_, certificate)) = written.first_mut() {
                    *certificate = Some(eim.tls.certificate);
                }
                return Ok(written);
            }
            Self::SmSr(server) => return server.issue_for_m2m(Owner::SmSr, &pki, settings),
            Self::SmDp(server) => return server.issue_for_m2m(Owner::SmDp, &pki, settings),
            Self::Ecasd { eid } => {
                return write_files(pki.ecasd(eid).map_err(cannot)?.ecasd_files(eid), settings);
            }
            Self::DpTls(server) => pki.issue_dp_tls(&server.names, server.validity()).map(|c| vec![c]),
            Self::DsTls(server) => pki.issue_ds_tls(&server.names, server.validity()).map(|c| vec![c]),
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
        .map_err(cannot)?;
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

/// Files written, each with its certificate if it is X.509.
type Written = Vec<(String, Option<certs::Certificate>)>;

impl NamedServer {
    fn issue_for_m2m(self, owner: Owner, pki: &certs::Pki, settings: &Settings) -> Result<Written, Fault> {
        let server = pki.m2m_server(owner, &self.name, &self.hosts).map_err(|e| {
            Fault::usage_caused_by(e, "cannot issue the certificates", "correct the argument named above")
        })?;
        let mut written = write_files(server.files(owner, &self.name), settings)?;
        if let Some((_, certificate)) = written.first_mut() {
            *certificate = Some(server.tls.certificate);
        }
        Ok(written)
    }
}

fn write_files(files: Vec<(String, Vec<u8>)>, settings: &Settings) -> Result<Written, Fault> {
    pki::write(&settings.pki, &files)?;
    Ok(files.into_iter().map(|(path, _)| (path, None)).collect())
}

fn rows(pki: &certs::Pki) -> Result<Vec<Row>, Fault> {
    let crls = pki.revocation_lists().map_err(|why| {
        Fault::usage_caused_by(why, "cannot check revoked certificates", "correct or remove the file")
    })?;
    let checked = pki.check_entries(&crls, net::OsClock.now());
    let row = |(entry, result): (&certs::Entry, Result<(), certs::InvalidEntry>)| Row {
        path: entry.path.clone(),
        certificate: entry.certificate.clone(),
        has_key: pki.has_key(&entry.certificate),
        is_valid: result.is_ok(),
        why: result.err().map(|why| why.to_string()),
    };
    Ok(checked.map(row).collect())
}

/// Prints all certificates, each with the result of the check of its chain.
///
/// # Errors
/// A chain is invalid.
fn show(pki: &certs::Pki, json: bool) -> Result<(), Fault> {
    let rows = rows(pki)?;
    let invalid = rows.iter().filter(|row| !row.is_valid).count();
    if json {
        print_json(&rows)?;
    } else {
        for Row { path, certificate, has_key, why, .. } in &rows {
            let key = if *has_key { "with key" } else { "no key" };
            let validity = why.as_ref().map_or_else(|| "valid".to_owned(), |why| format!("INVALID: {why}"));
            print(&format!("{path} ({key}): {certificate} | {validity}\n"))?;
        }
    }
    match invalid {
        0 => Ok(()),
        _ => Err(Fault::new(
            format!("{invalid} of {} certificates are invalid", rows.len()),
            "their chains did not pass the check",
            "replace them with `landfall certs issue`, or create a new PKI with `landfall certs init`",
        )
        .of_kind(FaultKind::Expectation)),
    }
}

fn from_now(days: u64) -> Validity {
    let now = Timestamp::from_seconds(net::OsClock.now().seconds());
    for_days(now, days)
}

fn for_days(from: Timestamp, days: u64) -> Validity {
    Validity { from, to: from.plus(Duration::from_secs(days.saturating_mul(86_400))) }
}
