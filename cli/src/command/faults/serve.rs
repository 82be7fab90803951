//! `landfall faults serve`: a proxy in front of a third-party server that injects link faults.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use clap::Args;
use http::{
    HeaderMap, Request,
    header::{CONNECTION, TRANSFER_ENCODING, UPGRADE},
};
use net::{Client, ClientTls};
use rsp::ids::SmdpAddress;
use world::{Clock, Fault, Link, link_from};

use crate::{
    faults::{FaultOptions, FaultPoints},
    files::read,
    output::remark,
    parties::{self, Running, TlsServer},
    pki,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// Server and faults of the proxy
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed]))]
pub(super) struct Serve {
    /// Listening address for devices; they receive a certificate of this PKI with the server's
    /// name
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// Server name as devices use it; requests to an SM-DS are also named ES9+ in fault
    /// locations
    #[arg(long, value_name = "HOST[:PORT]")]
    before: SmdpAddress,
    /// Address of the server, if its name resolves to this proxy
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,
    /// Root certificate of the server (DER), if it is not the CI of this PKI (repeatable)
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

impl Serve {
    /// Serves until stopped.
    ///
    /// # Errors
    /// A fault cannot occur in a proxy, a certificate cannot be used, or a socket fails.
    pub(super) async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let (world, _) = parties::os_world()?;
        let active_faults = self.faults.put(&FaultPoints::PROXY, settings)?;
        let pki = pki::load_or_init(settings)?;
        let listener = parties::listen_at(&mut self.listen.clone(), "--listen").await?;
        let before = self.before.as_str();
        let host = parties::host_of(before).to_owned();
        let client = match &self.connect {
            Some(address) => Client::default().with_connect_to(&host, address),
            None => Client::default(),
        };
        let roots = match self.trust.as_slice() {
            [] => parties::tls_roots(&pki),
            files => files.iter().map(|file| read(file)).collect::<Result<_, _>>()?,
        };
        let clock: Arc<dyn Clock> = Arc::clone(&world.clock);
        let server = client.link(before, Some(ClientTls::new(&roots, None, Arc::clone(&clock))?))?;
        let tls = parties::served_tls(
            TlsServer::SmDp,
            &ListenAddress { address: self.listen.clone(), curve: None },
            &[host],
            &pki,
            settings,
            &clock,
            &active_faults,
        )?;
        let running =
            Running::serve(listener, Some(tls), active_faults.outgoing(without_hop_by_hop_headers(server)))?;
        remark(&format!("fault proxy at {} for {before}; Ctrl-C stops it", running.address));
        let ready = Ready::of("faults serve", settings).at("proxy", running.address);
        startup.announce(&ready, json)?.requested().await;
        running.stop().await;
        Ok(())
    }
}

/// Removes the hop-by-hop headers of requests and replies (RFC 9110 section 7.6.1).
fn without_hop_by_hop_headers(server: Link) -> Link {
    let strip = |headers: &mut HeaderMap| {
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            headers.remove(name);
        }
    };
    link_from(tower::service_fn(move |mut request: Request<Bytes>| {
        let server = server.clone();
        async move {
            strip(request.headers_mut());
            let mut answer = world::send(&server, request).await?;
            strip(answer.headers_mut());
            Ok::<_, world::LinkFault>(answer)
        }
    }))
}
