//! `landfall eum`: an EUM that made the card of an M2M device.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::m2m::Owner;
use clap::{Args, Subcommand};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::Namespace,
};
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, PhoneNumber};

use crate::{
    eum,
    json_schema::{CommandOutput, document},
    m2m::{
        factory::{self, FirstProfile},
        sm_dp::SoapPeer,
    },
    output::{Lines, print, print_json, remark},
    parties::{self, sm_sr_peers::TransportKey},
    secret_file::read_secret,
    settings::{Setting, Settings},
};

/// EUM of an M2M card
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    what: What,
}

/// Function
#[derive(Debug, Subcommand)]
enum What {
    /// Register a card and its keys at an SM-SR (ES1.RegisterEIS)
    Register(Register),
}

/// Card and SM-SR
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed]))]
struct Register {
    /// EID of the card; its keys are derived from the PKI
    eid: Eid,
    /// Initial profile, enabled and with the fall-back attribute (TCA profile package, DER)
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Operator of that profile: an OID, or its name in the PKI
    #[arg(long, default_value = "Landfall Test Operator", value_name = "OID|NAME")]
    operator: String,
    /// MSISDN of the initial profile
    #[arg(long, value_name = "NUMBER")]
    msisdn: String,
    /// SM-SR: its OID or its name in the PKI, and its address
    #[arg(long, value_name = "[WHO@]HOST:PORT", default_value = "Landfall SM-SR@127.0.0.1:8445")]
    sm_sr: SmSrArgument,
    /// File with the transport key that encrypts the keys on their way to the SM-SR: 32 hexadecimal
    /// digits; `-` for standard input
    #[arg(long, value_name = "FILE")]
    transport_key: Option<PathBuf>,
}

/// Value of `--sm-sr`.
#[derive(Clone, Debug)]
struct SmSrArgument {
    /// OID, or name in the PKI.
    who: String,
    authority: String,
}

impl From<&str> for SmSrArgument {
    fn from(text: &str) -> Self {
        let (who, authority) = text.rsplit_once('@').unwrap_or(("Landfall SM-SR", text));
        Self { who: who.to_owned(), authority: authority.to_owned() }
    }
}

/// The registered card.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered {
    eid: Eid,
    /// The initial profile.
    iccid: Option<Iccid>,
    /// OID of the SM-SR.
    sm_sr: Oid,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[document::<Registered>("eum register")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file cannot be read, or the SM-SR refuses the request.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self.what {
            What::Register(register) => register.run(settings, json).await,
        }
    }
}

fn transport_key(file: &Path) -> Result<TransportKey, Fault> {
    read_secret(file)?.expose().parse().map_err(|why: String| {
        Fault::usage(format!("cannot use the transport key in {}", file.display()), why, "correct the file")
    })
}

impl Register {
    async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let cannot = |what: &str| {
            let what = format!("cannot determine the OID of {what:?}");
            move |e| Fault::usage_caused_by(e, what, "give the OID instead of the name")
        };
        let operator: Oid = match self.operator.parse() {
            Ok(oid) => oid,
            Err(_) => {
                let credential = pki.operator(&self.operator).map_err(cannot(&self.operator))?;
                credential.certificate.registered_ids().first().cloned().ok_or_else(|| {
                    Fault::usage(
                        "the operator has no OID",
                        "its certificate contains none",
                        "give the OID instead of the name",
                    )
                })?
            }
        };
        let id: Oid = match self.sm_sr.who.parse() {
            Ok(oid) => oid,
            Err(_) => pki.m2m_oid(Owner::SmSr, &self.sm_sr.who).map_err(cannot(&self.sm_sr.who))?,
        };
        let package = std::fs::read(&self.profile).map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("cannot read {}", self.profile.display()),
                "give a profile package",
            )
        })?;
        let msisdn = PhoneNumber::international(self.msisdn.trim_start_matches('+')).map_err(|e| {
            Fault::usage_caused_by(
                e,
                "cannot use --msisdn",
                "give the digits of a telephone number, country code first",
            )
        })?;
        let transport = self.transport_key.as_deref().map(transport_key).transpose()?;
        let first = FirstProfile { package, operator, msisdn };
        let eis = factory::eis(
            &pki,
            self.eid,
            &first,
            &id,
            transport.as_ref().map(TransportKey::expose),
            Namespace::V3,
            world.now(),
        )?;
        let iccid = eis.profile_info.first().map(|profile| profile.iccid);
        let events = Arc::new(Lines::new(world.now(), json));
        let sm_sr = SoapPeer { id, authority: self.sm_sr.authority };
        eum::register(&pki, &sm_sr, eis, &world, events).await?;
        match json {
            true => print_json(&Registered { eid: self.eid, iccid, sm_sr: sm_sr.id }),
            false => {
                remark(&format!("SM-SR {} now manages the card", sm_sr.id));
                print(&format!("{}\n", self.eid))
            }
        }
    }
}
