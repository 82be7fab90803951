//! `landfall operator m2m`: calls of an operator on ES2 and ES4 (SGP.02 sections 5.3 and 5.5).

mod refusal;

use std::{sync::Arc, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use rsp::{
    ids::{Eid, Iccid, Imsi},
    sgp02::{
        BaseResponse,
        common::{Msisdn, SubscriptionAddress},
        eis::{Eis, Pol2, Pol2Action, Pol2Qualification, Pol2Rule, Pol2Subject},
        es2, es4,
    },
};
use tokio::sync::mpsc::Receiver;
use world::{Clock, Fault, MemoryRecords, NullEvents};

use self::refusal::refused;
use super::ProfileSelector;
use crate::{
    m2m::{
        eis,
        operator::{Answer, Operator, ReceivedNotification, SOAP_PATH, blank, peer},
        sm_dp::{self, SoapPeer},
    },
    output::{print, print_json, remark},
    parties::{self, Running},
    peers::{Delivery, TlsPeers},
    readiness::{Ready, ReadyOptions, Stop},
    settings::{Setting, Settings},
};

/// M2M devices (SGP.02): ES2 of an SM-DP, ES4 of an SM-SR
#[derive(Debug, Args)]
#[command(args = Setting::global_flags(&[Setting::Pki, Setting::SmDp, Setting::SmDpName]))]
pub(super) struct Command {
    /// Listening address for responses and notifications, as given to SM-DP and SM-SR with
    /// --m2m-operator and --peer
    #[arg(long, global = true, value_name = "HOST:PORT", default_value = "127.0.0.1:8447")]
    listen: String,
    /// Validity period of a function, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    validity: u64,
    #[command(subcommand)]
    function: Function,
}

/// An eUICC, the object of a function.
#[derive(Debug, Args)]
struct EuiccArguments {
    /// EID of the eUICC
    eid: Eid,
    /// SM-SR that manages the eUICC
    #[arg(long, value_name = "OID@HOST:PORT")]
    sm_sr: SoapPeer,
}

/// The eUICC of a profile, which is the object of the function.
#[derive(Debug, Args)]
struct OnEuicc {
    /// EID of the eUICC
    #[arg(long)]
    eid: Eid,
    /// SM-SR that manages the eUICC
    #[arg(long, value_name = "OID@HOST:PORT")]
    sm_sr: SoapPeer,
}

#[derive(Debug, Args)]
struct ProfileArguments {
    /// ICCID of the profile
    iccid: Iccid,
    #[command(flatten)]
    of: OnEuicc,
    /// Send the request to the SM-SR (ES4) instead of the SM-DP (ES2)
    #[arg(long)]
    es4: bool,
}

/// Function
#[derive(Debug, Subcommand)]
enum Function {
    /// Download a profile (ES2.DownloadProfile)
    Download {
        #[command(flatten)]
        of: OnEuicc,
        #[command(flatten)]
        selector: ProfileSelector,
        /// Enable the profile after the download
        #[arg(long)]
        enable: bool,
    },
    /// Enable a profile (EnableProfile)
    Enable(ProfileArguments),
    /// Disable a profile (DisableProfile)
    Disable(ProfileArguments),
    /// Delete a profile (DeleteProfile)
    Delete(ProfileArguments),
    /// Set the fall-back attribute of a profile (SetFallBackAttribute)
    SetFallback(ProfileArguments),
    /// Set the emergency profile attribute of a profile (SetEmergencyProfileAttribute)
    SetEmergency(ProfileArguments),
    /// Replace the policy rules (POL2) that the SM-SR stores for a profile (UpdatePolicyRules)
    UpdatePolicy {
        #[command(flatten)]
        it: ProfileArguments,
        /// Rule of the profile (repeatable): enabling, disabling or deletion is not allowed, or the
        /// profile is deleted when it is disabled. Without any, all rules are removed
        #[arg(long = "rule", value_name = "RULE")]
        rules: Vec<Rule>,
    },
    /// Replace the subscription address of a profile (UpdateSubscriptionAddress)
    UpdateAddress {
        #[command(flatten)]
        it: ProfileArguments,
        /// MSISDN in international format, used by the SM-SR for SMS; without one the card
        /// is unreachable by SMS
        #[arg(long, value_name = "NUMBER", value_parser = msisdn, required_unless_present = "imsi")]
        msisdn: Option<Msisdn>,
        /// IMSI; an omitted value is removed
        #[arg(long)]
        imsi: Option<Imsi>,
    },
    /// Get the SM-SR's record of an eUICC (GetEIS)
    GetEis {
        #[command(flatten)]
        of: EuiccArguments,
        /// Send the request to the SM-SR (ES4) instead of the SM-DP (ES2)
        #[arg(long)]
        es4: bool,
    },
    /// Get the record of an eUICC after querying the eUICC (AuditEIS)
    Audit {
        #[command(flatten)]
        of: EuiccArguments,
        /// ICCID of a profile to audit (repeatable) [default: all]
        #[arg(long)]
        iccid: Vec<Iccid>,
        /// Send the request to the SM-SR (ES4) instead of the SM-DP (ES2)
        #[arg(long)]
        es4: bool,
    },
    /// Hand an eUICC over to another SM-SR (PrepareSMSRChange at the new SM-SR, SMSRChange at
    /// the current SM-SR)
    SmsrChange {
        #[command(flatten)]
        of: EuiccArguments,
        /// New SM-SR
        #[arg(long, value_name = "OID@HOST:PORT")]
        to: SoapPeer,
    },
    /// Print notifications, one line each, until stopped
    Listen {
        /// SM-SR to accept notifications from, in addition to the SM-DP (repeatable)
        #[arg(long, value_name = "OID@HOST:PORT")]
        sm_sr: Vec<SoapPeer>,
        #[command(flatten)]
        ready: ReadyOptions,
    },
}

/// Rule of POL2
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    NoEnable,
    NoDisable,
    NoDelete,
    AutoDelete,
}

impl From<Rule> for Pol2Rule {
    fn from(rule: Rule) -> Self {
        let (action, qualification) = match rule {
            Rule::NoEnable => (Pol2Action::Enable, Pol2Qualification::NotAllowed),
            Rule::NoDisable => (Pol2Action::Disable, Pol2Qualification::NotAllowed),
            Rule::NoDelete => (Pol2Action::Delete, Pol2Qualification::NotAllowed),
            Rule::AutoDelete => (Pol2Action::Disable, Pol2Qualification::AutoDelete),
        };
        Self { subject: Pol2Subject::Profile, action, qualification }
    }
}

fn msisdn(text: &str) -> Result<Msisdn, String> {
    text.trim_start_matches('+').parse()
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A peer refuses the request, is unreachable, or does not respond within the validity
    /// period.
    pub(super) async fn run(self, name: &str, settings: &Settings, json: bool) -> Result<(), Fault> {
        let startup = match &self.function {
            Function::Listen { ready, .. } => Some(ready.begin()?),
            _ => None,
        };
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let pki = crate::pki::load(&settings.pki)?;
        let mut listen = self.listen.clone();
        let socket = parties::listen_at(&mut listen, "--listen").await.map_err(|mut fault| {
            fault.next.push_str("; each concurrent call needs its own");
            fault
        })?;
        let names = crate::pki::names_of(&listen, &[])?;
        let (client_tls, server_tls, id) = sm_dp::operator_tls(&pki, name, &names, Arc::clone(&clock))?;
        let peers = TlsPeers::new(parties::client(&settings.sm_dp_names, &settings.sm_dp), client_tls);
        let woken = peers.woken();
        let (operator, mut notifications) = Operator::new(
            id,
            name,
            "operator",
            format!("https://{listen}{SOAP_PATH}"),
            Arc::new(MemoryRecords::default()),
            world,
            Arc::new(NullEvents),
        );
        let operator = operator.with_peers(Arc::new(peers)).with_remarks(remark);
        let sm_dp = sm_dp::oid(&pki)?;
        operator.knows(peer(sm_dp, &parties::reachable(settings)));
        let delivering = operator.clone();
        let _delivery = Delivery::drive("the SM-DP and SM-SRs", woken, clock, move || {
            let operator = delivering.clone();
            Box::pin(async move { operator.due().await })
        });
        let running = Running::serve(socket, Some(server_tls), operator.link())?;
        let calls =
            Calls { operator, sm_dp: sm_dp::oid(&pki)?, validity: Duration::from_secs(self.validity) };
        let is_listening = startup.is_some();
        let mut stop = None;
        if let Some(startup) = startup {
            let ready = Ready::of("operator m2m listen", settings).at("operator", running.address);
            stop = Some(startup.announce(&ready, json)?);
        }
        let done = tokio::select! {
            done = calls.run(self.function, stop, json) => done,
            failed = print_notifications(&mut notifications, is_listening, json) => failed,
        };
        running.stop().await;
        // The last notifications are printed here, because they were acknowledged and the sender
        // will not send them again.
        while let Ok(notification) = notifications.try_recv() {
            print_notification(&notification, is_listening, json)?;
        }
        done
    }
}

struct Calls {
    operator: Operator,
    sm_dp: rsp::ids::Oid,
    validity: Duration,
}

impl Calls {
    async fn run(&self, function: Function, stop: Option<Stop>, json: bool) -> Result<(), Fault> {
        match function {
            Function::Listen { sm_sr, .. } => {
                for partner in &sm_sr {
                    self.knows(partner);
                }
                let (own, at) = (self.operator.id(), self.operator.address());
                remark(&format!("operator {own} at {at}; Ctrl-C stops it"));
                if let Some(stop) = stop {
                    stop.requested().await;
                }
                Ok(())
            }
            Function::SmsrChange { of, to } => {
                let current = self.knows(&of.sm_sr);
                let target = self.knows(&to);
                let prepare = es4::PrepareSmsrChangeRequest {
                    base: blank(),
                    eid: of.eid,
                    current_smsr_id: current.clone(),
                };
                let prepared =
                    self.operator.call::<es4::PrepareSmsrChange>(&target, prepare, self.validity).await?;
                check_done(&prepared.base, "ES4.PrepareSMSRChange")?;
                let change = es4::SmsrChangeRequest { base: blank(), eid: of.eid, target_smsr_id: target };
                let changed = self.operator.call::<es4::SmsrChange>(&current, change, self.validity).await?;
                finish(Answer::of(&changed.base), "ES4.SMSRChange", json)
            }
            Function::Download { of, selector: ProfileSelector { iccid, profile_type }, enable } => {
                let request = es2::DownloadProfileRequest {
                    base: blank(),
                    eid: of.eid,
                    smsr_id: self.knows(&of.sm_sr),
                    profile_type,
                    iccid,
                    enable_profile: enable,
                };
                let answer =
                    self.operator.call::<es2::DownloadProfile>(&self.sm_dp, request, self.validity).await?;
                finish(
                    Answer { iccid: answer.iccid, ..Answer::of(&answer.base) },
                    "ES2.DownloadProfile",
                    json,
                )
            }
            Function::GetEis { of, es4 } => {
                let smsr_id = self.knows(&of.sm_sr);
                let (base_of, eis) = if es4 {
                    let request = es4::GetEisRequest { base: blank(), eid: of.eid };
                    let answer = self.operator.call::<es4::GetEis>(&smsr_id, request, self.validity).await?;
                    (answer.base, answer.eis)
                } else {
                    let request = es2::GetEisRequest { base: blank(), eid: of.eid, smsr_id };
                    let answer =
                        self.operator.call::<es2::GetEis>(&self.sm_dp, request, self.validity).await?;
                    (answer.base, answer.eis)
                };
                finish(Answer { eis, ..Answer::of(&base_of) }, "GetEIS", json)
            }
            Function::Audit { of, iccid, es4 } => {
                let smsr_id = self.knows(&of.sm_sr);
                let (base_of, eis) = if es4 {
                    let request = es4::AuditEisRequest { base: blank(), eid: of.eid, iccid };
                    let answer =
                        self.operator.call::<es4::AuditEis>(&smsr_id, request, self.validity).await?;
                    (answer.base, answer.eis)
                } else {
                    let request = es2::AuditEisRequest { base: blank(), eid: of.eid, iccid, smsr_id };
                    let answer =
                        self.operator.call::<es2::AuditEis>(&self.sm_dp, request, self.validity).await?;
                    (answer.base, answer.eis)
                };
                finish(Answer { eis, ..Answer::of(&base_of) }, "AuditEIS", json)
            }
            Function::Enable(it) => finish(self.enable(it).await?, "EnableProfile", json),
            Function::Disable(it) => finish(self.disable(it).await?, "DisableProfile", json),
            Function::Delete(it) => finish(self.delete(it).await?, "DeleteProfile", json),
            Function::SetFallback(it) => finish(self.set_fallback(it).await?, "SetFallBackAttribute", json),
            Function::SetEmergency(it) => {
                finish(self.set_emergency(it).await?, "SetEmergencyProfileAttribute", json)
            }
            Function::UpdatePolicy { it, rules } => {
                let pol2 = Pol2 { rule: rules.into_iter().map(Pol2Rule::from).collect() };
                finish(self.update_policy(it, Some(pol2)).await?, "UpdatePolicyRules", json)
            }
            Function::UpdateAddress { it, msisdn, imsi } => {
                let address = SubscriptionAddress { imsi, msisdn };
                finish(self.update_address(it, address).await?, "UpdateSubscriptionAddress", json)
            }
        }
    }

    fn knows(&self, partner: &SoapPeer) -> rsp::ids::Oid {
        self.operator.knows(peer(partner.id.clone(), &partner.authority));
        partner.id.clone()
    }
}

/// Prints every notification. Returns only if printing fails.
async fn print_notifications(
    notifications: &mut Receiver<ReceivedNotification>,
    is_listening: bool,
    json: bool,
) -> Result<(), Fault> {
    while let Some(notification) = notifications.recv().await {
        print_notification(&notification, is_listening, json)?;
    }
    std::future::pending().await
}

/// Prints a notification: to standard output if the function is `listen`, otherwise to standard
/// error.
fn print_notification(
    notification: &ReceivedNotification,
    is_listening: bool,
    json: bool,
) -> Result<(), Fault> {
    let line = match json {
        true => serde_json::to_string(notification)
            .map_err(|e| Fault::caused_by(e, "cannot write the notification as JSON", "report this"))?,
        false => {
            let ReceivedNotification { notification, eid, iccid, sm_sr, completed, .. } = notification;
            let about = iccid.map(|iccid| format!(" {iccid}")).unwrap_or_default();
            let now = sm_sr.as_ref().map(|sm_sr| format!(": managed by {sm_sr}")).unwrap_or_default();
            format!("{completed} {notification}{about} on {eid}{now}")
        }
    };
    if is_listening {
        return print(&format!("{line}\n"));
    }
    remark(&line);
    Ok(())
}

/// Functions that take one profile, each on ES2 and ES4.
macro_rules! on_a_profile {
    ($($name:ident $(($field:ident: $type:ty))?: $function:ident, $request:ident;)+) => {
        impl Calls { $(
            async fn $name(&self, it: ProfileArguments $(, $field: $type)?) -> Result<Answer, Fault> {
                let ProfileArguments { of, iccid, es4 } = it;
                let (eid, smsr_id) = (of.eid, self.knows(&of.sm_sr));
                Ok(if es4 {
                    let request = es4::$request { base: blank(), eid, iccid $(, $field)? };
                    Answer::of(&self.operator.call::<es4::$function>(&smsr_id, request, self.validity).await?.base)
                } else {
                    let request = es2::$request { base: blank(), eid, smsr_id, iccid $(, $field)? };
                    Answer::of(&self.operator.call::<es2::$function>(&self.sm_dp, request, self.validity).await?.base)
                })
            }
        )+ }
    };
}

on_a_profile! {
    enable: EnableProfile, EnableProfileRequest;
    disable: DisableProfile, DisableProfileRequest;
    delete: DeleteProfile, DeleteProfileRequest;
    set_fallback: SetFallBackAttribute, SetFallBackAttributeRequest;
    set_emergency: SetEmergencyProfileAttribute, SetEmergencyProfileAttributeRequest;
    update_policy(pol2: Option<Pol2>): UpdatePolicyRules, UpdatePolicyRulesRequest;
    update_address(new_subscription_address: SubscriptionAddress):
        UpdateSubscriptionAddress, UpdateSubscriptionAddressRequest;
}

/// Prints the result of a function. A failed function is an error with the status.
fn finish(answer: Answer, function: &str, json: bool) -> Result<(), Fault> {
    if !answer.done {
        return Err(refused(function, &answer));
    }
    if json {
        print_json(&answer)?;
    } else {
        let iccid = answer.iccid.map(|iccid| format!(" {iccid}")).unwrap_or_default();
        print(&format!("{}{iccid}\n", answer.status))?;
        if let Some(eis) = &answer.eis {
            print(&table(eis))?;
        }
    }
    Ok(())
}

fn check_done(base: &BaseResponse, function: &str) -> Result<(), Fault> {
    match base.is_done() {
        true => Ok(()),
        false => Err(refused(function, &Answer::of(base))),
    }
}

fn table(eis: &Eis) -> String {
    let Eis { smsr_id, available_memory_for_profiles, .. } = eis;
    format!("{}managed by {smsr_id}; {available_memory_for_profiles} octets free\n", eis::profiles(eis))
}
