//! The peer of an HTTPS channel: an OpenSSL server and an SM-SR with prepared replies.

use std::collections::{BTreeMap, VecDeque};

use rsp::ota::admin::Reply;
use rsp::ota::cat::{
    Bearer, ChannelParameters, ChannelState, ChannelStatus, EventDownload, OpenChannel, TimerValue,
    TransportLevel, TransportProtocol,
};
use rsp::ota::script::{Form, Script, ScriptResponse};
use rsp::ota::secured_packet::Spi;
use rsp::ota::trigger::{HttpParameters, RetryPolicy, SecurityParameters, SessionParameters, SessionTrigger};

use super::terminal::TestTerminal;
use crate::m2m::scp81::tls::tests::Server;
use crate::m2m::tests::testbed::SCP81;

const RESOURCES: &str = "80CAFF2100";
const SUITES: &str = "PSK-AES128-GCM-SHA256:PSK-AES128-CBC-SHA256";

/// A request of the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) uri: String,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn response(&self) -> ScriptResponse {
        ScriptResponse::parse(&self.body).unwrap()
    }
}

/// The peer of a channel.
pub(super) struct Link {
    server: Option<Server>,
    /// Octets that the terminal has received for the card.
    inbox: VecDeque<u8>,
    is_reported: bool,
    is_dropped: bool,
    received: Vec<u8>,
    pub(super) requests: Vec<Request>,
    /// The prepared replies in their order. After the last one, the server replies with 204.
    pub(super) replies: VecDeque<Reply>,
    /// The replies with scripts by URI. A resumed request gets the same reply again.
    answered: BTreeMap<String, Reply>,
    pub(super) opened: Vec<OpenChannel>,
    pub(super) closed: usize,
    /// The number of further channel commands after which the link is lost.
    pub(super) commands_until_loss: Option<usize>,
    /// True if the server does not respond.
    pub(super) is_silent: bool,
    /// True if the server replies to the next request with close_notify.
    pub(super) is_closing: bool,
    psk: [u8; 16],
}

impl Link {
    pub(super) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            server: None,
            inbox: VecDeque::new(),
            is_reported: false,
            is_dropped: false,
            received: Vec::new(),
            requests: Vec::new(),
            replies: replies.into_iter().collect(),
            answered: BTreeMap::new(),
            opened: Vec::new(),
            closed: 0,
            commands_until_loss: None,
            is_silent: false,
            is_closing: false,
            psk: [0x41; 16],
        }
    }

    /// A link to a server with another key.
    pub(super) fn with_psk(self, psk: [u8; 16]) -> Self {
        Self { psk, ..self }
    }

    /// A link that is lost after this number of commands.
    pub(super) fn losing_link_after(self, commands: usize) -> Self {
        Self { commands_until_loss: Some(commands), ..self }
    }

    pub(super) fn opened(&mut self, open: &OpenChannel) {
        self.opened.push(open.clone());
        self.server = Some(Server::new(SUITES, &identity(), &self.psk));
        self.inbox.clear();
        self.received.clear();
        (self.is_reported, self.is_dropped) = (false, false);
    }

    pub(super) fn sent(&mut self, octets: &[u8]) -> bool {
        if !self.count_command() {
            return false;
        }
        let server = self.server.as_mut().expect("an open channel");
        if self.is_silent {
            return true;
        }
        self.inbox.extend(server.exchange(octets));
        self.received.extend(server.take_received());
        while let Some(request) = cut_request(&mut self.received) {
            if std::mem::take(&mut self.is_closing) {
                self.requests.push(request);
                let server = self.server.as_mut().expect("an open channel");
                self.inbox.extend(server.close());
                break;
            }
            let again =
                request.head.contains("X-Admin-Resume").then(|| self.answered.get(&request.uri)).flatten();
            let reply = again.cloned().or_else(|| self.replies.pop_front()).unwrap_or(Reply::End);
            if matches!(reply, Reply::Commands { .. }) {
                self.answered.insert(request.uri.clone(), reply.clone());
            }
            self.requests.push(request);
            let server = self.server.as_mut().expect("an open channel");
            self.inbox.extend(server.send(&octets_of(&reply)));
        }
        true
    }

    /// Uses a server to which the caller has a stream.
    pub(super) fn connected(&mut self, server: Server) {
        self.server = Some(server);
        self.received.clear();
    }

    /// Adds unauthenticated octets to the received data.
    pub(super) fn inject(&mut self, octets: &[u8]) {
        self.inbox.extend(octets);
    }

    /// Takes all octets that the server has sent.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.inbox.drain(..).collect()
    }

    pub(super) fn receive(&mut self, length: u8) -> Option<(Vec<u8>, u8)> {
        if !self.count_command() {
            return None;
        }
        let octets = self.inbox.len().min(usize::from(length));
        let data: Vec<u8> = self.inbox.drain(..octets).collect();
        self.is_reported = false;
        Some((data, u8::try_from(self.inbox.len()).unwrap_or(0xFF)))
    }

    pub(super) fn closed(&mut self) {
        self.closed += 1;
        self.hang_up();
    }

    pub(super) fn hang_up(&mut self) {
        self.server = None;
        self.inbox.clear();
    }

    pub(super) fn event(&mut self) -> Option<EventDownload> {
        self.server.as_ref()?;
        if self.is_dropped {
            return None;
        }
        if self.commands_until_loss == Some(0) {
            self.is_dropped = true;
            let status = ChannelStatus { channel: 1, state: ChannelState::Dropped };
            return Some(EventDownload::ChannelStatus(status));
        }
        if self.inbox.is_empty() || self.is_reported {
            return None;
        }
        self.is_reported = true;
        let length = u8::try_from(self.inbox.len()).unwrap_or(0xFF);
        Some(EventDownload::DataAvailable {
            status: ChannelStatus { channel: 1, state: ChannelState::Open },
            length,
        })
    }

    /// Counts a channel command. Returns false if the link is lost.
    fn count_command(&mut self) -> bool {
        match &mut self.commands_until_loss {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.server.is_some()
    }
}

/// The PSK identity: SGP.02 section 2.4.4.
pub(super) fn identity() -> String {
    "80010281108900101201234123401234567890122 44F10A0000005591010FFFFFFFF8900000100820101830140"
        .replace(' ', "")
}

fn cut_request(received: &mut Vec<u8>) -> Option<Request> {
    let find = |octets: &[u8], what: &[u8]| octets.windows(what.len()).position(|window| window == what);
    let end = find(received, b"\r\n\r\n")?;
    let head = String::from_utf8(received[..end].to_vec()).unwrap();
    let mut rest = &received[end + 4..];
    let mut body = Vec::new();
    if head.contains("Transfer-Encoding: chunked") {
        loop {
            let line = find(rest, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            let chunk = rest.get(line + 2..line + 2 + size)?;
            body.extend_from_slice(chunk);
            rest = rest.get(line + 4 + size..)?;
            if size == 0 {
                break;
            }
        }
    }
    let taken = received.len() - rest.len();
    received.drain(..taken);
    let uri = head.split(' ').nth(1).unwrap().to_owned();
    Some(Request { uri, head, body })
}

/// Encodes a reply like a server, with a chunked body.
fn octets_of(reply: &Reply) -> Vec<u8> {
    let response = reply.to_http().unwrap();
    let mut out = format!("HTTP/1.1 {} x\r\n", response.status().as_u16()).into_bytes();
    for (name, value) in response.headers() {
        out.extend_from_slice(format!("{name}: {}\r\n", value.to_str().unwrap()).as_bytes());
    }
    if response.status() == 204 {
        out.extend_from_slice(b"\r\n");
        return out;
    }
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for part in response.body().chunks(100) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

pub(super) fn session() -> SessionParameters {
    SessionParameters {
        connection: Some(ChannelParameters {
            bearer: Some(Bearer::default_bearer()),
            buffer_size: Some(1000),
            transport: Some(TransportLevel { protocol: TransportProtocol::TcpClient, port: 8443 }),
            destination: Some([192, 0, 2, 7].into()),
            ..ChannelParameters::default()
        }),
        security: Some(SecurityParameters {
            psk_identity: identity().into_bytes(),
            key_version: SCP81,
            key_identifier: 1,
        }),
        retry: Some(RetryPolicy { attempts: 2, delay: TimerValue::of_seconds(11), failure_report: vec![] }),
        http: Some(HttpParameters {
            host: Some("sm-sr.example".to_owned()),
            agent_id: None,
            uri: Some("/gsma/adminagent".to_owned()),
        }),
    }
}

pub(super) fn trigger() -> Vec<u8> {
    trigger_of(session())
}

pub(super) fn trigger_of(session: SessionParameters) -> Vec<u8> {
    SessionTrigger { session: Some(session), dns: None }.to_bytes()
}

pub(super) fn commands(apdus: &[String], next_uri: Option<&str>) -> Reply {
    let script = Script::of_apdus(apdus.iter().map(|apdu| hex::decode(apdu).unwrap()));
    Reply::Commands {
        target: None,
        next_uri: next_uri.map(str::to_owned),
        script: script.in_form(Form::Indefinite).to_bytes(),
    }
}

pub(super) fn audit(next_uri: Option<&str>) -> Reply {
    commands(&[RESOURCES.to_owned()], next_uri)
}

/// A settled card with a triggered session and these replies.
pub(super) fn triggered(replies: impl IntoIterator<Item = Reply>) -> TestTerminal {
    let mut terminal = TestTerminal::settled();
    terminal.link = Some(Link::new(replies));
    terminal.packet(Spi::UNANSWERED, &trigger());
    terminal
}

pub(super) fn link(terminal: &TestTerminal) -> &Link {
    terminal.link.as_ref().unwrap()
}

pub(super) fn is_over(terminal: &TestTerminal) -> bool {
    terminal.testbed.state().toolkit.session.is_none()
}
