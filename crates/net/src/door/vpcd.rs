//! A card in a virtual reader: PC/SC through vpcd, the virtual smart card reader of the vsmartcard project.
//!
//! vpcd is a reader driver of pcscd. It listens, on a port for each slot, and the card connects: a connection is a card
//! in the slot, its end is the card taken out. Each message is two bytes of length, big-endian, and as many bytes:
//!
//! | reader -> card | card -> reader |
//! |---|---|
//! | 00: power off, 01: power on, 02: reset | nothing |
//! | 04: the answer to reset is wanted | the answer to reset |
//! | two bytes or more: command APDU | response APDU |
//!
//! Debian: packages pcscd and vsmartcard-vpcd; the reader and its port are in `/etc/reader.conf.d/vpcd`.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use world::{Atr, CardDoor, DoorFault, Fault};

use super::tcp::{receive_or_end, send};

/// Where vpcd listens for the card of its first slot, unless told otherwise; the ports of the others follow.
pub const VPCD: &str = "127.0.0.1:35963";

/// While pcscd is not there. It comes back with the next program that asks for a reader, which then waits for the card.
const RETRY: Duration = Duration::from_millis(500);

/// How a card and its reader stand.
#[derive(Debug)]
pub enum Insertion {
    /// The card is in the slot: the reader has asked for something. One whose slot is taken lets the card connect too, and
    /// asks nothing.
    Inserted,
    /// The reader has gone, as pcscd does when it is stopped or nobody uses it. The card waits for it.
    Withdrawn,
    /// There is no reader yet. The card waits for it.
    NoReader(Fault),
    /// The card itself failed, and is out of the slot. It tries again.
    CardFailed(Fault),
}

/// Puts a card into the slot of vpcd at `address` (`host:port`), and again whenever the reader comes back. `tell` hears
/// of every change. Ends only when it is dropped.
pub async fn insert_into_vpcd(address: &str, mut card: impl CardDoor, mut tell: impl FnMut(Insertion)) {
    // What was told, and has not changed since.
    let (mut said_out, mut said_failed) = (false, false);
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let mut is_inserted = false;
                let ended = serve_reader(stream, &mut card, || {
                    is_inserted = true;
                    tell(Insertion::Inserted);
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
                    (said_out, said_failed) = (false, false);
                }
                match failed {
                    Some(why) if !said_failed => {
                        tell(Insertion::CardFailed(card_failed(address, why)));
                        (said_out, said_failed) = (true, true);
                    }
                    None if is_inserted => {
                        tell(Insertion::Withdrawn);
                        said_out = true;
                    }
                    _ => {}
                }
            }
            Err(error) if !said_out => {
                tell(Insertion::NoReader(no_reader(address, error)));
                said_out = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn card_failed(address: &str, why: DoorFault) -> Fault {
    let next = "see what is wrong with the card's memory; the card is put in again by itself";
    Fault::caused_by(why, format!("the card at {address} does not work"), next)
}

fn no_reader(address: &str, error: io::Error) -> Fault {
    Fault::caused_by(
        error,
        format!("no virtual reader at {address}"),
        "install pcscd and vsmartcard-vpcd and start pcscd (`systemctl start pcscd`, or `pcscd -f`); a port that is \
         free for the slot is in /etc/reader.conf.d/vpcd",
    )
}

/// Why a connection ended before the reader closed it.
#[derive(Debug)]
enum Ended {
    Reader(io::Error),
    Card(DoorFault),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Reader(error)
    }
}

impl From<DoorFault> for Ended {
    fn from(fault: DoorFault) -> Self {
        Self::Card(fault)
    }
}

/// One connection: the card is in the slot from the first message, which is `noticed`, until it ends.
async fn serve_reader(
    mut stream: TcpStream,
    card: &mut impl CardDoor,
    noticed: impl FnOnce(),
) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    // The reader wants to know the answer to reset before it gives power.
    let Atr(mut atr) = card.reset().await?;
    let mut noticed = Some(noticed);
    while let Some(message) = receive_or_end(&mut stream).await? {
        if let Some(noticed) = noticed.take() {
            noticed();
        }
        match message.as_slice() {
            // What power off takes away is gone when power comes back, at the latest.
            [] | [control::POWER_OFF] => {}
            [control::POWER_ON | control::RESET] => Atr(atr) = card.reset().await?,
            [control::ATR] => send(&mut stream, &atr).await?,
            [unknown] => tracing::debug!(unknown, "vpcd sent a control byte that is not known"),
            command => {
                let response = card.transmit(command).await?;
                send(&mut stream, &response).await?;
            }
        }
    }
    Ok(())
}

/// What the reader says in one byte.
pub(super) mod control {
    pub(in crate::door) const POWER_OFF: u8 = 0;
    pub(in crate::door) const POWER_ON: u8 = 1;
    pub(in crate::door) const RESET: u8 = 2;
    pub(in crate::door) const ATR: u8 = 4;
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::sync::mpsc;

    use super::super::tcp::receive;
    use super::*;

    /// Counts its commands since the reset, and its resets in the answer to reset; fails at INS FF.
    #[derive(Default)]
    struct Counter {
        commands: u8,
        resets: u8,
        /// Whether it does not even start.
        is_broken: bool,
    }

    impl CardDoor for Counter {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
            if command.get(1) == Some(&0xff) {
                return Err(DoorFault::Card("told to".into()));
            }
            self.commands += 1;
            Ok([command, &[self.commands, 0x90, 0x00]].concat())
        }

        async fn reset(&mut self) -> Result<Atr, DoorFault> {
            if self.is_broken {
                return Err(DoorFault::Card("no memory".into()));
            }
            self.commands = 0;
            self.resets += 1;
            Ok(Atr(vec![0x3b, self.resets]))
        }
    }

    /// vpcd with one slot, and what the card's side tells.
    struct Reader {
        listener: TcpListener,
        told: mpsc::UnboundedReceiver<Insertion>,
    }

    impl Reader {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            Self { listener, told: card_for(address, Counter::default()) }
        }

        /// The next card, and its answer to reset.
        async fn card(&mut self) -> (TcpStream, Vec<u8>) {
            let (mut card, _) = self.listener.accept().await.unwrap();
            let atr = ask(&mut card, &[control::ATR]).await;
            assert!(matches!(self.told.recv().await, Some(Insertion::Inserted)));
            (card, atr)
        }
    }

    fn card_for(address: String, card: Counter) -> mpsc::UnboundedReceiver<Insertion> {
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            insert_into_vpcd(&address, card, |insertion| tell.send(insertion).unwrap()).await;
        });
        told
    }

    async fn ask(card: &mut TcpStream, message: &[u8]) -> Vec<u8> {
        send(card, message).await.unwrap();
        receive(card).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn power_answer_to_reset_and_commands_cross_the_door() {
        let mut reader = Reader::new().await;
        let (mut card, atr) = reader.card().await;
        assert_eq!(atr, [0x3b, 1]);
        // To ask whether the card is there is not to reset it.
        assert_eq!(ask(&mut card, &[control::ATR]).await, [0x3b, 1]);
        send(&mut card, &[control::POWER_ON]).await.unwrap();
        assert_eq!(ask(&mut card, &[control::ATR]).await, [0x3b, 2]);
        assert_eq!(ask(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
        assert_eq!(ask(&mut card, &[7; 300]).await[300..], [2, 0x90, 0]);
        send(&mut card, &[control::RESET]).await.unwrap();
        assert_eq!(ask(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
        assert_eq!(ask(&mut card, &[control::ATR]).await, [0x3b, 3]);
        send(&mut card, &[control::POWER_OFF]).await.unwrap();
        send(&mut card, &[0x55]).await.unwrap();
        send(&mut card, &[control::POWER_ON]).await.unwrap();
        assert_eq!(ask(&mut card, &[control::ATR]).await, [0x3b, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_card_comes_back_with_the_reader() {
        let mut reader = Reader::new().await;
        let (mut card, _) = reader.card().await;
        ask(&mut card, &[0, 0xa4]).await;
        // Even in the middle of a message.
        tokio::io::AsyncWriteExt::write_all(&mut card, &[0, 5, 1]).await.unwrap();
        drop(card);
        assert!(matches!(reader.told.recv().await, Some(Insertion::Withdrawn)));
        let (mut card, _) = reader.card().await;
        assert_eq!(ask(&mut card, &[0, 0xa4]).await, [0, 0xa4, 1, 0x90, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_fails_is_out_of_the_reader_and_comes_back() {
        let mut reader = Reader::new().await;
        let (mut card, _) = reader.card().await;
        send(&mut card, &[0, 0xff]).await.unwrap();
        assert!(receive(&mut card).await.is_err());
        let Some(Insertion::CardFailed(fault)) = reader.told.recv().await else { panic!("not told") };
        assert!(fault.why.contains("told to"), "{fault}");
        let (_card, atr) = reader.card().await;
        assert_eq!(atr, [0x3b, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_does_not_start_is_told_of_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut told = card_for(address, Counter { is_broken: true, ..Counter::default() });
        for _ in 0..3 {
            let (mut card, _) = listener.accept().await.unwrap();
            assert!(receive_or_end(&mut card).await.unwrap().is_none());
        }
        let Some(Insertion::CardFailed(fault)) = told.recv().await else { panic!("not told") };
        assert!(fault.why.contains("no memory"), "{fault}");
        assert!(told.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_taken_is_not_one_that_the_card_is_in() {
        let mut reader = Reader::new().await;
        let (waiting, _) = reader.listener.accept().await.unwrap();
        drop(waiting);
        // Had anything been told of the first connection, it would come before this.
        reader.card().await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_there_is_said_once_with_what_to_do_and_waited_for() {
        // A port that is taken, and where nobody listens.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let mut told = card_for(address.to_string(), Counter::default());
        let Some(Insertion::NoReader(fault)) = told.recv().await else { panic!("not told") };
        assert!(fault.what.contains(&address.to_string()), "{fault}");
        assert!(fault.next.contains("vsmartcard-vpcd"), "{fault}");
        let listener = socket.listen(1).unwrap();
        let (mut card, _) = listener.accept().await.unwrap();
        ask(&mut card, &[control::ATR]).await;
        assert!(matches!(told.recv().await, Some(Insertion::Inserted)));
    }
}
