//! The client: a link whose requests travel as CoAP messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use world::{Link, LinkFault, LinkFaultKind, World, link_from};

use crate::block::{Block, BlockSize};
use crate::datagrams::{Datagrams, DialDatagrams};
use crate::exchange;
use crate::message::{Code, Kind, Message, Options, Token, option};
use crate::transmission::{Backoff, Numbers, Transmission};

/// Maximum size of a response. A bound profile package with a margin.
pub const MAX_RESPONSE: usize = 1 << 20;
/// Maximum time between the acknowledgement of a request and its separate response.
pub const SEPARATE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time of a complete exchange, including the handshake and all blocks. A bound profile
/// package has about a hundred blocks, each of which takes a few seconds over NB-IoT.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A client of one server. Clones share its association. It has one exchange at a time (RFC 7252
/// section 4.7), and further requests wait.
///
/// The client opens an association for its first request and keeps it. After a failed exchange the
/// next request opens another one: the server may have forgotten the former, or the address of the
/// client may have changed.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    dial: Arc<dyn DialDatagrams>,
    host: String,
    world: World,
    transmission: Transmission,
    endpoint: Mutex<Option<Endpoint>>,
}

/// An association, and the numbers of its messages.
struct Endpoint {
    datagrams: Arc<dyn Datagrams>,
    ids: Numbers,
    tokens: Numbers,
    /// The latest separate response, which is acknowledged again if the server repeats it.
    separate: Option<u16>,
}

impl Client {
    /// Creates a client of the server that `dial` reaches. `host` is its name in the requests, or
    /// its IP address.
    pub fn new(dial: Arc<dyn DialDatagrams>, host: &str, world: World, transmission: Transmission) -> Self {
        let (host, endpoint) = (host.to_owned(), Mutex::default());
        Self(Arc::new(Inner { dial, host, world, transmission, endpoint }))
    }

    /// Returns a link to the server. Only POST requests of the ASN.1 binding are possible.
    pub fn link(&self) -> Link {
        let inner = Arc::clone(&self.0);
        link_from(tower::service_fn(move |request| {
            let inner = Arc::clone(&inner);
            async move { inner.send(request).await }
        }))
    }
}

impl Inner {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        match timeout(EXCHANGE_TIMEOUT, self.exchange_once(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("the exchange took more than {} s", EXCHANGE_TIMEOUT.as_secs());
                Err(self.fault(LinkFaultKind::Timeout, why))
            }
        }
    }

    async fn exchange_once(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let options = exchange::request_options(&request, &self.host)
            .map_err(|why| self.fault(LinkFaultKind::Protocol, why))?;
        let mut kept = self.endpoint.lock().await;
        // The association is put back only after success, so that it is not used again if this
        // future fails or is dropped.
        let mut endpoint = match kept.take() {
            Some(endpoint) => endpoint,
            None => self.open().await?,
        };
        let response = self.exchange(&mut endpoint, &options, request.body()).await?;
        *kept = Some(endpoint);
        Ok(response)
    }

    async fn open(&self) -> Result<Endpoint, LinkFault> {
        let datagrams = self.dial.dial().await?;
        let numbers = || Numbers::starting_at_random(&self.world);
        Ok(Endpoint { datagrams, ids: numbers(), tokens: numbers(), separate: None })
    }

    async fn exchange(
        &self,
        endpoint: &mut Endpoint,
        options: &Options,
        body: &Bytes,
    ) -> Result<Response<Bytes>, LinkFault> {
        let first = self.upload(endpoint, options, body).await?;
        let body = self.download(endpoint, options, &first).await?;
        exchange::http_response(first.code, &first.options, body)
            .map_err(|why| self.fault(LinkFaultKind::Protocol, why))
    }

    /// Sends the body, in blocks if it is larger than one (RFC 7959 section 2.5). Returns the
    /// response to the last block.
    async fn upload(
        &self,
        endpoint: &mut Endpoint,
        options: &Options,
        body: &Bytes,
    ) -> Result<Message, LinkFault> {
        let mut size = self.transmission.block_size;
        let (mut offset, mut in_blocks) = (0, body.len() > size.octets());
        loop {
            let block = Block::at(offset, body.len(), size)
                .ok_or_else(|| self.fault(LinkFaultKind::Protocol, "the request has too many blocks"))?;
            let end = body.len().min(offset + size.octets());
            let mut options = options.clone();
            if in_blocks {
                block.write(&mut options, option::BLOCK1);
            }
            // The server chooses the size of its blocks unless the client needs smaller ones.
            if !block.more && size < BlockSize::MAX {
                Block { number: 0, more: false, size }.write(&mut options, option::BLOCK2);
            }
            let response = self.round_trip(endpoint, options, body.slice(offset..end)).await?;
            let reported = Block::read(&response.options, option::BLOCK1)
                .map_err(|_| self.fault(LinkFaultKind::Protocol, "the Block1 option is invalid"))?;
            match (response.code, reported) {
                (Code::CONTINUE, Some(reported)) if block.more && reported.offset() == offset => {
                    offset = end;
                    // The next block has a number in units of the new size.
                    size = size.min(reported.size);
                }
                (Code::CONTINUE, _) => {
                    let why = "the server acknowledges another block than the one that was sent";
                    return Err(self.fault(LinkFaultKind::Protocol, why));
                }
                // The server asks for smaller blocks: RFC 7959 section 2.9.3.
                (Code::REQUEST_TOO_LARGE, Some(reported)) if reported.size < size => {
                    (size, offset, in_blocks) = (reported.size, 0, true);
                }
                _ => return Ok(response),
            }
        }
    }

    /// Fetches the further blocks of a response (RFC 7959 section 2.4). Returns the complete body.
    async fn download(
        &self,
        endpoint: &mut Endpoint,
        options: &Options,
        first: &Message,
    ) -> Result<Bytes, LinkFault> {
        let fault = |why: &str| self.fault(LinkFaultKind::Protocol, why);
        let read = |message: &Message| {
            Block::read(&message.options, option::BLOCK2).map_err(|_| fault("the Block2 option is invalid"))
        };
        let Some(mut block) = read(first)? else { return Ok(first.payload.clone()) };
        let mut body = BytesMut::new();
        let mut payload = first.payload.clone();
        loop {
            // req: RFC.7959-2.4-Block2
            if block.offset() != body.len() || block.more && payload.len() != block.size.octets() {
                return Err(fault("a block of the response is not the one that was requested"));
            }
            if body.len() + payload.len() > MAX_RESPONSE {
                let why = format!("more than {MAX_RESPONSE} octets");
                return Err(self.fault(LinkFaultKind::TooLarge, why));
            }
            body.extend_from_slice(&payload);
            if !block.more {
                return Ok(body.freeze());
            }
            let size = block.size.min(self.transmission.block_size);
            let next = Block::at(body.len(), body.len(), size).ok_or_else(|| fault("too many blocks"))?;
            let mut options = without_format(options);
            next.write(&mut options, option::BLOCK2);
            let response = self.round_trip(endpoint, options, Bytes::new()).await?;
            let is_same = response.code == first.code
                && response.options.first(option::ETAG) == first.options.first(option::ETAG);
            block = match read(&response)? {
                Some(block) if is_same => block,
                _ => return Err(fault("the response changed between two of its blocks")),
            };
            payload = response.payload;
        }
    }

    /// Sends one confirmable request and waits for its response.
    async fn round_trip(
        &self,
        endpoint: &mut Endpoint,
        options: Options,
        payload: Bytes,
    ) -> Result<Message, LinkFault> {
        let (id, token) = (endpoint.ids.next(), Token::of(endpoint.tokens.next()));
        let request = Message::new(Kind::Confirmable, Code::POST, id, token);
        let request = Message { options, payload, ..request };
        let response = self.transmit(endpoint, &request).await?;
        exchange::check_response(&response.options)
            .map_err(|why| self.fault(LinkFaultKind::Protocol, why))?;
        Ok(response)
    }

    /// Sends a request until it is acknowledged, and waits for its response: RFC 7252 section 4.2.
    async fn transmit(&self, endpoint: &mut Endpoint, request: &Message) -> Result<Message, LinkFault> {
        let Message { id, ref token, .. } = *request;
        let datagram = request.encode();
        endpoint.datagrams.send(datagram.clone()).await?;
        let mut backoff = Backoff::start(&self.transmission, &*self.world.random);
        let mut deadline = Instant::now() + backoff.wait();
        let mut is_acknowledged = false;
        loop {
            let Ok(received) = timeout_at(deadline, endpoint.datagrams.receive()).await else {
                if is_acknowledged {
                    let why = "the request was acknowledged, but there was no response";
                    return Err(self.fault(LinkFaultKind::Timeout, why));
                }
                if !backoff.repeat() {
                    return Err(self.fault(LinkFaultKind::Timeout, "no acknowledgement"));
                }
                endpoint.datagrams.send(datagram.clone()).await?;
                deadline = Instant::now() + backoff.wait();
                continue;
            };
            // A datagram that is not a message is ignored: RFC 7252 section 4.2.
            let Ok(message) = Message::decode(&received?) else { continue };
            let is_response = message.code.is_response() && message.token == *token;
            match message.kind {
                Kind::Acknowledgement if message.id == id && message.code == Code::EMPTY => {
                    if !is_acknowledged {
                        is_acknowledged = true;
                        deadline = Instant::now() + SEPARATE_RESPONSE_TIMEOUT;
                    }
                }
                Kind::Acknowledgement if message.id == id && is_response => return Ok(message),
                Kind::Reset if message.id == id => {
                    return Err(self.fault(LinkFaultKind::Reset, "the server has reset the request"));
                }
                Kind::Acknowledgement | Kind::Reset => {}
                Kind::NonConfirmable if is_response => return Ok(message),
                Kind::NonConfirmable => {}
                Kind::Confirmable => {
                    let known = is_response || endpoint.separate == Some(message.id);
                    let kind = if known { Kind::Acknowledgement } else { Kind::Reset };
                    endpoint.datagrams.send(Message::empty(kind, message.id).encode()).await?;
                    if is_response {
                        endpoint.separate = Some(message.id);
                        return Ok(message);
                    }
                }
            }
        }
    }

    fn fault(&self, kind: LinkFaultKind, why: impl Into<String>) -> LinkFault {
        LinkFault::new(kind, self.host.as_str(), why)
    }
}

/// Returns the options of a request without a payload.
fn without_format(options: &Options) -> Options {
    let mut kept = Options::default();
    for (number, value) in options.iter().filter(|(number, _)| *number != option::CONTENT_FORMAT) {
        kept.add(number, value.clone());
    }
    kept
}
