//! A card behind a TCP socket.
//!
//! The device sends commands and the card answers. Each message is a big-endian length of two
//! bytes, followed by that many bytes:
//!
//! | device -> card | card -> device |
//! |---|---|
//! | length, command APDU | length, response APDU |
//! | length 0: reset | length, answer to reset (may be empty) |
//!
//! A card that fails closes the connection. A connection gets the card with its first complete
//! message, and the card is then reset. The longest extended APDU (65544 bytes) does not fit, but
//! commands to cards are much shorter.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::timeout;
use world::{Atr, CardInterface, CardInterfaceFault};

use crate::http::connections::{Activity, Limits};
use crate::http::server::{BoxError, serve_each};

/// Time-out for an answer. A card can take seconds for a command that generates a key or installs a
/// profile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of connections to a card, half of them from one address. One of them has the card.
/// A further one replaces one that has sent no command, or is closed at once.
const MAX_CONNECTIONS: usize = 64;
/// Time for which a device waits for a card that another one uses. Its connection is then closed.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// Gives one connection at a time access to a card. A connection that has sent a command keeps the
/// card until it ends, or until it is silent for [`IDLE_TIMEOUT`](crate::http::IDLE_TIMEOUT) and
/// another one needs the card. The future runs until it is dropped.
pub async fn serve_card(listener: TcpListener, card: impl CardInterface + 'static) {
    let card = Arc::new(SharedCard { card: Mutex::new(card), wanted: Notify::new() });
    let each = move |stream, place: Arc<Activity>, _| {
        let card = Arc::clone(&card);
        async move { serve_device(stream, &card, &place).await }
    };
    serve_each(Limits::of(MAX_CONNECTIONS), listener, each, std::future::pending()).await;
}

/// A card that connections use in turn.
struct SharedCard<C> {
    card: Mutex<C>,
    /// Notified when a connection needs the card.
    wanted: Notify,
}

impl<C: CardInterface> SharedCard<C> {
    /// Waits for the card. Returns `None` after [`MAX_WAIT`].
    async fn take(&self) -> Option<MutexGuard<'_, C>> {
        if let Ok(card) = self.card.try_lock() {
            return Some(card);
        }
        self.wanted.notify_one();
        timeout(MAX_WAIT, self.card.lock()).await.ok()
    }

    /// Completes when the connection that has the card is silent and another one needs the card.
    async fn is_needed_elsewhere(&self, turn: &Activity) {
        loop {
            self.wanted.notified().await;
            if timeout(MAX_WAIT, turn.idle()).await.is_ok() {
                return;
            }
        }
    }
}

async fn serve_device(
    mut stream: TcpStream,
    shared: &SharedCard<impl CardInterface>,
    place: &Arc<Activity>,
) -> Result<(), BoxError> {
    stream.set_nodelay(true)?;
    let Some(first) = receive_or_end(&mut stream).await? else { return Ok(()) };
    let mut card = shared.take().await.ok_or("another device uses the card")?;
    // The connection that has the card is not evicted.
    let mut has_card = place.begin();
    has_card.execute();
    let turn = Activity::of_single_connection();
    tokio::select! {
        ended = converse(stream, first, &mut *card, &turn) => Ok(ended?),
        () = shared.is_needed_elsewhere(&turn) => Err("it was silent, and another device needs the card".into()),
    }
}

/// Resets the card, and answers the first command and all further ones.
async fn converse(
    mut stream: TcpStream,
    first: Vec<u8>,
    card: &mut impl CardInterface,
    turn: &Arc<Activity>,
) -> io::Result<()> {
    card.reset().await.map_err(io::Error::other)?;
    let mut command = Some(first);
    while let Some(received) = command {
        let work = turn.begin();
        let answer = match received.is_empty() {
            true => card.reset().await.map(|Atr(atr)| atr),
            false => card.transmit(&received).await,
        };
        send(&mut stream, &answer.map_err(io::Error::other)?).await?;
        drop(work);
        command = receive_or_end(&mut stream).await?;
    }
    Ok(())
}

/// Client for a card behind a TCP socket.
#[derive(Debug)]
pub struct TcpCard {
    address: String,
    /// `None` after a failure, so that a late answer is not mistaken for the answer to the next
    /// command.
    stream: Option<TcpStream>,
}

impl TcpCard {
    /// Connects to the card at `address`, `host:port`.
    pub async fn connect(address: &str) -> Result<Self, CardInterfaceFault> {
        let no_card = |why: String| CardInterfaceFault::NoCard(format!("{address}: {why}"));
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(|error| no_card(error.to_string()))?,
            Err(_) => return Err(no_card("no connection in time".into())),
        };
        stream.set_nodelay(true).map_err(|error| no_card(error.to_string()))?;
        Ok(Self { address: address.to_owned(), stream: Some(stream) })
    }

    async fn exchange(&mut self, message: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let mut stream = self.stream.take().ok_or_else(|| self.broken("the connection failed earlier"))?;
        let exchange = async {
            send(&mut stream, message).await?;
            receive(&mut stream).await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(Ok(answer)) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Ok(Err(error)) => {
                Err(self
                    .broken(format!("the connection ended: {error} (another device may be using the card)")))
            }
            Err(_) => {
                Err(CardInterfaceFault::Timeout(format!("{} (another device may be using it)", self.address)))
            }
        }
    }

    fn broken(&self, why: impl std::fmt::Display) -> CardInterfaceFault {
        CardInterfaceFault::Broken(format!("{}: {why}", self.address))
    }
}

impl CardInterface for TcpCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        if command.is_empty() || u16::try_from(command.len()).is_err() {
            return Err(CardInterfaceFault::Garbled(format!("a command of {} bytes", command.len())));
        }
        let answer = self.exchange(command).await?;
        if answer.len() < 2 {
            return Err(CardInterfaceFault::Garbled(format!(
                "a response of {} bytes has no status word",
                answer.len()
            )));
        }
        Ok(answer)
    }

    /// Restores a broken connection too, because a reset discards all state anyway.
    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        if self.stream.is_none() {
            *self = Self::connect(&self.address).await?;
        }
        self.exchange(&[]).await.map(Atr)
    }
}

pub(super) async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    // Length and data are written at once, so that they are sent in one segment.
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

pub(super) async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    receive_or_end(stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Receives a message, or `None` at a proper end, which is only possible between messages.
pub(super) async fn receive_or_end(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match stream.read(&mut length).await? {
        0 => return Ok(None),
        1 => length[1] = stream.read_u8().await?,
        _ => {}
    }
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    if !message.is_empty() {
        acknowledge_at_once(stream);
    }
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Acknowledges the octets received so far. A peer that writes length and message apart, as vpcd
/// does, sends the message only after the acknowledgement of the length, which the operating system
/// otherwise delays by 40 ms.
fn acknowledge_at_once(stream: &TcpStream) {
    // If this fails, the connection works, but slowly.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that counts commands since its reset and fails at INS FF.
    #[derive(Default)]
    struct Counter(u8);

    impl CardInterface for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            if command.get(1) == Some(&0xff) {
                return Err(CardInterfaceFault::Card("simulated failure".into()));
            }
            self.0 += 1;
            Ok([command, &[self.0], &[0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            self.0 = 0;
            Ok(Atr(vec![0x3b, 0x00]))
        }
    }

    async fn card() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve_card(listener, Counter::default()));
        address
    }

    #[tokio::test]
    async fn commands_and_resets_work() {
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        assert_eq!(card.reset().await.unwrap(), Atr(vec![0x3b, 0x00]));
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
        assert_eq!(card.transmit(&[7; 300]).await.unwrap()[300..], [2, 0x90, 0]);
        card.reset().await.unwrap();
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    /// vpcd writes length and command apart and has not set TCP_NODELAY. Its system sends the command
    /// only after the length was acknowledged. With an acknowledgement that is delayed by 40 ms, the
    /// commands of this test would take 8 seconds.
    #[tokio::test]
    async fn a_device_that_writes_length_and_command_apart_is_answered_without_delay() {
        const COMMANDS: u8 = 200;
        let mut device = TcpStream::connect(card().await).await.unwrap();
        device.set_nodelay(false).unwrap();
        let conversation = async {
            for number in 1..=COMMANDS {
                device.write_all(&[0, 5]).await.unwrap();
                device.write_all(&[0, 0xB0, 0, 0, 1]).await.unwrap();
                assert_eq!(receive(&mut device).await.unwrap(), [0, 0xB0, 0, 0, 1, number, 0x90, 0]);
            }
        };
        timeout(Duration::from_secs(2), conversation).await.expect("the commands take 8 seconds");
    }

    #[tokio::test]
    async fn a_length_can_arrive_in_two_segments() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        sender.set_nodelay(true).unwrap();
        let (mut receiver, _) = listener.accept().await.unwrap();
        sender.write_all(&[0]).await.unwrap();
        // The receiver reads the first octet before the second one is sent.
        let rest = async {
            tokio::task::yield_now().await;
            sender.write_all(&[2, 7, 8]).await
        };
        let (received, sent) = tokio::join!(receive(&mut receiver), rest);
        sent.unwrap();
        assert_eq!(received.unwrap(), [7, 8]);
    }

    #[tokio::test]
    async fn a_response_has_at_least_a_status_word() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers = async {
            let (mut card, _) = listener.accept().await.unwrap();
            for answer in [&[0, 2, 0x90, 0][..], &[0, 3, 7, 0x90, 0], &[0, 1, 0x90]] {
                receive(&mut card).await.unwrap();
                card.write_all(answer).await.unwrap();
            }
        };
        let commands = async {
            let mut card = TcpCard::connect(&address).await.unwrap();
            assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0x90, 0]);
            assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [7, 0x90, 0]);
            assert!(matches!(card.transmit(&[0, 1]).await, Err(CardInterfaceFault::Garbled(_))));
        };
        tokio::join!(answers, commands);
    }

    #[tokio::test]
    async fn a_failed_card_breaks_the_connection_and_a_reset_restores_it() {
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        assert!(matches!(card.transmit(&[0, 0xff]).await, Err(CardInterfaceFault::Broken(_))));
        assert!(matches!(card.transmit(&[0, 1]).await, Err(CardInterfaceFault::Broken(_))));
        card.reset().await.unwrap();
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    #[tokio::test]
    async fn each_connection_starts_with_a_reset_card() {
        let address = card().await;
        let mut first = TcpCard::connect(&address).await.unwrap();
        first.transmit(&[0, 1]).await.unwrap();
        drop(first);
        let mut second = TcpCard::connect(&address).await.unwrap();
        assert_eq!(second.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_device_gives_way_to_another_one() {
        let address = card().await;
        let mut busy = TcpCard::connect(&address).await.unwrap();
        let mut other = TcpCard::connect(&address).await.unwrap();
        let pause = crate::http::IDLE_TIMEOUT - Duration::from_secs(1);
        for number in 1..4 {
            assert_eq!(busy.transmit(&[0, 1]).await.unwrap(), [0, 1, number, 0x90, 0]);
            tokio::time::sleep(pause).await;
        }
        // The other device is refused at once, and not when the card is free.
        let begun = tokio::time::Instant::now();
        let refused = other.transmit(&[0, 1]).await.unwrap_err().to_string();
        assert!(refused.contains("another device"), "{refused}");
        assert!(begun.elapsed() <= 2 * MAX_WAIT, "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The card is reset for the other device, and the connection of the silent one is closed.
        other.reset().await.unwrap();
        assert_eq!(other.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
        assert!(matches!(busy.transmit(&[0, 1]).await, Err(CardInterfaceFault::Broken(_))));
    }

    #[tokio::test]
    async fn connections_without_a_command_do_not_occupy_the_card() {
        let address = card().await;
        let mut silent = Vec::new();
        for first in [&[][..], &[0], &[0, 5, 0, 0xB0]].into_iter().cycle().take(3 * MAX_CONNECTIONS) {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(first).await.unwrap();
            silent.push(stream);
        }
        let mut card = TcpCard::connect(&address).await.unwrap();
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
        // Further connections do not replace the one that has the card.
        for _ in 0..MAX_CONNECTIONS {
            silent.push(TcpStream::connect(&address).await.unwrap());
        }
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 2, 0x90, 0]);
    }

    #[tokio::test]
    async fn a_missing_card_and_invalid_commands_are_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(matches!(TcpCard::connect(&address).await, Err(CardInterfaceFault::NoCard(_))));
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        for command in [&[][..], &[0; 70_000]] {
            assert!(matches!(card.transmit(command).await, Err(CardInterfaceFault::Garbled(_))));
        }
    }
}
