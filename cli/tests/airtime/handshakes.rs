//! The cost of handshakes, and of a poll on an open connection.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use coap::Transmission;
use net::{Client, ClientDtls, ClientTls, OsClock, OsRandom, ServerTrust};
use rsp::{
    ids::{Eid, Version},
    sgp32::{
        self,
        esipa::{
            EimPackageError, GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa, USER_AGENT_IPAD,
            asn1,
        },
    },
};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use world::{Link, World};

use crate::{
    common::{Running, landfall, succeed},
    wire::{Count, Proxy},
};

const EID: &str = "89049032000000000000000000000163";
/// The name of the eIM, which is not in the DNS.
const NAME: &str = "eim.landfall.example";

/// Returns the cost of each handshake, and of a poll without an order on each kind of connection.
pub(crate) async fn measured() -> Vec<(&'static str, Count)> {
    let folder = tempfile::tempdir().unwrap();
    let listen = ["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0", "--listen-coap", "127.0.0.1:0"];
    let serve = ["--json", "eim", "serve", "--also-known-as", NAME, "--device", EID];
    let eim = Running::start(landfall(folder.path()).args(serve).args(listen));
    let ready = eim.out.json();
    let address = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
    // The eIM gets the data of the device, so that the following polls have no package.
    let eim_configuration = folder.path().join("eim.json");
    let configuration = ["--json", "eim", "configuration", "--api", &address("api")];
    std::fs::write(&eim_configuration, succeed(landfall(folder.path()).args(configuration))).unwrap();
    let run = ["device", "--eid", EID, "run", "--iot", "--once", "--eim-configuration"];
    succeed(landfall(folder.path()).args(run).arg(&eim_configuration));

    let root = std::fs::read(ready["root_certificate"].as_str().unwrap()).unwrap();
    let trust = ServerTrust::Certificates { anchors: vec![root.clone()], check: Arc::new(|_| Ok(())) };

    let proxy = Proxy::tcp(&address("eim")).await;
    let tls = ClientTls::trusting(trust.clone(), Arc::new(OsClock)).unwrap();
    let link = Client::default().with_connect_to(NAME, &proxy.address).link(NAME, Some(tls)).unwrap();
    poll(&link).await;
    let first = proxy.on_ip(1);
    // Frames of HTTP/2 that belong to the new connection can arrive after the first answer.
    poll(&link).await;
    let before = proxy.mark();
    poll(&link).await;
    let poll_over_tls = proxy.on_ip_since(before, 1);
    let tls_full = first - poll_over_tls;
    let [rustls_full, rustls_resumed] = rustls(folder.path(), root).await;

    let proxy = Proxy::udp(&address("eim_coap")).await;
    let dtls = ClientDtls::new(trust, Arc::new(OsClock)).unwrap();
    let world = World::new(OsClock, OsRandom::new().unwrap());
    let client = Client::default().with_connect_to(NAME, &proxy.address);
    let link = client.coap_link(NAME, dtls, world, Transmission::default()).unwrap();
    poll(&link).await;
    let first = proxy.on_ip(1);
    let before = proxy.mark();
    poll(&link).await;
    let poll_over_dtls = proxy.on_ip_since(before, 1);

    let before = proxy.mark();
    let session = folder.path().join("session.pem");
    let session = session.to_str().unwrap();
    openssl(&proxy.address, &["-sess_out", session]).await;
    let openssl_full = proxy.on_ip_since(before, 0);
    let before = proxy.mark();
    let printed = openssl(&proxy.address, &["-sess_in", session]).await;
    assert!(printed.contains("Reused"), "{printed}");
    let openssl_resumed = proxy.on_ip_since(before, 0);
    vec![
        ("TCP and TLS 1.3, full", tls_full),
        ("TLS 1.3 between two ends of rustls, full", rustls_full),
        ("TLS 1.3 between two ends of rustls, resumed", rustls_resumed),
        ("DTLS 1.2, full", first - poll_over_dtls),
        ("DTLS 1.2 of `openssl s_client`, full", openssl_full),
        ("DTLS 1.2 of `openssl s_client`, resumed", openssl_resumed),
        ("poll over HTTPS", poll_over_tls),
        ("poll over CoAP", poll_over_dtls),
    ]
}

async fn poll(link: &Link) {
    let eid: Eid = EID.parse().unwrap();
    let request = GetEimPackageRequest {
        eid_value: eid,
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    };
    let message = MessageFromIpa::GetEimPackageRequest(request);
    let request = asn1::request(Version([2, 6, 0]), sgp32::Version::default(), USER_AGENT_IPAD, &message);
    let response: GetEimPackageResponse = asn1::answer(&world::send(link, request).await.unwrap()).unwrap();
    let none = GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE);
    assert_eq!(response, none);
}

/// Returns the cost of a full and of a resumed handshake, with an octet of data and the closing alerts.
/// The eIM resumes no TLS sessions, so that this server only has its certificate.
async fn rustls(folder: &Path, root: Vec<u8>) -> [Count; 2] {
    let named = ["certs", "issue", "eim", "--name", NAME, "--host", NAME];
    succeed(landfall(folder).args(named));
    let issued = |file: &str| std::fs::read(folder.join("pki/EIM/eim_landfall_example").join(file)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&issued("SK_TLS_NIST.pem")).unwrap();
    let chain = vec![issued("CERT_TLS_NIST.der").into()];
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(server.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::tcp(&listener.local_addr().unwrap().to_string()).await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.shutdown().await.unwrap();
            // The client closes the connection.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(root.into()).unwrap();
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let mut counts = Vec::new();
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let before = proxy.mark();
        let stream = TcpStream::connect(&proxy.address).await.unwrap();
        let mut stream = connector.connect(NAME.try_into().unwrap(), stream).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
        stream.shutdown().await.unwrap();
        counts.push(proxy.on_ip_since(before, 0));
    }
    [counts[0], counts[1]]
}

/// Runs the DTLS client of OpenSSL until its handshake is complete. Returns what it prints.
async fn openssl(address: &str, arguments: &[&str]) -> String {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-dtls1_2", "-connect", address]).args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
