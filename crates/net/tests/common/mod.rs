//! Temporary certificates and servers on loopback.

#![allow(dead_code, reason = "no test file uses all of it")]

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use net::{ClientAuth, ClientTls, Identity, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rsp::time::Timestamp;
use tokio::task::JoinHandle;
use world::{LinkFault, ManualClock, PeerCertificate};

/// The time of the tests. The temporary certificates are valid in 2026.
pub(crate) fn clock() -> ManualClock {
    ManualClock::at(time("2026-11-01T00:00:00Z"))
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A root CA.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: Vec<u8>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), root }
    }

    pub(crate) fn leaf(&self, name: &str) -> Identity {
        self.leaf_with(name, Vec::new())
    }

    pub(crate) fn leaf_with(&self, name: &str, extensions: Vec<CustomExtension>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[name]);
        params.custom_extensions = extensions;
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![leaf.der().to_vec()], key: key.serialize_der().into() }
    }

    /// A leaf certificate below an intermediate CA, with both in the chain.
    pub(crate) fn leaf_below_intermediate(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params("intermediate", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let intermediate = Ca { issuer: Issuer::new(params, key), root: Vec::new() };
        let mut leaf = intermediate.leaf(name);
        leaf.chain.push(certificate);
        leaf
    }

    pub(crate) fn client_tls(&self, identity: Option<&Identity>) -> ClientTls {
        ClientTls::new(std::slice::from_ref(&self.root), identity, Arc::new(clock())).unwrap()
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params
}

pub(crate) fn server_tls(identity: &Identity, client_auth: &ClientAuth) -> ServerTls {
    ServerTls::new(identity, client_auth, Arc::new(clock())).unwrap()
}

/// Answers with the HTTP version, path and body size of the request, and the peer's certificate in
/// hex.
pub(crate) async fn mirror(request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
    let peer = request.extensions().get::<PeerCertificate>().map(|peer| hex::encode(&peer.0));
    let seen = format!(
        "{:?} {} {} {}",
        request.version(),
        request.uri().path(),
        request.body().len(),
        peer.unwrap_or_else(|| "nobody".into())
    );
    Ok(Response::new(seen.into()))
}

/// Serves [`mirror`] on a free port until it is dropped, and returns the address.
pub(crate) async fn serve_mirror(tls: Option<ServerTls>) -> (String, AbortOnDrop) {
    let listener = net::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(net::serve(listener, tls, tower::service_fn(mirror), std::future::pending()));
    (address, AbortOnDrop(server))
}

pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(path).body(body.into()).unwrap()
}
