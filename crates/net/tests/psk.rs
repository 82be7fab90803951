//! Tests of the TLS-PSK server with OpenSSL's client: suites and versions, keys, and alerts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use common::AbortOnDrop;
use crypto::Secret;
use http::{Request, Response, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use world::{BoxFuture, Fault, LinkFault, PskIdentity};

/// The identity has 90 characters, as that of a card in SGP.02.
const IDENTITY: &str =
    "8001028110890490321234512345123456789012354F10A0000005591010FFFFFFFF8900000100820101830140";
const KEY: [u8; 16] = *b"\x01key of one card";

struct OneKey;

impl net::PskKeys for OneKey {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(async move {
            // The lookup is asynchronous, so the handshake has to wait.
            tokio::task::yield_now().await;
            match identity {
                IDENTITY => Ok(Some(KEY.to_vec().into())),
                "broken" => Err(Fault::new("cannot read the records", "the disk is full", "make room")),
                _ => Ok(None),
            }
        })
    }
}

/// Answers with the identity and the size of the request, or with 204 to an empty request.
async fn mirror(request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
    let identity = request.extensions().get::<PskIdentity>().unwrap().0.clone();
    if request.uri().path() == "/end" {
        let end = Response::builder().status(StatusCode::NO_CONTENT).header(header::CONNECTION, "close");
        return Ok(end.body(Bytes::new()).unwrap());
    }
    Ok(Response::new(format!("{identity} {:?} {}", request.version(), request.body().len()).into()))
}

async fn serve() -> (String, AbortOnDrop) {
    let listener = net::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server =
        net::serve_psk(listener, Arc::new(OneKey), tower::service_fn(mirror), std::future::pending());
    (address, AbortOnDrop(tokio::spawn(server.unwrap())))
}

/// Returns what the server sends to `openssl s_client` with these arguments and this `input`, and
/// the output of the client.
async fn s_client(address: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", address, "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|why| panic!("openssl cannot be run: {why}"));
    client.stdin.as_mut().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = client.wait_with_output().await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn with_key<'a>(identity: &'a str, key: &'a str) -> Vec<&'a str> {
    vec!["-psk", key, "-psk_identity", identity, "-tls1_2"]
}

const TWO_REQUESTS: &str = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
    POST /end HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn both_suites_work_and_requests_contain_the_identity() {
    let (address, _server) = serve().await;
    let key = hex::encode(KEY);
    for suite in ["PSK-AES128-GCM-SHA256", "PSK-AES128-CBC-SHA256"] {
        let arguments = [with_key(IDENTITY, &key), vec!["-cipher", suite]].concat();
        let (ok, output) = s_client(&address, &arguments, TWO_REQUESTS).await;
        assert!(ok, "{suite}: {output}");
        assert!(output.contains(&format!("Cipher is {suite}")), "{output}");
        assert!(output.contains(&format!("{IDENTITY} HTTP/1.1 3")), "{output}");
        assert!(output.contains("transfer-encoding: chunked"), "{output}");
        assert!(output.contains("204 No Content"), "{output}");
        // The server closes the TLS session, not only the connection.
        assert!(output.contains("closed"), "{output}");
        assert!(!output.contains("unexpected eof"), "{output}");
        assert!(!output.contains("TLS session ticket:"), "{output}");
        assert!(!output.contains("Extended master secret: no"), "{output}");
    }
}

#[tokio::test]
async fn encrypt_then_mac_is_not_acknowledged() {
    let (address, _server) = serve().await;
    let key = hex::encode(KEY);
    let arguments =
        [with_key(IDENTITY, &key), vec!["-cipher", "PSK-AES128-CBC-SHA256", "-tlsextdebug"]].concat();
    let (ok, output) = s_client(&address, &arguments, TWO_REQUESTS).await;
    assert!(ok, "{output}");
    assert!(output.contains("TLS server extension"), "{output}");
    assert!(!output.contains("encrypt-then-mac"), "{output}");
}

#[tokio::test]
async fn a_wrong_key_is_answered_with_an_alert() {
    let (address, _server) = serve().await;
    let (right, wrong) = (hex::encode(KEY), hex::encode([9; 16]));
    let unknown = "unknown psk identity";
    let refused = [
        (with_key("someone else", &right), unknown),
        (with_key(&IDENTITY[1..], &right), unknown),
        (with_key("broken", &right), unknown),
        // The Finished message cannot be decrypted (RFC 4279 section 2 requires decrypt_error;
        // OpenSSL sends another alert).
        (with_key(IDENTITY, &wrong), "bad record mac"),
    ];
    for (arguments, alert) in refused {
        let (ok, output) = s_client(&address, &arguments, TWO_REQUESTS).await;
        assert!(!ok, "{output}");
        assert!(output.contains(alert), "{arguments:?}: {output}");
    }
}

#[tokio::test]
async fn other_versions_and_suites_are_refused() {
    let (address, _server) = serve().await;
    let key = hex::encode(KEY);
    let psk = ["-psk", &key, "-psk_identity", IDENTITY];
    let refused: [(&[&str], &str); 5] = [
        (&["-tls1_3"], "protocol version"),
        (&["-tls1_1", "-cipher", "PSK-AES128-CBC-SHA@SECLEVEL=0"], "protocol version"),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"],
            "handshake failure",
        ),
        (&["-tls1_2", "-cipher", "PSK-NULL-SHA256:@SECLEVEL=0"], "handshake failure"),
        (&["-tls1_2", "-cipher", "PSK-AES256-GCM-SHA384:ECDHE-PSK-AES128-CBC-SHA256"], "handshake failure"),
    ];
    for (arguments, alert) in refused {
        let (ok, output) = s_client(&address, &[&psk, arguments].concat(), "").await;
        assert!(!ok, "{arguments:?}: {output}");
        assert!(output.contains(alert), "{arguments:?}: {output}");
    }
}

#[tokio::test]
async fn connections_without_tls_are_closed_while_others_are_served() {
    let (address, _server) = serve().await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    silent.write_all(&[22, 3, 1, 0, 200, 1]).await.unwrap();
    let mut other = TcpStream::connect(&address).await.unwrap();
    other.write_all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut output = Vec::new();
    other.read_to_end(&mut output).await.unwrap();
    assert!(!output.starts_with(b"HTTP"), "{output:?}");
    let key = hex::encode(KEY);
    assert!(s_client(&address, &with_key(IDENTITY, &key), TWO_REQUESTS).await.0);
}

#[tokio::test]
async fn a_source_over_its_limit_replaces_its_own_silent_connection() {
    let (address, _server) = serve().await;
    let mut silent = Vec::new();
    for _ in 0..=net::psk::MAX_PSK_CONNECTIONS / 2 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    // The handshake would time out later, and with an error.
    let closed = tokio::time::timeout(net::http::HANDSHAKE_TIMEOUT / 2, silent[0].read(&mut [0])).await;
    assert_eq!(closed.expect("the connection is open").unwrap(), 0);
}
