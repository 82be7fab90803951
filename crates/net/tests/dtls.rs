//! CoAP over DTLS on loopback with temporary certificates.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coap::Transmission;
use common::{AbortOnDrop, Ca, clock, time};
use http::{Request, Response, StatusCode};
use net::dtls::{DtlsLimits, IDLE_TIMEOUT, serve_coap_within};
use net::{Client, ClientDtls, Identity, ServerDtls, ServerTrust, listen_udp};
use openssl::x509::X509;
use tokio::net::UdpSocket;
use world::{Link, LinkFault, LinkFaultKind, ManualClock, PeerAddress, SeededRandom, World, link_from};

const NAME: &str = "eim.example.com";

fn world(name: &str) -> World {
    World::new(clock(), SeededRandom::from_text(name))
}

/// A server that returns the address of its client and the body of the request.
struct Server {
    address: SocketAddr,
    executed: Arc<AtomicU32>,
    _task: AbortOnDrop,
}

impl Server {
    async fn of(identity: &Identity) -> Self {
        Self::within(DtlsLimits::default(), identity).await
    }

    async fn within(limits: DtlsLimits, identity: &Identity) -> Self {
        let executed = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&executed);
        let service = link_from(tower::service_fn(move |request: Request<Bytes>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let source = request.extensions().get::<PeerAddress>().unwrap().0.to_string();
                Ok::<_, LinkFault>(Response::new([source.as_bytes(), request.body()].concat().into()))
            }
        }));
        let socket = listen_udp("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let dtls = ServerDtls::new(identity, &world("server")).unwrap();
        let serving =
            serve_coap_within(limits, socket, dtls, service, world("server"), std::future::pending());
        Self { address, executed, _task: AbortOnDrop(tokio::spawn(serving)) }
    }

    fn link(&self, trust: ServerTrust) -> Link {
        self.link_at(NAME, trust, clock())
    }

    fn link_at(&self, name: &str, trust: ServerTrust, clock: ManualClock) -> Link {
        link(name, self.address, trust, clock)
    }
}

fn link(name: &str, address: SocketAddr, trust: ServerTrust, clock: ManualClock) -> Link {
    let dtls = ClientDtls::new(trust, Arc::new(clock)).unwrap();
    let client = Client::default().with_connect_to(name, &address.to_string());
    client.coap_link(name, dtls, world("client"), Transmission::default()).unwrap()
}

fn trusting(anchor: &[u8]) -> ServerTrust {
    ServerTrust::Certificates { anchors: vec![anchor.to_vec()], check: Arc::new(|_| Ok(())) }
}

fn key_of(identity: &Identity) -> Vec<u8> {
    X509::from_der(&identity.chain[0]).unwrap().public_key().unwrap().public_key_to_der().unwrap()
}

async fn ask(link: &Link, length: usize) -> Result<(), LinkFault> {
    ask_from("127.0.0.1", link, length).await
}

/// Sends a request that arrives from this address.
async fn ask_from(source: &str, link: &Link, length: usize) -> Result<(), LinkFault> {
    let body = Bytes::from(vec![0x5A; length]);
    let answer = world::send(link, common::post("/gsma/rsp2/asn1", body.clone())).await?;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(*answer.body(), [source.as_bytes(), &body].concat());
    Ok(())
}

async fn refused(link: &Link) -> String {
    let fault = ask(link, 1).await.unwrap_err();
    assert_eq!(fault.kind, LinkFaultKind::Tls, "{fault}");
    fault.why
}

#[tokio::test]
async fn requests_and_responses_of_many_blocks_travel_over_dtls() {
    let ca = Ca::new("root");
    for identity in [ca.leaf(NAME), ca.leaf_below_intermediate(NAME)] {
        let server = Server::of(&identity).await;
        let link = server.link(trusting(&ca.root));
        for length in [1, 1000, 1025, 20_000] {
            ask(&link, length).await.unwrap();
        }
        assert_eq!(server.executed.load(Ordering::SeqCst), 4);
    }
}

#[tokio::test]
async fn a_server_with_a_wrong_certificate_gets_no_request() {
    let (ca, other) = (Ca::new("root"), Ca::new("other"));
    let identity = ca.leaf(NAME);
    let server = Server::of(&identity).await;
    let at = |text| ManualClock::at(time(text));
    let expired = server.link_at(NAME, trusting(&ca.root), at("2027-02-01T00:00:00Z"));
    assert_eq!(refused(&expired).await, "certificate has expired");
    let early = server.link_at(NAME, trusting(&ca.root), at("2025-12-01T00:00:00Z"));
    assert_eq!(refused(&early).await, "certificate is not yet valid");
    let renamed = server.link_at("other.example.com", trusting(&ca.root), clock());
    assert_eq!(refused(&renamed).await, "hostname mismatch");
    let address = server.link_at("127.0.0.1", trusting(&ca.root), clock());
    assert_eq!(refused(&address).await, "IP address mismatch");
    let unknown = refused(&server.link(trusting(&other.root))).await;
    assert!(unknown.contains("unable to get local issuer certificate"), "{unknown}");
    let check = Arc::new(|_: &[u8]| Err("the certificate has the role of another server".to_owned()));
    let anchors = vec![ca.root.clone()];
    let checked = server.link(ServerTrust::Certificates { anchors, check });
    assert_eq!(refused(&checked).await, "the certificate has the role of another server");
    let pinned = refused(&server.link(ServerTrust::PinnedKey(key_of(&other.leaf(NAME))))).await;
    assert_eq!(pinned, "the server has another key than the pinned one");
    // RFC 6125 section 7.2: a wildcard is a complete label.
    let partial = Server::of(&ca.leaf("ei*.example.com")).await;
    assert_eq!(refused(&partial.link(trusting(&ca.root))).await, "hostname mismatch");
    assert_eq!(server.executed.load(Ordering::SeqCst), 0);
}

/// `trustedPublicKeyDataTls` can contain the key or the certificate of the server itself.
#[tokio::test]
async fn a_server_is_recognised_by_its_key_or_by_its_own_certificate() {
    let identity = Ca::new("root").leaf(NAME);
    let server = Server::of(&identity).await;
    ask(&server.link(trusting(&identity.chain[0])), 10).await.unwrap();
    let late = ManualClock::at(time("2040-01-01T00:00:00Z"));
    let pinned = ServerTrust::PinnedKey(key_of(&identity));
    ask(&server.link_at("any.example.com", pinned, late), 10).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_does_not_belong_to_its_key_is_refused() {
    let ca = Ca::new("root");
    let mixed = Identity { key: ca.leaf(NAME).key, ..ca.leaf(NAME) };
    assert!(ServerDtls::new(&mixed, &world("server")).is_err());
    assert!(ServerDtls::new(&Identity { chain: Vec::new(), ..ca.leaf(NAME) }, &world("server")).is_err());
}

/// The datagrams are lost in the handshake and after it.
#[tokio::test]
async fn lost_datagrams_are_repeated() {
    let ca = Ca::new("root");
    let server = Server::of(&ca.leaf(NAME)).await;
    let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let to = server.address;
    let _proxy = AbortOnDrop(tokio::spawn(async move {
        let mut client = None;
        let mut buffer = vec![0; 2048];
        for number in 0_u32.. {
            let (length, from) = proxy.recv_from(&mut buffer).await.unwrap();
            if from != to {
                client = Some(from);
            }
            let target = if from == to { client.unwrap() } else { to };
            if ![0, 3, 5, 9, 14].contains(&number) {
                proxy.send_to(&buffer[..length], target).await.unwrap();
            }
        }
    }));
    let link = link(NAME, address, trusting(&ca.root), clock());
    ask(&link, 1500).await.unwrap();
    assert_eq!(server.executed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn openssl_completes_a_handshake_and_verifies_the_server() {
    let ca = Ca::new("root");
    let server = Server::of(&ca.leaf_below_intermediate(NAME)).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    std::fs::write(&root, X509::from_der(&ca.root).unwrap().to_pem().unwrap()).unwrap();
    for (name, expected) in [(NAME, "Verification: OK"), ("other.example.com", "hostname mismatch")] {
        let output = tokio::process::Command::new("openssl")
            .args(["s_client", "-dtls1_2", "-connect", &server.address.to_string(), "-CAfile"])
            .arg(&root)
            .args(["-attime", "1793491200", "-verify_hostname", name])
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256"), "{text}");
    }
}

// req: RFC.6347-4.2.1-Cookie
#[tokio::test]
async fn a_cookie_belongs_to_its_address_and_a_client_without_one_takes_no_place() {
    let ca = Ca::new("root");
    let limits = DtlsLimits { associations: 1, ..DtlsLimits::default() };
    let server = Server::within(limits, &ca.leaf(NAME)).await;
    let proxy = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let link = link(NAME, proxy.local_addr().unwrap(), trusting(&ca.root), clock());
    let (to, hellos) = (server.address, Arc::new(Mutex::new(Vec::new())));
    let kept = Arc::clone(&hellos);
    let _proxy = AbortOnDrop(tokio::spawn(async move {
        let (mut client, mut buffer) = (None, vec![0; 2048]);
        loop {
            let (length, from) = proxy.recv_from(&mut buffer).await.unwrap();
            // A record of the handshake with the message ClientHello.
            if from != to && buffer[0] == 22 && buffer[13] == 1 {
                kept.lock().unwrap().push(buffer[..length].to_vec());
            }
            let target = if from == to { client.unwrap() } else { to };
            client = if from == to { client } else { Some(from) };
            proxy.send_to(&buffer[..length], target).await.unwrap();
        }
    }));
    ask(&link, 1).await.unwrap();
    let hellos = hellos.lock().unwrap().clone();
    assert_eq!(hellos.len(), 2, "without and with the cookie");
    for _ in 0..10 {
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for hello in &hellos {
            other.send_to(hello, server.address).await.unwrap();
            let mut reply = [0; 2048];
            let length = other.recv(&mut reply).await.unwrap();
            assert_eq!((reply[0], reply[13]), (22, 3), "HelloVerifyRequest");
            assert!(length < hello.len());
        }
    }
    // The association is still there, although there is one place only.
    ask(&link, 1).await.unwrap();
}

/// Datagrams that are no records, and records of the handshake that are cut or changed.
#[tokio::test]
async fn hostile_datagrams_do_not_disturb_other_clients() {
    let ca = Ca::new("root");
    let server = Server::of(&ca.leaf(NAME)).await;
    let link = server.link(trusting(&ca.root));
    ask(&link, 1).await.unwrap();
    let hostile = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let random = SeededRandom::from_text("hostile datagrams");
    for length in 0..200 {
        let mut octets = vec![0; length];
        world::Random::fill(&random, &mut octets);
        hostile.send_to(&octets, server.address).await.unwrap();
        for (at, octet) in [22, 0xFE, 0xFD, 0, 0].into_iter().enumerate() {
            octets.get_mut(at).into_iter().for_each(|there| *there = octet);
        }
        hostile.send_to(&octets, server.address).await.unwrap();
    }
    ask(&link, 1).await.unwrap();
    ask(&server.link(trusting(&ca.root)), 1).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_exist_is_reported() {
    let socket = listen_udp("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let link = link(NAME, address, trusting(&Ca::new("root").root), clock());
    assert_eq!(ask(&link, 1).await.unwrap_err().kind, LinkFaultKind::Refused);
    let invalid = listen_udp("127.0.0.1:99999").await.unwrap_err();
    assert!(invalid.to_string().contains("127.0.0.1:99999"), "{invalid}");
}

#[tokio::test]
async fn associations_over_the_limit_replace_the_one_that_was_idle_longest() {
    let ca = Ca::new("root");
    let limits = DtlsLimits { associations: 2, ..DtlsLimits::default() };
    let server = Server::within(limits, &ca.leaf(NAME)).await;
    let links = [(); 3].map(|()| server.link(trusting(&ca.root)));
    ask(&links[0], 1).await.unwrap();
    ask(&links[1], 1).await.unwrap();
    ask(&links[0], 1).await.unwrap();
    ask(&links[2], 1).await.unwrap();
    // The first and the third still have their associations.
    ask(&links[0], 1).await.unwrap();
    ask(&links[2], 1).await.unwrap();
    assert_eq!(ask(&links[1], 1).await.unwrap_err().kind, LinkFaultKind::Reset);
    assert_eq!(server.executed.load(Ordering::SeqCst), 6);
}

/// Passes datagrams of one client to the server at `to`, from another address of the loopback
/// interface.
async fn relay(source: &str, to: SocketAddr) -> (SocketAddr, AbortOnDrop) {
    let socket = UdpSocket::bind((source, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, mut buffer) = (to, vec![0; 2048]);
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            client = if from == to { client } else { from };
            let target = if from == to { client } else { to };
            socket.send_to(&buffer[..length], target).await.unwrap();
        }
    });
    (address, AbortOnDrop(task))
}

#[tokio::test]
async fn a_source_with_its_maximum_replaces_its_own_association() {
    let ca = Ca::new("root");
    let limits = DtlsLimits { associations_per_source: 1, ..DtlsLimits::default() };
    let server = Server::within(limits, &ca.leaf(NAME)).await;
    let (address, _relay) = relay("127.0.0.2", server.address).await;
    let other = link(NAME, address, trusting(&ca.root), clock());
    ask_from("127.0.0.2", &other, 1).await.unwrap();
    let links = [(); 2].map(|()| server.link(trusting(&ca.root)));
    ask(&links[0], 1).await.unwrap();
    ask(&links[1], 1).await.unwrap();
    ask(&links[1], 1).await.unwrap();
    assert_eq!(ask(&links[0], 1).await.unwrap_err().kind, LinkFaultKind::Reset);
    // The association of another source stays, although it was idle for longer.
    ask_from("127.0.0.2", &other, 1).await.unwrap();
    assert_eq!(server.executed.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn an_idle_association_ends_and_the_client_opens_another() {
    let ca = Ca::new("root");
    let server = Server::of(&ca.leaf(NAME)).await;
    let link = server.link(trusting(&ca.root));
    ask(&link, 1).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(IDLE_TIMEOUT + Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(ask(&link, 1).await.unwrap_err().kind, LinkFaultKind::Reset);
    ask(&link, 1).await.unwrap();
}
