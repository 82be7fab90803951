//! Downloads on each curve, and on both at once, between a device and a listening SM-DP+ (SGP.22
//! sections 2.6.7.2 and 3.0.1). TLS uses NIST P-256 in all tests but one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use certs::{Certificate, Pki, PkiOptions, Role};
use cli::parties::{self, Running};
use crypto::Curve;
use device::{DownloadOptions, EventSource, Lpa, LpaSettings};
use euicc_sim::{Card, CardDescription};
use http::{Request, Response};
use net::{Client, ClientAuth, ClientTls, Identity, OsClock, ServerTls};
use rsp::ids::{Eid, Iccid, SmdpAddress, SubjectKeyIdentifier};
use rsp::sgp22::ProfileState;
use sm_dp::{ProfileOptions, SmDpPlus};
use testbed::Testbed;
use testbed::operator::Operator;
use world::{Clock, Link, NullEvents, RamMemory, World, link_from};

use Curve::{BrainpoolP256r1, P256};

/// A listening SM-DP+ with one profile in stock.
struct Server {
    pki: Arc<Pki>,
    world: World,
    clock: Arc<dyn Clock>,
    sm_dp: SmDpPlus,
    address: String,
    iccid: Iccid,
    device_tls: ClientTls,
    /// The choices that the server made in all its responses to InitiateAuthentication.
    chosen: Arc<Mutex<Vec<Chosen>>>,
    _running: Running,
}

/// Choices of an SM-DP+ at the start of a session.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    /// Curve of CERT.DPauth.
    server: Curve,
    /// CI below which the eUICC has to sign.
    euicc: SubjectKeyIdentifier,
}

impl Server {
    /// Starts a server with the TLS configuration of `landfall up`.
    async fn start() -> Self {
        let tls = |pki: &Pki, clock: &Arc<dyn Clock>| {
            let device = parties::device_tls(pki, &[Role::DpTls], Arc::clone(clock)).unwrap();
            (parties::sm_dp_tls(pki, &[], Arc::clone(clock)).unwrap(), device)
        };
        Self::start_with(tls).await
    }

    /// Starts a server. `tls` returns the TLS configurations of server and device.
    async fn start_with(tls: impl FnOnce(&Pki, &Arc<dyn Clock>) -> (ServerTls, ClientTls)) -> Self {
        let pki = Arc::new(Pki::from_seed(b"curves", &PkiOptions::default()).unwrap());
        let (world, clock) = parties::os_world().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let listener = net::listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let testbed = Testbed::with_pki(Arc::clone(&pki), "curves").with_clock(Arc::clone(&clock));
        let sm_dp = testbed.sm_dp_plus(&address).unwrap();
        let package = testbed::subscription::own_package("724-99", 1, "Local").unwrap();
        let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await.unwrap();
        let (server, device_tls) = tls(&pki, &clock);
        let running = Running::serve(listener, Some(server), sm_dp.link()).unwrap();
        let chosen = Arc::default();
        Self { pki, world, clock, sm_dp, address, iccid, device_tls, chosen, _running: running }
    }

    fn eid(&self) -> Eid {
        self.pki.eids(P256)[0]
    }

    fn ci(&self, curve: Curve) -> SubjectKeyIdentifier {
        self.pki.ci(curve).unwrap().subject_key_id().unwrap().clone()
    }

    /// Returns the description of a card with credentials on these curves, the preferred one
    /// first.
    fn card(&self, curves: &[Curve]) -> CardDescription {
        let credentials: Vec<_> =
            curves.iter().map(|curve| self.pki.euicc(*curve, self.eid()).unwrap()).collect();
        CardDescription::default_for(self.eid(), &credentials)
    }

    /// Orders the profile over ES2+, downloads it to the card over ES9+, and returns the
    /// choices of the SM-DP+.
    async fn download_to(&self, card: CardDescription) -> Chosen {
        let (tls, oid) =
            parties::operator_tls(&self.pki, "Landfall Test Operator", Arc::clone(&self.clock)).unwrap();
        let link = Client::default().link(&self.address, Some(tls)).unwrap();
        let operator = Operator::new(link, oid, self.world.clone(), Arc::new(NullEvents));
        let code = operator.order(self.iccid, None, self.address.parse().unwrap()).await.unwrap();

        let card = Card::open(card, RamMemory::default(), self.world.clone()).unwrap();
        let tls = self.device_tls.clone();
        let chosen = Arc::clone(&self.chosen);
        let links = move |address: &SmdpAddress| {
            let link = Client::default().link(address.as_str(), Some(tls.clone()))?;
            Ok(recording_choices(link, Arc::clone(&chosen)))
        };
        let mut lpa = Lpa::new(card, links, LpaSettings::default(), EventSource::silent(OsClock));
        let installed = lpa.download(&code, DownloadOptions::default()).await.unwrap();
        assert_eq!(installed.iccid, self.iccid);
        assert_eq!(installed.notification.failure(), None);
        // The notification is signed with the key of this certificate, and the server
        // accepts it.
        lpa.enable(self.iccid).await.unwrap();
        for delivery in lpa.process_notifications().await.unwrap() {
            assert_eq!(delivery.failure(), None);
        }
        assert_eq!(lpa.list().await.unwrap()[0].profile_state, Some(ProfileState::ENABLED));
        assert_eq!(self.sm_dp.orders().await.unwrap()[0].state, sm_dp::ProfileState::Installed);
        self.chosen.lock().unwrap().pop().unwrap()
    }
}

/// Returns a link that records the choices in responses to InitiateAuthentication.
fn recording_choices(link: Link, chosen: Arc<Mutex<Vec<Chosen>>>) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (link, chosen) = (link.clone(), Arc::clone(&chosen));
        async move {
            let is_first = request.uri().path().ends_with("initiateAuthentication");
            let response: Response<Bytes> = world::send(&link, request).await?;
            if is_first {
                let answer: rsp::sgp22::es9plus::InitiateAuthenticationOk =
                    serde_json::from_slice(response.body()).unwrap();
                let certificate = Certificate::from_der(answer.server_certificate.0).unwrap();
                assert_eq!(certificate.role(), Some(Role::DpAuth));
                let euicc = answer.euicc_ci_pk_id_to_be_used;
                chosen.lock().unwrap().push(Chosen { server: certificate.curve(), euicc });
            }
            Ok(response)
        }
    }))
}

#[tokio::test]
async fn a_card_on_one_curve_downloads_on_that_curve() {
    for curve in [P256, BrainpoolP256r1] {
        let server = Server::start().await;
        let expected = Chosen { server: curve, euicc: server.ci(curve) };
        assert_eq!(server.download_to(server.card(&[curve])).await, expected);
    }
}

#[tokio::test]
async fn the_preference_of_the_card_decides_between_two_common_curves() {
    for preferred in [[P256, BrainpoolP256r1], [BrainpoolP256r1, P256]] {
        let server = Server::start().await;
        let expected = Chosen { server: preferred[0], euicc: server.ci(preferred[0]) };
        assert_eq!(server.download_to(server.card(&preferred)).await, expected);
    }
}

#[tokio::test]
async fn the_sm_dp_plus_chooses_the_curve_whose_ci_it_knows() {
    // On the curve that the card prefers, the CI of the card is not the CI of the SM-DP+.
    let strangers = Pki::from_seed(b"strangers", &PkiOptions::default()).unwrap();
    for (common, strange) in [(P256, BrainpoolP256r1), (BrainpoolP256r1, P256)] {
        let server = Server::start().await;
        let credentials = [
            strangers.euicc(strange, server.eid()).unwrap(),
            server.pki.euicc(common, server.eid()).unwrap(),
        ];
        let expected = Chosen { server: common, euicc: server.ci(common) };
        let card = CardDescription::default_for(server.eid(), &credentials);
        assert_eq!(server.download_to(card).await, expected);
    }
}

#[tokio::test]
async fn a_card_may_verify_on_one_curve_and_sign_on_the_other() {
    for (verifies, signs) in [(P256, BrainpoolP256r1), (BrainpoolP256r1, P256)] {
        let server = Server::start().await;
        let mut card = server.card(&[signs]);
        card.trusted_cis = server.card(&[verifies]).trusted_cis;
        let expected = Chosen { server: verifies, euicc: server.ci(signs) };
        assert_eq!(server.download_to(card).await, expected);
    }
}

#[tokio::test]
async fn a_download_works_with_brainpool_only_including_tls() {
    let tls = |pki: &Pki, clock: &Arc<dyn Clock>| {
        let names = ["127.0.0.1".parse().unwrap()];
        let ci = pki.ci(BrainpoolP256r1).unwrap();
        let credential = pki.issue_dp_tls_on(BrainpoolP256r1, &names, ci.validity()).unwrap();
        let identity = Identity {
            chain: vec![credential.certificate.der().to_vec()],
            key: credential.key_pkcs8().into(),
        };
        let auth = ClientAuth::optional(parties::tls_roots(pki));
        let server = ServerTls::new(&identity, &auth, Arc::clone(clock)).unwrap();
        let device = ClientTls::new(&[ci.der().to_vec()], None, Arc::clone(clock)).unwrap();
        (server, device)
    };
    let server = Server::start_with(tls).await;
    let expected = Chosen { server: BrainpoolP256r1, euicc: server.ci(BrainpoolP256r1) };
    assert_eq!(server.download_to(server.card(&[BrainpoolP256r1])).await, expected);
}
