//! Clients with wrong identities at each door that authenticates its clients, and an honest client
//! beside them.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use certs::{Defect, Pki, PkiOptions, Role};
use crypto::Curve;
use http::{Response, StatusCode};
use openssl::ssl::SslVersion;
use tokio::time::timeout;

use crate::{
    client::{Bind, ClientIdentity, HONEST, HTTP_1, HttpCall, PskClient, describe, smpp_status, tcp, tls},
    doors::{ANSWER, AuthenticatedCall, Door, Honest, Service, authenticated_calls, doors},
    rounds,
    servers::{ACCOUNT, EID, PASSWORD, Servers},
};

/// Last octet of the address of the clients with wrong identities.
pub(crate) const HOSTILE: u8 = 2;

impl AuthenticatedCall {
    async fn send(
        &self,
        servers: &Servers,
        source: u8,
        identity: ClientIdentity,
        alpn: &[u8],
        call: &HttpCall,
    ) -> io::Result<Response<Bytes>> {
        call.send(tls(servers.root(), source, self.address, identity, alpn).await?).await
    }

    /// Checks that a request with a wrong identity is refused in time. Returns the kind of refusal.
    async fn refuses(&self, servers: &Servers, wrong: &WrongIdentity) -> &'static str {
        let (name, kind) = (self.name, wrong.kind);
        let begun = Instant::now();
        let call = wrong.call.as_ref().unwrap_or(&self.call);
        let request = self.send(servers, HOSTILE, wrong.identity.clone(), wrong.alpn, call);
        let answer = timeout(10 * ANSWER, request).await;
        let answer = answer.unwrap_or_else(|_| panic!("{name}, {kind}: no answer"));
        assert!(begun.elapsed() < ANSWER, "{name}, {kind}: {:?}", begun.elapsed());
        match answer {
            Err(_) => "TLS",
            Ok(response) if response.status() == StatusCode::FORBIDDEN => "HTTP 403",
            Ok(response) if refuses_requester(&response) => "status 1.1",
            Ok(response) => panic!("{name}, {kind}: {}", describe(&response)),
        }
    }

    /// Checks that the honest client is served in time.
    async fn serves_the_honest(&self, servers: &Servers) {
        let begun = Instant::now();
        let identity = ClientIdentity::of(&self.honest);
        let answer = self.send(servers, HONEST, identity, HTTP_1, &self.call).await;
        let response = answer.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let is_served = response.status().is_success() && !refuses_requester(&response);
        assert!(is_served, "{}: {}", self.name, describe(&response));
        assert!(begun.elapsed() < ANSWER, "{}: {:?}", self.name, begun.elapsed());
    }
}

/// True if the status of the function is that of an unknown or forbidden requester (subject 1.1).
fn refuses_requester(response: &Response<Bytes>) -> bool {
    let text = String::from_utf8_lossy(response.body());
    text.contains(r#""subjectCode":"1.1""#) || text.contains("Subject>1.1<")
}

/// A wrong identity of a TLS client, with the application protocol that it offers.
struct WrongIdentity {
    kind: &'static str,
    identity: ClientIdentity,
    alpn: &'static [u8],
    /// The request, if it is not that of the honest client.
    call: Option<HttpCall>,
    /// True if the certificate is valid, so that only the function can refuse it.
    is_valid: bool,
}

/// Returns the wrong identities for a function.
fn wrong(pki: &Pki, call: &AuthenticatedCall) -> Vec<WrongIdentity> {
    let good = &call.honest;
    let valid = |kind, identity| WrongIdentity { kind, identity, alpn: HTTP_1, call: None, is_valid: true };
    let invalid = |kind, identity| WrongIdentity { is_valid: false, ..valid(kind, identity) };
    let defect = |kind, defect| {
        let broken = pki.issue_like(good, defect).unwrap();
        invalid(kind, ClientIdentity::new(&[&broken.der], good))
    };
    let stranger = Pki::from_seed(b"stranger", &PkiOptions::default()).unwrap();
    let stranger_operator = stranger.operator("Landfall Test Operator").unwrap();
    let stranger_ci = stranger.credential(Role::Ci, Curve::P256).unwrap();
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap();
    let euicc = pki.euicc(Curve::P256, EID.parse().unwrap()).unwrap().euicc;
    let auth = pki.credential(Role::DpAuth, Curve::P256).unwrap();
    let (euicc_der, eum_der) = (euicc.certificate.der(), eum.certificate.der());
    let no_oid = pki.issue_like(good, Defect::NoOid).unwrap();
    let [revoked, tenant] = ["Revoked Operator", "Another Operator"].map(|name| pki.operator(name).unwrap());
    let mut all = vec![
        valid("no certificate", ClientIdentity::NONE),
        defect("expired", Defect::Expired),
        defect("not yet valid", Defect::NotYetValid),
        defect("issued by a CI of the same name", Defect::StrangerCi),
        defect("forged signature", Defect::ForgedSignature),
        defect("changed after signing", Defect::Tampered),
        defect("unknown critical extension", Defect::UnknownCriticalExtension),
        defect("key on another curve", Defect::OtherCurve),
        valid("without OID", ClientIdentity::new(&[&no_oid.der], good)),
        invalid("self-signed", ClientIdentity::of(&stranger_ci)),
        invalid("issued by an unknown CI", ClientIdentity::of(&stranger_operator)),
        invalid("EUM certificate", ClientIdentity::of(&eum)),
        invalid("eUICC certificate, chain truncated", ClientIdentity::of(&euicc)),
        invalid("eUICC certificate with its chain", ClientIdentity::new(&[euicc_der, eum_der], &euicc)),
        invalid("signing certificate, not for TLS", ClientIdentity::of(&auth)),
        invalid("key of another party", ClientIdentity::new(&[good.certificate.der()], &auth)),
        invalid("revoked", ClientIdentity::of(&revoked)),
        valid("another role", ClientIdentity::of(&call.other_role)),
        valid("another tenant", ClientIdentity::of(&tenant)),
        WrongIdentity { alpn: b"smtp", ..invalid("another application protocol", ClientIdentity::of(good)) },
    ];
    if let Some(own) = &call.call_of_other_role {
        let other = valid("another role, in its own name", ClientIdentity::of(&call.other_role));
        all.push(WrongIdentity { call: Some(own.clone()), ..other });
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_wrong_identities_are_refused_at_once() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    for call in &authenticated_calls(&servers) {
        call.serves_the_honest(&servers).await;
        for round in 0..rounds() {
            for wrong in wrong(&servers.pki, call) {
                let refusal = call.refuses(&servers, &wrong).await;
                assert_eq!(refusal == "TLS", !wrong.is_valid, "{}, {}", call.name, wrong.kind);
                if round == 0 {
                    println!("{:<18} {:<36} {refusal}", call.name, wrong.kind);
                    call.serves_the_honest(&servers).await;
                }
            }
        }
        call.serves_the_honest(&servers).await;
    }
    servers.check_memory();
}

/// Checks that the honest client of a door is answered in time.
pub(crate) async fn serves_the_honest(door: &Door) {
    let (service, took) = door.serve_honest().await;
    assert_eq!(service, Service::Answered, "{}", door.name);
    assert!(took < ANSWER, "{}: {took:?}", door.name);
}

/// Prints the refusal of a wrong identity, and checks its time.
pub(crate) fn refused(door: &str, kind: &str, refusal: &str, took: Duration) {
    println!("{door:<18} {kind:<36} {refusal}");
    assert!(took < ANSWER, "{door}, {kind}: {took:?}");
}

/// Returns the wrong identities of a card, given the right one.
fn wrong_cards(card: &PskClient) -> Vec<(&'static str, PskClient)> {
    let text = String::from_utf8(card.identity.clone()).unwrap();
    let identity = |identity: &[u8]| PskClient { identity: identity.to_vec(), ..card.clone() };
    let key = |key: Vec<u8>| PskClient { key, ..card.clone() };
    let suites = |suites: &str| PskClient { suites: suites.to_owned(), ..card.clone() };
    let version = |version| PskClient { version, ..suites("ALL:PSK:@SECLEVEL=0") };
    let mut changed = card.key.clone();
    changed[15] ^= 1;
    let other_eid = text.replace(EID, "89049032000000000000000000000260");
    vec![
        ("identity of another card", identity(other_eid.as_bytes())),
        ("identity with another key version", identity(text.replace("830140", "830141").as_bytes())),
        ("identity with another key number", identity(text.replace("820101", "820102").as_bytes())),
        ("identity of another application", identity(text.replace("8900000100", "8900000200").as_bytes())),
        ("identity with another version", identity(text.replace("800102", "800101").as_bytes())),
        ("truncated identity", identity(&card.identity[..88])),
        ("continued identity", identity(format!("{text}00").as_bytes())),
        ("malformed identity", identity(b"\x1b[31m")),
        ("identity that is not UTF-8", identity(b"\xff\xfe")),
        ("empty identity", identity(b"")),
        ("identity of 127 octets", identity(&[b'8'; 127])),
        ("wrong key", key(changed)),
        ("key of zeros", key(vec![0; 16])),
        ("short key", key(card.key[..8].to_vec())),
        ("long key", key([&card.key[..], &card.key].concat())),
        ("suite without encryption", suites("PSK-NULL-SHA256:@SECLEVEL=0")),
        ("suite with an ephemeral key", suites("DHE-PSK-AES128-GCM-SHA256")),
        ("suite without authentication", suites("ADH-AES128-GCM-SHA256:@SECLEVEL=0")),
        ("suite with certificates", suites("ECDHE-RSA-AES128-GCM-SHA256")),
        ("TLS 1.3", version(SslVersion::TLS1_3)),
        ("TLS 1.1", version(SslVersion::TLS1_1)),
    ]
}

#[tokio::test]
async fn wrong_identities_are_refused_at_once_at_the_port_of_cards() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    let doors = doors(&servers);
    let cards = doors.iter().find(|door| matches!(door.honest, Honest::Psk(..))).unwrap();
    for (kind, client) in wrong_cards(&servers.card()) {
        let begun = Instant::now();
        let connection = timeout(10 * ANSWER, client.connect(HOSTILE, cards.address)).await;
        let connection = connection.unwrap_or_else(|_| panic!("{kind}: no answer"));
        assert!(connection.is_err(), "{kind}: accepted");
        refused("ES5", kind, "TLS", begun.elapsed());
        serves_the_honest(cards).await;
    }
    servers.check_memory();
}

/// Returns binds with a wrong account or a wrong password.
fn wrong_binds() -> Vec<(&'static str, Bind)> {
    let bind = |account: &str, password: &str| Bind::new(account, password);
    let upper = PASSWORD.to_uppercase();
    vec![
        ("unknown account", bind("nobody", PASSWORD)),
        ("empty account", bind("", PASSWORD)),
        ("account in upper case", bind(&ACCOUNT.to_uppercase(), PASSWORD)),
        ("account with a blank", bind("sm-sr ", PASSWORD)),
        ("truncated account", bind(&ACCOUNT[..4], PASSWORD)),
        ("continued account", bind("sm-sr2", PASSWORD)),
        ("account of 16 octets", bind("sm-sr-sm-sr-sm-s", PASSWORD)),
        ("account that is not ASCII", Bind::new(b"sm-sr\xff", PASSWORD)),
        ("empty account and password", bind("", "")),
        ("password as account", bind(PASSWORD, ACCOUNT)),
        ("wrong password", bind(ACCOUNT, "secreT")),
        ("empty password", bind(ACCOUNT, "")),
        ("password in upper case", bind(ACCOUNT, &upper)),
        ("password with a blank", bind(ACCOUNT, "secret ")),
        ("truncated password", bind(ACCOUNT, &PASSWORD[..5])),
        ("continued password", bind(ACCOUNT, "secret1")),
        ("password of 9 octets", bind(ACCOUNT, "secret123")),
        ("password that is not ASCII", Bind::new(ACCOUNT, b"secret\xff")),
    ]
}

#[tokio::test]
async fn wrong_accounts_are_refused_at_once_at_the_smsc() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    let doors = doors(&servers);
    let smsc = doors.iter().find(|door| matches!(door.honest, Honest::Smpp(_))).unwrap();
    for (kind, bind) in wrong_binds() {
        let begun = Instant::now();
        let mut stream = tcp(HOSTILE, smsc.address).await.unwrap();
        let status = timeout(10 * ANSWER, smpp_status(&mut stream, &bind.to_bytes())).await;
        let status = status.unwrap_or_else(|_| panic!("{kind}: no answer")).unwrap();
        assert_ne!(status, 0, "{kind}: accepted");
        refused("SMPP", kind, &format!("command_status {status:08X}"), begun.elapsed());
        serves_the_honest(smsc).await;
    }
    servers.check_memory();
}
