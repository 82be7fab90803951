//! The loopback socket of one server of a scenario, and its clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use bytes::Bytes;
use certs::{Credential, Pki, ServerName, Validity};
use http::{Request, Response};
use net::{Client, ClientAuth, ClientTls, ServerTls};
use testbed::transport::{Server, Transport};
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use world::{Clock, Fault, Link, LinkFault, LinkFaultKind, ManualClock, link_from};

use super::{RUNTIME_ENDED, wait};
use crate::parties::{identity, tls_roots};

/// Client timeout, longer than any run: the server's response time counts in virtual time only.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A server behind a socket. Clones share their state.
#[derive(Clone)]
pub(super) struct ServerSocket(Arc<Inner>);

struct Inner {
    real: Handle,
    server: Server,
    address: SocketAddr,
    /// Reserves the port without listening. While no server process listens, connections are
    /// refused.
    _port: TcpSocket,
    tls: ServerTls,
    roots: Vec<Vec<u8>>,
    /// The scenario's time, for use in other threads.
    now: ManualClock,
    listening: Mutex<Option<Listener>>,
    /// Channel for the request in transit. There is at most one, because the scenario's thread
    /// waits for it.
    asking: Arc<Mutex<Option<mpsc::Sender<RequestProgress>>>>,
}

/// The listener of one process of the server.
struct Listener {
    process: u32,
    task: JoinHandle<()>,
}

/// Progress of a request.
enum RequestProgress {
    /// The server received the request. It sends its response over this channel, or drops it to
    /// reset the connection.
    IncomingDelivery(Request<Bytes>, oneshot::Sender<Response<Bytes>>),
    /// The client received the response, or an error.
    Ended(Result<Response<Bytes>, LinkFault>),
}

impl ServerSocket {
    /// Opens a socket for this server, with a certificate for its name. It listens from the
    /// first request on.
    pub(super) fn open(real: Handle, pki: &Pki, validity: Validity, server: Server) -> Result<Self, Fault> {
        let no_certificate = |why: certs::PkiError| {
            let next = "choose a PKI with the key of the CI";
            Fault::caused_by(why, format!("cannot issue a TLS certificate for {}", server.host), next)
        };
        let name: ServerName = server.host.parse().map_err(|why| {
            Fault::caused_by(
                why,
                format!("{:?} is not valid in a certificate", server.host),
                "rename the server",
            )
        })?;
        let shown = match &server.shows {
            Some(shown) => shown.clone(),
            None => pki.issue_dp_tls(&[name], validity).map_err(no_certificate)?,
        };
        let (now, roots) = (ManualClock::at(server.clock.now()), tls_roots(pki));
        let auth = ClientAuth::optional(roots.clone());
        let tls = ServerTls::new(&identity(&shown), &auth, Arc::new(now.clone()))?;
        let (port, address) = free_port().map_err(|why| {
            Fault::caused_by(why, "cannot listen on the loopback", "free some ports, and try again")
        })?;
        let (listening, asking) = (Mutex::default(), Arc::default());
        let inner = Inner { real, server, address, _port: port, tls, roots, now, listening, asking };
        Ok(Self(Arc::new(inner)))
    }

    /// Lets the current process of the server listen, and only that one. Returns its number.
    fn listen(&self) -> Result<Option<u32>, Fault> {
        let process = (self.0.server.process)();
        let mut listening = self.listening();
        if listening.as_ref().map(|listening| listening.process) == process {
            return Ok(process);
        }
        self.end(listening.take());
        if let Some(process) = process {
            *listening = Some(Listener { process, task: self.begin()? });
        }
        Ok(process)
    }

    fn begin(&self) -> Result<JoinHandle<()>, Fault> {
        let (tls, asking, address) =
            (self.0.tls.clone(), Arc::clone(&self.0.asking), self.0.address.to_string());
        let service = tower::service_fn(move |request: Request<Bytes>| {
            let asking = asking.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move {
                let broken = |why| LinkFault::new(LinkFaultKind::Reset, "server", why);
                let (answers, answer) = oneshot::channel();
                let sent_on = asking.is_some_and(|asking| {
                    asking.send(RequestProgress::IncomingDelivery(request, answers)).is_ok()
                });
                if !sent_on {
                    return Err(broken("the scenario sent no request"));
                }
                answer.await.map_err(|_| broken("the server process ended"))
            }
        });
        let runtime_ended = || Fault::new("cannot listen on the loopback", RUNTIME_ENDED, "report this");
        let listener =
            wait(&self.0.real, async move { net::listen(&address).await }).ok_or_else(runtime_ended)??;
        Ok(self.0.real.spawn(net::serve(listener, Some(tls), service, std::future::pending())))
    }

    /// Ends a process: closes its socket and all its connections.
    fn end(&self, listening: Option<Listener>) {
        if let Some(Listener { task, .. }) = listening {
            task.abort();
            // The task was aborted, so its result is of no interest.
            wait(&self.0.real, async { drop(task.await) });
        }
    }

    async fn ask(&self, over: &Connection, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let Inner { real, server, now, asking, .. } = &*self.0;
        let no = |why: String| LinkFault::new(LinkFaultKind::Protocol, server.host.clone(), why);
        let process = self.listen().map_err(|fault| no(fault.to_string()))?;
        let link = over.to(self, process).map_err(|fault| no(fault.to_string()))?;
        now.set(server.clock.now());
        let (sender, progress) = mpsc::channel();
        *asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        let sent = request.clone();
        real.spawn(async move {
            // The receiver may have been dropped; the result is then not needed.
            let _ = sender.send(RequestProgress::Ended(world::send(&link, sent).await));
        });
        let (arrived, answers) = match progress.recv() {
            Ok(RequestProgress::IncomingDelivery(arrived, answers)) => (arrived, answers),
            // The connection was refused because no process listens. The party itself
            // returns the exact error.
            Ok(RequestProgress::Ended(Err(_))) if process.is_none() => {
                return world::send(&server.link, request).await;
            }
            Ok(RequestProgress::Ended(end)) => return end,
            Err(_) => return Err(no(RUNTIME_ENDED.to_owned())),
        };
        let ended = move || match progress.recv() {
            Ok(RequestProgress::Ended(end)) => end,
            Ok(RequestProgress::IncomingDelivery(..)) => Err(no("a request arrived twice".to_owned())),
            Err(_) => Err(no(RUNTIME_ENDED.to_owned())),
        };
        match world::send(&server.link, arrived).await {
            Ok(answer) => {
                let headers = answer.headers().clone();
                // If the client no longer waits, its own side reports the error.
                let _ = answers.send(answer);
                let mut response = ended()?;
                // Headers added by HTTP are removed: the party did not send them,
                // and on a simulated bearer they would take time.
                let own = response.headers().keys().filter(|name| !headers.contains_key(*name)).cloned();
                for name in own.collect::<Vec<_>>() {
                    response.headers_mut().remove(name);
                }
                Ok(response)
            }
            Err(fault) => {
                // A process resets a connection only when it ends.
                self.end(self.listening().take());
                drop(answers);
                match ended() {
                    Err(_) => Err(fault),
                    Ok(_) => Err(no("an ended process responded".to_owned())),
                }
            }
        }
    }

    fn listening(&self) -> MutexGuard<'_, Option<Listener>> {
        self.0.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for ServerSocket {
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault> {
        let shown = operator.map(identity);
        let tls = ClientTls::new(&self.0.roots, shown.as_ref(), Arc::new(self.0.now.clone()))?;
        let connection = Arc::new(Connection { tls, kept: Mutex::default() });
        let card_interface = self.clone();
        Ok(link_from(tower::service_fn(move |request| {
            let (card_interface, connection) = (card_interface.clone(), Arc::clone(&connection));
            async move { card_interface.ask(&connection, request).await }
        })))
    }
}

/// A client of one server. It keeps its connection as long as the server process is the same.
struct Connection {
    tls: ClientTls,
    kept: Mutex<Option<(Option<u32>, Link)>>,
}

impl Connection {
    fn to(&self, card_interface: &ServerSocket, process: Option<u32>) -> Result<Link, Fault> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, link)) = &*kept
            && *of == process
        {
            return Ok(link.clone());
        }
        let Inner { server, address, .. } = &*card_interface.0;
        let client = Client::default().with_connect_to(&server.host, &address.to_string());
        let link = client.with_answer_timeout(PATIENCE).link(&server.host, Some(self.tls.clone()))?;
        *kept = Some((process, link.clone()));
        Ok(link)
    }
}

/// Reserves a free port of the loopback as long as the returned socket exists. The server itself
/// can listen on it, because SO_REUSEADDR is set.
fn free_port() -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
