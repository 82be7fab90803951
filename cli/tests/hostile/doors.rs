//! The doors: every port that the servers open, with the request of its honest client.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use certs::{Certificate, Credential, Role, m2m::Owner};
use coap::Transmission;
use crypto::Curve;
use http::{Response, StatusCode};
use net::{ClientDtls, ServerTrust};
use rsp::{
    ids::{Oid, Version},
    ota::admin::AgentId,
    sgp02::{
        BaseNotification, BaseRequest, Function, Message, Namespace,
        addressing::{Endpoint, Header, MessageId},
        common::Notification,
        eis::AdditionalProperties,
        es1, es2, es3, es4, es7, soap as soap_message,
        xml::Octets,
    },
    sgp22::{EuiccInfo1, es9plus, es11, json},
    sgp32::{self, esipa},
    time::Timestamp,
};
use tokio::time::timeout;
use world::{Link, World};

use crate::{
    client::{
        Bind, BoxStream, ClientIdentity, HONEST, HTTP_1, HttpCall, PskClient, describe, reset_card,
        smpp_status, tcp, tls,
    },
    servers::{ACCOUNT, EID, OPERATOR, OTHER_SM_SR, PASSWORD, Servers, UP},
};

/// Time in which an honest client is answered, or refused.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);

/// A port of a server.
pub(crate) struct Door {
    /// The process that opens it.
    pub(crate) server: &'static str,
    /// Its name in the announcement of the process.
    pub(crate) interface: &'static str,
    /// The interfaces behind it.
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// The root certificate of the servers.
    root: Certificate,
    pub(crate) honest: Honest,
    /// A request that opens a session, where anyone can open one.
    pub(crate) session: Option<HttpCall>,
}

/// The honest client of a door.
#[derive(Clone)]
pub(crate) enum Honest {
    /// HTTP over TLS, with a client certificate where the function requires one.
    Https(HttpCall, Option<Box<Credential>>),
    /// HTTP without TLS.
    Http(HttpCall),
    /// HTTP over TLS with a pre-shared key.
    Psk(HttpCall, PskClient),
    /// CoAP over DTLS.
    Coap(Arc<CoapClient>),
    /// The bind of an ESME.
    Smpp(Bind),
    /// The reset of a card.
    Card,
}

/// The end of an honest request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Answered,
    /// The server closed the connection, or answered that it is busy.
    Refused,
    /// There was no answer, or a wrong one.
    Failed(String),
}

impl Door {
    /// Runs the honest client with a new connection. Returns its end and its duration.
    pub(crate) async fn serve_honest(&self) -> (Service, Duration) {
        let begun = Instant::now();
        let service = match timeout(10 * ANSWER, self.request()).await {
            Err(_) => Service::Failed("no answer".to_owned()),
            Ok(Ok(Ok(()))) => Service::Answered,
            Ok(Ok(Err(wrong))) => Service::Failed(wrong),
            Ok(Err(_)) => Service::Refused,
        };
        (service, begun.elapsed())
    }

    /// Sends the honest request. An I/O error means that the server refused it. The inner error is
    /// a wrong answer.
    async fn request(&self) -> io::Result<Result<(), String>> {
        let of_http = |response: Response<Bytes>| match response.status() {
            status if status.is_success() => Ok(Ok(())),
            StatusCode::SERVICE_UNAVAILABLE => Err(io::ErrorKind::ResourceBusy.into()),
            _ => Ok(Err(describe(&response))),
        };
        let to = self.address;
        match &self.honest {
            Honest::Https(call, credential) => {
                let identity = credential.as_deref().map_or(ClientIdentity::NONE, ClientIdentity::of);
                let stream = tls(&self.root, HONEST, to, identity, HTTP_1).await?;
                of_http(call.send(stream).await?)
            }
            Honest::Http(call) => of_http(call.send(tcp(HONEST, to).await?).await?),
            Honest::Psk(call, card) => of_http(call.send(card.connect(HONEST, to).await?).await?),
            Honest::Coap(client) => client.poll(&client.link()).await,
            Honest::Smpp(bind) => {
                let status = smpp_status(&mut tcp(HONEST, to).await?, &bind.to_bytes()).await?;
                Ok(if status == 0 { Ok(()) } else { Err(format!("command_status {status:08X}")) })
            }
            Honest::Card => {
                let atr = reset_card(&mut tcp(HONEST, to).await?).await?;
                Ok(if atr.is_empty() { Err("an empty answer to reset".to_owned()) } else { Ok(()) })
            }
        }
    }

    /// The request of the honest client, if the door speaks HTTP/2.
    pub(crate) fn http_2(&self) -> Option<&HttpCall> {
        match &self.honest {
            Honest::Https(call, _) | Honest::Http(call) => Some(call),
            Honest::Psk(..) | Honest::Coap(_) | Honest::Smpp(_) | Honest::Card => None,
        }
    }

    /// Connects without an identity: with TLS and this application protocol if the door has TLS.
    pub(crate) async fn connect(&self, source: u8, alpn: &[u8]) -> io::Result<BoxStream> {
        Ok(match &self.honest {
            Honest::Https(..) => {
                Box::new(tls(&self.root, source, self.address, ClientIdentity::NONE, alpn).await?)
            }
            _ => Box::new(tcp(source, self.address).await?),
        })
    }
}

/// A client of an eIM that polls over CoAP and DTLS.
pub(crate) struct CoapClient {
    pub(crate) address: SocketAddr,
    dtls: ClientDtls,
    world: World,
}

impl CoapClient {
    fn new(servers: &Servers) -> Self {
        let (world, _) = cli::parties::os_world().unwrap();
        let trust = ServerTrust::Certificates {
            anchors: vec![servers.root().der().to_vec()],
            check: Arc::new(|_| Ok(())),
        };
        let dtls = ClientDtls::new(trust, Arc::clone(&world.clock)).unwrap();
        Self { address: servers.address("eim", "eim_coap"), dtls, world }
    }

    /// Returns a link that opens an association with its first request.
    pub(crate) fn link(&self) -> Link {
        let client = net::Client::default().with_connect_to("localhost", &self.address.to_string());
        let (dtls, world) = (self.dtls.clone(), self.world.clone());
        client.coap_link("localhost", dtls, world, Transmission::default()).unwrap()
    }

    /// Polls for a package. An I/O error means that there was no answer. The inner error is a wrong
    /// answer.
    pub(crate) async fn poll(&self, link: &Link) -> io::Result<Result<(), String>> {
        let message = esipa::MessageFromIpa::GetEimPackageRequest(poll_of_device());
        let agent = esipa::USER_AGENT_IPAD;
        let request = esipa::asn1::request(Version([2, 5, 0]), sgp32::Version::V1_2, agent, &message);
        let response = world::send(link, request).await.map_err(io::Error::other)?;
        let answer = esipa::asn1::answer::<esipa::GetEimPackageResponse>(&response);
        Ok(answer.map(drop).map_err(|error| error.to_string()))
    }
}

fn door(
    servers: &Servers,
    server: &'static str,
    interface: &'static str,
    name: &'static str,
    honest: Honest,
) -> Door {
    let address = servers.address(server, interface);
    Door { server, interface, name, address, root: servers.root().clone(), honest, session: None }
}

fn api(path: &str) -> Honest {
    Honest::Http(HttpCall::get(path))
}

/// Returns the doors of `landfall up`, which is one process.
pub(crate) fn doors_of_up(servers: &Servers) -> Vec<Door> {
    let https = |call| Honest::Https(call, None);
    let at_sm_ds = json_call(&es9plus::path("initiateAuthentication"), &es11_initiation(servers));
    let door = |interface, name, honest| door(servers, UP, interface, name, honest);
    vec![
        door("sm_dp", "ES9+, ES2+ (TLS)", https(initiate_authentication(servers, "localhost"))),
        door("sm_ds", "ES11, ES12 (TLS)", https(at_sm_ds)),
        door("network", "networks", api("/v1/networks")),
        door("smpp", "SMPP", Honest::Smpp(Bind::new(ACCOUNT, PASSWORD))),
        door("admin", "admin API", api("/admin/v1/stock")),
        door("euicc", "card", Honest::Card),
    ]
}

/// Returns all doors of the servers that are processes of their own.
pub(crate) fn doors(servers: &Servers) -> Vec<Door> {
    let at = |server, interface| servers.address(server, interface);
    let door = |server, interface, name, honest| door(servers, server, interface, name, honest);
    let with_session = |door: Door, session: HttpCall| Door { session: Some(session), ..door };
    let https = |call| Honest::Https(call, None);
    let sm_dp = at("sm-dp", "sm_dp").to_string();
    let initiation = initiate_authentication(servers, "localhost");
    let at_sm_ds = json_call(&es9plus::path("initiateAuthentication"), &es11_initiation(servers));
    let at_eim = json_call("/gsma/rsp2/esipa/initiateAuthentication", &esipa_initiation(servers, &sm_dp))
        .with("User-Agent", esipa::USER_AGENT_IPAD);
    let check_in = serde_json::json!({ "eid": EID, "at": Timestamp(0) });
    let check_in = HttpCall::post(fleet::CHECK_IN, "application/json", check_in.to_string())
        .with("Authorization", format!("Bearer {}", servers.token));
    let card = HttpCall::post(
        "/es5",
        "application/vnd.globalplatform.card-content-mgt-response;version=1.0",
        String::new(),
    )
    .with("X-Admin-Protocol", "globalplatform-remote-admin/1.0")
    .with("X-Admin-From", AgentId { eid: EID.parse().unwrap() }.to_string());
    let authenticated =
        |call: &AuthenticatedCall| Honest::Https(call.call.clone(), Some(Box::new(call.honest.clone())));
    let [.., es4, report, _, notification] = &authenticated_calls(servers);
    vec![
        with_session(
            door("sm-dp", "sm_dp", "ES9+, ES2+, ES2 (TLS)", https(initiation.clone())),
            initiation.clone(),
        ),
        door("sm-dp", "admin", "admin API", api("/admin/v1/stock")),
        with_session(door("sm-ds", "sm_ds", "ES11, ES12 (TLS)", https(at_sm_ds.clone())), at_sm_ds),
        door("sm-sr", "sm_sr", "ES1, ES3, ES4, ES7 (TLS)", authenticated(es4)),
        door("sm-sr", "cards", "ES5 (TLS-PSK)", Honest::Psk(card, servers.card())),
        door("network", "network", "networks", api("/v1/networks")),
        door("network", "smpp", "SMPP", Honest::Smpp(Bind::new(ACCOUNT, PASSWORD))),
        door("fleet", "platform", "check-in, ES2+ (TLS)", https(check_in)),
        door("fleet", "api", "owner's API", api("/v1/rules")),
        with_session(door("eim", "eim", "ESipa (TLS)", https(get_eim_package())), at_eim),
        door("eim", "eim_coap", "ESipa (CoAP)", Honest::Coap(Arc::new(CoapClient::new(servers)))),
        door("eim", "api", "user's API", api("/admin/v1/configuration")),
        door("euicc", "euicc", "card", Honest::Card),
        door("operator", "operator", "ES2+ reports (TLS)", authenticated(report)),
        door("m2m operator", "operator", "ES2, ES4 (TLS)", authenticated(notification)),
        door("proxy", "proxy", "proxy of ES9+ (TLS)", https(initiation)),
    ]
}

/// A function whose client is authenticated by its certificate.
pub(crate) struct AuthenticatedCall {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) call: HttpCall,
    pub(crate) honest: Credential,
    /// Valid certificate of a party that must not call the function.
    pub(crate) other_role: Credential,
    /// The call in the name of this party, if the function is one of SGP.02 whose HTTP response has the
    /// refusal.
    pub(crate) call_of_other_role: Option<HttpCall>,
}

/// Returns a function of each interface that authenticates its clients by their certificates.
pub(crate) fn authenticated_calls(servers: &Servers) -> [AuthenticatedCall; 10] {
    let (pki, at) = (&servers.pki, |server, interface| servers.address(server, interface));
    let operator = pki.operator(OPERATOR).unwrap();
    let dp_tls = pki.credential(Role::DpTls, Curve::P256).unwrap();
    let ds_tls = pki.credential(Role::DsTls, Curve::P256).unwrap();
    let localhost = ["localhost".parse().unwrap()];
    let server = |owner, name| pki.m2m_server(owner, name, &localhost).unwrap().tls;
    let sm_dp = server(Owner::SmDp, cli::m2m::sm_dp::NAME_IN_PKI);
    let other_sm_sr = server(Owner::SmSr, OTHER_SM_SR);
    let eum = pki.m2m_eum(&localhost).unwrap();
    let json = |name, address, call, honest: &Credential, other_role: &Credential| AuthenticatedCall {
        name,
        address,
        call,
        honest: honest.clone(),
        other_role: other_role.clone(),
        call_of_other_role: None,
    };
    let eid = EID.parse().unwrap();
    // Each call has an identifier of its own, as two parties make some of them.
    let base = |number: u8| BaseRequest::new(number.to_string());
    let es2 = es2::GetEisRequest { eid, smsr_id: "2.999.16".parse().unwrap(), base: base(2) };
    let properties = AdditionalProperties::default();
    let es1 =
        es1::UpdateEisAdditionalPropertiesRequest { eid, additional_properties: properties, base: base(1) };
    let es3 = es3::GetEisRequest { eid, base: base(3) };
    let es4 = es4::GetEisRequest { eid, base: base(4) };
    let es7 = es7::AuthenticateSmsrRequest {
        eid: None,
        eis: None,
        smsr_certificate: Octets::default(),
        base: base(7),
    };
    let notification = es2::HandleProfileEnabledNotification {
        base: BaseNotification {},
        eid,
        iccid: "8944476500001224158".parse().unwrap(),
        completion_timestamp: Timestamp(0),
    };
    let report = es2plus_call(
        "handleDownloadProgressInfo",
        &oid(&dp_tls),
        r#""iccid":"8944476500001224158","profileType":"x","timestamp":"2026-11-21T08:00:00Z",
           "notificationPointId":3,"notificationPointStatus":{"status":"Executed-Success"}"#,
    );
    let order = es2plus_call("downloadOrder", &oid(&operator), r#""profileType":"none""#);
    let delete = format!(r#""eid":"{EID}","eventId":"X""#);
    let delete = rsp2_call("/gsma/rsp2/es12/deleteEvent", &oid(&dp_tls), &delete);
    // The refusal of an asynchronous function, or of a notification, is not in the HTTP response.
    let later = |call| AuthenticatedCall { call_of_other_role: None, ..call };
    let sm_dp_port = at("sm-dp", "sm_dp");
    let sm_sr = at("sm-sr", "sm_sr");
    let es1_action = es1::UpdateEisAdditionalProperties::request_action();
    let notified = es2::HandleProfileEnabledNotification::action();
    [
        json("ES2+", sm_dp_port, order, &operator, &dp_tls),
        json("ES12", at("sm-ds", "sm_ds"), delete, &dp_tls, &ds_tls),
        soap("ES2 of SGP.02", sm_dp_port, es2::GetEis::request_action(), &es2, [&operator, &dp_tls]),
        soap("ES1", sm_sr, es1_action, &es1, [&eum, &sm_dp]),
        soap("ES3", sm_sr, es3::GetEis::request_action(), &es3, [&sm_dp, &operator]),
        later(soap("ES7", sm_sr, es7::AuthenticateSmsr::request_action(), &es7, [&other_sm_sr, &operator])),
        soap("ES4", sm_sr, es4::GetEis::request_action(), &es4, [&operator, &sm_dp]),
        json("ES2+ reports", at("operator", "operator"), report.clone(), &dp_tls, &ds_tls),
        json("ES2+ of the fleet", at("fleet", "platform"), report, &dp_tls, &ds_tls),
        later(soap(
            "ES2 notifications",
            at("m2m operator", "operator"),
            notified,
            &notification,
            [&sm_dp, &operator],
        )),
    ]
}

/// Returns the object identifier in a certificate.
fn oid(credential: &Credential) -> Oid {
    credential.certificate.registered_ids()[0].clone()
}

/// Returns a function of SGP.02.
fn soap(
    name: &'static str,
    address: SocketAddr,
    action: String,
    message: &impl Message,
    [honest, other_role]: [&Credential; 2],
) -> AuthenticatedCall {
    let call_of = |caller: &Credential| soap_call(&oid(caller), action.clone(), message);
    AuthenticatedCall {
        name,
        address,
        call: call_of(honest),
        honest: honest.clone(),
        other_role: other_role.clone(),
        call_of_other_role: Some(call_of(other_role)),
    }
}

pub(crate) fn json_call(path: &str, body: &impl serde::Serialize) -> HttpCall {
    let call = HttpCall::post(path, json::CONTENT_TYPE, serde_json::to_string(body).unwrap());
    call.with("X-Admin-Protocol", "gsma/rsp/v2.5.0")
}

fn rsp2_call(path: &str, requester: &Oid, members: &str) -> HttpCall {
    let body = format!(
        r#"{{"header":{{"functionRequesterIdentifier":"{requester}","functionCallIdentifier":"1"}},{members}}}"#
    );
    HttpCall::post(path, json::CONTENT_TYPE, body).with("X-Admin-Protocol", "gsma/rsp/v2.5.0")
}

fn es2plus_call(function: &str, requester: &Oid, members: &str) -> HttpCall {
    rsp2_call(&rsp::sgp22::es2plus::path(function), requester, members)
}

fn soap_call(caller: &Oid, action: String, message: &impl Message) -> HttpCall {
    let header = Header {
        from: Endpoint::new("https://honest.example/in", Some(caller.clone())),
        to: Endpoint::new("https://localhost/sgp02", None),
        message_id: MessageId {
            uri: format!("//{caller}/1"),
            transaction_id: Some("1".to_owned()),
            context_id: None,
            message_date: None,
        },
        action: action.clone(),
        relates_to: None,
        reply_to: None,
    };
    let body = soap_message::envelope(&header, Namespace::V3, message);
    HttpCall::post("/sgp02", soap_message::content_type(&action), body)
}

fn euicc_info1(servers: &Servers) -> EuiccInfo1 {
    let ci = servers.root().subject_key_id().unwrap().clone();
    EuiccInfo1 {
        svn: Version([2, 2, 2]),
        euicc_ci_pk_id_list_for_verification: vec![ci.clone()],
        euicc_ci_pk_id_list_for_signing: vec![ci],
    }
}

/// A request that every eUICC of the PKI could send.
fn initiate_authentication(servers: &Servers, address: &str) -> HttpCall {
    let request = es9plus::InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: address.to_owned(),
        euicc_info1: euicc_info1(servers),
    };
    json_call(&es9plus::path("initiateAuthentication"), &request)
}

fn es11_initiation(servers: &Servers) -> es11::InitiateAuthenticationRequest {
    es11::InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smds_address: "localhost".to_owned(),
        euicc_info1: euicc_info1(servers),
    }
}

pub(crate) fn esipa_initiation(servers: &Servers, sm_dp: &str) -> esipa::InitiateAuthenticationRequest {
    esipa::InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: Some(sm_dp.to_owned()),
        euicc_info1: Some(rsp::der::Raw::new(euicc_info1(servers))),
        eim_transaction_id: None,
    }
}

fn poll_of_device() -> esipa::GetEimPackageRequest {
    esipa::GetEimPackageRequest {
        eid_value: EID.parse().unwrap(),
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    }
}

pub(crate) fn get_eim_package() -> HttpCall {
    json_call("/gsma/rsp2/esipa/getEimPackage", &poll_of_device()).with("User-Agent", esipa::USER_AGENT_IPAD)
}
