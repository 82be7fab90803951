//! Clients of all kinds: TCP from a chosen address, TLS with a chosen identity, HTTP, TLS-PSK, SMPP
//! and the card's protocol.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use certs::{Certificate, Credential};
use http::{Request, Response};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_openssl::SslStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The loopback address of honest clients, 127.0.0.1.
pub(crate) const HONEST: u8 = 1;
pub(crate) const HTTP_1: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";

/// A stream of any transport.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) type BoxStream = Box<dyn Stream>;

/// Connects from 127.0.0.`source`.
pub(crate) async fn tcp(source: u8, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, source], 0)))?;
    // Otherwise the system would hold back a request until the server has acknowledged the handshake.
    socket.set_nodelay(true)?;
    socket.connect(to).await
}

/// The identity of a TLS client.
#[derive(Clone, Debug)]
pub(crate) struct ClientIdentity(Option<Arc<CertifiedKey>>);

impl ClientIdentity {
    pub(crate) const NONE: Self = Self(None);

    /// Creates an identity with this chain and the key of `credential`, which need not belong to
    /// it.
    pub(crate) fn new(chain: &[&[u8]], credential: &Credential) -> Self {
        let key = PrivatePkcs8KeyDer::from(credential.key_pkcs8());
        let key = rustls::crypto::ring::default_provider().key_provider.load_private_key(key.into()).unwrap();
        let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        Self(Some(Arc::new(CertifiedKey::new(chain, key))))
    }

    pub(crate) fn of(credential: &Credential) -> Self {
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

/// Connects with TLS. `root` is the only trusted certificate.
pub(crate) async fn tls(
    root: &Certificate,
    source: u8,
    to: SocketAddr,
    identity: ClientIdentity,
    alpn: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.der().to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.unwrap().with_root_certificates(roots);
    let mut config = builder.with_client_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = tcp(source, to).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// The TLS parameters of a card.
#[derive(Clone, Debug)]
pub(crate) struct PskClient {
    pub(crate) identity: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) version: SslVersion,
    /// Cipher suites in the syntax of OpenSSL.
    pub(crate) suites: String,
}

impl PskClient {
    /// Connects with TLS and a pre-shared key.
    pub(crate) async fn connect(&self, source: u8, to: SocketAddr) -> io::Result<SslStream<TcpStream>> {
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_min_proto_version(Some(self.version))?;
        context.set_max_proto_version(Some(self.version))?;
        context.set_cipher_list(&self.suites)?;
        let (identity, key) = (self.identity.clone(), self.key.clone());
        context.set_psk_client_callback(move |_, _, identity_buffer, key_buffer| {
            // OpenSSL expects a zero-terminated identity.
            let terminated = [&identity[..], &[0]].concat();
            let Some(place) = identity_buffer.get_mut(..terminated.len()) else { return Ok(0) };
            place.copy_from_slice(&terminated);
            let Some(place) = key_buffer.get_mut(..key.len()) else { return Ok(0) };
            place.copy_from_slice(&key);
            Ok(key.len())
        });
        let ssl = Ssl::new(&context.build())?;
        let mut stream = SslStream::new(ssl, tcp(source, to).await?)?;
        Pin::new(&mut stream).connect().await.map_err(io::Error::other)?;
        Ok(stream)
    }
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct HttpCall {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl HttpCall {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET", path: path.to_owned(), headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn post(path: impl Into<String>, content_type: impl Into<String>, body: String) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.into())];
        Self { method: "POST", path: path.into(), headers, body }
    }

    /// Converts a POST request with text in its headers and its body.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let headers = request.headers().iter();
        Self {
            method: "POST",
            path: request.uri().path().to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Returns the call with only those headers that have another name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    /// Sends the request over `stream`, which the server then closes.
    pub(crate) async fn send(&self, mut stream: impl Stream) -> io::Result<Response<Bytes>> {
        let Self { method, path, headers, body } = self;
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        response(&answer)
    }
}

/// Parses an HTTP/1.1 response whose body is not chunked.
fn response(octets: &[u8]) -> io::Result<Response<Bytes>> {
    const END: &[u8] = b"\r\n\r\n";
    let end = octets.windows(END.len()).position(|it| it == END).ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&octets[..end]);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": "));
    headers
        .fold(Response::builder().status(status), |builder, (name, value)| builder.header(name, value))
        .body(Bytes::copy_from_slice(&octets[end + END.len()..]))
        .map_err(io::Error::other)
}

/// Describes a response for the output of a test.
pub(crate) fn describe(response: &Response<Bytes>) -> String {
    format!("HTTP {}: {}", response.status().as_u16(), String::from_utf8_lossy(response.body()))
}

/// Fields of an SMPP bind.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) system_id: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Bind {
    const BIND_TRANSCEIVER: u32 = 9;
    const INTERFACE_VERSION: u8 = 0x34;

    pub(crate) fn new(system_id: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Self {
        Self { system_id: system_id.as_ref().to_vec(), password: password.as_ref().to_vec() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let version = [0, Self::INTERFACE_VERSION, 0, 0, 0];
        let body = [&self.system_id[..], &[0], &self.password, &[0], &version].concat();
        smpp_request(Self::BIND_TRANSCEIVER, &body)
    }
}

/// Returns an SMPP request with the sequence number 1.
pub(crate) fn smpp_request(command: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let header = [length, command, 0, 1].map(u32::to_be_bytes).concat();
    [&header[..], body].concat()
}

/// Sends an SMPP request. Returns the command_status of the response.
pub(crate) async fn smpp_status(stream: &mut (impl Stream + ?Sized), request: &[u8]) -> io::Result<u32> {
    stream.write_all(request).await?;
    let length = stream.read_u32().await?;
    let mut rest =
        vec![0; usize::try_from(length).unwrap().checked_sub(4).ok_or(io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut rest).await?;
    rest.get(4..8)
        .and_then(|status| status.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the response is shorter than a header"))
}

/// Resets a card. Returns the answer to reset.
pub(crate) async fn reset_card(stream: &mut (impl Stream + ?Sized)) -> io::Result<Vec<u8>> {
    stream.write_all(&[0, 0]).await?;
    let mut atr = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut atr).await?;
    Ok(atr)
}
