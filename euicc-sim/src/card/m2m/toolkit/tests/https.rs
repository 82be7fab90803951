//! The administration agent, over a channel whose other end is OpenSSL and an SM-SR in the test.

use std::collections::{BTreeMap, VecDeque};

use profile::Octets;
use rsp::ids::Aid;
use rsp::ota::admin::Reply;
use rsp::ota::cat::{
    Bearer, ChannelParameters, ChannelState, ChannelStatus, Command, EventDownload, Facility, GeneralResult,
    LocationStatus, OpenChannel, TimerValue, TransportLevel, TransportProtocol,
};
use rsp::ota::script::{Form, Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandHeader, Spi, Tar};
use rsp::ota::trigger::{HttpParameters, RetryPolicy, SecurityParameters, SessionParameters, SessionTrigger};
use rsp::sgp02::notification::{DefaultNotification, NotificationType};

use super::phone::{Phone, header, opened_of, sealed, without};
use crate::card::m2m::scp81::tls::tests::Server;
use crate::card::m2m::state::LifeCycle;
use crate::card::m2m::tests::bench::{BOOTSTRAP, Bench, FREE, GOES, SCP80, SCP81, aid, naming, store_data};
use crate::card::m2m::toolkit::Numbers;

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

/// What is at the other end of a channel.
pub(super) struct Link {
    server: Option<Server>,
    /// What the terminal has for the card.
    inbox: VecDeque<u8>,
    is_told: bool,
    is_dropped: bool,
    heard: Vec<u8>,
    pub(super) requests: Vec<Request>,
    /// What is answered, in turn; after that 204.
    pub(super) replies: VecDeque<Reply>,
    /// The commands that were the answer under a URI: who resumes there gets them again.
    answered: BTreeMap<String, Reply>,
    pub(super) opened: Vec<OpenChannel>,
    pub(super) closed: usize,
    /// After so many more commands on the channel the link is gone.
    pub(super) lasts: Option<usize>,
    /// The server says nothing of its own.
    pub(super) is_mute: bool,
    psk: [u8; 16],
}

impl Link {
    pub(super) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            server: None,
            inbox: VecDeque::new(),
            is_told: false,
            is_dropped: false,
            heard: Vec::new(),
            requests: Vec::new(),
            replies: replies.into_iter().collect(),
            answered: BTreeMap::new(),
            opened: Vec::new(),
            closed: 0,
            lasts: None,
            is_mute: false,
            psk: [0x41; 16],
        }
    }

    pub(super) fn opened(&mut self, open: &OpenChannel) {
        self.opened.push(open.clone());
        self.server = Some(Server::new(SUITES, &identity(), &self.psk));
        self.inbox.clear();
        self.heard.clear();
        (self.is_told, self.is_dropped) = (false, false);
    }

    pub(super) fn sent(&mut self, octets: &[u8]) -> bool {
        if !self.lasts() {
            return false;
        }
        let server = self.server.as_mut().expect("an open channel");
        if self.is_mute {
            return true;
        }
        self.inbox.extend(server.exchange(octets));
        self.heard.extend(server.take_heard());
        while let Some(request) = cut_request(&mut self.heard) {
            let again =
                request.head.contains("X-Admin-Resume").then(|| self.answered.get(&request.uri)).flatten();
            let reply = again.cloned().or_else(|| self.replies.pop_front()).unwrap_or(Reply::End);
            if matches!(reply, Reply::Commands { .. }) {
                self.answered.insert(request.uri.clone(), reply.clone());
            }
            self.requests.push(request);
            let server = self.server.as_mut().expect("an open channel");
            self.inbox.extend(server.say(&octets_of(&reply)));
        }
        true
    }

    /// The server is one that somebody else has a stream to.
    pub(super) fn connected(&mut self, server: Server) {
        self.server = Some(server);
        self.heard.clear();
    }

    /// Octets from whoever can put them on the way.
    pub(super) fn inject(&mut self, octets: &[u8]) {
        self.inbox.extend(octets);
    }

    /// All that the server has said.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.inbox.drain(..).collect()
    }

    pub(super) fn receive(&mut self, length: u8) -> Option<(Vec<u8>, u8)> {
        if !self.lasts() {
            return None;
        }
        let octets = self.inbox.len().min(usize::from(length));
        let data: Vec<u8> = self.inbox.drain(..octets).collect();
        self.is_told = false;
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
        if self.lasts == Some(0) {
            self.is_dropped = true;
            let status = ChannelStatus { channel: 1, state: ChannelState::Dropped };
            return Some(EventDownload::ChannelStatus(status));
        }
        if self.inbox.is_empty() || self.is_told {
            return None;
        }
        self.is_told = true;
        let length = u8::try_from(self.inbox.len()).unwrap_or(0xFF);
        Some(EventDownload::DataAvailable {
            status: ChannelStatus { channel: 1, state: ChannelState::Open },
            length,
        })
    }

    fn lasts(&mut self) -> bool {
        match &mut self.lasts {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.server.is_some()
    }
}

/// SGP.02 section 2.4.4.
pub(super) fn identity() -> String {
    "80010281108900101201234123401234567890122 44F10A0000005591010FFFFFFFF8900000100820101830140"
        .replace(' ', "")
}

fn cut_request(heard: &mut Vec<u8>) -> Option<Request> {
    let find = |octets: &[u8], what: &[u8]| octets.windows(what.len()).position(|window| window == what);
    let end = find(heard, b"\r\n\r\n")?;
    let head = String::from_utf8(heard[..end].to_vec()).unwrap();
    let mut rest = &heard[end + 4..];
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
    let taken = heard.len() - rest.len();
    heard.drain(..taken);
    let uri = head.split(' ').nth(1).unwrap().to_owned();
    Some(Request { uri, head, body })
}

/// As a server sends it, its body in chunks.
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

/// A settled card, a server with these replies, and a trigger.
pub(super) fn triggered(replies: impl IntoIterator<Item = Reply>) -> Phone {
    let mut phone = Phone::settled();
    phone.link = Some(Link::new(replies));
    phone.packet(Spi::UNANSWERED, &trigger());
    phone
}

pub(super) fn link(phone: &Phone) -> &Link {
    phone.link.as_ref().unwrap()
}

pub(super) fn is_over(phone: &Phone) -> bool {
    phone.bench.state().toolkit.session.is_none()
}

#[test]
fn a_session_runs_scripts_until_204() {
    let phone = triggered([audit(Some("/2")), audit(Some("/3?x=y")), Reply::End]);
    let requests = &link(&phone).requests;
    let uris: Vec<_> = requests.iter().map(|request| request.uri.as_str()).collect();
    assert_eq!(uris, ["/gsma/adminagent", "/2", "/3?x=y"]);
    let eid = phone.bench.card.eid();
    let from = format!("X-Admin-From: //se-id/eid/{eid};//aa-id/aid/A000000559/1010FFFFFFFF8900000100");
    for request in requests {
        for field in ["Host: sm-sr.example", "X-Admin-Protocol: globalplatform-remote-admin/1.0", &from] {
            assert!(request.head.contains(field), "{}", request.head);
        }
        assert!(!request.head.contains("X-Admin-Resume"));
    }
    assert!(requests[0].body.is_empty());
    for request in &requests[1..] {
        assert!(request.head.contains("X-Admin-Script-Status: ok"));
        let response = request.response();
        assert_eq!(response.form, Form::Indefinite);
        assert!(hex::encode_upper(&response.last_apdu().unwrap().data).starts_with("FF21"));
    }
    let opened = &link(&phone).opened;
    assert_eq!(opened[0].parameters, session().connection.unwrap());
    assert_eq!((opened.len(), link(&phone).closed), (1, 1));
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn a_script_without_a_next_uri_is_run_and_ends_the_session() {
    let phone = triggered([commands(&[store_data(&naming("3A03", FREE))], None)]);
    assert_eq!((link(&phone).requests.len(), link(&phone).closed), (1, 1));
    assert_eq!(phone.bench.life_cycle(FREE), Some(LifeCycle::Enabled));
}

#[test]
fn after_a_change_the_session_ends_before_the_terminal_begins_anew() {
    let phone = triggered([commands(&[store_data(&naming("3A03", FREE))], Some("/2"))]);
    assert_eq!(link(&phone).requests[1].response().last_apdu().unwrap().status.0, 0x9000);
    let place = |is: fn(&Command) -> bool| phone.fetched.iter().position(is).unwrap();
    assert!(
        place(|each| matches!(each, Command::CloseChannel { .. }))
            < place(|each| matches!(each, Command::Refresh(_)))
    );
    assert_eq!(phone.bench.life_cycle(FREE), Some(LifeCycle::Enabled));
}

#[test]
fn applications_are_reached_by_their_paths_and_others_are_unknown() {
    let of = |target: Aid| Reply::Commands {
        target: Some(target),
        next_uri: Some("/next".to_owned()),
        script: Script::of_apdus([hex::decode(RESOURCES).unwrap()]).to_bytes(),
    };
    let unreadable =
        Reply::Commands { target: None, next_uri: Some("/next".to_owned()), script: vec![0xAA, 1] };
    let phone = triggered([of(Aid::isd_p(FREE)), of(Aid::isd_p(0x77)), unreadable, Reply::End]);
    let requests = &link(&phone).requests;
    assert!(requests[1].head.contains("X-Admin-Script-Status: ok"));
    assert!(requests[2].head.contains("X-Admin-Script-Status: unknown-application"));
    assert!(requests[2].body.is_empty());
    assert!(requests[3].head.contains("X-Admin-Script-Status: ok"));
    assert!(requests[3].response().bad_format.is_some());
}

#[test]
fn what_the_trigger_does_not_say_is_what_the_isd_r_has() {
    let bench = Bench::with(
        |description| {
            let addressing = &mut description.m2m.as_mut().unwrap().addressing;
            let session = SessionParameters { security: None, ..session() };
            addressing.https = Some(Octets::from(session.to_bytes().as_slice()));
        },
        world::RamMemory::default(),
    );
    let mut phone = Phone::new(bench);
    phone.settle();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    phone.packet(Spi::UNANSWERED, &[0x81, 0x00]);
    assert_eq!(link(&phone).requests.len(), 2);
    let http = HttpParameters { uri: Some("/other".to_owned()), ..HttpParameters::default() };
    let session = SessionParameters { http: Some(http), ..SessionParameters::default() };
    let trigger = SessionTrigger { session: Some(session), dns: None }.to_bytes();
    phone.packet(Spi::UNANSWERED, &trigger);
    let last = &link(&phone).requests[2];
    assert_eq!(last.uri, "/other");
    assert!(last.head.contains("Host: sm-sr.example"));
}

#[test]
fn a_session_that_cannot_be_is_given_up() {
    // Neither the trigger nor the card says where; the terminal opens no streams; the key is not there.
    let mut phone = Phone::settled();
    phone.packet(Spi::UNANSWERED, &[0x81, 0x00]);
    assert!(is_over(&phone));
    let mut phone = Phone::new(Bench::new());
    phone.facilities = without(&[Facility::OPEN_CHANNEL]);
    phone.settle();
    phone.packet(Spi::UNANSWERED, &trigger());
    assert!(is_over(&phone));
    let mut phone = Phone::settled();
    let security = SecurityParameters { psk_identity: vec![1], key_version: 0x41, key_identifier: 1 };
    let session = SessionParameters { security: Some(security), ..session() };
    phone.packet(Spi::UNANSWERED, &SessionTrigger { session: Some(session), dns: None }.to_bytes());
    assert!(is_over(&phone));
    assert!(!phone.fetched.iter().any(|each| matches!(each, Command::OpenChannel(_))));
}

#[test]
fn a_dek_opens_no_session() {
    let mut phone = Phone::settled();
    let security = session().security.map(|security| SecurityParameters { key_identifier: 2, ..security });
    let trigger = SessionTrigger { session: Some(SessionParameters { security, ..session() }), dns: None };
    phone.packet(Spi::UNANSWERED, &trigger.to_bytes());
    assert!(is_over(&phone));
    assert!(!phone.fetched.iter().any(|each| matches!(each, Command::OpenChannel(_))));
}

#[test]
fn a_trigger_is_for_the_isd_r_and_nobody_else() {
    let mut phone = Phone::settled();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    let to = |phone: &mut Phone, aid: &Aid| {
        let header = CommandHeader { tar: Tar::of_aid(&aid.0).unwrap(), ..header() };
        let counter = phone.bench.state().key_set(SCP80).unwrap().counter + 1;
        phone.deliver(&sealed(header, counter, &trigger()))
    };
    let report = to(&mut phone, &Aid::isd_p(FREE));
    let answer = opened_of(Tar::of_aid(&Aid::isd_p(FREE).0).unwrap(), &report);
    // It was taken for a script, which the ISD-P cannot make sense of.
    assert_ne!(ScriptResponse::parse(&answer.data).unwrap().last_apdu().unwrap().status.0, 0x9000);
    assert!(link(&phone).opened.is_empty() && is_over(&phone));
    to(&mut phone, &Aid(Aid::ISD_R.to_vec()));
    assert_eq!(link(&phone).requests.len(), 2);
}

#[test]
fn a_channel_whose_session_lost_its_key_meanwhile_is_closed() {
    let mut phone = Phone::settled();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    phone.patience = Some(0);
    phone.packet(Spi::UNANSWERED, &trigger());
    phone.patience = None;
    let open = loop {
        let proactive = phone.fetch().expect("a channel to be opened");
        if matches!(proactive.command, Command::OpenChannel(_)) {
            break proactive;
        }
        phone.obey(&proactive);
    };
    let delete = Script::of_apdus([hex::decode("80E4000005F20340010200").unwrap()]).to_bytes();
    let packet = phone.next_packet(Spi::UNANSWERED, &delete);
    phone.deliver_unserved(&packet);
    assert!(phone.bench.state().key_set(SCP81).is_none());
    phone.obey(&open);
    phone.serve();
    assert_eq!((link(&phone).opened.len(), link(&phone).closed), (1, 1));
    assert!(is_over(&phone) && phone.timers.is_empty());
}

#[test]
fn a_channel_that_cannot_be_opened_is_tried_again_as_the_retry_policy_says() {
    let mut phone = Phone::settled();
    phone.refuse = Box::new(|command| {
        let is_open = matches!(command, Command::OpenChannel(_));
        is_open.then_some((GeneralResult::NETWORK_UNABLE, vec![0]))
    });
    phone.packet(Spi::UNANSWERED, &trigger());
    for _ in 0..2 {
        assert!(!is_over(&phone));
        assert_eq!(phone.ring(), Some(11));
    }
    assert!(is_over(&phone));
    assert_eq!(phone.fetched.iter().filter(|each| matches!(each, Command::OpenChannel(_))).count(), 3);
    assert!(phone.timers.is_empty());
}

#[test]
fn a_server_without_the_key_is_not_believed() {
    let mut phone = Phone::settled();
    phone.link = Some(Link { psk: [0x42; 16], ..Link::new([audit(Some("/2"))]) });
    phone.packet(Spi::UNANSWERED, &trigger());
    while phone.ring().is_some() {}
    assert!(link(&phone).requests.is_empty() && is_over(&phone));
}

#[test]
fn a_server_that_refuses_or_falls_silent_is_asked_again() {
    let mut phone = triggered([Reply::Refused(503), audit(Some("/2"))]);
    assert!(!is_over(&phone));
    assert_eq!(phone.ring(), Some(11));
    assert!(is_over(&phone));
    let heads: Vec<_> =
        link(&phone).requests.iter().map(|each| each.head.contains("X-Admin-Resume: true")).collect();
    assert_eq!(heads, [false, true, false]);

    let mut phone = Phone::settled();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    phone.patience = Some(3);
    phone.packet(Spi::UNANSWERED, &trigger());
    phone.patience = None;
    while phone.ring().is_some() {}
    assert!(is_over(&phone));
    assert_eq!(link(&phone).requests.len(), 2);
}

/// The uris and whether they resume, without what was asked twice in a row.
fn audits_run(phone: &Phone) -> Vec<String> {
    let mut uris: Vec<_> = link(phone).requests.iter().map(|each| each.uri.clone()).collect();
    uris.dedup();
    uris
}

#[test]
fn a_link_that_is_cut_at_every_step_is_taken_up_where_it_was() {
    let replies = || [commands(&[store_data(&naming("3A05", FREE))], Some("/2")), audit(Some("/3"))];
    let whole = triggered(replies());
    let steps = whole
        .fetched
        .iter()
        .filter(|each| matches!(each, Command::SendData { .. } | Command::ReceiveData { .. }))
        .count();
    assert!(steps > 6);
    for cut in 0..steps {
        let mut phone = Phone::settled();
        phone.link = Some(Link { lasts: Some(cut), ..Link::new(replies()) });
        phone.packet(Spi::UNANSWERED, &trigger());
        phone.link.as_mut().unwrap().lasts = None;
        if is_over(&phone) {
            // All that was lost is the card's farewell.
            assert_eq!((cut + 1, link(&phone).requests.len()), (steps, 3));
            continue;
        }
        while phone.ring().is_some() {}
        assert!(is_over(&phone), "cut {cut}");
        assert!(phone.timers.is_empty());
        let link = link(&phone);
        assert_eq!(link.opened.len(), 2, "cut {cut}");
        // What was lost of the server's words is said by it again or not; of the card's nothing is lost: each request
        // after the cut has what the one before it had, and says so.
        let resumed: Vec<_> =
            link.requests.iter().filter(|each| each.head.contains("X-Admin-Resume")).collect();
        assert!(resumed.len() == 1, "cut {cut}: {}", resumed.len());
        let uris = audits_run(&phone);
        assert_eq!(uris[0], "/gsma/adminagent", "cut {cut}");
    }
}

#[test]
fn the_power_gone_at_every_step_of_a_session_does_not_lose_an_answer_nor_run_a_script_twice() {
    // The second script can be run but once: a token of no use, an ISD-P that is there already.
    let create = crate::card::m2m::tests::bench::create_isd_p(&aid(0x20), None);
    let replies = || [commands(std::slice::from_ref(&create), Some("/2")), audit(Some("/3"))];
    let steps = triggered(replies()).fetched.len();
    for cut in 0..steps {
        let mut phone = Phone::settled();
        phone.link = Some(Link::new(replies()));
        phone.patience = Some(cut);
        phone.packet(Spi::UNANSWERED, &trigger());
        phone.patience = None;
        phone.reset();
        phone.start();
        while phone.ring().is_some() {}
        assert!(is_over(&phone), "cut {cut}");
        let link = link(&phone);
        let created: Vec<_> = link.requests.iter().filter(|each| each.uri == "/2").collect();
        assert!(!created.is_empty(), "cut {cut}: the answer to the first script never came");
        for request in created {
            assert_eq!(request.response().last_apdu().unwrap().status.0, 0x9000, "cut {cut}");
        }
    }
}

#[test]
fn a_second_trigger_in_a_session_does_not_disturb_it() {
    let mut phone = Phone::settled();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    phone.patience = Some(6);
    phone.packet(Spi::UNANSWERED, &trigger());
    phone.patience = None;
    phone.packet(Spi::UNANSWERED, &trigger());
    while phone.ring().is_some() {}
    assert!(is_over(&phone));
    assert_eq!(link(&phone).requests.len(), 2);
    assert_eq!(link(&phone).opened.len(), 1);
}

pub(super) fn over_https() -> Phone {
    let bench = Bench::with(
        |description| {
            let m2m = description.m2m.as_mut().unwrap();
            m2m.addressing.sms = None;
            m2m.addressing.https = Some(Octets::from(session().to_bytes().as_slice()));
        },
        world::RamMemory::default(),
    );
    Phone::new(bench)
}

pub(super) fn confirmation(number: u16) -> Reply {
    commands(&[format!("80E28900073A08044E02{number:04X}00")], Some("/done"))
}

pub(super) fn notified(request: &Request) -> DefaultNotification {
    let (_, message) = request.uri.split_once("?msg=").unwrap();
    DefaultNotification::parse(&hex::decode(message).unwrap()).unwrap()
}

#[test]
fn without_an_address_for_messages_the_sm_sr_is_notified_over_https() {
    let mut phone = over_https();
    phone.link = Some(Link::new([confirmation(1)]));
    phone.start();
    assert!(phone.sent.is_empty());
    let told = notified(&link(&phone).requests[0]);
    assert_eq!((told.kind, told.isd_p), (NotificationType::EuiccDeclaration, Aid::isd_p(BOOTSTRAP)));
    assert_eq!(link(&phone).requests[1].uri, "/done");
    assert!(is_over(&phone) && phone.timers.is_empty());
    assert_eq!(phone.bench.state().toolkit.notification, None);

    // And of a change that came over HTTPS too, with the follow-up of its confirmation.
    for (number, sequence) in [(GOES, 2), (FREE, 3)] {
        phone.link = Some(Link::new([
            commands(&[store_data(&naming("3A03", number))], Some("/2")),
            Reply::End,
            confirmation(sequence),
        ]));
        phone.packet(Spi::UNANSWERED, &trigger());
        let requests = &link(&phone).requests;
        let told = notified(&requests[2]);
        assert_eq!((told.kind, told.isd_p), (NotificationType::ProfileChangeSucceeded, Aid::isd_p(number)));
        assert_eq!(phone.bench.state().toolkit.notification, None);
    }
    assert_eq!(phone.bench.life_cycle(GOES), None);
}

#[test]
fn a_server_that_does_not_confirm_over_https_makes_the_card_roll_back() {
    let mut phone = over_https();
    phone.link = Some(Link::new([confirmation(1)]));
    phone.start();
    phone.link = Some(Link::new([commands(&[store_data(&naming("3A03", FREE))], Some("/2")), Reply::End]));
    phone.packet(Spi::UNANSWERED, &trigger());
    assert_eq!(phone.bench.life_cycle(FREE), Some(LifeCycle::Enabled));
    for _ in 0..Numbers::STANDARD.notification_attempts {
        phone.ring();
    }
    assert_eq!(phone.bench.life_cycle(BOOTSTRAP), Some(LifeCycle::Enabled));
    let last = link(&phone).requests.last().unwrap();
    assert_eq!(notified(last).kind, NotificationType::ProfileChangeFailed);
}

#[test]
fn without_a_network_a_session_waits_for_one() {
    let mut phone = Phone::settled();
    phone.link = Some(Link::new([audit(Some("/2"))]));
    phone.told_of_network(LocationStatus::None);
    phone.packet(Spi::UNANSWERED, &trigger());
    assert!(link(&phone).opened.is_empty() && !is_over(&phone));
    phone.told_of_network(LocationStatus::Normal);
    assert!(is_over(&phone));
    assert_eq!(link(&phone).requests.len(), 2);
}
