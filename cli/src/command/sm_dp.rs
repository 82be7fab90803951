//! `landfall sm-dp`: the SM-DP+ server.

mod entries;
mod order;
mod stock;

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use rsp::{
    ids::{Eid, Iccid},
    sgp22::es8plus::StoreMetadataRequest,
    time::Timestamp,
};
use rsp_server::Namespace;
use schemars::JsonSchema;
use serde::Serialize;
use sm_dp::{
    ProfileState, Protection, Rebinding,
    admin::preset::NewProfile,
    records::{LastCall, Order, ProfileOrderId, ProfileRecord},
};
use world::{Clock, Events, Fault};

use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    files,
    json_schema::{CommandOutput, OneOf, document, lines},
    json_view::readable,
    m2m::sm_dp as m2m,
    output::{Lines, Table, print, print_json, remark},
    parties::{self, Running, SmDpOptions, TlsServer},
    peers::{self, AllowAddress, Operators},
    preset::Preset,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// SM-DP+: server and stock
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve LPAs (ES9+) and operators (ES2+); with SM-SRs also SGP.02 (ES2 and ES3)
    Serve(Box<Serve>),
    /// Add a profile package to the stock, or a template for any number of profiles
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::SmDp, Setting::SmDpName]))]
    #[command(args = Setting::flags(&[Setting::Records]))]
    Add(stock::Add),
    /// Order a profile at a running server (admin API), and print the order with its subscriber
    #[command(args = Setting::flags(&[Setting::Admin]))]
    Order(order::Order),
    /// List profiles and their orders, or the entries of a running server (admin API)
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::Admin, Setting::Records]))]
    List {
        /// A list of the admin API, printed as JSON: stock, orders, sessions, notifications, events,
        /// operators or outbox
        #[arg(hide_possible_values = true)]
        resource: Option<entries::Resource>,
        /// Filter of the list, such as state=Installed (repeatable)
        #[arg(value_name = "FIELD=VALUE")]
        conditions: Vec<entries::Condition>,
        /// Namespace of the entries
        #[command(flatten)]
        scope: entries::Scope,
    },
    /// Print the entry of a running server that changed last (admin API)
    #[command(args = Setting::flags(&[Setting::Admin]))]
    Latest(entries::Latest),
    /// Wait for an entry of a running server, and print it (admin API)
    #[command(args = Setting::flags(&[Setting::Admin]))]
    Wait(entries::Wait),
}

/// Initial stock, operators, SM-SRs and faults of the server
#[derive(Args, Clone, Debug)]
#[command(args = [
    Setting::SmDp.listen_with_tls(),
    Setting::Admin.listen_as("listen-admin", "Listening address of the admin API, or `none`"),
])]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::SmDs, Setting::SmDsName, Setting::Pki, Setting::Seed]))]
#[command(args = Setting::flags(&[Setting::Records]))]
pub struct Serve {
    /// Profile package to add to the stock at start, if missing (repeatable)
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<PathBuf>,
    /// TOML file of profiles and orders to create at start
    #[arg(long, value_name = "FILE")]
    preset: Option<PathBuf>,
    #[command(flatten)]
    operators: Operators,
    #[command(flatten)]
    allow_address: AllowAddress,
    #[command(flatten)]
    m2m_peers: m2m::M2mPeers,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    lines::<Ready>("sm-dp serve"),
    document::<stock::Added>("sm-dp add"),
    document::<order::Placed>("sm-dp order"),
    document::<OneOf<Vec<StockProfile<'static>>, entries::AllEntries>>("sm-dp list").readable(),
    document::<entries::OneEntry>("sm-dp latest"),
    document::<entries::OneEntry>("sm-dp wait"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file, a record or the socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self {
            Self::Serve(serve) => {
                let _claim = net::Claim::take(&settings.data_dir, "sm-dp")?;
                let mut listening = settings.clone();
                let run =
                    async |active_faults: &ActiveFaults| serve.run(&mut listening, active_faults, json).await;
                serve.faults.live(&FaultPoints::SM_DP, settings, run).await
            }
            // Profiles can also be added while a server runs on the same records.
            Self::Add(add) => add.run(&in_stock(settings, json)?, json).await,
            Self::Order(order) => order.run(settings).await,
            Self::List { resource: None, scope, .. } => {
                list(settings, &in_stock(settings, json)?, &scope, json).await
            }
            Self::List { resource: Some(resource), conditions, scope } => {
                entries::list(settings, &scope, resource, &conditions).await
            }
            Self::Latest(latest) => latest.run(settings).await,
            Self::Wait(wait) => wait.run(settings).await,
        }
    }
}

/// Opens the SM-DP+ on its records, without serving.
fn in_stock(settings: &Settings, json: bool) -> Result<sm_dp::SmDpPlus, Fault> {
    let (world, _) = parties::os_world()?;
    let pki = crate::pki::load_or_init(settings)?;
    parties::sm_dp(settings, &pki, &world, Arc::new(Lines::new(world.now(), json)))
}

impl Serve {
    /// Runs the server until it is stopped or an injected fault restarts it.
    async fn run(
        &self,
        settings: &mut Settings,
        active_faults: &ActiveFaults,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let (world, clock) = parties::os_world()?;
        let listener = parties::listen_at(&mut settings.sm_dp, "--listen").await?;
        let mut further = Vec::new();
        for listens in &mut settings.sm_dp_further {
            further.push(parties::listen_at(&mut listens.address, "--listen").await?);
        }
        let admin = parties::listen_for_admin(settings, "--listen-admin").await?;
        let settings = &*settings;
        let pki = crate::pki::load_or_init(settings)?;
        let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
        let records = active_faults.records("sm-dp", parties::sm_dp_records(settings)?);
        let options = SmDpOptions {
            requesters: self.operators.requesters(),
            sm_ds_addresses: self.allow_address.allowed(),
            personalised_hook: None,
        };
        let sm_dp =
            parties::sm_dp_with(settings, &pki, &world, Arc::clone(&events), Arc::clone(&records), options)?;
        for file in &self.profiles {
            let ensured = sm_dp.ensure_profile(&NewProfile::of(files::read(file)?)).await?;
            remark(&format!("{}: {ensured}", file.display()));
        }
        if let Some(file) = &self.preset {
            for line in Preset::read(file)?.apply(&sm_dp).await? {
                remark(&line);
            }
        }
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let names = crate::pki::server_names(settings)?;
        let own = &settings.sm_dp_names;
        let tls = |listens: &ListenAddress| {
            parties::served_tls(TlsServer::SmDp, listens, own, &pki, settings, &clock, active_faults)
        };
        let (sm_dp, _delivery) =
            peers::connect(sm_dp, &self.operators, &pki, settings, &clock, active_faults).await?;
        let admin_link = startup.with_health(sm_dp.admin());
        let admin = admin.map(|listener| Running::serve(listener, None, admin_link)).transpose()?;
        let (link, _m2m) = match self.m2m_peers.any() {
            true => {
                let (m2m, delivery) = m2m::start(m2m::Setup {
                    pki: &pki,
                    authority: &parties::reachable(settings),
                    names: &names,
                    records,
                    world: &world,
                    events,
                    client: parties::client(&settings.sm_dp_names, &settings.sm_dp),
                    messages: None,
                    reply_addresses: self.allow_address.allowed(),
                    active_faults,
                })?;
                m2m::register_peers(&m2m, &self.m2m_peers).await?;
                remark(&format!("SM-DP {} (ES2 and ES3)", m2m::oid(&pki)?));
                (m2m::combine(sm_dp.link(), &m2m), Some(delivery))
            }
            false => (sm_dp.link(), None),
        };
        let listens = ListenAddress { address: settings.sm_dp.clone(), curve: settings.sm_dp_curve };
        let running = Running::serve(listener, Some(tls(&listens)?), active_faults.incoming(link.clone()))?;
        let mut others = Vec::new();
        for (listener, listens) in further.into_iter().zip(&settings.sm_dp_further) {
            let link = active_faults.incoming(link.clone());
            others.push(Running::serve(listener, Some(tls(listens)?), link)?);
        }
        if let Some(admin) = &admin {
            remark(&format!("admin API at http://{} (GET /openapi.json)", admin.address));
        }
        for other in &others {
            remark(&format!("SM-DP+ also at {}", other.address));
        }
        remark(&format!("SM-DP+ at {} (ES9+ and ES2+); Ctrl-C stops it", running.address));
        let ready = Ready::of("sm-dp serve", settings)
            .at("sm_dp", running.address)
            .at_further("sm_dp", &others)
            .at_optional("admin", admin.as_ref().map(|admin| admin.address));
        startup.announce(&ready, json)?.requested().await;
        sm_dp.end_waits();
        running.stop().await;
        for other in others {
            other.stop().await;
        }
        if let Some(admin) = admin {
            admin.stop().await;
        }
        Ok(())
    }
}

async fn list(
    settings: &Settings,
    sm_dp: &sm_dp::SmDpPlus,
    scope: &entries::Scope,
    json: bool,
) -> Result<(), Fault> {
    let mut profiles = sm_dp.orders().await?;
    profiles.retain(|profile| profile.namespace == scope.namespace);
    if profiles.is_empty() {
        remark(&format!("there is no profile in the stock of {}", settings.data_dir.display()));
    }
    if json {
        return print_json(&readable(&profiles.iter().map(StockProfile::of).collect::<Vec<_>>())?);
    }
    let mut table = Table::new(&["ICCID", "type", "state", "EID", "MatchingID", "attempts"]);
    for profile in profiles {
        let order = profile.order.as_ref();
        table.row([
            profile.iccid.to_string(),
            profile.profile_type.clone(),
            profile.state.to_string(),
            order
                .and_then(|o| o.eid)
                .or(order.and_then(|o| o.handed_to))
                .map(|e| e.to_string())
                .unwrap_or_default(),
            order.and_then(|o| o.matching_id.clone()).unwrap_or_default(),
            order.map(|o| o.download_attempts.to_string()).unwrap_or_default(),
        ]);
    }
    print(&table.render())
}

/// A profile in stock. The record has the metadata in DER; the JSON has them decoded.
#[derive(JsonSchema, Serialize)]
struct StockProfile<'a> {
    iccid: Iccid,
    profile_type: &'a str,
    state: ProfileState,
    metadata: &'a StoreMetadataRequest,
    protection: Protection,
    rebinding: Rebinding,
    /// Capabilities that the eUICC must have.
    needs: &'a [usize],
    /// Approximate non-volatile memory that the profile needs, in octets.
    memory: u32,
    /// The pending or last order.
    order: Option<StockOrder<'a>>,
    /// The namespace of the jobs that see the profile.
    namespace: &'a Namespace,
    /// The ES2+ call that changed the profile last.
    last_call: Option<StockCall<'a>>,
}

/// An order, without the hash of the confirmation code: a short code can be found from its hash by
/// brute force.
#[derive(JsonSchema, Serialize)]
struct StockOrder<'a> {
    id: &'a ProfileOrderId,
    requester: &'a str,
    eid: Option<Eid>,
    matching_id: Option<&'a str>,
    confirmation_code_required: bool,
    wrong_confirmation_codes: u32,
    download_attempts: u32,
    /// Maximum number of downloads. Default: the limit of the server.
    max_download_attempts: Option<u32>,
    /// The end of the download period.
    expires: Option<Timestamp>,
    /// The eUICC that received the package.
    handed_to: Option<Eid>,
    reusable: bool,
    protection: Protection,
    rebinding: Rebinding,
    /// The SM-DS that announces the order with an event.
    smds_address: Option<&'a str>,
    event_registered: bool,
}

impl<'a> From<&'a Order> for StockOrder<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            id: &order.id,
            requester: &order.requester,
            eid: order.eid,
            matching_id: order.matching_id.as_deref(),
            confirmation_code_required: order.confirmation_code_hash.is_some(),
            wrong_confirmation_codes: order.wrong_confirmation_codes,
            download_attempts: order.download_attempts,
            max_download_attempts: order.max_download_attempts,
            expires: order.expires,
            handed_to: order.handed_to,
            reusable: order.reusable,
            protection: order.protection,
            rebinding: order.rebinding,
            smds_address: order.smds_address.as_deref(),
            event_registered: order.event_registered,
        }
    }
}

/// An ES2+ call, without its digest: the request may contain a confirmation code.
#[derive(JsonSchema, Serialize)]
struct StockCall<'a> {
    /// functionRequesterIdentifier.
    requester: &'a str,
    /// functionCallIdentifier.
    identifier: &'a str,
    reply: &'a serde_json::Value,
}

impl<'a> From<&'a LastCall> for StockCall<'a> {
    fn from(call: &'a LastCall) -> Self {
        Self { requester: &call.requester, identifier: &call.identifier, reply: &call.reply }
    }
}

impl<'a> StockProfile<'a> {
    fn of(profile: &'a ProfileRecord) -> Self {
        Self {
            iccid: profile.iccid,
            profile_type: &profile.profile_type,
            state: profile.state,
            metadata: &profile.metadata,
            protection: profile.protection,
            rebinding: profile.rebinding,
            needs: &profile.needs,
            memory: profile.memory,
            order: profile.order.as_ref().map(StockOrder::from),
            namespace: &profile.namespace,
            last_call: profile.last_call.as_ref().map(StockCall::from),
        }
    }
}
