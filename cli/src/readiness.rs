//! Readiness and end of the servers, for the programs that start them: one line of JSON, a file, a
//! notification of the service manager, the health endpoints, and the requests to stop.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::ids::Eid;
use schemars::JsonSchema;
use sd_notify::NotifyState;
use serde::Serialize;
use tokio::sync::watch;
use world::{Fault, Link, LinkFault, link_from};

use crate::{
    cards::Interface,
    files,
    output::{print_json_line, remark},
    parties::{Running, StopSignals},
    settings::Settings,
};

/// Options of every server.
#[derive(Args, Clone, Debug, Default)]
pub struct ReadyOptions {
    /// File to write when ready: the announcement of --json
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Stop when standard input is closed
    #[arg(long)]
    until_stdin_closes: bool,
}

/// The announcement of a server that is ready.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Ready {
    /// The command, such as `sm-dp serve`.
    ready: &'static str,
    /// Address of each interface.
    addresses: BTreeMap<String, String>,
    data_dir: PathBuf,
    /// Root certificate of the servers (DER).
    #[serde(skip_serializing_if = "Option::is_none")]
    root_certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation_code: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cards: Vec<ServedCard>,
}

/// A served card.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct ServedCard {
    /// EID of the card.
    pub eid: Eid,
    /// Interface to the card.
    pub interface: Interface,
    /// Address of the interface.
    pub address: String,
}

impl Ready {
    /// Creates the announcement of a command, without addresses.
    pub fn of(command: &'static str, settings: &Settings) -> Self {
        let root = settings.root_certificate();
        Self {
            ready: command,
            addresses: BTreeMap::new(),
            data_dir: settings.data_dir.clone(),
            root_certificate: root.exists().then_some(root),
            activation_code: None,
            cards: Vec::new(),
        }
    }

    /// Adds the address of an interface.
    #[must_use]
    pub fn at(mut self, name: impl ToString, address: impl ToString) -> Self {
        self.addresses.insert(name.to_string(), address.to_string());
        self
    }

    /// Adds all addresses of an interface: `NAME`, `NAME_2` and so on.
    #[must_use]
    pub fn at_all(self, name: &str, all: &[Running]) -> Self {
        match all.split_first() {
            Some((first, others)) => self.at(name, first.address).at_further(name, others),
            None => self,
        }
    }

    /// Adds the further addresses of an interface: `NAME_2` and so on.
    #[must_use]
    pub fn at_further(self, name: &str, others: &[Running]) -> Self {
        let numbered = others.iter().zip(2_u32..);
        numbered.fold(self, |ready, (other, number)| ready.at(format!("{name}_{number}"), other.address))
    }

    /// Adds the address of an interface that the server may have.
    #[must_use]
    pub fn at_optional(self, name: impl ToString, address: Option<impl ToString>) -> Self {
        match address {
            Some(address) => self.at(name, address),
            None => self,
        }
    }

    /// Adds the activation code of the ordered profile.
    #[must_use]
    pub fn with_activation_code(self, activation_code: Option<String>) -> Self {
        Self { activation_code, ..self }
    }

    /// Adds the served cards.
    #[must_use]
    pub fn with_cards(self, cards: Vec<ServedCard>) -> Self {
        Self { cards, ..self }
    }
}

/// A server that starts, until it is ready.
#[derive(Clone, Debug)]
pub struct Startup {
    file: Option<PathBuf>,
    is_ready: Arc<AtomicBool>,
    until_stdin_closes: bool,
}

/// The requests to stop a server: Ctrl-C, SIGTERM, and with `--until-stdin-closes` the end of
/// standard input.
#[derive(Debug)]
#[must_use = "the server runs until `requested` returns"]
pub struct Stop {
    signals: StopSignals,
    input_is_closed: Option<watch::Receiver<bool>>,
}

impl Stop {
    /// Waits until the server is requested to stop.
    pub async fn requested(mut self) {
        let closed = async {
            match &mut self.input_is_closed {
                // An error means that the reading thread has ended, and so has the input.
                Some(closed) => drop(closed.wait_for(|closed| *closed).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.signals.next() => {}
            () = closed => {}
        }
    }
}

/// Becomes true when standard input is closed. Its contents are discarded.
///
/// One thread reads for the whole process, because an injected fault can start a server again. It is
/// not a task of the runtime, whose end would wait for the read to return.
fn end_of_input() -> watch::Receiver<bool> {
    static CLOSED: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    let begin = || {
        let (sender, closed) = watch::channel(false);
        std::thread::spawn(move || {
            let (mut input, mut discarded) = (std::io::stdin().lock(), [0; 512]);
            while input.read(&mut discarded).is_ok_and(|octets| octets > 0) {}
            // Nobody receives it if the server has stopped already.
            let _ = sender.send(true);
        });
        closed
    };
    CLOSED.get_or_init(begin).clone()
}

impl ReadyOptions {
    /// Begins the start of a server. The file of an earlier start is removed.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn begin(&self) -> Result<Startup, Fault> {
        if let Some(file) = &self.ready_file {
            match std::fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(files::unwritable(file, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Startup {
            file: self.ready_file.clone(),
            is_ready: Arc::default(),
            until_stdin_closes: self.until_stdin_closes,
        })
    }
}

impl Startup {
    /// Announces that the server is ready: every port listens, and the presets are applied. Returns
    /// the requests to stop. No request after the announcement is lost.
    ///
    /// # Errors
    /// The line or the file cannot be written.
    pub fn announce(&self, ready: &Ready, json: bool) -> Result<Stop, Fault> {
        let input_is_closed = self.until_stdin_closes.then(end_of_input);
        let stop = Stop { signals: StopSignals::receive(), input_is_closed };
        self.is_ready.store(true, Ordering::Relaxed);
        if let Some(file) = &self.file {
            write_atomically(file, ready)?;
        }
        if json {
            print_json_line(ready)?;
        }
        // Without a service manager there is no socket, and nothing is sent.
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            remark(&format!("cannot notify the service manager: {error}"));
        }
        Ok(stop)
    }

    /// Adds `GET /healthz` and `GET /readyz` to a server without TLS. `/healthz` answers as soon as
    /// the port listens; `/readyz` answers 503 until the server is ready.
    pub fn with_health(&self, link: Link) -> Link {
        let is_ready = Arc::clone(&self.is_ready);
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (link, is_ready) = (link.clone(), is_ready.load(Ordering::Relaxed));
            async move {
                let is_get = request.method() == Method::GET;
                match request.uri().path() {
                    "/healthz" if is_get => Ok::<_, LinkFault>(health(StatusCode::OK, "ok")),
                    "/readyz" if is_get && is_ready => Ok(health(StatusCode::OK, "ready")),
                    "/readyz" if is_get => Ok(health(StatusCode::SERVICE_UNAVAILABLE, "starting")),
                    _ => world::send(&link, request).await,
                }
            }
        }))
    }
}

fn health(code: StatusCode, status: &str) -> Response<Bytes> {
    let mut response = Response::new(format!("{{\"status\":\"{status}\"}}\n").into());
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Writes the announcement to another file in the same folder, and renames that file. A reader
/// never sees a part of it.
fn write_atomically(file: &Path, ready: &Ready) -> Result<(), Fault> {
    let text = serde_json::to_string(ready)
        .map_err(|e| Fault::caused_by(e, "cannot write the addresses as JSON", "report this"))?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    files::write_private(&part, text + "\n")?;
    std::fs::rename(&part, file).map_err(|error| files::unwritable(file, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[tokio::test]
    async fn readyz_answers_503_until_the_server_is_ready() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ready.json");
        std::fs::write(&file, "of an earlier start").unwrap();
        let startup =
            ReadyOptions { ready_file: Some(file.clone()), ..ReadyOptions::default() }.begin().unwrap();
        assert!(!file.exists());
        let inner = link_from(tower::service_fn(async |_: Request<Bytes>| {
            Ok::<_, LinkFault>(Response::new(Bytes::from_static(b"inner")))
        }));
        let link = startup.with_health(inner);
        let get = async |path: &str| {
            let request = Request::builder().uri(path).body(Bytes::new()).unwrap();
            let response = world::send(&link, request).await.unwrap();
            (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).unwrap())
        };
        assert_eq!(get("/healthz").await, (200, "{\"status\":\"ok\"}\n".to_owned()));
        assert_eq!(get("/readyz").await, (503, "{\"status\":\"starting\"}\n".to_owned()));
        assert_eq!(get("/other").await, (200, "inner".to_owned()));
        let ready = Ready {
            ready: "test",
            addresses: BTreeMap::new(),
            data_dir: PathBuf::from("data"),
            root_certificate: None,
            activation_code: None,
            cards: Vec::new(),
        };
        let _stop = startup.announce(&ready.at("admin", "127.0.0.1:1"), false).unwrap();
        assert_eq!(get("/readyz").await, (200, "{\"status\":\"ready\"}\n".to_owned()));
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let expected = serde_json::json!({
            "ready": "test", "addresses": { "admin": "127.0.0.1:1" }, "data_dir": "data",
        });
        assert_eq!(written, expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
