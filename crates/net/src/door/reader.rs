//! The reader's end of vpcd's protocol (see [`vpcd`](super::vpcd)): cards that connect to a virtual reader come to us instead.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use world::{Atr, CardDoor, DoorFault, Fault};

use super::tcp::{receive, send};
use super::vpcd::control;

/// A card may take seconds for one command: generating a key, installing a profile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long a slot waits for a card. One that has lost its reader tries again within a second.
const INSERT_TIMEOUT: Duration = Duration::from_secs(60);

/// A slot, and the card in it if there is one.
#[derive(Debug)]
pub struct VpcdSlot {
    listener: TcpListener,
    address: String,
    /// Gone after any failure: an answer that comes late must not be taken for the answer to the next command.
    card: Option<TcpStream>,
}

impl VpcdSlot {
    /// An empty slot at `address`, `host:port`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn listen(address: &str) -> Result<Self, Fault> {
        let listener = crate::listen(address).await?;
        let address =
            listener.local_addr().map_or_else(|_| address.to_owned(), |address| address.to_string());
        Ok(Self { listener, address, card: None })
    }

    /// Where cards connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    async fn inserted(&mut self) -> Result<TcpStream, DoorFault> {
        if let Some(card) = self.card.take() {
            return Ok(card);
        }
        let no_card = |why: String| DoorFault::NoCard(format!("slot {}: {why}", self.address));
        match timeout(INSERT_TIMEOUT, self.listener.accept()).await {
            Ok(Ok((card, _))) => {
                card.set_nodelay(true).map_err(|error| no_card(error.to_string()))?;
                Ok(card)
            }
            Ok(Err(error)) => Err(no_card(error.to_string())),
            Err(_) => Err(no_card(format!("none within {} s", INSERT_TIMEOUT.as_secs()))),
        }
    }

    /// Sends these messages; the last one has an answer.
    async fn exchange(&mut self, messages: &[&[u8]]) -> Result<Vec<u8>, DoorFault> {
        let mut card = self.inserted().await?;
        let exchange = async {
            for message in messages {
                send(&mut card, message).await?;
            }
            receive(&mut card).await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(Ok(answer)) => {
                self.card = Some(card);
                Ok(answer)
            }
            Ok(Err::<_, io::Error>(error)) => {
                Err(DoorFault::Broken(format!("slot {}: {error}", self.address)))
            }
            Err(_) => Err(DoorFault::Timeout(format!("slot {}", self.address))),
        }
    }
}

impl CardDoor for VpcdSlot {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        // One octet is a word to the card, no command.
        if command.len() < 4 || u16::try_from(command.len()).is_err() {
            return Err(DoorFault::Garbled(format!("a command of {} bytes", command.len())));
        }
        let answer = self.exchange(&[command]).await?;
        match answer.len() {
            0 | 1 => Err(DoorFault::Garbled("a response without status word".into())),
            _ => Ok(answer),
        }
    }

    /// Waits for a card if there is none.
    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.exchange(&[&[control::POWER_OFF], &[control::POWER_ON], &[control::ATR]]).await.map(Atr)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vpcd::insert_into_vpcd;
    use super::*;

    /// Counts its commands since the reset; fails at INS FF.
    struct Counter(u8);

    impl CardDoor for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
            if command.get(1) == Some(&0xff) {
                return Err(DoorFault::Card("told to".into()));
            }
            self.0 += 1;
            Ok([command, &[self.0, 0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, DoorFault> {
            self.0 = 0;
            Ok(Atr(vec![0x3b, 0x00]))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_connects_as_to_vpcd_is_used_and_comes_back_after_it_failed() {
        let mut slot = VpcdSlot::listen("127.0.0.1:0").await.unwrap();
        let address = slot.address().to_owned();
        tokio::spawn(async move { insert_into_vpcd(&address, Counter(9), |_| ()).await });
        assert_eq!(slot.reset().await.unwrap(), Atr(vec![0x3b, 0]));
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap(), [0, 0xa4, 0, 0, 1, 0x90, 0]);
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap()[4], 2);
        assert!(matches!(slot.transmit(&[0, 0xff, 0, 0]).await, Err(DoorFault::Broken(_))));
        slot.reset().await.unwrap();
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap()[4], 1);
        assert!(matches!(slot.transmit(&[4]).await, Err(DoorFault::Garbled(_))));
    }
}
