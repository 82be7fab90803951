//! The demonstration for consumer devices. It consists of two cases. One device has roamed too long and moves
//! to a local profile. Another device is refused by its local network and falls back to its bootstrap
//! profile.
//!
//! Every message crosses a real socket on the loopback. Only the time is simulated: the clock is
//! advanced, and the timeline says so.

use std::{path::Path, sync::Arc, time::Duration};

use certs::Pki;
use device::{Device, DownloadOptions, Ending, EventSource, Lpa, LpaSettings, Modem, MoveReport, Slot};
use euicc_sim::Card;
use localize::{
    Country, Decision, Destination, HeldProfile, HeldState, Offer, Orderable, Place, Policy as MovePolicy,
    Refused, Role, RuleBook,
};
use net::FileMemory;
use network::Network;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, Imsi, Plmn, SmdpAddress},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use sm_dp::{ProfileOptions, SmDpPlus};
use testbed::{
    operator::Operator,
    subscription::{Subscription, own_package},
};
use world::{Clock, Event, Events, Fault, FaultKind, ShiftedClock, World};

use crate::{
    output::DEMONSTRATION,
    parties::{
        self, Running,
        demo_networks::{BOOTSTRAP, DemoNetworks, LOCAL, REFUSING, VISITED, plmn},
    },
    settings::Settings,
};

/// Result of a case: one row of the summary.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Case {
    /// Name of the device.
    pub device: String,
    /// EID of its card.
    pub eid: Eid,
    /// True if the case ended as expected.
    pub as_expected: bool,
    /// Ending in words.
    pub ending: String,
    /// IMSI before the move.
    pub imsi_before: Option<Imsi>,
    /// IMSI after the move.
    pub imsi_after: Option<Imsi>,
    /// Network before the move.
    pub network_before: String,
    /// Network after the move.
    pub network_after: String,
    /// Real seconds from the activation code to the last registration.
    pub seconds: f64,
    /// Octets of HTTP bodies, both directions.
    pub http_bytes: u64,
    /// Number of APDUs.
    pub apdus: u64,
    /// Octets of APDUs, both directions.
    pub card_bytes: u64,
}

/// All parties of the demonstration.
pub struct Demonstration {
    world: World,
    clock: ShiftedClock,
    events: Arc<dyn Events>,
    pki: Pki,
    sm_dp: SmDpPlus,
    operator: Operator,
    networks: DemoNetworks,
    book: RuleBook,
    settings: Settings,
    sm_dp_running: Running,
}

/// A device and its record at the owner.
struct DemoDevice {
    name: String,
    eid: Eid,
    device: Device<Slot<Card>>,
    record: localize::Device,
}

impl Demonstration {
    /// Starts the parties on free ports of the loopback. Their data is stored below `folder`.
    ///
    /// # Errors
    /// A certificate is missing, the folder is not writable, or a socket fails.
    pub async fn start(settings: &Settings, folder: &Path, events: Arc<dyn Events>) -> Result<Self, Fault> {
        let (world, clock) = parties::os_world()?;
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let pki = crate::pki::load_or_init(settings)?;
        let listener = net::listen("127.0.0.1:0").await?;
        let at = parties::local_address(&listener)?.to_string();
        let settings = Settings { sm_dp: at, data_dir: folder.to_owned(), ..settings.clone() };
        let sm_dp = parties::sm_dp(&settings, &pki, &world, Arc::clone(&events))?;
        let names = crate::pki::server_names(&settings)?;
        let tls = parties::sm_dp_tls(&pki, &names, shared)?;
        let sm_dp_running = Running::serve(listener, Some(tls), sm_dp.link())?;
        let operator = parties::operator(&settings, &pki, parties::OPERATOR, &world, Arc::clone(&events))?;
        let networks = DemoNetworks::start(folder, &world).await?;
        let book = RuleBook::built_in()
            .map_err(|e| Fault::caused_by(e, "cannot use the built-in country rules", "report this"))?;
        Ok(Self { world, clock, events, pki, sm_dp, operator, networks, book, settings, sm_dp_running })
    }

    /// Stops the parties.
    pub async fn close(self) {
        self.sm_dp_running.stop().await;
        self.networks.stop().await;
    }

    /// Runs both cases. The local operator's profile in the first case is `package`, or a
    /// generated package.
    ///
    /// # Errors
    /// A step outside the cases failed.
    pub async fn play(&mut self, folder: &Path, package: Option<&[u8]>) -> Result<Vec<Case>, Fault> {
        let brazil: Country = country("BR")?;
        let local = match package {
            Some(package) => package.to_vec(),
            None => own_package(LOCAL, 3, "Local Brasil")?,
        };
        let subscription = Subscription::of(&local)?;
        self.book.place_network(subscription.home, brazil);
        self.networks.add_home(Network::new(subscription.home, "Local Brasil", "BR"))?;
        let first = self.run_case(folder, 1, &local, &subscription).await?;

        let refusing = own_package(REFUSING, 4, "Norte Brasil")?;
        let subscription = Subscription::of(&refusing)?;
        self.networks.add_refusing()?;
        let second = self.run_case(folder, 2, &refusing, &subscription).await?;
        Ok(vec![
            first.summary(|ending| matches!(ending, Ending::Moved(_))),
            second.summary(|ending| matches!(ending, Ending::CameBack { .. })),
        ])
    }

    /// Runs the case of one device: production, shipment abroad, stay, and move.
    async fn run_case(
        &mut self,
        folder: &Path,
        number: u8,
        local: &[u8],
        subscription: &Subscription,
    ) -> Result<CaseOutcome, Fault> {
        self.print(format!("device {number} leaves the factory"));
        let bootstrap = own_package(BOOTSTRAP, number.into(), "Bootstrap UK")?;
        let bootstrap_subscription = Subscription::of(&bootstrap)?;
        self.networks.provision(&bootstrap_subscription, None)?;
        self.networks.provision(subscription, None)?;
        let mut device = self.device(folder, number)?;

        // In the factory the first profile is downloaded like any other.
        device.device.set_visible(vec![bootstrap_subscription.home]);
        let code = self.order(&bootstrap, &device, bootstrap_subscription.iccid).await?;
        let report = device.device.move_to(&code, DownloadOptions::default(), None).await;
        registered(&report, "the bootstrap profile")?;

        // The device is abroad.
        let place = self.place(plmn(VISITED)?)?;
        let home = self.place(bootstrap_subscription.home)?;
        device.device.set_visible(vec![place.plmn, subscription.home]);
        self.print(format!("device {number} is shipped to {}", self.book.name(place.country)));
        let abroad = device.device.register().await.map_err(|not| {
            Fault::caused_by(
                not,
                "the device could not register abroad",
                "report this: the set-up of the demonstration is wrong",
            )
        })?;
        device.record.held.push(HeldProfile {
            iccid: bootstrap_subscription.iccid,
            home,
            role: Role::Bootstrap,
            state: HeldState::Enabled,
        });
        device.record.history.observe(place, home.country, self.world.now()).map_err(history)?;

        // Time passes until a rule requires a move.
        let offers = vec![Offer {
            order: Orderable::Iccid(subscription.iccid),
            operator: self.place(subscription.home)?,
            priority: 1,
        }];
        let iccid = self.until_it_must_move(&device, &offers)?;
        let code = self.order(local, &device, iccid).await?;
        let report = device.device.move_to(&code, DownloadOptions::default(), None).await;
        if let Ending::CameBack { why, .. } = &report.ending {
            self.print(format!("device {number} fell back to its bootstrap profile: {why}"));
            let (operator, at, cause) = (subscription.home, self.world.now(), None);
            device.record.refused.push(Refused { operator, at, cause });
            let decision = self.decide(&device, &offers);
            self.print(format!("decision: {}", first_line(&decision)));
        }
        Ok(CaseOutcome { device, before: (abroad.imsi, abroad.network_name), report })
    }

    /// Evaluates the rules and advances the clock to their next check until they require a
    /// move.
    fn until_it_must_move(&self, device: &DemoDevice, offers: &[Offer]) -> Result<Iccid, Fault> {
        loop {
            let decision = self.decide(device, offers);
            self.print(format!("decision: {}", decision.to_string().trim_end().replace('\n', "\n  ")));
            match decision {
                Decision::Stay { next_check: Some(at), .. } if at > self.world.now() => {
                    let ahead = at.since(self.world.now());
                    self.clock.advance(ahead);
                    self.print(format!(
                        "the clock is advanced by {} days, to {}",
                        ahead.as_secs().div_ceil(86_400),
                        Timestamp::from_seconds(self.world.now().seconds())
                    ));
                }
                Decision::Move { to, .. } => match *to {
                    Destination::Offer(Offer { order: Orderable::Iccid(iccid), .. }) => return Ok(iccid),
                    other => return Err(unexpected(&format!("{other:?}"))),
                },
                other => return Err(unexpected(&other.to_string())),
            }
        }
    }

    fn decide(&self, device: &DemoDevice, offers: &[Offer]) -> Decision {
        localize::decide(self.world.now(), &device.record, offers, &self.book, &MovePolicy::default())
    }

    /// Adds the profile to the stock and orders it (DownloadOrder, ConfirmOrder).
    async fn order(
        &mut self,
        package: &[u8],
        device: &DemoDevice,
        iccid: Iccid,
    ) -> Result<ActivationCode, Fault> {
        self.sm_dp.add_profile(package, &ProfileOptions::default()).await?;
        self.operator
            .order(iccid, Some(device.eid), parties::reachable(&self.settings).parse().map_err(address)?)
            .await
    }

    fn device(&self, folder: &Path, number: u8) -> Result<DemoDevice, Fault> {
        let eid = nth_eid(&self.pki, number)?;
        let memory = FileMemory::open(parties::card_path(folder, eid))?;
        let card = Card::open(parties::card_description(&self.pki, eid)?, memory, self.world.clone())?;
        let name = format!("device {number}");
        let events = EventSource::new(name.clone(), self.clock.clone(), Arc::clone(&self.events));
        let tls = parties::device_tls(&self.pki, &[certs::Role::DpTls], Arc::new(self.clock.clone()))?;
        let client = parties::client(&self.settings.sm_dp_names, &self.settings.sm_dp);
        let links = move |address: &SmdpAddress| client.link(address.as_str(), Some(tls.clone()));
        let slot = Slot::new(card);
        let device = Device::new(
            Lpa::new(slot.clone(), links, LpaSettings::default(), events.clone()),
            Modem::new(slot, self.networks.radio()?, events.clone()),
            FileMemory::open(folder.join("devices").join(format!("{eid}.device")))?,
            events,
        );
        Ok(DemoDevice { name, eid, device, record: localize::Device::default() })
    }

    fn place(&self, plmn: Plmn) -> Result<Place, Fault> {
        self.book.locate(plmn).map_err(|e| {
            Fault::caused_by(
                e,
                "cannot determine the country of a network",
                "report this: the set-up of the demonstration is wrong",
            )
        })
    }

    fn print(&self, what: String) {
        self.events.emit(Event::new(self.world.now(), DEMONSTRATION, what));
    }
}

/// Outcome of one device's case.
struct CaseOutcome {
    device: DemoDevice,
    before: (Imsi, String),
    report: MoveReport,
}

impl CaseOutcome {
    fn summary(self, expected: impl Fn(&Ending) -> bool) -> Case {
        let report = &self.report;
        let after = report.ending.registered();
        Case {
            device: self.device.name,
            eid: self.device.eid,
            as_expected: expected(&report.ending),
            ending: in_words(&report.ending),
            imsi_before: Some(self.before.0),
            imsi_after: after.map(|registered| registered.imsi),
            network_before: self.before.1,
            network_after: after.map(|registered| registered.network_name.clone()).unwrap_or_default(),
            seconds: report.finished.since(report.started).as_secs_f64(),
            http_bytes: report.http.sent + report.http.received,
            apdus: report.card.apdus,
            card_bytes: report.card.to_card + report.card.from_card,
        }
    }
}

/// Describes the ending of a move.
pub fn in_words(ending: &Ending) -> String {
    match ending {
        Ending::Moved(_) => "moved; the bootstrap profile stays as fallback".to_owned(),
        Ending::CameBack { .. } => "fell back to the bootstrap profile".to_owned(),
        Ending::NotInstalled(error) => format!("nothing was installed: {error}"),
        Ending::Stranded { why, back } => format!("stranded: {why}; fallback failed: {back}"),
        Ending::Fault(fault) => fault.to_string(),
    }
}

/// Returns the EID of the PKI with this number, counted from 1, or an EID in the range of the EUM.
fn nth_eid(pki: &Pki, number: u8) -> Result<Eid, Fault> {
    let kept = pki.eids(pki.tls_curve());
    match kept.get(usize::from(number.saturating_sub(1))) {
        Some(eid) => Ok(*eid),
        None => parties::eid_of_serial(pki, number.into()),
    }
}

fn registered(report: &MoveReport, profile: &str) -> Result<(), Fault> {
    match &report.ending {
        Ending::Moved(_) => Ok(()),
        other => Err(Fault::new(
            format!("the device cannot register with {profile}"),
            in_words(other),
            "see the failed step in the timeline above",
        )),
    }
}

fn address(error: rsp::ids::InvalidId) -> Fault {
    Fault::caused_by(error, "the SM-DP+ has no usable address", "check --sm-dp-name")
}

fn country(text: &str) -> Result<Country, Fault> {
    text.parse()
        .map_err(|e: localize::NotACountry| Fault::caused_by(e, "cannot set up the countries", "report this"))
}

fn history(error: localize::HistoryError) -> Fault {
    Fault::caused_by(error, "cannot record the device's stay", "set the clock right")
}

fn first_line(decision: &Decision) -> String {
    decision.to_string().lines().next().unwrap_or_default().to_owned()
}

fn unexpected(what: &str) -> Fault {
    Fault::new(
        "the decision differs from the one that the demonstration expects",
        what.to_owned(),
        "check the rules for BR in crates/localize/data/countries.toml",
    )
    .of_kind(FaultKind::Expectation)
}

/// Maximum real time of a demonstration. After it, the demonstration is considered stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);
