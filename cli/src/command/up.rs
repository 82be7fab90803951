//! `landfall up`: the servers, kept running, with a profile that waits.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use euicc_sim::network::{Networks, NetworksService};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use sm_dp::ProfileOptions;
use world::{Clock, Events, Fault, NullEvents};

use crate::{
    demo,
    operator::Operator,
    output::{Lines, say},
    parties::{self, Running, SmDpSetup},
    settings::Settings,
};

/// Keep SM-DP+, networks and a card running; print an activation code
#[derive(Debug, Args)]
pub struct Command {
    /// Profile package to order (TCA, DER), in place of one of our own
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Ask the user for this code
    #[arg(long)]
    confirmation_code: Option<String>,
    /// No card: the device is somebody else's
    #[arg(long)]
    no_card: bool,
}

impl Command {
    /// Serves until it is stopped.
    ///
    /// # Errors
    /// A file, a record or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let package = match &self.profile {
            Some(file) => super::sm_dp::read(file)?,
            None => demo::own_package("724-99", 1, "Local Brasil")?,
        };
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let mut settings = settings.clone();
        let sm_dp_listener = parties::listen_at(&mut settings.sm_dp).await?;
        let network_listener = parties::listen_at(&mut settings.network).await?;
        let card_listener =
            if self.no_card { None } else { Some(parties::listen_at(&mut settings.euicc).await?) };
        let settings = &settings;
        let (pki, addresses) = parties::pki_and_addresses(settings)?;
        let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
        let setup = SmDpSetup { pki: &pki, addresses, data_dir: &settings.data_dir, world: &world, events };
        let sm_dp = parties::sm_dp(&setup)?;
        let tls = parties::sm_dp_tls(&pki, &crate::pki::server_names(settings)?, Arc::clone(&clock))?;
        let sm_dp_running = Running::serve(sm_dp_listener, Some(tls), sm_dp.link())?;
        let networks = Arc::new(Networks::new(world.clone()));
        let subscription = super::network::serve_at_home(&networks, &package, settings, &world)?;
        let service = world::link_from(NetworksService(networks));
        let network_running = Running::serve(network_listener, None, service)?;

        let iccid = subscription.iccid;
        let kept = sm_dp.orders().await?.into_iter().find(|profile| profile.iccid == iccid);
        let waiting = kept.as_ref().and_then(|profile| {
            let order = profile.order.as_ref()?;
            let flag = if order.confirmation_code_hash.is_some() { "$$1" } else { "" };
            let matching_id = order.matching_id.as_ref()?;
            (profile.state == sm_dp::ProfileState::Released).then(|| format!("{matching_id}{flag}"))
        });
        let code = match (kept.is_some(), waiting) {
            (true, Some(waiting)) => format!("LPA:1${}${waiting}", parties::reachable(settings)),
            (true, None) => String::new(),
            (false, _) => {
                sm_dp.add_profile(&package, &ProfileOptions::default()).await?;
                let (tls, oid) = parties::operator_tls(&pki, "Landfall Test Operator", Arc::clone(&clock))?;
                let client = parties::client(&settings.sm_dp_names, &settings.sm_dp);
                let link = client.link(&parties::reachable(settings), Some(tls))?;
                let mut operator = Operator::new(link, oid, world.clone(), Arc::new(NullEvents));
                operator.download_order(None, Some(iccid), None).await?;
                let code = self.confirmation_code.clone();
                let confirmed = operator.confirm_order(iccid, None, None, code.clone(), true).await?;
                parties::activation_code(settings, &confirmed, code.is_some())
            }
        };

        say(&format!("SM-DP+    https://{} (ES9+ and ES2+; root: {})\n", settings.sm_dp, ci_path(settings)))?;
        say(&format!("networks  http://{} ({})\n", settings.network, subscription.home))?;
        if code.is_empty() {
            say(&format!("profile {iccid} is taken already; `landfall operator order` orders another\n"))?;
        } else {
            say(&format!("\n{code}\n\n{}\n", qr(&code)))?;
            say(&format!(
                "  landfall device download '{code}'\n  landfall euicc lpac -- profile download -a '{code}'\n\n"
            ))?;
        }
        match card_listener {
            Some(listener) => {
                let card = parties::card(&pki, parties::default_eid(&pki)?, &settings.data_dir, &world)?;
                say(&format!(
                    "card      {} at {} (landfall device --card {})\n",
                    card.eid(),
                    settings.euicc,
                    settings.euicc
                ))?;
                tokio::select! {
                    () = net::door::serve_card(listener, card) => {}
                    () = super::sm_dp::stop_signal() => {}
                }
            }
            None => super::sm_dp::stop_signal().await,
        }
        sm_dp_running.stop().await;
        network_running.stop().await;
        Ok(())
    }
}

fn ci_path(settings: &Settings) -> String {
    settings.pki.join("CertificateIssuer").join("CERT_CI_ECDSA_NIST.der").display().to_string()
}

/// The code as a picture of half blocks; nothing when it is too long for one.
fn qr(code: &str) -> String {
    QrCode::with_error_correction_level(code, EcLevel::L)
        .map(|code| code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
        .unwrap_or_default()
}
