//! TLS tests on loopback with temporary certificates: accepted and refused clients and servers, and
//! their alerts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::sync::Arc;

use common::{Ca, clock, post, serve_mirror, server_tls, time};
use http::Request;
use net::{Client, ClientAuth, ClientTls, Identity, ServerTls};
use rcgen::CustomExtension;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::{LinkFault, LinkFaultKind, send};

const NAME: &str = "smdp.example.com";

/// Returns the answer of the mirror at `address` to a client with this TLS configuration and server
/// `name`.
async fn ask(name: &str, address: &str, tls: &ClientTls) -> Result<String, LinkFault> {
    let link = Client::default().with_connect_to(name, address).link(name, Some(tls.clone())).unwrap();
    let answer = send(&link, post("/x", "abc")).await?;
    Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
}

async fn refused(name: &str, address: &str, tls: &ClientTls) -> LinkFault {
    let fault = ask(name, address, tls).await.unwrap_err();
    assert_eq!(fault.kind, LinkFaultKind::Tls, "{fault}");
    fault
}

#[tokio::test]
async fn https_speaks_http_2_and_verifies_the_name_not_the_address() {
    let ca = Ca::new("root");
    for leaf in [ca.leaf(NAME), ca.leaf_below_intermediate(NAME)] {
        let (address, _server) = serve_mirror(Some(server_tls(&leaf, &ClientAuth::None))).await;
        assert_eq!(ask(NAME, &address, &ca.client_tls(None)).await.unwrap(), "HTTP/2.0 /x 3 nobody");
        refused("other.example.com", &address, &ca.client_tls(None)).await;
        refused("127.0.0.1", &address, &ca.client_tls(None)).await;
    }
}

#[tokio::test]
async fn a_certificate_for_an_ip_address_is_accepted() {
    let ca = Ca::new("root");
    let tls = server_tls(&ca.leaf("127.0.0.1"), &ClientAuth::None);
    let (address, _server) = serve_mirror(Some(tls)).await;
    let link = Client::default().link(&address, Some(ca.client_tls(None))).unwrap();
    assert_eq!(send(&link, Request::default()).await.unwrap().body(), "HTTP/2.0 / 0 nobody");
}

#[tokio::test]
async fn a_server_of_another_root_is_refused() {
    let (address, _server) =
        serve_mirror(Some(server_tls(&Ca::new("a").leaf(NAME), &ClientAuth::None))).await;
    let fault = refused(NAME, &address, &Ca::new("b").client_tls(None)).await;
    assert!(fault.why.contains("UnknownIssuer"), "{fault}");
}

#[tokio::test]
async fn validity_is_checked_with_the_clock_of_the_party_at_every_connection() {
    let ca = Ca::new("root");
    let (address, _server) = serve_mirror(Some(server_tls(&ca.leaf(NAME), &ClientAuth::None))).await;
    let clock = clock();
    let tls = ClientTls::new(std::slice::from_ref(&ca.root), None, Arc::new(clock.clone())).unwrap();
    ask(NAME, &address, &tls).await.unwrap();
    // The same configuration is used again. A resumed session would hide that the certificate has
    // expired.
    clock.set(time("2027-01-02T00:00:00Z"));
    let fault = refused(NAME, &address, &tls).await;
    assert!(fault.why.contains("xpired"), "{fault}");
    clock.set(time("2025-12-31T00:00:00Z"));
    refused(NAME, &address, &tls).await;
}

#[tokio::test]
async fn a_client_certificate_is_optional_but_must_be_valid() {
    let (servers, operators) = (Ca::new("servers"), Ca::new("operators"));
    let auth = ClientAuth::optional(vec![operators.root.clone()]);
    let (address, _server) = serve_mirror(Some(server_tls(&servers.leaf(NAME), &auth))).await;

    let without = ask(NAME, &address, &servers.client_tls(None)).await.unwrap();
    assert_eq!(without, "HTTP/2.0 /x 3 nobody");

    let operator = operators.leaf("operator");
    let with = ask(NAME, &address, &servers.client_tls(Some(&operator))).await.unwrap();
    assert_eq!(with, format!("HTTP/2.0 /x 3 {}", hex::encode(&operator.chain[0])));

    let stranger = Ca::new("strangers").leaf("operator");
    refused(NAME, &address, &servers.client_tls(Some(&stranger))).await;
}

#[tokio::test]
async fn an_expired_client_certificate_is_refused_by_the_servers_clock() {
    let ca = Ca::new("root");
    let late = clock();
    late.set(time("2027-01-02T00:00:00Z"));
    let auth = ClientAuth::optional(vec![ca.root.clone()]);
    let tls = ServerTls::new(&ca.leaf(NAME), &auth, Arc::new(late)).unwrap();
    let (address, _server) = serve_mirror(Some(tls)).await;
    refused(NAME, &address, &ca.client_tls(Some(&ca.leaf("operator")))).await;
}

#[tokio::test]
async fn a_server_that_requests_no_certificate_gets_none() {
    let ca = Ca::new("root");
    let (address, _server) = serve_mirror(Some(server_tls(&ca.leaf(NAME), &ClientAuth::None))).await;
    let answer = ask(NAME, &address, &ca.client_tls(Some(&ca.leaf("operator")))).await.unwrap();
    assert_eq!(answer, "HTTP/2.0 /x 3 nobody");
}

#[tokio::test]
async fn a_further_check_can_refuse_a_certificate_and_gives_the_reason() {
    let ca = Ca::new("root");
    let (address, _server) = serve_mirror(Some(server_tls(&ca.leaf(NAME), &ClientAuth::None))).await;
    let check = Arc::new(|_: &[u8]| Err("it has the role of another server".to_owned()));
    let tls = ClientTls::checking(std::slice::from_ref(&ca.root), None, Arc::new(clock()), check).unwrap();
    let fault = refused(NAME, &address, &tls).await;
    assert_eq!(fault.why, "invalid peer certificate: it has the role of another server");
}

/// webpki does not support certificate policies. The TLS certificates of SGP.22 contain
/// non-critical ones.
#[tokio::test]
async fn a_policy_is_accepted_and_a_critical_one_is_not() {
    // CertificatePolicies { id-rspRole-dp-tls 2.23.146.1.2.1.3 }
    let policies = vec![0x30, 0x0b, 0x30, 0x09, 0x06, 0x07, 0x67, 0x81, 0x12, 0x01, 0x02, 0x01, 0x03];
    let ca = Ca::new("root");
    let mut policies = CustomExtension::from_oid_content(&[2, 5, 29, 32], policies);
    let uncritical = ca.leaf_with(NAME, vec![policies.clone()]);
    let (address, _server) = serve_mirror(Some(server_tls(&uncritical, &ClientAuth::None))).await;
    ask(NAME, &address, &ca.client_tls(None)).await.unwrap();
    policies.set_criticality(true);
    let critical = ca.leaf_with(NAME, vec![policies]);
    let fault = ServerTls::new(&critical, &ClientAuth::None, Arc::new(clock())).unwrap_err();
    assert!(fault.why.contains("UnsupportedCriticalExtension"), "{fault}");
}

#[tokio::test]
async fn https_to_a_server_without_tls_is_a_tls_fault() {
    let (address, _server) = serve_mirror(None).await;
    refused(NAME, &address, &Ca::new("root").client_tls(None)).await;
}

#[tokio::test]
async fn a_client_of_tls_1_2_without_alpn_gets_http_1_1() {
    let ca = Ca::new("root");
    let (address, _server) = serve_mirror(Some(server_tls(&ca.leaf(NAME), &ClientAuth::None))).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(ca.root.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(&address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        stream.write_all(b"GET /y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("HTTP/1.1 /y 0 nobody"), "{answer}");
    }
}

#[test]
fn a_key_of_another_certificate_is_a_fault_at_the_start() {
    let ca = Ca::new("root");
    let mixed = Identity { chain: ca.leaf(NAME).chain, key: ca.leaf(NAME).key };
    let fault = ServerTls::new(&mixed, &ClientAuth::None, Arc::new(clock())).unwrap_err();
    assert!(fault.next.contains("the key belongs to it"), "{fault}");
    assert!(ClientTls::new(&[], None, Arc::new(clock())).is_err(), "no roots");
    assert!(ClientTls::new(&[vec![1, 2, 3]], None, Arc::new(clock())).is_err(), "a root that is none");
}

#[derive(Debug)]
struct AtTestTime;

impl rustls::time_provider::TimeProvider for AtTestTime {
    fn current_time(&self) -> Option<rustls_pki_types::UnixTime> {
        let seconds = u64::try_from(world::Clock::now(&clock()).seconds()).unwrap();
        Some(rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// A client of rustls resumes sessions whenever the server allows it.
#[tokio::test]
async fn the_server_resumes_no_session() {
    let ca = Ca::new("root");
    let (address, _server) = serve_mirror(Some(server_tls(&ca.leaf(NAME), &ClientAuth::None))).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.root.clone().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_details(provider, Arc::new(AtTestTime))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        for connection in 0..2 {
            let stream = TcpStream::connect(&address).await.unwrap();
            let name = ServerName::try_from(NAME).unwrap();
            let mut stream = connector.connect(name, stream).await.unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full), "{version:?}, connection {connection}");
            // A ticket would arrive with the response.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
    }
}

/// A server of rustls offers to resume sessions.
#[tokio::test]
async fn the_client_resumes_no_session_and_closes_each_one() {
    let ca = Ca::new("root");
    let leaf = ca.leaf(NAME);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = leaf.chain.iter().map(|each| CertificateDer::from(each.clone())).collect();
        let key = rustls_pki_types::PrivateKeyDer::Pkcs8(leaf.key.to_vec().into());
        let config = rustls::ServerConfig::builder_with_details(provider, Arc::new(AtTestTime))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let kinds = tokio::spawn(async move {
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.unwrap();
                kinds.push(stream.get_ref().1.handshake_kind());
                assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0);
                let end = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.write_all(end).await.unwrap();
                // Without the alert close_notify, the end would be an error.
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                stream.shutdown().await.unwrap();
            }
            kinds
        });
        let tls = ca.client_tls(None);
        for _ in 0..2 {
            ask(NAME, &address, &tls).await.unwrap();
        }
        assert_eq!(kinds.await.unwrap(), [Some(rustls::HandshakeKind::Full); 2], "{version:?}");
    }
}
