//! `landfall eim`: the eIM of IoT devices.

mod operation;
mod order;

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use eim::{NewDevice, admin::reply_schema, records::STORED_FORM};
use faults::Family;
use http::Method;
use rsp::ids::{Eid, SmdpAddress, TransactionId};
use rsp_server::api::Verb;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use world::Fault;

use crate::{
    advice::Server,
    api_client::ApiClient,
    faults::{FaultOptions, FaultPoints},
    json_schema::{CommandOutput, document, lines},
    output::{Lines, print_json, remark},
    parties::{self, EimSetup, Running},
    peers::AllowAddress,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// Default identifier.
pub(super) const ID: &str = "eim.landfall.example";

/// Default address for IPAs.
pub(super) const ESIPA: &str = "127.0.0.1:8450";

/// Default address of the API.
pub(super) const API: &str = "127.0.0.1:8492";

/// eIM of IoT devices (SGP.32): server and orders
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve IPAs (ESipa), and the API of the user
    Serve(Box<Serve>),
    /// Print the configuration with which an eUICC is associated with a running eIM
    Configuration {
        /// API of the eIM
        #[command(flatten)]
        api: ApiAddress,
    },
    /// Register a device at a running eIM
    Register {
        /// EID of the eUICC
        eid: Eid,
        /// Association token; by default the eIM requests it from the device
        #[arg(long, value_name = "NUMBER")]
        association_token: Option<i64>,
        /// API of the eIM
        #[command(flatten)]
        api: ApiAddress,
    },
    /// Order a package for a device at a running eIM
    Order(order::Order),
    /// List the orders of a running eIM, or its devices, notifications or events
    List {
        /// List to print as JSON
        #[arg(default_value = "orders")]
        resource: Resource,
        /// Filter of the list, such as progress=Open (repeatable)
        #[arg(value_name = "FIELD=VALUE", value_parser = condition)]
        conditions: Vec<(String, String)>,
        /// API of the eIM
        #[command(flatten)]
        api: ApiAddress,
    },
    /// Delete an order at a running eIM
    Cancel {
        /// eimTransactionId of the order
        transaction_id: TransactionId,
        /// API of the eIM
        #[command(flatten)]
        api: ApiAddress,
    },
}

/// Options of the eIM server
#[derive(Args, Debug)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::SmDp, Setting::SmDpName]))]
#[command(args = Setting::flags(&[Setting::SmDs, Setting::SmDsName, Setting::Records]))]
pub struct Serve {
    /// Identifier of the eIM; its keys and records depend on it
    #[arg(long, default_value = ID)]
    id: String,
    /// Listening address for IPAs, with =nist or =brainpool for one curve (repeatable), or `none` to
    /// serve only CoAP
    #[arg(long, value_name = "HOST:PORT[=CURVE]", default_value = ESIPA)]
    listen: Vec<ListenAddress>,
    /// Listening address for IPAs over CoAP and DTLS
    #[arg(long, value_name = "HOST:PORT", required_if_eq("listen", "none"))]
    listen_coap: Option<String>,
    /// Address announced to eUICCs [default: the listening address]
    #[arg(long, value_name = "HOST:PORT")]
    announce: Option<SmdpAddress>,
    /// Additional name in the certificate (repeatable)
    #[arg(long = "also-known-as", value_name = "NAME")]
    names: Vec<String>,
    /// Listening address of the API, or `none`
    #[arg(long, value_name = "HOST:PORT", default_value = API)]
    listen_api: String,
    /// EID of a device to register at start, if it is not (repeatable)
    #[arg(long = "device", value_name = "EID")]
    devices: Vec<Eid>,
    #[command(flatten)]
    allow_address: AllowAddress,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

/// The API of a running eIM
#[derive(Args, Clone, Debug)]
pub struct ApiAddress {
    /// Address of the API of the eIM [default: 127.0.0.1:8492]
    #[arg(long, value_name = "HOST:PORT")]
    api: Option<String>,
}

/// A list of the API.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Resource {
    /// Orders with their results
    Orders,
    /// Devices
    Devices,
    /// Notifications that wait for their SM-DP+
    Notifications,
    /// Events of the server
    Events,
}

impl Resource {
    fn path(self) -> &'static str {
        match self {
            Self::Orders => "/admin/v1/orders",
            Self::Devices => "/admin/v1/devices",
            Self::Notifications => "/admin/v1/notifications",
            Self::Events => "/admin/v1/events",
        }
    }
}

/// Declares the type of a reply of the API.
macro_rules! replies {
    ($($(#[$meta:meta])* $name:ident = $verb:ident $path:literal;)+) => { $(
        $(#[$meta])*
        struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                reply_schema(Verb::$verb, $path, generator).unwrap_or_default()
            }
        }
    )+ };
}

replies! {
    /// The configuration of an eIM.
    Configuration = Get "/admin/v1/configuration";
    /// A registered device.
    Registered = Post "/admin/v1/devices";
    /// An order.
    Placed = Post "/admin/v1/orders";
}

/// A deleted order.
#[derive(JsonSchema, Serialize)]
struct Cancelled {
    /// Its eimTransactionId.
    cancelled: TransactionId,
}

/// All entries of a list.
struct Entries;

impl JsonSchema for Entries {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Entries".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut of = |resource: &Resource| match resource {
            // A page of events also contains their range.
            Resource::Events => {
                let event = reply_schema(Verb::Get, "/admin/v1/events/latest", generator)?;
                Some(json_schema!({ "type": "array", "items": event }))
            }
            _ => reply_schema(Verb::Get, resource.path(), generator),
        };
        let lists: Vec<Schema> = Resource::value_variants().iter().filter_map(&mut of).collect();
        json_schema!({ "anyOf": lists })
    }
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    lines::<Ready>("eim serve"),
    document::<Configuration>("eim configuration"),
    document::<Registered>("eim register"),
    document::<Placed>("eim order"),
    document::<Entries>("eim list"),
    document::<Cancelled>("eim cancel"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file, a record or a socket fails, the API refuses the request, or an order fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self {
            Self::Serve(serve) => serve.run(settings, json).await,
            Self::Configuration { api } => {
                let found: Option<Value> = api.client()?.find("/admin/v1/configuration").await?;
                print_json(&found)
            }
            Self::Register { eid, association_token, api } => {
                let device = NewDevice { association_token, ..NewDevice::new(eid) };
                let path = Resource::Devices.path();
                let registered: Value = api.client()?.write(Method::POST, path, &device).await?;
                print_json(&registered)
            }
            Self::Order(order) => order.run().await,
            Self::List { resource, conditions, api } => {
                let query = serde_urlencoded::to_string(&conditions)
                    .map_err(|e| Fault::caused_by(e, "cannot write the query", "report this"))?;
                let entries: Vec<Value> = api.client()?.list(&format!("{}?{query}", resource.path())).await?;
                print_json(&entries)
            }
            Self::Cancel { transaction_id, api } => {
                api.client()?.delete(&format!("{}/{transaction_id}", Resource::Orders.path())).await?;
                print_json(&Cancelled { cancelled: transaction_id })
            }
        }
    }
}

impl ApiAddress {
    fn client(&self) -> Result<ApiClient, Fault> {
        ApiClient::at(self.api.as_deref().unwrap_or(API), Server::Eim)
    }
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("write it as FIELD=VALUE")?;
    Ok((field.to_owned(), value.to_owned()))
}

/// Converts the identifier into a part of a path. Different identifiers give different parts, which no
/// other party uses.
pub(super) fn file_name(id: &str) -> String {
    let escaped = |octet: u8| match octet {
        b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("eim-{}", id.bytes().map(escaped).collect::<String>())
}

impl Serve {
    async fn run(&self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let _claim = net::Claim::take(&settings.data_dir, &file_name(&self.id))?;
        let startup = self.ready.begin()?;
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let mut listen_api = self.listen_api.clone();
        let served: Vec<_> = self.listen.iter().filter(|listen| listen.address != "none").cloned().collect();
        let listeners = parties::listen_with_tls(&served, "--listen").await?;
        let active_faults = self.faults.put(&FaultPoints::EIM, settings)?;
        if self.faults.has(Family::Coap) && self.listen_coap.is_none() {
            return Err(Fault::usage(
                "cannot inject faults of CoAP",
                "the eIM does not serve CoAP",
                "give its address with --listen-coap HOST:PORT",
            ));
        }
        let mut listen_coap = self.listen_coap.clone();
        let coap = match &mut listen_coap {
            Some(address) => Some(parties::listen_udp_at(address, "--listen-coap").await?),
            None => None,
        };
        let api = match listen_api.as_str() {
            "none" => None,
            _ => Some(parties::listen_at(&mut listen_api, "--listen-api").await?),
        };
        let serves_https = !listeners.is_empty();
        let served: Vec<_> = listeners.iter().map(|listener| listener.listens.address.clone()).collect();
        let listen = served.first().cloned().or(listen_coap).unwrap_or_default();
        let address = self.announced(&listen)?;
        let further = std::iter::once(address.as_str()).chain(served.iter().map(String::as_str));
        let further = further.map(|address| parties::host_of(address).to_owned());
        let further: Vec<_> = further.chain(self.names.iter().cloned()).collect();
        let names = crate::pki::names_of(&listen, &further)?;
        let records = settings.data_dir.join(format!("{}.sqlite", file_name(&self.id)));
        let setup = EimSetup {
            id: &self.id,
            listeners,
            coap,
            address: address.clone(),
            names: &names,
            rsp_servers: self.allow_address.allowed(),
            records: parties::open_records(settings, &records, STORED_FORM)?,
        };
        let events = Arc::new(Lines::new(world.now(), json));
        let running = parties::start_eim(setup, settings, &pki, &world, events, &active_faults)?;
        for eid in &self.devices {
            if running.server.device(*eid).await?.is_none() {
                running.server.register(&NewDevice::new(*eid)).await?;
                remark(&format!("device {eid} is registered"));
            }
        }
        let admin = startup.with_health(running.server.admin());
        let api = api.map(|listener| Running::serve(listener, None, admin)).transpose()?;
        if let Some(api) = &api {
            remark(&format!("API at http://{} (GET /openapi.json)", api.address));
        }
        if let Some(coap) = &running.coap {
            remark(&format!("eIM {} at coaps://{} (ESipa over CoAP)", self.id, coap.address));
        }
        let protocol = if serves_https { "ESipa" } else { "CoAP only" };
        remark(&format!("eIM {} at {address} ({protocol}); Ctrl-C stops it", self.id));
        let ready = Ready::of("eim serve", settings)
            .at("eim", &address)
            .at_further("eim", running.https.get(1..).unwrap_or_default())
            .at_optional("eim_coap", running.coap.as_ref().map(|coap| coap.address))
            .at_optional("api", api.as_ref().map(|api| api.address));
        startup.announce(&ready, json)?.requested().await;
        running.stop().await;
        if let Some(api) = api {
            api.stop().await;
        }
        Ok(())
    }

    /// Returns the address for eUICCs: that of `--announce`, or the listening address unless it is
    /// unspecified (0.0.0.0).
    fn announced(&self, listen: &str) -> Result<SmdpAddress, Fault> {
        match &self.announce {
            Some(address) => Ok(address.clone()),
            None => address_of(listen, "give its address with --announce HOST:PORT"),
        }
    }
}

/// Returns the address of an eIM for eUICCs from its listening address. `next` is the advice if it
/// listens on all addresses.
pub(super) fn address_of(listen: &str, next: &'static str) -> Result<SmdpAddress, Fault> {
    if listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified()) {
        return Err(Fault::usage(
            "the eIM has no address to announce",
            format!("it listens on all addresses of this host ({listen})"),
            next,
        ));
    }
    listen.parse().map_err(|e| {
        Fault::usage_caused_by(e, format!("{listen:?} is not an address"), "correct the listening address")
    })
}
