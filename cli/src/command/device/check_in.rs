//! `landfall device run --platform`: a device that checks in at the platform of its owner, executes the
//! instructions, and reports the results.

use std::{str::FromStr, time::Duration};

use crypto::Secret;
use device::{
    AlwaysOnSettings, Device, DownloadOptions, Ending as MoveEnding, MoveReport, NotRegistered, Recovery,
    Rejected, Slot, modem::NoService,
};
use fleet::{
    Action, CardProfile, CheckIn, CheckInError, Ending, Instruction, MoveEnded, MoveId, Problem, RefusedBy,
    Registration, Target, retry_delay, send_check_in,
};
use net::{Client, FileMemory};
use rsp::{
    ids::{Eid, Iccid, Plmn},
    sgp22::ProfileState,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use testbed::move_report;
use tokio::sync::watch;
use world::{Batch, BoxCardInterface, Clock, Content, Fault, FaultKind, Link, LinkFaultKind, Memory, World};

use super::{
    Command,
    failure::{Failure, failed},
    online::{CheckInOptions, Options},
};
use crate::{
    advice::Server,
    faults::ActiveFaults,
    output::{print, print_json_line, remark},
    parties,
    readiness::Ready,
    secret_file::secret,
    settings::Settings,
};

/// Maximum number of moves in a row. After them the device waits until its next check-in is due, so
/// that a faulty platform cannot keep it moving without a pause.
const MAX_MOVES: usize = 6;
/// Failed check-ins after which the device returns from a new profile to its former one.
const MAX_FAILED_ATTEMPTS: u32 = 3;
/// The message of a fault of a device that is not registered.
const NO_SERVICE: &str = "the device has no service";
/// Name of the entry in the memory of the device.
const STATE: &str = "state";

/// A check-in token.
#[derive(Clone, Debug)]
struct Token(Secret<String>);

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic()) {
            true => Ok(Self(Secret::new(text.to_owned()))),
            false => Err("expected the token that `landfall fleet token EID` prints".to_owned()),
        }
    }
}

/// The state of the device towards the platform. It survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The instructed move that has begun and not ended.
    ordered: Option<Ordered>,
    /// The result that the platform has not acknowledged.
    ended: Option<MoveEnded>,
    /// The completed move to a profile with which no check-in has succeeded yet.
    unproven: Option<Ordered>,
    /// Networks that refused the device since the last check-in.
    refused: Vec<RefusedBy>,
}

/// An instructed move to the profile `target`. If it fails, the device returns to the profile
/// `back`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ordered {
    order: MoveId,
    target: Iccid,
    back: Option<Iccid>,
}

/// One line of the output with `--json`.
#[derive(JsonSchema, Serialize)]
pub(super) struct Exchange<'a> {
    check_in: &'a CheckIn,
    instruction: &'a Instruction,
}

/// A device with its connection to the platform.
struct Agent {
    device: Device<Slot<BoxCardInterface>>,
    eid: Eid,
    link: Link,
    platform: String,
    token: Token,
    memory: FileMemory,
    state: State,
    world: World,
    failures: u32,
    /// The reason why the device has no service, as it was reported last.
    no_service: Option<String>,
    /// The IMEI, if the user gave one. The IMEI of test devices identifies no equipment.
    imei: Option<localize::Imei>,
    json: bool,
}

/// The reason why no profile of the device gets service.
struct WithoutService {
    fault: Fault,
    /// True if the host that simulates the networks does not answer.
    is_host_lost: bool,
}

impl WithoutService {
    fn of(not: &NotRegistered) -> Self {
        Self { fault: failed(not, NO_SERVICE), is_host_lost: matches!(not.why, NoService::Lost(_)) }
    }

    fn of_card(error: &impl Failure) -> Self {
        Self { fault: failed(error, NO_SERVICE), is_host_lost: false }
    }
}

impl Command {
    /// Runs the device until it is stopped, or until the options end it.
    ///
    /// # Errors
    /// The card or the memory fails, or the platform refuses a check-in. With `--once` and
    /// `--until-idle`, the platform is unreachable.
    pub(super) async fn run_checking_in(
        &self,
        options: &Options,
        active_faults: &ActiveFaults,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let Options { imei, ready, check_in: options, .. } = options;
        let startup = ready.begin()?;
        let unusable = |why: String| {
            Fault::usage(
                "the device cannot check in",
                why,
                "give a file with the token with --token-file, or set LANDFALL_TOKEN",
            )
        };
        let token = secret(options.token_file.as_deref(), "LANDFALL_TOKEN")?;
        let (Some(platform), Some(token)) = (&options.platform, token) else {
            return Err(unusable("there is no token".to_owned()));
        };
        let token = token.expose().parse::<Token>().map_err(unusable)?;
        if self.visible.is_empty() {
            return Err(Fault::usage(
                "the device cannot move",
                "no network is visible to it, so that it gets service with no profile",
                "give the networks in reach with --visible, such as --visible 724-99; `landfall network list networks` lists them",
            ));
        }
        // The applet of a card with several identities selects one by the location that the toolkit
        // reports.
        let own_imei = imei.and_then(|imei| imei.digits().parse().ok());
        let imei = imei.unwrap_or(AlwaysOnSettings::default().imei);
        let mut device = self.device(active_faults, settings, json).await?.with_toolkit(imei);
        let eid = device.lpa.eid().await.map_err(|e| failed(&e, "cannot read the EID of the card"))?;
        let (world, clock) = parties::os_world()?;
        let tls = parties::device_tls(&crate::pki::load_or_init(settings)?, &[], std::sync::Arc::new(clock))?;
        let memory = FileMemory::open(settings.data_dir.join("devices").join(format!("{eid}.check-in")))?;
        let mut agent = Agent {
            device,
            eid,
            link: Client::default().link(platform, Some(tls))?,
            platform: platform.clone(),
            token,
            state: stored(&memory)?,
            memory,
            world,
            failures: 0,
            no_service: None,
            imei: own_imei,
            json,
        };
        let (stop, stopped) = watch::channel(false);
        let announced = if options.once || options.until_idle {
            None
        } else {
            remark(&format!("device {eid} checks in at {platform}; Ctrl-C stops it"));
            Some(startup.announce(&Ready::of("device run", settings), json)?)
        };
        let signalled = async {
            match announced {
                Some(announced) => announced.requested().await,
                None => parties::stop_signal().await,
            }
            // The device may have ended already.
            let _ = stop.send(true);
            remark("the device stops after the current procedure; press Ctrl-C again to stop at once");
            parties::stop_signal().await;
        };
        tokio::select! {
            ended = agent.run(options, stopped) => ended,
            () = signalled => Ok(()),
        }
    }
}

fn stored(memory: &FileMemory) -> Result<State, Fault> {
    let cells = memory.load()?;
    let Some(cell) = cells.get(STATE) else { return Ok(State::default()) };
    cell.from_json().map_err(|error| {
        Fault::caused_by(
            error,
            "cannot use the memory of the device",
            "remove the file in `devices`; the card is not affected",
        )
    })
}

impl Agent {
    async fn run(
        &mut self,
        options: &CheckInOptions,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Fault> {
        let mut moves = 0;
        while !*stopped.borrow() {
            if moves == 0
                && let Some(without) = self.restore_service().await?
            {
                self.report(without, options.once || options.until_idle)?;
            }
            let pause = match self.check_in().await {
                Ok(instruction) => {
                    if options.once && moves > 0 {
                        return Ok(());
                    }
                    let may_move = moves < MAX_MOVES;
                    if may_move && self.execute(&instruction.what).await? {
                        moves += 1;
                        // The result is reported at once.
                        continue;
                    }
                    if options.once || options.until_idle {
                        return Ok(());
                    }
                    let own = options.check_in_every.map(Duration::from_secs);
                    let due = instruction.next_check_in.since(self.world.clock.now());
                    own.map_or(due, |own| own.min(due)).max(Duration::from_secs(1))
                }
                Err(CheckInError::Refused { body, status }) => {
                    return Err(refused(&body, &status.to_string()));
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let fault = self.unreachable(error);
                    if options.once || options.until_idle {
                        return Err(fault);
                    }
                    remark(&format!("{fault:#}"));
                    if self.failures >= MAX_FAILED_ATTEMPTS {
                        self.give_up_unproven().await?;
                    }
                    retry_delay(self.failures)
                }
            };
            moves = 0;
            self.wait(pause, &mut stopped).await;
        }
        self.device.switch_off().await;
        Ok(())
    }

    /// Waits until the next check-in is due. Searches for the home network meanwhile, at the interval
    /// of the card. A change of the network ends the wait, because a device reports it at once.
    async fn wait(&mut self, pause: Duration, stopped: &mut watch::Receiver<bool>) {
        let end = tokio::time::Instant::now() + pause;
        while tokio::time::Instant::now() < end && !*stopped.borrow() {
            let now = self.world.clock.now();
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let search = self.device.modem.home_search().map_or(left, |at| at.since(now).min(left));
            tokio::select! {
                // An error means that nothing stops the device any more, which cannot happen.
                _ = stopped.changed() => return,
                () = tokio::time::sleep(search) => self.device.record_idle_time(search),
            }
            let serving = self.device.modem.registered().map(|registered| registered.plmn);
            if search < left
                && let Some(serving) = serving
                && let Some(found) = self.device.search_home(serving).await
                && found.ok().is_none_or(|found| found.plmn != serving)
            {
                return;
            }
        }
    }

    /// Registers with the enabled profile, or with any profile that gets service, and records how an
    /// interrupted move ended. Returns the reason if no profile gets service.
    async fn restore_service(&mut self) -> Result<Option<WithoutService>, Fault> {
        let (mut registered, mut why) = (None, None);
        if self.state.ordered.is_none() {
            match self.device.register().await {
                Ok(found) => registered = Some(found),
                Err(not) => why = Some(WithoutService::of(&not)),
            }
        }
        if registered.is_none() {
            match self.device.recover().await {
                Recovery::Working { registered: found, .. } => registered = Some(found),
                Recovery::Stranded(rejected) => {
                    why = why.or_else(|| match rejected.first() {
                        Some((_, Rejected::NotRegistered(not))) => Some(WithoutService::of(not)),
                        Some((_, other)) => Some(WithoutService::of_card(other)),
                        None => None,
                    });
                }
                Recovery::Card(error) => why = Some(WithoutService::of_card(&error)),
            }
        }
        let Some(registered) = registered else { return Ok(why) };
        self.no_service = None;
        let Some(ordered) = self.state.ordered.take() else { return Ok(None) };
        let why = || "the move was interrupted, and the device uses another profile".into();
        let ending = if registered.iccid == ordered.target {
            Ending::Moved
        } else if self.profiles().await?.iter().any(|profile| profile.iccid == ordered.target) {
            Ending::CameBack { why: why() }
        } else {
            Ending::NotInstalled { why: why() }
        };
        self.ended(ordered, ending)?;
        Ok(None)
    }

    /// Reports that the device has no service, once for each reason. The device still checks in,
    /// because it may reach the platform in another way. If the host that simulates the networks
    /// does not answer, no move can succeed, and a device that checks in only once ends.
    fn report(&mut self, without: WithoutService, is_single: bool) -> Result<(), Fault> {
        let WithoutService { fault, is_host_lost } = without;
        if is_single && is_host_lost {
            return Err(fault);
        }
        let text = format!("{fault:#}");
        if self.no_service.as_ref() != Some(&text) {
            remark(&text);
            self.no_service = Some(text);
        }
        Ok(())
    }

    async fn check_in(&mut self) -> Result<Instruction, CheckInError> {
        // Notifications that are not acknowledged now are sent again at the next check-in.
        let _ = self.device.lpa.process_notifications().await;
        let registered = self.device.modem.registered();
        let check_in = CheckIn {
            registered: registered.map(|at| Registration {
                network: at.plmn,
                iccid: at.iccid,
                imsi: Some(at.imsi),
                imei: self.imei,
            }),
            // Without the list, the platform keeps what it knows of the card.
            profiles: self.profiles().await.ok(),
            refused: self.state.refused.clone(),
            ended: self.state.ended.clone(),
            ..CheckIn::new(self.eid, self.world.clock.now())
        };
        let instruction =
            send_check_in(&self.link, &self.platform, Some(self.token.0.expose()), &check_in).await?;
        (self.failures, self.state.ended, self.state.unproven) = (0, None, None);
        self.state.refused.clear();
        let printed = self.store().and_then(|()| self.show(&check_in, &instruction));
        printed.map_err(|fault| CheckInError::Invalid(fault.to_string()))?;
        Ok(instruction)
    }

    fn show(&self, check_in: &CheckIn, instruction: &Instruction) -> Result<(), Fault> {
        if self.json {
            return print_json_line(&Exchange { check_in, instruction });
        }
        match &instruction.what {
            Action::Nothing => {
                print(&format!("check-in: no instruction; next check-in at {}\n", instruction.next_check_in))
            }
            Action::Move { order, to, .. } => {
                let to = match to {
                    Target::Enable(iccid) => format!("enable {iccid}"),
                    Target::Download { iccid, .. } => format!("download {iccid}"),
                    Target::Order { operator, .. } => format!("order a profile of {operator}"),
                };
                print(&format!("check-in: move {order}: {to}\n"))
            }
        }
    }

    /// Executes an instruction. Returns true if it has a result to report.
    async fn execute(&mut self, action: &Action) -> Result<bool, Fault> {
        let Action::Move { order, to, fall_back_to } = action else { return Ok(false) };
        let Some(target) = to.iccid() else {
            let why =
                "the device has an LPA, and its platform expects an operator to download (--supplier)".into();
            self.state.ended = Some(MoveEnded { order: order.clone(), ending: Ending::NotInstalled { why } });
            self.store()?;
            return Ok(true);
        };
        let ordered = Ordered { order: order.clone(), target, back: *fall_back_to };
        self.state.ordered = Some(ordered.clone());
        self.store()?;
        let is_held = self.profiles().await?.iter().any(|profile| profile.iccid == target);
        let report = match to {
            Target::Download { code, .. } if !is_held => {
                self.device.move_to(code, DownloadOptions::default(), *fall_back_to).await
            }
            _ => self.device.switch_to(target, *fall_back_to).await,
        };
        self.note_refusal(&report, target).await?;
        let Some(ending) = move_report::ending(&report) else {
            // The device has no service. The move stays open until a profile gets service again.
            if let Some(without) = self.restore_service().await? {
                self.report(without, false)?;
            }
            return Ok(self.state.ended.is_some());
        };
        self.state.ordered = None;
        self.ended(ordered, ending)?;
        Ok(true)
    }

    /// Records the refusal of a new profile by the networks, for the next check-in.
    async fn note_refusal(&mut self, report: &MoveReport, target: Iccid) -> Result<(), Fault> {
        let (MoveEnding::CameBack { why, .. } | MoveEnding::Stranded { why, .. }) = &report.ending else {
            return Ok(());
        };
        let Rejected::NotRegistered(not) = why else { return Ok(()) };
        let home =
            self.profiles().await?.iter().find(|profile| profile.iccid == target).and_then(|it| it.home);
        if let (NoService::Refused(cause), Some(network)) = (&not.why, home) {
            self.state.refused.retain(|known| known.network != network);
            self.state.refused.push(RefusedBy { network, cause: cause.to_string().into() });
        }
        Ok(())
    }

    /// Records the result of a move. A successful move stays unproven until a check-in succeeds.
    fn ended(&mut self, ordered: Ordered, ending: Ending) -> Result<(), Fault> {
        if !self.json {
            let Ordered { order, .. } = &ordered;
            match &ending {
                Ending::Moved => print(&format!("move {order}: moved\n"))?,
                Ending::CameBack { why } => print(&format!("move {order}: came back: {why}\n"))?,
                Ending::NotInstalled { why } => print(&format!("move {order}: not installed: {why}\n"))?,
            }
        }
        self.state.ended = Some(MoveEnded { order: ordered.order.clone(), ending: ending.clone() });
        self.state.unproven = (ending == Ending::Moved).then_some(ordered);
        self.store()
    }

    /// Returns to the former profile if no check-in has succeeded with the new one.
    async fn give_up_unproven(&mut self) -> Result<(), Fault> {
        let Some(unproven) = self.state.unproven.clone() else { return Ok(()) };
        let Some(back) = unproven.back else { return Ok(()) };
        let report = self.device.switch_to(back, Some(unproven.target)).await;
        if let MoveEnding::Moved(_) = report.ending {
            let why = "the platform was unreachable through the new profile".into();
            self.ended(unproven, Ending::CameBack { why })?;
        }
        Ok(())
    }

    /// Returns the profiles of the card.
    async fn profiles(&mut self) -> Result<Vec<CardProfile>, Fault> {
        let listed = self.device.lpa.list().await;
        let listed = listed.map_err(|e| failed(&e, "cannot list the profiles of the card"))?;
        let profiles = listed.iter().filter_map(|profile| {
            Some(CardProfile {
                iccid: profile.iccid?,
                enabled: profile.profile_state == Some(ProfileState::ENABLED),
                home: profile.profile_owner.as_ref().and_then(|owner| Plmn::from_bytes(owner.mcc_mnc).ok()),
            })
        });
        Ok(profiles.collect())
    }

    fn store(&mut self) -> Result<(), Fault> {
        self.memory.commit(Batch::of(STATE, Content::json(&self.state)?))
    }

    fn unreachable(&self, error: CheckInError) -> Fault {
        let what = format!("the device cannot check in at {}", self.platform);
        match error {
            CheckInError::Link(fault) => {
                Fault::new(what, fault.to_string(), Server::Platform.next(fault.kind))
                    .of_kind(FaultKind::Unreachable)
            }
            other => Fault::new(what, other.to_string(), Server::Platform.next(LinkFaultKind::Protocol)),
        }
    }
}

/// Returns the fault of a check-in that the platform refused with this body.
fn refused(body: &[u8], status: &str) -> Fault {
    let problem = serde_json::from_slice::<Problem>(body).map(Fault::from);
    let other = |_| {
        let next = Server::Platform.next(LinkFaultKind::Protocol);
        Fault::new("the platform refused the check-in", status, next)
    };
    problem.unwrap_or_else(other).refused_with(None)
}
