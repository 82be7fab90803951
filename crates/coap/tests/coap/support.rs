//! A client and a server in virtual time, with a network between them that a test controls.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use coap::{BlockSize, Client, Datagrams, DialDatagrams, MemoryDatagrams, Transmission, memory_pair, serve};
use http::{Request, Response};
use rsp::sgp32::esipa::asn1::PATH;
use world::{BoxFuture, Link, LinkFault, ManualClock, SeededRandom, World, link_from};

pub(crate) const HOST: &str = "eim.landfall.example";

pub(crate) fn world(name: &str) -> World {
    World::new(ManualClock::at(rsp::time::Timestamp(0)), SeededRandom::from_text(name))
}

pub(crate) fn blocks_of(octets: usize) -> Transmission {
    Transmission { block_size: BlockSize::of(octets).unwrap(), ..Transmission::default() }
}

/// Octets without a period, so that a swapped or missing block shows.
pub(crate) fn body(length: usize) -> Bytes {
    let octet = |index: usize| u8::try_from((index * 31 + index / 251) % 256).unwrap();
    (0..length).map(octet).collect::<Vec<_>>().into()
}

pub(crate) fn post(body: Bytes) -> Request<Bytes> {
    Request::post(PATH).body(body).unwrap()
}

/// The datagrams that were sent in one direction.
pub(crate) type Sent = Arc<Mutex<Vec<Bytes>>>;

/// Decides, for each datagram, what arrives instead of it. `true` stands for the direction to the
/// server, and the number counts the datagrams of the direction from 0.
pub(crate) type Network = Arc<dyn Fn(bool, usize, Bytes) -> Vec<Bytes> + Send + Sync>;

pub(crate) struct OverNetwork {
    inner: MemoryDatagrams,
    network: Network,
    to_server: Sent,
    from_server: Mutex<(usize, Vec<Bytes>)>,
}

impl Datagrams for OverNetwork {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        let number = {
            let mut sent = self.to_server.lock().unwrap();
            sent.push(datagram.clone());
            sent.len() - 1
        };
        Box::pin(async move {
            for arriving in (self.network)(true, number, datagram) {
                self.inner.send(arriving).await?;
            }
            Ok(())
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async move {
            loop {
                if let Some(arrived) = self.from_server.lock().unwrap().1.pop() {
                    return Ok(arrived);
                }
                let datagram = self.inner.receive().await?;
                let mut from_server = self.from_server.lock().unwrap();
                let number = from_server.0;
                from_server.0 += 1;
                from_server.1 = (self.network)(false, number, datagram);
                from_server.1.reverse();
            }
        })
    }
}

/// A server that returns its request's body reversed, or what `answer` returns.
#[derive(Clone)]
pub(crate) struct Testbed {
    pub(crate) executed: Arc<AtomicU32>,
    pub(crate) dialled: Arc<AtomicU32>,
    pub(crate) to_server: Sent,
    pub(crate) server: Link,
    server_transmission: Transmission,
    network: Network,
}

impl Testbed {
    pub(crate) fn new(takes: Duration, server: Transmission, network: Network) -> Self {
        let executed = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&executed);
        let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(takes).await;
                let mut body = request.into_body().to_vec();
                body.reverse();
                Ok::<_, LinkFault>(Response::new(Bytes::from(body)))
            }
        }));
        Self::serving(link, executed, server, network)
    }

    pub(crate) fn serving(
        server: Link,
        executed: Arc<AtomicU32>,
        server_transmission: Transmission,
        network: Network,
    ) -> Self {
        let (dialled, to_server) = Default::default();
        Self { executed, dialled, to_server, server, server_transmission, network }
    }

    pub(crate) fn client(&self, transmission: Transmission) -> Link {
        Client::new(Arc::new(self.clone()), HOST, world("client"), transmission).link()
    }

    pub(crate) fn executed(&self) -> u32 {
        self.executed.load(Ordering::SeqCst)
    }
}

impl DialDatagrams for Testbed {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        let (inner, server) = memory_pair(HOST);
        let (link, transmission) = (self.server.clone(), self.server_transmission);
        tokio::spawn(async move { serve(&server, &link, &world("server"), transmission).await });
        let (network, to_server) = (Arc::clone(&self.network), Arc::clone(&self.to_server));
        let client = OverNetwork { inner, network, to_server, from_server: Mutex::default() };
        Box::pin(std::future::ready(Ok(Arc::new(client) as Arc<dyn Datagrams>)))
    }
}

pub(crate) fn perfect() -> Network {
    Arc::new(|_, _, datagram| vec![datagram])
}
