//! The doors: every port that the servers open, with the request of its honest client.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use certs::{Certificate, Credential, Role, m2m::Owner};
use crypto::Curve;
use rsp::{
    ids::{Oid, Version},
    ota::admin::AgentId,
    sgp02::{
        BaseNotification, BaseRequest, Function, Message, Namespace,
        addressing::{Endpoint, Header, MessageId},
        common::Notification,
        es2, es4, soap,
    },
    sgp22::{EuiccInfo1, es9plus, es11, json},
    sgp32::{self, esipa},
    time::Timestamp,
};
use tokio::time::timeout;

use crate::{
    client::{
        Bind, BoxStream, ClientIdentity, HONEST, HTTP_1, HttpCall, PskClient, reset_card, smpp_status, tcp,
        tls,
    },
    servers::{ACCOUNT, EID, OPERATOR, PASSWORD, Servers},
};

/// Time in which an honest client is answered, or refused.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);

/// A port of a server.
pub(crate) struct Door {
    /// The process that opens it.
    pub(crate) server: &'static str,
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
        let of_http = |(status, text): (u16, String)| match status {
            200..300 => Ok(Ok(())),
            503 => Err(io::ErrorKind::ResourceBusy.into()),
            _ => Ok(Err(text)),
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
            Honest::Psk(..) | Honest::Smpp(_) | Honest::Card => None,
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

/// Returns all doors.
pub(crate) fn doors(servers: &Servers) -> Vec<Door> {
    let at = |server, interface| servers.address(server, interface);
    let door = |server, interface, name, honest| Door {
        server,
        name,
        address: at(server, interface),
        root: servers.root().clone(),
        honest,
        session: None,
    };
    let with_session = |door: Door, session: HttpCall| Door { session: Some(session), ..door };
    let https = |call| Honest::Https(call, None);
    let api = |path| Honest::Http(HttpCall::get(path));
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
}

/// Returns a function of each interface that authenticates its clients by their certificates.
pub(crate) fn authenticated_calls(servers: &Servers) -> [AuthenticatedCall; 7] {
    let (pki, at) = (&servers.pki, |server, interface| servers.address(server, interface));
    let operator = pki.operator(OPERATOR).unwrap();
    let dp_tls = pki.credential(Role::DpTls, Curve::P256).unwrap();
    let ds_tls = pki.credential(Role::DsTls, Curve::P256).unwrap();
    let sm_dp = pki.m2m_server(Owner::SmDp, cli::m2m::sm_dp::NAME_IN_PKI, &["localhost".parse().unwrap()]);
    let sm_dp = sm_dp.unwrap().tls;
    let [own, dp, m2m_dp] = [&operator, &dp_tls, &sm_dp].map(|it| it.certificate.registered_ids()[0].clone());
    let call = |name, address, call, honest: &Credential, other_role: &Credential| AuthenticatedCall {
        name,
        address,
        call,
        honest: honest.clone(),
        other_role: other_role.clone(),
    };
    let eid = EID.parse().unwrap();
    let es2 = es2::GetEisRequest { eid, smsr_id: "2.999.16".parse().unwrap(), base: BaseRequest::new("1") };
    let es4 = es4::GetEisRequest { eid, base: BaseRequest::new("1") };
    let notification = es2::HandleProfileEnabledNotification {
        base: BaseNotification {},
        eid,
        iccid: "8944476500001224158".parse().unwrap(),
        completion_timestamp: Timestamp(0),
    };
    let notified = es2::HandleProfileEnabledNotification::action();
    let report = es2plus_call(
        "handleDownloadProgressInfo",
        &dp,
        r#""iccid":"8944476500001224158","profileType":"x","timestamp":"2026-11-21T08:00:00Z",
           "notificationPointId":3,"notificationPointStatus":{"status":"Executed-Success"}"#,
    );
    let order = es2plus_call("downloadOrder", &own, r#""profileType":"none""#);
    let delete = format!(r#""eid":"{EID}","eventId":"X""#);
    let delete = rsp2_call("/gsma/rsp2/es12/deleteEvent", &dp, &delete);
    let (es2_action, es4_action) = (es2::GetEis::request_action(), es4::GetEis::request_action());
    [
        call("ES2+", at("sm-dp", "sm_dp"), order, &operator, &dp_tls),
        call("ES12", at("sm-ds", "sm_ds"), delete, &dp_tls, &ds_tls),
        call("ES2 of SGP.02", at("sm-dp", "sm_dp"), soap_call(&own, es2_action, &es2), &operator, &dp_tls),
        call("ES4 of SGP.02", at("sm-sr", "sm_sr"), soap_call(&own, es4_action, &es4), &operator, &dp_tls),
        call("ES2+ reports", at("operator", "operator"), report.clone(), &dp_tls, &ds_tls),
        call("ES2+ of the fleet", at("fleet", "platform"), report, &dp_tls, &ds_tls),
        call(
            "ES2 notifications",
            at("m2m operator", "operator"),
            soap_call(&m2m_dp, notified, &notification),
            &sm_dp,
            &operator,
        ),
    ]
}

fn json_call(path: &str, body: &impl serde::Serialize) -> HttpCall {
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
    let body = soap::envelope(&header, Namespace::V3, message);
    HttpCall::post("/sgp02", soap::content_type(&action), body)
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

fn esipa_initiation(servers: &Servers, sm_dp: &str) -> esipa::InitiateAuthenticationRequest {
    esipa::InitiateAuthenticationRequest {
        euicc_challenge: [7; 16],
        smdp_address: Some(sm_dp.to_owned()),
        euicc_info1: Some(rsp::der::Raw::new(euicc_info1(servers))),
        eim_transaction_id: None,
    }
}

fn get_eim_package() -> HttpCall {
    let request = sgp32::esipa::GetEimPackageRequest {
        eid_value: EID.parse().unwrap(),
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    };
    json_call("/gsma/rsp2/esipa/getEimPackage", &request).with("User-Agent", esipa::USER_AGENT_IPAD)
}
