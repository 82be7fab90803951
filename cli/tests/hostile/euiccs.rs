//! eUICCs with wrong certificates, keys and signatures at the interfaces whose clients are
//! authenticated by what an eUICC signs: ES9+, ES11, and ESipa for a download through the eIM.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use certs::{Defect, Pki, PkiOptions, Role};
use crypto::{Curve, SecretKey};
use http::{Request, Response};
use rsp::{
    ids::Version,
    sgp22::{
        es9plus::{self, AuthenticateClientRequest, InitiateAuthenticationOk},
        es10b::AuthenticateServerResponse,
        json::{self, Answer},
    },
    sgp32::{compact, esipa},
};
use serde_json::Value;
use sgp23::euicc::{Authenticate, Euicc};
use tokio::time::timeout;
use world::SeededRandom;

use crate::{
    client::{ClientIdentity, HONEST, HTTP_1, HttpCall, tls},
    doors::{ANSWER, esipa_initiation},
    identities::{HOSTILE, refused},
    rounds,
    servers::{EID, MATCHING_ID, Servers},
};

/// Version in the headers of all requests.
pub(crate) const VERSION: Version = Version([2, 5, 0]);

/// A certificate chain of an eUICC that is wrong in one respect, with the key that signs.
pub(crate) struct WrongChain {
    pub(crate) kind: String,
    pub(crate) euicc: Vec<u8>,
    pub(crate) eum: Vec<u8>,
    pub(crate) key: SecretKey,
}

/// Returns the eUICC of the device.
pub(crate) fn honest_euicc(pki: &Pki) -> Euicc {
    let credentials = pki.euicc(Curve::P256, EID.parse().unwrap()).unwrap();
    Euicc::new(credentials, SeededRandom::from_text("hostile")).unwrap()
}

/// Returns the wrong certificate chains of this eUICC.
pub(crate) fn wrong_chains(pki: &Pki, euicc: &Euicc) -> Vec<WrongChain> {
    let own = &euicc.credentials;
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap();
    let chain = |kind: &str, euicc: &[u8], eum: &[u8], key: &SecretKey| WrongChain {
        kind: kind.to_owned(),
        euicc: euicc.to_vec(),
        eum: eum.to_vec(),
        key: key.clone(),
    };
    let (euicc_der, eum_der) = (own.euicc.certificate.der(), own.eum.der());
    let stranger = Pki::from_seed(b"stranger", &PkiOptions::default()).unwrap();
    let stranger_euicc = stranger.euicc(Curve::P256, euicc.eid).unwrap();
    let stranger_der = stranger_euicc.euicc.certificate.der();
    let dp = pki.credential(Role::DpAuth, Curve::P256).unwrap();
    let mut all = vec![
        chain("of an unknown CI", stranger_der, stranger_euicc.eum.der(), &stranger_euicc.euicc.key),
        chain("of another EUM, with this EUM above it", stranger_der, eum_der, &stranger_euicc.euicc.key),
        chain("with another EUM above it", euicc_der, stranger_euicc.eum.der(), &own.euicc.key),
        chain("certificate of the EUM as that of the eUICC", eum_der, eum_der, &eum.key),
        chain("certificate of the eUICC as that of the EUM", euicc_der, euicc_der, &own.euicc.key),
        chain("certificates exchanged", eum_der, euicc_der, &own.euicc.key),
        chain("certificate of an SM-DP+", dp.certificate.der(), eum_der, &dp.key),
        chain("certificate of the CI as that of the EUM", euicc_der, own.ci.der(), &own.euicc.key),
        chain("no certificate", &[0x30, 0], eum_der, &own.euicc.key),
    ];
    for defect in Defect::ALL {
        if defect.applies_to(Role::Euicc) {
            let broken = pki.issue_like(&own.euicc, defect).unwrap();
            all.push(chain(&format!("CERT.EUICC: {defect:?}"), &broken.der, eum_der, &broken.key));
        }
        if defect.applies_to(Role::Eum) {
            let broken = pki.issue_like(&eum, defect).unwrap();
            all.push(chain(&format!("CERT.EUM: {defect:?}"), euicc_der, &broken.der, &own.euicc.key));
        }
    }
    all
}

type Change = Box<dyn Fn(&mut Authenticate)>;

/// Returns the wrong answers of an eUICC to the challenge of a server.
fn wrong_answers(pki: &Pki, euicc: &Euicc) -> Vec<(String, Change)> {
    let other_eid = "89049032000000000000000000000260".parse().unwrap();
    let other = pki.euicc(Curve::P256, other_eid).unwrap().euicc.key;
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap().key;
    let change = |kind: &str, change: Change| (kind.to_owned(), change);
    let mut all = vec![
        change("changed signature", Box::new(|it| it.corrupt_signature = true)),
        change("key of another eUICC", Box::new(move |it| it.key = other.clone())),
        change("key of the EUM", Box::new(move |it| it.key = eum.clone())),
        change("challenge of another session", Box::new(|it| it.server_challenge[0] ^= 1)),
        change("transaction ID of another session", Box::new(|it| it.inner.0[0] ^= 1)),
        change("address of another server", Box::new(|it| it.server_address.push('2'))),
    ];
    for WrongChain { kind, euicc, eum, key } in wrong_chains(pki, euicc) {
        all.push((
            kind,
            Box::new(move |it| {
                it.euicc_certificate.clone_from(&euicc);
                it.eum_certificate.clone_from(&eum);
                it.key = key.clone();
            }),
        ));
    }
    all
}

/// An interface with mutual authentication.
#[derive(Clone, Copy, Debug)]
enum Interface {
    Es9Plus,
    Es11,
    Esipa,
}

impl Interface {
    fn address(self, servers: &Servers) -> SocketAddr {
        match self {
            Self::Es9Plus => servers.address("sm-dp", "sm_dp"),
            Self::Es11 => servers.address("sm-ds", "sm_ds"),
            Self::Esipa => servers.address("eim", "eim"),
        }
    }

    async fn send(self, servers: &Servers, source: u8, request: &Request<Bytes>) -> Response<Bytes> {
        let to = self.address(servers);
        let stream = tls(servers.root(), source, to, ClientIdentity::NONE, HTTP_1).await.unwrap();
        HttpCall::of(request).send(stream).await.unwrap()
    }

    /// Opens a session, which must not take longer than an answer may. Returns the challenge of the
    /// server.
    async fn challenge(self, servers: &Servers, source: u8, euicc: &Euicc) -> InitiateAuthenticationOk {
        let begun = Instant::now();
        let challenge = self.initiate(servers, source, euicc).await;
        assert!(begun.elapsed() < ANSWER, "{self:?}: {:?}", begun.elapsed());
        challenge
    }

    async fn initiate(self, servers: &Servers, source: u8, euicc: &Euicc) -> InitiateAuthenticationOk {
        if let Self::Esipa = self {
            let sm_dp = Self::Es9Plus.address(servers).to_string();
            let request = esipa_initiation(servers, &sm_dp);
            let agent = esipa::USER_AGENT_IPAD;
            let request = esipa::json::request::<esipa::InitiateAuthentication>(VERSION, agent, &request);
            let response = self.send(servers, source, &request).await;
            let esipa::InitiateAuthenticationResponse::Ok(ok) = esipa::json::answer(&response).unwrap()
            else {
                panic!("{self:?}: no session")
            };
            return InitiateAuthenticationOk {
                transaction_id: ok.server_signed1.transaction_id.clone(),
                server_signed1: ok.server_signed1,
                server_signature1: ok.server_signature1,
                euicc_ci_pk_id_to_be_used: ok.euicc_ci_pk_identifier_to_be_used,
                server_certificate: ok.server_certificate,
            };
        }
        let path = es9plus::path("initiateAuthentication");
        let request = json::request(&path, VERSION, &euicc.initiation("localhost"));
        match json::answer(&self.send(servers, source, &request).await).unwrap() {
            Answer::Done(ok) => ok,
            Answer::Refused(status) => panic!("{self:?}: {status}"),
        }
    }

    /// Sends the answer of the eUICC. Returns the status of a refusal.
    async fn answer(
        self,
        servers: &Servers,
        source: u8,
        request: AuthenticateClientRequest,
    ) -> Result<(), String> {
        let request = match self {
            Self::Esipa => {
                let AuthenticateServerResponse::AuthenticateResponseOk(ok) =
                    request.authenticate_server_response
                else {
                    panic!("the eUICC refuses the server")
                };
                let request = esipa::AuthenticateClientRequest {
                    transaction_id: request.transaction_id,
                    authenticate_server_response: compact::AuthenticateServerResponse::AuthenticateResponseOk(
                        ok,
                    ),
                };
                let agent = esipa::USER_AGENT_IPAD;
                esipa::json::request::<esipa::AuthenticateClient>(VERSION, agent, &request)
            }
            _ => json::request(&es9plus::path("authenticateClient"), VERSION, &request),
        };
        let response = self.send(servers, source, &request).await;
        match json::answer::<Value>(&response) {
            Ok(Answer::Done(_)) => Ok(()),
            Ok(Answer::Refused(status)) => Err(format!("{}/{}", status.subject_code, status.reason_code)),
            // A certificate that cannot be decoded makes the request invalid.
            Err(_) if response.status() == http::StatusCode::BAD_REQUEST => Err("HTTP 400".to_owned()),
            Err(error) => panic!("{self:?}: {error}"),
        }
    }

    /// Authenticates an eUICC whose answer `change` has changed.
    async fn authenticate(
        self,
        servers: &Servers,
        source: u8,
        euicc: &Euicc,
        change: impl Fn(&mut Authenticate),
    ) -> Result<(), String> {
        let challenge = self.challenge(servers, source, euicc).await;
        let matching_id = if let Self::Es11 = self { "" } else { MATCHING_ID };
        let mut answer = euicc.authenticate(&challenge, matching_id);
        change(&mut answer);
        let request = answer.request().unwrap();
        let begun = Instant::now();
        let ended = timeout(10 * ANSWER, self.answer(servers, source, request)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{self:?}: no answer"));
        assert!(begun.elapsed() < ANSWER, "{self:?}: {:?}", begun.elapsed());
        ended
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_euiccs_are_refused_at_once() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    servers.order_profile();
    let euicc = honest_euicc(&servers.pki);
    let wrong = wrong_answers(&servers.pki, &euicc);
    for interface in [Interface::Es9Plus, Interface::Es11, Interface::Esipa] {
        // The SM-DP+ counts the attempts of an order, so that the honest eUICC beside the others only
        // opens a session.
        let serves_the_honest = async || {
            let honest = interface.authenticate(&servers, HONEST, &euicc, |_| ()).await;
            assert_eq!(honest, Ok(()), "{interface:?}");
        };
        serves_the_honest().await;
        for round in 0..rounds() {
            for (kind, change) in &wrong {
                let begun = Instant::now();
                let Err(refusal) = interface.authenticate(&servers, HOSTILE, &euicc, change).await else {
                    panic!("{interface:?}, {kind}: accepted")
                };
                if round == 0 {
                    refused(&format!("{interface:?}"), kind, &refusal, begun.elapsed());
                    interface.challenge(&servers, HONEST, &euicc).await;
                }
            }
        }
        serves_the_honest().await;
    }
    servers.check_memory();
}
