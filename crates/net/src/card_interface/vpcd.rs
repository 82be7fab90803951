//! A card in a virtual PC/SC reader through vpcd, the virtual smart card reader of the vsmartcard
//! project.
//!
//! vpcd is a reader driver of pcscd. It listens on one port per slot, and cards connect: a
//! connection stands for an inserted card, and its end for the removal of the card. Each message is
//! a big-endian length of two bytes, followed by that many bytes:
//!
//! | reader -> card | card -> reader |
//! |---|---|
//! | 00: power off, 01: power on, 02: reset | nothing |
//! | 04: request for the answer to reset | the answer to reset |
//! | two bytes or more: command APDU | response APDU |
//!
//! Debian: packages pcscd and vsmartcard-vpcd; the reader and its port are in
//! `/etc/reader.conf.d/vpcd`.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use world::{Atr, CardInterface, CardInterfaceFault, Fault};

use super::tcp::{receive_or_end, send};

/// Default address of the first slot of vpcd. The ports of further slots follow.
pub const VPCD: &str = "127.0.0.1:35963";

/// Retry interval while pcscd does not run. pcscd is started by the next program that requests a
/// reader, and this program then waits for the card.
const RETRY: Duration = Duration::from_millis(500);

/// Status of a card and its reader.
#[derive(Debug)]
pub enum Insertion {
    /// The card is in the slot, and the reader has sent a message. If the slot is occupied, vpcd
    /// accepts the connection but sends nothing.
    Inserted,
    /// The reader has disconnected, for example because pcscd was stopped or is idle. The card
    /// reconnects later.
    Withdrawn,
    /// The reader is not reachable yet. The card retries.
    NoReader(Fault),
    /// The card failed and left the slot. The card is inserted again later.
    CardFailed(Fault),
}

/// Inserts a card into the slot of vpcd at `address` (`host:port`), and again whenever the reader
/// returns. `on_change` is called at every change of status. The future runs until it is dropped.
pub async fn connect_to_vpcd(
    address: &str,
    mut card: impl CardInterface,
    mut on_change: impl FnMut(Insertion),
) {
    // True if this status was reported and has not changed since.
    let (mut reported_out, mut reported_failed) = (false, false);
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let mut is_inserted = false;
                let ended = serve_reader(stream, &mut card, || {
                    is_inserted = true;
                    on_change(Insertion::Inserted);
                });
                let failed = match ended.await {
                    Ok(()) => None,
                    Err(Ended::Reader(error)) => {
                        tracing::debug!(address, %error, "the connection to the reader ended");
                        None
                    }
                    Err(Ended::Card(why)) => Some(why),
                };
                if is_inserted {
                    (reported_out, reported_failed) = (false, false);
                }
                match failed {
                    Some(why) if !reported_failed => {
                        on_change(Insertion::CardFailed(card_failed(address, why)));
                        (reported_out, reported_failed) = (true, true);
                    }
                    None if is_inserted => {
                        on_change(Insertion::Withdrawn);
                        reported_out = true;
                    }
                    _ => {}
                }
            }
            Err(error) if !reported_out => {
                on_change(Insertion::NoReader(no_reader(address, error)));
                reported_out = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn card_failed(address: &str, why: CardInterfaceFault) -> Fault {
    let next = "check the memory of the card; the card is inserted again automatically";
    Fault::caused_by(why, format!("the card at {address} does not work"), next)
}

fn no_reader(address: &str, error: io::Error) -> Fault {
    Fault::caused_by(
        error,
        format!("no virtual reader at {address}"),
        "install pcscd and vsmartcard-vpcd and start pcscd (`systemctl start pcscd`, or `pcscd -f`); the free port \
         of the slot is in /etc/reader.conf.d/vpcd",
    )
}

/// Reason for the end of a connection that the reader did not close.
#[derive(Debug)]
enum Ended {
    Reader(io::Error),
    Card(CardInterfaceFault),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Reader(error)
    }
}

impl From<CardInterfaceFault> for Ended {
    fn from(fault: CardInterfaceFault) -> Self {
        Self::Card(fault)
    }
}

/// Serves one connection. `on_inserted` is called at the first message, which shows that the card
/// is in the slot.
async fn serve_reader(
    mut stream: TcpStream,
    card: &mut impl CardInterface,
    on_inserted: impl FnOnce(),
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    // The reader requests the answer to reset before it powers the card.
    let Atr(mut atr) = card.reset().await?;
    let mut on_inserted = Some(on_inserted);
    while let Some(message) = receive_or_end(&mut stream).await? {
        if let Some(on_inserted) = on_inserted.take() {
            on_inserted();
        }
        match message.as_slice() {
            // Volatile state is cleared at the next power-on.
            [] | [control::POWER_OFF] => {}
            [control::POWER_ON | control::RESET] => Atr(atr) = card.reset().await?,
            [control::ATR] => send(&mut stream, &atr).await?,
            [unknown] => tracing::debug!(unknown, "vpcd sent an unknown control byte"),
            command => {
                let response = card.transmit(command).await?;
                send(&mut stream, &response).await?;
            }
        }
    }
    Ok(())
}

/// One-byte control messages of the reader.
pub(super) mod control {
    pub(in crate::card_interface) const POWER_OFF: u8 = 0;
    pub(in crate::card_interface) const POWER_ON: u8 = 1;
    pub(in crate::card_interface) const RESET: u8 = 2;
    pub(in crate::card_interface) const ATR: u8 = 4;
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::sync::mpsc;

    use super::super::tcp::receive;
    use super::*;

    /// A card that counts commands since its reset, reports its resets in the answer to reset, and
    /// fails at INS FF.
    #[derive(Default)]
    struct Counter {
        commands: u8,
        resets: u8,
        /// True if the card fails at start.
        is_broken: bool,
    }

    impl CardInterface for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            if command.get(1) == Some(&0xff) {
                return Err(CardInterfaceFault::Card("simulated failure".into()));
            }
            self.commands += 1;
            Ok([command, &[self.commands, 0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            if self.is_broken {
                return Err(CardInterfaceFault::Card("no memory".into()));
            }
            self.commands = 0;
            self.resets += 1;
            Ok(Atr(vec![0x3b, self.resets]))
        }
    }

    /// A simulated vpcd with one slot, and the statuses that the card reports.
    struct Reader {
        listener: TcpListener,
        statuses: mpsc::UnboundedReceiver<Insertion>,
    }

    impl Reader {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            Self { listener, statuses: card_for(address, Counter::default()) }
        }

        /// Accepts the next card and returns its answer to reset.
        async fn card(&mut self) -> (TcpStream, Vec<u8>) {
            let (mut card, _) = self.listener.accept().await.unwrap();
            let atr = exchange(&mut card, &[control::ATR]).await;
            assert!(matches!(self.statuses.recv().await, Some(Insertion::Inserted)));
            (card, atr)
        }
    }

    fn card_for(address: String, card: Counter) -> mpsc::UnboundedReceiver<Insertion> {
        let (on_change, statuses) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            connect_to_vpcd(&address, card, |insertion| on_change.send(insertion).unwrap()).await;
        });
        statuses
    }

    async fn exchange(card: &mut TcpStream, message: &[u8]) -> Vec<u8> {
        send(card, message).await.unwrap();
        receive(card).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn power_reset_and_commands_work() {
        let mut reader = Reader::new().await;
        let (mut card, atr) = reader.card().await;
        assert_eq!(atr, [0x3b, 1]);
        // A presence check is not a reset.
        assert_eq!(exchange(&mut card, &[control::ATR]).await, [0x3b, 1]);
        send(&mut card, &[control::POWER_ON]).await.unwrap();
        assert_eq!(exchange(&mut card, &[control::ATR]).await, [0x3b, 2]);
        assert_eq!(exchange(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
        assert_eq!(exchange(&mut card, &[7; 300]).await[300..], [2, 0x90, 0]);
        send(&mut card, &[control::RESET]).await.unwrap();
        assert_eq!(exchange(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
        assert_eq!(exchange(&mut card, &[control::ATR]).await, [0x3b, 3]);
        send(&mut card, &[control::POWER_OFF]).await.unwrap();
        send(&mut card, &[0x55]).await.unwrap();
        send(&mut card, &[control::POWER_ON]).await.unwrap();
        assert_eq!(exchange(&mut card, &[control::ATR]).await, [0x3b, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_card_returns_with_the_reader() {
        let mut reader = Reader::new().await;
        let (mut card, _) = reader.card().await;
        exchange(&mut card, &[0, 0xa4]).await;
        // The connection ends in the middle of a message.
        tokio::io::AsyncWriteExt::write_all(&mut card, &[0, 5, 1]).await.unwrap();
        drop(card);
        assert!(matches!(reader.statuses.recv().await, Some(Insertion::Withdrawn)));
        let (mut card, _) = reader.card().await;
        assert_eq!(exchange(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_card_leaves_the_reader_and_returns() {
        let mut reader = Reader::new().await;
        let (mut card, _) = reader.card().await;
        send(&mut card, &[0, 0xff]).await.unwrap();
        assert!(receive(&mut card).await.is_err());
        let Some(Insertion::CardFailed(fault)) = reader.statuses.recv().await else { panic!("not reported") };
        assert!(fault.why.contains("simulated failure"), "{fault}");
        let (_card, atr) = reader.card().await;
        assert_eq!(atr, [0x3b, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_fails_at_start_is_reported_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut statuses = card_for(address, Counter { is_broken: true, ..Counter::default() });
        for _ in 0..3 {
            let (mut card, _) = listener.accept().await.unwrap();
            assert!(receive_or_end(&mut card).await.unwrap().is_none());
        }
        let Some(Insertion::CardFailed(fault)) = statuses.recv().await else { panic!("not reported") };
        assert!(fault.why.contains("no memory"), "{fault}");
        assert!(statuses.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_occupied_slot_does_not_contain_the_card() {
        let mut reader = Reader::new().await;
        let (waiting, _) = reader.listener.accept().await.unwrap();
        drop(waiting);
        // If the first connection had caused a report, the test would receive it before this
        // report.
        reader.card().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_reader_is_reported_once_and_awaited() {
        // The port is bound, but nothing listens on it.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let mut statuses = card_for(address.to_string(), Counter::default());
        let Some(Insertion::NoReader(fault)) = statuses.recv().await else { panic!("not reported") };
        assert!(fault.what.contains(&address.to_string()), "{fault}");
        assert!(fault.next.contains("vsmartcard-vpcd"), "{fault}");
        let listener = socket.listen(1).unwrap();
        let (mut card, _) = listener.accept().await.unwrap();
        exchange(&mut card, &[control::ATR]).await;
        assert!(matches!(statuses.recv().await, Some(Insertion::Inserted)));
    }
}
