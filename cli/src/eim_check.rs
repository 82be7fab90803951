//! Connections of the tester of [`sgp33`] to an eIM, and an eIM of this program to test.

use std::{process::Stdio, sync::Arc};

use certs::Pki;
use net::{Client, ClientDtls, ClientTls};
use rsp::{
    ids::{Eid, Version},
    sgp32::{EimConfigurationData, ipa_data::protocols},
};
use rsp_server::AllowedAddresses;
use sgp33::eim::{Api, EimUnderTest, Operation, Operator, SmDsOfEvents, Transfer};
use sm_dp::ProfileOptions;
use tokio::process::Command;
use world::{BoxFuture, Clock, Fault, FaultKind, MemoryRecords, NullEvents, World};

use crate::{
    check::OwnServer,
    eim_configuration,
    faults::ActiveFaults,
    parties::{self, EimSetup, Running, RunningEim},
    settings::{ListenAddress, Settings},
};

/// SGP.22 version that the tester's IPA announces.
const VERSION: Version = Version([2, 5, 0]);

/// Facts about an eIM that the settings do not contain.
#[derive(Clone, Debug, Default)]
pub(crate) struct EimFacts {
    /// Its configuration. By default, that of its API.
    pub(crate) configuration: Option<EimConfigurationData>,
    /// Address that replaces the one in the configuration.
    pub(crate) address: Option<String>,
    /// Address of its API, if it has the API of `landfall eim serve`.
    pub(crate) api: Option<String>,
    /// Command that registers devices and places orders.
    pub(crate) operator: Option<String>,
    /// Activation codes of released orders.
    pub(crate) codes: Vec<String>,
    /// Address of an SM-DS that the eIM can reach.
    pub(crate) sm_ds: Option<String>,
}

/// Connects the tester to an eIM.
///
/// # Errors
/// The eIM has no usable configuration, or does not respond at its address.
pub(crate) async fn eim(pki: Pki, world: World, known: EimFacts) -> Result<EimUnderTest, Fault> {
    let api = match &known.api {
        Some(address) => Some(Client::default().link(address, None)?),
        None => None,
    };
    let configuration = match (known.configuration, &api) {
        (Some(configuration), _) => configuration,
        (None, Some(api)) => configuration_of(api).await?,
        (None, None) => {
            return Err(Fault::usage(
                "cannot check an eIM without its configuration",
                "the tester's card has to be associated with the eIM",
                "give a file with --eim-configuration, or the address of the API with --api",
            ));
        }
    };
    let address = known.address.as_ref().or(configuration.eim_fqdn.as_ref()).unwrap_or(&configuration.eim_id);
    let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
    let trust = ipae::trust_of(&configuration, &parties::device_trust(&pki)?);
    let tls = ClientTls::trusting(trust.clone(), clock)?;
    let client = Client::default();
    let esipa = client.link(address, Some(tls.clone()))?;
    world::send(&esipa, get("/gsma/rsp2/esipa")).await?;
    let has_coap = configuration
        .eim_supported_protocol
        .as_ref()
        .is_some_and(|protocols| protocols.ones().contains(&protocols::RETRIEVE_COAPS));
    let coap = match has_coap {
        true => Some(client.coap_dial(address, ClientDtls::new(trust, Arc::clone(&world.clock))?)?),
        false => None,
    };
    let operator: Option<Arc<dyn Operator>> = match (known.operator, api) {
        (Some(command), _) => Some(Arc::new(OperatorCommand(command))),
        (None, Some(api)) => Some(Arc::new(Api(api))),
        (None, None) => None,
    };
    let sm_ds = match &known.sm_ds {
        Some(address) => Some(sm_ds_of_events(address, &pki, &world)?),
        None => None,
    };
    let inbox = crate::check::inbox(address, &pki, &world).await;
    Ok(EimUnderTest {
        esipa_tls12: Some(client.link(address, Some(tls.tls12_only()?))?),
        configuration,
        esipa,
        coap,
        transfer: None,
        operator,
        codes: known.codes.into(),
        sm_ds,
        inbox,
        pki,
        version: VERSION,
        world,
    })
}

/// Connects the tester to an SM-DS, as an SM-DP+ of the PKI.
fn sm_ds_of_events(address: &str, pki: &Pki, world: &World) -> Result<SmDsOfEvents, Fault> {
    let dp = pki
        .dp(pki.tls_curve())
        .map_err(|error| crate::pki::missing_certificate(error, "the tester cannot register events"))?;
    let identity = parties::identity(&dp.tls);
    let tls = ClientTls::new(&parties::tls_roots(pki), Some(&identity), Arc::clone(&world.clock))?;
    let requester = dp.tls.certificate.registered_ids().first().map(ToString::to_string);
    Ok(SmDsOfEvents {
        address: address.parse().map_err(|error| {
            Fault::usage_caused_by(error, format!("{address:?} is not an address"), "correct --sm-ds")
        })?,
        es12: Client::default().link(address, Some(tls))?,
        requester: requester.unwrap_or_default(),
    })
}

async fn configuration_of(api: &world::Link) -> Result<EimConfigurationData, Fault> {
    let response = world::send(api, get("/admin/v1/configuration")).await?;
    let read = || -> Result<_, String> {
        let printed = serde_json::from_slice(response.body()).map_err(|error| error.to_string())?;
        let list = eim_configuration::of_output(&printed)?;
        list.into_iter().next().ok_or_else(|| "it contains no eIM".to_owned())
    };
    read().map_err(|why| {
        let next = "check that --api is the API of an eIM, or give a file with --eim-configuration";
        Fault::new("cannot read the configuration of the eIM", why, next)
    })
}

fn get(path: &'static str) -> http::Request<bytes::Bytes> {
    let mut request = http::Request::new(bytes::Bytes::new());
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// A shell command that acts as the operator of a third-party eIM. The environment variables
/// `ACTION` (register or order), `EID` and `OPERATIONS` say what it has to do.
struct OperatorCommand(String);

impl Operator for OperatorCommand {
    fn register(&self, eid: Eid) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.run("register", eid, String::new()))
    }

    fn order<'a>(&'a self, eid: Eid, operations: &'a [Operation]) -> BoxFuture<'a, Result<(), Fault>> {
        let operations: Vec<_> = operations.iter().map(ToString::to_string).collect();
        Box::pin(self.run("order", eid, operations.join(" ")))
    }
}

impl OperatorCommand {
    async fn run(&self, action: &str, eid: Eid, operations: String) -> Result<(), Fault> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.0).stdin(Stdio::null()).kill_on_drop(true);
        command.env("ACTION", action).env("EID", eid.to_string()).env("OPERATIONS", operations);
        let cannot = || format!("the operator command cannot {action}");
        let next = "correct the command of --operator";
        let output = command.output().await.map_err(|error| Fault::caused_by(error, cannot(), next))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let why = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
                Err(Fault::new(cannot(), why, next).of_kind(FaultKind::Refused))
            }
        }
    }
}

/// Identifier of the eIM of this program.
const OWN_ID: &str = "eim.landfall.example";

/// eIM over HTTPS and CoAP, SM-DP+ and SM-DS of this program, on free ports and with records in
/// memory. The SM-DP+ has an order that can be used any number of times.
pub(crate) struct OwnEim {
    servers: OwnServer,
    eim: RunningEim,
    api: Running,
    code: String,
}

impl OwnEim {
    /// Starts the servers on free ports of the loopback.
    ///
    /// # Errors
    /// There is no free port, or a certificate cannot be created.
    pub(crate) async fn start(settings: &Settings, world: &World) -> Result<Self, Fault> {
        let servers = OwnServer::start(settings, world, Arc::new(NullEvents)).await?;
        let iccid = rsp::ids::Iccid::with_luhn("890000000000000001")
            .map_err(|error| Fault::caused_by(error, "cannot create a profile", "report this"))?;
        let package = sgp23::minimal_package(iccid, "SGP.33", &[]);
        servers.sm_dp.add_profile(&package, &ProfileOptions::default()).await?;
        let order = serde_json::json!({ "iccid": iccid, "matchingId": iccid, "reusable": true });
        let order = serde_json::from_value(order)
            .map_err(|error| Fault::caused_by(error, "cannot place an order", "report this"))?;
        servers.sm_dp.ensure_order(&order).await?;
        let code = format!("1${}${iccid}", parties::reachable(&servers.settings));

        let any = ListenAddress { address: "127.0.0.1:0".to_owned(), curve: None };
        let listeners = parties::listen_with_tls(&[any], "--eim").await?;
        let listen = listeners.first().map(|first| first.listens.address.clone()).unwrap_or_default();
        let api = net::listen("127.0.0.1:0").await?;
        let address = listen.parse().map_err(|error| {
            Fault::caused_by(error, format!("{listen:?} is not an address"), "report this")
        })?;
        // The configuration has one address for both protocols.
        let coap = net::listen_udp(&listen).await?;
        let setup = EimSetup {
            id: OWN_ID,
            listeners,
            coap: Some(coap),
            address,
            names: &crate::pki::names_of(&listen, &[])?,
            rsp_servers: AllowedAddresses::default(),
            records: Arc::new(MemoryRecords::default()),
        };
        let faults = ActiveFaults::none();
        let eim =
            parties::start_eim(setup, &servers.settings, &servers.pki, world, Arc::new(NullEvents), &faults)?;
        let api = Running::serve(api, None, eim.server.admin())?;
        Ok(Self { servers, eim, api, code })
    }

    /// Facts about the eIM for the tester.
    pub(crate) fn known(&self) -> EimFacts {
        EimFacts {
            api: Some(self.api.address.to_string()),
            codes: vec![self.code.clone()],
            sm_ds: Some(self.servers.settings.sm_ds.clone()),
            ..EimFacts::default()
        }
    }

    /// Transfers of packages by the eIM.
    pub(crate) fn transfer(&self) -> Transfer {
        let eim = self.eim.server.clone();
        Arc::new(move |eid, ipa| {
            let eim = eim.clone();
            Box::pin(async move { eim.transfer(eid, &ipa).await.map(drop) })
        })
    }

    /// The PKI of the servers.
    pub(crate) fn pki(&self) -> Pki {
        self.servers.pki.clone()
    }

    /// Stops the servers.
    pub(crate) async fn stop(self) {
        self.eim.stop().await;
        self.api.stop().await;
        self.servers.stop().await;
    }
}
