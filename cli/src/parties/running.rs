//! Servers that run until they are stopped, and the signals that stop them.

use std::net::SocketAddr;

use net::{ServerDtls, ServerTls};
use tokio::{
    net::{TcpListener, UdpSocket},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};
use world::{BoxFuture, Fault, Link, World};

use super::listening::{TlsListener, local_address, local_udp_address};
use crate::settings::ListenAddress;

/// A party that serves a socket until it is stopped.
pub struct Running {
    /// Local address of the listener.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    /// Aborts all open requests. Use [`Running::stop`] to complete them first.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Serves `service` on `listener`.
    ///
    /// # Errors
    /// The local address of the listener cannot be determined.
    pub fn serve(listener: TcpListener, tls: Option<ServerTls>, service: Link) -> Result<Self, Fault> {
        let address = local_address(&listener)?;
        Self::start(address, |stopped| Ok(net::serve(listener, tls, service, stopped)))
    }

    /// Serves `service` over CoAP and DTLS on `socket`.
    ///
    /// # Errors
    /// The local address of the socket cannot be determined.
    pub fn serve_coap(
        socket: UdpSocket,
        dtls: ServerDtls,
        service: Link,
        world: World,
    ) -> Result<Self, Fault> {
        let address = local_udp_address(&socket)?;
        Self::start(address, |stopped| Ok(net::serve_coap(socket, dtls, service, world, stopped)))
    }

    /// Starts a server with this address. `serve` gets a future that ends when the server is to
    /// complete its open requests and stop.
    ///
    /// # Errors
    /// As `serve`.
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl FnOnce(BoxFuture<'static, ()>) -> Result<F, Fault>,
    ) -> Result<Self, Fault> {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = Box::pin(async {
            // The server stops when the sender is dropped.
            let _ = stopped.await;
        });
        Ok(Self { address, stop: Some(stop), task: tokio::spawn(serve(stopped)?) })
    }

    /// Waits for open requests, then stops.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // A failure means that the task was aborted, so that there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

/// Serves `service` on all listeners, each with the TLS configuration for its address and curve.
///
/// # Errors
/// A certificate is missing, or a socket fails.
pub fn serve_with_tls(
    listeners: Vec<TlsListener>,
    service: &Link,
    tls: impl Fn(&ListenAddress) -> Result<ServerTls, Fault>,
) -> Result<Vec<Running>, Fault> {
    let serve =
        |TlsListener { listener, listens }| Running::serve(listener, Some(tls(&listens)?), service.clone());
    listeners.into_iter().map(serve).collect()
}

/// Returns the addresses of all listeners, for a message.
pub fn addresses_of(running: &[Running]) -> String {
    let addresses: Vec<_> = running.iter().map(|running| running.address.to_string()).collect();
    addresses.join(", ")
}

/// Ctrl-C and SIGTERM. From its creation on, neither ends the process.
#[derive(Debug)]
pub struct StopSignals {
    /// `None` if no handler could be installed. The signal then ends the process at once.
    signals: [Option<Signal>; 2],
}

impl StopSignals {
    /// Begins to receive the signals.
    pub fn receive() -> Self {
        Self { signals: [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()) }
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        let received = async |signal: &mut Option<Signal>| match signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    StopSignals::receive().next().await;
}
