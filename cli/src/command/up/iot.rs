//! The eIM of `landfall up --iot`, and the settings of the IoT card.

use std::sync::Arc;

use certs::Pki;
use clap::Args;
use eim::{NewDevice, records::STORED_FORM};
use euicc_sim::{CardDescription, IotDescription};
use rsp::{der::Asn1, ids::Eid};
use rsp_server::AllowedAddresses;
use world::{Events, Fault, World};

use crate::{
    command::eim::{API, ESIPA, ID, address_of, file_name},
    faults::ActiveFaults,
    parties::{self, EimSetup, Running, RunningEim},
    readiness::{Ready, Startup},
    settings::{ListenAddress, Settings},
};

/// Options of the eIM.
#[derive(Args, Clone, Debug)]
pub(super) struct IotOptions {
    /// Also run an eIM, with an IoT card that it manages (SGP.32)
    #[arg(long)]
    iot: bool,
    /// Address of the eIM
    #[arg(long, value_name = "HOST:PORT", default_value = ESIPA, requires = "iot")]
    listen_eim: String,
    /// Address of its API
    #[arg(long, value_name = "HOST:PORT", default_value = API, requires = "iot")]
    listen_eim_api: String,
}

/// The running eIM.
pub(super) struct IotServers {
    eim: RunningEim,
    address: String,
    api: Running,
}

impl IotOptions {
    /// True if an eIM is to run.
    pub(super) fn is_on(&self) -> bool {
        self.iot
    }

    /// Returns the name under which the eIM claims the data folder.
    pub(super) fn claim() -> String {
        file_name(ID)
    }

    /// Starts the eIM if it is to run. Port 0 is replaced by the port, so that a restart uses the same
    /// one.
    ///
    /// # Errors
    /// A socket, a certificate or the records fail.
    pub(super) async fn start(
        &mut self,
        settings: &Settings,
        pki: &Pki,
        world: &World,
        events: Arc<dyn Events>,
        active_faults: &ActiveFaults,
        startup: &Startup,
    ) -> Result<Option<IotServers>, Fault> {
        if !self.iot {
            return Ok(None);
        }
        let listens = ListenAddress { address: self.listen_eim.clone(), curve: None };
        let listeners = parties::listen_with_tls(&[listens], "--listen-eim").await?;
        if let Some(listener) = listeners.first() {
            self.listen_eim.clone_from(&listener.listens.address);
        }
        let api = parties::listen_at(&mut self.listen_eim_api, "--listen-eim-api").await?;
        let next = "choose another address with --listen-eim, or use `landfall eim serve --announce`";
        let address = address_of(&self.listen_eim, next)?;
        let records = settings.data_dir.join(format!("{}.sqlite", file_name(ID)));
        let setup = EimSetup {
            id: ID,
            listeners,
            coap: None,
            address: address.clone(),
            names: &crate::pki::names_of(&self.listen_eim, &[])?,
            rsp_servers: AllowedAddresses::default(),
            records: parties::open_records(settings, &records, STORED_FORM)?,
        };
        let eim = parties::start_eim(setup, settings, pki, world, events, active_faults)?;
        let api = Running::serve(api, None, startup.with_health(eim.server.admin()))?;
        Ok(Some(IotServers { eim, address: address.to_string(), api }))
    }
}

impl IotServers {
    /// Registers the card at the eIM, unless it is registered. Returns the description of an IoT card
    /// that is associated with the eIM.
    ///
    /// # Errors
    /// The records fail.
    pub(super) async fn associate(
        &self,
        eid: Eid,
        description: CardDescription,
    ) -> Result<CardDescription, Fault> {
        let server = &self.eim.server;
        if server.device(eid).await?.is_none() {
            server.register(&NewDevice::new(eid)).await?;
        }
        let initial_eims = vec![server.configuration_data().to_der().into()];
        let iot = IotDescription { initial_eims, ..IotDescription::default() };
        Ok(CardDescription { iot: Some(Box::new(iot)), ..description })
    }

    /// Returns the line with the addresses.
    pub(super) fn line(&self) -> String {
        format!("eIM       https://{} (ESipa; API: http://{})\n", self.address, self.api.address)
    }

    /// Returns the commands with which the device at `card` downloads the profile.
    pub(super) fn download(&self, eid: Eid, code: &str, card: &str) -> String {
        let code = code.strip_prefix("LPA:").unwrap_or(code);
        let api = match self.api.address.to_string() {
            default if default == API => String::new(),
            other => format!(" --api {other}"),
        };
        format!(
            "  landfall eim order {eid} 'download:{code}'{api}\n  landfall device --card {card} run --iot --once\n\n"
        )
    }

    /// Adds the addresses to an announcement.
    pub(super) fn announce(&self, ready: Ready) -> Ready {
        ready.at("eim", &self.address).at("eim_api", self.api.address)
    }

    /// Waits for open requests, then stops.
    pub(super) async fn stop(self) {
        self.eim.stop().await;
        self.api.stop().await;
    }
}

/// Returns the EID of the IoT card: the second one of the PKI, because the memory of the first one is
/// that of a consumer card.
///
/// # Errors
/// The PKI has no eUICC.
pub(super) fn eid(pki: &Pki) -> Result<Eid, Fault> {
    pki.eids(pki.tls_curve()).get(1).copied().map_or_else(|| parties::default_eid(pki), Ok)
}
