//! A server in the same process.

use std::sync::Arc;

use world::{BoxFuture, Link, LinkFault, World};

use crate::datagrams::{Datagrams, DialDatagrams, memory_pair};
use crate::server::serve;
use crate::transmission::Transmission;

/// A server in this process that can be reached over in-memory datagrams. Each association is
/// served by a task of its own.
pub struct InProcess {
    name: String,
    server: Link,
    world: World,
    transmission: Transmission,
}

impl InProcess {
    /// Makes a server reachable as `name`.
    pub fn new(name: &str, server: Link, world: World, transmission: Transmission) -> Self {
        Self { name: name.to_owned(), server, world, transmission }
    }
}

impl DialDatagrams for InProcess {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        let (client, server) = memory_pair(&self.name);
        let (link, world, transmission) = (self.server.clone(), self.world.clone(), self.transmission);
        tokio::spawn(async move {
            let ended = serve(&server, &link, &world, transmission).await;
            tracing::debug!(%ended, "CoAP association ended");
        });
        Box::pin(std::future::ready(Ok(Arc::new(client) as Arc<dyn Datagrams>)))
    }
}
