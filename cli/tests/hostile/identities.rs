//! Clients with wrong identities, and an honest client, at each interface that authenticates
//! clients.
//!
//! | Interface | Function | Honest client |
//! |---|---|---|
//! | SM-DP+, ES2+ | DownloadOrder | the listed operator |
//! | SM-DS, ES12 | DeleteEvent | the SM-DP+ |
//! | SM-DP, ES2 of SGP.02 | GetEIS | the configured operator |
//! | SM-SR, ES4 of SGP.02 | GetEIS | the configured operator |
//! | SM-SR, ES5: HTTPS of cards | none | none: no card is registered |

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use certs::{Certificate, Credential, CrlPlan, Defect, Pki, PkiOptions, Role};
use crypto::Curve;
use rsp::{
    ids::Oid,
    sgp02::{
        BaseRequest, Function, Namespace,
        addressing::{Endpoint, Header, MessageId},
        es2, es4, soap,
    },
};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::common::{Running, landfall, succeed};

/// Time in which every client is answered or refused.
const ANSWER: Duration = Duration::from_secs(1);
/// Maximum memory of a server in KiB.
const MEMORY_KIB: u64 = 256 << 10;
const EID: &str = "89049032000000000000000000000163";

/// A client identity.
#[derive(Debug)]
struct ClientIdentity(Option<Arc<CertifiedKey>>);

impl ClientIdentity {
    /// Creates an identity with this chain and the key of `credential`, which need not belong to
    /// it.
    fn new(chain: &[&[u8]], credential: &Credential) -> Self {
        let key = PrivatePkcs8KeyDer::from(credential.key_pkcs8());
        let key = rustls::crypto::ring::default_provider().key_provider.load_private_key(key.into()).unwrap();
        let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        Self(Some(Arc::new(CertifiedKey::new(chain, key))))
    }

    fn of(credential: &Credential) -> Self {
        Self::new(&[credential.certificate.der()], credential)
    }
}

impl ResolvesClientCert for ClientIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// An interface of a server that authenticates its clients.
struct Interface {
    name: &'static str,
    address: String,
    path: &'static str,
    content_type: String,
    body: String,
    honest: Credential,
    /// Valid certificate of a party that must not use this interface.
    other_role: Credential,
}

impl Interface {
    /// Sends the request with this identity. Returns the HTTP status and the body.
    async fn ask(
        &self,
        root: &Certificate,
        identity: ClientIdentity,
        alpn: &[u8],
    ) -> io::Result<(u16, String)> {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().to_vec().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.unwrap().with_root_certificates(roots);
        let mut config = builder.with_client_cert_resolver(Arc::new(identity));
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(&self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let Self { path, content_type, body, .. } = self;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
             X-Admin-Protocol: gsma/rsp/v2.5.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, text))
    }

    /// Checks that a request with a wrong identity is refused in time. Returns the kind of refusal.
    async fn refuses(
        &self,
        root: &Certificate,
        identity: ClientIdentity,
        alpn: &[u8],
        kind: &str,
    ) -> &'static str {
        let begun = Instant::now();
        let answer = timeout(10 * ANSWER, self.ask(root, identity, alpn)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{}, {kind}: no answer", self.name));
        assert!(begun.elapsed() < ANSWER, "{}, {kind}: {:?}", self.name, begun.elapsed());
        match answer {
            Err(_) => "TLS",
            Ok((403, _)) => "HTTP 403",
            // The function requester is unknown, or is not allowed.
            Ok((200, text)) if text.contains(r#""subjectCode":"1.1""#) => "status 1.1",
            Ok((status, text)) => panic!("{}, {kind}: HTTP {status}: {text}", self.name),
        }
    }

    /// Checks that the honest client is served in time.
    async fn serves_the_honest(&self, root: &Certificate) {
        let begun = Instant::now();
        let answer = self.ask(root, ClientIdentity::of(&self.honest), b"http/1.1").await;
        let (status, text) = answer.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        assert!(status == 200 && !text.contains(r#""subjectCode":"1.1""#), "{}: {text}", self.name);
        assert!(begun.elapsed() < ANSWER, "{}: {:?}", self.name, begun.elapsed());
    }
}

fn json(requester: &Oid, members: &str) -> String {
    format!(
        r#"{{"header":{{"functionRequesterIdentifier":"{requester}","functionCallIdentifier":"1"}},{members}}}"#
    )
}

fn envelope<F: Function>(caller: &Oid, request: &F::Request) -> String {
    let header = Header {
        from: Endpoint::new("https://honest.example/in", Some(caller.clone())),
        to: Endpoint::new("https://localhost/sgp02", None),
        message_id: MessageId {
            uri: format!("//{caller}/1"),
            transaction_id: Some("1".to_owned()),
            context_id: None,
            message_date: None,
        },
        action: F::request_action(),
        relates_to: None,
        reply_to: None,
    };
    soap::envelope(&header, Namespace::V3, request)
}

/// The servers, with their interfaces.
struct Servers {
    running: Vec<(&'static str, Running)>,
    pki: Pki,
    interfaces: Vec<Interface>,
    cards: String,
}

impl Servers {
    fn start(folder: &Path) -> Self {
        succeed(landfall(folder).args(["certs", "init"]));
        let pki = cli::pki::load(&folder.join("pki")).unwrap();
        let revoked = pki.operator("Revoked Operator").unwrap().certificate;
        let plan = CrlPlan { number: 1, revoked: &[&revoked], ..CrlPlan::default() };
        let list = pki.crl(Curve::P256, &plan).unwrap();
        std::fs::write(folder.join("pki/CertificateIssuer/CRL_hostile.crl"), list).unwrap();
        let operator = pki.operator("Landfall Test Operator").unwrap();
        let own = operator.certificate.registered_ids()[0].clone();
        let peer = format!("{own}@127.0.0.1:1");
        let any = ["--listen", "127.0.0.1:0"];
        let start = |arguments: &[&str]| {
            let running = Running::start(landfall(folder).arg("--json").args(arguments).args(any));
            let ready = running.out.json();
            (running, ready["addresses"].clone())
        };
        let own_text = own.to_string();
        let (sm_dp, at_sm_dp) = start(&["sm-dp", "serve", "--operator", &own_text, "--m2m-operator", &peer]);
        let (sm_ds, at_sm_ds) = start(&["sm-ds", "serve"]);
        let peer = format!("operator:{peer}");
        let cards = ["--listen-cards", "127.0.0.1:0"];
        let (sm_sr, at_sm_sr) = start(&[&["sm-sr", "serve", "--peer", &peer][..], &cards].concat());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let dp_tls = pki.credential(Role::DpTls, Curve::P256).unwrap();
        let ds_tls = pki.credential(Role::DsTls, Curve::P256).unwrap();
        let smsr_id: Oid = "2.999.16".parse().unwrap();
        let eid = EID.parse().unwrap();
        let es2 = es2::GetEisRequest { eid, smsr_id, base: BaseRequest::new("1") };
        let es4 = es4::GetEisRequest { eid, base: BaseRequest::new("1") };
        let json_type = "application/json".to_owned();
        let interface =
            |name, address: &str, path, content_type, body, honest: &Credential, other: &Credential| {
                let (address, honest, other_role) = (address.to_owned(), honest.clone(), other.clone());
                Interface { name, address, path, content_type, body, honest, other_role }
            };
        let dp_oid = &dp_tls.certificate.registered_ids()[0];
        let interfaces = vec![
            interface(
                "ES2+",
                &text(&at_sm_dp["sm_dp"]),
                "/gsma/rsp2/es2plus/downloadOrder",
                json_type.clone(),
                json(&own, r#""profileType":"none""#),
                &operator,
                &dp_tls,
            ),
            interface(
                "ES12",
                &text(&at_sm_ds["sm_ds"]),
                "/gsma/rsp2/es12/deleteEvent",
                json_type,
                json(dp_oid, &format!(r#""eid":"{EID}","eventId":"X""#)),
                &dp_tls,
                &ds_tls,
            ),
            interface(
                "ES2 of SGP.02",
                &text(&at_sm_dp["sm_dp"]),
                "/sgp02",
                soap::content_type(&es2::GetEis::request_action()),
                envelope::<es2::GetEis>(&own, &es2),
                &operator,
                &dp_tls,
            ),
            interface(
                "ES4 of SGP.02",
                &text(&at_sm_sr["sm_sr"]),
                "/sgp02",
                soap::content_type(&es4::GetEis::request_action()),
                envelope::<es4::GetEis>(&own, &es4),
                &operator,
                &dp_tls,
            ),
        ];
        let running = vec![("sm-dp", sm_dp), ("sm-ds", sm_ds), ("sm-sr", sm_sr)];
        Self { running, pki, interfaces, cards: text(&at_sm_sr["cards"]) }
    }

    fn check_memory(&self) {
        for (name, running) in &self.running {
            let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
            println!("{name}: peak memory {} MiB", kib >> 10);
            assert!(kib < MEMORY_KIB, "{name}: {kib} KiB");
        }
    }
}

/// Returns the wrong identities for an interface, with the application protocol that they offer.
fn wrong(pki: &Pki, interface: &Interface) -> Vec<(&'static str, ClientIdentity, &'static [u8])> {
    const HTTP: &[u8] = b"http/1.1";
    let good = &interface.honest;
    let defect = |defect| {
        let broken = pki.issue_like(good, defect).unwrap();
        (ClientIdentity::new(&[&broken.der], good), HTTP)
    };
    let stranger = Pki::from_seed(b"stranger", &PkiOptions::default()).unwrap();
    let stranger_operator = stranger.operator("Landfall Test Operator").unwrap();
    let stranger_ci = stranger.credential(Role::Ci, Curve::P256).unwrap();
    let eum = pki.credential(Role::Eum, Curve::P256).unwrap();
    let euicc = pki.euicc(Curve::P256, EID.parse().unwrap()).unwrap().euicc;
    let auth = pki.credential(Role::DpAuth, Curve::P256).unwrap();
    let (euicc_der, eum_der) = (euicc.certificate.der(), eum.certificate.der());
    let kinds = [
        ("no certificate", (ClientIdentity(None), HTTP)),
        ("expired", defect(Defect::Expired)),
        ("not yet valid", defect(Defect::NotYetValid)),
        ("issued by a CI of the same name", defect(Defect::StrangerCi)),
        ("forged signature", defect(Defect::ForgedSignature)),
        ("changed after signing", defect(Defect::Tampered)),
        ("unknown critical extension", defect(Defect::UnknownCriticalExtension)),
        ("key on another curve", defect(Defect::OtherCurve)),
        ("without OID", defect(Defect::NoOid)),
        ("self-signed", (ClientIdentity::of(&stranger_ci), HTTP)),
        ("issued by an unknown CI", (ClientIdentity::of(&stranger_operator), HTTP)),
        ("EUM certificate", (ClientIdentity::of(&eum), HTTP)),
        ("eUICC certificate, chain truncated", (ClientIdentity::of(&euicc), HTTP)),
        ("eUICC certificate with its chain", (ClientIdentity::new(&[euicc_der, eum_der], &euicc), HTTP)),
        ("signing certificate, not for TLS", (ClientIdentity::of(&auth), HTTP)),
        ("key of another party", (ClientIdentity::new(&[good.certificate.der()], &auth), HTTP)),
        ("revoked", (ClientIdentity::of(&pki.operator("Revoked Operator").unwrap()), HTTP)),
        ("another role", (ClientIdentity::of(&interface.other_role), HTTP)),
        ("another tenant", (ClientIdentity::of(&pki.operator("Another Operator").unwrap()), HTTP)),
        ("another application protocol", (ClientIdentity::of(good), b"smtp")),
    ];
    kinds.into_iter().map(|(kind, (identity, alpn))| (kind, identity, alpn)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_identities_are_refused_at_once_at_each_interface() {
    let folder = tempfile::tempdir().unwrap();
    let servers = Servers::start(folder.path());
    let root = servers.pki.ci(Curve::P256).unwrap().clone();
    let rounds = if std::env::var("LANDFALL_HOSTILE").as_deref() == Ok("full") { 20 } else { 1 };
    for interface in &servers.interfaces {
        interface.serves_the_honest(&root).await;
        for round in 0..rounds {
            for (kind, identity, alpn) in wrong(&servers.pki, interface) {
                let refusal = interface.refuses(&root, identity, alpn, kind).await;
                let is_valid_for_tls =
                    ["no certificate", "without OID", "another role", "another tenant"].contains(&kind);
                assert_eq!(refusal == "TLS", !is_valid_for_tls, "{}, {kind}", interface.name);
                if round == 0 {
                    println!("{:<14} {kind:<36} {refusal}", interface.name);
                    interface.serves_the_honest(&root).await;
                }
            }
        }
        interface.serves_the_honest(&root).await;
    }
    servers.check_memory();
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn wrong_identities_are_refused_at_once_at_the_port_of_cards() {
    let folder = tempfile::tempdir().unwrap();
    let servers = Servers::start(folder.path());
    let key = "000102030405060708090a0b0c0d0e0f";
    for (kind, arguments) in [
        ("unknown PSK identity", vec!["-psk", key, "-psk_identity", "80010281108904903200", "-tls1_2"]),
        ("malformed PSK identity", vec!["-psk", key, "-psk_identity", "\u{1b}[31m", "-tls1_2"]),
        ("empty PSK identity", vec!["-psk", key, "-psk_identity", "", "-tls1_2"]),
        ("no PSK", vec!["-tls1_2"]),
        ("TLS 1.3", vec!["-tls1_3"]),
        ("suite without authentication", vec!["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"]),
    ] {
        let begun = Instant::now();
        let mut client = tokio::process::Command::new("openssl");
        client.args(["s_client", "-connect", &servers.cards]).args(&arguments);
        let output = client.stdin(std::process::Stdio::null()).kill_on_drop(true).output();
        let output = timeout(10 * ANSWER, output).await.unwrap_or_else(|_| panic!("{kind}: no answer"));
        let took = begun.elapsed();
        let text = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
        println!("ES5            {kind:<36} {took:?}");
        assert!(text.contains("alert") || text.contains("error"), "{kind}: {text}");
        assert!(took < ANSWER, "{kind}: {took:?}");
    }
    servers.check_memory();
}
