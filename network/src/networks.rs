//! Visited networks: their admission policies, the attach procedure, and the causes of refusals.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crypto::aka::{Res, Vector};
use rsp::ids::{Imsi, Plmn};
use rsp::ota::sms::Address;
use serde::{Deserialize, Serialize};
use world::{PhoneNumber, World};

use super::causes::{EmmCause, RpCause};
use super::messages::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationAnswer, AuthenticationRequest,
    AuthenticationResponse, NetworkAnswer, Service, SystemInformation,
};
use super::reach::{Absent, Attachments};
use super::short_messages::{MessageReceiver, MobileOriginated, MobileTerminated, RpAnswer, RpReport};
use super::subscriber_server::SubscriberServer;
use super::{Radio, RadioFault, RadioFuture};

/// Maximum attach procedures that wait for an answer of the device. Over the limit, the oldest
/// procedure is dropped, because a device that has disappeared never answers.
const MAX_PENDING: usize = 10_000;

/// Maximum resynchronisations within one attach. A second request for resynchronisation shows that
/// the card and its home network cannot agree on a sequence number.
const MAX_RESYNCHRONISATIONS: u8 = 1;

/// A visited network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The identity of the network.
    pub plmn: Plmn,
    /// The name of the network.
    pub name: String,
    /// The ISO 3166-1 alpha-2 country code.
    pub country: String,
    /// True if the network has coverage.
    #[serde(default = "on")]
    pub coverage: bool,
    /// The admission policy.
    #[serde(default)]
    pub policy: Policy,
}

/// The admission policy of a network: which subscribers of other networks can roam, and the rules
/// that refuse subscribers of any network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The networks whose subscribers can roam here.
    pub roaming: Roaming,
    /// Refusals that take precedence over everything else. The first matching rule applies.
    pub refusals: Vec<RefusalRule>,
}

/// The networks whose subscribers can roam in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Roaming {
    /// Subscribers of all networks.
    #[default]
    Everybody,
    /// Subscribers of these networks. Others are refused with cause #11.
    Partners(BTreeSet<Plmn>),
    /// No roaming: cause #13.
    Nobody,
}

/// A rule that refuses subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRule {
    /// Applies to IMSIs that begin with these digits, or to all if empty.
    #[serde(default)]
    pub imsi_prefix: String,
    /// The cause that is sent.
    pub cause: EmmCause,
}

impl Network {
    /// Creates a network with coverage that admits all subscribers.
    pub fn new(plmn: Plmn, name: impl Into<String>, country: impl Into<String>) -> Self {
        let (name, country) = (name.into(), country.into());
        Self { plmn, name, country, coverage: true, policy: Policy::default() }
    }

    /// Sets the admission policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl Policy {
    /// Returns a policy that refuses all subscribers with this cause.
    pub fn refusing_everybody(cause: EmmCause) -> Self {
        Self { refusals: vec![RefusalRule { imsi_prefix: String::new(), cause }], ..Self::default() }
    }

    /// Returns a policy that admits roaming subscribers of these networks only.
    pub fn with_partners(partners: impl IntoIterator<Item = Plmn>) -> Self {
        Self { roaming: Roaming::Partners(partners.into_iter().collect()), ..Self::default() }
    }

    fn refusal(&self, imsi: Imsi, home: Option<Plmn>, own: Plmn) -> Option<EmmCause> {
        let digits = imsi.to_string();
        let rule = self.refusals.iter().find(|rule| digits.starts_with(&rule.imsi_prefix));
        if let Some(rule) = rule {
            return Some(rule.cause);
        }
        if home == Some(own) {
            return None;
        }
        match &self.roaming {
            Roaming::Everybody => None,
            Roaming::Partners(partners) if home.is_some_and(|home| partners.contains(&home)) => None,
            Roaming::Partners(_) => Some(EmmCause::PLMN_NOT_ALLOWED),
            Roaming::Nobody => Some(EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA),
        }
    }
}

/// All visited networks of a simulation, and the home networks of their subscribers.
pub struct Networks {
    world: World,
    state: Mutex<State>,
    attachments: Attachments,
    service_centre: Mutex<Option<Weak<dyn MessageReceiver>>>,
}

#[derive(Default)]
struct State {
    networks: BTreeMap<Plmn, Network>,
    homes: BTreeMap<Plmn, Arc<SubscriberServer>>,
    pending: BTreeMap<AttachId, Pending>,
    /// The keys of `pending`, oldest first. Keys of finished procedures may remain.
    order: VecDeque<AttachId>,
}

/// An attach procedure that waits for the device's answer to a challenge.
struct Pending {
    plmn: Plmn,
    imsi: Imsi,
    home: Arc<SubscriberServer>,
    rand: [u8; 16],
    xres: Res,
    resynchronisations: u8,
}

impl Networks {
    /// Creates a simulation without networks.
    pub fn new(world: World) -> Self {
        Self {
            world,
            state: Mutex::default(),
            attachments: Attachments::default(),
            service_centre: Mutex::default(),
        }
    }

    /// Adds a network, or replaces the one with the same identity.
    pub fn put(&self, network: Network) {
        self.state().networks.insert(network.plmn, network);
    }

    /// Switches the coverage of a network. Returns false if there is no such network.
    pub fn set_coverage(&self, plmn: Plmn, coverage: bool) -> bool {
        let exists =
            self.state().networks.get_mut(&plmn).map(|network| network.coverage = coverage).is_some();
        self.attachments.recheck();
        exists
    }

    /// Replaces the policy of a network. Returns false if there is no such network.
    pub fn set_policy(&self, plmn: Plmn, policy: Policy) -> bool {
        self.state().networks.get_mut(&plmn).map(|network| network.policy = policy).is_some()
    }

    /// Returns all networks.
    pub fn all(&self) -> Vec<Network> {
        self.state().networks.values().cloned().collect()
    }

    /// Adds the home subscriber server of a network.
    pub fn put_home(&self, home: Arc<SubscriberServer>) {
        self.state().homes.insert(home.plmn(), home);
    }

    /// Returns all home subscriber servers.
    pub fn homes(&self) -> Vec<Arc<SubscriberServer>> {
        self.state().homes.values().cloned().collect()
    }

    /// Returns the home subscriber server of an IMSI: the one whose PLMN the IMSI begins with.
    /// Three-digit MNCs take precedence.
    pub fn home_of(&self, imsi: Imsi) -> Option<Arc<SubscriberServer>> {
        let state = self.state();
        [3, 2].into_iter().find_map(|digits| state.homes.get(&imsi.plmn(digits)?).cloned())
    }

    /// Returns the subscriber with this MSISDN, or with this IMSI.
    pub fn by_number(&self, number: &PhoneNumber) -> Option<Imsi> {
        self.homes().iter().find_map(|home| home.by_number(number))
    }

    /// Returns the sender address of this subscriber's messages: the MSISDN, or else the IMSI
    /// (numbering plan 6, E.212).
    pub fn number_of(&self, imsi: Imsi) -> Option<PhoneNumber> {
        let msisdn = self.home_of(imsi)?.subscriber(imsi)?.msisdn;
        msisdn.or_else(|| PhoneNumber::new(0, 6, imsi.to_string()).ok())
    }

    /// Returns the network that the subscriber is attached to, as far as the networks know.
    pub fn place_of(&self, imsi: Imsi) -> Option<Plmn> {
        self.attachments.plmn_of(imsi)
    }

    /// Ends the attachment of a subscriber that was removed (Cancel Location, TS 29.272 section
    /// 5.2.1.2).
    pub(super) fn cancel_location(&self, imsi: Imsi) {
        self.attachments.cancelled(imsi);
    }

    /// Sets the SMSC that receives mobile-originated messages. Only a weak reference to it is kept.
    pub fn set_service_centre(&self, centre: Weak<dyn MessageReceiver>) {
        *self.service_centre.lock().unwrap_or_else(PoisonError::into_inner) = Some(centre);
    }

    /// Delivers a short message to a subscriber in the network that the subscriber is attached to.
    ///
    /// # Errors
    /// The subscriber could not be reached.
    pub async fn page(&self, imsi: Imsi, service_centre: Address, tpdu: Vec<u8>) -> Result<RpAnswer, Absent> {
        match self.attachments.plmn_of(imsi) {
            Some(plmn) if self.covered_network(plmn).is_err() => {
                self.attachments.mark_missed(imsi);
                Err(Absent::NoPagingResponse)
            }
            Some(_) => self.attachments.page(imsi, service_centre, tpdu).await,
            None => Err(Absent::NotAttached),
        }
    }

    /// Waits for the next subscriber who becomes reachable (again). Intended for one caller, the
    /// SMSC.
    pub async fn next_reachable(&self) -> Imsi {
        self.attachments.next_reachable().await
    }

    async fn mobile_originated(&self, plmn: Plmn, message: MobileOriginated) -> Result<RpAnswer, RadioFault> {
        self.covered_network(plmn)?;
        let Some((imsi, _)) = self.attachments.of(&message.attach).filter(|(_, own)| *own == plmn) else {
            return Err(RadioFault::Detached);
        };
        let centre = self.service_centre.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(match centre.and_then(|centre| centre.upgrade()) {
            Some(centre) => centre.submitted(imsi, message.tpdu).await,
            None => RpAnswer::Error(RpCause::PROTOCOL_ERROR, Vec::new()),
        })
    }

    async fn mobile_terminated(&self, plmn: Plmn, attach: AttachId) -> Result<MobileTerminated, RadioFault> {
        match self.attachments.next(&attach, |own| own == plmn && self.covered_network(plmn).is_ok()).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(RadioFault::NoCoverage(plmn)),
            Err(_) => Err(RadioFault::Detached),
        }
    }

    fn covered_network(&self, plmn: Plmn) -> Result<Network, RadioFault> {
        let found = self.state().networks.get(&plmn).filter(|network| network.coverage).cloned();
        found.ok_or(RadioFault::NoCoverage(plmn))
    }

    fn begin_attach(&self, plmn: Plmn, request: &AttachRequest) -> Result<NetworkAnswer, RadioFault> {
        let network = self.covered_network(plmn)?;
        let home = self.home_of(request.imsi);
        let home_plmn = home.as_ref().map(|home| home.plmn());
        if let Some(cause) = network.policy.refusal(request.imsi, home_plmn, plmn) {
            return Ok(reject(cause));
        }
        // Authentication vectors come from the home network, so the home network must be known.
        let Some(home) = home else { return Ok(reject(EmmCause::PLMN_NOT_ALLOWED)) };
        Ok(match home.authentication_vector(request.imsi, plmn) {
            Ok(vector) => self.challenge(plmn, request.imsi, home, vector, 0),
            Err(cause) => reject(cause),
        })
    }

    fn challenge(
        &self,
        plmn: Plmn,
        imsi: Imsi,
        home: Arc<SubscriberServer>,
        vector: Vector,
        resynchronisations: u8,
    ) -> NetworkAnswer {
        let attach = AttachId(hex::encode(self.world.random::<8>()));
        let Vector { rand, autn, xres, .. } = vector;
        let mut state = self.state();
        if state.order.len() >= MAX_PENDING
            && let Some(oldest) = state.order.pop_front()
        {
            state.pending.remove(&oldest);
        }
        state.order.push_back(attach.clone());
        state.pending.insert(attach.clone(), Pending { plmn, imsi, home, rand, xres, resynchronisations });
        NetworkAnswer::AuthenticationRequest(AuthenticationRequest { attach, rand, autn: autn.to_bytes() })
    }

    fn finish_attach(
        &self,
        plmn: Plmn,
        response: &AuthenticationResponse,
    ) -> Result<NetworkAnswer, RadioFault> {
        let network = self.covered_network(plmn)?;
        let pending = self.state().pending.remove(&response.attach).filter(|pending| pending.plmn == plmn);
        let Some(pending) = pending else { return Ok(reject(EmmCause::PROTOCOL_ERROR_UNSPECIFIED)) };
        Ok(match &response.answer {
            AuthenticationAnswer::Res(res) if pending.xres.matches(res) => {
                let service = if pending.home.plmn() == plmn { Service::Home } else { Service::Roaming };
                let Network { name: network_name, country, .. } = network;
                let attach = response.attach.clone();
                self.attachments.attached(&attach, pending.imsi, plmn);
                NetworkAnswer::AttachAccept(AttachAccept { attach, plmn, network_name, country, service })
            }
            AuthenticationAnswer::Res(_) | AuthenticationAnswer::MacFailure => reject(EmmCause::ILLEGAL_UE),
            AuthenticationAnswer::SynchFailure(_) if pending.resynchronisations >= MAX_RESYNCHRONISATIONS => {
                reject(EmmCause::NETWORK_FAILURE)
            }
            AuthenticationAnswer::SynchFailure(auts) => {
                let Pending { imsi, home, rand, resynchronisations, .. } = pending;
                let vector = home
                    .resynchronise(imsi, &rand, *auts)
                    .and_then(|()| home.authentication_vector(imsi, plmn));
                match vector {
                    Ok(vector) => {
                        self.challenge(plmn, imsi, home, vector, resynchronisations.saturating_add(1))
                    }
                    Err(cause) => reject(cause),
                }
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Radio for Networks {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        let network = self.covered_network(plmn).ok();
        let information =
            network.map(|Network { plmn, name, country, .. }| SystemInformation { plmn, name, country });
        Box::pin(async { Ok(information) })
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move { self.begin_attach(plmn, &request) })
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move { self.finish_attach(plmn, &response) })
    }

    fn detach(&self, _: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        self.attachments.detached(&attach);
        Box::pin(async { Ok(()) })
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        Box::pin(self.mobile_originated(plmn, message))
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        Box::pin(self.mobile_terminated(plmn, attach))
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        let RpReport { attach, reference, answer } = report;
        let reported = self.covered_network(plmn).and_then(|_| {
            self.attachments.report(&attach, reference, answer).map_err(|_| RadioFault::Detached)
        });
        Box::pin(async {
            // Gives the SMSC a chance to process the report before the device continues.
            tokio::task::yield_now().await;
            reported
        })
    }
}

fn reject(cause: EmmCause) -> NetworkAnswer {
    NetworkAnswer::AttachReject(AttachReject { cause })
}

fn on() -> bool {
    true
}
