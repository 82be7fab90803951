//! `landfall sm-dp`: the SM-DP+ server.

mod entries;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde_json::Value;
use sm_dp::{admin::preset::NewProfile, records::ProfileRecord};
use world::{Clock, Events, Fault};

use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    files,
    json_view::readable,
    m2m::sm_dp as m2m,
    output::{Lines, Table, print, print_json, remark},
    parties::{self, Running},
    peers::{self, Operators},
    preset::Preset,
    readiness::{Ready, ReadyOptions},
    settings::{Setting, Settings},
};

/// SM-DP+: server and stock
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve LPAs (ES9+) and operators (ES2+); with SM-SRs also SGP.02 (ES2 and ES3)
    Serve(Box<Serve>),
    /// Add a profile package to the stock
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::SmDp, Setting::SmDpName]))]
    Add {
        /// TCA profile package (DER)
        file: PathBuf,
    },
    /// List profiles and their orders, or the entries of a running server (admin API)
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::Admin]))]
    List {
        /// A list of the admin API; its entries are printed as JSON
        resource: Option<entries::Resource>,
        /// Filter of the list, such as state=Installed (repeatable)
        #[arg(value_name = "FIELD=VALUE")]
        conditions: Vec<entries::Condition>,
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
    Setting::SmDp.listen(),
    Setting::Admin.listen_as("listen-admin", "Listening address of the admin API, or `none`"),
])]
#[command(args = Setting::flags(&[Setting::SmDpName, Setting::SmDs, Setting::SmDsName, Setting::Pki, Setting::Seed]))]
pub struct Serve {
    /// Profile package to add to the stock at start, if missing (repeatable)
    #[arg(long = "profile", value_name = "FILE")]
    profiles: Vec<PathBuf>,
    /// TOML file of profiles and orders to create at start, if missing
    #[arg(long, value_name = "FILE")]
    preset: Option<PathBuf>,
    #[command(flatten)]
    operators: Operators,
    #[command(flatten)]
    m2m_peers: m2m::M2mPeers,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

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
            Self::Add { file } => {
                let iccid = add(&in_stock(settings, json)?, &file).await?;
                match json {
                    true => print_json(&serde_json::json!({ "iccid": iccid })),
                    false => print(&format!("{iccid}\n")),
                }
            }
            Self::List { resource: None, .. } => list(&in_stock(settings, json)?, json).await,
            Self::List { resource: Some(resource), conditions } => {
                entries::list(settings, resource, &conditions).await
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
        let listener = parties::listen_at(&mut settings.sm_dp).await?;
        let admin = parties::listen_for_admin(settings, "--listen-admin").await?;
        let settings = &*settings;
        let pki = crate::pki::load_or_init(settings)?;
        let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
        let records = active_faults.records("sm-dp", parties::sm_dp_records(&settings.data_dir)?);
        let sm_dp = parties::sm_dp_on(settings, &pki, &world, Arc::clone(&events), Arc::clone(&records))?;
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
        let tls = parties::sm_dp_tls(&pki, &names, Arc::clone(&clock))?;
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
                    active_faults,
                })?;
                m2m::register_peers(&m2m, &self.m2m_peers).await?;
                remark(&format!("SM-DP {} (ES2 and ES3)", m2m::oid(&pki)?));
                (m2m::combine(sm_dp.link(), &m2m), Some(delivery))
            }
            false => (sm_dp.link(), None),
        };
        let running = Running::serve(listener, Some(tls), active_faults.incoming(link))?;
        if let Some(admin) = &admin {
            remark(&format!("admin API at http://{} (GET /openapi.json)", admin.address));
        }
        remark(&format!("SM-DP+ at {} (ES9+ and ES2+); Ctrl-C stops it", running.address));
        let ready = Ready::of("sm-dp serve", settings)
            .at("sm_dp", running.address)
            .at_optional("admin", admin.as_ref().map(|admin| admin.address));
        startup.announce(&ready, json)?.requested().await;
        sm_dp.end_waits();
        running.stop().await;
        if let Some(admin) = admin {
            admin.stop().await;
        }
        Ok(())
    }
}

async fn list(sm_dp: &sm_dp::SmDpPlus, json: bool) -> Result<(), Fault> {
    let profiles = sm_dp.orders().await?;
    if json {
        return print_json(&profiles.iter().map(view).collect::<Result<Vec<_>, _>>()?);
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

/// Returns the JSON of a profile. Its record has the metadata in DER; the JSON has them decoded.
fn view(profile: &ProfileRecord) -> Result<Value, Fault> {
    let mut view = readable(profile)?;
    if let Some(members) = view.as_object_mut() {
        members.insert("metadata".to_owned(), readable(&profile.metadata)?);
    }
    Ok(view)
}

/// Adds a package file to the stock.
///
/// # Errors
/// The file cannot be read or is no profile package, or a profile with its ICCID exists.
pub async fn add(sm_dp: &sm_dp::SmDpPlus, file: &Path) -> Result<rsp::ids::Iccid, Fault> {
    let package = files::read(file)?;
    sm_dp.add_profile(&package, &sm_dp::ProfileOptions::default()).await
}
