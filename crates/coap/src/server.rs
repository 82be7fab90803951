//! The server: passes the requests of one peer to a link.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use world::{Link, LinkFault, LinkFaultKind, World};

use crate::block::Block;
use crate::datagrams::Datagrams;
use crate::exchange;
use crate::message::{Code, Kind, Message, Options, Token, option};
use crate::transmission::{Backoff, EXCHANGE_LIFETIME, Numbers, Transmission};

/// Maximum size of a request. The results and notifications of a device are far smaller.
pub const MAX_REQUEST: usize = 128 << 10;

/// Time after which a request without a response is acknowledged. It is shorter than the time after
/// which a client repeats the request.
const PIGGYBACK_WAIT: Duration = Duration::from_millis(1500);
/// Maximum number of message IDs that are remembered. A duplicate of a remembered message is not
/// executed.
const MAX_REMEMBERED: usize = 1024;
/// Number of latest messages whose replies are kept, so that a duplicate gets the same reply.
const MAX_REPLIES: usize = 16;
/// Seconds after which a client can repeat a request that came while another one was running.
const RETRY_AFTER: u32 = 1;

/// Passes the requests that arrive in `datagrams` to `link`, until the association is over. Returns
/// why it is.
///
/// A request is executed once, although its messages can arrive several times, and is executed to
/// its end even if the association is over before. If the link fails, the association ends without
/// a response.
pub async fn serve(
    datagrams: &dyn Datagrams,
    link: &Link,
    world: &World,
    transmission: Transmission,
) -> LinkFault {
    let mut server = Server {
        datagrams,
        link,
        world,
        transmission,
        ids: Numbers::starting_at_random(world),
        seen: VecDeque::new(),
        upload: None,
        response: None,
        running: None,
        separate: None,
    };
    loop {
        if let Err(over) = server.step().await {
            return over;
        }
    }
}

struct Server<'a> {
    datagrams: &'a dyn Datagrams,
    link: &'a Link,
    world: &'a World,
    transmission: Transmission,
    ids: Numbers,
    /// The latest messages of the peer, oldest first.
    seen: VecDeque<Seen>,
    upload: Option<Upload>,
    /// The latest response, whose blocks the peer can fetch.
    response: Option<Stored>,
    running: Option<Running>,
    separate: Option<Separate>,
}

/// A message of the peer.
struct Seen {
    id: u16,
    at: Instant,
    /// The reply, if there was one and it is still kept.
    reply: Option<Bytes>,
}

/// A request whose blocks arrive.
struct Upload {
    options: Options,
    body: BytesMut,
    at: Instant,
}

/// A response, with the options of its request.
struct Stored {
    request: Options,
    code: Code,
    options: Options,
    body: Bytes,
    at: Instant,
}

/// A request that the link executes.
struct Running {
    id: u16,
    token: Token,
    options: Options,
    block1: Option<Block>,
    block2: Option<Block>,
    response: JoinHandle<Result<Response<Bytes>, LinkFault>>,
    /// The time at which the request is acknowledged. `None` if it already is.
    acknowledge_at: Option<Instant>,
}

/// A separate response that the peer has not acknowledged.
struct Separate {
    id: u16,
    datagram: Bytes,
    backoff: Backoff,
    repeat_at: Instant,
}

/// What happens next.
enum Next {
    Datagram(Bytes),
    Response(Result<Response<Bytes>, LinkFault>),
    Timer,
}

impl Server<'_> {
    async fn step(&mut self) -> Result<(), LinkFault> {
        let timer = [
            self.running.as_ref().and_then(|running| running.acknowledge_at),
            self.separate.as_ref().map(|separate| separate.repeat_at),
        ];
        let timer = timer.into_iter().flatten().min();
        let response = async {
            match &mut self.running {
                Some(running) => (&mut running.response).await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            // The order is fixed, so that a simulation is repeatable.
            biased;
            ended = response => Next::Response(ended.unwrap_or_else(|error| {
                Err(LinkFault::new(LinkFaultKind::Reset, "server", error.to_string()))
            })),
            received = self.datagrams.receive() => Next::Datagram(received?),
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => Next::Timer,
        };
        match next {
            Next::Datagram(datagram) => self.receive(&datagram).await,
            Next::Response(response) => self.respond(response?).await,
            Next::Timer => self.run_timers().await,
        }
    }

    async fn receive(&mut self, datagram: &Bytes) -> Result<(), LinkFault> {
        // A datagram that is not a message is ignored: RFC 7252 section 4.2.
        let Ok(message) = Message::decode(datagram) else { return Ok(()) };
        match message.kind {
            Kind::Acknowledgement | Kind::Reset => {
                self.separate.take_if(|separate| separate.id == message.id);
                Ok(())
            }
            Kind::Confirmable | Kind::NonConfirmable => self.receive_request(message).await,
        }
    }

    async fn receive_request(&mut self, message: Message) -> Result<(), LinkFault> {
        let now = Instant::now();
        self.forget_before(now);
        // req: RFC.7252-4.5-Deduplication
        if let Some(seen) = self.seen.iter().find(|seen| seen.id == message.id) {
            return match seen.reply.clone() {
                Some(reply) => self.datagrams.send(reply).await,
                None => Ok(()),
            };
        }
        if !message.code.is_request() {
            // A ping, or a message that makes no sense here: RFC 7252 section 4.3.
            return match message.kind {
                Kind::Confirmable => self.send(Message::empty(Kind::Reset, message.id)).await,
                _ => Ok(()),
            };
        }
        self.remember(message.id, now);
        let is_confirmable = message.kind == Kind::Confirmable;
        match self.accept(&message, now) {
            Accepted::Execute(request, block1, block2) => {
                let (link, options) = (self.link.clone(), request_key(&message.options));
                self.running = Some(Running {
                    id: message.id,
                    token: message.token,
                    options,
                    block1,
                    block2,
                    response: tokio::spawn(async move { world::send(&link, *request).await }),
                    acknowledge_at: is_confirmable.then(|| now + PIGGYBACK_WAIT),
                });
                Ok(())
            }
            Accepted::Reply(code, options, payload) => {
                let reply = if is_confirmable {
                    Message::new(Kind::Acknowledgement, code, message.id, message.token)
                } else {
                    Message::new(Kind::NonConfirmable, code, self.ids.next(), message.token)
                };
                self.reply(message.id, Message { options, payload, ..reply }).await
            }
        }
    }

    /// Decides what to do with a request.
    fn accept(&mut self, message: &Message, now: Instant) -> Accepted {
        match self.accept_or_code(message, now) {
            Ok(accepted) => accepted,
            Err(code) => {
                let mut options = Options::default();
                if code == Code::SERVICE_UNAVAILABLE {
                    options.add_uint(option::MAX_AGE, RETRY_AFTER);
                }
                Accepted::Reply(code, options, Bytes::new())
            }
        }
    }

    fn accept_or_code(&mut self, message: &Message, now: Instant) -> Result<Accepted, Code> {
        exchange::check_options(&message.options)?;
        let block = |number| Block::read(&message.options, number).map_err(|_| Code::BAD_OPTION);
        let (block1, block2) = (block(option::BLOCK1)?, block(option::BLOCK2)?);
        if let Some(block2) = block2
            && block2.number > 0
            && block1.is_none()
        {
            return self.stored_block(&request_key(&message.options), block2);
        }
        let body = match block1 {
            None if message.payload.len() > self.transmission.block_size.octets() => {
                return Ok(self.too_large());
            }
            None => message.payload.clone(),
            Some(block) => match self.assemble(message, block, now)? {
                Assembled::Complete(body) => body,
                Assembled::Reply(accepted) => return Ok(accepted),
            },
        };
        let request = exchange::http_request(message.code, &message.options, body)?;
        // One request at a time: RFC 7252 section 4.7.
        if self.running.is_some() {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        Ok(Accepted::Execute(Box::new(request), block1, block2))
    }

    /// Adds a block to the request: RFC 7959 section 2.5.
    fn assemble(&mut self, message: &Message, block: Block, now: Instant) -> Result<Assembled, Code> {
        if block.more && message.payload.len() != block.size.octets()
            || message.payload.len() > block.size.octets()
        {
            return Err(Code::BAD_REQUEST);
        }
        let key = request_key(&message.options);
        if block.number == 0 {
            self.upload = Some(Upload { options: key.clone(), body: BytesMut::new(), at: now });
        }
        // req: RFC.7959-2.5-Block1
        let upload = self.upload.as_mut();
        let upload = upload.filter(|upload| upload.options == key && upload.body.len() == block.offset());
        let Some(upload) = upload else {
            self.upload = None;
            return Err(Code::REQUEST_INCOMPLETE);
        };
        if upload.body.len() + message.payload.len() > MAX_REQUEST {
            self.upload = None;
            return Err(Code::REQUEST_TOO_LARGE);
        }
        upload.body.extend_from_slice(&message.payload);
        upload.at = now;
        if block.more {
            let mut options = Options::default();
            // The peer must use smaller blocks if those of the server are smaller.
            let size = block.size.min(self.transmission.block_size);
            let number = block.offset().checked_div(size.octets()).and_then(|n| u32::try_from(n).ok());
            let number = number.ok_or(Code::BAD_OPTION)?;
            Block { number, more: true, size }.write(&mut options, option::BLOCK1);
            return Ok(Assembled::Reply(Accepted::Reply(Code::CONTINUE, options, Bytes::new())));
        }
        let body = self.upload.take().map(|upload| upload.body.freeze()).unwrap_or_default();
        Ok(Assembled::Complete(body))
    }

    /// Refuses a request that is larger than a block, and names the size that the peer must use.
    fn too_large(&self) -> Accepted {
        let mut options = Options::default();
        Block { number: 0, more: false, size: self.transmission.block_size }
            .write(&mut options, option::BLOCK1);
        Accepted::Reply(Code::REQUEST_TOO_LARGE, options, Bytes::new())
    }

    /// Returns a further block of the latest response: RFC 7959 section 2.4.
    fn stored_block(&self, key: &Options, block: Block) -> Result<Accepted, Code> {
        let stored = self.response.as_ref().filter(|stored| stored.request == *key);
        let stored = stored.ok_or(Code::REQUEST_INCOMPLETE)?;
        let (options, payload) = stored.block(block.offset(), block, self.transmission)?;
        Ok(Accepted::Reply(stored.code, options, payload))
    }

    /// Sends the response of the link.
    async fn respond(&mut self, response: Response<Bytes>) -> Result<(), LinkFault> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let (code, options) = exchange::response_head(&response);
        let (request, body) = (running.options, response.into_body());
        let stored = Stored { request, code, options, body, at: Instant::now() };
        let size = self.transmission.block_size;
        let wanted = running.block2.unwrap_or(Block { number: 0, more: false, size });
        let (code, (mut options, payload)) = match stored.block(0, wanted, self.transmission) {
            Ok(block) => (stored.code, block),
            Err(code) => (code, Default::default()),
        };
        if let Some(block1) = running.block1 {
            block1.write(&mut options, option::BLOCK1);
        }
        self.response = Some(stored);
        if running.acknowledge_at.is_some() {
            let reply = Message::new(Kind::Acknowledgement, code, running.id, running.token);
            return self.reply(running.id, Message { options, payload, ..reply }).await;
        }
        // req: RFC.7252-5.2.2-Separate
        let id = self.ids.next();
        let separate = Message::new(Kind::Confirmable, code, id, running.token);
        let datagram = Message { options, payload, ..separate }.encode();
        let backoff = Backoff::start(&self.transmission, &*self.world.random);
        let repeat_at = Instant::now() + backoff.wait();
        self.separate = Some(Separate { id, datagram: datagram.clone(), backoff, repeat_at });
        self.datagrams.send(datagram).await
    }

    async fn run_timers(&mut self) -> Result<(), LinkFault> {
        let now = Instant::now();
        if let Some(running) = &mut self.running
            && running.acknowledge_at.take_if(|at| *at <= now).is_some()
        {
            let id = running.id;
            self.reply(id, Message::empty(Kind::Acknowledgement, id)).await?;
        }
        let Some(separate) = self.separate.as_mut().filter(|separate| separate.repeat_at <= now) else {
            return Ok(());
        };
        if !separate.backoff.repeat() {
            self.separate = None;
            return Ok(());
        }
        separate.repeat_at = now + separate.backoff.wait();
        let datagram = separate.datagram.clone();
        self.datagrams.send(datagram).await
    }

    /// Sends the reply to the message with this ID, and keeps it for duplicates of the message.
    async fn reply(&mut self, id: u16, reply: Message) -> Result<(), LinkFault> {
        let datagram = reply.encode();
        if let Some(seen) = self.seen.iter_mut().rev().find(|seen| seen.id == id) {
            seen.reply = Some(datagram.clone());
        }
        self.datagrams.send(datagram).await
    }

    async fn send(&self, message: Message) -> Result<(), LinkFault> {
        self.datagrams.send(message.encode()).await
    }

    fn remember(&mut self, id: u16, at: Instant) {
        self.seen.push_back(Seen { id, at, reply: None });
        if self.seen.len() > MAX_REMEMBERED {
            self.seen.pop_front();
        }
        if let Some(seen) = self.seen.iter_mut().rev().nth(MAX_REPLIES) {
            seen.reply = None;
        }
    }

    /// Forgets what no message can refer to any more.
    fn forget_before(&mut self, now: Instant) {
        let is_over = |at: Instant| now.duration_since(at) > EXCHANGE_LIFETIME;
        while self.seen.pop_front_if(|seen| is_over(seen.at)).is_some() {}
        self.upload.take_if(|upload| is_over(upload.at));
        self.response.take_if(|stored| is_over(stored.at));
    }
}

enum Accepted {
    /// The request is complete. The blocks are those of its last message.
    Execute(Box<Request<Bytes>>, Option<Block>, Option<Block>),
    Reply(Code, Options, Bytes),
}

enum Assembled {
    Complete(Bytes),
    Reply(Accepted),
}

impl Stored {
    /// Returns the options and the payload of the block at `offset`, which is at most as large as
    /// `wanted`. The options contain a block only if the body has several.
    fn block(
        &self,
        offset: usize,
        wanted: Block,
        transmission: Transmission,
    ) -> Result<(Options, Bytes), Code> {
        let size = wanted.size.min(transmission.block_size);
        let mut options = self.options.clone();
        if offset == 0 && self.body.len() <= size.octets() {
            return Ok((options, self.body.clone()));
        }
        if offset >= self.body.len() {
            return Err(Code::BAD_OPTION);
        }
        let block = Block::at(offset, self.body.len(), size).ok_or(Code::BAD_OPTION)?;
        block.write(&mut options, option::BLOCK2);
        if offset == 0 {
            options.add_uint(option::SIZE2, u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        }
        let end = self.body.len().min(offset + size.octets());
        Ok((options, self.body.slice(offset..end)))
    }
}

/// Returns the options that the messages of one request have in common.
fn request_key(options: &Options) -> Options {
    let mut key = Options::default();
    for (number, value) in options.iter() {
        if matches!(number, option::URI_HOST | option::URI_PORT | option::URI_PATH | option::URI_QUERY) {
            key.add(number, value.clone());
        }
    }
    key
}
