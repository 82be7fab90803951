//! HTTP framing: octets of one connection to a plain server, and the replies that cards read.
//! After each input the server must answer an honest request.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use rsp::ota::admin::ReplyReader;
use tokio::runtime::Runtime;

/// The time after which a server that does not answer counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

static SERVER: LazyLock<(Runtime, SocketAddr)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(net::listen("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let service = tower::service_fn(|request: Request<Bytes>| async move {
        let text = format!("{} {}", request.method(), request.body().len());
        Ok::<_, Infallible>(Response::new(Bytes::from(text)))
    });
    runtime.spawn(net::serve(listener, None, service, std::future::pending()));
    (runtime, address)
});

/// Accepts all octets: the end of the connection and the answer to an honest request are checked. The
/// server may close a connection before it answers, because the client has closed its direction.
pub(crate) fn run(octets: &[u8]) -> bool {
    let mut reader = ReplyReader::default();
    let _ = octets.chunks(11).any(|piece| matches!(reader.push(piece), Ok(Some(_)) | Err(_)));
    send(octets, true);
    let honest = send(b"GET /honest HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false);
    assert!(honest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&honest));
    true
}

/// Sends the octets on a new connection, and closes this direction if `closes`. Returns the answer.
fn send(octets: &[u8], closes: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(SERVER.1).expect("the server accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let mut answer = Vec::new();
    // The server may close the connection before it has read everything.
    if stream.write_all(octets).is_ok() && closes {
        let _ = stream.shutdown(Shutdown::Write);
    }
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the server keeps a closed connection open: {:?}", String::from_utf8_lossy(octets))
        }
        _ => answer,
    }
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let reply = format!(
        "HTTP/1.1 200 OK\r\nX-Admin-Protocol: {}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/vnd.globalplatform.card-content-mgt;version=1.0\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        rsp::ota::admin::PROTOCOL
    );
    [
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        &reply,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
