//! Live sessions of orders and events. In the first, an operator orders, releases and cancels a profile
//! over ES2+. In the second, an SM-DP+ registers the event of an order at an SM-DS (ES12), and an LPA
//! retrieves it (ES11). One message is mutated, and in most rounds signed again. The parties must answer
//! or refuse, and an honest order afterwards must lead to a profile on the card.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ::testbed::Testbed;
use ::testbed::operator::Operator;
use certs::{Pki, PkiOptions};
use crypto::Curve;
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use euicc_sim::Card;
use rsp::activation_code::ActivationCode;
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp22::es2plus::{
    CancelOrder, CancelOrderRequest, ConfirmOrder, ConfirmOrderRequest, ReleaseProfile, ReleaseProfileRequest,
};
use sm_dp::{Peers, ProfileOptions, SmDpPlus};
use world::{Fault, Link, RamMemory};

use crate::interference::{Interference, interfered};
use crate::run::{Round, Run};

const ADDRESS: &str = "smdp.example.com";
const SM_DS: &str = "smds.example.com";

/// Messages of the operator's session: request and response of six calls.
const ES2PLUS_MESSAGES: usize = 12;

/// Messages at the SM-DS: request and response of RegisterEvent, of the two functions of ES11, and of
/// DeleteEvent.
const SM_DS_MESSAGES: usize = 8;

/// Answers of the checks before the function: the request cannot be decoded, or its sender is unknown or
/// another one.
const FIRST_REFUSALS: [&str; 5] = ["HTTP 400", "1.1/1.1", "1.1/1.2", "1.3.1/2.1", "1.3.1/2.2"];

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"fuzz", &PkiOptions::default()).unwrap()));

#[test]
fn a_mutated_order_is_refused_or_executed_and_the_next_order_succeeds() {
    let name = "a_mutated_order_is_refused_or_executed_and_the_next_order_succeeds";
    let run = Run::of(name, 40, 100);
    sessions(run, ES2PLUS_MESSAGES, Interference::new, order_session);
}

#[test]
fn a_mutated_event_is_refused_or_registered_and_the_next_event_is_retrieved() {
    let name = "a_mutated_event_is_refused_or_registered_and_the_next_event_is_retrieved";
    let run = Run::of(name, 40, 100);
    sessions(run, SM_DS_MESSAGES, Interference::at_sm_ds, event_session);
}

/// Runs sessions with interference, and checks that enough mutated requests reached the function behind
/// the first checks.
fn sessions(
    mut run: Run,
    messages: usize,
    interference: fn(&Pki, &crate::random::Random, usize) -> Arc<Interference>,
    session: impl AsyncFn(Testbed, &Arc<Interference>),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let mut answers = BTreeMap::<String, usize>::new();
    while let Some(mut round) = run.round() {
        let interference = interference(&PKI, &round.random, round.random.number(messages));
        let testbed = Testbed::with_pki(Arc::clone(&PKI), &format!("order session {}", round.number));
        in_round(&mut round, &interference, || runtime.block_on(session(testbed, &interference)));
        *answers.entry(interference.answer().unwrap_or_else(|| "no request".to_owned())).or_default() += 1;
    }
    println!("answers to mutated requests: {answers:?}");
    answers.remove("no request");
    let all: usize = answers.values().sum();
    let first: usize = FIRST_REFUSALS.iter().filter_map(|refusal| answers.get(*refusal)).sum();
    // The few requests of a short run may all be refused by the first check.
    assert!(all < 10 || 5 * (all - first) >= all, "{answers:?}");
    run.end();
}

fn in_round(round: &mut Round, interference: &Interference, session: impl FnOnce()) {
    round.step(format!("message {} is mutated", interference.number()), session);
}

/// An SM-DP+ with two profiles, and a device that reaches it and an SM-DS.
struct Parties {
    sm_dp: SmDpPlus,
    iccids: [Iccid; 2],
    eid: Eid,
    lpa: Lpa<Slot<Card>>,
}

impl Parties {
    /// `to_sm_ds` is the link of the device.
    async fn new(testbed: &Testbed, sm_dp: SmDpPlus, to_sm_ds: Link) -> Self {
        let mut iccids = [Iccid([0; 10]); 2];
        for (number, iccid) in (1..).zip(&mut iccids) {
            let package = ::testbed::subscription::own_package("724-99", number, "Session").unwrap();
            *iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
        }
        let eid = testbed.eid().unwrap();
        let mut description = testbed.card_description(eid).unwrap();
        description.root_ds_address = SM_DS.to_owned();
        let card = Card::open(description, RamMemory::default(), testbed.world("card")).unwrap();
        let to_sm_dp = sm_dp.link();
        let links = move |address: &SmdpAddress| match address.as_str() {
            SM_DS => Ok::<Link, Fault>(to_sm_ds.clone()),
            _ => Ok(to_sm_dp.clone()),
        };
        let events = EventSource::silent(testbed.world("device").clock);
        let lpa = Lpa::new(Slot::new(card), links, LpaSettings::default(), events);
        Self { sm_dp, iccids, eid, lpa }
    }

    /// Checks that the second profile, which was ordered honestly, is on the card.
    async fn check_installed(&mut self) {
        let listed = self.lpa.list().await.unwrap();
        assert!(listed.iter().any(|profile| profile.iccid == Some(self.iccids[1])), "{listed:?}");
        self.lpa.enable(self.iccids[1]).await.unwrap();
    }
}

async fn order_session(testbed: Testbed, interference: &Arc<Interference>) {
    let sm_dp = testbed.sm_dp_plus(ADDRESS).unwrap();
    let hostile = testbed.operator(interfered(sm_dp.link(), Arc::clone(interference))).unwrap();
    let sm_ds = testbed.sm_ds(SM_DS).unwrap();
    let mut parties = Parties::new(&testbed, sm_dp.clone(), sm_ds.link()).await;
    place_orders(&hostile, parties.iccids[0], parties.eid).await;
    interference.end();

    let operator = testbed.operator(sm_dp.link()).unwrap();
    let address: SmdpAddress = ADDRESS.parse().unwrap();
    let code: ActivationCode =
        operator.order(parties.iccids[1], Some(parties.eid), address).await.expect("an honest order");
    let downloaded = parties.lpa.download(&code, DownloadOptions::default()).await;
    downloaded.unwrap_or_else(|why| panic!("the honest download fails: {why:?}"));
    parties.check_installed().await;
    parties.sm_dp.orders().await.unwrap();
}

/// Orders, confirms, releases and cancels a profile, and orders it again. Calls after a failed one are
/// made too.
async fn place_orders(operator: &Operator, iccid: Iccid, eid: Eid) {
    let confirmation = ConfirmOrderRequest {
        eid: Some(eid),
        matching_id: Some("MATCHING-ID".to_owned()),
        confirmation_code: Some("1234".to_owned()),
        release_flag: false,
        ..operator.confirmation(iccid)
    };
    let release = ReleaseProfileRequest { header: operator.header(), iccid };
    let cancellation = CancelOrderRequest {
        eid: Some(eid),
        matching_id: Some("MATCHING-ID".to_owned()),
        ..CancelOrderRequest::new(operator.header(), iccid)
    };
    // An error is the refusal of a mutated request or its consequence, or a mutated response.
    let _ = operator.download_order(Some(eid), Some(iccid), None).await;
    let _ = operator.call::<ConfirmOrder>(&confirmation).await;
    let _ = operator.call::<ReleaseProfile>(&release).await;
    let _ = operator.call::<CancelOrder>(&cancellation).await;
    let _ = operator.download_order(None, Some(iccid), None).await;
    let _ = operator.call::<ConfirmOrder>(&operator.confirmation(iccid)).await;
}

/// The link of the SM-DP+ to the SM-DS.
struct ToSmDs(Link);

impl Peers for ToSmDs {
    fn link(&self, _: &SmdpAddress) -> Result<Link, Fault> {
        Ok(self.0.clone())
    }
}

async fn event_session(testbed: Testbed, interference: &Arc<Interference>) {
    let sm_ds = testbed.sm_ds(SM_DS).unwrap();
    let interfered = interfered(sm_ds.link(), Arc::clone(interference));
    let certificate = PKI.dp(Curve::P256).unwrap().tls.certificate;
    let es12 = world::with_peer_certificate(interfered.clone(), certificate.der().to_vec());
    let sm_dp = testbed.sm_dp_plus(ADDRESS).unwrap().with_peers(Arc::new(ToSmDs(es12)));
    let mut parties = Parties::new(&testbed, sm_dp.clone(), interfered).await;
    let operator = testbed.operator(sm_dp.link()).unwrap();

    // An error is the consequence of the mutation.
    let _ = announce(&operator, parties.iccids[0], parties.eid).await;
    let _ = parties.lpa.discover(None, DownloadOptions::default()).await;
    let _ = sm_dp.deliver_due().await;
    interference.end();

    announce(&operator, parties.iccids[1], parties.eid).await.expect("an honest order with an event");
    let found = parties.lpa.discover(None, DownloadOptions::default()).await;
    let found = found.unwrap_or_else(|why| panic!("the honest retrieval fails: {why:?}"));
    let mut installed = found.iter().filter_map(|event| event.outcome.as_ref().ok());
    assert!(installed.any(|it| it.iccid == parties.iccids[1]), "{found:?}");
    parties.check_installed().await;
}

/// Orders a profile for the device, with an event at the SM-DS.
async fn announce(operator: &Operator, iccid: Iccid, eid: Eid) -> Result<(), Fault> {
    operator.download_order(Some(eid), Some(iccid), None).await?;
    let confirmation = ConfirmOrderRequest {
        eid: Some(eid),
        smds_address: Some(SM_DS.to_owned()),
        ..operator.confirmation(iccid)
    };
    operator.call::<ConfirmOrder>(&confirmation).await?;
    Ok(())
}
