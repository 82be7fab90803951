//! Testbed of the M2M tests: operator, SM-DP, SM-SR, SMSC, and devices with their cards, all in
//! this process. Links are in memory, and virtual time advances only while all tasks are idle.

mod card_transport;
mod device;
mod failure;
mod servers;
mod wires;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use certs::{Pki, PkiOptions};
use cli::m2m::operator::{Operator, blank, peer};
use network::{Networks, Smsc};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{Namespace, es2, es4},
};
use rsp_server::soap::Peer;
use sm_dp::{SmDp, SmDpPlus};
use sm_sr::{
    SmSr,
    records::{Peer as SrPeer, PeerRole},
};
use tokio::task::JoinHandle;
use world::{MemoryEvents, MemoryHosts, MemoryRecords, SeededRandom, TokioClock, World};

use failure::FailurePlan;
use servers::{OPERATOR, Parts, Running, SM_DP, SM_SR, START};
use wires::{Recording, Wires};

pub(crate) use device::{LOCAL, REFUSING};
pub(crate) use failure::{Counters, Failure, Party};
pub(crate) use servers::Bearer;
pub(crate) use wires::Recorded;

/// Validity period of all requests.
pub(crate) const VALIDITY: Duration = Duration::from_secs(3 * 3600);

/// Time for which a stopped server is down.
const DOWN: Duration = Duration::from_secs(3);

/// All parties.
pub(crate) struct Testbed {
    world: World,
    parts: Parts,
    networks: Arc<Networks>,
    stock: SmDpPlus,
    smsc: Running<Arc<Smsc>>,
    sm_dp: Mutex<Running<SmDp>>,
    sm_sr: Mutex<Running<SmSr>>,
    pub(crate) operator: Operator,
    eum: Operator,
    /// Namespace of all messages.
    namespace: Namespace,
    /// Background task of the operator.
    asks: JoinHandle<()>,
}

impl Testbed {
    /// Creates a testbed with short messages only. All random values follow from `seed`.
    pub(crate) async fn new(seed: &str) -> Self {
        Self::with(seed, Bearer::Sms, Namespace::V3).await
    }

    /// Creates a testbed with this bearer and this namespace.
    pub(crate) async fn with(seed: &str, bearer: Bearer, namespace: Namespace) -> Self {
        let (recording, failures) = (Recording::default(), Arc::new(FailurePlan::default()));
        let parts = Parts {
            pki: Pki::from_seed(seed.as_bytes(), &PkiOptions::default()).unwrap(),
            wires: Arc::new(Wires::new(Arc::clone(&failures), Arc::clone(&recording))),
            failures,
            random: SeededRandom::from_text(seed),
            clock: TokioClock::starting(START),
            bearer,
            hosts: MemoryHosts::default(),
            recording,
            events: MemoryEvents::default(),
            sm_dp_records: Arc::new(MemoryRecords::default()),
            sm_sr_records: Arc::new(MemoryRecords::default()),
        };
        let world = parts.world("bench");
        let networks = Arc::new(Networks::new(world.clone()));
        let smsc = parts.smsc(&networks);
        let (sm_dp, sm_sr) = (parts.sm_dp(), parts.sm_sr(&smsc.server));
        let (operator, asks) = parts.operator();
        let testbed = Self {
            world,
            networks,
            stock: parts.stock(),
            smsc,
            sm_dp: Mutex::new(sm_dp),
            sm_sr: Mutex::new(sm_sr),
            operator,
            eum: parts.eum(),
            namespace,
            parts,
            asks,
        };
        testbed.introduce().await;
        testbed.lay_out_networks();
        testbed
    }

    /// PKI of all certificates.
    pub(crate) fn pki(&self) -> &Pki {
        &self.parts.pki
    }

    /// The OID of the SM-SR.
    pub(crate) fn sm_sr_id(&self) -> Oid {
        self.parts.sm_sr_id()
    }

    /// The OID of the SM-DP.
    pub(crate) fn sm_dp_id(&self) -> Oid {
        self.parts.sm_dp_id()
    }

    async fn introduce(&self) {
        let namespace = self.namespace;
        let peer = |id: Oid, authority: &str| Peer { namespace, ..peer(id, authority) };
        let (sm_dp_id, sm_sr_id) = (self.sm_dp_id(), self.sm_sr_id());
        let sm_dp = self.sm_dp.lock().unwrap().server.clone();
        let sm_sr = self.sm_sr.lock().unwrap().server.clone();
        sm_dp.register_sm_sr(&peer(sm_sr_id.clone(), SM_SR)).await.unwrap();
        sm_dp.register_operator(&peer(self.operator.id().clone(), OPERATOR)).await.unwrap();
        let known = |id: &Oid, role, authority: Option<&str>| SrPeer {
            id: id.clone(),
            name: "known".to_owned(),
            role,
            endpoint: authority.map(|authority| format!("https://{authority}/sgp02")),
            namespace,
        };
        let eum = PeerRole::Eum { transport_key: None };
        sm_sr.register_peer(&known(self.eum.id(), eum, None)).await.unwrap();
        sm_sr.register_peer(&known(&sm_dp_id, PeerRole::SmDp, Some(SM_DP))).await.unwrap();
        sm_sr.register_peer(&known(self.operator.id(), PeerRole::Operator, Some(OPERATOR))).await.unwrap();
        self.operator.knows(peer(sm_dp_id, SM_DP));
        self.operator.knows(peer(sm_sr_id.clone(), SM_SR));
        self.eum.knows(peer(sm_sr_id, SM_SR));
    }

    /// Waits until the card's first notification has been confirmed and the card is idle.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }

    /// Sets the failure to inject, once. Resets the counters.
    pub(crate) fn expect(&self, failure: Option<Failure>) {
        self.parts.failures.expect(failure);
    }

    /// True if the failure has not occurred yet.
    pub(crate) fn is_still_to_come(&self) -> bool {
        self.parts.failures.is_still_to_come()
    }

    /// Returns the counters since [`expect`](Self::expect).
    pub(crate) fn counters(&self) -> Counters {
        self.parts.failures.counters()
    }

    /// Runs a story, and restarts any party that is stopped during it.
    pub(crate) async fn play<T>(&self, story: impl Future<Output = T>) -> T {
        tokio::pin!(story);
        loop {
            let party = tokio::select! {
                done = &mut story => return done,
                party = self.parts.failures.stopped() => party,
            };
            match party {
                Party::SmDp => {
                    self.parts.wires.remove(SM_DP);
                    self.sm_dp.lock().unwrap().kill();
                }
                Party::SmSr => {
                    self.parts.wires.remove(SM_SR);
                    self.sm_sr.lock().unwrap().kill();
                }
            }
            tokio::time::sleep(DOWN).await;
            match party {
                Party::SmDp => *self.sm_dp.lock().unwrap() = self.parts.sm_dp(),
                Party::SmSr => *self.sm_sr.lock().unwrap() = self.parts.sm_sr(&self.smsc.server),
            }
        }
    }

    /// Returns the recorded messages, and clears the record.
    pub(crate) fn recorded_messages(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.parts.recording.lock().unwrap())
    }

    /// KIc of the card's ISD-R.
    pub(crate) fn kic(&self, eid: Eid) -> [u8; 16] {
        *self.parts.pki.isd_r_keys(eid).unwrap().kic.expose()
    }

    /// ES2.DownloadProfile.
    pub(crate) async fn download(
        &self,
        eid: Eid,
        iccid: Iccid,
        enable_profile: bool,
    ) -> es2::DownloadProfileResponse {
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid,
            smsr_id: self.sm_sr_id(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile,
        };
        self.operator.call::<es2::DownloadProfile>(&self.sm_dp_id(), request, VALIDITY).await.unwrap()
    }

    /// ES4.AuditEIS: returns the EIS after querying the card.
    pub(crate) async fn audit(&self, eid: Eid) -> rsp::sgp02::eis::Eis {
        let request = es4::AuditEisRequest { base: blank(), eid, iccid: Vec::new() };
        let answer = self.operator.call::<es4::AuditEis>(&self.sm_sr_id(), request, VALIDITY).await.unwrap();
        assert!(answer.base.is_done(), "{}", answer.base.function_execution_status);
        answer.eis.unwrap()
    }

    /// Returns the state of a profile in stock.
    pub(crate) async fn state_in_stock(&self, iccid: Iccid) -> sm_dp::ProfileState {
        let all = self.stock.orders().await.unwrap();
        all.iter().find(|profile| profile.iccid == iccid).unwrap().state
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.asks.abort();
    }
}
