//! The reader's side of the vpcd protocol (see [`vpcd`](super::vpcd)): cards that would connect to
//! a virtual reader connect to this program.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use world::{Atr, CardInterface, CardInterfaceFault, Fault};

use super::tcp::{receive, send};
use super::vpcd::control;

/// Time-out for an answer. A card can take seconds for a command that generates a key or installs a
/// profile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum wait for a card. A card that has lost its reader retries within a second.
const INSERT_TIMEOUT: Duration = Duration::from_secs(60);

/// A slot with or without a card.
#[derive(Debug)]
pub struct VpcdSlot {
    listener: TcpListener,
    address: String,
    /// `None` after a failure, so that a late answer is not mistaken for the answer to the next
    /// command.
    card: Option<TcpStream>,
}

impl VpcdSlot {
    /// Opens an empty slot at `address` (`host:port`).
    ///
    /// # Errors
    /// The address is unusable.
    pub async fn listen(address: &str) -> Result<Self, Fault> {
        let listener = crate::listen(address).await?;
        let address =
            listener.local_addr().map_or_else(|_| address.to_owned(), |address| address.to_string());
        Ok(Self { listener, address, card: None })
    }

    /// The address to which cards connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    async fn inserted(&mut self) -> Result<TcpStream, CardInterfaceFault> {
        if let Some(card) = self.card.take() {
            return Ok(card);
        }
        let no_card = |why: String| CardInterfaceFault::NoCard(format!("slot {}: {why}", self.address));
        match timeout(INSERT_TIMEOUT, self.listener.accept()).await {
            Ok(Ok((card, _))) => {
                card.set_nodelay(true).map_err(|error| no_card(error.to_string()))?;
                Ok(card)
            }
            Ok(Err(error)) => Err(no_card(error.to_string())),
            Err(_) => Err(no_card(format!("no card within {} s", INSERT_TIMEOUT.as_secs()))),
        }
    }

    /// Sends messages, of which the last one has an answer.
    async fn exchange(&mut self, messages: &[&[u8]]) -> Result<Vec<u8>, CardInterfaceFault> {
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
                Err(CardInterfaceFault::Broken(format!("slot {}: {error}", self.address)))
            }
            Err(_) => Err(CardInterfaceFault::Timeout(format!("slot {}", self.address))),
        }
    }
}

impl CardInterface for VpcdSlot {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        // One octet is a control message, not a command.
        if command.len() < 4 || u16::try_from(command.len()).is_err() {
            return Err(CardInterfaceFault::Garbled(format!("a command of {} bytes", command.len())));
        }
        let answer = self.exchange(&[command]).await?;
        match answer.len() {
            0 | 1 => Err(CardInterfaceFault::Garbled("a response without status word".into())),
            _ => Ok(answer),
        }
    }

    /// Waits for a card if the slot is empty.
    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.exchange(&[&[control::POWER_OFF], &[control::POWER_ON], &[control::ATR]]).await.map(Atr)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vpcd::connect_to_vpcd;
    use super::*;

    /// A card that counts commands since its reset and fails at INS FF.
    struct Counter(u8);

    impl CardInterface for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            if command.get(1) == Some(&0xff) {
                return Err(CardInterfaceFault::Card("simulated failure".into()));
            }
            self.0 += 1;
            Ok([command, &[self.0, 0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            self.0 = 0;
            Ok(Atr(vec![0x3b, 0x00]))
        }
    }

    /// A card that answers with the octets of a command without its header.
    struct Echo;

    impl CardInterface for Echo {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            Ok(command.get(4..).unwrap_or_default().to_vec())
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            Ok(Atr(vec![0x3b, 0x00]))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_without_a_status_word_is_a_fault() {
        let mut slot = VpcdSlot::listen("127.0.0.1:0").await.unwrap();
        let address = slot.address().to_owned();
        tokio::spawn(async move { connect_to_vpcd(&address, Echo, |_| ()).await });
        slot.reset().await.unwrap();
        for short in [&[0, 0xa4, 0, 0][..], &[0, 0xa4, 0, 0, 0x90]] {
            assert!(matches!(slot.transmit(short).await, Err(CardInterfaceFault::Garbled(_))), "{short:?}");
        }
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0, 0x90, 0]).await.unwrap(), [0x90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_connects_is_usable_and_returns_after_a_failure() {
        let mut slot = VpcdSlot::listen("127.0.0.1:0").await.unwrap();
        let address = slot.address().to_owned();
        tokio::spawn(async move { connect_to_vpcd(&address, Counter(9), |_| ()).await });
        assert_eq!(slot.reset().await.unwrap(), Atr(vec![0x3b, 0]));
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap(), [0, 0xa4, 0, 0, 1, 0x90, 0]);
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap()[4], 2);
        assert!(matches!(slot.transmit(&[0, 0xff, 0, 0]).await, Err(CardInterfaceFault::Broken(_))));
        slot.reset().await.unwrap();
        assert_eq!(slot.transmit(&[0, 0xa4, 0, 0]).await.unwrap()[4], 1);
        assert!(matches!(slot.transmit(&[4]).await, Err(CardInterfaceFault::Garbled(_))));
    }
}
