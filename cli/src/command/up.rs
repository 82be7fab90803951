//! `landfall up`: all servers in one process, with an ordered profile.

mod iot;

use std::{path::PathBuf, sync::Arc};

use certs::Pki;
use clap::Args;
use euicc_sim::Card;
use network::{Networks, Subscribers};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use rsp::sgp22::es2plus::{ConfirmOrder, ConfirmOrderRequest};
use rsp_server::Namespace;
use sm_dp::{
    PersonalisedHook, ProfileState, SmDpPlus,
    admin::preset::{NewProfile, NewTemplate},
    records::ProfileRecord as Profile,
};
use world::{Clock, Events, Fault, NullEvents};

use testbed::subscription::own_package;

use super::smsc::SmscArguments;
use crate::{
    cards::Interface,
    faults::{ActiveFaults, CardMemory, FaultOptions, FaultPoints},
    json_schema::{CommandOutput, lines},
    output::{Lines, print, remark},
    parties::{self, Running, SmDpOptions, TlsServer},
    peers::{self, AllowAddress, Operators},
    preset::Preset,
    readiness::{Ready, ReadyOptions, ServedCard},
    secret_file::read_secret,
    settings::{ListenAddress, Setting, Settings},
};
use iot::IotOptions;

/// Run SM-DP+, SM-DS, networks and a card until stopped; prints an activation code
#[derive(Debug, Args)]
#[command(args = Setting::flags(&Setting::ALL))]
pub struct Command {
    /// Profile package to order (DER) [default: a generated package]
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// File with its confirmation code, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    confirmation_code_file: Option<PathBuf>,
    /// TOML file of profiles and orders to create at start
    #[arg(long, value_name = "FILE")]
    preset: Option<PathBuf>,
    #[command(flatten)]
    operators: Operators,
    #[command(flatten)]
    allow_address: AllowAddress,
    /// Do not serve a card, for use with your own device
    #[arg(long)]
    no_card: bool,
    #[command(flatten)]
    iot: IotOptions,
    #[command(flatten)]
    centre: SmscArguments,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[lines::<Ready>("up")];

impl Command {
    /// Serves until stopped.
    ///
    /// # Errors
    /// A file, a record or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let mut claims = Vec::new();
        let of_iot = self.iot.is_on().then(IotOptions::claim);
        for party in ["sm-dp", "sm-ds", "network"].into_iter().chain(of_iot.as_deref()) {
            claims.push(net::Claim::take(&settings.data_dir, party)?);
        }
        let mut listening = (settings.clone(), self.iot.clone());
        let run = async |active_faults: &ActiveFaults| self.once(&mut listening, active_faults, json).await;
        let fault_points = if self.iot.is_on() { FaultPoints::UP_IOT } else { FaultPoints::UP };
        let fault_points = if self.no_card { fault_points.without_card() } else { fault_points };
        self.faults.live(&fault_points, settings, run).await
    }

    /// Runs the servers until they are stopped or an injected fault restarts them.
    async fn once(
        &self,
        (settings, iot): &mut (Settings, IotOptions),
        active_faults: &ActiveFaults,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let package = match &self.profile {
            Some(file) => crate::files::read(file)?,
            None => own_package("724-99", 1, "Local Brasil")?,
        };
        let preset = self.preset.as_deref().map(Preset::read).transpose()?;
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let sm_dp_listener = parties::listen_at(&mut settings.sm_dp, "--sm-dp").await?;
        let sm_ds_listener = parties::listen_at(&mut settings.sm_ds, "--sm-ds").await?;
        let network_listener = parties::listen_at(&mut settings.network, "--network").await?;
        let card_listener =
            if self.no_card { None } else { Some(parties::listen_at(&mut settings.card, "--card").await?) };
        let admin_listener = parties::listen_for_admin(settings, "--admin").await?;
        let settings = &*settings;
        let pki = crate::pki::load_or_init(settings)?;
        let events: Arc<dyn Events> = Arc::new(Lines::new(world.now(), json));
        let records = active_faults.records("sm-dp", parties::sm_dp_records(settings)?);
        let networks = Arc::new(Networks::new(world.clone()));
        let subscribers = super::network::open_subscribers(&networks, settings, &world)?;
        let hook = personalised_hook(subscribers.clone());
        let options = SmDpOptions {
            requesters: self.operators.requesters(),
            sm_ds_addresses: self.allow_address.allowed(),
            personalised_hook: Some(hook),
        };
        let sm_dp = parties::sm_dp_with(settings, &pki, &world, Arc::clone(&events), records, options)?;
        register_own_operator(&sm_dp, &pki).await?;
        // With this template, any number of orders finds a profile.
        sm_dp.ensure_template(&NewTemplate::default()).await?;
        // The preset is applied before the listeners accept requests, so that clients find its
        // data.
        let mut begun_with = Vec::new();
        if let Some(preset) = &preset {
            begun_with = preset.apply(&sm_dp).await?;
        }
        // Link faults between the SM-DP+ and the SM-DS occur at the SM-DS, where the
        // requests come in; none are injected here.
        let (sm_dp, _delivery) =
            peers::connect(sm_dp, &self.operators, &pki, settings, &clock, &ActiveFaults::none()).await?;
        let listens = ListenAddress { address: settings.sm_dp.clone(), curve: None };
        let names = &settings.sm_dp_names;
        let tls =
            parties::served_tls(TlsServer::SmDp, &listens, names, &pki, settings, &clock, active_faults)?;
        let sm_dp_running = Running::serve(sm_dp_listener, Some(tls), active_faults.incoming(sm_dp.link()))?;
        let (sm_ds_running, _sm_ds_sessions) =
            parties::serve_sm_ds(sm_ds_listener, settings, &pki, &world, Arc::clone(&events), active_faults)?;
        let subscription = super::network::add_subscribers(&subscribers, &package)?;
        for package in preset.iter().flat_map(Preset::subscriptions) {
            super::network::add_subscribers(&subscribers, package)?;
        }
        let centre = self.centre.open(Vec::new(), &networks, settings, &world, active_faults).await?;
        let radio_link = super::network::radio_link(networks, subscribers, settings, active_faults);
        let network_running = Running::serve(network_listener, None, startup.with_health(radio_link))?;

        let admin_running = admin_listener
            .map(|listener| Running::serve(listener, None, startup.with_health(sm_dp.admin())))
            .transpose()?;

        let iot = iot.start(settings, &pki, &world, Arc::clone(&events), active_faults, &startup).await?;

        let iccid = subscription.iccid;
        let in_stock = NewProfile::of(package);
        let mut profile = sm_dp.ensure_profile(&in_stock).await?.into_inner();
        if profile.state == ProfileState::Available {
            let operator =
                parties::operator(settings, &pki, parties::OPERATOR, &world, Arc::new(NullEvents))?;
            operator.download_order(None, Some(iccid), None).await?;
            let confirmation_code = self.confirmation_code_file.as_deref().map(read_secret).transpose()?;
            let confirmation_code = confirmation_code.map(|code| code.expose().clone());
            let request = ConfirmOrderRequest { confirmation_code, ..operator.confirmation(iccid) };
            operator.call::<ConfirmOrder>(&request).await?;
            profile = sm_dp.ensure_profile(&in_stock).await?.into_inner();
        }

        // With `--json` the result is the readiness line.
        let print = |text: &str| if json { Ok(()) } else { print(text) };
        print(&format!(
            "SM-DP+    https://{} (ES9+ and ES2+; root: {})\n",
            settings.sm_dp,
            settings.root_certificate().display()
        ))?;
        print(&format!("SM-DS     https://{} (ES11 and ES12)\n", settings.sm_ds))?;
        print(&format!("networks  http://{} ({})\n", settings.network, subscription.home))?;
        for line in centre.messages() {
            print(&format!("messages  {line}\n"))?;
        }
        if let Some(admin) = &admin_running {
            print(&format!("admin     http://{} (GET /openapi.json)\n", admin.address))?;
        }
        if let Some(iot) = &iot {
            print(&iot.line())?;
        }
        for line in begun_with {
            print(&format!("preset    {line}\n"))?;
        }
        let activation_code = waiting(&profile, settings);
        let ready = Ready::of("up", settings)
            .at("sm_dp", &settings.sm_dp)
            .at("sm_ds", &settings.sm_ds)
            .at("network", network_running.address)
            .at_optional("smpp", centre.address())
            .at_optional("admin", admin_running.as_ref().map(|admin| admin.address))
            .with_activation_code(activation_code.as_ref().ok().cloned());
        let ready = match &iot {
            Some(iot) => iot.announce(ready),
            None => ready,
        };
        let eid = match (&card_listener, &iot) {
            (None, _) => None,
            (Some(_), Some(_)) => Some(iot::eid(&pki)?),
            (Some(_), None) => Some(parties::default_eid(&pki)?),
        };
        match activation_code {
            Ok(code) => {
                print(&format!("\n{code}\n\n{}\n", qr(&code)))?;
                // While this process serves the card, no other process can open it.
                let how = match (eid, &iot) {
                    (Some(eid), Some(iot)) => iot.download(eid, &code, &settings.card),
                    (Some(_), None) => {
                        format!("  landfall device --card {} download '{code}'\n\n", settings.card)
                    }
                    (None, _) => format!(
                        "  landfall device download '{code}'\n  landfall euicc lpac -- profile download -a '{code}'\n\n"
                    ),
                };
                print(&how)?;
            }
            Err(standing) => print(&format!("profile   {iccid} {standing}\n"))?,
        }
        match card_listener.zip(eid) {
            Some((listener, eid)) => {
                let description = parties::described(settings, &pki, eid)?;
                let description = match &iot {
                    Some(iot) => iot.associate(eid, description).await?,
                    None => description,
                };
                let file = parties::card_path(&settings.data_dir, eid);
                let world = world.clone();
                let make = move |memory| {
                    let card = Card::open(description.clone(), memory, world.clone())?;
                    Ok(card.with_events(Arc::clone(&events)))
                };
                let card = active_faults.card(CardMemory::File(file), make)?;
                let at = &settings.card;
                print(&format!("card      {eid} at {at} (landfall device --card {at})\n"))?;
                let served = ServedCard { eid, interface: Interface::Tcp, address: at.clone() };
                let stop = startup.announce(&ready.at("euicc", at).with_cards(vec![served]), json)?;
                tokio::select! {
                    () = net::card_interface::serve_card(listener, card) => {}
                    () = stop.requested() => {}
                }
            }
            None => {
                startup.announce(&ready, json)?.requested().await;
            }
        }
        sm_dp.end_waits();
        sm_dp_running.stop().await;
        sm_ds_running.stop().await;
        if let Some(iot) = iot {
            iot.stop().await;
        }
        centre.stop().await;
        network_running.stop().await;
        if let Some(admin) = admin_running {
            admin.stop().await;
        }
        Ok(())
    }
}

/// Registers the operator that orders the first profile, unless it is already registered.
async fn register_own_operator(sm_dp: &SmDpPlus, pki: &Pki) -> Result<(), Fault> {
    let operator = pki.operator(parties::OPERATOR).map_err(|e| {
        crate::pki::missing_certificate(e, "the operator of the first order has no certificate")
    })?;
    let Some(oid) = operator.certificate.registered_ids().first() else { return Ok(()) };
    let identifier = oid.to_string();
    if sm_dp.operators().await?.iter().any(|registered| registered.identifier == identifier) {
        return Ok(());
    }
    let own = sm_dp::Operator {
        identifier,
        certificate_oid: oid.clone(),
        es2plus_address: None,
        namespace: Namespace::default(),
    };
    sm_dp.register_operator(&own).await
}

/// Adds the subscriber of each personalised profile to its home network, so that a device with the
/// profile can register.
fn personalised_hook(subscribers: Subscribers) -> PersonalisedHook {
    PersonalisedHook::new(move |package| {
        if let Err(fault) = super::network::add_subscribers(&subscribers, package) {
            remark(&format!("a personalised profile has no subscriber in the networks: {fault}"));
        }
    })
}

/// Returns the activation code of a released profile; for other states, the state and what to do.
fn waiting(profile: &Profile, settings: &Settings) -> Result<String, String> {
    let Profile { iccid, state, order, .. } = profile;
    let anew = match &settings.admin {
        Some(admin) => format!("curl -X DELETE http://{admin}/admin/v1/orders/{iccid}"),
        None => format!("serve the admin API (--admin) and DELETE /admin/v1/orders/{iccid} there"),
    };
    let anew = format!(
        "delete it on the card (`landfall device delete {iccid}`) and its order ({anew}), then run `landfall up` again; \
         `landfall sm-dp order` orders another profile"
    );
    let order = order.as_ref();
    Err(match state {
        ProfileState::Released => match order.and_then(|order| order.matching_id.as_deref()) {
            Some(matching_id) if !matching_id.is_empty() => {
                let required = order.is_some_and(|order| order.confirmation_code_hash.is_some());
                let flag = if required { "$$1" } else { "" };
                return Ok(format!("LPA:1${}${matching_id}{flag}", parties::reachable(settings)));
            }
            _ => {
                let eid = order.and_then(|order| order.eid).map(|eid| eid.to_string()).unwrap_or_default();
                format!("is Released without MatchingID, for eUICC {eid}")
            }
        },
        ProfileState::Available => "is in stock; `landfall operator order` orders it".to_owned(),
        ProfileState::Allocated | ProfileState::Linked => {
            format!("is {state}: its order is not confirmed yet; to order it again: {anew}")
        }
        ProfileState::Confirmed => {
            format!("is ordered but not released; `landfall operator release {iccid}` releases it")
        }
        ProfileState::Downloaded => {
            let eid = order.and_then(|order| order.handed_to).map(|eid| eid.to_string()).unwrap_or_default();
            format!(
                "was downloaded by eUICC {eid}, which has not reported the result yet; to order it again: {anew}"
            )
        }
        ProfileState::Installed => {
            let eid = order.and_then(|order| order.handed_to).map(|eid| eid.to_string()).unwrap_or_default();
            format!("is installed on eUICC {eid}; to order it again: {anew}")
        }
        ProfileState::Error => {
            format!("was not installed, and its order is closed; to order it again: {anew}")
        }
        ProfileState::Unavailable => format!("is unavailable for orders; to order it anyway: {anew}"),
    })
}

/// Returns the code as a QR code of half blocks, or an empty text if it is too long.
fn qr(code: &str) -> String {
    QrCode::with_error_correction_level(code, EcLevel::L)
        .map(|code| code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
        .unwrap_or_default()
}
