//! `landfall eum`: an EUM that has made a card for an M2M device.

use std::{path::PathBuf, sync::Arc};

use certs::m2m::Owner;
use clap::{Args, Subcommand};
use rsp::{
    ids::{Eid, Oid},
    sgp02::Namespace,
};
use world::{Fault, PhoneNumber};

use crate::{
    eum::{self, Registrar},
    m2m::factory::{self, FirstProfile},
    output::{Lines, remark, say, say_json},
    parties::{self, sm_sr_peers::TransportKey},
    settings::Settings,
    unshown::Unshown,
};

/// An EUM that has made a card for an M2M device
#[derive(Debug, Args)]
pub struct Command {
    #[command(subcommand)]
    what: What,
}

/// What to do
#[derive(Debug, Subcommand)]
enum What {
    /// RegisterEIS: tell an SM-SR of the card, with its keys (ES1)
    Register(Register),
}

/// Which card, and whom to tell
#[derive(Debug, Args)]
struct Register {
    /// The card; its keys follow from the PKI
    #[arg(long)]
    eid: Eid,
    /// The profile that it has from the start, enabled and with the fall-back attribute: TCA profile package, DER
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Whose profile that is: an OID, or the name under which the PKI has the operator
    #[arg(long, default_value = "Landfall Test Operator")]
    operator: String,
    /// The number under which the device is reached with it
    #[arg(long, value_name = "NUMBER")]
    msisdn: String,
    /// The SM-SR: an OID, or its name
    #[arg(long, default_value = "Landfall SM-SR")]
    sm_sr: String,
    /// Where it is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8445")]
    at: String,
    /// Under which the keys are enciphered on their way, as the SM-SR knows it: 32 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = Unshown(str::parse::<TransportKey>))]
    transport_key: Option<TransportKey>,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file fails, or the SM-SR refuses.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self.what {
            What::Register(register) => register.run(settings, json).await,
        }
    }
}

impl Register {
    async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let cannot = |what: &str| {
            let what = format!("cannot tell the OID of {what:?}");
            move |e| Fault::caused_by(e, what, "give the OID itself")
        };
        let operator: Oid = match self.operator.parse() {
            Ok(oid) => oid,
            Err(_) => {
                let credential = pki.operator(&self.operator).map_err(cannot(&self.operator))?;
                credential.certificate.registered_ids().first().cloned().ok_or_else(|| {
                    Fault::new("the operator has no OID", "its certificate names none", "give the OID itself")
                })?
            }
        };
        let id: Oid = match self.sm_sr.parse() {
            Ok(oid) => oid,
            Err(_) => pki.m2m_oid(Owner::SmSr, &self.sm_sr).map_err(cannot(&self.sm_sr))?,
        };
        let package = std::fs::read(&self.profile).map_err(|e| {
            Fault::caused_by(e, format!("cannot read {}", self.profile.display()), "give a profile package")
        })?;
        let msisdn = PhoneNumber::international(self.msisdn.trim_start_matches('+')).map_err(|e| {
            Fault::caused_by(
                e,
                "cannot use --msisdn",
                "give the digits of a telephone number, country code first",
            )
        })?;
        let transport = self.transport_key.as_ref().map(TransportKey::expose);
        let first = FirstProfile { package, operator, msisdn };
        let eis = factory::eis(&pki, self.eid, &first, &id, transport, Namespace::V3, world.now())?;
        let iccid = eis.profile_info.first().map(|profile| profile.iccid);
        let events = Arc::new(Lines::new(world.now(), json));
        let sm_sr = Registrar { id, authority: self.at };
        eum::register(&pki, &sm_sr, eis, &world, events).await?;
        match json {
            true => say_json(&serde_json::json!({ "eid": self.eid, "iccid": iccid, "smSr": sm_sr.id })),
            false => {
                remark(&format!("SM-SR {} manages the card now", sm_sr.id));
                say(&format!("{}\n", self.eid))
            }
        }
    }
}
