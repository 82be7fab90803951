//! A card behind a TCP socket.
//!
//! The device sends a command, the card answers; nothing else crosses. Each message is two bytes of length, big-endian,
//! and as many bytes:
//!
//! | device -> card | card -> device |
//! |---|---|
//! | length, command APDU | length, response APDU |
//! | length 0: reset | length, answer to reset (may be empty) |
//!
//! A card that fails closes the connection. A new connection is a card put into a device: the card is reset first.
//! The longest extended APDU (65544 bytes) does not fit; commands to a card stay far below.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use world::{Atr, CardDoor, DoorFault};

/// A real card may take seconds for one command: generating a key, installing a profile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As after a failed accept of the HTTP server: another one at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Lends a card to whoever connects, one at a time; the next one waits. Ends only when it is dropped.
pub async fn serve_card(listener: TcpListener, mut card: impl CardDoor) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match serve_device(stream, &mut card).await {
                Ok(()) => tracing::debug!(%peer, "the device has let go of the card"),
                Err(error) => tracing::warn!(%peer, %error, "the device's connection to the card ended"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the card");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_device(mut stream: TcpStream, card: &mut impl CardDoor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    card.reset().await.map_err(io::Error::other)?;
    while let Some(command) = receive_or_end(&mut stream).await? {
        let answer = if command.is_empty() {
            card.reset().await.map(|Atr(atr)| atr)
        } else {
            card.transmit(&command).await
        };
        send(&mut stream, &answer.map_err(io::Error::other)?).await?;
    }
    Ok(())
}

/// The device's end: a card somewhere else.
#[derive(Debug)]
pub struct TcpCard {
    address: String,
    /// Gone after any failure: an answer that comes late must not be taken for the answer to the next command.
    stream: Option<TcpStream>,
}

impl TcpCard {
    /// Connects to the card at `address`, `host:port`.
    pub async fn connect(address: &str) -> Result<Self, DoorFault> {
        let no_card = |why: String| DoorFault::NoCard(format!("{address}: {why}"));
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(|error| no_card(error.to_string()))?,
            Err(_) => return Err(no_card("no connection in time".into())),
        };
        stream.set_nodelay(true).map_err(|error| no_card(error.to_string()))?;
        Ok(Self { address: address.to_owned(), stream: Some(stream) })
    }

    async fn exchange(&mut self, message: &[u8]) -> Result<Vec<u8>, DoorFault> {
        let mut stream = self.stream.take().ok_or_else(|| self.broken("it broke earlier"))?;
        let exchange = async {
            send(&mut stream, message).await?;
            receive(&mut stream).await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(Ok(answer)) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(DoorFault::Timeout(format!("{} (another device may be using it)", self.address))),
        }
    }

    fn broken(&self, why: impl std::fmt::Display) -> DoorFault {
        DoorFault::Broken(format!("{}: {why}", self.address))
    }
}

impl CardDoor for TcpCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        if command.is_empty() || u16::try_from(command.len()).is_err() {
            return Err(DoorFault::Garbled(format!("a command of {} bytes", command.len())));
        }
        let answer = self.exchange(command).await?;
        if answer.len() < 2 {
            return Err(DoorFault::Garbled(format!(
                "a response of {} bytes has no status word",
                answer.len()
            )));
        }
        Ok(answer)
    }

    /// Also mends a broken connection: a reset begins anew in any case.
    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        if self.stream.is_none() {
            *self = Self::connect(&self.address).await?;
        }
        self.exchange(&[]).await.map(Atr)
    }
}

pub(super) async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    // One write, so that it leaves in one segment.
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

pub(super) async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The end is proper only between messages.
pub(super) async fn receive_or_end(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0];
    if stream.read(&mut first).await? == 0 {
        return Ok(None);
    }
    let [first] = first;
    let length = u16::from_be_bytes([first, stream.read_u8().await?]);
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts commands since the reset; fails at INS FF.
    #[derive(Default)]
    struct Counter(u8);

    impl CardDoor for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
            if command.get(1) == Some(&0xff) {
                return Err(DoorFault::Card("told to".into()));
            }
            self.0 += 1;
            Ok([command, &[self.0], &[0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, DoorFault> {
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
    async fn commands_and_resets_cross_the_door() {
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        assert_eq!(card.reset().await.unwrap(), Atr(vec![0x3b, 0x00]));
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
        assert_eq!(card.transmit(&[7; 300]).await.unwrap()[300..], [2, 0x90, 0]);
        card.reset().await.unwrap();
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    #[tokio::test]
    async fn a_card_that_fails_breaks_the_door_and_a_reset_mends_it() {
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        assert!(matches!(card.transmit(&[0, 0xff]).await, Err(DoorFault::Broken(_))));
        assert!(matches!(card.transmit(&[0, 1]).await, Err(DoorFault::Broken(_))));
        card.reset().await.unwrap();
        assert_eq!(card.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    #[tokio::test]
    async fn the_next_device_finds_a_card_that_was_reset() {
        let address = card().await;
        let mut first = TcpCard::connect(&address).await.unwrap();
        first.transmit(&[0, 1]).await.unwrap();
        drop(first);
        let mut second = TcpCard::connect(&address).await.unwrap();
        assert_eq!(second.transmit(&[0, 1]).await.unwrap(), [0, 1, 1, 0x90, 0]);
    }

    #[tokio::test]
    async fn nobody_there_is_no_card_and_nonsense_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(matches!(TcpCard::connect(&address).await, Err(DoorFault::NoCard(_))));
        let mut card = TcpCard::connect(&card().await).await.unwrap();
        for command in [&[][..], &[0; 70_000]] {
            assert!(matches!(card.transmit(command).await, Err(DoorFault::Garbled(_))));
        }
    }
}
