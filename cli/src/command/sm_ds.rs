//! `landfall sm-ds`: the SM-DS server.

use std::sync::Arc;

use clap::Subcommand;
use sm_ds::records::RegisteredEvent;
use world::Fault;

use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    json_schema::{CommandOutput, document, lines},
    output::{Lines, Table, print, print_json, remark},
    parties,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// SM-DS: server and registered events
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve LPAs (ES11) and SM-DP+s (ES12)
    #[command(arg = Setting::SmDs.listen_with_tls())]
    #[command(args = Setting::flags(&[Setting::SmDsName, Setting::Pki, Setting::Seed, Setting::Records]))]
    Serve {
        /// Faults to inject
        #[command(flatten)]
        faults: FaultOptions,
        /// Announcement of the start
        #[command(flatten)]
        ready: ReadyOptions,
    },
    /// List the registered events
    #[command(args = Setting::flags(&[Setting::Pki, Setting::Seed, Setting::Records]))]
    List,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] =
    &[lines::<Ready>("sm-ds serve"), document::<Vec<RegisteredEvent>>("sm-ds list")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file, a record or the socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let events = Arc::new(Lines::new(world.now(), json));
        let mut settings = settings.clone();
        match self {
            Self::Serve { faults, ready } => {
                let _claim = net::Claim::take(&settings.data_dir, "sm-ds")?;
                let given = settings.clone();
                let serve = async |active_faults: &ActiveFaults| {
                    let startup = ready.begin()?;
                    let listener = parties::listen_at(&mut settings.sm_ds, "--listen").await?;
                    let mut further = Vec::new();
                    for listens in &mut settings.sm_ds_further {
                        further.push(parties::listen_at(&mut listens.address, "--listen").await?);
                    }
                    let (pki, events) = (crate::pki::load_or_init(&settings)?, events.clone());
                    let sm_ds = parties::faulty_sm_ds(&settings, &pki, &world, events, active_faults)?;
                    let serve = |listener, listens: &ListenAddress| {
                        let clock = &world.clock;
                        parties::serve_sm_ds_at(
                            listener,
                            listens,
                            &sm_ds,
                            &settings,
                            &pki,
                            clock,
                            active_faults,
                        )
                    };
                    let _sessions = parties::drive_sm_ds(&sm_ds, &world.clock);
                    let first =
                        ListenAddress { address: settings.sm_ds.clone(), curve: settings.sm_ds_curve };
                    let running = serve(listener, &first)?;
                    let others = further.into_iter().zip(&settings.sm_ds_further);
                    let others = others.map(|(listener, listens)| serve(listener, listens));
                    let others = others.collect::<Result<Vec<_>, _>>()?;
                    remark(&format!("SM-DS at {} (ES11 and ES12); Ctrl-C stops it", running.address));
                    let ready = Ready::of("sm-ds serve", &settings)
                        .at("sm_ds", running.address)
                        .at_further("sm_ds", &others);
                    startup.announce(&ready, json)?.requested().await;
                    running.stop().await;
                    for other in others {
                        other.stop().await;
                    }
                    Ok(())
                };
                faults.live(&FaultPoints::SM_DS, &given, serve).await?;
            }
            Self::List => {
                let pki = crate::pki::load_or_init(&settings)?;
                let sm_ds = parties::sm_ds(&settings, &pki, &world, events)?;
                let waiting = sm_ds.registered_events().await?;
                if json {
                    return print_json(&waiting);
                }
                let mut table = Table::new(&["EID", "event", "server", "SM-DP+", "since"]);
                for event in waiting {
                    table.row([
                        event.eid.to_string(),
                        event.event_id,
                        event.rsp_server_address.to_string(),
                        event.owner.to_string(),
                        event.registered.to_string(),
                    ]);
                }
                print(&table.render())?;
            }
        }
        Ok(())
    }
}
